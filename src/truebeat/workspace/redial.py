"""When to try for a link again: pure. The server being away is normal; a refusal says who must act."""

from __future__ import annotations

from typing import Final, NamedTuple

from truebeat.workspace.events import Refusal

FIRST: Final = 0.5
LONGEST: Final = 30.0
#: seconds between tries when a person has to do something first
SLOW: Final = 10.0

_ADVICE: Final = {
    Refusal.NOT_FOUND: "the server does not know this workspace; create it or check the URL and the id",
    Refusal.FORBIDDEN: "this token may not speak for this workspace; check which token it was given",
    Refusal.INVALID: "the server does not accept what this version sends; check the versions",
}


class Retry(NamedTuple):
    """Try again after `delay` seconds; `text` says why at `level`."""

    delay: float
    level: str
    text: str


class Redial:
    """Backs off from FIRST to LONGEST, each with half jitter, until `proved`.

    Never longer than a third of the lease: a server that comes back gives everybody one lease from then, and who dials
    later than that is told silent although only the server was away.
    """

    def __init__(self) -> None:
        self._longest = LONGEST
        self._tries = 0
        self._token_retried = False

    def within(self, lease: float) -> None:
        """The lease that the server gives, in seconds."""
        self._longest = min(LONGEST, max(lease, 1.0) / 3)

    def proved(self) -> None:
        """The server acknowledged: the link works. A mere welcome proves nothing."""
        self._tries = 0
        self._token_retried = False

    def after(self, refusal: Refusal, chance: float) -> Retry:
        """A try or a link ended; `chance` in 0..1 is the jitter's dice."""
        if refusal is Refusal.UNAUTHENTICATED:
            if self._token_retried:
                return Retry(self._backoff(chance), "warning", "the token is still refused")
            self._token_retried = True
            return Retry(0.0, "warning", "the token was refused; reading it again")
        if refusal in _ADVICE:
            return Retry(max(self._backoff(chance), SLOW * (0.5 + 0.5 * chance)), "error", _ADVICE[refusal])
        return Retry(self._backoff(chance), "warning", "no link")

    def _backoff(self, chance: float) -> float:
        delay = min(FIRST * 2.0 ** min(self._tries, 10), self._longest)
        self._tries += 1
        return delay * (0.5 + 0.5 * chance)
