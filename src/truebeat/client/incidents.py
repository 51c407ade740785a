"""Incidents: list, and one with its timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat import errors
from truebeat.client.workspaces import as_id
from truebeat.protocol import paths
from truebeat.protocol.incidents import IncidentDetail, IncidentPage

if TYPE_CHECKING:
    from uuid import UUID

    from truebeat.client.http import Client

#: the fewest characters of an id that are taken for one
PREFIX: Final = 6
#: how many of the newest incidents are looked through for an id's beginning
NEWEST: Final = 500


class Incidents:
    def __init__(self, client: Client) -> None:
        self._client = client

    def page(
        self,
        *,
        workspace_id: UUID | None = None,
        open_: bool | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> IncidentPage:
        """Newest first; its `next` is the `after` of the following page."""
        query: dict[str, str | int] = {"limit": limit}
        if workspace_id is not None:
            query["workspace_id"] = str(workspace_id)
        if open_ is not None:
            query["open"] = "true" if open_ else "false"
        if after is not None:
            query["after"] = after
        return self._client.call(IncidentPage, "GET", paths.INCIDENTS, query=query)

    def get(self, incident_id: UUID) -> IncidentDetail:
        return self._client.call(IncidentDetail, "GET", paths.INCIDENT.format(incident_id=incident_id))

    def find(self, text: str) -> IncidentDetail | None:
        """The incident of that id, or of an id that begins so; None if there is none."""
        incident_id = as_id(text)
        if incident_id is not None:
            try:
                return self.get(incident_id)
            except errors.NotFound:
                return None
        prefix = text.lower()
        if len(prefix) < PREFIX or not set(prefix) <= set("0123456789abcdef-"):
            return None
        found = [view.id for view in self.page(limit=NEWEST).incidents if str(view.id).startswith(prefix)]
        if len(found) > 1:
            raise errors.Conflict(f"{len(found)} incidents begin with {text!r}; give more of the id")
        return self.get(found[0]) if found else None
