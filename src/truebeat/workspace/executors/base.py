"""What an executor is: the thing inside a worker that does the turns.

Subclass `Executor`, register the class under the entry point group "truebeat.executors", and it is found by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence


class ConfigurationError(Exception):
    """Restarting can't help until a person changes something. The message says what."""


class TurnError(Exception):
    """The turn failed."""


class AnsweredError(TurnError):
    """The runtime itself answered that the turn failed: it is alive, so whatever the text says is no wedge."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One piece of work: a text from a sender."""

    text: str
    context_id: str = ""
    task_id: str = ""


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


Output = Text | Progress | Result


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


class Executor(ABC):
    """`target` is what to run (a module:function, a command's words); its meaning is the executor's own.

    The worker calls `start` once, `run` for one turn at a time, `probe` only between turns, `close` once.
    Raise `ConfigurationError` from the constructor or `start` for what a restart can't help.
    """

    #: process id of the runtime, if it is a process of its own that must not end while this executor is open
    runtime_pid: int | None = None
    #: seconds a probe may take, unless the option probe_timeout says otherwise
    probe_timeout: float = 2.0

    def __init__(self, target: str | Sequence[str], options: Options) -> None:
        self.target = target
        self.options = options

    @abstractmethod
    async def start(self) -> None:
        """Return once the runtime can take a turn."""

    @abstractmethod
    def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        """Do one turn. Ends with a `Result`, or raises."""

    async def probe(self) -> None:
        """Raise if the idle runtime does not answer; must be cheap. The caller bounds the wait."""
        return

    def exit_text(self) -> str:
        """How the runtime of `runtime_pid` ended, if this executor knows: "exited with status 3"; else ""."""
        return ""

    async def close(self) -> None:
        """Stop the runtime with all its processes."""
        return
