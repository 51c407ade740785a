"""Tasks: send, look, wait, cancel; and the stream of what becomes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import msgspec

from truebeat import errors
from truebeat.client.http import error_from, is_loopback
from truebeat.clock import SystemClock
from truebeat.protocol import paths
from truebeat.protocol.tasks import TaskPage, TaskView, Update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from truebeat.client.http import Client
    from truebeat.protocol.tasks import NewTask

#: seconds between attempts to reach a server that went away, and after which that is an error
RECONNECT_DELAY: Final = 0.5
PATIENCE: Final = 60.0
#: seconds a handshake may take
OPEN_TIMEOUT: Final = 5.0


class Tasks:
    def __init__(self, client: Client) -> None:
        self._client = client

    def send(self, workspace_id: UUID, new: NewTask, *, key: str = "") -> TaskView:
        """On disk when this returns. `key`: the same key means the same task for a day; by default a new one."""
        path = paths.WORKSPACE_TASKS.format(workspace_id=workspace_id)
        return self._client.call(TaskView, "POST", path, new, headers={"Idempotency-Key": key or str(uuid4())})

    def page(
        self,
        workspace_id: UUID | None = None,
        *,
        states: str = "",
        context_id: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> TaskPage:
        """Of one workspace or of all, the newest change first; its `next` is the `after` of the following page."""
        query: dict[str, str | int] = {"limit": limit}
        if states:
            query["state"] = states
        if context_id is not None:
            query["context_id"] = context_id
        if after:
            query["after"] = after
        one = paths.WORKSPACE_TASKS.format(workspace_id=workspace_id)
        return self._client.call(TaskPage, "GET", paths.TASKS if workspace_id is None else one, query=query)

    def get(self, task_id: UUID) -> TaskView:
        return self._client.call(TaskView, "GET", paths.TASK.format(task_id=task_id))

    def cancel(self, task_id: UUID) -> TaskView:
        return self._client.call(TaskView, "POST", paths.TASK_CANCEL.format(task_id=task_id))

    def updates(self, task_id: UUID, after: int = 0) -> Iterator[Update]:
        """Until the last. A lost connection is dialled again from the last update, for PATIENCE seconds at most."""
        clock = SystemClock()
        seen, lost_at = after, None
        while True:
            try:
                for update in self._connected(task_id, seen):
                    lost_at = None
                    seen = max(seen, update.seq)
                    yield update
                    if update.final:
                        return
            except errors.Unavailable:
                now = clock.monotonic()
                lost_at = now if lost_at is None else lost_at
                if now - lost_at > PATIENCE:
                    raise
                _pause()
            else:
                return

    def _connected(self, task_id: UUID, after: int) -> Iterator[Update]:
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect

        parts = urlsplit(self._client.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        path = parts.path + paths.TASK_UPDATES.format(task_id=task_id)
        address = urlunsplit((scheme, parts.netloc, path, f"after={after}", ""))
        token = self._client.credentials.current()
        try:
            with connect(
                address,
                additional_headers={} if token is None else {"Authorization": f"Bearer {token}"},
                open_timeout=OPEN_TIMEOUT,
                close_timeout=1,
                max_size=None,
                proxy=None if is_loopback(self._client.url) else True,
            ) as socket:
                for frame in socket:
                    yield _read(frame)
                closed = socket.close_code
        except InvalidStatus as refused:
            raise error_from(
                refused.response.status_code, bytes(refused.response.body or b""), self._client.url
            ) from None
        except (ConnectionClosed, OSError, TimeoutError, InvalidHandshake) as error:
            raise errors.Unavailable(f"the stream of updates was lost ({error}); trying again") from None
        if closed != 1000:
            raise errors.Unavailable("the stream of updates was closed; trying again")


def _read(frame: str | bytes) -> Update:
    """An update; the last frame of a stream that ends with an error says which."""
    try:
        return msgspec.json.decode(frame, type=Update)
    except msgspec.DecodeError:
        pass
    told = msgspec.json.decode(frame)
    status = told.get("status", 0) if isinstance(told, dict) else 0
    raise error_from(int(status), frame if isinstance(frame, bytes) else frame.encode(), "the server")


def _pause() -> None:
    import time

    time.sleep(RECONNECT_DELAY)
