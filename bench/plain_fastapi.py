"""The heartbeat endpoint as one would write it plainly: a model, a token look-up, the last beat kept in a dict."""

import hashlib
import os
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field


class Beat(BaseModel):
    workspace_id: str
    error_rate: float = Field(0, ge=0, le=1)
    sample_error: str = ""
    active_tasks: int = 0
    current_task: str = ""
    uptime_seconds: float = 0
    runtime_state: str | None = None


class Reply(BaseModel):
    status: str
    next_beat_seconds: float
    lease_seconds: float


app = FastAPI()
tokens = {
    hashlib.sha256(token.encode()).hexdigest(): workspace
    for token, workspace in (pair.split("=") for pair in os.environ["BENCH_TOKENS"].split(","))
}
last: dict[str, tuple[datetime, Beat]] = {}


@app.post("/registry/heartbeat")
async def heartbeat(beat: Beat, authorization: Annotated[str, Header()]) -> Reply:
    known = tokens.get(hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest())
    if known != beat.workspace_id:
        raise HTTPException(401)
    last[beat.workspace_id] = (datetime.now(UTC), beat)
    degraded = beat.runtime_state == "wedged" or beat.error_rate >= 0.5
    return Reply(status="degraded" if degraded else "online", next_beat_seconds=10, lease_seconds=45)
