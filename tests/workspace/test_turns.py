"""How turns end, and what that says about the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from truebeat.clock import ManualClock
from truebeat.domain.health import ERRORS_OPEN_AT
from truebeat.protocol import pipe
from truebeat.workspace.executors.base import (
    AnsweredError,
    Executor,
    InputRequired,
    Options,
    Output,
    Progress,
    Result,
    Text,
    Turn,
    TurnError,
)
from truebeat.workspace.turns import WINDOW_SECONDS, WINDOW_TURNS, Turns
from truebeat.workspace.wedge import WedgeFlag

GOOD = (Text("hello"), Result("hello"))


class Scripted(Executor):
    """Plays one script a turn; an exception in it is raised. Its errors come from its own library."""

    wedge_texts = True

    def __init__(self) -> None:
        super().__init__("", Options({}))
        self.script: tuple[Output | Exception, ...] = GOOD

    async def start(self) -> None:
        return

    async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
        for step in self.script:
            await asyncio.sleep(0)
            if isinstance(step, Exception):
                raise step
            yield step


class Bench:
    def __init__(self) -> None:
        self.executor = Scripted()
        self.sent: list[pipe.FromWorker] = []
        self.clock = ManualClock()
        self.flag = WedgeFlag()
        self.turns = Turns(self.executor, self.sent.append, self.clock, self.flag)

    async def take(self, *script: Output | Exception) -> Result | InputRequired:
        self.executor.script = script
        return await self.turns.take(Turn("hi", task_id="T1"))

    async def fail(self, *script: Output | Exception) -> None:
        with pytest.raises(Exception):  # noqa: B017
            await self.take(*script)

    def outcomes(self) -> list[tuple[float, str]]:
        return [(frame.error_rate, frame.sample_error) for frame in self.sent if isinstance(frame, pipe.Outcomes)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_turn_tells_its_phases_and_gives_the_result(bench: Bench) -> None:
    assert await bench.take(*GOOD) == Result("hello")
    assert [frame for frame in bench.sent if isinstance(frame, pipe.Phase)] == [
        pipe.Phase(name="working", current_task="T1"),
        pipe.Phase(name="idle"),
    ]


async def test_the_first_outcome_is_told_even_if_it_is_good(bench: Bench) -> None:
    bench.turns.refresh()
    assert bench.outcomes() == []
    await bench.take(*GOOD)
    await bench.take(*GOOD)
    assert bench.outcomes() == [(0.0, "")]


@pytest.mark.parametrize("text", ["Control request timeout: initialize", "x: CONTROL REQUEST TIMEOUT: interrupt"])
async def test_a_control_request_timeout_marks_the_wedge(bench: Bench, text: str) -> None:
    await bench.fail(Exception(text))
    assert bench.flag.reason == text
    await bench.fail(Exception("Control request timeout: later"))
    assert bench.flag.reason == text


@pytest.mark.parametrize("text", ["connection reset", "request timeout", "timeout", "", "control request refused"])
async def test_other_errors_count_and_mark_nothing(bench: Bench, text: str) -> None:
    await bench.fail(Exception(text))
    assert bench.flag.reason is None
    assert bench.outcomes() == [(0.25, text or "Exception")]


@pytest.mark.parametrize(
    "text", ["rate_limit_error", "Rate limit reached", "HTTP 429", "429 Too Many Requests", "status: 529"]
)
async def test_rate_limits_say_nothing_about_the_agent(bench: Bench, text: str) -> None:
    await bench.fail(Exception(text))
    assert bench.flag.reason is None
    assert bench.outcomes() == []


async def test_an_answered_failure_is_no_wedge_whatever_it_quotes(bench: Bench) -> None:
    await bench.fail(AnsweredError("a tool said: control request timeout"))
    assert bench.flag.reason is None
    assert bench.outcomes() == [(0.25, "a tool said: control request timeout")]


async def test_a_text_that_anybody_could_have_sent_is_no_wedge(bench: Bench) -> None:
    bench.executor.wedge_texts = False
    heard: list[str] = []
    bench.turns.on_wedge = heard.append
    await bench.fail(ValueError("unknown command: Control request timeout: hi"))
    assert (heard, bench.flag.reason) == ([], None)
    assert bench.outcomes() == [(0.25, "unknown command: Control request timeout: hi")]


async def test_a_stream_without_a_result_failed(bench: Bench) -> None:
    with pytest.raises(TurnError, match="ended without a result"):
        await bench.take(Text("hello"), Progress("..."))
    await bench.fail()
    assert bench.outcomes()[0] == (0.25, "the turn ended without a result")


@pytest.mark.parametrize("script", [(Result(""),), (Text(" \n"), Progress("x"), Result("  "))])
async def test_an_empty_success_clears_no_wedge(bench: Bench, script: tuple[Output, ...]) -> None:
    bench.flag.mark("stuck")
    await bench.take(*script)
    assert bench.flag.reason == "stuck"


@pytest.mark.parametrize("script", [(Result("a"),), (Text("a"), Result(""))])
async def test_content_clears_the_wedge(bench: Bench, script: tuple[Output, ...]) -> None:
    bench.flag.mark("stuck")
    await bench.take(*script)
    assert bench.flag.reason is None


async def test_content_without_an_end_clears_no_wedge(bench: Bench) -> None:
    bench.flag.mark("stuck")
    await bench.fail(Text("hello"))
    await bench.fail(Text("hello"), Exception("broke"))
    assert bench.flag.reason == "stuck"


async def test_the_rate_is_over_the_last_turns_and_told_on_change_only(bench: Bench) -> None:
    await bench.fail(Exception("first"))
    await bench.take(*GOOD)
    await bench.fail(Exception("second"))
    assert bench.outcomes() == [(0.25, "first"), (0.5, "second")]
    for _ in range(WINDOW_TURNS):
        await bench.take(*GOOD)
    assert bench.outcomes()[-1] == (0.0, "")
    told = len(bench.outcomes())
    await bench.take(*GOOD)
    bench.turns.refresh()
    assert len(bench.outcomes()) == told


async def test_one_failed_turn_is_no_trend_and_two_of_the_first_four_are(bench: Bench) -> None:
    await bench.fail(Exception("blip"))
    assert bench.outcomes()[-1][0] < ERRORS_OPEN_AT
    await bench.fail(Exception("again"))
    assert bench.outcomes()[-1][0] >= ERRORS_OPEN_AT


async def test_old_failures_are_forgotten_without_a_turn(bench: Bench) -> None:
    await bench.fail(Exception("blip"))
    bench.clock.advance(WINDOW_SECONDS - 1)
    bench.turns.refresh()
    assert bench.outcomes() == [(0.25, "blip")]
    bench.clock.advance(2)
    bench.turns.refresh()
    assert bench.outcomes() == [(0.25, "blip"), (0.0, "")]


async def test_a_cancelled_turn_is_no_outcome(bench: Bench) -> None:
    class Endless(Scripted):
        async def run(self, turn: Turn) -> AsyncGenerator[Output, None]:
            yield Text("...")
            started.set()
            await asyncio.Event().wait()

    started = asyncio.Event()
    turns = Turns(Endless(), bench.sent.append, bench.clock, bench.flag)
    taking = asyncio.ensure_future(turns.take(Turn("hi")))
    await started.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert bench.outcomes() == []
    assert not turns.busy
    assert bench.sent[-1] == pipe.Phase(name="idle")


async def test_a_question_is_an_end_and_no_failure(bench: Bench) -> None:
    assert await bench.take(InputRequired("which?")) == InputRequired("which?")
    assert bench.outcomes() == [(0.0, "")]


async def test_whoever_hears_of_wedges_hears_only_of_those(bench: Bench) -> None:
    heard: list[str] = []
    bench.turns.on_wedge = heard.append
    await bench.fail(Exception("no such file"))
    await bench.fail(AnsweredError("Control request timeout: quoted"))
    await bench.fail(Exception("Control request timeout: interrupt"))
    assert heard == ["Control request timeout: interrupt"]
    assert bench.flag.reason is None
