from __future__ import annotations

import httpx2
import msgspec
import pytest

from truebeat import errors
from truebeat.client.credentials import FileToken, FixedToken
from truebeat.client.http import Client
from truebeat.protocol.events import EventPage
from truebeat.protocol.resources import Heartbeat, Problem


def client(handler, tokens=None) -> Client:
    return Client("http://127.0.0.1:1", tokens or FixedToken("t"), transport=httpx2.MockTransport(handler))


def problem(kind: type[errors.TruebeatError], **facts) -> httpx2.Response:
    document = Problem(
        type="about:blank", title="x", status=kind.http_status, detail="do this", code=kind.code, facts=facts
    )
    return httpx2.Response(kind.http_status, content=msgspec.json.encode(document))


def test_a_401_reads_the_token_file_again_and_sends_the_very_same_body(tmp_path):
    path = tmp_path / "token"
    path.write_text("old\n")
    seen = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append((request.headers["authorization"], request.content))
        if len(seen) == 1:
            path.write_text("new\n")
            return problem(errors.Unauthenticated)
        return httpx2.Response(200, json={"status": "degraded", "next_beat_seconds": 30, "lease_seconds": 90})

    beat = Heartbeat(workspace_id="w", runtime_state="wedged", sample_error="it hangs")
    with client(handler, FileToken(path)) as api:
        reply = api.registry.heartbeat(beat)
    assert reply.status == "degraded"
    assert [token for token, _ in seen] == ["Bearer old", "Bearer new"]
    assert seen[0][1] == seen[1][1]
    assert msgspec.json.decode(seen[1][1])["runtime_state"] == "wedged"


def test_a_second_401_is_the_answer():
    seen = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return problem(errors.Unauthenticated)

    with client(handler) as api, pytest.raises(errors.Unauthenticated):
        api.events.page()
    assert len(seen) == 2


@pytest.mark.parametrize(
    "kind",
    [
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.Conflict,
        errors.Gone,
        errors.TooLarge,
        errors.Invalid,
        errors.Unavailable,
    ],
)
def test_a_problem_document_becomes_its_error(kind):
    with client(lambda _: problem(kind, retry_after=1)) as api, pytest.raises(kind) as raised:
        api.events.page()
    assert type(raised.value) is kind
    assert raised.value.message == "do this"
    assert raised.value.facts == {"retry_after": 1}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, errors.NotFound), (502, errors.Unavailable), (503, errors.Unavailable), (405, errors.Invalid)],
)
def test_an_answer_that_is_no_problem_document_is_judged_by_its_status(status, kind):
    with client(lambda _: httpx2.Response(status, text="<html>proxy</html>")) as api, pytest.raises(kind):
        api.events.page()


def test_a_server_that_does_not_answer_is_unavailable():
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with client(handler) as api, pytest.raises(errors.Unavailable, match="truebeat up"):
        api.events.page()


def test_another_program_at_that_address_is_said_plainly():
    with (
        client(lambda _: httpx2.Response(200, text="hello")) as api,
        pytest.raises(errors.Unavailable, match="address"),
    ):
        api.call(EventPage, "GET", "/events")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8700", "ftp://x", "http://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(errors.Invalid):
        Client(url, FixedToken(None))


def test_a_token_file_that_vanishes_keeps_the_last_good_token(tmp_path):
    path = tmp_path / "token"
    path.write_text("good")
    tokens = FileToken(path)
    assert tokens.current() == "good"
    path.unlink()
    assert tokens.refresh() == "good"
