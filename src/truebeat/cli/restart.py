"""`truebeat restart`: a new generation for a workspace, followed to its verified end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from truebeat.cli import looks
from truebeat.cli.connection import connect
from truebeat.cli.exits import Exit
from truebeat.cli.output import complain, console, marked, print_json
from truebeat.clock import SystemClock
from truebeat.domain.health import Status, Symptom

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.client.http import Client
    from truebeat.protocol.resources import WorkspaceView

#: seconds a person is shown the way to the verified end
PATIENCE: Final = 120.0
#: seconds between looks while nothing is told
GLANCE: Final = 0.25


def restart(
    workspace: str,
    /,
    *,
    wait: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Order a restart of the workspace's worker and follow it until the new generation's canary passed.

    The exit code is 1 if that did not happen in time. While a restart is pending a second one is refused.

    Parameters
    ----------
    workspace
        Its name or its id.
    wait
        Seconds to follow it, 120 by default; 0 only orders it. With --json the default is 0.
    json
        The order as JSON, or with --wait the workspace at the end.
    """
    patience = wait if wait is not None else (0.0 if json else PATIENCE)
    out = console()
    with connect() as client:
        before = client.workspaces.find(workspace)
        since = client.events.page(limit=1).seq
        order = client.workspaces.restart(before.id)
        if patience <= 0:
            if json:
                print_json(order)
            else:
                out.print(f"restart of [bold]{marked(before.name)}[/] ordered. Follow it: truebeat watch")
            return Exit.OK
        clock = SystemClock()
        started = clock.monotonic()

        def tell(text: str) -> None:
            if not json:
                out.print(f"[dim]{clock.monotonic() - started:>6.1f} s[/]  {text}")

        tell(f"restart of [bold]{marked(before.name)}[/] ordered: generation {before.generation} is to be replaced")
        after, trouble = _follow(client, before, since, patience, tell)
    if json:
        print_json(after)
    if trouble:
        complain(f"{before.name} was not verified: {trouble}; see: truebeat show {before.name}")
        return Exit.FAILURE
    return Exit.OK


def _follow(
    client: Client, before: WorkspaceView, since: int, patience: float, tell: Callable[[str], None]
) -> tuple[WorkspaceView, str]:
    """The last view, and why it is not verified; "" if it is."""
    clock = SystemClock()
    deadline = clock.monotonic() + patience
    steps = _Steps(before, tell)
    with client.events.stream(since) as stream:
        while True:
            now = client.workspaces.get(before.id)
            steps.look(now)
            if now.status is Status.REMOVED:
                return now, "it was removed"
            if steps.started and now.status is Status.ONLINE:
                return now, ""
            if any(condition.symptom is Symptom.QUARANTINED for condition in now.conditions):
                return now, looks.reason(now)
            if (left := deadline - clock.monotonic()) <= 0:
                why = looks.reason(now)
                return now, f"it is {now.status.value} {patience:.0f} s after the order" + (f" ({why})" if why else "")
            stream.next(min(left, GLANCE))


class _Steps:
    """Tells each step once, in its order, whichever of them a look happened to catch."""

    def __init__(self, before: WorkspaceView, tell: Callable[[str], None]) -> None:
        self._before = before
        self._tell = tell
        self._stopped = False
        self._said = looks.reason(before)
        #: a newer generation has beaten
        self.started = False

    def look(self, now: WorkspaceView) -> None:
        newer = now.generation > self._before.generation
        gone = now.worker_pid != self._before.worker_pid or now.phase == "restarting"
        if not self._stopped and (newer or gone):
            self._stopped = True
            pid = self._before.worker_pid
            self._tell("the old worker has ended" if pid is None else f"the old worker (process {pid}) has ended")
        if newer and not self.started:
            self.started = True
            self._tell(f"generation {now.generation} is starting")
        if self.started and now.status is Status.ONLINE:
            self._tell(f"its canary passed: {looks.status_markup(now.status)}, generation {now.generation}")
            return
        said = looks.reason(now)
        if said != self._said and now.status in {Status.DEGRADED, Status.OFFLINE, Status.FAILED}:
            self._said = said
            self._tell(f"{looks.status_markup(now.status)}: {marked(said, 300)}")
