"""The canvas: the built page at `/` and its files under `/assets/`. What is missing is 404, never the page."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse, HTMLResponse, Response

from truebeat.errors import NotFound
from truebeat.protocol import paths
from truebeat.server.api.problems import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

#: where the build puts it
BUNDLE: Final = Path(__file__).parents[1] / "canvas_dist"

#: nothing but the page's own files, and no inline script
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
#: the files of a build are named by their contents
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_NOT_BUILT: Final = (
    "the canvas is not in this installation. Install truebeat from its wheel, or build it: "
    "cd canvas && npm ci && npm run build. The API and the command line work without it; see /docs"
)


def endpoints(bundle: Path = BUNDLE) -> dict[tuple[str, str], ASGIApp]:
    """By (method, path), as routes.py wants them."""

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await _page(bundle)(scope, receive, send)

    async def asset(scope: Scope, receive: Receive, send: Send) -> None:
        await _asset(bundle, scope["path_params"]["name"])(scope, receive, send)

    return {("GET", paths.CANVAS): page, ("GET", paths.CANVAS_ASSET): asset}


def _page(bundle: Path) -> Response:
    index = bundle / "index.html"
    if not index.is_file():
        text = f"<!doctype html><title>truebeat</title><p>{html.escape(_NOT_BUILT)}</p>"
        return HTMLResponse(text, 503, HEADERS)
    return FileResponse(index, headers={**HEADERS, "cache-control": "no-cache"})


def _asset(bundle: Path, name: str) -> Response:
    file = bundle / "assets" / name
    if name in {"", ".", ".."} or "\x00" in name or not file.is_file():
        return problem_response(NotFound("there is no such file of the canvas"))
    fresh = "no-cache" if name == "icon.svg" else _FOR_EVER
    return FileResponse(file, headers={**HEADERS, "cache-control": fresh})
