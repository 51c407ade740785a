"""A transaction that was committed although its answer was lost: memory and disk tell the same story again."""

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from judge_stand import judging

from truebeat.domain.access import Principal, Role
from truebeat.domain.health import Status
from truebeat.errors import Conflict, Gone, Unavailable

OPERATOR = Principal(Role.OPERATOR, "eve")


@pytest.fixture
async def rig(database):
    async with judging(database) as made:
        yield made


@pytest.fixture
def lose_answer(rig, monkeypatch):
    """The next transaction is committed, and its caller hears that the database is gone."""

    def lose():
        real = rig.database.transaction

        @asynccontextmanager
        async def lossy():
            monkeypatch.setattr(rig.database, "transaction", real)
            async with real() as connection:
                yield connection
            raise Unavailable("the answer to COMMIT was lost")

        monkeypatch.setattr(rig.database, "transaction", lossy)

    return lose


async def incidents(rig, lease):
    page = await rig.incidents.page(None, 10, OPERATOR, open_=None, workspace_id=UUID(lease.id))
    return [(incident.detail, incident.recovery) for incident in page.incidents]


async def until(check):
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_its_incident_goes_on_and_later_ones_are_their_own(rig, lose_answer):
    lease = await rig.linked()
    lose_answer()
    with pytest.raises(Unavailable):
        await rig.beat(lease, runtime_state="wedged", sample_error="A")
    await rig.beat(lease, runtime_state="wedged", sample_error="A")  # not acknowledged: said again
    assert lease.status is Status.DEGRADED
    assert await incidents(rig, lease) == [("A", "")]
    await rig.beat(lease)
    assert await incidents(rig, lease) == [("A", "resumed by itself")]
    rig.clock.advance(1)  # the newest first: they must not have begun in the same moment
    await rig.beat(lease, runtime_state="wedged", sample_error="B")
    assert (await incidents(rig, lease))[0] == ("B", "")
    await rig.beat(lease)
    assert await incidents(rig, lease) == [("B", "resumed by itself"), ("A", "resumed by itself")]
    told = [event for event in await rig.all_events() if event.type.startswith("INCIDENT_")]
    assert [event.type for event in told] == ["INCIDENT_OPENED", "INCIDENT_CLOSED"] * 2
    for event in told:
        assert await rig.incidents.show(UUID(event.payload["incident_id"]), OPERATOR)


async def test_whoever_listens_hears_of_it_though_nobody_says_it_again(rig, lose_answer):
    lease = await rig.linked()
    heard = []
    rig.health.on_announced.append(lambda _, announcement: heard.append((announcement.previous, announcement.status)))
    lose_answer()
    with pytest.raises(Unavailable):
        await rig.beat(lease, runtime_state="wedged", sample_error="A")
    await until(lambda: heard)
    assert heard == [(Status.ONLINE, Status.DEGRADED)]
    assert lease.status is Status.DEGRADED
    assert lease.version == (await rig.stored(lease)).version


async def test_its_restart_order_is_sent(rig, lose_answer):
    lease = await rig.linked()
    sent = []
    rig.health.on_restart.append(sent.append)
    lose_answer()
    with pytest.raises(Unavailable):
        await rig.health.order_restart(lease.id, "eve")
    await until(lambda: sent)
    assert sent == [lease]
    assert lease.record.restart_pending
    with pytest.raises(Conflict):
        await rig.health.order_restart(lease.id, "eve")


async def test_its_removal_is_final(rig, lose_answer):
    lease = await rig.linked()
    retired = []
    rig.health.on_removed.append(retired.append)
    lose_answer()
    with pytest.raises(Unavailable):
        await rig.health.remove(lease.id, "eve")
    await until(lambda: retired)
    assert rig.leases.get(lease.id) is None
    with pytest.raises(Gone):
        await rig.health.remove(lease.id, "eve")


async def test_what_was_not_committed_is_as_before(rig, monkeypatch):
    lease = await rig.linked()
    version = lease.version
    real = rig.database.transaction

    @asynccontextmanager
    async def away():
        monkeypatch.setattr(rig.database, "transaction", real)
        raise Unavailable("refused")
        yield

    monkeypatch.setattr(rig.database, "transaction", away)
    with pytest.raises(Unavailable):
        await rig.beat(lease, runtime_state="wedged", sample_error="A")
    assert (lease.status, lease.version) == (Status.ONLINE, version)
    await rig.beat(lease, runtime_state="wedged", sample_error="A")
    assert lease.status is Status.DEGRADED
    assert await incidents(rig, lease) == [("A", "")]
