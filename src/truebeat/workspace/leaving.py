"""How a supervisor leaves, pure: not before the server has what its worker finished, or FAREWELL is over.

What the server does not have it gives to the next generation, and the work is done twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from truebeat.workspace import events as ev
    from truebeat.workspace.desk import Desk
    from truebeat.workspace.outbox import Outbox

#: seconds that the server has for the last endings, counted from the worker's end
FAREWELL: Final = 5.0


class Leaving:
    """One supervisor's. First `decide`, then `gone` when the worker's tree is; `look` whenever something changed."""

    def __init__(self, desk: Desk, outbox: Outbox) -> None:
        self._desk = desk
        self._outbox = outbox
        #: with which code and why; None: it stays
        self.exit: ev.Exit | None = None
        self._patient = False
        self._alone = False

    @property
    def wants_link(self) -> bool:
        """Whether a link is still of use: nobody leaves, or somebody who may owe the server an ending."""
        return self.exit is None or self._patient

    def decide(self, exit_: ev.Exit, *, patient: bool) -> None:
        """patient: the workspace goes on elsewhere or later, so what was finished matters."""
        self.exit = exit_
        self._patient = patient

    def hurry(self) -> None:
        """Nothing is waited for any more."""
        self._patient = False

    def gone(self) -> None:
        """Nothing of the worker is left."""
        self._alone = True
        self._desk.due.setdefault("farewell", self._desk.now + FAREWELL)
        self.look()

    def look(self) -> None:
        """Exit, if nothing is to be waited for."""
        if self.exit is None or not self._alone:
            return
        if self._patient and self._outbox.owes:
            return
        self._desk.cancel("farewell")
        self._desk.out.append(self.exit)

    def over(self) -> None:
        """FAREWELL is over."""
        self._desk.log("warning", "leaving with results that the server does not have: they will be worked on again")
        self.hurry()
        self.look()
