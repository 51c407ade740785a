"""The link: one WebSocket per workspace, between its supervisor and this server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from truebeat.errors import Forbidden, Gone, TruebeatError, Unavailable
from truebeat.protocol import link
from truebeat.protocol.delivery import Begun, Chunk, Finished, HandedBack, Settled
from truebeat.server.api.link_session import LinkSession
from truebeat.server.api.problems import problem_response
from truebeat.server.background.tasks import spawn
from truebeat.server.services.health import ordered_by_platform, restart_id

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from truebeat.clock import Clock
    from truebeat.server.leases import Lease, Leases
    from truebeat.server.services.dispatch import Dispatch
    from truebeat.server.services.heartbeats import Heartbeats
    from truebeat.server.services.incidents import Incidents
    from truebeat.server.services.tokens import Tokens

log = structlog.get_logger(__name__)

_decoder: msgspec.json.Decoder[link.Up] = msgspec.json.Decoder(link.Up)

#: seconds a new connection may take to say hello
HELLO_WITHIN = 10.0


class _RefusedError(Exception):
    """Close the socket with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class LinkEndpoint:
    """Accepts links, keeps the newest of each workspace, and carries orders down them."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        incidents: Incidents,
        dispatch: Dispatch,
        tokens: Tokens,
        leases: Leases,
        clock: Clock,
        *,
        beat_interval: float,
    ) -> None:
        self._heartbeats = heartbeats
        self._incidents = incidents
        self._dispatch = dispatch
        self._tokens = tokens
        self._leases = leases
        self._clock = clock
        self._beat_interval = beat_interval
        self._sessions: dict[str, LinkSession] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        try:
            principal = await self._tokens.authenticate(socket.headers.get("authorization", "").encode("latin-1"))
            workspace_id = socket.path_params["workspace_id"]
            lease = self._heartbeats.lease(workspace_id)
            if not principal.is_workspace(lease.id):
                raise Forbidden("only the workspace's own token may hold its link")
        except TruebeatError as error:
            await socket.send_denial_response(problem_response(error))
            return
        await socket.accept()
        session: LinkSession | None = None
        try:
            session = await self._greet(socket, lease)
            self._welcome(session)
            ended = spawn(self._end_with_token(session), name="link's token")
            try:
                await self._listen(session)
            finally:
                ended.cancel()
        except WebSocketDisconnect:
            pass
        except _RefusedError as refusal:
            await (session or LinkSession(socket, lease, 0)).close(refusal.code, refusal.reason)
        finally:
            if session is not None and self._sessions.get(lease.id) is session:
                self._lost(session)

    def _lost(self, session: LinkSession) -> None:
        lease = session.lease
        del self._sessions[lease.id]
        self._dispatch.unlinked(lease)
        self._leases.link_lost(lease, self._clock.monotonic())

    async def _greet(self, socket: WebSocket, lease: Lease) -> LinkSession:
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                hello = await _receive(socket)
        except TimeoutError:
            raise _RefusedError(link.CLOSE_INVALID, "no hello came") from None
        if not isinstance(hello, link.Hello):
            raise _RefusedError(link.CLOSE_INVALID, "the first frame must be hello")
        if hello.version != link.VERSION:
            raise _RefusedError(
                link.CLOSE_INVALID, f"link version {link.VERSION} is spoken here, not {hello.version}; upgrade truebeat"
            )
        present = self._sessions.get(lease.id)
        if present is not None and present.boot > hello.boot:
            raise _RefusedError(link.CLOSE_REPLACED, "a newer supervisor of this workspace holds the link")
        session = LinkSession(socket, lease, hello.boot)
        self._sessions[lease.id] = session
        lease.linked = True
        self._heartbeats.declare(lease, hello)
        self._dispatch.linked(lease, session)
        if present is not None:
            reason = "replaced by a newer supervisor" if hello.boot > present.boot else "replaced by its own new link"
            spawn(present.close(link.CLOSE_REPLACED, reason), name="close replaced link")
        return session

    def _welcome(self, session: LinkSession) -> None:
        lease = session.lease
        session.post(
            link.Welcome(
                version=link.VERSION,
                generation=lease.record.generation,
                beat_interval=self._beat_interval,
                lease=self._leases.lease,
            )
        )
        if lease.record.restart_pending:
            session.post(_restart_frame(lease))

    async def _end_with_token(self, session: LinkSession) -> None:
        """A link lives no longer than its token."""
        try:
            await self._tokens.until_ended(session.socket.headers.get("authorization", "").encode("latin-1"))
        except TruebeatError as error:
            code = link.CLOSE_GONE if isinstance(error, Gone) else link.CLOSE_UNAUTHENTICATED
            if self._sessions.get(session.lease.id) is session:
                # Now, not when its other end answers: no beat of it counts any more.
                self._lost(session)
            await session.close(code, error.message)

    async def _listen(self, session: LinkSession) -> None:
        while True:
            frame = await _receive(session.socket)
            if self._sessions.get(session.lease.id) is not session:
                return  # replaced while this frame was on its way
            if isinstance(frame, link.Report):
                await self._report(session, frame)
                continue
            if isinstance(frame, Begun | Chunk | Finished | HandedBack):
                self._dispatch.on_frame(session.lease, frame)
                continue
            if not isinstance(frame, link.Beat):
                raise _RefusedError(link.CLOSE_INVALID, "a second hello; close the link and dial again")
            try:
                await self._heartbeats.accept_link(session.lease, frame)
            except Unavailable as error:
                # Not acknowledged: the supervisor sends its state again.
                log.warning("beat not judged", workspace=session.lease.id, reason=error.message)
                continue
            except TruebeatError as error:
                session.post(link.Retire(reason=error.message))
                raise _RefusedError(link.CLOSE_GONE, error.message) from None
            session.post(link.Ack(seq=frame.seq, status=session.lease.status.value))
            self._dispatch.capacity(session.lease, frame)

    async def _report(self, session: LinkSession, report: link.Report) -> None:
        try:
            await self._incidents.accept_report(session.lease, report)
        except Unavailable as error:
            # Not settled: the supervisor repeats it.
            log.warning("report not stored", workspace=session.lease.id, reason=error.message)
            return
        session.post(Settled(n=report.n))

    def order_restart(self, lease: Lease) -> None:
        """Send the pending restart down the link, if there is one. It is sent again whenever the link comes back."""
        session = self._sessions.get(lease.id)
        if session is not None:
            session.post(_restart_frame(lease))

    def probe(self, lease: Lease, reason: str) -> None:
        """Ask its runtime now whether it answers; the next beats carry the canary."""
        session = self._sessions.get(lease.id)
        if session is not None:
            session.post(link.Probe(reason=reason))

    def retire(self, lease: Lease) -> None:
        """Tell a removed workspace's supervisor to stop."""
        session = self._sessions.get(lease.id)
        if session is not None:
            spawn(self._retire(session), name="retire workspace")

    @staticmethod
    async def _retire(session: LinkSession) -> None:
        session.post(link.Retire(reason="the workspace was removed"))
        await session.close(link.CLOSE_GONE, "the workspace was removed")

    async def stop(self) -> None:
        """Close every link: the supervisors dial again when the server is back."""
        await asyncio.gather(
            *(session.close(1012, "the server restarts") for session in list(self._sessions.values())),
            return_exceptions=True,
        )


def _restart_frame(lease: Lease) -> link.Restart:
    reason = "ordered" if lease.told is None else lease.told.restart_reason
    order = str(restart_id(lease.id, lease.record.awaiting_above))
    above = lease.record.awaiting_above
    return link.Restart(restart_id=order, reason=reason, by_operator=not ordered_by_platform(lease), above=above)


async def _receive(socket: WebSocket) -> link.Up:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
    data = message.get("text") or message.get("bytes") or b""
    if len(data) > link.FRAME_LIMIT:
        raise _RefusedError(link.CLOSE_INVALID, f"a frame is at most {link.FRAME_LIMIT} bytes")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _RefusedError(link.CLOSE_INVALID, f"not a frame: {error}") from None
