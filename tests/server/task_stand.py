"""A server on a socket, and a link driven by hand: what tests of tasks stand on."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx2
import websockets

ADMIN = {"Authorization": "Bearer admin-token-for-tests"}


class Link:
    """The supervisor's side of a link; frames that come are sorted by their type."""

    def __init__(self, socket, generation=1):
        self.socket = socket
        self.generation = generation
        self.seq = 0
        self.n = 0
        self.came = {}
        self.welcome = None

    async def receive(self, kind):
        """The next frame of that type; others are kept for their own readers."""
        async with asyncio.timeout(10):
            while not self.came.get(kind):
                frame = json.loads(await self.socket.recv())
                self.came.setdefault(frame["type"], []).append(frame)
        return self.came[kind].pop(0)

    async def send(self, frame):
        await self.socket.send(json.dumps(frame))

    async def beat(self, **fields):
        """Sent, judged and acknowledged; returns the judged status."""
        self.seq += 1
        await self.send(
            {
                "type": "beat", "seq": self.seq, "generation": self.generation, "runtime_state": "", "error_rate": 0.0,
                "sample_error": "", "active_tasks": 0, "current_task": "", "uptime_seconds": 1.0, "phase": "idle",
                "phase_age": 0.5, "worker_pid": 42, "restarts": 0, "quarantine": "", "counters": {}, "loop_lag": 0.0,
                "tick_age": 0.1, "process_state": "S", "canary": None, "phase_bound": None, "stall": "", "note": "",
                "capacity": 1, "holding": [], **fields,
            }
        )  # fmt: skip
        while True:
            ack = await self.receive("ack")
            if ack["seq"] == self.seq:
                return ack["status"]

    async def say(self, what, deliver, **fields):
        """A frame about a delivered attempt; returns its number."""
        self.n += 1
        lease = {name: deliver[name] for name in ("task_id", "generation", "attempt")}
        await self.send({"type": what, **lease, "n": self.n, **fields})
        return self.n

    async def settled(self, n):
        while (await self.receive("settled"))["n"] != n:
            pass

    async def begin(self, deliver):
        await self.settled(await self.say("begun", deliver))

    async def finish(self, deliver, text="done", state="completed", **fields):
        n = await self.say("finished", deliver, state=state, text=text, **fields)
        await self.settled(n)


class Stand:
    def __init__(self, url, http):
        self.url = url
        self.http = http

    async def workspace(self, name="ada"):
        answer = (await self.http.post("/workspaces", json={"name": name})).raise_for_status().json()
        return answer["workspace"]["id"], answer["token"]

    @asynccontextmanager
    async def dial(self, workspace_id, token, *, boot=1, generation=1):
        url = f"{self.url.replace('http', 'ws', 1)}/workspaces/{workspace_id}/link"
        headers = {"Authorization": f"Bearer {token}"}
        async with websockets.connect(url, additional_headers=headers, max_size=None) as socket:
            link = Link(socket, generation)
            await link.send({"type": "hello", "version": 2, "boot": boot, "agent": "python", "pid": 1})
            link.welcome = await link.receive("welcome")
            yield link

    async def send(self, workspace_id, text="hello", status=202, headers=None, **fields):
        answer = await self.http.post(
            f"/workspaces/{workspace_id}/tasks", json={"text": text, **fields}, headers={**ADMIN, **(headers or {})}
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    async def task(self, task_id, **query):
        return (await self.http.get(f"/tasks/{task_id}", params=query)).raise_for_status().json()

    async def cancel(self, task_id, status=200):
        answer = await self.http.post(f"/tasks/{task_id}/cancel")
        assert answer.status_code == status, answer.text
        return answer.json()

    async def becomes(self, task_id, state):
        """The task, once it is in that state."""
        return await until(lambda: self._in(task_id, state))

    async def _in(self, task_id, state):
        task = await self.task(task_id)
        return task if task["state"] == state else None

    async def events(self, kind):
        page = (await self.http.get("/events", params={"limit": 1000})).json()
        return [event for event in page["events"] if event["type"] == kind]

    @asynccontextmanager
    async def watch(self, task_id, after=0, token="admin-token-for-tests"):
        url = f"{self.url.replace('http', 'ws', 1)}/tasks/{task_id}/updates?after={after}"
        async with websockets.connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
            yield socket


async def until(check, seconds=10.0):
    """Poll until `check` returns something true."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await check():
                return found
            await asyncio.sleep(0.01)


@asynccontextmanager
async def standing(url):
    async with httpx2.AsyncClient(base_url=url, headers=ADMIN, timeout=15) as client:
        yield Stand(url, client)
