"""The official package's client, on a program that was started as an MCP client would start it, or on its HTTP port."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

PROGRAM = ("-m", "truebeat.cli.main", "mcp")


def environment(url: str, token: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUEBEAT_")}
    return kept | {"TRUEBEAT_URL": url, "TRUEBEAT_TOKEN": token} | more


@asynccontextmanager
async def over_stdio(url: str, token: str, **more: str) -> AsyncIterator[Client]:
    started = StdioServerParameters(command=sys.executable, args=list(PROGRAM), env=environment(url, token, **more))
    async with Client(started, read_timeout_seconds=30) as client:
        yield client


@asynccontextmanager
async def serving_http(url: str, token: str, **more: str) -> AsyncIterator[str]:
    """The address of a `truebeat mcp --http`, which is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *PROGRAM, "--http", "0", env=environment(url, token, **more), stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        assert ": http://127.0.0.1:" in line, line
        yield line.rpartition(": ")[2].strip()
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


@asynccontextmanager
async def at(address: str, token: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(address, http_client=http), read_timeout_seconds=30) as client,
    ):
        yield client


@asynccontextmanager
async def over_http(url: str, token: str, **more: str) -> AsyncIterator[Client]:
    async with serving_http(url, token, **more) as address, at(address, token) as client:
        yield client


TRANSPORTS = {"stdio": over_stdio, "http": over_http}


async def text_of(client: Client, name: str, **arguments: object) -> str:
    """What the model would read; an error is one."""
    answer = await client.call_tool(name, arguments)
    assert not answer.is_error, answer.content
    (part,) = answer.content
    return part.text
