"""Runs the server: uvicorn with uvloop and httptools, and an embedded PostgreSQL if it is given one."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvicorn

from truebeat.clock import SystemClock
from truebeat.errors import Conflict, Invalid
from truebeat.protocol.link import FRAME_LIMIT
from truebeat.server import logs
from truebeat.server.background.tasks import Duties, spawn
from truebeat.server.main import App, build
from truebeat.server.store import migrate
from truebeat.server.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from truebeat.server.settings import Settings
    from truebeat.server.store.embedded import EmbeddedPostgres

log = structlog.get_logger(__name__)

#: seconds that requests in progress get when the server stops
GRACE: Final = 1
#: seconds between looks whether the embedded PostgreSQL lives
WATCH: Final = 0.5


class _Server(uvicorn.Server):
    """Ends streams and links first: uvicorn would wait for them, and they would wait for it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # `_Stop` has them: uvicorn would raise them again before the database is stopped.
        yield

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        await self._app.close_streams()
        await super().shutdown(sockets)


class _Stop:
    """SIGINT and SIGTERM from the first moment of `serve` to its last: the database never stays behind."""

    def __init__(self) -> None:
        self.requested = False
        self.server: _Server | None = None
        self._task = asyncio.current_task()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            loop.add_signal_handler(number, self._request)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _request(self) -> None:
        again, self.requested = self.requested, True
        if self.server is not None:
            self.server.should_exit = True
            self.server.force_exit = again
        elif not again and self._task is not None:
            self._task.cancel()


async def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    embedded: EmbeddedPostgres | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. `ready` gets the server's URL; port 0 is any free one.

    With `embedded` the database is started, kept running, migrated and stopped too.
    Errors: Invalid (no database), Conflict (another server, port taken, schema not current), Unavailable.
    """
    if not structlog.is_configured():
        logs.configure()
    stop = _Stop()
    with stop.on_signals():
        try:
            await _with_database(settings, host, port, embedded, ready, stop)
        except asyncio.CancelledError:
            if not stop.requested:
                raise


def run(
    settings: Settings,
    host: str,
    port: int,
    *,
    embedded: EmbeddedPostgres | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """`serve` on uvloop, for a program that does nothing else."""
    import uvloop

    uvloop.run(serve(settings, host, port, embedded=embedded, ready=ready))


async def _with_database(
    settings: Settings,
    host: str,
    port: int,
    embedded: EmbeddedPostgres | None,
    ready: Callable[[str], None] | None,
    stop: _Stop,
) -> None:
    try:
        if embedded is not None:
            settings = replace(settings, database_url=await asyncio.to_thread(embedded.start))
            await migrate.up(settings.database_url)
        if not settings.database_url:
            raise Invalid("TRUEBEAT_DATABASE_URL is not set; set it, or use `truebeat up`, which brings a database")
        await _serve(settings, host, port, embedded, ready, stop)
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


def _check_open(settings: Settings, host: str) -> None:
    """An endpoint without credentials is for this machine only."""
    if not settings.open_workspace:
        return
    if host != "localhost" and not _is_loopback(host):
        raise Invalid("TRUEBEAT_OPEN_WORKSPACE needs a loopback --host: everybody who reaches it could use that agent")
    log.warning(
        "TRUEBEAT_OPEN_WORKSPACE is set: everybody on this machine can use that workspace's A2A endpoint",
        workspace=settings.open_workspace,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _serve(
    settings: Settings,
    host: str,
    port: int,
    embedded: EmbeddedPostgres | None,
    ready: Callable[[str], None] | None,
    stop: _Stop,
) -> None:
    _check_open(settings, host)
    database = await Database.connect(settings.database_url, max_size=settings.database_connections)
    clock = SystemClock()
    keeper = Duties(clock)
    try:
        app = build(settings, database, clock)
        await app.start()
        if embedded is not None:
            keeper.start("embedded_postgres", lambda: _keep(embedded))
        try:
            await _listen(app, host, port, ready, stop)
        finally:
            await keeper.stop()
            await app.stop()
    finally:
        await database.close()
    if app.fatal.done():
        raise app.fatal.result()


async def _listen(app: App, host: str, port: int, ready: Callable[[str], None] | None, stop: _Stop) -> None:
    config = uvicorn.Config(
        app.asgi,
        host=host,
        port=port,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=FRAME_LIMIT,
        ws_per_message_deflate=False,
        lifespan="off",
        proxy_headers=False,  # main.py applies them, where they matter
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config, app)
    sockets = [_bind(config, host, port)]
    watchers = [spawn(_tell(server, sockets[0], host, ready), name="readiness"), spawn(_end(server, app), name="fatal")]
    stop.server = server
    try:
        await server.serve(sockets)
    finally:
        for watcher in watchers:
            watcher.cancel()
        for listening in getattr(server, "servers", ()):
            # Canceled, uvicorn leaves it to the event loop: the next socket of that number would not be heard.
            listening.close()
        for bound in sockets:
            bound.close()


def _bind(config: uvicorn.Config, host: str, port: int) -> Any:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family, backlog=config.backlog)
    except OSError as error:
        raise Conflict(f"can't listen on {host}:{port}: {error.strerror}; choose another --port") from None
    # Accepted sockets inherit it. Without it an answer waits 40 ms for the client's delayed acknowledgement on loops
    # that set it themselves only for sockets of a stated protocol, as asyncio's does.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


async def _tell(server: _Server, bound: Any, host: str, ready: Callable[[str], None] | None) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    port = bound.getsockname()[1]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("serving", url=url)
    if ready is not None:
        ready(url)


async def _end(server: _Server, app: App) -> None:
    await asyncio.shield(app.fatal)
    server.should_exit = True


async def _keep(embedded: EmbeddedPostgres) -> None:
    while True:
        await asyncio.sleep(WATCH)
        await asyncio.to_thread(embedded.ensure_running)
