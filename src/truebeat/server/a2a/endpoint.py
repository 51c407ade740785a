"""The ASGI app of /workspaces/{id}/a2a and everything below: who asks, within which bounds, and the cards.

The a2a-sdk is imported in a thread when a workspace's endpoint is first used: a server that nobody asks by A2A starts
without it.
"""

from __future__ import annotations

import asyncio
import importlib
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs
from uuid import UUID

import structlog
from starlette.responses import Response

from truebeat.domain.access import Permission, Principal, Role
from truebeat.errors import Forbidden, Gone, NotFound, TruebeatError, Unavailable
from truebeat.server.a2a import availability, cards, direct, legacy, wire
from truebeat.server.a2a.caller import KEY, Caller
from truebeat.server.a2a.connection import while_connected
from truebeat.server.a2a.push_target import Targets
from truebeat.server.api.call import authorization, permit
from truebeat.server.api.problems import problem_response, unexpected_response
from truebeat.server.background.tasks import spawn
from truebeat.server.services.task_views import may_follow
from truebeat.server.store import workspaces as workspace_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from starlette.types import Message, Receive, Scope, Send

    from truebeat.clock import Clock
    from truebeat.protocol.tasks import TaskView
    from truebeat.server.a2a.loaded import Loaded
    from truebeat.server.a2a.push import Push
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.mailbox import Mailbox
    from truebeat.server.services.notices import Notices
    from truebeat.server.services.tokens import Tokens
    from truebeat.server.services.waiters import Waiters
    from truebeat.server.settings import Settings
    from truebeat.server.store.database import Database
    from truebeat.server.store.workspaces import WorkspaceRow

log = structlog.get_logger(__name__)

#: seconds that a call may take before anybody looks whether its client is still there
QUICK: Final = 0.5
#: seconds a client may keep a card
CARD_AGE: Final = 60
_CARD: Final = "/.well-known/agent-card.json"
_CARDS: Final = frozenset({_CARD, f"/v0.3{_CARD}"})
#: modules that import the SDK
_LATE: Final = ("loaded", "handler", "push")
#: below the endpoint, where JSON-RPC is spoken
_RPC: Final = frozenset({"", "/v0.3"})
#: whoever asks the open workspace without a token
ANYBODY: Final = Principal(role=Role.MEMBER, name="anybody, at the open A2A endpoint")
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class A2AEndpoint:
    """One for the server."""

    def __init__(
        self,
        mailbox: Mailbox,
        notices: Notices,
        waiters: Waiters,
        tokens: Tokens,
        leases: Leases,
        database: Database,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._mailbox = mailbox
        self._notices = notices
        self._waiters = waiters
        self._tokens = tokens
        self._leases = leases
        self._database = database
        self._clock = clock
        self._settings = settings
        #: where push notifications may go; None where they are off
        self._targets = Targets(settings.push_hosts) if settings.push_hosts else None
        self._loading: asyncio.Task[tuple[Loaded, Push | None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = _below(scope)
        rpc = below in _RPC
        try:
            await self._serve(scope, receive, send, below)
        except wire.RefusedError as refused:
            await (refused.as_rpc() if rpc else refused.as_rest())(scope, receive, send)
        except TruebeatError as error:
            await problem_response(error)(scope, receive, send)
        except ConnectionAbortedError:
            return
        except Exception as error:
            await unexpected_response(error, scope["path"])(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, below: str) -> None:
        workspace_id = _workspace_id(scope)
        if "\x00" in below or b"%00" in scope["query_string"]:
            raise wire.invalid_params("NUL characters are refused")
        if below in _CARDS:
            # Whoever reads the card will ask next.
            self._begin_loading()
            await (await self._card(scope, workspace_id, merged=below != _CARD))(scope, receive, send)
            return
        caller = await self._caller(scope, workspace_id)
        content = b""
        body: Any = None
        if scope["method"] == "POST":
            content = await wire.read(scope, receive)
            # what needs no body (:cancel, :subscribe) may come without one
            if content or below in _RPC:
                wire.require_json(scope)
                if not below and caller.version == "1.0" and (call := direct.read(content)) is not None:
                    await self._direct(call, caller, scope, receive, _activating(scope, send))
                    return
                body = wire.decode(content)
        elif below in _RPC:
            raise wire.no_such_method("this is a JSON-RPC endpoint: POST to it", 405)
        if legacy.is_legacy(body) and below in _RPC:
            with _answered_to(body):
                body = legacy.complete(body, caller.version)
            caller = replace(caller, legacy=True)
        loaded, _ = await self._load()

        async def serve(receive: Receive, send: Send) -> None:
            if below in _RPC:
                with _answered_to(body):
                    await loaded.rpc(scope, receive, send, body)
            else:
                await loaded.rest(scope, receive, send, below)

        with ExitStack() as places:
            scope[KEY] = replace(caller, wait=partial(self._wait, places, caller.principal))
            await while_connected(serve, content, receive, _activating(scope, send))

    def _wait(self, places: ExitStack, principal: Principal) -> None:
        places.enter_context(self._waiters.place(principal))

    async def _direct(self, call: direct.Call, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """A plain SendMessage. Only one that takes long is ended when its client goes away."""
        with ExitStack() as places:
            if call.waits:
                try:
                    self._wait(places, caller.principal)
                except Unavailable as error:
                    response = (await self._load())[0].refused(error, call.id)
                    await response(scope, receive, send)
                    return
            await self._plain(call, caller, scope, receive, send)

    async def _plain(self, call: direct.Call, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        asked = (caller.workspace_id, direct.new_task(call), caller.principal)
        key, client = caller.idempotency_key, caller.principal.workspace_id is None
        if call.waits:
            work = self._mailbox.ask(*asked, idempotency_key=key, client=client, seconds=QUICK)
        else:
            work = self._mailbox.send(*asked, idempotency_key=key, client=client)
        outcome = await self._outcome(call, work, patient=call.waits)
        if isinstance(outcome, Response):
            await outcome(scope, receive, send)
            return
        accepted = outcome

        async def end() -> TaskView:
            try:
                return await self._mailbox.wait(accepted.id, caller.principal)
            except Unavailable:
                return accepted  # an error would have the client send it again

        async def serve(receive: Receive, send: Send) -> None:
            response = await self._outcome(call, end(), patient=False)
            if isinstance(response, Response):
                await response(scope, receive, send)

        await while_connected(serve, b"", receive, send)

    async def _outcome(self, call: direct.Call, work: Awaitable[TaskView], *, patient: bool) -> Response | TaskView:
        """What came of it as an answer; its task, if `patient` and there is something to wait for still."""
        try:
            view = await work
        except Exception as error:
            return (await self._load())[0].refused(error, call.id)
        if patient and may_follow(view):
            return view
        content = direct.answer(view, call)
        if content is None:
            return (await self._load())[0].told(view, call.id)
        return Response(content, media_type="application/json")

    # --- who asks ----------------------------------------------------------------------------------------------------

    async def _caller(self, scope: Scope, workspace_id: UUID) -> Caller:
        lease = self._leases.get(str(workspace_id))
        if lease is None:
            await self._row(workspace_id)
            raise Gone("the workspace was removed; it takes no messages")
        principal = await self._principal(scope, lease)
        permit(principal, Permission.SEE)
        claimed = wire.header(scope, b"x-workspace-id")
        if claimed and claimed.lower() != principal.workspace_id:
            raise Forbidden("X-Workspace-ID names a workspace that this token does not belong to; leave it out")
        query = scope["query_string"].decode("latin-1")
        asked = parse_qs(query, max_num_fields=50).get("A2A-Version", [""]) if query else [""]
        return Caller(
            principal=principal,
            workspace_id=workspace_id,
            base=self._base(scope, workspace_id),
            version=wire.header(scope, b"a2a-version") or asked[0],
            idempotency_key=wire.header(scope, b"idempotency-key"),
            itself=bool(claimed) and principal.workspace_id == str(workspace_id),
        )

    async def _principal(self, scope: Scope, lease: Lease) -> Principal:
        given = authorization(scope["headers"])
        if given is None and self._is_open(lease):
            # Another name for this address would be a page's way round the browser's same-origin rule.
            host = wire.header(scope, b"host").rpartition(":")[0] or wire.header(scope, b"host")
            if host.lower() not in _LOOPBACK_NAMES:
                raise Forbidden("without a token this endpoint answers only to localhost")
            return ANYBODY
        return await self._tokens.authenticate(given)

    def _is_open(self, lease: Lease) -> bool:
        return bool(self._settings.open_workspace) and self._settings.open_workspace in {lease.id, lease.name}

    def _base(self, scope: Scope, workspace_id: UUID) -> str:
        host = wire.header(scope, b"host")
        origin = self._settings.public_url or f"{scope.get('scheme', 'http')}://{host}"
        return f"{origin}/workspaces/{workspace_id}/a2a"

    # --- cards -------------------------------------------------------------------------------------------------------

    async def _card(self, scope: Scope, workspace_id: UUID, *, merged: bool) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            raise wire.no_such_method("a card can only be read: GET it", 405)
        row = await self._row(workspace_id)
        lease = self._leases.get(str(workspace_id))
        if lease is None:
            raise Gone("the workspace was removed")
        card = self._pure(row, lease, self._base(scope, workspace_id))
        content, etag = cards.encode(cards.merged(card) if merged else card)
        changed = (row.registered_at or row.created_at).replace(microsecond=0)
        headers = {
            "etag": etag,
            "last-modified": format_datetime(changed, usegmt=True),
            "cache-control": f"public, max-age={CARD_AGE}",
            "vary": "Host",
        }
        if _unchanged(scope, etag, changed.timestamp()):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type="application/json")

    def _pure(self, row: WorkspaceRow, lease: Lease, base: str) -> dict[str, Any]:
        return cards.card(row, base, push=self._targets is not None, open_to_all=self._is_open(lease))

    async def extended(self, caller: Caller) -> dict[str, Any]:
        """For those with a token: what the agent can do, and whether it can at this moment. Errors: Gone."""
        row = await self._row(caller.workspace_id)
        lease = self._leases.get(str(caller.workspace_id))
        if lease is None:
            raise Gone("the workspace was removed")
        details = caller.principal.may_see_details(lease.id)
        now = self._mailbox.availability(caller.workspace_id, details=details)
        return cards.extended(self._pure(row, lease, caller.base), availability.facts(now))

    async def input_modes(self, caller: Caller) -> list[str]:
        """The media types that the agent takes. Errors: NotFound."""
        return cards.input_modes(await self._row(caller.workspace_id))

    async def _row(self, workspace_id: UUID) -> WorkspaceRow:
        async with self._database.acquire() as connection:
            row = await workspace_store.get(connection, workspace_id)
        if row is None:
            raise NotFound("no such workspace; check its id")
        return row

    # --- the SDK -----------------------------------------------------------------------------------------------------

    async def _load(self) -> tuple[Loaded, Push | None]:
        try:
            return await asyncio.shield(self._begin_loading())
        except Exception:
            self._loading = None
            raise

    def _begin_loading(self) -> asyncio.Task[tuple[Loaded, Push | None]]:
        if self._loading is None:
            self._loading = spawn(self._import(), name="a2a-sdk")
        return self._loading

    async def _import(self) -> tuple[Loaded, Push | None]:
        modules = await asyncio.to_thread(
            lambda: {name: importlib.import_module(f"truebeat.server.a2a.{name}") for name in _LATE}
        )
        pushing: Push | None = None
        if self._targets is not None:
            delivery = modules["push"].Delivery(secret=self._settings.push_secret.encode())
            pushing = modules["push"].Push(
                self._mailbox, self._database, self._clock, self._targets, delivery, self._notices
            )
        handler = modules["handler"].MailboxHandler(self._mailbox, self, pushing, self._notices)
        return modules["loaded"].Loaded(handler), pushing

    async def run_push(self) -> None:
        """A duty of servers that push: nothing is done where it is off."""
        _, pushing = await self._load()
        if pushing is not None:
            await pushing.run()


def _activating(scope: Scope, send: Send) -> Send:
    """Tells a client that asked for the availability extension that it is in use."""
    asked = {uri.strip() for uri in wire.header(scope, b"a2a-extensions").split(",")}
    if availability.URI not in asked:
        return send

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"a2a-extensions", availability.URI.encode())]
            message = {**message, "headers": headers}
        await send(message)

    return told


@contextmanager
def _answered_to(body: Any) -> Iterator[None]:
    """What is refused names the request's id."""
    try:
        yield
    except wire.RefusedError as refused:
        given = body.get("id") if isinstance(body, dict) else None
        refused.request_id = given if isinstance(given, str | int) and not isinstance(given, bool) else None
        raise


def _below(scope: Scope) -> str:
    """The path below the endpoint, "" for the endpoint itself. The id before it may begin with "a2a" as well."""
    below: str = scope["path"].split(f"/{scope['path_params']['workspace_id']}/a2a", 1)[1]
    return below.rstrip("/") if below in {"/", "/v0.3/"} else below


def _workspace_id(scope: Scope) -> UUID:
    try:
        return UUID(scope["path_params"]["workspace_id"])
    except ValueError:
        raise NotFound("workspace_id: not a UUID, so there is no such thing") from None


def _unchanged(scope: Scope, etag: str, changed: float) -> bool:
    if wanted := wire.header(scope, b"if-none-match"):
        tags = {tag.strip().removeprefix("W/") for tag in wanted.split(",")}
        return etag in tags or "*" in tags
    if since := wire.header(scope, b"if-modified-since"):
        try:
            return changed <= parsedate_to_datetime(since).timestamp()
        except ValueError:
            return False
    return False
