"""a2a-sdk's own server with its DatabaseTaskStore, and an agent that answers at once."""

from __future__ import annotations

import os

from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import DatabaseTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, Part, Task, TaskState, TaskStatus
from sqlalchemy.ext.asyncio import create_async_engine
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


def app() -> Starlette:
    url = os.environ["TRUEBEAT_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=10)
    card = AgentCard(name="echo", description="", version="1", capabilities=AgentCapabilities(streaming=True))
    handler = DefaultRequestHandler(agent_executor=Echo(), task_store=DatabaseTaskStore(engine, table_name="a2a_tasks"), agent_card=card)
    return Starlette(routes=create_jsonrpc_routes(handler, rpc_url="/"))
