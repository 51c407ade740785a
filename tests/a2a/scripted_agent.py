"""A workspace on a real link whose answers a test writes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import websockets


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
        self.troubles = []
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

    async def say(self, deliver, what, **fields):
        self.n += 1
        fence = {name: deliver[name] for name in ("task_id", "generation", "attempt")}
        await self.send({"type": what, **fence, "n": self.n, **fields})

    async def begin(self, deliver):
        await self.say(deliver, "begun")

    async def text(self, deliver, index, text):
        await self.say(deliver, "chunk", index=index, kind="text", text=text, name="", parts=[])

    async def artifact(self, deliver, index, name, parts):
        await self.say(deliver, "chunk", index=index, kind="artifact", text="", name=name, parts=parts)

    async def finish(self, deliver, text="", state="completed", parts=()):
        await self.say(deliver, "finished", state=state, text=text, parts=list(parts))

    def _acted(self, task):
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.troubles.append(task.exception())

    async def run(self):
        async for content in self.socket:
            frame = json.loads(content)
            if frame["type"] == "deliver":
                self.delivered.append(frame)
                task = asyncio.ensure_future(self.behave(self, frame))
                self._tasks.add(task)
                task.add_done_callback(self._acted)
            elif frame["type"] == "cancel":
                await self.canceled.put(frame)


async def echo(agent, deliver):
    await agent.begin(deliver)
    await agent.finish(deliver, f"you said {deliver['text']}")


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
        assert agent.troubles == []
