"""What an executor is: the thing inside a worker that does the turns.

Subclass `Executor`, register the class under the entry point group "truebeat.executors", and it is found by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from truebeat.protocol.delivery import ResultEnvelope
    from truebeat.tools.place import Place


class ConfigurationError(Exception):
    """Restarting can't help until a person changes something. The message says what."""


class TurnError(Exception):
    """The turn failed."""


class AnsweredError(TurnError):
    """The runtime itself answered that the turn failed: it is alive, so whatever the text says is no wedge."""


class InterruptedTurnError(TurnError):
    """The runtime broke under the turn, which is no fault of the turn: it may be done again by another one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One piece of work: a message from a sender, as workspace/heard.py has it: nothing that another agent wrote sounds
    like the platform.

    parts: the message's parts in A2A's JSON shape; text: its text parts, joined. sender_kind: "person", "client" or
    "workspace"; it, sender_name and sender_id are what the server knows of whoever sent it. reply: this task had asked
    for input, and this is the answer. interrupted: an earlier attempt had begun and its worker died. attempt counts
    from 1.
    results: what came back of this workspace's delegations; data that others wrote, for a model only as
    `truebeat.domain.envelope.render` shows it.
    """

    text: str
    context_id: str = ""
    task_id: str = ""
    parts: tuple[Mapping[str, Any], ...] = ()
    sender_kind: str = "person"
    sender_name: str = ""
    sender_id: str = ""
    attempt: int = 1
    reply: bool = False
    interrupted: bool = False
    results: tuple[ResultEnvelope, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer, as it comes."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Something moved; not part of the answer."""

    note: str


@dataclass(frozen=True, slots=True)
class Result:
    """The turn is finished; `text` is the whole answer. Always the last output, and there is always one."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool runs; `bound`: the seconds it may stand still, where it has a limit of its own."""

    name: str
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """The tool ended, however."""

    name: str


@dataclass(frozen=True, slots=True)
class InPhase:
    """The turn entered a phase of domain/phases.py (waiting_model, compacting, awaiting_input, upstream_retry, ...)."""

    name: str
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A named product of the turn; `parts` in A2A's JSON shape."""

    name: str
    parts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class InputRequired:
    """The turn ends with a question; the answer comes as a turn of the same task and context with `reply` set.

    Instead of a Result, as the last output. auth: what is needed is an authorisation.
    """

    text: str
    auth: bool = False


Output = Text | Progress | ToolStarted | ToolFinished | InPhase | Artifact | InputRequired | Result


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a repair: what was done ("fresh client with resume"), whether it helped, and what it said."""

    name: str
    ok: bool
    detail: str = ""


class Options:
    """The executor's settings, text to text, read with types and clear errors."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def seconds(self, name: str, default: float) -> float:
        """A positive number."""
        given = self._values.get(name)
        if given is None:
            return default
        try:
            value = float(given)
        except ValueError:
            value = 0.0
        if not 0 < value < 1e9:
            raise ConfigurationError(f"option {name}={given!r} is not a number of seconds above 0")
        return value

    def integer(self, name: str, default: int) -> int:
        """A whole number of at least 0."""
        given = self._values.get(name)
        if given is None:
            return default
        if not given.isdecimal():
            raise ConfigurationError(f"option {name}={given!r} is not a whole number of at least 0")
        return int(given)

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        given = self._values.get(name, default)
        if given not in allowed:
            raise ConfigurationError(f"option {name}={given!r} is not one of {', '.join(allowed)}")
        return given


def _unheard(text: str) -> None:
    """A note before a worker listens."""


async def _no_steps() -> AsyncGenerator[Step, None]:
    none: tuple[Step, ...] = ()
    for step in none:
        yield step


class Executor(ABC):
    """`target` is what to run (a module:function, a command's words); its meaning is the executor's own.

    The worker calls `start` once, `run` for at most `capacity` turns at a time, `probe` at any time (from another task
    than the turn's), `recover` when probes failed or an error meant a wedge and no turn is on, `close` once.
    A turn is canceled by closing its generator (GeneratorExit, CancelledError at the await).
    Raise `ConfigurationError` from the constructor or `start` for what a restart can't help.
    """

    #: process id of the runtime, if it is a process of its own that must not end while this executor is open
    runtime_pid: int | None = None
    #: seconds a probe may take, unless the option probe_timeout says otherwise
    probe_timeout: float = 2.0
    #: seconds that `recover` may take in all
    recovery_timeout: float = 90.0
    #: turns that it can do at the same time
    capacity: int = 1
    #: which workspace of which server this is; the worker says so before `start`
    place: Place | None = None
    #: it tells of each tool (ToolStarted), so that a turn without any is known to have used none
    tells_tools: bool = False
    #: what a turn raises is said by the runtime's own library and never by whoever sent the turn: a text that means a
    #: wedge (domain/symptoms) is then hard evidence. Elsewhere anybody could have the agent say such a text
    wedge_texts: bool = False
    #: sets what people should know and what is no fault of the workspace; the worker puts its own function here
    note: Callable[[str], None] = staticmethod(_unheard)

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        self.target = target
        self.options = options

    @abstractmethod
    async def start(self) -> None:
        """Return once the runtime can take a turn."""

    @abstractmethod
    def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        """Do one turn. Ends with a `Result` or an `InputRequired`, or raises."""

    async def probe(self) -> None:
        """Raise if the runtime does not answer; cheap, and by the way that work goes. The caller bounds the wait."""
        return

    def suspicion(self) -> str:
        """Why the runtime should be probed now instead of after a silence; "" for no reason. Asked several times a
        second: a glance, not a probe. (That the process of `runtime_pid` is stopped or gone is seen without it).
        """
        return ""

    def abandon(self) -> None:
        """Probes failed and `recover` will be called: the turns that are on are being ended, and their ends need not
        wait for an answer of the runtime.
        """
        return

    def recover(self, reason: str) -> AsyncGenerator[Step, None]:
        """Repair the runtime in place: yield each step tried, until one helped (`ok`). Nothing yielded: it can't.

        Whoever wins is probed again before it is believed. Bound the steps: the worker gives up after
        `recovery_timeout` seconds.
        """
        return _no_steps()

    def exit_text(self) -> str:
        """How the runtime of `runtime_pid` ended, if this executor knows: "exited with status 3"; else ""."""
        return ""

    async def close(self) -> None:
        """Stop the runtime with all its processes."""
        return
