"""Repairing a runtime in place, by what its executor offers, and believing it only after a probe.

A runtime that has to be repaired over and over is not repaired: after LIMIT times within WINDOW seconds it is left to
the supervisor, whose restarts are counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from truebeat.protocol import pipe
from truebeat.workspace.executors.base import Executor
from truebeat.workspace.turns import error_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from truebeat.workspace.executors.base import Step
    from truebeat.workspace.probing import Prober
    from truebeat.workspace.turns import Turns

LIMIT: Final = 5
WINDOW: Final = 600.0
#: probes of a repaired runtime: one may still be slow
_PROBES: Final = 2
#: seconds for turns to end that nobody waits for
_A_MOMENT: Final = 0.05

_log = logging.getLogger(__name__)


class Repair:
    """One at a time."""

    def __init__(
        self,
        executor: Executor,
        turns: Turns,
        prober: Prober,
        *,
        offered: bool,
    ) -> None:
        self._executor = executor
        self._turns = turns
        self._prober = prober
        #: whether there is anything to try
        self.offered = offered and type(executor).recover is not Executor.recover
        self._times: deque[float] = deque(maxlen=LIMIT)

    async def run(self, reason: str, interrupt: Callable[[str], Awaitable[bool]]) -> str | None:
        """`interrupt(reason)` ends the turns that are on, and says whether all did end.

        None: the runtime works again. Else what to add to the reason, for people ("" if there was no attempt).
        """
        clock, evidence = self._turns.evidence.clock, self._turns.evidence
        spent = len(self._times) == LIMIT and clock.monotonic() - self._times[0] < WINDOW
        if not self.offered or spent:
            # nobody waits for turns that can't end: they are told to be interrupted, and the process ends
            with suppress(TimeoutError):
                async with asyncio.timeout(_A_MOMENT):
                    await interrupt(reason)
            return f"; repaired {LIMIT} times within {WINDOW:g} s already" if spent else ""
        self._times.append(clock.monotonic())
        evidence.enter("recovering")
        try:
            try:
                self._executor.abandon()
            except Exception:
                _log.exception("the executor failed to abandon its turns")
            if not await interrupt(reason):
                return "; a turn could not be ended"
            return await self._steps(reason)
        finally:
            evidence.enter("idle")

    async def _steps(self, reason: str) -> str | None:
        last = "; the executor had no way to repair it"
        try:
            async with (
                asyncio.timeout(self._executor.recovery_timeout),
                aclosing(self._executor.recover(reason)) as steps,
            ):
                async for step in steps:
                    failure = await self._proof(step)
                    ok = failure is None
                    self._turns.send(pipe.Recovered(step=step.name, ok=ok, detail=failure or step.detail))
                    if ok:
                        return None
                    last = f"; not repaired by {step.name}: {failure}"
        except TimeoutError:
            return f"; the repair took longer than {self._executor.recovery_timeout:g} s"
        except Exception as error:
            _log.debug("a repair failed", exc_info=True)
            text = error_text(error)
            self._turns.send(pipe.Recovered(step="repair", ok=False, detail=text))
            return f"; the repair failed: {text}"
        return last

    async def _proof(self, step: Step) -> str | None:
        """None if the runtime works after this step, else why not."""
        if not step.ok:
            return step.detail or "it did not help"
        failure = ""
        for _ in range(_PROBES):
            answer = await self._prober.ask()
            if not answer.undecided and answer.failure is None:
                return None
            failure = answer.failure or f"no answer within {self._prober.timeout:g} s"
        return f"a probe after it failed: {failure}"
