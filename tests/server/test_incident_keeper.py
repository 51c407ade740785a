"""The keeper of incidents goes on while the database does not answer: an outage is no defect of its own."""

import asyncio

from truebeat.clock import SystemClock
from truebeat.errors import Unavailable
from truebeat.server.background import incident_keeper
from truebeat.server.background.incident_keeper import IncidentKeeper


async def test_an_outage_is_waited_out(api, database, monkeypatch):
    looks = asyncio.Queue()

    async def gather_loose():
        looks.put_nowait("a look")
        if looks.qsize() == 1:
            raise Unavailable("the database does not answer", retry_after=1)

    monkeypatch.setattr(incident_keeper, "INTERVAL", 0)
    monkeypatch.setattr(api.app.incidents, "gather_loose", gather_loose)
    keeper = IncidentKeeper(database, api.app.incidents, SystemClock(), retention=86400)
    running = asyncio.ensure_future(keeper.run())
    async with asyncio.timeout(30):
        while looks.qsize() < 3 and not running.done():
            await asyncio.wait({running}, timeout=0.01)
    assert not running.done(), running.exception()
    running.cancel()
