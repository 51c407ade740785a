"""A `truebeat up` that can be killed and started again, workspaces that only beat, a browser's visit to the page."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx2
import psutil
from playwright.sync_api import expect

from truebeat.cli import connection
from truebeat.cli.canvas import login_address

DEADLINE = 60.0
ROOT = Path(__file__).parents[2]
AGENT = ROOT / "tests" / "stands" / "talking_agent.py"
MEMBER = """
[[workspace]]
name = "{name}"
role = "talker"
agent = "command"
target = [{python}, {agent}, "{name}"]
options = {{ mode = "ndjson", probe_interval = 0.3, probe_timeout = 0.5 }}
"""
ASKING = """
[[workspace]]
name = "{name}"
role = "asker"
agent = "python"
target = "tests.stands.asking_agent:answer"
"""
#: notes when each event arrived, when each card changed, and what the page was not allowed to do
WATCH = """
window.seen = {received: [], changed: [], violations: [], sockets: 0};
addEventListener("securitypolicyviolation", (event) => seen.violations.push(event.violatedDirective));
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...given) {
    super(...given);
    if (!String(given[0]).includes("/events")) return;
    seen.sockets += 1;
    this.addEventListener("message", (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "pulse") return;
      seen.received.push({seq: event.seq, at: Date.parse(event.at), got: Date.now(), id: event.workspace_id});
    });
  }
};
new MutationObserver((records) => {
  for (const record of records) {
    const node = record.target instanceof Element ? record.target : record.target.parentElement;
    const card = node?.closest?.(".card");
    if (card) seen.changed.push({id: card.id.slice(5), look: card.className, text: card.textContent, at: Date.now()});
  }
}).observe(document, {
  subtree: true, attributes: true, attributeFilter: ["class"], childList: true, characterData: true
});
"""
_numbers = itertools.count(1)

expect.set_options(timeout=20_000)


def until(condition, what: str, limit: float = DEADLINE):
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.03)
    return found


class Stand:
    """Entered: the server answers and its agents are online."""

    def __init__(
        self, place: Path, agents: tuple[str, ...] = (), asking: tuple[str, ...] = (), **settings: str
    ) -> None:
        """`agents` talk (talking_agent.py), those that are `asking` give each other work (asking_agent.py).

        `settings` of the server, as in TRUEBEAT_LEASE.
        """
        self.settings = {"TRUEBEAT_BEAT_INTERVAL": "0.5", **settings}
        self.place = place.resolve()
        self.agents = agents
        self.asking = asking
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""
        self.http = httpx2.Client(base_url=self.url, timeout=20)
        self._up: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
            for name in self.agents + self.asking:
                until(lambda name=name: self.view(self.id_of(name))["status"] == "online", f"{name} is not online")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self._up is not None and self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._up.wait(15)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get("TMPDIR") == str(self.place):
                    process.kill()

    def start(self) -> None:
        fleet = self.place / "fleet.toml"
        fleet.write_text(self.members())
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRUEBEAT_")}
        words = [
            "up",
            "--data-dir",
            str(self.place / "data"),
            "--port",
            str(self.port),
            "--fleet",
            str(fleet),
            "--json",
        ]
        with (self.place / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "truebeat.cli.main", *words],
                env={**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.place), **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=ROOT,
            )
        log = self.place / "up.log"
        until(self._ready, f"the server did not start: {log.read_text()[-2000:]}")

    def members(self) -> str:
        """The fleet file of the real agents."""
        python, agent = json.dumps(sys.executable), json.dumps(str(AGENT))
        members = [MEMBER.format(name=name, python=python, agent=agent) for name in self.agents]
        return "".join([*members, *(ASKING.format(name=name) for name in self.asking)])

    def _ready(self) -> bool:
        assert self._up is not None
        assert self._up.poll() is None, (self.place / "up.log").read_text()[-2000:]
        left = connection.read(self.place / "data")
        if left is None or left.pid != self._up.pid:
            return False
        self.token = left.token
        with contextlib.suppress(httpx2.HTTPError):
            return self.http.get("/readyz").status_code == 200
        return False

    def kill(self) -> None:
        assert self._up is not None
        self._up.kill()
        self._up.wait(10)

    def call(self, method: str, path: str, body: object = None, token: str = "") -> dict:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        answer = self.http.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}

    def view(self, workspace_id: str) -> dict:
        return self.call("GET", f"/workspaces/{workspace_id}")

    def everybody(self) -> list[dict]:
        return self.call("GET", "/workspaces?limit=1000")["workspaces"]

    def id_of(self, name: str) -> str:
        found = until(lambda: [one for one in self.everybody() if one["name"] == name], f"there is no {name}")
        return found[0]["id"]

    def send(self, workspace_id: str, text: str) -> str:
        """The new task's id."""
        return self.call("POST", f"/workspaces/{workspace_id}/tasks", {"text": text})["id"]

    def delegate(self, source_id: str, target_id: str, text: str = "count the beans") -> str:
        """The new delegation's id, which is its task's."""
        body = {"target": target_id, "text": text}
        return self.call("POST", f"/workspaces/{source_id}/delegations", body)["delegation_id"]

    def login_url(self) -> str:
        return login_address(self.url, self.token)

    def read_all(self) -> None:
        """Nothing that agents told is unread."""
        if told := self.call("GET", "/notifications?limit=1")["notifications"]:
            self.call("POST", "/notifications/read", {"through": told[0]["id"]})

    def issue(self, role: str) -> str:
        return self.call("POST", "/tokens", {"name": f"a {role}", "role": role})["token"]

    @contextlib.contextmanager
    def beater(self, name: str = "", **more: object):
        """A workspace that only beats, online; removed at the end."""
        made = Beater(self, name or f"beater-{next(_numbers)}", **more)
        made.beat()
        try:
            yield made
        finally:
            with contextlib.suppress(AssertionError):
                self.call("DELETE", f"/workspaces/{made.id}")


class Beater:
    def __init__(self, stand: Stand, name: str, **more: object) -> None:
        answer = stand.call("POST", "/workspaces", {"name": name, **more})
        self.stand = stand
        self.name = name
        self.id: str = answer["workspace"]["id"]
        self.token: str = answer["token"]

    def beat(self, **fields: object) -> dict:
        return self.stand.call("POST", "/registry/heartbeat", {"workspace_id": self.id, **fields}, self.token)

    def wedge(self, text: str = "the runtime did not answer") -> None:
        assert self.beat(runtime_state="wedged", sample_error=text)["status"] == "degraded"

    def recover(self) -> None:
        assert self.beat(runtime_state="")["status"] == "online"


class Visitor:
    """A browser of its own with one page, logged in unless told otherwise. Leaving fails on any error of the page.

    `fleet`: the workspaces that the page is told of, instead of the server's.
    """

    def __init__(
        self, browser, stand: Stand, *, token: str | None = None, path: str = "/", fleet: list | None = None, **options
    ) -> None:
        self.stand = stand
        self.errors: list[str] = []
        options.setdefault("viewport", {"width": 1280, "height": 800})
        self.context = browser.new_context(base_url=stand.url, **options)
        self.context.add_init_script(WATCH)
        if fleet is not None:
            self._pretend(fleet)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        if token != "":
            answer = self.context.request.post("/session", data={"token": token or stand.token})
            assert answer.ok, answer.text()
            self.page.goto(path)

    def _pretend(self, fleet: list) -> None:
        by_id = {one["id"]: one for one in fleet}
        snapshot = {"workspaces": fleet, "next": None, "seq": self.stand.call("GET", "/events?limit=1")["seq"]}
        self.context.route(re.compile("/workspaces[?]"), lambda route: route.fulfill(json=snapshot))
        one = re.compile("/workspaces/([0-9a-f-]{36})$")
        self.context.route(one, lambda route: route.fulfill(json=by_id[one.search(route.request.url)[1]]))

    def __enter__(self) -> Self:
        if self.page.url != "about:blank":
            self.live()
        return self

    def __exit__(self, kind, *_: object) -> None:
        violations = [one for page in self.context.pages for one in page.evaluate("window.seen?.violations ?? []")]
        self.context.close()
        if kind is None:
            assert not self.errors
            assert not violations

    def live(self, page=None) -> None:
        expect((page or self.page).locator(".connection")).to_have_text("Live")

    def card(self, one) -> object:
        return self.page.locator(f"#card-{getattr(one, 'id', one)}")

    def open(self, one, tab: str = "health") -> None:
        """Its panel, by the URL, as Back and Forward would do it."""
        url = f"/?workspace={getattr(one, 'id', one)}&tab={tab}"
        self.page.evaluate(
            "(url) => { history.pushState(null, '', url); dispatchEvent(new PopStateEvent('popstate')); }", url
        )
        expect(self.page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
        self.live()

    def shown(self, page=None) -> dict[str, str]:
        """What the cards say: name -> status."""
        return (page or self.page).evaluate(
            """() => Object.fromEntries([...document.querySelectorAll(".card")].map((card) =>
                [card.querySelector(".card-name").textContent,
                 card.querySelector(".pill").textContent.toLowerCase()]))"""
        )
