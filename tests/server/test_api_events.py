"""The event log's readers: gap-free, in order, as their access allows, and none holds up another."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from truebeat.clock import SystemClock
from truebeat.domain.access import Principal, Role
from truebeat.errors import Forbidden, Gone
from truebeat.server.services import events as event_service
from truebeat.server.services.events import EventLog, Pulsing
from truebeat.server.store import events as event_store
from truebeat.server.store.events import FLEET, NewEvent

MEMBER = Principal(Role.MEMBER, "m")
VIEWER = Principal(Role.VIEWER, "v")
ADMIN = "admin-token-for-tests"
SOME = UUID("12345678-1234-1234-1234-123456789012")


async def write(database, count: int = 1, workspace_id: UUID | None = None):
    """Commit events, without publishing them."""
    payload = {"name": "a", "sample_error": "secret", "conditions": [{"symptom": "wedged", "detail": "secret"}]}
    new = [NewEvent(SystemClock().now(), "WORKSPACE_DEGRADED", workspace_id, payload, "beat") for _ in range(count)]
    async with database.transaction() as connection:
        return await event_store.append(connection, new)


async def take(stream, count: int) -> list[dict]:
    async with asyncio.timeout(20):
        return [json.loads(await anext(stream)) for _ in range(count)]


@pytest.fixture
async def log(database):
    started = EventLog(database)
    await started.start()
    yield started
    started.close()


async def test_pages(api):
    for number in range(5):
        await api.workspace(f"w{number}")
    first = (await api("GET", "/events", params={"limit": 2})).json()
    assert ([e["seq"] for e in first["events"]], first["seq"]) == ([1, 2], 5)
    rest = (await api("GET", "/events", params={"since": 2})).json()
    assert [e["seq"] for e in rest["events"]] == [3, 4, 5]
    assert (await api("GET", "/events", params={"since": 5})).json() == {"events": [], "seq": 5}
    for bad in ({"since": -1}, {"since": "x"}, {"since": 2**63}, {"limit": 0}, {"limit": 1001}):
        assert (await api("GET", "/events", params=bad)).status_code == 422


async def test_pages_back(api, database):
    there = {"before": 2**62}
    assert (await api("GET", "/events", params=there)).json() == {"events": [], "seq": 0}
    for number in range(5):
        await api.workspace(f"w{number}")
    last = (await api("GET", "/events", params={"limit": 2, **there})).json()
    assert ([e["seq"] for e in last["events"]], last["seq"]) == ([4, 5], 5)
    rest = (await api("GET", "/events", params={"before": 4, "limit": 10})).json()
    assert [e["seq"] for e in rest["events"]] == [1, 2, 3]
    assert (await api("GET", "/events", params={"before": 0})).json()["events"] == []
    of_one = last["events"][0]["workspace_id"]
    found = (await api("GET", "/events", params={"workspace_id": of_one, **there})).json()["events"]
    assert [e["seq"] for e in found] == [4]
    # what was pruned is not missed: the log is read as far back as it goes
    async with database.acquire() as connection:
        await event_store.prune(connection, SystemClock().now())
    assert (await api("GET", "/events", params=there)).json() == {"events": [], "seq": 5}
    for bad in (-1, "x", 2**63):
        assert (await api("GET", "/events", params={"before": bad})).status_code == 422


async def test_reading_back_a_viewer_sees_no_details_and_a_workspace_only_itself(database, log):
    await write(database, 2, SOME)
    await write(database, 1)
    own = Principal(Role.WORKSPACE, "w", workspace_id=str(SOME))
    for reader, count in ((MEMBER, 3), (VIEWER, 3), (own, 2)):
        page = await log.read_back(2**62, 10, reader)
        assert len(page.events) == count
        assert ("secret" in str(page)) is (reader is not VIEWER)
    with pytest.raises(Forbidden):
        await log.read_back(2**62, 10, own, UUID(int=1))


async def test_pruned_events_are_gone(api, database):
    for number in range(3):
        await api.workspace(f"w{number}")
    api.app.event_pruner._retention *= 0
    assert await api.app.event_pruner.prune() == 3
    answer = await api("GET", "/events", params={"since": 1})
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")
    assert "snapshot" in answer.json()["detail"]
    assert (await api("GET", "/events", params={"since": 3})).status_code == 200
    assert (await api("GET", "/events", params={"since": 4})).status_code == 410


async def test_a_stream_begins_after_since_and_goes_on(log, database):
    log.publish(await write(database, 3))
    stream = await log.subscribe(1, MEMBER)
    assert [e["seq"] for e in await take(stream, 2)] == [2, 3]
    waiting = asyncio.ensure_future(take(stream, 1))
    await asyncio.sleep(0)
    log.publish(await write(database))
    assert [e["seq"] for e in await waiting] == [4]


async def test_events_published_out_of_order_arrive_in_order(log, database):
    one, two, three = [await write(database) for _ in range(3)]
    stream = await log.subscribe(0, MEMBER)
    for events in (three, one, two):
        log.publish(events)
    assert [e["seq"] for e in await take(stream, 3)] == [1, 2, 3]


async def test_an_event_nobody_published_is_found_with_the_next(log, database):
    await write(database)
    stream = await log.subscribe(0, MEMBER)
    log.publish(await write(database))
    assert [e["seq"] for e in await take(stream, 2)] == [1, 2]


async def test_numbers_lost_by_a_rollback_hold_nothing_up(log, database):
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await event_store.append(connection, [NewEvent(SystemClock().now(), "X", None, {}, "x")])
            raise ZeroDivisionError
    stream = await log.subscribe(0, MEMBER)
    written = await write(database, 2)
    log.publish(written)
    assert [e["seq"] for e in await take(stream, 2)] == [e.seq for e in written]


async def test_a_slow_reader_loses_nothing_when_the_buffer_moves_on(log, database, monkeypatch):
    monkeypatch.setattr(event_service, "KEPT", 10)
    monkeypatch.setattr(event_service, "PAGE", 7)
    log.publish(await write(database, 5))
    stream = await log.subscribe(0, MEMBER)
    seen = await take(stream, 2)
    for _ in range(12):
        log.publish(await write(database, 9))
    seen += await take(stream, 5 + 12 * 9 - 2)
    assert [e["seq"] for e in seen] == list(range(1, 114))
    assert len(log._ring) < 20


async def test_readers_and_writers_at_once_see_every_event_once(log, database):
    async def writer():
        for _ in range(15):
            log.publish(await write(database, 2))

    streams = [await log.subscribe(0, MEMBER) for _ in range(5)]
    results = await asyncio.gather(*(take(stream, 120) for stream in streams), *(writer() for _ in range(4)))
    for seen in results[:5]:
        assert [e["seq"] for e in seen] == list(range(1, 121))


async def test_what_a_reader_sees_follows_its_access(log, database, api):
    mine, _ = await api.workspace()
    theirs, _ = await api.workspace("b")
    streams = {
        "member": await log.subscribe(2, MEMBER),
        "viewer": await log.subscribe(2, VIEWER),
        "workspace": await log.subscribe(2, Principal(Role.WORKSPACE, "w", mine)),
    }
    log.publish(await write(database, 1, UUID(theirs)) + await write(database, 1, UUID(mine)))
    seen = {name: await take(stream, 1) for name, stream in streams.items()}
    assert seen["member"][0]["payload"]["sample_error"] == "secret"
    assert "secret" not in json.dumps(seen["viewer"])
    assert seen["workspace"][0]["workspace_id"] == mine
    assert "secret" in json.dumps(seen["workspace"])


async def test_a_stream_that_comes_too_late_is_gone(log, database):
    log.publish(await write(database, 3))
    async with database.transaction() as connection:
        await event_store.prune(connection, SystemClock().now())
    restarted = EventLog(database)
    await restarted.start()
    with pytest.raises(Gone):
        await restarted.subscribe(1, MEMBER)
    with pytest.raises(Gone):
        await restarted.subscribe(99, MEMBER)
    await restarted.subscribe(3, MEMBER)


# --- over a real socket ---------------------------------------------------------------------------------------------


def dial(url: str, path: str = "/events", token: str | None = ADMIN):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return connect(url.replace("http", "ws", 1) + path, additional_headers=headers)


async def post(url: str, path: str, token: str = ADMIN, method: str = "POST", **json_body):
    import httpx2

    async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        return await client.request(method, path, json=json_body)


async def test_the_stream_over_a_socket(live):
    async with asyncio.timeout(20), dial(live, "/events?since=0") as early, dial(live) as late:
        created = (await post(live, "/workspaces", name="ada")).json()
        for socket in (early, late):
            event = json.loads(await socket.recv())
            assert (event["type"], event["workspace_id"]) == ("WORKSPACE_PROVISIONING", created["workspace"]["id"])
        await post(live, "/registry/heartbeat", created["token"], workspace_id=created["workspace"]["id"])
        assert json.loads(await early.recv())["type"] == "WORKSPACE_ONLINE"


@pytest.mark.parametrize(
    ("path", "token", "close", "code"),
    [
        ("/events", None, 4401, "unauthenticated"),
        ("/events", "tb_wrong", 4401, "unauthenticated"),
        (f"/events?token={ADMIN}", None, 4401, "unauthenticated"),
        (f"/events?token={ADMIN}", ADMIN, 4401, "unauthenticated"),
        ("/events?since=-1", ADMIN, 4422, "invalid"),
        ("/events?since=x", ADMIN, 4422, "invalid"),
        ("/events?since=7", ADMIN, 4410, "gone"),
    ],
)
async def test_a_stream_that_may_not_be_says_why(live, path, token, close, code):
    async with asyncio.timeout(20), dial(live, path, token) as socket:
        frame = json.loads(await socket.recv())
        assert (frame["type"], frame["code"]) == ("error", code)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd.code == close


async def test_a_revoked_token_ends_its_stream(live, monkeypatch):
    monkeypatch.setattr("truebeat.server.services.tokens.RECHECK", 0.05)
    issued = (await post(live, "/tokens", name="x", role="viewer")).json()
    async with asyncio.timeout(20), dial(live, token=issued["token"]) as socket:
        await post(live, "/workspaces", name="ada")
        assert json.loads(await socket.recv())["type"] == "WORKSPACE_PROVISIONING"
        await post(live, f"/tokens/{issued['view']['id']}", method="DELETE")
        assert json.loads(await socket.recv())["code"] == "unauthenticated"


async def test_events_of_one_workspace(api):
    ada, _ = await api.workspace("ada")
    bob, bobs_token = await api.workspace("bob")
    page = (await api("GET", f"/events?workspace_id={ada}")).json()
    assert page["events"]
    assert {event["workspace_id"] for event in page["events"]} == {ada}
    assert (await api("GET", f"/events?workspace_id={ada}", bobs_token)).status_code == 403
    assert (await api("GET", f"/events?workspace_id={bob}", bobs_token)).status_code == 200
    assert (await api("GET", "/events?workspace_id=nonsense")).status_code == 422


async def test_a_stream_that_asks_for_it_says_when_everything_was_told_and_that_it_lives(live):
    created = (await post(live, "/workspaces", name="ada")).json()
    async with asyncio.timeout(20), dial(live, "/events?since=0&pulse=0.1") as socket, dial(live) as quiet:
        first = json.loads(await socket.recv())
        assert (first["type"], first["seq"]) == ("WORKSPACE_PROVISIONING", 1)
        for _ in range(3):
            pulse = json.loads(await socket.recv())
            assert (pulse["type"], pulse["seq"], pulse["unsure"]) == ("pulse", 1, "")
            assert abs(datetime.fromisoformat(pulse["at"]) - SystemClock().now()) < timedelta(seconds=20)
        await post(live, "/registry/heartbeat", created["token"], workspace_id=created["workspace"]["id"])
        frames = [json.loads(await socket.recv())]
        while frames[-1]["type"] == "pulse":
            frames.append(json.loads(await socket.recv()))
        assert frames[-1]["type"] == "WORKSPACE_ONLINE"
        assert json.loads(await quiet.recv())["type"] == "WORKSPACE_ONLINE", "whoever did not ask gets events only"
    async with asyncio.timeout(20), dial(live, "/events?pulse=0") as socket:
        assert json.loads(await socket.recv())["code"] == "invalid"


async def test_pulses_come_to_one_whom_no_event_concerns(log, database):
    mine = str(SOME)
    stream = await log.subscribe(
        0, Principal(Role.WORKSPACE, "w", mine), Pulsing(0.05, lambda seq: b'{"seq": %d}' % seq)
    )
    assert await take(stream, 1) == [{"seq": 0}]
    for number in range(1, 5):
        told = asyncio.create_task(take(stream, 1))
        log.publish(await write(database))
        assert (await told)[0]["seq"] <= number
    log.publish(await write(database, workspace_id=SOME))
    frames = await take(stream, 1)
    while "type" not in frames[-1]:
        frames += await take(stream, 1)
    assert frames[-1]["seq"] == 5


async def test_a_server_that_follows_another_says_since_when_nobody_watched(database):
    first = EventLog(database)
    await first.begin_watch(SystemClock().now())
    assert (await first.read(0, 10, MEMBER)).events == [], "nobody watched before it"
    [last] = await write(database)
    now = last.at + timedelta(hours=1)
    await EventLog(database).begin_watch(now)
    page = await first.read_back(100, 10, MEMBER, FLEET)
    assert [(one.type, one.at) for one in page.events] == [("WORKSPACE_DEGRADED", last.at), ("WATCH_BEGAN", now)]
    assert datetime.fromisoformat(page.events[1].payload["unwatched_since"]) == last.at
    await EventLog(database).begin_watch(last.at - timedelta(hours=1))  # a clock that was set back
    [again] = (await first.read(2, 10, MEMBER, FLEET)).events
    assert datetime.fromisoformat(again.payload["unwatched_since"]) == again.at


async def test_events_of_no_workspace(api, log, database):
    await write(database, workspace_id=SOME)
    await write(database)
    for query in ({"fleet": True}, {"fleet": True, "before": 100}):
        assert [e["seq"] for e in (await api("GET", "/events", params=query)).json()["events"]] == [2]
    assert (await api("GET", "/events", params={"fleet": True, "workspace_id": str(SOME)})).status_code == 422
    with pytest.raises(Forbidden):
        await log.read(0, 10, Principal(Role.WORKSPACE, "w", str(SOME)), FLEET)


async def test_answers_are_kept_by_nobody_and_are_what_they_say(api):
    for path in ("/workspaces", "/events", "/workspaces/nonsense"):
        headers = (await api("GET", path)).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff"), path
