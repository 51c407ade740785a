from __future__ import annotations

import uuid
from datetime import UTC, datetime

import httpx2
import msgspec
import pytest

from truebeat import errors
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.domain.health import Status
from truebeat.protocol.resources import WorkspacePage, WorkspaceView


def view(name: str) -> WorkspaceView:
    return WorkspaceView(
        id=uuid.uuid4(),
        name=name,
        role="",
        parent_id=None,
        status=Status.ONLINE,
        conditions=[],
        generation=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        registered=True,
        linked=True,
    )


@pytest.fixture
def fleet():
    return [view("ada"), view("bob"), view("bob"), view("cid")]


@pytest.fixture
def client(fleet):
    def handler(request: httpx2.Request) -> httpx2.Response:
        identity = request.url.path.rpartition("/")[2]
        if identity != "workspaces":
            found = [one for one in fleet if str(one.id) == identity]
            return httpx2.Response(200, content=msgspec.json.encode(found[0]))
        start = int(request.url.params.get("after", "0"))
        end = start + 2  # pages of two
        page = WorkspacePage(workspaces=fleet[start:end], seq=7 + start, next=str(end) if end < len(fleet) else None)
        return httpx2.Response(200, content=msgspec.json.encode(page))

    with Client("http://localhost", FixedToken("t"), transport=httpx2.MockTransport(handler)) as made:
        yield made


def test_by_name_and_by_id(client, fleet):
    assert client.workspaces.find("ada") == fleet[0]
    assert client.workspaces.find("cid") == fleet[3]
    assert client.workspaces.find(str(fleet[1].id)) == fleet[1]


def test_an_ambiguous_name_names_the_ids(client, fleet):
    with pytest.raises(errors.Conflict, match=str(fleet[2].id)):
        client.workspaces.find("bob")


def test_an_unknown_name(client):
    with pytest.raises(errors.NotFound, match="truebeat ps"):
        client.workspaces.find("nobody")


def test_a_snapshot_is_whole_and_current_to_the_first_page(client, fleet):
    page = client.workspaces.snapshot()
    assert page.workspaces == fleet
    assert page.seq == 7
