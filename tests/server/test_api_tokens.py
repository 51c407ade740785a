"""Tokens: shown once, ended at once, rotated with an overlap, cached for a bounded time, and failing closed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from truebeat.clock import ManualClock
from truebeat.domain.access import Role
from truebeat.errors import Unauthenticated, Unavailable
from truebeat.server.services.tokens import ADMIN_NAME, FRESH, STALE_GOOD, Tokens, digest

ADMIN = "admin-token-for-tests"


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


class Outage:
    """The database, which can be taken away."""

    def __init__(self, database):
        self._database = database
        self.down = False
        self.asked = 0

    @asynccontextmanager
    async def acquire(self):
        self.asked += 1
        if self.down:
            raise Unavailable("the database does not answer", retry_after=1)
        async with self._database.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self):
        async with self._database.transaction() as connection:
            yield connection


@pytest.fixture
def outage(database):
    return Outage(database)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def tokens(outage, clock):
    return Tokens(outage, clock)


async def test_a_token_is_shown_once_and_kept_as_a_hash(api, database):
    issued = (await api("POST", "/tokens", json={"name": "bob", "role": "member"})).json()
    listed = await api("GET", "/tokens")
    assert {view["name"] for view in listed.json()} == {"bob", ADMIN_NAME}
    assert issued["token"] not in listed.text
    async with database.acquire() as connection:
        rows = await connection.fetch("SELECT tokens::text AS text, hash FROM tokens")
    assert digest(issued["token"].encode()) in [row["hash"] for row in rows]
    assert all(issued["token"] not in row["text"] for row in rows)
    assert (await api("GET", "/workspaces", issued["token"])).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"role": "king"}, {"role": "workspace"}, {"role": 7}, {"expires_in_seconds": 0}, {"name": ADMIN_NAME},
        {"expires_in_seconds": 1e400}, {"role": "member", "workspace_id": "12345678-1234-1234-1234-123456789012"},
    ],
)  # fmt: skip
async def test_bad_tokens_are_not_issued(api, body):
    import json

    text = json.dumps({"name": "x", "role": "viewer"} | body).replace("Infinity", "1e400")
    assert (await api("POST", "/tokens", content=text.encode())).status_code == 422
    assert len((await api("GET", "/tokens")).json()) == 1


async def test_revocation_is_immediate(api):
    workspace_id, token = await api.workspace()
    assert (await api.beat(workspace_id, token)).status_code == 200
    [view] = [view for view in (await api("GET", "/tokens")).json() if view["workspace_id"] == workspace_id]
    assert (await api("DELETE", f"/tokens/{view['id']}")).status_code == 204
    assert (await api.beat(workspace_id, token)).status_code == 401
    assert (await api("DELETE", f"/tokens/{view['id']}")).status_code == 204
    assert (await api("POST", f"/tokens/{view['id']}/rotate")).status_code == 409


async def test_pages_of_tokens(api):
    for number in range(4):
        await api("POST", "/tokens", json={"name": f"t{number}", "role": "viewer"})
    seen, query = [], {"limit": 2}
    while page := (await api("GET", "/tokens", params=query)).json():
        seen += [view["name"] for view in page]
        query["after"] = page[-1]["id"]
    assert seen == [ADMIN_NAME, "t0", "t1", "t2", "t3"]
    for bad, status in (({"limit": 0}, 422), ({"after": "x"}, 422), ({"after": str(UUID(int=1))}, 404)):
        assert (await api("GET", "/tokens", params=bad)).status_code == status


async def test_unknown_tokens(api, unknown):
    assert (await api("DELETE", f"/tokens/{unknown}")).status_code == 404
    assert (await api("POST", f"/tokens/{unknown}/rotate")).status_code == 404
    assert (
        await api("POST", "/tokens", json={"name": "x", "role": "workspace", "workspace_id": unknown})
    ).status_code == 404


async def test_a_removed_workspace_gets_no_token(api):
    workspace_id, _ = await api.workspace()
    await api("DELETE", f"/workspaces/{workspace_id}")
    body = {"name": "x", "role": "workspace", "workspace_id": workspace_id}
    assert (await api("POST", "/tokens", json=body)).status_code == 410


async def test_a_rotated_token_lives_until_its_successor_is_used(tokens):
    old = await tokens.issue("x", Role.MEMBER)
    new = await tokens.rotate(old.view.id)
    assert (await tokens.authenticate(bearer(old.token))).name == "x"
    assert (await tokens.authenticate(bearer(new.token))).role is Role.MEMBER
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(bearer(old.token))


async def test_a_rotated_token_lives_ten_minutes_at_most(tokens, clock):
    old = await tokens.issue("x", Role.MEMBER)
    await tokens.authenticate(bearer(old.token))
    await tokens.rotate(old.view.id)
    clock.advance(599)
    await tokens.authenticate(bearer(old.token))
    clock.advance(2)
    with pytest.raises(Unauthenticated, match="expired"):
        await tokens.authenticate(bearer(old.token))


async def test_a_rotation_outlives_a_restart_of_the_server(tokens, outage, clock):
    old = await tokens.issue("x", Role.MEMBER)
    new = await tokens.rotate(old.view.id)
    restarted = Tokens(outage, clock)
    await restarted.start(None)
    await restarted.authenticate(bearer(old.token))
    await restarted.authenticate(bearer(new.token))
    with pytest.raises(Unauthenticated, match="revoked"):
        await restarted.authenticate(bearer(old.token))


async def test_a_known_token_costs_no_database_for_a_minute(tokens, outage, clock):
    issued = await tokens.issue("x", Role.MEMBER)
    header = bearer(issued.token)
    assert tokens.known(header) is None
    await tokens.authenticate(header)
    asked = outage.asked
    clock.advance(FRESH - 1)
    assert tokens.known(header) is not None
    await tokens.authenticate(header)
    assert outage.asked == asked
    clock.advance(2)
    assert tokens.known(header) is None
    await tokens.authenticate(header)
    assert outage.asked == asked + 1


async def test_without_the_database_known_tokens_stay_good_and_others_are_refused(tokens, outage, clock):
    known, other = [await tokens.issue("x", Role.MEMBER) for _ in range(2)]
    await tokens.authenticate(bearer(known.token))
    outage.down = True
    clock.advance(STALE_GOOD - 1)
    await tokens.authenticate(bearer(known.token))
    with pytest.raises(Unavailable):
        await tokens.authenticate(bearer(other.token))
    clock.advance(2)
    with pytest.raises(Unavailable):
        await tokens.authenticate(bearer(known.token))


async def test_an_expiry_is_kept_also_without_the_database(tokens, outage, clock):
    issued = await tokens.issue("x", Role.MEMBER, expires_in=30)
    header = bearer(issued.token)
    await tokens.authenticate(header)
    outage.down = True
    clock.advance(29)
    assert tokens.known(header) is not None
    clock.advance(2)
    assert tokens.known(header) is None
    with pytest.raises(Unavailable):
        await tokens.authenticate(header)


async def test_the_cache_forgets_what_is_old(tokens, clock):
    issued = await tokens.issue("x", Role.MEMBER)
    await tokens.authenticate(bearer(issued.token))
    await tokens.flush_used()
    [view] = await tokens.listing()
    assert view.last_used_at == clock.now()
    clock.advance(STALE_GOOD + 1)
    await tokens.flush_used()
    assert tokens._known == {}


async def test_the_admin_token_follows_its_setting(tokens, clock):
    await tokens.ensure_admin("first-admin-secret")
    await tokens.ensure_admin("first-admin-secret")
    assert (await tokens.authenticate(b"Bearer first-admin-secret")).role is Role.OPERATOR
    await tokens.ensure_admin("second-admin-secret")
    with pytest.raises(Unauthenticated, match="revoked"):
        await tokens.authenticate(b"Bearer first-admin-secret")
    [row] = [view for view in await tokens.listing() if view.revoked_at is None]
    await tokens.revoke(row.id)
    await tokens.ensure_admin("second-admin-secret")
    with pytest.raises(Unauthenticated, match="revoked"):
        await tokens.authenticate(b"Bearer second-admin-secret")


async def test_a_revocation_during_a_check_is_not_cached_over(tokens, monkeypatch):
    issued = await tokens.issue("x", Role.MEMBER)
    check = tokens._check

    async def revoked_meanwhile(token_hash, **how):
        row = await check(token_hash, **how)
        await tokens.revoke(UUID(str(row.id)))
        return row

    monkeypatch.setattr(tokens, "_check", revoked_meanwhile)
    await tokens.authenticate(bearer(issued.token))
    assert tokens.known(bearer(issued.token)) is None
