"""THE table: every path, who may use it, what it takes and gives, and which handler does it.

Routing, access, OpenAPI and the page at /docs are all made from it, so none can drift from another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route as StarletteRoute
from starlette.routing import WebSocketRoute

from truebeat.domain.access import Permission
from truebeat.protocol import delegations as d
from truebeat.protocol import paths
from truebeat.protocol import resources as r
from truebeat.protocol import tasks as t
from truebeat.protocol.events import EventPage
from truebeat.protocol.incidents import IncidentDetail, IncidentPage
from truebeat.server.api import (
    delegations,
    events,
    incidents,
    notifications,
    openapi,
    probes,
    registry,
    sessions,
    tasks,
    tokens,
    workspaces,
)
from truebeat.server.api.call import endpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from truebeat.server.services.tokens import Tokens

#: access of a route that needs no token
PUBLIC: Final = None


@dataclass(frozen=True, slots=True)
class Route:
    """One row. `handler` is None where a bare ASGI endpoint, given by path when the app is built, does the work."""

    method: str
    path: str
    access: Permission | None
    handler: Callable[[Any, Any], Awaitable[Any]] | None
    summary: str
    body: type[Any] | None = None
    reply: type[Any] | None = None
    query: type[Any] | None = None
    status: int = 200
    #: a token is looked at if one is sent
    optional_token: bool = False
    #: bytes of a request body
    body_limit: int = r.BODY_LIMIT


SEE, SEND, OPERATE, BEAT = Permission.SEE, Permission.SEND, Permission.OPERATE, Permission.BEAT

# fmt: off
ROUTES: Final = (
    Route("POST", paths.REGISTER, PUBLIC, registry.register,
          "Claim a workspace; the first time, or with an operator's or enrolment token, the answer has its token",
          body=r.Registration, reply=r.RegistrationReply, optional_token=True),
    Route("POST", paths.HEARTBEAT, BEAT, None,
          "A workspace's own beat; the answer has the judged status",
          body=r.Heartbeat, reply=r.HeartbeatReply),
    Route("GET", paths.WORKSPACES, SEE, workspaces.page,
          "All workspaces by name, in pages; removed ones only with status=removed",
          query=workspaces.PageQuery, reply=r.WorkspacePage),
    Route("POST", paths.WORKSPACES, OPERATE, workspaces.create,
          "A new workspace and its first token",
          body=r.NewWorkspace, reply=r.CreatedWorkspace, status=201),
    Route("GET", paths.WORKSPACE, SEE, workspaces.show,
          "One workspace; error texts only for those who may see them",
          reply=r.WorkspaceView),
    Route("DELETE", paths.WORKSPACE, OPERATE, workspaces.remove,
          "Remove it for good: its tokens end, a late beat is answered 410",
          status=204),
    Route("POST", paths.RESTART, OPERATE, workspaces.restart,
          "Order a new generation over the link; 409 without a link or while one is pending",
          reply=r.RestartReply, status=202),
    Route("WS", paths.LINK, BEAT, None,
          "The link of a workspace's supervisor; frames are in truebeat.protocol.link"),
    Route("POST", paths.A2A, SEE, None,
          "A2A by JSON-RPC: 1.0 methods, those of 0.3, and the bare old shape of message/send"),
    Route("GET", paths.A2A_CARD, PUBLIC, None,
          "The workspace's A2A 1.0 agent card, with ETag and Last-Modified"),
    Route("GET", paths.A2A_OLD_CARD, PUBLIC, None,
          "The agent card with the fields of A2A 0.3 as well"),
    Route("GET", paths.A2A_BELOW, SEE, None,
          "A2A by REST: tasks, tasks/{id}, its subscription and push configurations, extendedAgentCard; v0.3/v1/..."),
    Route("POST", paths.A2A_BELOW, SEE, None,
          "A2A by REST: message:send, message:stream, tasks/{id}:cancel ...; v0.3 is the JSON-RPC endpoint of 0.3"),
    Route("DELETE", paths.A2A_BELOW, SEE, None,
          "A2A by REST: tasks/{id}/pushNotificationConfigs/{id}"),
    Route("POST", paths.WORKSPACE_TASKS, SEND, tasks.send,
          "Send a task, or the reply to one: it is kept until it has ended; `availability` says what to expect. "
          "An Idempotency-Key header makes a repeated send the same task for 24 hours",
          body=t.NewTask, reply=t.TaskView, status=202, body_limit=t.TASK_BODY_LIMIT),
    Route("GET", paths.WORKSPACE_TASKS, SEE, tasks.page,
          "Its tasks, the newest change first; texts only for those who may read them",
          query=tasks.TasksQuery, reply=t.TaskPage),
    Route("GET", paths.TASKS, SEE, tasks.page,
          "Tasks of the whole fleet, the newest change first; a workspace gets those of its own mailbox",
          query=tasks.TasksQuery, reply=t.TaskPage),
    Route("GET", paths.TASK, SEE, tasks.show,
          "One task; with `wait` its end is waited for, but never in vain",
          query=tasks.TaskQuery, reply=t.TaskView),
    Route("POST", paths.TASK_CANCEL, SEND, tasks.cancel,
          "Cancel: at once, or, while its worker can be told, when that has answered",
          reply=t.TaskView),
    Route("WS", paths.TASK_UPDATES, SEE, None,
          "One update of a task a text frame, after `after`, until the last"),
    Route("GET", paths.TASK_TRACE, SEE, delegations.trace,
          "The whole tree of who asked whom that a task is part of",
          reply=d.TraceNode),
    Route("POST", paths.DELEGATIONS, SEND, delegations.create,
          "Give work to a peer, as that workspace or as an operator; with wait_seconds the answer has the result. "
          "An Idempotency-Key header makes a repeated one the same delegation for 24 hours",
          body=d.NewDelegation, reply=d.DelegationView, status=202, body_limit=t.TASK_BODY_LIMIT),
    Route("GET", paths.DELEGATIONS, SEE, delegations.page,
          "What a workspace delegated, newest first; with as=target what was delegated to it",
          query=delegations.DelegationsQuery, reply=list[d.DelegationView]),
    Route("GET", paths.OPEN_DELEGATIONS, SEE, delegations.open_ones,
          "Delegations of the whole fleet that have not ended: who waits for whom; a workspace gets its own",
          reply=d.OpenDelegations),
    Route("GET", paths.DELEGATION, SEE, delegations.show,
          "One delegation; with `wait` its end is waited for, but never in vain",
          query=delegations.DelegationQuery, reply=d.DelegationView),
    Route("POST", paths.DELEGATION_CANCEL, SEND, delegations.cancel,
          "Cancel it, with everything that was delegated on because of it",
          reply=d.DelegationView),
    Route("POST", paths.DELEGATION_CONSUMED, BEAT, delegations.confirm,
          "The workspace that delegated it has the result: it is not given again, unless its turn is interrupted",
          query=delegations.ConsumedQuery, reply=d.DelegationView),
    Route("GET", paths.PEERS, SEE, delegations.peers,
          "Whom a workspace may message, and whether they can take work now",
          reply=list[d.Peer]),
    Route("POST", paths.NOTIFY, SEND, notifications.notify,
          "Something for the person who watches",
          body=d.NewNotification, reply=d.NotificationView, status=201),
    Route("GET", paths.NOTIFICATIONS, Permission.SEE_DETAILS, notifications.page,
          "What people were told, newest first, and how many are unread",
          query=notifications.NotificationsQuery, reply=d.NotificationPage),
    Route("POST", paths.NOTIFICATION_READ, Permission.SEE_DETAILS, notifications.read,
          "It was read",
          reply=d.NotificationView),
    Route("POST", paths.NOTIFICATIONS_READ, Permission.SEE_DETAILS, notifications.read_through,
          "It and all older ones were read",
          body=d.NotificationsRead, reply=d.NotificationsUnread),
    Route("GET", paths.EVENTS, SEE, events.read,
          "Events after `since`, oldest first; 410 when those were pruned",
          query=events.EventsQuery, reply=EventPage),
    Route("WS", paths.EVENTS, SEE, None,
          "One event a text frame, from after `since` (default: from now); closes with 4410 when those were pruned. "
          "With `pulse=SECONDS` a frame of the type pulse so often, with the server's time and why it is unsure"),
    Route("GET", paths.INCIDENTS, SEE, incidents.page,
          "Incidents, newest first; error texts only for those who may see them",
          query=incidents.IncidentsQuery, reply=IncidentPage),
    Route("GET", paths.INCIDENT, SEE, incidents.show,
          "One incident: timeline, evidence, stack, standard error",
          reply=IncidentDetail),
    Route("GET", paths.SESSION, SEE, sessions.show,
          "Who this is",
          reply=r.SessionView),
    Route("POST", paths.SESSION, PUBLIC, sessions.open_,
          "Log the canvas in: a token or a login code becomes an HttpOnly cookie",
          body=r.Login, reply=r.SessionView, status=201),
    Route("DELETE", paths.SESSION, SEE, sessions.close,
          "Log out",
          status=204),
    Route("GET", paths.CANVAS, PUBLIC, None, "The canvas: the page where people watch and drive the fleet"),
    Route("GET", paths.CANVAS_ASSET, PUBLIC, None, "A file of the canvas"),
    Route("GET", paths.TOKENS, OPERATE, tokens.listing,
          "Tokens, oldest first, without their secrets",
          query=tokens.TokensQuery,
          reply=list[r.TokenView]),
    Route("POST", paths.TOKENS, OPERATE, tokens.issue,
          "A new token; its secret is shown this once",
          body=r.NewToken, reply=r.IssuedToken, status=201),
    Route("DELETE", paths.TOKEN, OPERATE, tokens.revoke,
          "End a token at once",
          status=204),
    Route("POST", paths.TOKEN_ROTATE, OPERATE, tokens.rotate,
          "A successor; the old one lives until the new one was used, or 10 minutes",
          reply=r.IssuedToken, status=201),
    Route("GET", paths.HEALTHZ, PUBLIC, probes.healthz, "The process is alive", reply=probes.Health),
    Route("GET", paths.READYZ, PUBLIC, probes.readyz, "It can do its work; 503 with the reasons otherwise",
          reply=probes.Readiness),
    Route("GET", paths.OPENAPI, PUBLIC, openapi.document, "This API as OpenAPI 3.1"),
    Route("GET", paths.DOCS, PUBLIC, openapi.page, "This API as a page to read"),
)
# fmt: on


#: of every answer: it holds for this asker and this moment, and is what it says it is
PRIVATE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def build(services: Any, tokens_service: Tokens, bare: Mapping[tuple[str, str], ASGIApp]) -> list[BaseRoute]:
    """Starlette's routes. `bare` has the ASGI endpoint of each (method, path) that has no handler.

    One path's methods become one route, so that a wrong method is answered 405 with all that are right.
    """
    built: list[BaseRoute] = []
    by_path: dict[str, dict[str, ASGIApp]] = {}
    for route in ROUTES:
        key = (route.method, route.path)
        if route.method == "WS":
            built.append(WebSocketRoute(route.path, bare[key]))
        else:
            app = bare[key] if route.handler is None else _asgi(endpoint(route, services, tokens_service))
            by_path.setdefault(route.path, {})[route.method] = app
    built.extend(
        StarletteRoute(path, _Methods(methods), methods=list(methods), include_in_schema=False)
        for path, methods in by_path.items()
    )
    return built


def _asgi(answer: Callable[[Any], Awaitable[Any]]) -> ASGIApp:
    from starlette.requests import Request

    async def app(scope: Any, receive: Any, send: Any) -> None:
        response = await answer(Request(scope, receive, send))
        for name, value in PRIVATE.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    return app


class _Methods:
    """Calls the endpoint of the request's method; Starlette has refused all others."""

    def __init__(self, methods: dict[str, ASGIApp]) -> None:
        self._methods = methods

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self._methods[method](scope, receive, send)
