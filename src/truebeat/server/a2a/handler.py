"""The SDK's request handler over the mailbox. It keeps nothing: every answer is read from, and every promise kept by,
`services/mailbox.py`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import ParseDict

from truebeat.domain.access import may_cancel
from truebeat.errors import Forbidden, Unavailable
from truebeat.server.a2a import requests, views
from truebeat.server.a2a.caller import KEY
from truebeat.server.a2a.faults import translated, translated_stream
from truebeat.server.services.task_views import may_follow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from a2a.server.context import ServerCallContext

    from truebeat.protocol.tasks import TaskView
    from truebeat.server.a2a.caller import Caller
    from truebeat.server.a2a.push import Push
    from truebeat.server.services.mailbox import Mailbox
    from truebeat.server.services.notices import Notices


class Cards(Protocol):
    """What the endpoint knows of an agent."""

    async def extended(self, caller: Caller) -> dict[str, Any]:
        """The card for those with a token."""
        ...

    async def input_modes(self, caller: Caller) -> list[str]:
        """The media types that the agent takes."""
        ...


class MailboxHandler(RequestHandler):
    """`push` is None where push notifications are off."""

    def __init__(
        self,
        mailbox: Mailbox,
        cards: Cards,
        push: Push | None,
        notices: Notices,
    ) -> None:
        self._mailbox = mailbox
        self._cards = cards
        self._push = push
        self._notices = notices

    # --- sends -------------------------------------------------------------------------------------------------------

    @translated(UnsupportedOperationError)
    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task | pb.Message:
        """Waits for the end or a question, unless it was asked to return at once or the agent can't take work: then the
        task is in the mailbox, and its metadata says why it waits there.
        """
        caller = _caller(context)
        history = requests.history_length(params.configuration)
        waits = not (params.configuration.return_immediately or caller.itself)
        if waits:
            caller.wait()
        view = await self._send(params, caller)
        if waits and may_follow(view):
            with suppress(Unavailable):  # it is accepted: an error would have the client send it again
                view = await self._mailbox.wait(view.id, caller.principal)
        if (reply := views.message(view, legacy=caller.legacy)) is not None:
            return reply
        return views.task(view, history=history)

    @translated_stream(UnsupportedOperationError)
    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[views.Event, None]:
        """Ends with the task, with a question, or when the agent becomes unable to take work: nobody waits in vain."""
        caller = _caller(context)
        history = requests.history_length(params.configuration)
        caller.wait()
        view = await self._send(params, caller)
        yield views.task(view, history=history)
        if not may_follow(view):
            return
        stream = views.Stream(view)
        async for update in self._mailbox.updates(view.id, caller.principal, view.updates):
            for event in stream.events(update):
                yield event
            if update.final or update.kind == "unavailable":
                return

    async def _send(self, params: pb.SendMessageRequest, caller: Caller) -> TaskView:
        new = requests.new_task(params)
        if any(part.media_type for part in params.message.parts):
            requests.check_media_types(params.message, await self._cards.input_modes(caller))
        wanted = params.configuration.task_push_notification_config
        if wanted.url and self._push is None:
            raise PushNotificationNotSupportedError
        if wanted.url and self._push is not None:
            self._push.check(wanted)
        if new.task_id is not None:
            asked = await self._view(new.task_id, caller)
            new = requests.reply_to(new, asked.context_id, refuse=InvalidParamsError)
            # A key may show that this reply was taken already: that is for the mailbox to know.
            if not asked.paused and not caller.idempotency_key:
                raise UnsupportedOperationError(f"the task is {asked.state.value} and asks for nothing; send a new one")
        view = await self._mailbox.send(
            caller.workspace_id,
            new,
            caller.principal,
            idempotency_key=caller.idempotency_key,
            client=caller.principal.workspace_id is None and not caller.legacy,
            itself=caller.itself and caller.legacy,
        )
        if wanted.url and self._push is not None:
            wanted.task_id = str(view.id)
            await self._push.create(wanted, view, caller.principal)
        return view

    # --- tasks -------------------------------------------------------------------------------------------------------

    @translated(UnsupportedOperationError)
    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        caller = _caller(context)
        history = requests.history_length(params)
        return views.task(await self._view(requests.task_id(params.id), caller), history=history)

    @translated(UnsupportedOperationError)
    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """The newest change first. History comes only as far as it is asked for."""
        caller = _caller(context)
        size = requests.page_size(params)
        history = requests.history_length(params) or 0
        page = await self._mailbox.page(
            caller.principal,
            workspace_id=caller.workspace_id,
            context_id=params.context_id or None,
            states=requests.states(params),
            after=params.page_token,
            limit=size,
            updated_after=requests.updated_after(params),
            whole=bool(params.include_artifacts or history),
        )
        return pb.ListTasksResponse(
            tasks=[views.task(view, history=history, artifacts=params.include_artifacts) for view in page.tasks],
            next_page_token=page.next or "",
            page_size=size,
            total_size=page.total,
        )

    @translated(TaskNotCancelableError)
    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """One that a worker holds is still working in the answer: it ends when its worker says so."""
        caller = _caller(context)
        task_id = requests.task_id(params.id)
        await self._view(task_id, caller)
        return views.task(await self._mailbox.cancel(task_id, caller.principal))

    @translated_stream(UnsupportedOperationError)
    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[views.Event, None]:
        """The task as it is, then everything its turn put out from the beginning, until it ends. Questions don't end
        it: whoever subscribed may see the reply and what follows.
        """
        caller = _caller(context)
        task_id = requests.task_id(params.id)
        caller.wait()
        with self._notices.listen(task_id, caller.workspace_id) as listener:
            view = await self._view(task_id, caller)
            if view.final:
                raise UnsupportedOperationError(f"the task has ended ({view.state.value}); get it instead")
            yield views.task(view)
            patient = not may_follow(view)
            stream = views.Stream(view)
            seen, state = 0, view.state
            while not (state.final or self._notices.closed):
                async for update in self._mailbox.updates(task_id, caller.principal, seen):
                    live = update.kind in {"unavailable", "available"}
                    if live or update.seq > view.updates or update.kind == "text":
                        for event in stream.events(update):
                            yield event
                    else:
                        stream.passed(update)
                    seen, state = max(seen, update.seq), update.state
                    if update.kind == "unavailable" and not patient:
                        return
                    patient = patient and update.kind != "available"
                if state.paused:
                    # The mailbox's stream ends with a question; whoever subscribed sees the reply too.
                    await listener.woken()

    async def _view(self, task_id: UUID, caller: Caller) -> TaskView:
        view = await self._mailbox.get(task_id, caller.principal)
        if view.workspace_id != caller.workspace_id:
            raise TaskNotFoundError("no such task of this agent")
        return view

    # --- push notifications ------------------------------------------------------------------------------------------

    @translated(UnsupportedOperationError)
    async def on_create_task_push_notification_config(
        self, params: pb.TaskPushNotificationConfig, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        push = self._pushing()
        caller = _caller(context)
        push.check(params)
        return await push.create(params, await self._view(requests.task_id(params.task_id), caller), caller.principal)

    @translated(UnsupportedOperationError)
    async def on_get_task_push_notification_config(
        self, params: pb.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        push = self._pushing()
        view = await self._own(params.task_id, _caller(context))
        return await push.get(view.id, params.id)

    @translated(UnsupportedOperationError)
    async def on_list_task_push_notification_configs(
        self, params: pb.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        push = self._pushing()
        view = await self._own(params.task_id, _caller(context))
        return pb.ListTaskPushNotificationConfigsResponse(configs=await push.listing(view.id))

    @translated(UnsupportedOperationError)
    async def on_delete_task_push_notification_config(
        self, params: pb.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        push = self._pushing()
        view = await self._own(params.task_id, _caller(context))
        await push.delete(view.id, params.id)

    async def _own(self, task_id: str, caller: Caller) -> TaskView:
        """A task whose configurations are this caller's: where its updates go is no business of other readers."""
        view = await self._view(requests.task_id(task_id), caller)
        if not may_cancel(caller.principal, view.sender.kind, view.sender.id):
            raise Forbidden(
                "only its sender or an operator may see or delete a task's push notification configurations"
            )
        return view

    def _pushing(self) -> Push:
        if self._push is None:
            raise PushNotificationNotSupportedError
        return self._push

    # --- the card ----------------------------------------------------------------------------------------------------

    @translated(UnsupportedOperationError)
    async def on_get_extended_agent_card(
        self, params: pb.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> pb.AgentCard:
        card = pb.AgentCard()
        ParseDict(await self._cards.extended(_caller(context)), card)
        return card


def _caller(context: ServerCallContext) -> Caller:
    caller: Caller = context.state[KEY]
    return caller
