"""Push notifications: each update of a task, posted to where its client wants it, if the operator allowed that host.

A delivery is tried a few times, then given up; the next update is tried anew. It follows no redirect and connects only
to the address that was checked. `X-Truebeat-Signature: t=<unix seconds>,v1=<hex>` is the HMAC-SHA256 of `<t>.<body>`
with TRUEBEAT_PUSH_SECRET.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import httpx2
import msgspec
import structlog
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import TaskNotFoundError
from a2a.utils.proto_utils import to_stream_response
from google.protobuf.json_format import MessageToDict

from truebeat.domain.access import Principal, Role
from truebeat.errors import Forbidden, Invalid, NotFound, TruebeatError
from truebeat.server.a2a import views
from truebeat.server.background.tasks import spawn
from truebeat.server.store import push_configs as store
from truebeat.server.store.push_configs import PushConfigRow

if TYPE_CHECKING:
    from uuid import UUID

    from truebeat.clock import Clock
    from truebeat.protocol.tasks import TaskView
    from truebeat.server.a2a.push_target import Target, Targets
    from truebeat.server.services.mailbox import Mailbox
    from truebeat.server.services.notices import Notices
    from truebeat.server.store.database import Database

log = structlog.get_logger(__name__)

#: configurations of one task
PER_TASK: Final = 10
#: configurations that are followed at the same time
FOLLOWED: Final = 1000
#: seconds that one delivery may take, and waits before it is tried again
TIMEOUT: Final = 10.0
RETRIES: Final = (1.0, 5.0, 25.0)
#: how long a configuration is kept after its task ended
KEPT: Final = timedelta(days=7)
_KINDS: Final = frozenset({"status", "artifact", "unavailable", "available"})
#: what reads tasks for it: whoever made a configuration was allowed to see them
_READER: Final = Principal(role=Role.OPERATOR, name="push notifications")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What pushes are signed with, and how long they wait between tries (seconds)."""

    secret: bytes
    retries: tuple[float, ...] = RETRIES


class Push:
    def __init__(
        self,
        mailbox: Mailbox,
        database: Database,
        clock: Clock,
        targets: Targets,
        delivery: Delivery,
        notices: Notices,
    ) -> None:
        self._mailbox = mailbox
        self._notices = notices
        self._database = database
        self._clock = clock
        self._targets = targets
        self._delivery = delivery
        self._following: dict[tuple[UUID, str], asyncio.Task[None]] = {}

    # --- configurations ----------------------------------------------------------------------------------------------

    def check(self, config: pb.TaskPushNotificationConfig) -> None:
        """Errors: Invalid."""
        self._targets.parse(config.url)
        texts = (config.id, config.token, config.authentication.scheme, config.authentication.credentials)
        if any(len(text) > 2000 or not text.isprintable() or not text.isascii() for text in texts):
            raise Invalid("id, token and authentication: at most 2000 visible ASCII characters each")

    async def create(
        self, config: pb.TaskPushNotificationConfig, view: TaskView, principal: Principal
    ) -> pb.TaskPushNotificationConfig:
        """One of the same id is replaced. Errors: Forbidden (may not see the task's texts), Invalid (too many)."""
        if not principal.may_see_details(str(view.workspace_id)) and view.sender.id != principal.workspace_id:
            raise Forbidden("a push notification carries the task's texts, which this token may not see")
        row = PushConfigRow(
            task_id=view.id,
            id=config.id or str(uuid4()),
            url=config.url,
            token=config.token,
            scheme=config.authentication.scheme,
            credentials=config.authentication.credentials,
            delivered=view.updates,
        )
        async with self._database.transaction() as connection:
            if not await store.put(connection, row, self._clock.now(), PER_TASK):
                raise Invalid(f"a task has at most {PER_TASK} push notification configurations")
        self._follow(row)
        return _shown(row)

    async def get(self, task_id: UUID, config_id: str) -> pb.TaskPushNotificationConfig:
        found = [config for config in await self.listing(task_id) if config.id == config_id]
        if not found:
            raise TaskNotFoundError("no such push notification configuration")
        return found[0]

    async def listing(self, task_id: UUID) -> list[pb.TaskPushNotificationConfig]:
        async with self._database.acquire() as connection:
            return [_shown(row) for row in await store.of_task(connection, task_id)]

    async def delete(self, task_id: UUID, config_id: str) -> None:
        """One that is not there is no error: the protocol wants it so."""
        async with self._database.transaction() as connection:
            await store.delete(connection, task_id, config_id)
        if (task := self._following.pop((task_id, config_id), None)) is not None:
            task.cancel()

    # --- deliveries --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """A duty: goes on with what an earlier server began, and forgets what ended long ago."""
        try:
            while True:
                async with self._database.transaction() as connection:
                    await store.prune(connection, self._clock.now() - KEPT)
                    rows = await store.under_way(connection, FOLLOWED)
                for row in rows:
                    if (row.task_id, row.id) not in self._following:
                        self._follow(row)
                await asyncio.sleep(60)
        finally:
            for task in self._following.values():
                task.cancel()
            self._following.clear()

    def _follow(self, row: PushConfigRow) -> None:
        key = (row.task_id, row.id)
        if (before := self._following.pop(key, None)) is not None:
            before.cancel()
        if len(self._following) >= FOLLOWED:
            log.warning("too many push notifications at the same time; this one waits", task=str(row.task_id))
            return
        task = spawn(self._push_all(row), name="a2a push")
        self._following[key] = task
        task.add_done_callback(lambda ended: self._ended(key, ended))

    def _ended(self, key: tuple[UUID, str], ended: asyncio.Task[None]) -> None:
        if self._following.get(key) is ended:
            del self._following[key]

    async def _push_all(self, row: PushConfigRow) -> None:
        try:
            view = await self._mailbox.get(row.task_id, _READER)
            stream = views.Stream(view)
            seq, state = row.delivered, view.state
            with self._notices.listen(row.task_id, view.workspace_id) as listener:
                async with httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=TIMEOUT) as client:
                    while True:
                        async for update in self._mailbox.updates(row.task_id, _READER, seq):
                            seq, state = max(seq, update.seq), update.state
                            if update.kind in _KINDS:
                                for event in stream.events(update):
                                    await self._deliver(client, row, event)
                                async with self._database.transaction() as connection:
                                    await store.delivered(connection, row.task_id, row.id, seq, done=state.final)
                        if not state.paused or self._notices.closed:
                            return
                        # The mailbox's stream ends with a question; what follows the reply is pushed too.
                        await listener.woken()
        except NotFound:
            async with self._database.transaction() as connection:
                await store.delete(connection, row.task_id, row.id)
        except TruebeatError as error:
            log.warning("push notifications are held up; they go on in a minute", reason=error.message)

    async def _deliver(self, client: httpx2.AsyncClient, row: PushConfigRow, event: views.Event) -> None:
        body = msgspec.json.encode(MessageToDict(to_stream_response(event)))
        problem = ""
        for wait in (0.0, *self._delivery.retries):
            await asyncio.sleep(wait)
            try:
                target = self._targets.parse(row.url)
                status = await self._post(client, target, str(await self._targets.resolve(target)), row, body)
            except Invalid as error:
                problem = error.message
                break
            except (OSError, httpx2.HTTPError) as error:
                problem = type(error).__name__
                continue
            if status < 300:
                return
            problem = f"it answered {status}"
        log.warning("a push notification was given up", task=str(row.task_id), config=row.id, reason=problem)

    async def _post(
        self, client: httpx2.AsyncClient, target: Target, address: str, row: PushConfigRow, body: bytes
    ) -> int:
        """To that very address: a name that is looked up again could be another."""
        at = str(int(self._clock.now().timestamp()))
        signature = hmac.new(self._delivery.secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        usual = target.port == {"http": 80, "https": 443}[target.scheme]
        name = f"[{target.host}]" if ":" in target.host else target.host
        headers = {
            "host": name if usual else f"{name}:{target.port}",
            "content-type": "application/a2a+json",
            "x-truebeat-signature": f"t={at},v1={signature}",
        }
        if row.token:
            headers["x-a2a-notification-token"] = row.token
        if row.scheme:
            headers["authorization"] = f"{row.scheme} {row.credentials}".strip()
        place = f"[{address}]" if ":" in address else address
        async with client.stream(
            "POST",
            f"{target.scheme}://{place}:{target.port}{target.path}",
            content=body,
            headers=headers,
            extensions={"sni_hostname": target.host},
        ) as response:
            return int(response.status_code)


def _shown(row: PushConfigRow) -> pb.TaskPushNotificationConfig:
    """Without the credentials: whoever gave them has them, and nobody else is to learn them."""
    config = pb.TaskPushNotificationConfig(id=row.id, task_id=str(row.task_id), url=row.url, token=row.token)
    if row.scheme:
        config.authentication.scheme = row.scheme
    return config
