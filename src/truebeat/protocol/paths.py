"""Every path, once. Templates use Starlette's braces."""

from __future__ import annotations

from typing import Final

REGISTER: Final = "/registry/register"
HEARTBEAT: Final = "/registry/heartbeat"
WORKSPACES: Final = "/workspaces"
WORKSPACE: Final = "/workspaces/{workspace_id}"
RESTART: Final = "/workspaces/{workspace_id}/restart"
LINK: Final = "/workspaces/{workspace_id}/link"
A2A: Final = "/workspaces/{workspace_id}/a2a"
A2A_CARD: Final = "/workspaces/{workspace_id}/a2a/.well-known/agent-card.json"
A2A_OLD_CARD: Final = "/workspaces/{workspace_id}/a2a/v0.3/.well-known/agent-card.json"
A2A_BELOW: Final = "/workspaces/{workspace_id}/a2a/{below:path}"
EVENTS: Final = "/events"
INCIDENTS: Final = "/incidents"
INCIDENT: Final = "/incidents/{incident_id}"
TOKENS: Final = "/tokens"
TOKEN: Final = "/tokens/{token_id}"
TOKEN_ROTATE: Final = "/tokens/{token_id}/rotate"
HEALTHZ: Final = "/healthz"
READYZ: Final = "/readyz"
OPENAPI: Final = "/openapi.json"
DOCS: Final = "/docs"
SESSION: Final = "/session"
CANVAS: Final = "/"
CANVAS_ASSET: Final = "/assets/{name}"
