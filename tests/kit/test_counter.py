"""The runtime that works: it answers while it works, ends what is canceled, and counts right."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truebeat.kit.counter import LIMIT, SLICE, Counter, is_prime
from truebeat.workspace import executors
from truebeat.workspace.executors.base import Progress, Result, Turn


class Heard:
    """A counter and what it said."""

    def __init__(self) -> None:
        self.said: list[dict] = []
        self.counter = Counter("bo", self.said.append)

    def turn(self, text: str, name: str = "t1") -> None:
        self.counter.hear(json.dumps({"type": "turn", "id": name, "text": text}))

    def finish(self) -> str:
        while self.counter.busy:
            self.counter.work()
        assert self.said[-1]["type"] == "result"
        return self.said[-1]["text"]


@given(st.integers(-5, 20_000))
def test_a_prime_is_what_nothing_divides(number: int) -> None:
    assert is_prime(number) == (number > 1 and all(number % other for other in range(2, number)))


@pytest.mark.parametrize(("low", "high", "count"), [(0, 100, 25), (50, 10_000, 1229 - 15), (SLICE, SLICE + 1, 0)])
def test_it_counts(low: int, high: int, count: int) -> None:
    heard = Heard()
    heard.turn(f"please count the primes from {low} to {high}")
    assert heard.finish() == f"{count} primes from {low} to {high}"


def test_it_answers_between_two_slices_and_tells_how_far_it_is() -> None:
    heard = Heard()
    heard.turn("count the primes from 0 to 20000")
    heard.counter.work()
    assert heard.counter.busy
    heard.counter.hear('{"type":"ping","id":7}')
    assert {"type": "pong", "id": 7} in heard.said
    heard.finish()
    notes = [said["note"] for said in heard.said if said["type"] == "progress"]
    assert len(notes) > 5
    assert len(set(notes)) == len(notes)


def test_a_canceled_turn_ends_and_the_other_goes_on() -> None:
    heard = Heard()
    heard.turn("count the primes from 0 to 5000", "a")
    heard.turn("count the primes from 0 to 5000", "b")
    heard.counter.hear('{"type":"cancel","id":"a"}')
    heard.counter.hear('{"type":"cancel","id":"unknown"}')
    heard.finish()
    assert [said for said in heard.said if said["id"] == "a"] == [{"type": "canceled", "id": "a"}]
    assert heard.said[-1] == {"type": "result", "id": "b", "text": "669 primes from 0 to 5000"}


@pytest.mark.parametrize("bounds", ["0 to 0", "9 to 3", f"0 to {LIMIT + 1}", "0 to 999999999"])
def test_what_is_no_work_or_too_much_of_it_is_refused(bounds: str) -> None:
    heard = Heard()
    heard.turn(f"count the primes from {bounds}")
    assert [said["type"] for said in heard.said] == ["error"]
    assert not heard.counter.busy


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", "null", '"turn"', '{"type":"dance"}', '{"type":["turn"]}'])
def test_what_it_does_not_understand_gets_an_error(line: str) -> None:
    heard = Heard()
    heard.counter.hear(line)
    assert [said["type"] for said in heard.said] == ["error"]


def test_it_talks_too() -> None:
    heard = Heard()
    heard.turn("how are you? count the primes from -1 to \N{ARABIC-INDIC DIGIT THREE}x")
    assert heard.said[-1]["text"].startswith("bo here, turn 1.")


def test_it_serves_until_its_input_ends() -> None:
    lines = '\n{"type":"ping","id":1}\n{"type":"turn","id":"a","text":"hi"}\n\xff\n'
    ended = subprocess.run(
        [sys.executable, "-m", "truebeat.kit.counter", "bo"],
        input=lines.encode("latin-1"), capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    replies = [json.loads(line) for line in ended.stdout.splitlines()]
    assert replies[0] == {"type": "pong", "id": 1}
    assert replies[-1]["type"] == "error"
    assert ended.stderr == b""


async def test_the_command_executor_probes_it_while_it_works() -> None:
    executor = executors.create("command", [sys.executable, "-m", "truebeat.kit.counter"], {"mode": "ndjson"})
    await executor.start()
    probed = 0
    try:
        async with aclosing(executor.run(Turn("count the primes from 0 to 200000"))) as stream:
            async for output in stream:
                if isinstance(output, Progress):
                    await executor.probe()
                    probed += 1
    finally:
        await executor.close()
    assert output == Result("17984 primes from 0 to 200000")
    assert probed > 5
