"""Who asks, and of which workspace. One for each request, passed on in the ASGI scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from truebeat.domain.access import Principal

#: where the ASGI scope and the SDK's call context carry it
KEY: Final = "truebeat.a2a.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """`base` is the URL of the workspace's endpoint, without a slash at its end.

    legacy: by a method name of 0.3, so a quick reply is a Message. version: the A2A version asked for, "" if none was.
    itself: the workspace writes to itself, and says so (X-Workspace-ID): it wakes itself, and must not wait for that.
    wait: to be called before anything is accepted of a call that waits; its place is free again when the request has
    ended, however it did. Errors: Unavailable (too many wait).
    """

    principal: Principal
    workspace_id: UUID
    base: str
    version: str = ""
    legacy: bool = False
    idempotency_key: str = ""
    itself: bool = False
    wait: Callable[[], None] = lambda: None
