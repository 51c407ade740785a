"""Hostile input: each a clear problem document, nothing changed, nothing leaked."""

from __future__ import annotations

import base64
import json
from uuid import uuid4

import pytest
import structlog

from truebeat.protocol.resources import BODY_LIMIT
from truebeat.server import logs

BODIES = {
    "empty": b"",
    "not json": b"{",
    "an array": b"[]",
    "null": b"null",
    "trailing": b'{"name":"x"} {}',
    "NaN": b'{"name": NaN}',
    "1e400": b'{"name": 1e400}',
    "wrong type": b'{"name": 7}',
    "too short": b'{"name": ""}',
    "too long": b'{"name": "' + b"x" * 201 + b'"}',
    "NUL in a name": b'{"name": "a\\u0000b"}',
    "NUL in a role": b'{"name": "a", "role": "b\\u0000"}',
    "newline in a name": b'{"name": "a\\nERROR forged"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "raw lone surrogate": b'{"name": "\xed\xa0\x80"}',
    "latin-1": b'{"name": "\xe9"}',
    "bad parent": b'{"name": "a", "parent_id": "not-a-uuid"}',
    "numeric id": b'{"name": "a", "id": 1}',
    "deep": b'{"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}


def is_problem(answer, status: int, code: str) -> bool:
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (told["status"], told["code"]) == (answer.status_code, code)
    assert "Traceback" not in answer.text
    return answer.status_code == status


#: a role is free text for a workspace and a word of a list for a token, so those bodies are for the former only
REFUSED = [
    pytest.param(path, body, id=f"{name} to {path}")
    for path in ("/workspaces", "/tokens")
    for name, body in BODIES.items()
    if not (path == "/tokens" and b"role" in body)
]


@pytest.mark.parametrize(("path", "body"), REFUSED)
async def test_a_bad_body_is_refused_and_changes_nothing(api, path, body):
    assert is_problem(await api("POST", path, content=body), 422, "invalid")
    snapshot = (await api("GET", "/workspaces")).json()
    assert (snapshot["workspaces"], snapshot["seq"], snapshot["next"]) == ([], 0, None)
    assert len((await api("GET", "/tokens")).json()) == 1


CARDS = {
    "NUL deep inside": b'{"a": [{"b": "x\\u0000"}]}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "lone surrogate": b'{"a": "\\udfff"}',
    "deep": b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a list": b"[]",
    "endless number": b'{"a": ' + b"1" * 10_000 + b"}",
    "1e400": b'{"a": 1e400}',
    "NaN": b'{"a": NaN}',
}

BEATS = {
    "empty": b"",
    "not json": b"{",
    "deep": b'{"future": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "NaN": b'{"workspace_id": "ID", "error_rate": NaN}',
    "1e400": b'{"workspace_id": "ID", "error_rate": 1e400}',
    "above 1": b'{"workspace_id": "ID", "error_rate": 1.01}',
    "below 0": b'{"workspace_id": "ID", "error_rate": -0.1}',
    "text rate": b'{"workspace_id": "ID", "error_rate": "0.9"}',
    "negative count": b'{"workspace_id": "ID", "active_tasks": -1}',
    "huge count": b'{"workspace_id": "ID", "active_tasks": 99999999999}',
    "infinite uptime": b'{"workspace_id": "ID", "uptime_seconds": 1e308}',
    "state is a number": b'{"workspace_id": "ID", "runtime_state": 1}',
    "no id": b'{"runtime_state": "wedged"}',
    "lone surrogate": b'{"workspace_id": "ID", "runtime_state": "wedged", "sample_error": "\\ud800"}',
}


@pytest.mark.parametrize("body", BEATS.values(), ids=BEATS.keys())
async def test_a_bad_beat_is_refused_and_changes_nothing(api, body):
    workspace_id, token = await api.workspace()
    before = (await api("GET", f"/workspaces/{workspace_id}")).json()
    content = body.replace(b"ID", workspace_id.encode())
    assert is_problem(await api("POST", "/registry/heartbeat", token, content=content), 422, "invalid")
    assert (await api("GET", f"/workspaces/{workspace_id}")).json() == before


async def test_whose_beat_it_is(api, unknown):
    workspace_id, token = await api.workspace()
    _, foreign = await api.workspace("b")
    assert is_problem(await api.beat(workspace_id, foreign, runtime_state="wedged"), 403, "forbidden")
    assert is_problem(await api.beat(workspace_id, "admin-token-for-tests"), 403, "forbidden")
    assert is_problem(await api.beat(workspace_id, "tb_wrong"), 401, "unauthenticated")
    assert is_problem(await api("POST", "/registry/heartbeat", None, json={}), 401, "unauthenticated")
    for bad in (unknown, "not-a-uuid", "", "\x00"):
        assert is_problem(await api.beat(bad, token), 404, "not_found")
    assert (await api("GET", f"/workspaces/{workspace_id}")).json()["status"] == "provisioning"


async def test_nul_and_length_of_a_reason_are_cut_not_refused(api):
    workspace_id, token = await api.workspace()
    beat = await api.beat(workspace_id, token, runtime_state="wedged", sample_error="a\x00b" + "x" * 100_000)
    assert beat.json()["status"] == "degraded"
    shown = (await api("GET", f"/workspaces/{workspace_id}")).json()
    assert shown["conditions"][0]["detail"].startswith("a\ufffdb")
    assert len(shown["sample_error"]) == 2000


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS.keys())
async def test_a_bad_agent_card_is_refused(api, card):
    workspace_id, token = await api.workspace()
    body = b'{"id": "' + workspace_id.encode() + b'", "agent_card": ' + card + b"}"
    assert is_problem(await api("POST", "/registry/register", token, content=body), 422, "invalid")
    assert (await api("GET", f"/workspaces/{workspace_id}")).json()["registered"] is False


async def test_a_backslash_before_u0000_is_plain_text(api):
    workspace_id, token = await api.workspace()
    card = {"text": "a literal \\u0000, spelt out", "number": 10**30, "smile": "😀"}
    body = {"id": workspace_id, "agent_card": card}
    assert (await api("POST", "/registry/register", token, json=body)).status_code == 200


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("path", ["/workspaces", "/registry/register", "/registry/heartbeat"])
async def test_a_megabyte_is_refused(api, path, announced):
    _, token = await api.workspace()

    async def chunks():
        for _ in range(16):
            yield b" " * 65536

    content = b" " * 2**20 if announced else chunks()
    bearer = token if "registry" in path else "admin-token-for-tests"
    assert is_problem(await api("POST", path, bearer, content=content), 413, "too_large")


async def test_the_limit_itself_is_accepted(api):
    body = json.dumps({"name": "big"}).encode()
    body += b" " * (BODY_LIMIT - len(body))
    assert (await api("POST", "/workspaces", content=body)).status_code == 201


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Bearer  admin-token-for-tests", "Bearer admin-token-for-tests ",
        "Basic admin-token-for-tests", "admin-token-for-tests", "Bearer admin-token-for-tests, Bearer x",
        "Bearer tb_\xe9", "Bearer " + "x" * 5000,
    ],
)  # fmt: skip
async def test_only_one_spelling_of_a_token_is_one(api, header):
    answer = await api("GET", "/workspaces", None, headers=[("Authorization", header.encode("latin-1"))])
    assert is_problem(answer, 401, "unauthenticated")


async def test_header_tricks_change_nothing(api):
    workspace_id, token = await api.workspace()
    two = [("Authorization", "Bearer admin-token-for-tests")]
    assert is_problem(await api("GET", "/workspaces", token, headers=two), 401, "unauthenticated")
    tricks = [
        ("X-HTTP-Method-Override", "DELETE"), ("X-Original-URL", "/tokens"), ("X-Workspace-ID", "system:admin"),
        ("X-Forwarded-For", "127.0.0.1"), ("Cookie", "token=admin-token-for-tests"),
    ]  # fmt: skip
    shown = await api("GET", f"/workspaces/{workspace_id}", token, headers=tricks)
    assert shown.json()["status"] == "provisioning"
    assert (await api("GET", "/tokens", token, headers=tricks)).status_code == 403
    assert (await api("GET", "/tokens?token=admin-token-for-tests", None)).status_code == 401


async def test_unknown_paths_and_methods_are_problems(api):
    assert is_problem(await api("GET", "/nothing"), 404, "not_found")
    wrong = await api("PUT", "/workspaces")
    assert is_problem(wrong, 405, "method_not_allowed")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert is_problem(await api("GET", "/registry/heartbeat"), 405, "method_not_allowed")


async def test_a_fault_of_ours_tells_nothing(api, monkeypatch):
    async def broken(*_):
        raise RuntimeError("postgresql://secret@internal")

    monkeypatch.setattr(api.app.workspaces, "page", broken)
    answer = await api("GET", "/workspaces")
    assert is_problem(answer, 500, "internal")
    assert "secret" not in answer.text


async def test_a_logged_fault_shows_no_token(api, monkeypatch, capsys):
    before = structlog.get_config()
    logs.configure()
    try:
        _, token = await api.workspace()
        monkeypatch.setattr(api.app.heartbeats, "lease", lambda _id: 1 / 0)
        assert is_problem(await api.beat("x", token), 500, "internal")
    finally:
        structlog.configure(**before)
    told = capsys.readouterr()
    assert "ZeroDivisionError" in told.err
    assert token not in told.err + told.out
    assert token[3:20] not in told.err + told.out


async def test_unknown_fields_are_ignored(api):
    answer = await api("POST", "/workspaces", json={"name": "x", "status": "online", "future": {"a": 1}})
    assert answer.json()["workspace"]["status"] == "provisioning"


def cursor(at: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([at, str(uuid4())]).encode()).decode().rstrip("=")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_moment_that_utc_has_not_is_refused(api, at):
    workspace_id, _ = await api.workspace()
    for query in ({"updated_after": at}, {"after": cursor(at)}):
        answer = await api("GET", f"/workspaces/{workspace_id}/tasks", params=query)
        assert is_problem(answer, 422, "invalid"), query


async def test_a_nul_far_down_is_refused(api):
    workspace_id, _ = await api.workspace()
    body = '{"text":"x","metadata":' + '{"a":' * 900 + '"\\u0000"' + "}" * 900 + "}"
    answer = await api("POST", f"/workspaces/{workspace_id}/tasks", content=body)
    assert is_problem(answer, 422, "invalid")
