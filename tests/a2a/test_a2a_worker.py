"""The whole way: A2A client, server, link, supervisor, worker and back, with the agent of the compatibility kit."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
HEADERS = {"A2A-Version": "1.0", "Authorization": "Bearer admin-token-for-tests"}


@asynccontextmanager
async def running_agent(live, directory):
    env = {
        **os.environ, "TRUEBEAT_URL": live, "TRUEBEAT_TOKEN": "admin-token-for-tests",
        "TRUEBEAT_DATA_DIR": str(directory), "TCK_STREAMING_TIMEOUT": "0.3",
    }  # fmt: skip
    command = [sys.executable, "-m", "truebeat.cli.main", "run", "tck", "--json", "--agent", "python"]
    process = await asyncio.create_subprocess_exec(
        *command, "--option", "capacity=8", "tck_agent:answer",
        cwd=ROOT / "examples", env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            yield json.loads(await process.stdout.readline())["id"]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
async def tck(live, new_directory, until):
    """Sends a message of this id to the kit's agent; gives the JSON-RPC answer, or the events of a stream."""
    async with (
        running_agent(live, new_directory()) as workspace_id,
        httpx2.AsyncClient(base_url=live, timeout=30, headers=HEADERS) as client,
    ):

        async def online():
            return (await client.get(f"/workspaces/{workspace_id}")).json()["status"] == "online"

        await until(online, 30)

        async def send(message_id, method="SendMessage", **more):
            message = {"messageId": message_id, "role": "ROLE_USER", "parts": [{"text": "x"}], **more}
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message}}
            answer = await client.post(f"/workspaces/{workspace_id}/a2a/", json=body)
            if method == "SendMessage":
                return answer.json()["result"]
            return [json.loads(line[5:])["result"] for line in answer.text.splitlines() if line.startswith("data:")]

        yield send


async def test_the_agent_of_the_kit_does_what_message_ids_ask_for(tck):
    done = (await tck("tck-complete-task-1"))["task"]
    assert done["artifacts"][0]["parts"] == [{"text": "Hello from TCK"}]
    made = (await tck("tck-artifact-file-url-1"))["task"]["artifacts"][0]["parts"][0]
    assert made == {"url": "https://example.com/output.txt", "filename": "output.txt", "mediaType": "text/plain"}
    data = (await tck("tck-artifact-data-1"))["task"]["artifacts"][0]["parts"]
    assert data == [{"data": {"key": "value", "count": 42}}]
    assert (await tck("tck-message-response-1"))["message"]["parts"] == [{"text": "Direct message response"}]
    assert (await tck("tck-reject-task-1"))["task"]["status"]["state"] == "TASK_STATE_FAILED"
    asked = (await tck("tck-input-required-1"))["task"]
    assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    ended = (await tck("tck-complete-task-2", taskId=asked["id"]))["task"]
    assert (ended["id"], ended["status"]["state"]) == (asked["id"], "TASK_STATE_COMPLETED")
    events = await tck("tck-stream-artifact-chunked-1", "SendStreamingMessage")
    pieces = [event["artifactUpdate"]["artifact"]["parts"][0]["text"] for event in events if "artifactUpdate" in event]
    assert pieces == ["chunk-1 ", "chunk-2"]
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert (await tck("test-resubscribe-message-id-1"))["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
