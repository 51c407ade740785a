"""Tokens: found by hash, revoked once, replaced once."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import asyncpg
import pytest

from truebeat.domain.access import Role
from truebeat.domain.health import created
from truebeat.errors import Conflict, NotFound
from truebeat.server.store import tokens, workspaces
from truebeat.server.store.tokens import TokenRow
from truebeat.server.store.workspaces import WorkspaceRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)


def new(role=Role.OPERATOR, workspace_id=None, **facts):
    token_id = uuid4()
    row = TokenRow(token_id, "laptop", role, workspace_id, sha256(token_id.bytes).digest(), NOW, token_id)
    return dataclasses.replace(row, **facts)


@pytest.fixture
async def workspace_id(database):
    row = WorkspaceRow(uuid4(), "alice", "", None, None, None, NOW, None, created(NOW))
    async with database.acquire() as conn:
        await workspaces.insert(conn, row)
    return row.id


@pytest.fixture
async def conn(database):
    async with database.acquire() as connection:
        yield connection


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.WORKSPACE])
async def test_a_token_comes_back_as_it_was(conn, role):
    token = new(role, expires_at=LATER, last_used_at=NOW)
    await tokens.insert(conn, token)
    assert await tokens.by_hash(conn, token.hash) == token
    assert await tokens.get(conn, token.id) == token
    assert await tokens.listing(conn) == [token]
    assert await tokens.by_hash(conn, sha256(b"other").digest()) is None
    assert await tokens.get(conn, uuid4()) is None


async def test_what_the_database_refuses(conn, workspace_id):
    token = new()
    await tokens.insert(conn, token)
    with pytest.raises(Conflict):
        await tokens.insert(conn, new(hash=token.hash))
    with pytest.raises(NotFound):
        await tokens.insert(conn, new(Role.WORKSPACE, uuid4()))
    for wrong in (new(Role.WORKSPACE), new(Role.MEMBER, workspace_id), new(hash=b"short")):
        with pytest.raises(asyncpg.CheckViolationError):
            await tokens.insert(conn, wrong)
    assert await tokens.listing(conn) == [token]


async def test_a_token_is_revoked_once(conn):
    token = new()
    await tokens.insert(conn, token)
    assert await tokens.revoke(conn, token.id, NOW)
    assert not await tokens.revoke(conn, token.id, LATER)
    assert not await tokens.revoke(conn, uuid4(), NOW)
    assert await tokens.get(conn, token.id) == dataclasses.replace(token, revoked_at=NOW)


async def test_all_tokens_of_a_workspace(conn, workspace_id):
    assert not await tokens.any_ever_for_workspace(conn, workspace_id)
    one, two, other = new(Role.WORKSPACE, workspace_id), new(Role.WORKSPACE, workspace_id), new()
    for token in (one, two, other):
        await tokens.insert(conn, token)
    await tokens.revoke(conn, one.id, NOW)
    assert await tokens.revoke_workspace(conn, workspace_id, LATER) == [two.id]
    assert [
        token.revoked_at for token in (await tokens.get(conn, one.id), await tokens.get(conn, two.id)) if token
    ] == [
        NOW,
        LATER,
    ]
    assert await tokens.get(conn, other.id) == other
    assert await tokens.any_ever_for_workspace(conn, workspace_id)


async def test_the_latest_use_stays(conn):
    one, two = new(), new()
    for token in (one, two):
        await tokens.insert(conn, token)
    await tokens.touch(conn, [])
    await tokens.touch(conn, [(one.id, LATER), (one.id, NOW), (two.id, NOW), (uuid4(), NOW)])
    await tokens.touch(conn, [(one.id, NOW)])
    used = {token.id: token.last_used_at for token in await tokens.listing(conn)}
    assert used == {one.id: LATER, two.id: NOW}


async def test_a_replaced_token_ends_and_its_heir_begins(conn, workspace_id):
    old, heir = new(Role.WORKSPACE, workspace_id), new(Role.WORKSPACE, workspace_id)
    await tokens.insert(conn, old)
    assert await tokens.replace(conn, old.id, heir, LATER)
    assert await tokens.get(conn, old.id) == dataclasses.replace(old, expires_at=LATER, replaced_by=heir.id)
    assert await tokens.get(conn, heir.id) == heir


async def test_replacing_never_prolongs(conn):
    old = new(expires_at=NOW)
    await tokens.insert(conn, old)
    assert await tokens.replace(conn, old.id, new(), LATER)
    ended = await tokens.get(conn, old.id)
    assert ended is not None
    assert ended.expires_at == NOW


async def test_what_is_revoked_replaced_or_unknown_is_not_replaced(conn):
    revoked, replaced = new(revoked_at=NOW), new()
    for token in (revoked, replaced):
        await tokens.insert(conn, token)
    assert await tokens.replace(conn, replaced.id, new(), LATER)
    before = await tokens.listing(conn)
    for token_id in (revoked.id, replaced.id, uuid4()):
        assert not await tokens.replace(conn, token_id, new(), LATER)
    assert await tokens.listing(conn) == before


async def test_of_rotations_at_once_one_wins(database, conn):
    old = new()
    await tokens.insert(conn, old)

    async def rotate():
        async with database.acquire() as connection:
            return await tokens.replace(connection, old.id, new(), LATER)

    assert sum(await asyncio.gather(*(rotate() for _ in range(6)))) == 1
    assert len(await tokens.listing(conn)) == 2
