"""Without the database beats are turned away, and nobody is accused of that."""

import pytest

from truebeat.clock import ManualClock
from truebeat.domain.health import LeaseExpired, Status


class Away:
    def acquire(self, **_):
        raise OSError("refused")


@pytest.fixture
def clock():
    return ManualClock()


def look(app, clock):
    """What the silence watch does of its own accord each tick; here no time passes between."""
    app.silence_watch.looked_at = clock.monotonic()
    return app.silence_watch.look(clock.monotonic())


async def test_whoever_beats_through_a_long_outage_is_online_after_it(start_server, database, clock, monkeypatch):
    async with start_server(clock=clock) as api:
        app = api.app
        workspace_id, token = await api.workspace()
        await api.beat(workspace_id, token)
        await app.lease_flusher.flush()
        with monkeypatch.context() as outage:
            outage.setattr(database, "_pool", Away())
            answers = []
            for _ in range(130):
                clock.advance(10)
                answers.append((await api.beat(workspace_id, token)).status_code)
                await app.lease_flusher.flush()
                await app.silence_watch.expire(look(app, clock), clock.monotonic())
        assert set(answers) == {200, 503}
        assert app.leases.doubt.blind
        clock.advance(1)
        lease = app.leases.get(workspace_id)
        # One whose silence was found before the outage was known, and is written after it.
        await app.health.observe(workspace_id, LeaseExpired(400.0), clock.now())
        await app.silence_watch.expire(look(app, clock), clock.monotonic())
        assert lease.status is Status.ONLINE
        await app.lease_flusher.flush()
        assert not app.leases.doubt.blind
        clock.advance(9)
        await app.silence_watch.expire(look(app, clock), clock.monotonic())
        assert lease.status is Status.ONLINE
        assert (await api.beat(workspace_id, token)).json()["status"] == "online"
        clock.advance(46)
        await app.silence_watch.expire(look(app, clock), clock.monotonic())
        assert lease.status is Status.OFFLINE
