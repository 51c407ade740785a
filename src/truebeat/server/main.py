"""The composition root: the only place where the server's parts are wired together."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from truebeat.errors import Conflict, Invalid, TruebeatError
from truebeat.protocol import paths
from truebeat.server.a2a.endpoint import A2AEndpoint
from truebeat.server.api import canvas, routes
from truebeat.server.api.events import EventStream
from truebeat.server.api.heartbeat import HeartbeatEndpoint
from truebeat.server.api.link import LinkEndpoint
from truebeat.server.api.probes import Probes
from truebeat.server.api.problems import from_starlette, problem_response, unexpected_response
from truebeat.server.api.tasks import TaskStream
from truebeat.server.background.delegation_watch import DelegationWatch
from truebeat.server.background.event_pruner import EventPruner
from truebeat.server.background.incident_keeper import IncidentKeeper
from truebeat.server.background.lease_flusher import LeaseFlusher
from truebeat.server.background.notification_pruner import NotificationPruner
from truebeat.server.background.silence_watch import SilenceWatch
from truebeat.server.background.stuck_restarter import StuckRestarter
from truebeat.server.background.task_pruner import TaskPruner
from truebeat.server.background.task_rescuer import TaskRescuer
from truebeat.server.background.tasks import Duties
from truebeat.server.leases import Leases
from truebeat.server.services import incident_book
from truebeat.server.services.delegations import Delegations
from truebeat.server.services.dispatch import Dispatch
from truebeat.server.services.events import EventLog
from truebeat.server.services.health import Health
from truebeat.server.services.heartbeats import Heartbeats
from truebeat.server.services.hierarchy import Hierarchy
from truebeat.server.services.incidents import Incidents
from truebeat.server.services.ledger import Ledger
from truebeat.server.services.mailbox import Mailbox
from truebeat.server.services.notices import Notices
from truebeat.server.services.notifications import Notifications
from truebeat.server.services.registration import Registrar
from truebeat.server.services.sessions import Sessions
from truebeat.server.services.tokens import Tokens
from truebeat.server.services.waiters import Waiters
from truebeat.server.services.workspaces import Workspaces
from truebeat.server.store import leases as lease_store
from truebeat.server.store import migrate
from truebeat.server.store import workspaces as workspace_store
from truebeat.server.store.guard import SingleServer
from truebeat.server.store.sql import queries

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.types import ASGIApp, Receive, Scope, Send

    from truebeat.clock import Clock
    from truebeat.server.settings import Settings
    from truebeat.server.store.database import Database
    from truebeat.server.store.leases import LeaseRow

log = structlog.get_logger(__name__)

#: seconds between writes of when tokens were last used
TOKEN_FLUSH: Final = 10.0
#: seconds for saying goodbye on the links: a peer that reads nothing must not hold up the end
CLOSE_WITHIN: Final = 0.3
#: a silence watch that has not looked for so many seconds is not alive
WATCH_LATE: Final = 5.0

_A2A_PATH: Final = re.compile(re.escape(paths.A2A).replace(r"\{workspace_id\}", "([^/]+)"))

_OF_A_BEAT: Final = (
    "last_beat_at",
    "runtime_state",
    "error_rate",
    "sample_error",
    "active_tasks",
    "current_task",
    "uptime_seconds",
    "phase",
    "restarts",
    "worker_pid",
)


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers may use."""

    workspaces: Workspaces
    registrar: Registrar
    tokens: Tokens
    sessions: Sessions
    events: EventLog
    incidents: Incidents
    mailbox: Mailbox
    waiters: Waiters
    delegations: Delegations
    notifications: Notifications
    probes: Probes


class App:
    """One server. `asgi` may be served between `start` and `stop`."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self.settings = settings
        self._database = database
        self._clock = clock
        #: done with the reason when this server must end, because another took over its database
        self.fatal: asyncio.Future[TruebeatError] = asyncio.get_running_loop().create_future()
        self.guard = SingleServer(settings.database_url, self._lost)
        self.leases = Leases(
            lease=settings.lease,
            link_grace=settings.link_grace,
            provisioning_deadline=settings.provisioning_deadline,
        )
        self.events = EventLog(database)
        self.tokens = Tokens(database, clock)
        self.health = Health(database, self.leases, self.events, clock)
        self.heartbeats = Heartbeats(self.leases, self.health, clock)
        self.incidents = Incidents(database, self.events, clock)
        self.workspaces = Workspaces(database, self.leases, self.events, self.health, clock)
        self.notices = Notices()
        self.waiters = Waiters()
        self.ledger = Ledger(database, self.events, self.notices, clock)
        self.ledger.name_of = self._name_of
        self.mailbox = Mailbox(database, self.leases, self.ledger, self.notices, clock)
        hierarchy = Hierarchy(database, settings.messaging)
        self.delegations = Delegations(database, self.leases, self.mailbox, self.ledger, hierarchy, clock)
        self.mailbox.check_related = hierarchy.check
        self.mailbox.on_cancel = self.delegations.on_cancel
        self.delegation_watch = DelegationWatch(database, self.delegations, self.ledger, clock)
        self.dispatch = Dispatch(self.ledger, self.notices, self.health, clock)
        self.mailbox.reachable = self.dispatch.reachable
        self.mailbox.stop_work = self.dispatch.stop_work
        self.task_rescuer = TaskRescuer(database, self.ledger, clock)
        self.duties = Duties(clock)
        self.silence_watch = SilenceWatch(self.leases, self.health, clock)
        self.workspaces.unsure = self.silence_watch.unsure
        self.lease_flusher = LeaseFlusher(database, self.leases, clock)
        self.event_pruner = EventPruner(database, clock, retention=settings.event_retention)
        self.task_pruner = TaskPruner(database, clock, retention=settings.task_retention)
        self.notification_pruner = NotificationPruner(database, clock, retention=settings.notification_retention)
        self.incident_keeper = IncidentKeeper(database, self.incidents, clock, retention=settings.event_retention)
        self.link = LinkEndpoint(
            self.heartbeats,
            self.incidents,
            self.dispatch,
            self.tokens,
            self.leases,
            clock,
            beat_interval=settings.beat_interval,
        )
        self.a2a = A2AEndpoint(
            self.mailbox, self.notices, self.waiters, self.tokens, self.leases, database, clock, settings
        )
        self.stuck_restarter = StuckRestarter(
            self.leases, self.health, self.link.probe, clock, restart_after=settings.restart_after
        )
        self.tokens.on_unavailable = lambda: self.leases.doubt.lost(clock.monotonic())
        self.health.on_restart.append(self.link.order_restart)
        self.health.on_removed.append(self.link.retire)
        self.health.on_removed.append(self.task_rescuer.on_removed)
        self.health.on_announced.append(self.dispatch.on_announced)
        self.health.on_removed.append(lambda lease: self.tokens.forget_workspace(lease.id))
        services = Services(
            workspaces=self.workspaces,
            registrar=Registrar(database, self.workspaces, clock),
            tokens=self.tokens,
            sessions=Sessions(database, self.tokens, clock, settings.admin_token),
            events=self.events,
            incidents=self.incidents,
            mailbox=self.mailbox,
            waiters=self.waiters,
            delegations=self.delegations,
            notifications=Notifications(database, self.leases, self.events, clock),
            probes=Probes(
                clock,
                {"database": self._database_answers, "migrations": self._migrations, "duties": self._duties_live},
            ),
        )
        self.asgi: ASGIApp = self._asgi(services)

    def _asgi(self, services: Services) -> ASGIApp:
        heartbeat = HeartbeatEndpoint(
            self.heartbeats, self.tokens, beat_interval=self.settings.beat_interval, lease=self.settings.lease
        )
        bare: dict[tuple[str, str], ASGIApp] = {
            ("POST", paths.HEARTBEAT): heartbeat,
            **canvas.endpoints(),
            ("WS", paths.LINK): self.link,
            ("POST", paths.A2A): self.a2a,
            ("GET", paths.A2A_CARD): self.a2a,
            ("GET", paths.A2A_OLD_CARD): self.a2a,
            ("GET", paths.A2A_BELOW): self.a2a,
            ("POST", paths.A2A_BELOW): self.a2a,
            ("DELETE", paths.A2A_BELOW): self.a2a,
            ("WS", paths.EVENTS): EventStream(self.events, self.tokens, self.silence_watch.unsure, self._clock),
            ("WS", paths.TASK_UPDATES): TaskStream(self.mailbox, self.tokens, self.waiters),
        }
        router = Starlette(
            routes=routes.build(services, self.tokens, bare),
            exception_handlers={HTTPException: from_starlette, Exception: from_starlette},
        )

        async def others(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["method"] == "POST" and (found := _A2A_PATH.fullmatch(scope["path"])):
                await self.a2a({**scope, "path_params": {"workspace_id": found[1]}}, receive, send)
            else:
                await router(scope, receive, send)

        # What a trusted proxy says of its client, which no beat's answer depends on.
        proxied: Any = ProxyHeadersMiddleware(others, os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"))

        async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
            # The hot paths, found before any routing: most requests by far are beats, then messages by A2A.
            if scope["type"] == "http" and scope["path"] == paths.HEARTBEAT and scope["method"] == "POST":
                try:
                    await heartbeat(scope, receive, send)
                except RecursionError:
                    await problem_response(Invalid("body: nested too deeply"))(scope, receive, send)
                except Exception as error:
                    await unexpected_response(error, "POST " + paths.HEARTBEAT)(scope, receive, send)
            else:
                await proxied(scope, receive, send)

        return asgi

    async def start(self) -> None:
        """Errors: Conflict (another server, or the schema is not current), Unavailable."""
        await self.guard.acquire()
        try:
            if reason := await self._migrations():
                raise Conflict(f"{reason}; run: truebeat migrate up")
            await self._load()
            await self.events.begin_watch(self._clock.now())
            await self.events.start()
            await self.ledger.start()
            await self.tokens.start(self.settings.admin_token)
        except BaseException:
            self.guard.release()
            raise
        self.duties.start("single_server", self.guard.run)
        self.duties.start("health_writer", self.health.write_forever)
        self.duties.start("ledger", self.ledger.write_forever)
        self.duties.start("dispatch_watch", self.dispatch.watch)
        self.duties.start("task_rescuer", self.task_rescuer.run)
        self.duties.start("delegation_watch", self.delegation_watch.run)
        self.duties.start("silence_watch", self.silence_watch.run)
        self.duties.start("lease_flusher", self.lease_flusher.run)
        self.duties.start("event_pruner", self.event_pruner.run)
        self.duties.start("task_pruner", self.task_pruner.run)
        self.duties.start("notification_pruner", self.notification_pruner.run)
        self.duties.start("incident_keeper", self.incident_keeper.run)
        self.duties.start("stuck_restarter", self.stuck_restarter.run)
        if self.settings.push_hosts:
            self.duties.start("a2a_push", self.a2a.run_push)
        self.duties.start("token_flusher", self._flush_tokens)

    async def close_streams(self) -> None:
        """End every event stream and link: their clients dial again."""
        self.events.close()
        self.notices.close()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self.link.stop()
        except TimeoutError:
            log.warning("some links did not take their close frame; they are cut")

    async def stop(self) -> None:
        """Write what is only in memory, and let the next server in."""
        await self.close_streams()
        await self.duties.stop()
        try:
            await self.lease_flusher.flush()
            await self.tokens.flush_used()
        except TruebeatError as error:
            log.warning("the last stamps could not be written", reason=error.message)
        self.guard.release()

    async def _load(self) -> None:
        """Whoever is known gets a whole lease from now: a restart of the server accuses nobody."""
        async with self._database.acquire() as connection:
            rows = await workspace_store.live(connection)
            beats: dict[UUID, LeaseRow] = {row.workspace_id: row for row in await lease_store.load(connection)}
        now = self._clock.monotonic()
        for row in rows:
            lease = self.leases.add(row, now)
            if (beat := beats.get(row.id)) is not None:
                for name in _OF_A_BEAT:
                    setattr(lease, name, getattr(beat, name))
        async with self._database.acquire() as connection:
            await incident_book.load(connection, self.leases)

    async def _flush_tokens(self) -> None:
        while True:
            await asyncio.sleep(TOKEN_FLUSH)
            try:
                await self.tokens.flush_used()
            except TruebeatError as error:
                log.warning("uses of tokens could not be written", reason=error.message)

    def _name_of(self, workspace_id: UUID) -> str:
        lease = self.leases.get(str(workspace_id))
        return "" if lease is None else lease.name

    def _lost(self, error: Conflict) -> None:
        log.critical("another server took over this database; this one ends", reason=error.message)
        if not self.fatal.done():
            self.fatal.set_result(error)

    # --- checks of /readyz -------------------------------------------------------------------------------------------

    async def _database_answers(self) -> str:
        await self._database.ping()
        return ""

    async def _migrations(self) -> str:
        async with self._database.acquire() as connection:
            if not await connection.fetchval(queries("guard")["has_ledger"]):
                return "the database has no truebeat schema"
            rows = await connection.fetch(queries("migrate")["applied"])
        applied: dict[int, Any] = {row["version"]: row["checksum"] for row in rows}
        shipped = {migration.version: migration.checksum for migration in migrate.shipped()}
        if applied == shipped:
            return ""
        return f"the database's schema is at version {max(applied, default=0)}, this server needs {max(shipped)}"

    async def _duties_live(self) -> str:
        if failing := self.duties.failing():
            return "; ".join(f"{name}: {reason}" for name, reason in failing.items())
        late = self._clock.monotonic() - self.silence_watch.looked_at
        return f"the silence watch has not looked for {late:.0f} s" if late > WATCH_LATE else ""


def build(settings: Settings, database: Database, clock: Clock) -> App:
    """Needs a running loop; `settings.database_url` is the database that `database` is connected to."""
    return App(settings, database, clock)
