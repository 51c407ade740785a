"""Idempotency keys on disk: whose a key is, and for how long."""

from datetime import timedelta
from uuid import uuid4

from task_rows import ADA, NOW

from truebeat.server.store import keys
from truebeat.server.store.keys import Key


async def test_a_key_means_the_first_task_until_it_is_old(conn):
    def key(task_id, at=NOW, mark=b"1"):
        return Key("person:eve", ADA, "k", task_id, mark, at)

    first, second, third = uuid4(), uuid4(), uuid4()
    expired = NOW - timedelta(hours=24)
    name = ("person:eve", ADA, "k")
    assert (await keys.keep(conn, [key(first)], expired))[name].task_id == first
    kept = (await keys.keep(conn, [key(second, mark=b"2")], expired))[name]
    assert (kept.task_id, kept.fingerprint) == (first, b"1")
    later = NOW + timedelta(hours=25)
    kept = await keys.keep(conn, [key(third, later)], later - timedelta(hours=24))
    assert kept[name].task_id == third
    await keys.prune(conn, later + timedelta(hours=1))
    assert await conn.fetchval("SELECT count(*) FROM idempotency_keys") == 0
