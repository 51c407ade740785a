"""The last client of the 0.3 protocol, in an environment of its own: it can't share one with the present SDK."""

import asyncio
import os
from pathlib import Path

import pytest

CLIENT = Path(__file__).with_name("client_0_3.py")


async def behave(agent, deliver):
    await agent.begin(deliver)
    if deliver["text"] == "ask":
        await agent.finish(deliver, "what?", state="input-required")
    elif deliver["text"] == "long":
        await agent.canceled.get()
        await agent.finish(deliver, "", state="canceled")
    else:
        await agent.finish(deliver, f"you said {deliver['text']}")


@pytest.mark.parametrize("transport", ["JSONRPC", "HTTP+JSON"])
async def test_the_0_3_client(agent, base, transport):
    agent.behave = behave
    command = ["uv", "run", "--isolated", "--no-project", "--with", "a2a-sdk==0.3.26", "python", str(CLIENT)]
    env = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    process = await asyncio.create_subprocess_exec(
        *command, f"{base}/v0.3", "admin-token-for-tests", transport,
        env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(100):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()[-4000:]
    assert output.decode().endswith("ok\n")
