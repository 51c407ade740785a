"""Who may message whom: parents, children, siblings, and everybody above and below; or all, if that is set."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from truebeat.domain.delegations import Kin, Messaging, may_message, relation
from truebeat.errors import Conflict, Forbidden, NotFound
from truebeat.server.store import delegations as store

if TYPE_CHECKING:
    from truebeat.server.store.database import Database


class Hierarchy:
    def __init__(self, database: Database, messaging: Messaging) -> None:
        self._database = database
        self._messaging = messaging

    async def check(self, source_id: UUID, target_id: UUID) -> None:
        """Errors: Forbidden, Unavailable."""
        if self._messaging is Messaging.ALL:
            return
        async with self._database.acquire() as connection:
            found = await store.relations(connection, {source_id, target_id})
        if not may_message(_kin(source_id, found), _kin(target_id, found), self._messaging):
            raise Forbidden(
                "that workspace is neither above nor below nor beside this one in the hierarchy, so it may not be "
                "messaged; list the peers to see who may, or ask your parent"
            )

    async def peers(self, source_id: UUID) -> list[tuple[UUID, str, str, str]]:
        """(id, name, role, relation) of all that it may message, by name."""
        async with self._database.acquire() as connection:
            living = await store.living(connection)
        parents = {workspace_id: parent for workspace_id, _, _, parent in living}
        leads = {parent for parent in parents.values() if parent is not None}

        def kin(workspace_id: UUID) -> Kin:
            above: list[str] = []
            parent = parents.get(workspace_id)
            while parent is not None and len(above) < 64:
                above.append(str(parent))
                parent = parents.get(parent)
            return Kin(str(workspace_id), tuple(above), workspace_id in leads)

        itself = kin(source_id)
        return [
            (workspace_id, name, role, relation(itself, other) or "peer")
            for workspace_id, name, role, _ in living
            if may_message(itself, other := kin(workspace_id), self._messaging)
        ]

    async def find(self, source_id: UUID, name_or_id: str) -> UUID:
        """The peer that is meant. Errors: NotFound, Conflict (several carry the name), Forbidden."""
        try:
            target_id = UUID(name_or_id)
        except ValueError:
            pass
        else:
            if target_id != source_id:
                await self.check(source_id, target_id)
            return target_id
        async with self._database.acquire() as connection:
            living = await store.living(connection)
        named = [workspace_id for workspace_id, name, *_ in living if name == name_or_id]
        if not named:
            raise NotFound("no workspace has that name; list the peers to see whom you may ask")
        if len(named) > 1:
            peers = {workspace_id for workspace_id, *_ in await self.peers(source_id)}
            named = [workspace_id for workspace_id in named if workspace_id in peers]
            if len(named) > 1:
                raise Conflict("several peers have that name; name one by its id", ids=[str(one) for one in named])
            if not named:
                raise Forbidden("none of the workspaces with that name may be messaged; list the peers to see who may")
            return named[0]
        if named[0] != source_id:
            await self.check(source_id, named[0])
        return named[0]


def _kin(workspace_id: UUID, found: dict[UUID, list[store.Ancestor]]) -> Kin:
    line = found.get(workspace_id, [])
    above = tuple(str(one.id) for one in line if one.step > 0)
    return Kin(str(workspace_id), above, any(one.leads for one in line if one.step == 0))
