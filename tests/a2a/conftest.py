"""A live server, and a workspace on a real link whose answers a test writes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
import sys

import httpx2
import pytest
import websockets

sys.path.insert(0, str(Path(__file__).parent))
ADMIN = {"Authorization": "Bearer admin-token-for-tests"}


class ScriptedAgent:
    """Answers each delivered task as `behave(agent, deliver)` does; by default it echoes."""

    def __init__(self, socket, workspace_id):
        self.socket = socket
        self.workspace_id = workspace_id
        self.behave = echo
        self.seq = 0
        self.n = 0
        self.claim = ""
        self.delivered = []
        self.canceled = asyncio.Queue()
        self._tasks = set()

    async def send(self, frame):
        await self.socket.send(json.dumps(frame))

    async def beat(self, **fields):
        self.seq += 1
        await self.send(
            {
                "type": "beat", "seq": self.seq, "generation": 1, "runtime_state": self.claim, "error_rate": 0.0,
                "sample_error": "", "active_tasks": 0, "current_task": "", "uptime_seconds": 1.0, "phase": "idle",
                "phase_age": 0.0, "worker_pid": 42, "restarts": 0, "quarantine": "", "counters": {}, "loop_lag": 0.0,
                "tick_age": 0.1, "process_state": "S", "canary": None, "phase_bound": None, "stall": "", "note": "",
                "capacity": 8, "holding": [], **fields,
            }
        )  # fmt: skip

    async def say(self, deliver, kind, **fields):
        self.n += 1
        fence = {name: deliver[name] for name in ("task_id", "generation", "attempt")}
        await self.send({"type": kind, **fence, "n": self.n, **fields})

    async def begin(self, deliver):
        await self.say(deliver, "begun")

    async def text(self, deliver, index, text):
        await self.say(deliver, "chunk", index=index, kind="text", text=text, name="", parts=[])

    async def artifact(self, deliver, index, name, parts):
        await self.say(deliver, "chunk", index=index, kind="artifact", text="", name=name, parts=parts)

    async def finish(self, deliver, text="", state="completed", parts=()):
        await self.say(deliver, "finished", state=state, text=text, parts=list(parts))

    async def run(self):
        async for content in self.socket:
            frame = json.loads(content)
            if frame["type"] == "deliver":
                self.delivered.append(frame)
                task = asyncio.ensure_future(self.behave(self, frame))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif frame["type"] == "cancel":
                await self.canceled.put(frame)


async def echo(agent, deliver):
    await agent.begin(deliver)
    await agent.finish(deliver, f"you said {deliver['text']}")


@pytest.fixture
async def http(live):
    async with httpx2.AsyncClient(base_url=live, headers=ADMIN, timeout=30) as client:
        yield client


@pytest.fixture
async def made(http):
    """(id, token) of a new workspace."""
    answer = (await http.post("/workspaces", json={"name": "ada", "role": "adds"})).raise_for_status().json()
    return answer["workspace"]["id"], answer["token"]


@asynccontextmanager
async def linked(url, workspace_id, token):
    link = f"{url.replace('http', 'ws', 1)}/workspaces/{workspace_id}/link"
    async with websockets.connect(link, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        agent = ScriptedAgent(socket, workspace_id)
        hello = {"type": "hello", "version": 2, "boot": 1, "agent": "scripted", "pid": 1, "bounds": {}}
        await agent.send(hello)
        welcome = json.loads(await socket.recv())
        assert welcome["type"] == "welcome", welcome
        await agent.beat()
        answer = json.loads(await socket.recv())
        assert answer["status"] == "online", answer
        running = asyncio.ensure_future(agent.run())
        try:
            yield agent
        finally:
            running.cancel()


@pytest.fixture
async def agent(live, made):
    """A workspace that is online and takes work."""
    async with linked(live, *made) as agent:
        yield agent


@pytest.fixture
def base(live, made):
    return f"{live}/workspaces/{made[0]}/a2a"


@pytest.fixture
def rpc(http, base):
    """Calls a 1.0 method; gives the whole JSON-RPC answer."""

    async def call(method, params, **headers):
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = await http.post(base, json=body, headers={"A2A-Version": "1.0", **headers})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return call


@pytest.fixture
def message():
    def message(text="hello", **more):
        return {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": text}], **more}

    return message


@pytest.fixture
def until():
    async def until(check, seconds=10.0):
        async with asyncio.timeout(seconds):
            while not (found := await check()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return found

    return until
