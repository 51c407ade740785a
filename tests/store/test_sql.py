"""Every query has a name and every table's text can be stored."""

import pytest

from truebeat.server.store.database import encode_json
from truebeat.server.store.sql import queries, storable


@pytest.mark.parametrize("noun", ["workspaces", "events", "tokens", "leases", "migrate"])
def test_queries_are_found_by_name(noun):
    found = queries(noun)
    assert found
    assert all("-- name:" not in query and query for query in found.values())


@pytest.mark.parametrize(
    ("text", "stored"),
    [("plain", "plain"), ("a\x00b", "a\ufffdb"), ("höhe", "höhe"), ("\ud800x", "?x"), ("", "")],
)
def test_storable(text, stored):
    assert storable(text) == stored


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\x00", '"\\ufffd"'),
        ("\\u0000", '"\\\\u0000"'),
        ("\\\x00", '"\\\\\\ufffd"'),
        ("\x00\x00", '"\\ufffd\\ufffd"'),
    ],
)
def test_encode_json_keeps_all_but_nul(value, text):
    assert encode_json(value) == text
