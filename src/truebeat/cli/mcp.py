"""`truebeat mcp`: the agents' tools for one workspace, as an MCP server on stdio or on loopback HTTP."""

from __future__ import annotations

import asyncio
import sys


def mcp(*, http: int | None = None) -> None:
    """The agents' tools (delegate_task, list_peers, ...) as an MCP server.

    It acts for the workspace whose token is in TRUEBEAT_TOKEN or TRUEBEAT_TOKEN_FILE, at TRUEBEAT_URL, and speaks MCP
    on standard input and output, as an MCP client expects of a program that it starts.

    Parameters
    ----------
    http
        Listen on this port of 127.0.0.1 instead (0: any free one), by streamable HTTP. Every request has to carry the
        workspace's token.
    """
    from truebeat.tools.catalog import Tools
    from truebeat.tools.desk import Desk
    from truebeat.tools.place import of_environment

    here = of_environment()
    with Desk(here.place) as desk:
        tools = Tools(desk, lambda: here.task_id)
        if http is None:
            from truebeat.tools.mcp_server import serve_stdio

            asyncio.run(serve_stdio(tools))
            return
        from truebeat.tools.mcp_http import address, listen, serve_http

        with listen(http) as listening:
            print(f"MCP for workspace {here.place.workspace_id}: {address(listening)}", flush=True, file=sys.stderr)
            asyncio.run(serve_http(tools, here.place.tokens, listening))
