"""Workspaces: list, create, show, restart, remove; and finding the one a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from truebeat import errors
from truebeat.protocol import paths
from truebeat.protocol.resources import CreatedWorkspace, NewWorkspace, RestartReply, WorkspacePage, WorkspaceView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from truebeat.client.http import Client
    from truebeat.domain.health import Status

PAGE_SIZE: Final = 500


class Workspaces:
    def __init__(self, client: Client) -> None:
        self._client = client

    def page(self, *, after: str | None = None, limit: int = PAGE_SIZE, status: Status | None = None) -> WorkspacePage:
        """One page by name; its `next` is the `after` of the following one. Removed ones only if asked for."""
        query: dict[str, str | int] = {"limit": limit}
        if after is not None:
            query["after"] = after
        if status is not None:
            query["status"] = status.value
        return self._client.call(WorkspacePage, "GET", paths.WORKSPACES, query=query)

    def snapshot(self, *, status: Status | None = None) -> WorkspacePage:
        """All of them in one page, current to the `seq` of the first: a stream from there misses nothing."""
        first = self.page(status=status)
        found, following = list(first.workspaces), first.next
        while following is not None:
            more = self.page(after=following, status=status)
            found += more.workspaces
            following = more.next
        return WorkspacePage(workspaces=found, seq=first.seq)

    def named(self, name: str) -> Iterator[WorkspaceView]:
        """Those not removed that carry exactly this name; names need not be unique."""
        return (view for view in self.snapshot().workspaces if view.name == name)

    def find(self, name_or_id: str) -> WorkspaceView:
        """The one meant: by id, else by its exact name; NotFound or Conflict says what to do."""
        workspace_id = as_id(name_or_id)
        if workspace_id is not None:
            return self.get(workspace_id)
        found = list(self.named(name_or_id))
        if not found:
            raise errors.NotFound(f"no workspace is named {name_or_id!r}; see: truebeat ps")
        if len(found) > 1:
            ids = ", ".join(str(view.id) for view in found)
            raise errors.Conflict(f"{len(found)} workspaces are named {name_or_id!r}; name one by its id: {ids}")
        return found[0]

    def get(self, workspace_id: UUID) -> WorkspaceView:
        return self._client.call(WorkspaceView, "GET", paths.WORKSPACE.format(workspace_id=workspace_id))

    def create(self, new: NewWorkspace) -> CreatedWorkspace:
        """The answer carries the first token, this once."""
        return self._client.call(CreatedWorkspace, "POST", paths.WORKSPACES, new)

    def restart(self, workspace_id: UUID) -> RestartReply:
        return self._client.call(RestartReply, "POST", paths.RESTART.format(workspace_id=workspace_id))

    def remove(self, workspace_id: UUID) -> None:
        self._client.order("DELETE", paths.WORKSPACE.format(workspace_id=workspace_id))


def as_id(text: str) -> UUID | None:
    """The id, if the text is one."""
    try:
        return UUID(text)
    except ValueError:
        return None
