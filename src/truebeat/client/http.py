"""One request to the server: its token, its one retry after a 401, its errors made typed."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from truebeat import errors
from truebeat.protocol import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from truebeat.client.credentials import TokenSource
    from truebeat.client.delegations import Delegations
    from truebeat.client.events import Events
    from truebeat.client.incidents import Incidents
    from truebeat.client.registry import Registry
    from truebeat.client.tasks import Tasks
    from truebeat.client.tokens import Tokens
    from truebeat.client.workspaces import Workspaces

T = TypeVar("T")

#: seconds a request may take, connecting included
TIMEOUT: Final = 10.0

_BY_CODE: Final = {
    kind.code: kind
    for kind in (
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.Conflict,
        errors.Gone,
        errors.TooLarge,
        errors.Invalid,
        errors.Unavailable,
    )
}
_BY_STATUS: Final = {kind.http_status: kind for kind in _BY_CODE.values()}


def is_loopback(url: str) -> bool:
    """Whether it is on this machine, where no proxy from the environment must stand between."""
    return (urlsplit(url).hostname or "") in {"localhost", "127.0.0.1", "::1"}


class Health(msgspec.Struct, kw_only=True):
    """`ready`: it and its database can do their work. `date`: what its clock says, in whole seconds."""

    ready: bool
    date: datetime | None


class Client:
    """Raises `truebeat.errors`: Unavailable if no server answers, else the kind that its problem document names."""

    def __init__(
        self, url: str, tokens: TokenSource, *, timeout: float = TIMEOUT, transport: httpx2.BaseTransport | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise errors.Invalid(f"{url!r} is not the address of a server; give one like http://127.0.0.1:8700")
        self.url = url.rstrip("/")
        self.credentials = tokens
        self._timeout = timeout
        near = is_loopback(url)
        # Without TLS and proxies nothing is verified, and to load the authorities takes longer than all calls of most
        # clients: a command, a tool's call.
        verified = not near or parts.scheme == "https"
        self._http = httpx2.Client(
            base_url=self.url, timeout=timeout, transport=transport, trust_env=not near, verify=verified
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @cached_property
    def workspaces(self) -> Workspaces:
        from truebeat.client.workspaces import Workspaces

        return Workspaces(self)

    @cached_property
    def delegations(self) -> Delegations:
        from truebeat.client.delegations import Delegations

        return Delegations(self)

    @cached_property
    def events(self) -> Events:
        from truebeat.client.events import Events

        return Events(self)

    @cached_property
    def incidents(self) -> Incidents:
        from truebeat.client.incidents import Incidents

        return Incidents(self)

    @cached_property
    def tasks(self) -> Tasks:
        from truebeat.client.tasks import Tasks

        return Tasks(self)

    @cached_property
    def tokens(self) -> Tokens:
        from truebeat.client.tokens import Tokens

        return Tokens(self)

    @cached_property
    def registry(self) -> Registry:
        from truebeat.client.registry import Registry

        return Registry(self)

    def call(
        self,
        answer: type[T],
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        longer: float = 0.0,
    ) -> T:
        """One call whose answer is decoded as `answer`; `None` as the body sends none. longer: seconds that the server
        may take on top of the usual.
        """
        response = self._send(method, path, body, query, headers, longer)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            raise errors.Unavailable(
                f"what answers at {self.url} is not a truebeat server of this version ({error}); check the address"
            ) from None

    def probe(self) -> Health:
        """How the server is, without a token."""
        answer = self._once("GET", paths.READYZ, None, None, None)
        try:
            date = parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError:
            date = None
        return Health(ready=answer.is_success, date=date)

    def order(self, method: str, path: str, body: object = None) -> None:
        """One call whose answer says nothing more than that it was done."""
        self._send(method, path, body, None)

    def _send(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, str | int] | None,
        more: Mapping[str, str] | None = None,
        longer: float = 0.0,
    ) -> httpx2.Response:
        content = None if body is None else msgspec.json.encode(body)
        token = self.credentials.current()
        response = self._once(method, path, content, query, token, more, longer)
        if response.status_code == 401:
            # The token may have been rotated under us: read it again, once, and send the very same body.
            response = self._once(method, path, content, query, self.credentials.refresh(), more, longer)
        if response.is_success:
            return response
        raise error_from(response.status_code, response.content, self.url)

    def _once(
        self,
        method: str,
        path: str,
        content: bytes | None,
        query: Mapping[str, str | int] | None,
        token: str | None,
        more: Mapping[str, str] | None = None,
        longer: float = 0.0,
    ) -> httpx2.Response:
        headers = dict(more or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            return self._http.request(
                method,
                path,
                content=content,
                headers=headers,
                params=dict(query or {}),
                timeout=self._timeout + longer,
            )
        except httpx2.TimeoutException:
            raise errors.Unavailable(f"the server at {self.url} did not answer in time; try again") from None
        except httpx2.TransportError as error:
            raise errors.Unavailable(
                f"no server answers at {self.url} ({error}); is it running? Start one with: truebeat up"
            ) from None


def error_from(status: int, content: bytes, url: str) -> errors.TruebeatError:
    """The typed error an answer means; an answer that is no problem document is judged by its status."""
    try:
        problem: Any = msgspec.json.decode(content)
    except msgspec.DecodeError:
        problem = None
    if isinstance(problem, dict) and isinstance(problem.get("detail"), str):
        kind = _BY_CODE.get(str(problem.get("code"))) or _BY_STATUS.get(status)
        facts = problem.get("facts")
        known = {str(key): value for key, value in facts.items() if key != "message"} if isinstance(facts, dict) else {}
        if kind is not None:
            return kind(problem["detail"], **known)
    kind = _BY_STATUS.get(status)
    if kind is None and status >= 500:
        return errors.Unavailable(f"the server at {url} failed (HTTP {status}); its log says why")
    if kind is None:
        return errors.Invalid(f"the server at {url} refused the request (HTTP {status})")
    return kind(f"the server at {url} answered HTTP {status}: {_meaning(kind)}")


def _meaning(kind: type[errors.TruebeatError]) -> str:
    return (kind.__doc__ or "").strip()
