"""What the demo tells while it happens, and the closing table of measured times."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

import msgspec

from truebeat.cli import looks
from truebeat.cli.output import marked
from truebeat.cli.stage import BEAT_INTERVAL
from truebeat.cli.trace import print_tree
from truebeat.domain.health import Status

if TYPE_CHECKING:
    from rich.console import Console

    from truebeat.protocol.delegations import TraceNode

#: columns of the times
_MARGIN: Final = 11
#: beats that are told one by one
_BEATS: Final = 3
#: how this program was called, for commands that one can copy
PROGRAM: Final = "uv run truebeat" if "UV_RUN_RECURSION_DEPTH" in os.environ else "truebeat"


class Times(msgspec.Struct, kw_only=True):
    """What the demo measured. Seconds; those of the wedge count from the moment the runtime was stopped.

    restarted: when a new generation was started, 0 if the worker repaired it in place. asker_told: from the moment that
    the platform knew until the asker, who was waiting, had told the user why. other_done: when the other one's part was
    there. delegation_ended, result_used: when the delegation was completed, and when the asker's turn that used it was.

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
    asker_told: float
    asker_said: str
    other_done: float
    restarted: float
    online_again: float
    attempts: int
    delegation_ended: float
    result_used: float
    answer: str
    generation_before: int
    generation_after: int
    total: float


class Story:
    """Silent when `out` is None (--json)."""

    def __init__(self, out: Console | None) -> None:
        self._out = out

    def say(self, text: str = "") -> None:
        if self._out is not None:
            self._out.print(text)

    def link(self, text: str, url: str) -> None:
        """On a line of its own, and never broken: it is to be copied."""
        if self._out is not None:
            self._out.print(text)
            self._out.print(f"  {marked(url, 4000)}", soft_wrap=True)

    def step(self, seconds: float | None, text: str) -> None:
        """`seconds` since the runtime was stopped, or None before and in between. In a terminal the text is wrapped
        beside the times.
        """
        if self._out is None:
            return
        from rich.text import Text

        when = "" if seconds is None else f"{seconds:+7.2f} s"
        body = Text.from_markup(text)
        room = max(20, self._out.width - _MARGIN)
        lines = body.wrap(self._out, room) if self._out.is_terminal else [body]
        for place, line in enumerate(lines):
            line.rstrip()
            margin = Text(("" if place else when).ljust(_MARGIN), style="dim")
            self._out.print(margin + line, soft_wrap=True)

    # --- before ---

    def intro(self, agents: int) -> None:
        self.say("[bold]truebeat demo[/]: a heartbeat that can't lie, and work that survives\n")
        self.step(None, f"starting a server with its own PostgreSQL, and {agents} agents; no key, no network")

    def server_up(self, seconds: float) -> None:
        self.step(None, f"server up after {seconds:.1f} s; the agents start")

    def page(self, url: str) -> None:
        self.link("\nThe page, to watch it there too (the link logs you in, once):", url)
        self.say()

    def online(self, names: tuple[str, ...], seconds: float) -> None:
        team = ", ".join(marked(name) for name in names)
        self.step(None, f"{looks.status_markup(Status.ONLINE)}: {team}, after {seconds:.1f} s more")
        self.say()

    def asked(self, name: str, text: str) -> None:
        self.step(None, f"you ask {_who(name)}: {marked(text)}")

    def delegated(self, source: str, targets: list[str]) -> None:
        team = " and ".join(map(_who, targets))
        self.step(None, f"{_who(source)} lets {team} count one half each, and waits for both")

    def too_late(self, name: str) -> None:
        self.step(None, f"{_who(name)} was done before it could be stopped; again, with more work")

    # --- the wedge ---

    def stopped(self, name: str, pid: int, worker: int) -> None:
        self.step(
            0.0, f"in the middle of it {_who(name)}'s runtime (pid {pid}) gets SIGSTOP: alive, but it answers nothing"
        )
        self.step(None, f"its worker (pid {worker}) and its supervisor go on, with a beat every {BEAT_INTERVAL:g} s")

    def beat(self, seconds: float, number: int, status: Status) -> None:
        """The first few, and then few: they all say the same."""
        if number > _BEATS and number % 10:
            return
        self.step(seconds, f"beat {number} arrives; the process is alive; status: {looks.status_markup(status)}")

    def other_done(self, seconds: float | None, name: str, state: str) -> None:
        self.step(seconds, f"{_who(name)}'s half is {marked(state)}: who hangs holds up nobody else")

    def degraded(self, seconds: float, name: str, reason: str) -> None:
        status = looks.status_markup(Status.DEGRADED)
        self.step(seconds, f"{status}: {_who(name)} admits it: {marked(reason)}")

    def told(self, seconds: float, name: str, waited: float, answer: str) -> None:
        self.step(
            seconds,
            f'{_who(name)}, who waits, has the facts and tells you, {waited * 1000:.0f} ms later: "{marked(answer)}"',
        )

    def restarted(self, seconds: float, generation: int) -> None:
        self.step(seconds, f"the stopped runtime and its worker are gone; generation {generation} starts")

    def recovered(self, seconds: float, name: str, generation: int, *, in_place: bool) -> None:
        status = looks.status_markup(Status.ONLINE)
        how = "its worker gave it a new runtime in place" if in_place else f"generation {generation} was started"
        self.step(seconds, f"{status}: {_who(name)}: {how}, and a canary passed")

    def taken_again(self, seconds: float, name: str, attempt: int) -> None:
        self.step(seconds, f"the delegation was kept: {_who(name)} is at it again, attempt {attempt}")

    def ended(self, seconds: float, name: str, state: str) -> None:
        self.step(seconds, f"{_who(name)}'s half is {marked(state)}; in the same transaction the asker is to be woken")

    def used(self, seconds: float, name: str, answer: str) -> None:
        self.step(seconds, f'{_who(name)} is woken with it and tells you: "{marked(answer)}"')
        self.say()

    # --- after ---

    def tree(self, root: TraceNode) -> None:
        if self._out is None:
            return
        self._out.print(f"[bold]Who asked whom[/]  [dim]{PROGRAM} trace {root.task_id}[/]", soft_wrap=True)
        print_tree(self._out, root)
        self._out.print()

    def ending(self, times: Times) -> None:
        if self._out is None:
            return
        from rich.table import Table

        rows = Table(title="Measured", title_justify="left", title_style="bold", box=None, show_header=False)
        rows.add_column()
        rows.add_column(justify="right", style="bold", no_wrap=True)
        for label, seconds in (
            ("server and database up", times.server_up),
            (f"{times.agents} agents online, from then", times.fleet_online),
            ("runtime stopped -> a subscriber sees degraded", times.degraded_seen),
            ("known -> the agent that waits has the facts, and told you", times.asker_told),
            ("runtime stopped -> online again, verified", times.online_again),
            ("runtime stopped -> delegation completed", times.delegation_ended),
            ("runtime stopped -> its result used", times.result_used),
            ("everything so far", times.total),
        ):
            rows.add_row(label, f"{seconds:.2f} s")
        if times.restarted:
            rows.add_row("runtime stopped -> new generation started", f"{times.restarted:.2f} s")
        self._out.print(rows)
        self.say(
            "\nA heartbeat that only proves a living process would have said [green]online[/] for ever, and the asker "
            f"would have waited for its timeout: {times.beats_unmoved} beats came after the runtime was stopped and "
            "before it was known."
        )

    def kept(self, directory: str, page: str, names: tuple[str, ...]) -> None:
        """How to look around."""
        self.link("\n[bold]It keeps running.[/] The page, open where this is told (a new link, good once):", page)
        self.say("In another terminal:")
        self.say(f"  export TRUEBEAT_DATA_DIR={marked(shlex.quote(directory), 4000)}")
        lead, victim, *_ = names
        for words in ("watch", f"show {victim}", "incidents", f'send {lead} "how many primes are there below 5,000?"'):
            self.say(f"  {PROGRAM} {words}")
        self.say("Ctrl-C here ends it.")

    def stopping(self) -> None:
        self.say("\n[dim]Stopping everything...[/]")

    def next(self) -> None:
        """What a newcomer does now."""
        self.say("\n[bold]Next[/]: the same, left running, with a link to its page")
        self.say(f"  {PROGRAM} demo --keep")
        self.say("or a server of your own, with its page; it says how to add an agent")
        self.say(f"  {PROGRAM} up")


def _who(name: str) -> str:
    return f"[bold]{marked(name)}[/]"
