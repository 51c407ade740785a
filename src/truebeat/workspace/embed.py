"""`truebeat.Workspace`: a workspace inside an existing Python process.

    async with truebeat.Workspace("ada", handler=answer) as ws:
        await ws.serve()

embed.py         the context manager: enter, leave, ticks and probes in the process's own loop
embed_turns.py   its tasks, in that loop; embed_task.py: one of them
embed_restart.py  starting over as another generation, in that loop
embed_thread.py  the thread that holds the link: a blocked loop is told as stalled, not as silence
embed_core.py    that thread's rules, pure; embed_commands.py: what goes in and out
embed_meter.py   whether the loop moves
embed_place.py   which workspace it is
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import threading
from typing import TYPE_CHECKING, Final, Self

from truebeat import errors
from truebeat.clock import SystemClock
from truebeat.domain.phases import PHASES
from truebeat.tools.place import Place
from truebeat.workspace import embed_commands as do
from truebeat.workspace import embed_place, measure, wedge
from truebeat.workspace.embed_core import Core
from truebeat.workspace.embed_meter import TICK, LoopMeter
from truebeat.workspace.embed_restart import Restarts
from truebeat.workspace.embed_thread import Canary, Herald, Stop, Wedge
from truebeat.workspace.embed_turns import Turns
from truebeat.workspace.events import Refusal
from truebeat.workspace.executors.threads import call
from truebeat.workspace.link import address
from truebeat.workspace.tokens import TokenOrigin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from types import TracebackType

    from truebeat.workspace.embed_task import Task
    from truebeat.workspace.embed_thread import Message, Told
    from truebeat.workspace.embed_turns import Handler

#: seconds that entering waits for a server that does not answer; with workspace_id it does not wait at all
PATIENCE: Final = 60.0
#: seconds that entering waits for the first acknowledgement, before it goes on without
FIRST_ACK: Final = 5.0
#: seconds that leaving waits for the server to take the token back
GIVING_BACK: Final = 5.0

_ERRORS: Final[dict[Refusal, type[errors.TruebeatError]]] = {
    Refusal.GONE: errors.Gone,
    Refusal.REPLACED: errors.Conflict,
    Refusal.UNAUTHENTICATED: errors.Unauthenticated,
    Refusal.FORBIDDEN: errors.Forbidden,
    Refusal.NOT_FOUND: errors.NotFound,
    Refusal.INVALID: errors.Invalid,
}


class Workspace:
    """One workspace, for as long as the `async with` lasts. Use it from one event loop, once.

    name: its name or id; it is created if the token may. url, token: else TRUEBEAT_URL and TRUEBEAT_TOKEN or
    TRUEBEAT_TOKEN_FILE. token_file: re-read when the token is refused. workspace_id: skips asking the server, so that
    a process can start before it.

    handler: takes the `Turn`; an async function that returns the answer, or an async generator of its pieces (text, or
    outputs such as Progress and InputRequired). Without one, take the tasks from `tasks()`. capacity: tasks at a time.
    probe: raises if what does the work does not answer; called every `probe_interval` seconds, and two failures in a
    row are told. on_restart: called when a restart is ordered, after what runs was interrupted; health is claimed
    again once it returned, what ran has ended and a probe from then on passed.
    loop_bound: seconds the event loop may be blocked before that is told. grace: seconds that leaving, and starting
    over, give the turns.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str | None = None,
        token: str | None = None,
        token_file: str | None = None,
        workspace_id: str | None = None,
        role: str = "",
        handler: Handler | None = None,
        capacity: int = 1,
        probe: Callable[[], Awaitable[object]] | None = None,
        probe_interval: float = 5.0,
        probe_timeout: float = 2.0,
        on_restart: Callable[[], Awaitable[object]] | None = None,
        loop_bound: float = 2.0,
        bounds: Mapping[str, float] | None = None,
        grace: float = 5.0,
    ) -> None:
        if capacity < 1:
            raise errors.Invalid("capacity is at least 1")
        self.name = name
        #: known after entering
        self.id = workspace_id or ""
        self._url = embed_place.url_of(url)
        self._tokens = embed_place.tokens_of(token, token_file)
        self._role = role
        self._probe = probe
        self._loop_bound = loop_bound
        self._bounds = dict(bounds or {})
        # no rarer than the server needs it: without a canary an idle workspace stands still
        still_after = self._bounds.get("idle", PHASES["idle"].still_after or math.inf)
        self._probe_interval, self._probe_timeout = min(probe_interval, still_after / 2), probe_timeout
        self._grace = grace
        self._clock = SystemClock()
        self._turns = Turns(handler, capacity, self._say, self._clock)
        self._restarts = Restarts(self._turns, on_restart, grace)
        self._own: set[asyncio.Task[None]] = set()
        self._give_back: Callable[[], None] | None = None
        self._herald: Herald | None = None
        #: the first acknowledgement came, or it is known why none will
        self._entered = asyncio.Event()
        self._acknowledged = False
        self._refused: do.Refused | None = None
        self._over = asyncio.Event()
        self._end: do.End | None = None

    # --- in and out ---

    async def __aenter__(self) -> Self:
        if self._herald is not None:
            raise errors.Conflict("a Workspace is entered once; make another")
        await self._find()
        self._turns.place = Place(self._url, self.id, TokenOrigin(self._tokens))
        loop = self._loop = asyncio.get_running_loop()
        thread = threading.get_native_id()
        now = self._clock.monotonic()
        boot = int(self._clock.now().timestamp() * 1000)
        self._meter = LoopMeter(now, lambda: measure.read(thread))
        self._herald = Herald(
            address(self._url, self.id),
            self._tokens,
            Core(boot=boot, pid=os.getpid(), now=now, bounds=self._bounds),
            self._meter,
            self._clock,
            lambda told: self._call(self._told, told),
            loop_bound=self._loop_bound,
            alive=lambda: not loop.is_closed(),
        )
        self._unlisten = wedge.FLAG.listen(self._wedge_changed)
        try:
            self._turns.tell()
            self._herald.start()
            self._keep(self._tick())
            self._keep(self._watch())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_ACK):
                    await self._entered.wait()
            if not self._acknowledged and (error := self._error()) is not None:
                raise error
        except BaseException:
            # nobody is inside, so nobody would ever leave; a canceled entering included
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _find(self) -> None:
        if self.id:
            return
        given_up = threading.Event()
        #: what was found, until somebody has it
        found: list[embed_place.Place] = []

        def give_back() -> None:
            with contextlib.suppress(IndexError, errors.TruebeatError):
                found.pop().give_back()

        def find() -> None:
            place = embed_place.find(
                self._url,
                self._tokens,
                self.name,
                self._role,
                patience=PATIENCE,
                clock=self._clock,
                given_up=given_up,
            )
            found.append(place)
            if given_up.is_set():
                give_back()

        try:
            await call(find, name="truebeat-find")
        except asyncio.CancelledError:
            given_up.set()
            threading.Thread(target=give_back, name="truebeat-find", daemon=True).start()
            raise
        self.id, self._tokens, self._give_back = found.pop()

    async def _leave(self) -> None:
        herald = self._herald
        if herald is None:
            return
        try:
            self._turns.close()
            if self._end is None:
                await self._turns.drain(self._grace)
        finally:
            self._unlisten()
            herald.say(Stop())
            own = list(self._own)
            for task in own:
                task.cancel()
            if own:
                await asyncio.wait(own, timeout=self._grace)
            await call(lambda: herald.join(self._grace), name="truebeat-leave")
            if self._give_back is not None:
                with contextlib.suppress(errors.TruebeatError, TimeoutError):
                    async with asyncio.timeout(GIVING_BACK):
                        await call(self._give_back, name="truebeat-leave")

    # --- for the process ---

    async def serve(self) -> None:
        """Wait until the workspace is over; raises Gone when it was removed, Conflict when another one replaced it."""
        await self._over.wait()
        self._raise()

    async def tasks(self) -> AsyncGenerator[Task, None]:
        """Tasks one by one, instead of a handler; ends with `async with`, and raises as `serve` does."""
        async for task in self._turns.each():
            yield task
        self._raise()

    def note(self, text: str) -> None:
        """What people should know and what is no fault of this workspace; "" ends it."""
        self._turns.note = text
        self._turns.tell()

    @property
    def linked(self) -> bool:
        """Whether the server has ever acknowledged a beat of this run."""
        return self._acknowledged

    # --- the loop's side ---

    async def _tick(self) -> None:
        now = self._clock.monotonic
        due = now()
        while True:
            due += TICK
            await asyncio.sleep(max(0.0, due - now()))
            lag = max(0.0, now() - due)
            due += lag
            self._meter.ticked(now(), lag)
            self._turns.tell()

    async def _watch(self) -> None:
        """The canary: by the way that work goes, so it proves no more than the loop does, unless there is a probe."""
        failures = last = 0
        while True:
            start = self._restarts.start
            if start != last:
                failures, last = 0, start
            detail = ""
            if self._probe is not None:
                try:
                    async with asyncio.timeout(self._probe_timeout):
                        await self._probe()
                except TimeoutError:
                    detail = f"the probe did not answer within {self._probe_timeout:g} s"
                except Exception as error:
                    detail = f"the probe failed: {str(error) or type(error).__name__}"
            failures = failures + 1 if detail else 0
            if not detail:
                self._turns.passed()
            self._say(Canary(failures, detail, start))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._probe_interval):
                    await self._restarts.done.wait()
            self._restarts.done.clear()

    def _told(self, told: Told) -> None:
        match told:
            case do.Begin():
                self._turns.begin(told.deliver)
            case do.Interrupt():
                self._turns.interrupt(told.cancel)
            case do.Renew():
                self._keep(self._restarts.order(told))
            case do.End():
                self._end = told
                self._turns.renew()
                self._turns.close()
                self._entered.set()
                self._over.set()
            case do.Refused():
                self._refused = told
                self._entered.set()
            case None:
                self._acknowledged = True
                self._entered.set()

    def _keep(self, loop: Awaitable[None]) -> None:
        task = asyncio.ensure_future(loop)
        self._own.add(task)
        task.add_done_callback(self._own.discard)

    # --- from other threads ---

    def _call(self, function: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(function, *values)

    def _wedge_changed(self, reason: str | None) -> None:
        self._say(Wedge(reason))

    def _say(self, message: Message) -> None:
        if self._herald is not None:
            self._herald.say(message)

    def _raise(self) -> None:
        if self._end is not None and (error := self._error()) is not None:
            raise error

    def _error(self) -> errors.TruebeatError | None:
        """Why this workspace is over, or could not begin; None if it was asked to stop."""
        why = self._end or self._refused
        if why is None or why.refusal is Refusal.NONE:
            return None
        return _ERRORS[why.refusal](f"workspace {self.name!r}: {why.reason}")
