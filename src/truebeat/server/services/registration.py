"""POST /registry/register: who may claim a workspace's identity, and who gets a token for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truebeat.domain.access import Permission, Principal, Role
from truebeat.domain.health import Status
from truebeat.errors import Conflict, Forbidden, Gone, NotFound, Unauthenticated
from truebeat.protocol.resources import Registration, RegistrationReply
from truebeat.server.services.tokens import new_token
from truebeat.server.services.workspaces import FIRST_TOKEN
from truebeat.server.store import tokens as token_store
from truebeat.server.store import workspaces as workspace_store

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.server.services.workspaces import Newcomer, Workspaces
    from truebeat.server.store.database import Database
    from truebeat.server.store.workspaces import WorkspaceRow


class Registrar:
    """Invariant: without credentials at most one caller ever gets a token for a workspace, and none once it had one."""

    def __init__(self, database: Database, workspaces: Workspaces, clock: Clock) -> None:
        self._database = database
        self._workspaces = workspaces
        self._clock = clock

    async def register(self, registration: Registration, principal: Principal | None) -> RegistrationReply:
        """`principal` is None for a caller without credentials. Errors: Unauthenticated, Forbidden, NotFound, Gone."""
        if principal is None:
            return await self._first(registration)
        if principal.may(Permission.ENROL):
            try:
                return await self._enrol(registration)
            except Conflict:
                # Somebody created it in between: now it exists.
                return await self._enrol(registration)
        if not principal.is_workspace(str(registration.id)):
            raise Forbidden("this token may not register that workspace; use its own, or an operator's")
        async with self._database.transaction() as connection:
            _living(await workspace_store.get(connection, registration.id))
            await self._register(connection, registration)
        return RegistrationReply(status="registered")

    async def _first(self, registration: Registration) -> RegistrationReply:
        async with self._database.transaction() as connection:
            _living(await workspace_store.get(connection, registration.id))
            # `register` locks the row: of two that came this far together, the second finds it registered.
            first = await self._register(connection, registration)
            if not first or await token_store.any_ever_for_workspace(connection, registration.id):
                raise Unauthenticated("this workspace is registered; use its own token, or get one from an operator")
            secret = await self._token(connection, registration)
        return RegistrationReply(status="registered", auth_token=secret)

    async def _enrol(self, registration: Registration) -> RegistrationReply:
        newcomer: Newcomer | None = None
        async with self._database.transaction() as connection:
            row = await workspace_store.get(connection, registration.id)
            if row is None:
                name = registration.name or str(registration.id)
                newcomer = await self._workspaces.insert(connection, registration.id, name, registration=registration)
                secret = newcomer.secret
            else:
                _living(row)
                await self._register(connection, registration)
                secret = await self._token(connection, registration)
        if newcomer is not None:
            self._workspaces.welcome(newcomer)
        return RegistrationReply(status="registered", auth_token=secret)

    async def _register(self, connection: object, registration: Registration) -> bool:
        return await workspace_store.register(
            connection,
            registration.id,
            url=registration.url,
            agent_card=registration.agent_card,
            now=self._clock.now(),
        )

    async def _token(self, connection: object, registration: Registration) -> str:
        secret, row = new_token(FIRST_TOKEN, Role.WORKSPACE, registration.id, self._clock.now())
        await token_store.insert(connection, row)
        return secret


def _living(row: WorkspaceRow | None) -> WorkspaceRow:
    if row is None:
        raise NotFound("no such workspace; an operator creates it first, or registers it with an enrolment token")
    if row.record.status is Status.REMOVED:
        raise Gone("the workspace was removed; stop this agent")
    return row
