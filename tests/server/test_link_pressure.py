"""A database that is slower than the workers, and supervisors that read too slowly: beats go on, nothing is lost."""

import asyncio

import pytest
import websockets

from truebeat.server.api.link_session import LinkSession
from truebeat.server.services.ledger import Ledger


class Socket:
    """One whose other end reads nothing."""

    application_state = None

    def __init__(self):
        self.closed = asyncio.get_running_loop().create_future()

    async def send_text(self, text):
        await self.closed

    async def close(self, code, reason):
        self.closed.set_result((code, reason))


class Lease:
    id = "ada"


async def test_what_can_not_be_written_yet_is_said_again_and_beats_go_on(stand, monkeypatch):
    ada = await stand.workspace()
    real, slow = Ledger._transact, asyncio.Event()

    async def transact(self, items, claims):
        if any(getattr(item, "lasting", False) for item in items):
            await slow.wait()
        await real(self, items, claims)

    async with stand.dial(*ada) as link:
        await link.beat()
        task = await stand.send(ada[0])
        deliver = await link.receive("deliver")
        monkeypatch.setattr(Ledger, "_transact", transact)
        monkeypatch.setattr("truebeat.server.services.dispatch.PENDING_FRAMES", 3)
        said = []
        for index in range(6):
            said.append({"index": index, "kind": "text", "text": f"{index} "})
            await link.say("chunk", deliver, **said[-1])
        assert await link.beat(holding=[f"{task['id']}/1"]) == "online"
        slow.set()
        with pytest.raises(websockets.ConnectionClosed) as cut:
            await link.receive("never")
        assert cut.value.rcvd.code == 1013
        assert [frame["n"] for frame in link.came["settled"]] == [1, 2, 3]
    async with stand.dial(*ada) as link:
        link.n = 3
        await link.beat(holding=[f"{task['id']}/1"])
        monkeypatch.undo()
        for frame in said[3:]:
            await link.settled(await link.say("chunk", deliver, **frame))
        await link.finish(deliver, "0 1 2 3 4 5 ")
    async with stand.watch(task["id"]) as stream:
        told = [text async for text in stream]
    assert '"completed"' in told[-1]


async def test_who_reads_too_slowly_is_cut(monkeypatch):
    from truebeat.protocol.delivery import Settled

    monkeypatch.setattr("truebeat.server.api.link_session.WAITING_FRAMES", 10)
    monkeypatch.setattr("truebeat.server.api.link_session.FLUSH_WITHIN", 0.01)
    socket = Socket()
    session = LinkSession(socket, Lease(), 1)
    for n in range(20):
        session.post(Settled(n=n))
        await asyncio.sleep(0)
    code, reason = await socket.closed
    assert code == 1013
    assert "slowly" in reason
    session.post(Settled(n=99))


async def test_more_than_a_link_holds_is_sent_and_sent_again_without_cutting_it(stand, monkeypatch):
    """Nothing of it was begun when the link was lost: all of it comes again over the next one, as it is taken."""
    monkeypatch.setattr("truebeat.server.api.link_session.WAITING_SIZE", 1024 * 1024)
    monkeypatch.setattr("truebeat.server.services.outflow.FULL", 256 * 1024)
    ada = await stand.workspace()
    texts = [f"{n} " + "x" * 200_000 for n in range(30)]
    sent = [(await stand.send(ada[0], text, context_id=text[:2]))["id"] for text in texts]
    for boot in (1, 2):
        async with stand.dial(*ada, boot=boot) as link:
            delivers = []
            while len(delivers) < len(sent):
                holding = [f"{deliver['task_id']}/1" for deliver in delivers]
                await link.beat(capacity=len(sent) - len(holding), holding=holding)
                # what has come already, and at least one more
                delivers += [await link.receive("deliver"), *link.came.pop("deliver")]
            assert sorted(deliver["task_id"] for deliver in delivers) == sorted(sent)
            assert {deliver["attempt"] for deliver in delivers} == {1}
