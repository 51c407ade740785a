"""Probes, documents and settings."""

from __future__ import annotations

import asyncio
import re

import pytest

from truebeat.errors import Conflict, Invalid
from truebeat.protocol import paths
from truebeat.server.api.openapi import describe
from truebeat.server.api.routes import ROUTES
from truebeat.server.main import build
from truebeat.server.settings import Settings
from truebeat.server.store import migrate


async def test_ready_when_everything_is(api):
    assert (await api("GET", "/healthz", None)).json() == {"status": "ok"}
    answer = await api("GET", "/readyz", None)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "reasons": {}})


async def test_not_ready_when_the_silence_watch_stands_still(api):
    await api.app.duties.stop()
    api.app.silence_watch.looked_at -= 60
    answer = await api("GET", "/readyz", None)
    assert answer.status_code == 503
    assert "silence watch" in answer.json()["reasons"]["duties"]
    assert (await api("GET", "/healthz", None)).status_code == 200


async def test_not_ready_without_the_current_schema(api, database):
    async with database.acquire() as connection:
        await connection.execute("DELETE FROM schema_migrations WHERE version > 1")
    answer = await api("GET", "/readyz", None)
    assert answer.status_code == 503
    assert "version 1" in answer.json()["reasons"]["migrations"]


async def test_not_ready_without_the_database(api, database):
    await database.close()
    answer = await api("GET", "/readyz", None)
    assert answer.status_code == 503
    assert set(answer.json()["reasons"]) == {"database", "migrations"}
    assert (await api("GET", "/healthz", None)).status_code == 200


async def test_a_second_server_is_refused_and_let_in_when_the_first_is_gone(api, settings, database):
    second = build(settings, database, api.clock)
    second.guard.acquire = lambda: type(second.guard).acquire(second.guard, 0.2)
    with pytest.raises(Conflict, match="another truebeat server"):
        await second.start()
    await api.app.stop()
    await second.start()
    await second.stop()


async def test_a_killed_servers_lock_ends_with_its_session(api, settings, database):
    second = build(settings, database, api.clock)
    starting = asyncio.ensure_future(second.start())
    api.app.guard._connection.terminate()
    await starting
    await second.stop()


async def test_an_old_schema_is_refused_with_what_to_do(settings, database, database_url):
    await migrate.down(database_url, 1)
    from truebeat.clock import SystemClock

    with pytest.raises(Conflict, match="truebeat migrate up"):
        await build(settings, database, SystemClock()).start()


async def test_the_documents_are_made_from_the_table(api):
    document = (await api("GET", "/openapi.json", None)).json()
    assert document["openapi"] == "3.1.0"
    listed = {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert listed == {(route.method, route.path) for route in ROUTES if route.method != "WS"}
    text = (await api("GET", "/openapi.json", None)).text
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in document["components"]["schemas"]
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    page = await api("GET", "/docs", None)
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert "http://" not in page.text.replace("http://json-schema", "")
    for route in ROUTES:
        assert route.path in page.text


def test_every_path_is_in_the_table():
    named = {value for name, value in vars(paths).items() if name.isupper()}
    assert named == {route.path for route in ROUTES}
    assert describe()["info"]["version"]


def test_only_these_are_public():
    public = {(route.method, route.path) for route in ROUTES if route.access is None}
    assert public == {
        ("POST", paths.REGISTER),
        ("POST", paths.SESSION),
        *(("GET", path) for path in (paths.HEALTHZ, paths.READYZ, paths.OPENAPI, paths.DOCS)),
        *(("GET", path) for path in (paths.A2A_CARD, paths.A2A_OLD_CARD, paths.CANVAS, paths.CANVAS_ASSET)),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BEAT_INTERVAL", "x"), ("BEAT_INTERVAL", "nan"), ("BEAT_INTERVAL", "0"), ("LEASE", "1e400"), ("LEASE", "11"),
        ("LINK_GRACE", "-1"), ("LINK_GRACE", "50"), ("ADMIN_TOKEN", "short"), ("ADMIN_TOKEN", "has a space in it"),
        ("DATABASE_URL", "mysql://x"), ("DATABASE_CONNECTIONS", "1"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_by_name(name, value):
    with pytest.raises(Invalid, match=f"TRUEBEAT_{name}"):
        Settings.from_env({f"TRUEBEAT_{name}": value})


def test_settings_from_the_environment():
    settings = Settings.from_env({"TRUEBEAT_LEASE": "90", "TRUEBEAT_ADMIN_TOKEN": "", "HOME": "/"})
    assert (settings.lease, settings.beat_interval, settings.admin_token) == (90, 10, None)
