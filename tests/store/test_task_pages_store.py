"""Pages of tasks: nothing is lost or told twice."""

from datetime import timedelta

from task_rows import ADA, BOB, EVE, EVER, LAST, NOW, add, claim, new

from truebeat.domain.delivery import State
from truebeat.protocol.delivery import Sender
from truebeat.server.store import task_pages
from truebeat.server.store.task_pages import Filter


async def test_pages_lose_nothing_and_filter(conn):
    peer = Sender(kind="workspace", id=str(BOB), name="bob")
    rows = [
        new(context=f"c{n % 3}", at=NOW + timedelta(seconds=n // 2), sender=peer if n % 4 == 0 else EVE)
        for n in range(20)
    ]
    await add(conn, *rows, new(BOB))

    async def all_of(**which):
        found, before = [], LAST
        wanted = Filter(**{"states": tuple(State), "updated_after": EVER, **which})
        while page := await task_pages.page(conn, wanted, before, 3):
            found += page
            before = (page[-1].updated_at, page[-1].id)
        assert await task_pages.count(conn, wanted) == len(found)
        return [row.id for row in found]

    newest_first = [row.id for row in sorted(rows, key=lambda row: (row.at, row.id), reverse=True)]
    assert await all_of(workspace_id=ADA) == newest_first
    assert len(await all_of()) == 21
    assert len(await all_of(workspace_id=ADA, context_id="c1")) == 7
    assert len(await all_of(sent_by=BOB)) == 5
    assert len(await all_of(sent_by=BOB, workspace_id=ADA, context_id="c0")) == 2
    assert await all_of(workspace_id=ADA, updated_after=NOW + timedelta(seconds=8)) == newest_first[:2]
    await claim(conn, 1)
    assert await all_of(workspace_id=ADA, states=(State.WORKING,)) == []
