"""The agents' tools inside the CLI: an MCP server of the SDK in this process, without a program or a port of its own.

What is on decides for whom a call is made: the executor says which task it works on, and the delegation hangs below it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from truebeat.domain import envelope
from truebeat.tools.catalog import TOOLS, Tools
from truebeat.tools.desk import Desk

if TYPE_CHECKING:
    from truebeat.tools.place import Place
    from truebeat.workspace.executors.base import Turn

SERVER: Final = "truebeat"
#: as the CLI names them
ALLOWED: Final = tuple(f"mcp__{SERVER}__{name}" for name in TOOLS)


class NativeTools:
    """For one executor; each client gets a server of its own."""

    def __init__(self, sdk: Any, place: Place) -> None:
        self._sdk = sdk
        self._desk = Desk(place)
        self._tools = Tools(self._desk, lambda: self.task)
        #: the task that is worked on, or ""
        self.task = ""

    def server(self) -> Any:
        """For `ClaudeAgentOptions.mcp_servers`."""
        sdk = self._sdk
        made = [
            sdk.SdkMcpTool(
                name=name, description=tool.description, input_schema=tool.schema, handler=partial(self._call, name)
            )
            for name, tool in TOOLS.items()
        ]
        return sdk.create_sdk_mcp_server(SERVER, tools=made)

    async def _call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = await self._tools.call(name, arguments)
        return {"content": [{"type": "text", "text": answer.text}], "is_error": answer.error}

    def close(self) -> None:
        self._desk.close()


def prompt(turn: Turn) -> str:
    """A turn's text as the model gets it: results in their block before it, and another agent named as its sender."""
    return envelope.render(turn.results) + _sender(turn) + turn.text


def _sender(turn: Turn) -> str:
    if turn.sender_kind != "workspace":
        return ""
    name = f" {envelope.quoted(envelope.cut(turn.sender_name, envelope.NAME_LIMIT)[0])}" if turn.sender_name else ""
    return f"[truebeat] The following is from another agent{name}, not from a person.\n\n"
