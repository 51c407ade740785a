"""The worker's end of the pipe, with a reader that does not read."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from truebeat.protocol import pipe
from truebeat.protocol.delivery import Chunk
from truebeat.protocol.link import Counters
from truebeat.workspace.pipe import Garbage, from_worker
from truebeat.workspace.worker_pipe import ROOM, FrameWriter


class Pipe:
    def __init__(self) -> None:
        self.reads, self.sends = os.pipe()
        os.set_blocking(self.reads, False)
        self.writer = FrameWriter(self.sends)
        self.frames: list[object] = []
        self._reader = from_worker()

    def read(self) -> None:
        try:
            while data := os.read(self.reads, 65536):
                self.frames.extend(self._reader.feed(data))
        except BlockingIOError:
            return

    def close(self) -> None:
        for descriptor in (self.reads, self.sends):
            try:
                os.close(descriptor)
            except OSError:
                continue


@pytest.fixture
def ends() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def chunk(index: int, text: str = "") -> Chunk:
    return Chunk(task_id="T", generation=1, attempt=1, index=index, kind="text", text=text)


TICK = pipe.Tick(lag=0.0, counters=Counters())


def test_a_reader_that_does_not_read_blocks_nothing_and_ticks_are_not_kept(ends: Pipe) -> None:
    for index in range(40):
        ends.writer.send(chunk(index, "x" * 10_000))
        ends.writer.send(TICK)
    taken = 0
    while len([one for one in ends.frames if isinstance(one, Chunk)]) < 40:
        ends.read()
        ends.writer.send(TICK)
        taken += 1
        assert taken < 100
    assert [one.index for one in ends.frames if isinstance(one, Chunk)] == list(range(40))
    assert not [one for one in ends.frames if isinstance(one, Garbage)]
    assert len([one for one in ends.frames if isinstance(one, pipe.Tick)]) < 40


def test_small_talk_is_bounded_and_what_matters_is_not_lost(ends: Pipe) -> None:
    for _ in range(6000):
        ends.writer.send(pipe.Note(text="x" * 1000))
    ends.writer.send(pipe.Wedged(reason="why"))
    ends.writer.send(chunk(7))
    assert len(ends.writer._backlog) < 5 * ROOM
    for _ in range(1000):
        ends.read()
        ends.writer.send(TICK)
    ends.read()
    told = [one for one in ends.frames if not isinstance(one, pipe.Note | pipe.Tick)]
    assert told == [pipe.Wedged(reason="why"), chunk(7)]


async def test_what_waits_goes_out_by_itself_and_there_is_room_again(ends: Pipe) -> None:
    ends.writer.attach(asyncio.get_running_loop())
    await ends.writer.room()
    for index in range(200):
        ends.writer.send(chunk(index, "x" * 10_000))
    waiting = asyncio.ensure_future(ends.writer.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    async with asyncio.timeout(10):
        while len(ends.frames) < 200:
            ends.read()
            await asyncio.sleep(0)
        await waiting
        await ends.writer.flushed(1)
    ends.writer.attach(None)
    assert [one.index for one in ends.frames if isinstance(one, Chunk)] == list(range(200))


async def test_a_closed_pipe_raises_nothing_and_frees_whoever_waits_for_room(ends: Pipe) -> None:
    ends.writer.attach(asyncio.get_running_loop())
    for index in range(200):
        ends.writer.send(chunk(index, "x" * 10_000))
    waiting = asyncio.ensure_future(ends.writer.room())
    await asyncio.sleep(0.01)
    os.close(ends.reads)
    ends.writer.send(chunk(0))
    async with asyncio.timeout(5):
        await waiting
    ends.writer.send(pipe.Wedged(reason="why"))
    ends.writer.attach(None)


def test_text_that_utf_8_can_not_say_is_no_error(ends: Pipe) -> None:
    ends.writer.send(pipe.Outcomes(error_rate=0.5, sample_error="bad \ud800 text"))
    ends.read()
    assert ends.frames == [pipe.Outcomes(error_rate=0.5, sample_error="bad ? text")]


def test_frames_of_many_threads_do_not_mix(ends: Pipe) -> None:
    def send(first: int) -> None:
        for index in range(first, first + 50):
            ends.writer.send(chunk(index, "x" * 500))

    threads = [threading.Thread(target=send, args=(number * 50,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(50):
        ends.read()
        ends.writer.send(TICK)
    chunks = [one.index for one in ends.frames if isinstance(one, Chunk)]
    assert sorted(chunks) == list(range(200))
