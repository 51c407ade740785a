"""Who may see and do what. Routes name a `Permission`; this table says which roles have it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a token makes its bearer. `enrolment` may only register workspaces."""

    OPERATOR = "operator"
    MEMBER = "member"
    VIEWER = "viewer"
    WORKSPACE = "workspace"
    ENROLMENT = "enrolment"


class Permission(StrEnum):
    """What a route asks for."""

    SEE = "see"  # names, roles, statuses, events without error texts
    SEE_DETAILS = "see_details"  # error texts, current tasks
    OPERATE = "operate"  # create, restart, remove, tokens
    BEAT = "beat"  # be a workspace: beat and hold a link, as itself only
    ENROL = "enrol"  # register a workspace and get a token for it


GRANTS: Final[dict[Role, frozenset[Permission]]] = {
    Role.OPERATOR: frozenset({Permission.SEE, Permission.SEE_DETAILS, Permission.OPERATE, Permission.ENROL}),
    Role.MEMBER: frozenset({Permission.SEE, Permission.SEE_DETAILS}),
    Role.VIEWER: frozenset({Permission.SEE}),
    Role.WORKSPACE: frozenset({Permission.SEE, Permission.BEAT}),
    Role.ENROLMENT: frozenset({Permission.ENROL}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a valid token speaks for. `workspace_id` is set exactly for the role `workspace`."""

    role: Role
    name: str
    workspace_id: str | None = None

    def may(self, permission: Permission) -> bool:
        return permission in GRANTS[self.role]

    def may_see_details(self, workspace_id: str) -> bool:
        """Error texts and current tasks: people who may, and the workspace itself."""
        return self.may(Permission.SEE_DETAILS) or self.workspace_id == workspace_id

    def is_workspace(self, workspace_id: str) -> bool:
        """A workspace acts only as itself."""
        return self.role is Role.WORKSPACE and self.workspace_id == workspace_id
