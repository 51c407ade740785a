"""Every path, once. Templates use Starlette's braces."""

from __future__ import annotations

from typing import Final

REGISTER: Final = "/registry/register"
HEARTBEAT: Final = "/registry/heartbeat"
WORKSPACES: Final = "/workspaces"
WORKSPACE: Final = "/workspaces/{workspace_id}"
RESTART: Final = "/workspaces/{workspace_id}/restart"
LINK: Final = "/workspaces/{workspace_id}/link"
EVENTS: Final = "/events"
TOKENS: Final = "/tokens"
TOKEN: Final = "/tokens/{token_id}"
TOKEN_ROTATE: Final = "/tokens/{token_id}/rotate"
HEALTHZ: Final = "/healthz"
READYZ: Final = "/readyz"
OPENAPI: Final = "/openapi.json"
DOCS: Final = "/docs"
