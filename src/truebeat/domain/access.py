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
    SEND = "send"  # send tasks to workspaces, read one's own, cancel them
    BEAT = "beat"  # be a workspace: beat and hold a link, as itself only
    ENROL = "enrol"  # register a workspace and get a token for it


GRANTS: Final[dict[Role, frozenset[Permission]]] = {
    Role.OPERATOR: frozenset(
        {Permission.SEE, Permission.SEE_DETAILS, Permission.SEND, Permission.OPERATE, Permission.ENROL}
    ),
    Role.MEMBER: frozenset({Permission.SEE, Permission.SEE_DETAILS, Permission.SEND}),
    Role.VIEWER: frozenset({Permission.SEE}),
    Role.WORKSPACE: frozenset({Permission.SEE, Permission.SEND, Permission.BEAT}),
    Role.ENROLMENT: frozenset({Permission.ENROL}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a valid token speaks for. `workspace_id` is set exactly for the role `workspace`. lineage: what the token
    keeps when it is rotated, and no other has; "" for those that act without one.
    """

    role: Role
    name: str
    workspace_id: str | None = None
    lineage: str = ""

    @property
    def sender_id(self) -> str:
        """Whose the tasks are that it sends. Names are chosen freely: two tokens of one name are two senders."""
        return self.workspace_id or self.lineage or self.name

    def may(self, permission: Permission) -> bool:
        return permission in GRANTS[self.role]

    def may_see_details(self, workspace_id: str) -> bool:
        """Error texts and current tasks: people who may, and the workspace itself."""
        return self.may(Permission.SEE_DETAILS) or self.workspace_id == workspace_id

    def is_workspace(self, workspace_id: str) -> bool:
        """A workspace acts only as itself."""
        return self.role is Role.WORKSPACE and self.workspace_id == workspace_id


# --- tasks: who they are from and for decides -------------------------------------------------------------------------


def may_send(principal: Principal, workspace_id: str) -> bool:
    """A workspace sends to its peers, never to itself: it would wait for its own turn."""
    return principal.may(Permission.SEND) and principal.workspace_id != workspace_id


def may_see_task(principal: Principal, workspace_id: str, sender_kind: str, sender_id: str) -> bool:
    """That it exists and how it stands: people; of workspaces the one it is for and the one it is from."""
    if principal.role is Role.WORKSPACE:
        return principal.workspace_id == workspace_id or _sent(principal, sender_kind, sender_id)
    return principal.may(Permission.SEE)


def may_read_task(principal: Principal, workspace_id: str, sender_kind: str, sender_id: str) -> bool:
    """What it says and what was answered."""
    if principal.role is Role.WORKSPACE:
        return may_see_task(principal, workspace_id, sender_kind, sender_id)
    return principal.may(Permission.SEE_DETAILS)


def may_cancel(principal: Principal, sender_kind: str, sender_id: str) -> bool:
    """Its sender, who also replies to its questions; and an operator."""
    return principal.may(Permission.OPERATE) or _sent(principal, sender_kind, sender_id)


def _sent(principal: Principal, sender_kind: str, sender_id: str) -> bool:
    if principal.role is Role.WORKSPACE:
        return sender_kind == "workspace" and sender_id == principal.workspace_id
    return sender_kind != "workspace" and sender_id == principal.sender_id and principal.may(Permission.SEND)
