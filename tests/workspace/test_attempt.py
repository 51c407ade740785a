"""How one attempt is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truebeat.protocol.delivery import CHUNK_LIMIT, RESULT_LIMIT, Begun, Chunk, Deliver, Finished, HandedBack, Sender
from truebeat.workspace.attempt import Attempt, TooLargeError
from truebeat.workspace.executors.base import Artifact, Progress, Text, TurnError

SENDER = Sender(kind="person", id="p")
ORDER = Deliver(task_id="T", context_id="C", generation=1, attempt=1, sender=SENDER, text="x")


class Told:
    def __init__(self) -> None:
        self.frames: list[object] = []
        self.attempt = Attempt(ORDER, self.frames.append)

    def chunks(self, kind: str = "text") -> list[str]:
        return [one.text for one in self.frames if isinstance(one, Chunk) and one.kind == kind]

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not met():  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@pytest.fixture
async def told() -> Told:
    return Told()


async def test_the_first_piece_goes_at_once_and_the_next_wait_for_each_other(told: Told) -> None:
    for piece in ("a", "b", "c"):
        told.attempt.output(Text(piece))
    assert told.chunks() == ["a"]
    await told.until(lambda: told.chunks() == ["a", "bc"])
    told.attempt.output(Text("d"))
    told.attempt.finish("completed", "abcd")
    assert told.chunks() == ["a", "bc", "d"]
    assert isinstance(told.frames[-1], Finished)


async def test_order_is_kept_between_text_and_artifacts(told: Told) -> None:
    told.attempt.output(Text("a"))
    told.attempt.output(Text("b"))
    told.attempt.output(Artifact("f", ({"text": "x"},)))
    told.attempt.output(Text("c"))
    told.attempt.hand_back("why")
    chunks = [one for one in told.frames if isinstance(one, Chunk)]
    assert [(one.kind, one.text, one.name) for one in chunks] == [
        ("text", "a", ""), ("text", "b", ""), ("artifact", "", "f"), ("text", "c", ""),
    ]  # fmt: skip
    assert [one.index for one in chunks] == [0, 1, 2, 3]


async def test_of_many_notes_the_last_is_told(told: Told) -> None:
    for number in range(1000):
        told.attempt.output(Progress(f"{number} " + "x" * 10_000))
    await told.until(lambda: len(told.chunks("progress")) == 2)
    assert [note.split()[0] for note in told.chunks("progress")] == ["0", "999"]
    assert all(len(note) <= 2000 for note in told.chunks("progress"))


async def test_long_text_is_cut(told: Told) -> None:
    text = "\N{GRINNING FACE}é" * CHUNK_LIMIT
    told.attempt.output(Text(text))
    assert [len(one) for one in told.chunks()] == [CHUNK_LIMIT, CHUNK_LIMIT]
    assert "".join(told.chunks()) == text


async def test_after_the_end_nothing_is_told(told: Told) -> None:
    told.attempt.begin()
    told.attempt.finish("completed", "x")
    told.attempt.output(Text("late"))
    told.attempt.output(Progress("late"))
    told.attempt.finish("failed", "late")
    told.attempt.hand_back("late")
    assert [type(one) for one in told.frames] == [Begun, Finished]


async def test_what_was_not_begun_is_handed_back_as_such(told: Told) -> None:
    told.attempt.hand_back("busy")
    assert told.frames == [HandedBack(task_id="T", generation=1, attempt=1, begun=False, reason="busy")]


@pytest.mark.parametrize("parts", [({"x": object()},), ("text",), 7])
async def test_parts_that_are_no_json_objects_fail_the_turn(told: Told, parts: object) -> None:
    with pytest.raises(TurnError, match="not a list of JSON objects"):
        told.attempt.output(Artifact("f", parts))  # type: ignore[arg-type]


async def test_parts_are_told_as_json_takes_them(told: Told) -> None:
    told.attempt.output(Artifact("f", ({"f": float("nan"), "n": "a\0b", "t": (1, 2)},)))
    sent = told.frames[-1]
    assert isinstance(sent, Chunk)
    assert sent.parts == [{"f": None, "n": "a\N{REPLACEMENT CHARACTER}b", "t": [1, 2]}]


@pytest.mark.parametrize(
    ("said", "told_as"),
    [
        (r"re.sub('\u0000', '')", None),
        (r"C:\u0000", None),
        ("\\\0\\u0000", "\\\N{REPLACEMENT CHARACTER}\\u0000"),
        ("\0\0", "\N{REPLACEMENT CHARACTER}" * 2),
    ],
)
async def test_only_a_real_nul_is_replaced_in_parts(told: Told, said: str, told_as: str | None) -> None:
    told.attempt.output(Artifact("f", ({"text": said, said: 1},)))
    sent = told.frames[-1]
    assert isinstance(sent, Chunk)
    wanted = said if told_as is None else told_as
    assert sent.parts == [{"text": wanted, wanted: 1}]


async def test_parts_without_an_end_fail_the_turn(told: Told) -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    with pytest.raises(TurnError, match="not a list of JSON objects"):
        told.attempt.output(Artifact("f", (loop,)))


async def test_artifacts_count_too(told: Told) -> None:
    told.attempt.output(Text("x" * (RESULT_LIMIT - 100)))
    with pytest.raises(TooLargeError, match="more than 10485760 bytes"):
        told.attempt.output(Artifact("f", ({"text": "y" * 100},)))
    assert not [one for one in told.frames if isinstance(one, Chunk) and one.kind == "artifact"]


@given(st.lists(st.text(st.characters(), max_size=50), max_size=20))
def test_any_text_arrives_whole_as_far_as_utf_8_can_say_it(pieces: list[str]) -> None:
    async def tell() -> Told:
        told = Told()
        for piece in pieces:
            told.attempt.output(Text(piece))
        told.attempt.finish("completed", "".join(pieces))
        return told

    told = asyncio.run(tell())
    sent = [msgspec.json.decode(msgspec.json.encode(one)) for one in told.frames]
    wanted = "".join(pieces).encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert "".join(one["text"] for one in sent if one["type"] == "chunk") == wanted
    assert sent[-1]["text"] == wanted
