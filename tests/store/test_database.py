"""The pool: types that come back, and what a lost database means."""

from uuid import UUID, uuid4


async def test_types(database):
    some = uuid4()
    async with database.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT $1::uuid AS id, ARRAY[$1::uuid] AS ids, $2::jsonb AS doc, $3::uuid[] AS back",
            some,
            {"a": [1]},
            [some],
        )
    assert row["id"] == some
    assert type(row["id"]) is UUID
    assert [type(x) for x in row["ids"]] == [UUID]
    assert row["back"] == [some]
    assert row["doc"] == {"a": [1]}
