"""/healthz: is this process alive; /readyz: can it do its work now, and if not, why not. Nothing is assumed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from truebeat.clock import Clock
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services

#: seconds a check may take, and for which its result is shared by all who ask
CHECK_WITHIN: Final = 2.0
SHARED_FOR: Final = 0.5


class Health(Struct, kw_only=True):
    """It answers: the loop turns."""

    status: str


class Readiness(Struct, kw_only=True):
    """`reasons` names each check that fails and why; empty when ready."""

    status: str
    reasons: dict[str, str]


class Probes:
    """`checks` return "" or the reason they fail; raising is failing."""

    def __init__(self, clock: Clock, checks: dict[str, Callable[[], Awaitable[str]]]) -> None:
        self._clock = clock
        self._checks = checks
        self._lock = asyncio.Lock()
        self._at = float("-inf")
        self._last = Readiness(status="unready", reasons={"start": "not checked yet"})

    def health(self) -> Health:
        return Health(status="ok")

    async def readiness(self) -> Readiness:
        """Runs every check; callers at the same moment share one run, so that asking can't load the database."""
        async with self._lock:
            if self._clock.monotonic() - self._at >= SHARED_FOR:
                reasons = {name: reason for name, run in self._checks.items() if (reason := await _run(run))}
                self._last = Readiness(status="unready" if reasons else "ready", reasons=reasons)
                self._at = self._clock.monotonic()
            return self._last


async def _run(check: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(CHECK_WITHIN):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_WITHIN:.0f} s"
    except Exception as error:
        return str(getattr(error, "message", "") or type(error).__name__)


async def healthz(services: Services, _call: Call) -> Health:
    return services.probes.health()


async def readyz(services: Services, _call: Call) -> Response:
    readiness = await services.probes.readiness()
    status = 503 if readiness.reasons else 200
    return Response(msgspec.json.encode(readiness), status, media_type="application/json")
