"""What the demo tells while it happens, and the closing table of measured times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from truebeat.cli import looks
from truebeat.cli.output import marked
from truebeat.cli.stage import BEAT_INTERVAL
from truebeat.domain.health import Status

if TYPE_CHECKING:
    from rich.console import Console


class Times(msgspec.Struct, kw_only=True):
    """What the demo measured. Seconds; those of the lie count from the moment the runtime was stopped.

    restarted: when a new generation was started, 0 if the worker repaired it in place.
    sender_told, message_answered: of a message sent during a restart, from then.

    beats_unmoved: beats that arrived after the stop while the status still said online: a heartbeat that only proves a
    living process would have gone on like that for ever.
    """

    workspace: str
    agents: int
    server_up: float
    fleet_online: float
    beats_unmoved: int
    degraded_seen: float
    reason: str
    sender_told: float
    restarted: float
    online_again: float
    message_answered: float
    generation_before: int
    generation_after: int
    total: float


class Story:
    """Silent when `out` is None (--json)."""

    def __init__(self, out: Console | None) -> None:
        self._out = out

    def say(self, text: str) -> None:
        if self._out is not None:
            self._out.print(text)

    def step(self, seconds: float | None, text: str) -> None:
        """`seconds` since the runtime was stopped, or None before and after the lie."""
        when = "        " if seconds is None else f"{seconds:+6.2f} s"
        self.say(f"[dim]{when}[/]  {text}")

    def intro(self, agents: int) -> None:
        self.say("[bold]truebeat demo[/]: a heartbeat that can't lie\n")
        self.step(None, f"starting a server with its own PostgreSQL, and {agents} agents; no key, no network")

    def online(self, names: tuple[str, ...], server_up: float, fleet_online: float) -> None:
        team = ", ".join(marked(name) for name in names)
        self.step(None, f"server up after {server_up:.1f} s")
        self.step(None, f"{looks.status_markup(Status.ONLINE)}: {team}, after {fleet_online:.1f} s more\n")

    def stopped(self, name: str, pid: int, worker: int) -> None:
        who = f"[bold]{marked(name)}[/]"
        self.step(0.0, f"{who}'s runtime (pid {pid}) is stopped with SIGSTOP: it lives, and answers nothing any more")
        self.step(
            None, f"its worker (pid {worker}) and its supervisor go on, with a beat every {BEAT_INTERVAL:g} s here"
        )

    def beat(self, seconds: float, number: int, status: Status) -> None:
        self.step(seconds, f"beat {number} arrives; the process is alive; status: {looks.status_markup(status)}")

    def degraded(self, seconds: float, name: str, reason: str) -> None:
        status = looks.status_markup(Status.DEGRADED)
        self.step(seconds, f"{status}: [bold]{marked(name)}[/] admits it: {marked(reason)}")

    def ordered(self, seconds: float, name: str) -> None:
        self.step(
            seconds, f"an operator restarts [bold]{marked(name)}[/], and in that moment somebody asks it something"
        )

    def told(self, seconds: float, waited: float, reason: str) -> None:
        self.step(seconds, f"the sender knows after {waited * 1000:.0f} ms: {marked(reason)}")

    def answered(self, seconds: float, answer: str) -> None:
        self.step(seconds, f"the message was kept, and the new worker answers it: {marked(answer, 80)}\n")

    def restarted(self, seconds: float, generation: int) -> None:
        self.step(seconds, f"the dead runtime and its worker are gone; generation {generation} is starting")

    def recovered(self, seconds: float, name: str, generation: int, *, in_place: bool) -> None:
        status = looks.status_markup(Status.ONLINE)
        how = "its worker gave it a new runtime in place, and" if in_place else f"generation {generation}"
        self.step(seconds, f"{status}: [bold]{marked(name)}[/]: {how} a canary passed")

    def ending(self, times: Times) -> None:
        if self._out is None:
            return
        from rich.table import Table

        rows = Table(title="Measured", title_justify="left", title_style="bold", box=None, show_header=False)
        rows.add_column(no_wrap=True)
        rows.add_column(justify="right", style="bold", no_wrap=True)
        for label, seconds in (
            ("server and database up", times.server_up),
            (f"{times.agents} agents online, from then", times.fleet_online),
            ("runtime stopped -> degraded seen by a subscriber", times.degraded_seen),
            ("runtime stopped -> online again", times.online_again),
            ("message during a restart -> its sender knows why it waits", times.sender_told),
            ("message during a restart -> answered", times.message_answered),
            ("the whole demo so far", times.total),
        ):
            rows.add_row(label, f"{seconds:.2f} s")
        if times.restarted:
            rows.add_row("runtime stopped -> new generation started", f"{times.restarted:.2f} s")
        self._out.print(rows)
        self._out.print(
            f"\nA heartbeat that only proves a living process would have said [green]online[/] all the time: "
            f"{times.beats_unmoved} beats arrived\nafter the runtime was dead and before it was known, "
            f"and nothing in them would ever have changed."
        )
