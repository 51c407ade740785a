"""`truebeat demo`: one agent's runtime wedges for real, and it shows."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Annotated, Final, Self

from cyclopts import Parameter

from truebeat.cli.exits import Exit
from truebeat.cli.output import complain, console, marked, print_json

if TYPE_CHECKING:
    from uuid import UUID

    import psutil

    from truebeat.cli.stage import Stage
    from truebeat.cli.story import Story, Times
    from truebeat.client.http import Client
    from truebeat.protocol.events import Event
    from truebeat.protocol.resources import WorkspaceView

#: seconds each part of the story may take before the demo says that it failed
ONLINE_LIMIT: Final = 30.0
NOTICE_LIMIT: Final = 15.0
RECOVERY_LIMIT: Final = 30.0


def demo(
    *,
    keep: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Watch a lie being caught, with measured times. Needs no key and no network and leaves nothing behind.

    Parameters
    ----------
    keep
        Leave it running at the end, until Ctrl-C, to look around.
    json
        The measured times as JSON.
    """
    from truebeat.cli.stage import Interrupted, Stage
    from truebeat.cli.story import Story

    stage = Stage()
    story = Story(None if json else console())
    code = Exit.OK
    try:
        stage.open()
        times = _tell(stage, story)
        if json:
            print_json(times)
        if keep:
            _keep(stage, story)
    except Interrupted:
        code = Exit.INTERRUPTED
        story.say("\ninterrupted; cleaning up")
    finally:
        swept = stage.close()
    if swept:
        complain(f"had to kill what did not end by itself: {', '.join(swept)}")
    story.say("[dim]Everything is stopped and the scratch directory is gone.[/]")
    return code


def _tell(stage: Stage, story: Story) -> Times:
    from truebeat.cli.stage import AGENTS
    from truebeat.cli.story import Times
    from truebeat.client.credentials import FixedToken
    from truebeat.client.http import Client

    begin = stage.clock.monotonic()
    story.intro(len(AGENTS))
    left = stage.start()
    server_up = stage.clock.monotonic() - begin
    with Client(left.url, FixedToken(left.token)) as client:
        fleet_online = stage.until(lambda: _all_online(client, AGENTS), ONLINE_LIMIT, "the agents were not online")
        story.online(AGENTS, server_up, fleet_online)
        victim = client.workspaces.find(AGENTS[1])
        with _Subscriber(stage, client) as subscriber:
            lie = _Lie(stage, story, client, subscriber, victim)
            lie.wedge()
            degraded_seen, reason = lie.admitted()
            restarted, online_again, after = lie.recovered()
            told, answered = lie.asked_meanwhile()
    times = Times(
        workspace=victim.name,
        agents=len(AGENTS),
        server_up=server_up,
        fleet_online=fleet_online,
        beats_unmoved=lie.beats,
        degraded_seen=degraded_seen,
        reason=reason,
        sender_told=told,
        restarted=restarted,
        online_again=online_again,
        message_answered=answered,
        generation_before=victim.generation,
        generation_after=after,
        total=stage.clock.monotonic() - begin,
    )
    story.ending(times)
    return times


def _all_online(client: Client, names: tuple[str, ...]) -> bool:
    """Online, and each with a runtime that can be stopped."""
    from truebeat.cli.stage import runtime_under
    from truebeat.domain.health import Status

    views = client.workspaces.snapshot().workspaces
    return len(views) == len(names) and all(
        view.status is Status.ONLINE
        and view.runtime_state == ""
        and view.worker_pid is not None
        and runtime_under(view.worker_pid) is not None
        for view in views
    )


class _Subscriber:
    """A subscriber like any other, on a thread of its own: notes when each event arrived."""

    def __init__(self, stage: Stage, client: Client) -> None:
        self._stage = stage
        self._stream = client.events.stream(client.events.page(limit=1).seq)
        self._thread = threading.Thread(target=self._listen, name="demo-subscriber", daemon=True)
        self.arrived: list[tuple[float, Event]] = []

    def __enter__(self) -> Self:
        self._stream.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._thread.join(5)

    def _listen(self) -> None:
        while (event := self._stream.next(3600)) is not None:
            self.arrived.append((self._stage.clock.monotonic(), event))

    def find(self, kind: str, workspace_id: UUID, after: float = 0.0) -> tuple[float, Event] | None:
        """The first such event that arrived after `after`."""
        for at, event in self.arrived:
            if event.type == kind and event.workspace_id == workspace_id and at > after:
                return at, event
        return None


class _Lie:
    """The middle of the story: stop the runtime, watch the beats go on, see it admitted, see it online again."""

    def __init__(
        self, stage: Stage, story: Story, client: Client, subscriber: _Subscriber, victim: WorkspaceView
    ) -> None:
        self._stage = stage
        self._story = story
        self._client = client
        self._subscriber = subscriber
        self._victim = victim
        self._runtime: psutil.Process | None = None
        self._stopped_at = 0.0
        self._last_beat = victim.last_beat_at
        #: beats that arrived after the stop while the status was still online
        self.beats = 0

    def wedge(self) -> None:
        from truebeat import errors
        from truebeat.cli.stage import runtime_under

        worker = self._victim.worker_pid or 0
        self._runtime = runtime_under(worker)
        if self._runtime is None:
            raise errors.Unavailable(f"the runtime under worker {worker} went away by itself")
        self._last_beat = self._client.workspaces.get(self._victim.id).last_beat_at
        self._stopped_at = self._stage.clock.monotonic()
        os.kill(self._runtime.pid, signal.SIGSTOP)
        self._story.stopped(self._victim.name, self._runtime.pid, worker)

    def admitted(self) -> tuple[float, str]:
        """Seconds from the stop to the event, and the reason it carries."""
        from truebeat.cli.events import event_reason

        self._stage.until(self._degraded, NOTICE_LIMIT, "the wedge was not noticed")
        found = self._subscriber.find("WORKSPACE_DEGRADED", self._victim.id)
        assert found is not None  # noqa: S101 - `_degraded` said so
        at, event = found
        reason = event_reason(event)
        self._story.degraded(at - self._stopped_at, self._victim.name, reason)
        return at - self._stopped_at, reason

    def _degraded(self) -> bool:
        from truebeat.domain.health import Status

        view = self._client.workspaces.get(self._victim.id)
        if self._subscriber.find("WORKSPACE_DEGRADED", self._victim.id) is not None:
            return True
        alive = self._runtime is not None and self._runtime.is_running()
        if alive and view.status is Status.ONLINE and view.last_beat_at != self._last_beat:
            self._last_beat = view.last_beat_at
            self.beats += 1
            self._story.beat(self._stage.clock.monotonic() - self._stopped_at, self.beats, view.status)
        return False

    def recovered(self) -> tuple[float, float, int]:
        """Seconds from the stop to the online event and to the new generation's start (0 if its worker repaired it in
        place), and the generation that works.
        """
        kind, restarted = "WORKSPACE_ONLINE", 0.0

        def online() -> bool:
            nonlocal restarted
            if not restarted and self._generation() > self._victim.generation:
                restarted = self._stage.clock.monotonic() - self._stopped_at
                self._story.restarted(restarted, self._generation())
            return self._subscriber.find(kind, self._victim.id, self._stopped_at) is not None

        self._stage.until(online, RECOVERY_LIMIT, "it did not come back")
        found = self._subscriber.find(kind, self._victim.id, self._stopped_at)
        assert found is not None  # noqa: S101 - the wait above said so
        online_again, after = found[0] - self._stopped_at, self._generation()
        if not restarted and after > self._victim.generation:
            restarted = online_again
        self._story.recovered(online_again, self._victim.name, after, in_place=not restarted)
        return restarted, online_again, after

    def asked_meanwhile(self) -> tuple[float, float]:
        """A message while it can't work: seconds until its sender knows why, and until the answer is there."""
        from truebeat.protocol.tasks import NewTask

        clock = self._stage.clock
        self._client.workspaces.restart(self._victim.id)
        self._story.ordered(clock.monotonic() - self._stopped_at, self._victim.name)
        sent = clock.monotonic()
        task = self._client.tasks.send(self._victim.id, NewTask(text="are you there?"))
        told = clock.monotonic() - sent
        facts = task.availability
        reason = "it was taken at once" if facts is None or facts.able else facts.reason
        self._story.told(clock.monotonic() - self._stopped_at, told, reason)
        self._stage.until(lambda: self._client.tasks.get(task.id).final, RECOVERY_LIMIT, "the message was not answered")
        answered = clock.monotonic()
        self._story.answered(answered - self._stopped_at, self._client.tasks.get(task.id).answer)
        return told, answered - sent

    def _generation(self) -> int:
        return self._client.workspaces.get(self._victim.id).generation


def _keep(stage: Stage, story: Story) -> None:
    story.say("\nIt keeps running. In another terminal:")
    story.say(f"  export TRUEBEAT_DATA_DIR={marked(str(stage.directory))}")
    story.say("  truebeat ps    truebeat watch    truebeat show grace    truebeat restart ada")
    story.say("Ctrl-C here ends it.")
    stage.until(lambda: False, float("inf"), "")
