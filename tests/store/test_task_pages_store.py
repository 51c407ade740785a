"""Pages of tasks: nothing is lost or told twice."""

import dataclasses
from datetime import timedelta

from task_rows import ADA, BOB, EVE, EVER, LAST, NOW, add, claim, finish, new

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
        more = True
        while more:
            page, more = await task_pages.page(conn, wanted, before, 3, 2**20)
            if page:
                found += page
                before = (page[-1].updated_at, page[-1].id)
        assert await task_pages.count(conn, wanted) == (len(found), False)
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


async def test_a_page_of_large_tasks_is_cut_and_the_next_goes_on(conn):
    """What a page may have is counted in bytes of messages and answers, however well they compress."""
    small = [new(text="x" * 100, at=NOW + timedelta(seconds=n)) for n in range(6)]
    large = dataclasses.replace(
        new(context="large", at=NOW + timedelta(seconds=2.5)),
        parts=[{"text": "\u00e9" * 50_000}],
        message={"m": "y" * 5000},
    )
    ids = await add(conn, *small, large)
    for task_id in ids[:2]:
        await finish(conn, task_id, answer="z" * 10_000)
    for which in ({}, {"workspace_id": ADA}, {"context_id": "c"}, {"sent_by": None}):
        wanted = Filter(**{"states": tuple(State), "updated_after": EVER, **which})
        pages, before, more = [], LAST, True
        while more:
            page, more = await task_pages.page(conn, wanted, before, 5, 15_000)
            pages.append([row.id for row in page])
            before = (page[-1].updated_at, page[-1].id)
        together = [task_id for page in pages for task_id in page]
        expected = set(ids) - ({large.id} if "context_id" in which else set())
        assert len(together) == len(expected) == len(set(together))
        assert set(together) == expected
        bytes_of = dict.fromkeys(ids, 100) | {large.id: 105_000} | dict.fromkeys(ids[:2], 10_100)
        for page in pages:
            assert sum(bytes_of[task_id] for task_id in page[:-1]) < 15_000
        assert all(len(page) == 5 or sum(map(bytes_of.get, page)) >= 15_000 for page in pages[:-1])


async def test_a_count_says_when_there_are_more(conn, monkeypatch):
    monkeypatch.setattr(task_pages, "COUNT_LIMIT", 3)
    wanted = Filter(states=tuple(State), updated_after=EVER)
    for count, told in ((2, (2, False)), (1, (3, False)), (1, (3, True)), (5, (3, True))):
        await add(conn, *[new(context=str(n)) for n in range(count)])
        for which in (wanted, dataclasses.replace(wanted, workspace_id=ADA)):
            assert await task_pages.count(conn, which) == told
