"""The servers that the benchmarks compare: `python -m bench.servers (bare|fastapi|a2a|a2a-memory|truebeat) PORT`."""

from __future__ import annotations

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
    from bench.plain_fastapi import app

    return app


def a2a():
    from bench.a2a_durable import durable

    return durable()


def a2a_memory():
    from bench.a2a_durable import in_memory

    return in_memory()


def main() -> None:
    target, port = sys.argv[1], int(sys.argv[2])
    if target == "truebeat":
        from truebeat.server.serve import run
        from truebeat.server.settings import Settings

        run(Settings.from_env(os.environ), "127.0.0.1", port)
        return
    app = {"bare": bare, "fastapi": fastapi, "a2a": a2a, "a2a-memory": a2a_memory}[target]()
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
