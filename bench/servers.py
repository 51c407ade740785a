"""The servers that bench.heartbeats compares: `python -m bench.servers (bare|fastapi|truebeat) PORT`."""

from __future__ import annotations

import asyncio
import os
import sys

import uvicorn


def bare():
    """The least an ASGI application can do with the same request: read the body, answer the same bytes."""
    answer = b'{"status":"online","next_beat_seconds":10.0,"lease_seconds":45.0}'
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())],
    }
    body = {"type": "http.response.body", "body": answer}

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await receive()
        await send(start)
        await send(body)

    return app


def fastapi():
    """The same endpoint as one would write it: a model, a token look-up, the last beat kept in a dict."""
    import hashlib
    from datetime import UTC, datetime

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
    async def heartbeat(beat: Beat, authorization: str = Header()) -> Reply:
        known = tokens.get(hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest())
        if known != beat.workspace_id:
            raise HTTPException(401)
        last[beat.workspace_id] = (datetime.now(UTC), beat)
        degraded = beat.runtime_state == "wedged" or beat.error_rate >= 0.5
        return Reply(status="degraded" if degraded else "online", next_beat_seconds=10, lease_seconds=45)

    return app


def main() -> None:
    target, port = sys.argv[1], int(sys.argv[2])
    if target == "truebeat":
        from truebeat.server.serve import serve

        from truebeat.server.settings import Settings

        asyncio.run(serve(Settings.from_env(os.environ), "127.0.0.1", port, embedded=None, ready=None))
        return
    app = {"bare": bare, "fastapi": fastapi}[target]()
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
