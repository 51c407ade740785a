"""Evidence, reports, probes and the platform's own restart, over a real link."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import websockets
from task_stand import Link


@pytest.fixture
def settings(settings):
    return replace(settings, restart_after=1.0)


@pytest.fixture
async def made(stand):
    return await stand.workspace()


@pytest.fixture
def dial(live, made):
    workspace_id, token = made

    @asynccontextmanager
    async def dial(**hello):
        url = f"{live.replace('http', 'ws', 1)}/workspaces/{workspace_id}/link"
        async with websockets.connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
            link = Link(socket)
            await link.send({"type": "hello", "version": 2, "boot": 7, "agent": "python", "pid": 1, **hello})
            link.welcome = await link.receive("welcome")
            yield link

    return dial


async def show(stand, made):
    return (await stand.http.get(f"/workspaces/{made[0]}")).raise_for_status().json()


async def incidents(stand):
    return (await stand.http.get("/incidents")).raise_for_status().json()["incidents"]


async def until_status(link, status, **beat):
    """Beats until it is judged so; each beat's own time limit ends what never comes."""
    for _ in range(2000):
        if await link.beat(**beat) == status:
            return
    raise AssertionError(f"never {status}")


def report(n, **fields):
    return {
        "type": "report", "n": n, "generation": 1, "kind": "blocked", "age": 0.0, "detail": "blocked", "action": "",
        "stack": "", "stderr_tail": "", "facts": {}, **fields,
    }  # fmt: skip


async def test_a_lie_is_caught_probed_and_restarted_by_the_platform(stand, made, dial):
    async with dial(bounds={"idle": 0.2}) as link:
        assert await link.beat() == "online"
        await until_status(link, "degraded")
        seen = await show(stand, made)
        assert {one["witness"]: one["healthy"] for one in seen["witnesses"]} == {
            "self": True, "evidence": False, "silence": True, "sender": None, "canary": None,
        }  # fmt: skip
        assert "no evidence" in seen["evidence"]["stall"]
        assert "stalled" in (await link.receive("probe"))["reason"]
        order = await link.receive("restart")
        assert order["reason"].startswith("ordered by platform: stalled")
        assert (await show(stand, made))["restart_pending"]
        assert (await stand.http.post(f"/workspaces/{made[0]}/restart")).status_code == 409
        assert await link.beat(generation=2, runtime_state=None, phase="starting") == "degraded"
        assert await link.beat(generation=2) == "online"
        (one,) = await incidents(stand)
        assert one["recovery"] == "restart verified by generation 2, ordered by platform"


async def test_reports_are_settled_and_stored_once_over_reconnects(stand, made, dial):
    async with dial() as link:
        await link.beat()
        await link.beat(stall="the event loop has been blocked for 2.1 s")
        await link.send(report(1, stack="Thread 1 (most recent call first)"))
        await link.settled(1)
    async with dial() as link:  # the settlement may have been lost on its way
        await link.send(report(1, stack="another"))
        await link.settled(1)
        await link.send(report(2, kind="verified"))
        await link.settled(2)
    (one,) = await incidents(stand)
    told = (await stand.http.get(f"/incidents/{one['id']}")).json()
    assert [step["kind"] for step in told["timeline"]] == ["status", "blocked", "verified"]
    assert told["stack"] == "Thread 1 (most recent call first)"
    assert (await show(stand, made))["incident_id"] == one["id"]


@pytest.mark.parametrize(
    "field",
    [
        {"n": -1},
        {"kind": "k" * 61},
        {"age": -1},
        {"detail": None},
        {"facts": {"a": 1}},
        {"stack": 7},
        {"generation": -1},
    ],
)
async def test_a_bad_report_closes_the_link(dial, field):
    async with dial() as link:
        await link.send(report(1) | field)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await link.receive("settled")
        assert closed.value.rcvd.code == 4422


@pytest.mark.parametrize("bounds", [{"idle": -1}, {"idle": "soon"}, ["idle"], {"idle": 1e300}])
async def test_bad_bounds_close_the_link(live, made, bounds):
    url = f"{live.replace('http', 'ws', 1)}/workspaces/{made[0]}/link"
    async with websockets.connect(url, additional_headers={"Authorization": f"Bearer {made[1]}"}) as socket:
        link = Link(socket)
        await link.send({"type": "hello", "version": 2, "boot": 7, "agent": "a", "pid": 1, "bounds": bounds})
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await link.receive("welcome")
        assert closed.value.rcvd.code == 4422
