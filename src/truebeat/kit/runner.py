"""Playing many cases: side by side where they don't disturb each other, then those that disturb the whole machine."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from truebeat.kit.measure import play

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from truebeat.kit.case import Case
    from truebeat.kit.outcome import Outcome
    from truebeat.kit.stage import Stage

_numbers = itertools.count(1)


def run(stage: Stage, cases: Iterable[Case], *, jobs: int, number: int = 1) -> Iterator[Outcome]:
    """Each outcome as it comes. `number` is the round's."""
    together = [case for case in cases if not case.alone]
    alone = [case for case in cases if case.alone]
    # the long ones first, so that the end does not wait for one
    together.sort(key=lambda case: case.limit, reverse=True)
    with ThreadPoolExecutor(jobs, thread_name_prefix="case") as pool:
        waiting = [pool.submit(_play, stage, case, number) for case in together]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            stage.interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise
    for case in alone:
        if not stage.interrupted.is_set():
            yield _play(stage, case, number)


def _play(stage: Stage, case: Case, number: int) -> Outcome:
    outcome = play(stage, case, f"{case.name}-{next(_numbers)}")
    outcome.round = number
    return outcome
