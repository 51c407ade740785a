"""/openapi.json and /docs, both made from the table of routes."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import HTMLResponse, Response

from truebeat import __version__
from truebeat.protocol.resources import BODY_LIMIT, Problem
from truebeat.protocol.tasks import TASK_BODY_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from truebeat.server.api.call import Call
    from truebeat.server.api.routes import Route
    from truebeat.server.main import Services

_REF = "#/components/schemas/{name}"


async def document(_services: Services, _call: Call) -> Response:
    return Response(_json(), media_type="application/json")


async def page(_services: Services, _call: Call) -> Response:
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(_html(), headers=headers)


@cache
def _json() -> bytes:
    return msgspec.json.format(msgspec.json.encode(describe()))


def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 document. WebSockets, which it can't express, are told of in the `x-websockets` list."""
    from truebeat.server.api.routes import ROUTES

    http = [route for route in ROUTES if route.method != "WS"]
    types = _types(http)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(_key, types), schemas, strict=True))
    described: dict[str, dict[str, Any]] = {}
    for route in http:
        described.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "truebeat",
            "version": __version__,
            "summary": "A control plane for fleets of AI agents whose heartbeats can't lie.",
            "description": f"Bodies are at most {BODY_LIMIT} bytes, tasks {TASK_BODY_LIMIT}. "
            "Unknown fields are ignored, wrong types refused.",
        },
        "paths": described,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "x-websockets": [
            {"path": route.path, "permission": route.access, "summary": route.summary}
            for route in ROUTES
            if route.method == "WS"
        ],
    }


def _types(routes: Iterable[Route]) -> list[Any]:
    found: dict[str, Any] = {_key(Problem): Problem}
    for route in routes:
        for kind in (route.body, route.reply):
            if kind is not None:
                found[_key(kind)] = kind
    return list(found.values())


def _key(kind: Any) -> str:
    return str(kind)


def _operation(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "done"}
    if route.reply is not None:
        success["content"] = {"application/json": {"schema": schema_of[_key(route.reply)]}}
    problem = {
        "description": "a problem; `code` says which kind",
        "content": {"application/problem+json": {"schema": schema_of[_key(Problem)]}},
    }
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "parameters": _parameters(route),
        "responses": {str(route.status): success, "default": problem},
    }
    if route.body is not None:
        schema = schema_of[_key(route.body)]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.access is not None:
        operation["security"] = [{"token": []}]
        operation["x-permission"] = route.access
    elif route.optional_token:
        operation["security"] = [{}, {"token": []}]
    return operation


def _operation_id(route: Route) -> str:
    return f"{route.method.lower()}{re.sub(r'[^a-z]+', '_', route.path)}".rstrip("_")


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        # Inline: a query's schema is nobody else's.
        schema = msgspec.json.schema(route.query)
        properties = schema["$defs"][route.query.__name__]["properties"]
        parameters.extend(
            {"name": name, "in": "query", "required": False, "schema": _inlined(of, schema["$defs"])}
            for name, of in properties.items()
        )
    return parameters


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return definitions[schema["$ref"].rsplit("/", 1)[1]]
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    return schema


@cache
def _html() -> str:
    from truebeat.server.api.routes import ROUTES

    _, components = msgspec.json.schema_components(
        _types(route for route in ROUTES if route.method != "WS"), ref_template="#{name}"
    )
    rows = "".join(_row(route) for route in ROUTES)
    types = "".join(_type(name, schema) for name, schema in sorted(components.items()))
    return _PAGE.format(version=escape(__version__), rows=rows, types=types)


def _row(route: Route) -> str:
    needs = "nothing" if route.access is None else route.access.value
    return (
        f"<tr><td><code>{escape(route.method)}</code></td><td><code>{escape(route.path)}</code></td>"
        f"<td>{escape(route.summary)}</td><td>{escape(needs)}</td>"
        f"<td>{_link(route.body)}</td><td>{_link(route.reply)}</td></tr>"
    )


def _link(kind: Any) -> str:
    if kind is None:
        return ""
    inner = getattr(kind, "__args__", None)
    name = (inner[0] if inner else kind).__name__
    listed = "list of " if inner else ""
    return f'{listed}<a href="#{escape(name)}">{escape(name)}</a>'


def _type(name: str, schema: dict[str, Any]) -> str:
    fields = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in schema.get('required', ()) else ' ?'}</td>"
        f"<td><code>{escape(msgspec.json.encode(of).decode())}</code></td></tr>"
        for field, of in schema.get("properties", {}).items()
    )
    values = ", ".join(map(str, schema.get("enum", ())))
    return (
        f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))} {escape(values)}</p>'
        + (f"<table>{fields}</table>" if fields else "")
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>truebeat API</title>
<meta name="viewport" content="width=device-width">
<style>
:root{{color-scheme:light dark}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}
td,th{{border-bottom:1px solid #8884;padding:.3rem .6rem;text-align:left;vertical-align:top}}
code{{overflow-wrap:anywhere}}
</style></head><body>
<h1>truebeat API {version}</h1>
<p>JSON over HTTP and WebSocket. Machines read <a href="/openapi.json">/openapi.json</a>. Send
<code>Authorization: Bearer &lt;token&gt;</code>. Errors are problem documents (RFC 9457)
with a stable <code>code</code>.</p>
<table>
<tr><th>Method</th><th>Path</th><th>What it does</th><th>Needs</th><th>Takes</th><th>Gives</th></tr>
{rows}
</table>
<h2>Types</h2>{types}
</body></html>
"""
