"""The link, over a real socket."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx2
import pytest
import websockets

ADMIN = {"Authorization": "Bearer admin-token-for-tests"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def http(live):
    async with httpx2.AsyncClient(base_url=live, headers=ADMIN) as client:
        yield client


@pytest.fixture
async def made(http):
    """(id, token) of a new workspace."""
    answer = (await http.post("/workspaces", json={"name": "ada"})).raise_for_status().json()
    return answer["workspace"]["id"], answer["token"]


class Link:
    def __init__(self, socket):
        self.socket = socket
        self.seq = 0

    async def receive(self):
        async with asyncio.timeout(10):
            return json.loads(await self.socket.recv())

    async def send(self, frame):
        await self.socket.send(json.dumps(frame))

    async def hello(self, boot=1, version=2):
        await self.send({"type": "hello", "version": version, "boot": boot, "agent": "python", "pid": 1})
        return await self.receive()

    def frame(self, **fields):
        self.seq += 1
        return {
            "type": "beat", "seq": self.seq, "generation": 1, "runtime_state": "", "error_rate": 0.0,
            "sample_error": "", "active_tasks": 0, "current_task": "", "uptime_seconds": 1.0, "phase": "idle",
            "phase_age": 0.5, "worker_pid": 42, "restarts": 0, "quarantine": "",
            "counters": {}, "loop_lag": 0.0, "tick_age": 0.1, "process_state": "S", "canary": None,
            "phase_bound": None, "stall": "", "note": "", "capacity": 1, "holding": [], **fields,
        }  # fmt: skip

    async def beat(self, **fields):
        await self.send(self.frame(**fields))
        answer = await self.receive()
        assert answer["type"] == "ack", answer
        assert answer["seq"] == self.seq
        return answer["status"]

    async def closed(self):
        """(code, reason) once the server has closed it; frames that come before are passed over."""
        async with asyncio.timeout(10):
            try:
                while True:
                    await self.socket.recv()
            except websockets.ConnectionClosed as end:
                return end.rcvd.code, end.rcvd.reason


@pytest.fixture
def dial(live):
    @asynccontextmanager
    async def dial(workspace_id, token):
        url = f"{live.replace('http', 'ws', 1)}/workspaces/{workspace_id}/link"
        async with websockets.connect(url, additional_headers=bearer(token)) as socket:
            yield Link(socket)

    return dial


async def show(http, workspace_id):
    return (await http.get(f"/workspaces/{workspace_id}")).raise_for_status().json()


async def until(check, seconds=10.0):
    """Poll until `check` returns something true."""
    async with asyncio.timeout(seconds):
        while not (found := await check()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return found


async def test_hello_welcome_beat_ack(http, made, dial):
    async with dial(*made) as link:
        welcome = await link.hello()
        assert welcome["type"] == "welcome"
        assert welcome["generation"] == 0
        assert welcome["lease"] >= 2 * welcome["beat_interval"]
        assert await link.beat() == "online"
        assert await link.beat(runtime_state="wedged", sample_error="Control request timeout: initialize") == "degraded"
        seen = await show(http, made[0])
        assert seen["linked"]
        assert seen["conditions"][0]["detail"] == "Control request timeout: initialize"
        assert seen["phase"] == "idle"
        assert seen["worker_pid"] == 42
        assert await link.beat(generation=2, runtime_state=None, error_rate=None) == "degraded"
        assert await link.beat(generation=2) == "online"


@pytest.mark.parametrize("trouble", [{"runtime_state": "wedged", "sample_error": "stuck"}, {"error_rate": 0.9}])
async def test_what_an_agent_says_over_http_hides_nothing_its_supervisor_says(http, made, dial, trouble):
    workspace_id, token = made

    async def over_http(**fields):
        body = {"workspace_id": workspace_id, "current_task": "x", **fields}
        answer = await http.post("/registry/heartbeat", json=body, headers=bearer(token))
        return answer.json()["status"]

    async with dial(*made) as link:
        await link.hello()
        await link.beat(**trouble)
        assert await over_http() == "degraded"
        assert await over_http(runtime_state="") == "degraded"
        assert (await show(http, workspace_id))["current_task"] == "x"

    async def unlinked():
        return not (await show(http, workspace_id))["linked"]

    await until(unlinked)
    assert await over_http() == "degraded"  # nor while its link is away for a moment


async def test_a_first_registration_by_http_then_a_supervisor_then_http_again(http, made, dial, live):
    workspace_id, token = made
    body = {"workspace_id": workspace_id}
    assert (await http.post("/registry/heartbeat", json=body, headers=bearer(token))).json()["status"] == "online"
    async with dial(*made) as link:
        await link.hello()
        assert await link.beat(runtime_state=None) == "provisioning"
        assert await link.beat() == "online"


@pytest.mark.parametrize("field", ["seq", "worker_pid", "restarts", "uptime_seconds"])
async def test_absurd_numbers_are_refused(made, dial, field):
    async with dial(*made) as link:
        await link.hello()
        await link.beat()
        await link.send(link.frame() | {field: -(10**30)})
        assert (await link.closed())[0] == 4422


async def test_the_fence_survives_a_reconnect(made, dial):
    async with dial(*made) as link:
        await link.hello()
        await link.beat(generation=5)
    async with dial(*made) as link:
        assert (await link.hello())["generation"] == 5
        assert await link.beat(generation=4, runtime_state="wedged", sample_error="an old worker") == "online"


async def test_a_newer_boot_replaces_and_an_older_one_is_refused(http, made, dial):
    async with dial(*made) as first, dial(*made) as second, dial(*made) as third:
        await first.hello(boot=10)
        await first.beat()
        await second.hello(boot=11)
        assert (await first.closed())[0] == 4409
        await third.send({"type": "hello", "version": 2, "boot": 9, "agent": "python", "pid": 1})
        assert (await third.closed())[0] == 4409
        assert await second.beat() == "online"
        assert (await show(http, made[0]))["linked"]


async def test_a_restart_order_reaches_the_link_now_and_after_a_reconnect(http, made, dial):
    workspace_id, _ = made
    async with dial(*made) as link:
        await link.hello()
        await link.beat()
        order = (await http.post(f"/workspaces/{workspace_id}/restart")).raise_for_status().json()
        frame = await link.receive()
        assert frame["type"] == "restart"
        assert frame["restart_id"] == order["restart_id"]
        assert frame["by_operator"]
        again = await http.post(f"/workspaces/{workspace_id}/restart")
        assert again.status_code == 409
    async with dial(*made) as link:
        await link.hello()
        assert (await link.receive())["restart_id"] == order["restart_id"]
        assert await link.beat(generation=2) == "online"
    async with dial(*made) as link:
        await link.hello()
        assert await link.beat(generation=2) == "online"  # no further order


async def test_quarantine_and_the_way_out(http, made, dial):
    async with dial(*made) as link:
        await link.hello()
        assert (
            await link.beat(runtime_state="wedged", sample_error="exited", quarantine="5 restarts in 600 s") == "failed"
        )
        assert (await show(http, made[0]))["conditions"][0]["detail"] == "5 restarts in 600 s"
        assert await link.beat(generation=2, runtime_state=None) == "failed"
        assert await link.beat(generation=2) == "online"


async def test_removal_retires_the_link(http, made, dial):
    async with dial(*made) as link:
        await link.hello()
        await link.beat()
        assert (await http.delete(f"/workspaces/{made[0]}")).status_code in {200, 204}
        assert (await link.receive())["type"] == "retire"
        assert (await link.closed())[0] == 4410
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with dial(*made):
            pass
    assert refusal.value.response.status_code == 410


async def test_a_lost_link_is_not_linked(http, made, dial):
    async with dial(*made) as link:
        await link.hello()
        await link.beat()

    async def unlinked():
        seen = await show(http, made[0])
        return not seen["linked"] and seen

    assert (await until(unlinked))["status"] == "online"  # its grace runs


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"type": "root"}',
        '{"type": "beat"}',
        '{"type": "beat", "error_rate": NaN}',
        "\ud83d".encode("utf-8", "surrogatepass"),
        b"\x00\xff",
        '{"type": "beat", "deep": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"type": "beat", "seq": 1, "padding": "' + "x" * 300_000 + '"}',
    ],
)
async def test_garbage_closes_the_link_and_changes_nothing(http, made, dial, text):
    async with dial(*made) as link:
        await link.hello()
        await link.beat()
        await link.socket.send(text)
        code, reason = await link.closed()
        assert code in {4422, 1007, 1009}, reason
    assert (await show(http, made[0]))["status"] == "online"


@pytest.mark.parametrize(
    "field",
    [
        {"error_rate": 1.5},
        {"error_rate": -0.1},
        {"error_rate": "0"},
        {"generation": -1},
        {"generation": 2**63},
        {"runtime_state": 7},
        {"active_tasks": True},
        {"phase": "x" * 101},
    ],
)
async def test_a_bad_field_is_refused_by_name(http, made, dial, field):
    async with dial(*made) as link:
        await link.hello()
        await link.beat()
        await link.send(link.frame(runtime_state="wedged") | field)
        code, reason = await link.closed()
        assert code == 4422
        assert next(iter(field)) in reason
    assert (await show(http, made[0]))["status"] == "online"


async def test_the_first_frame_must_be_a_hello_of_this_version(made, dial):
    async with dial(*made) as link:
        await link.send(link.frame())
        assert (await link.closed()) == (4422, "the first frame must be hello")
    async with dial(*made) as link:
        await link.send({"type": "hello", "version": 99, "boot": 1, "agent": "python", "pid": 1})
        code, reason = await link.closed()
        assert code == 4422
        assert "upgrade" in reason


async def test_who_may_not_hold_a_link(http, made, dial, unknown):
    other = (await http.post("/workspaces", json={"name": "eve"})).json()
    for workspace_id, token, status in (
        (made[0], "tb_nobody", 401),
        (made[0], other["token"], 403),
        (made[0], "admin-token-for-tests", 403),
        (unknown, made[1], 404),
        ("not-a-uuid", made[1], 404),
    ):
        with pytest.raises(websockets.InvalidStatus) as refusal:
            async with dial(workspace_id, token):
                pass
        assert refusal.value.response.status_code == status
