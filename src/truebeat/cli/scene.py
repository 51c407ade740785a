"""What happens in the demo: work is asked for, who does it wedges for real, and it is done all the same.

Nothing here is arranged but the SIGSTOP: what is told is what the server's events and answers say, when they come.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from truebeat import errors
from truebeat.cli.events import event_reason
from truebeat.cli.stage import LEAD, OTHER, VICTIM, runtime_under
from truebeat.domain.delivery import State
from truebeat.domain.health import Status
from truebeat.protocol.tasks import NewTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.cli.stage import Stage
    from truebeat.cli.story import Story
    from truebeat.client.http import Client
    from truebeat.kit.subscriber import Arrival, Subscriber

#: below how many: the next one on a machine that is so quick that the work was done before it could be stopped
SIZES: Final = (1_000_000, 2_000_000, 4_000_000)
#: seconds each part may take before the demo says that it failed
BEGIN_LIMIT: Final = 30.0
NOTICE_LIMIT: Final = 15.0
END_LIMIT: Final = 60.0


def play(stage: Stage, story: Story, client: Client, subscriber: Subscriber) -> Scene:
    """The scene whose work was stopped in the middle, played to its end."""
    for size in SIZES:
        scene = Scene(stage, story, client, subscriber)
        scene.ask(size)
        if scene.stop_at_work():
            scene.end()
            return scene
        story.too_late(VICTIM)
    raise errors.Unavailable(f"this machine counts to {SIZES[-1]:,} before a process can be stopped")


class Scene:
    """One question and what becomes of it. `times` are seconds from the stop: when its subscriber had the news."""

    def __init__(self, stage: Stage, story: Story, client: Client, subscriber: Subscriber) -> None:
        self._stage = stage
        self._story = story
        self._client = client
        self._subscriber = subscriber
        self._heard = len(subscriber.since(0))
        self.lead = client.workspaces.find(LEAD)
        self.victim = client.workspaces.find(VICTIM)
        self._last_beat = self.victim.last_beat_at
        self._stopped_at: float | None = None
        #: by the name of who does it
        self._delegations: dict[str, UUID] = {}
        #: the question
        self.task_id = UUID(int=0)
        self.times: dict[str, float] = {}
        #: beats that arrived after the stop while the status was still online
        self.beats = 0
        self.reason = ""
        #: when the platform knew of the wedge; and then, when the asker told what it knows of it (both by the server)
        self._known_at = stage.clock.now()
        self.asker_told = 0.0
        self.asker_said = ""
        self.answer = ""
        self.attempts = 0
        self.generation = self.victim.generation

    def ask(self, size: int) -> None:
        """Returns when it was handed on."""
        text = f"how many primes are there below {size:,}?"
        self.task_id = self._client.tasks.send(self.lead.id, NewTask(text=text)).id
        self._story.asked(LEAD, text)
        both = {VICTIM, OTHER}
        self._follow(lambda: self._handed_on(both), BEGIN_LIMIT, "the work was not handed on")
        self._story.delegated(LEAD, sorted(both))

    def _handed_on(self, names: set[str]) -> bool:
        if names <= self._delegations.keys():
            return True
        asked = self._client.tasks.get(self.task_id)
        if asked.final:
            raise errors.Unavailable(f"{LEAD} handed nothing on: {asked.state.value}: {asked.answer}")
        return False

    def stop_at_work(self) -> bool:
        """Stop the runtime as soon as it is at it, until that is known. False: it had done its work before."""
        work, begun = self._delegations[VICTIM], {State.WORKING, State.COMPLETED}
        self._stage.until(lambda: self._client.tasks.get(work).state in begun, BEGIN_LIMIT, "the work was not begun")
        worker = self._client.workspaces.get(self.victim.id).worker_pid or 0
        runtime = runtime_under(worker)
        if runtime is None:
            raise errors.Unavailable(f"the runtime under worker {worker} went away by itself")
        if self._client.tasks.get(work).final:
            return False
        self._stopped_at = self._stage.clock.monotonic()
        os.kill(runtime.pid, signal.SIGSTOP)
        self._last_beat = self._client.workspaces.get(self.victim.id).last_beat_at
        self._story.stopped(VICTIM, runtime.pid, worker)
        self._follow(lambda: "degraded" in self.times, NOTICE_LIMIT, "the wedge was not noticed")
        if not self._client.tasks.get(work).final:
            return True
        # it had said its last words already
        self._follow(lambda: "online" in self.times, END_LIMIT, "it did not come back")
        return False

    def end(self) -> None:
        """Until the answer is there."""
        wanted = {"told", "online", "ended", "used"}
        self._follow(lambda: wanted <= self.times.keys(), END_LIMIT, "the work was not brought to its end")

    def _follow(self, done: Callable[[], bool], limit: float, problem: str) -> None:
        """Tell what happens, in its order, until that much has."""

        def look() -> bool:
            for arrival in self._subscriber.since(self._heard):
                self._heard += 1
                self._hear(arrival)
            if self._stopped_at is not None:
                self._look(self._stage.clock.monotonic() - self._stopped_at)
            return done()

        self._stage.until(look, limit, problem)

    def _hear(self, arrival: Arrival) -> None:
        """What the server's events say."""
        event, payload = arrival.event, arrival.event.payload
        at = arrival.at - (self._stopped_at or arrival.at)
        whose = next((name for name, one in self._delegations.items() if payload.get("delegation_id") == str(one)), "")
        match event.type, whose:
            case "DELEGATION_CREATED", _ if payload["root_id"] == str(self.task_id):
                self._delegations[payload["target_name"]] = UUID(payload["delegation_id"])
            case "DELEGATION_COMPLETED" | "DELEGATION_FAILED", str(name) if name == OTHER:
                self.times["other"] = at
                self._story.other_done(at or None, OTHER, payload["state"])
            case "DELEGATION_COMPLETED" | "DELEGATION_FAILED", str(name) if name == VICTIM:
                self.times["ended"] = at
                self.attempts = self._client.tasks.get(self._delegations[VICTIM]).attempt
                self._story.ended(at, VICTIM, payload["state"])
            case "DELEGATION_CONSUMED", str(name) if name == VICTIM and self.answer:
                self.times["used"] = at
                self._story.used(at, LEAD, self.answer)
            case "NOTIFICATION", _ if event.workspace_id == self.lead.id and payload["type"] == "waiting":
                self.asker_said, self.times["told"] = str(payload["message"]), at
                self.asker_told = max(0.0, (event.at - self._known_at).total_seconds())
                self._story.told(at, LEAD, self.asker_told, self.asker_said)
            case "NOTIFICATION", _ if event.workspace_id == self.lead.id and not payload["delegation_id"]:
                self.answer = str(payload["message"])
            case "WORKSPACE_DEGRADED", _ if event.workspace_id == self.victim.id:
                self._known_at = event.at
                self.times["degraded"], self.reason = at, event_reason(event)
                self._story.degraded(at, VICTIM, self.reason)
            case "WORKSPACE_ONLINE", _ if event.workspace_id == self.victim.id:
                self.generation = self._client.workspaces.get(self.victim.id).generation
                self.times["online"] = at
                in_place = self.generation == self.victim.generation
                self._story.recovered(at, VICTIM, self.generation, in_place=in_place)
            case _:
                pass

    def _look(self, now: float) -> None:
        """What no event says: beats that change nothing, a second attempt."""
        if "online" not in self.times:
            view = self._client.workspaces.get(self.victim.id)
            if "degraded" not in self.times and view.status is Status.ONLINE and view.last_beat_at != self._last_beat:
                self._last_beat = view.last_beat_at
                self.beats += 1
                self._story.beat(now, self.beats, view.status)
            if "restarted" not in self.times and view.generation > self.victim.generation:
                self.times["restarted"] = now
                self._story.restarted(now, view.generation)
        if "online" in self.times and not self.times.keys() & {"again", "ended"}:
            work = self._client.tasks.get(self._delegations[VICTIM])
            if work.attempt > 1 and work.state is State.WORKING:
                self.times["again"] = now
                self._story.taken_again(now, VICTIM, work.attempt)
