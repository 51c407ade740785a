"""a2a-sdk's own server, with its DatabaseTaskStore or in memory, and an agent that answers at once."""

from __future__ import annotations

import os

from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import DatabaseTaskStore, InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, Part, Task, TaskState, TaskStatus
from starlette.applications import Starlette


class Echo(AgentExecutor):
    async def execute(self, context, queue):
        await queue.enqueue_event(
            Task(
                id=context.task_id,
                context_id=context.context_id,
                status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
                history=[context.message],
            )
        )
        updater = TaskUpdater(queue, context.task_id, context.context_id)
        await updater.complete(updater.new_agent_message([Part(text="hello yourself")]))

    async def cancel(self, context, queue):
        await TaskUpdater(queue, context.task_id, context.context_id).cancel()


def durable() -> Starlette:
    from sqlalchemy.ext.asyncio import create_async_engine

    url = os.environ["TRUEBEAT_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=10)
    return _app(DatabaseTaskStore(engine, table_name="a2a_tasks"))


def in_memory() -> Starlette:
    return _app(InMemoryTaskStore())


def _app(store) -> Starlette:
    card = AgentCard(name="echo", description="", version="1", capabilities=AgentCapabilities(streaming=True))
    handler = DefaultRequestHandler(agent_executor=Echo(), task_store=store, agent_card=card)
    return Starlette(routes=create_jsonrpc_routes(handler, rpc_url="/"))
