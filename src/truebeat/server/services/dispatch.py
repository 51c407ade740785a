"""Between the ledger and the links: which workspace gets how much work, and what becomes of it.

A workspace gets work only over its open link, only while its judged health says so (`domain.health.takes_work`), and
only as much as its last beat has room for. What its link carried when it was lost is compared with what its supervisor
says it holds as soon as it is back: lost deliveries are repeated, what it should not hold is cancelled, and what nobody
holds any more goes back into the mailbox.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from truebeat.domain import delivery
from truebeat.domain.delivery import State
from truebeat.domain.health import DeliveriesStuck, DeliverySucceeded, Status, Symptom, Witness, takes_work
from truebeat.errors import Invalid, TruebeatError
from truebeat.protocol.delivery import RESULT_LIMIT, Begun, Cancel, Chunk, Deliver, Finished, HandedBack, Settled
from truebeat.server.background.tasks import spawn
from truebeat.server.services.ledger_items import Decision
from truebeat.server.services.outflow import Outflow
from truebeat.server.services.stuck import Stuck

if TYPE_CHECKING:
    from truebeat.clock import Clock
    from truebeat.domain.health import Announcement
    from truebeat.protocol import link
    from truebeat.server.leases import Lease
    from truebeat.server.services.health import Health
    from truebeat.server.services.ledger import Ledger
    from truebeat.server.services.notices import Notices
    from truebeat.server.services.outflow import Session
    from truebeat.server.store import tasks as task_store

log = structlog.get_logger(__name__)

#: tasks claimed for one workspace at once
CLAIM_LIMIT: Final = 16
#: frames and characters of one link that wait to be written; beyond it the link must repeat them
PENDING_FRAMES: Final = 2000
PENDING_WEIGHT: Final = 24 * 1024 * 1024
#: the same of all links together
TOTAL_WEIGHT: Final = 256 * 1024 * 1024

Frame = Begun | Chunk | Finished | HandedBack


class _Line:
    """What is known of one open link."""

    def __init__(self, lease: Lease, session: Session, stuck: Stuck) -> None:
        self.lease = lease
        self.session = session
        self.outflow: Outflow
        self.generation = -1
        #: who holds what was compared; until then nothing is delivered
        self.ready = False
        self.comparing = False
        #: how many tasks the worker has and takes together, by the last beat
        self.places = 0
        #: the same of a worker that has said it is well
        self.room = 0
        self.holding: set[str] = set()
        #: delivered over this link or known to be held, and not ended: "task/attempt"
        self.inflight: set[str] = set()
        #: their endings came and are being written: neither lost nor to be delivered again
        self.ending: set[str] = set()
        self.stuck = stuck
        self.pending_frames = 0
        self.pending_weight = 0
        #: a frame was not taken: nothing more is, until the link was cut
        self.overflown = False


class Dispatch:
    """One a server."""

    def __init__(self, ledger: Ledger, notices: Notices, health: Health, clock: Clock) -> None:
        self._ledger = ledger
        self._notices = notices
        self._health = health
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._stuck: dict[str, Stuck] = {}
        self._pending_weight = 0
        ledger.room_of = self._room_of
        ledger.deliver = self._deliver
        ledger.doubted = self._compare_all

    # --- links --------------------------------------------------------------------------------------------------------

    def linked(self, lease: Lease, session: Session) -> None:
        """A link is open, or a newer one has replaced it."""
        self._close(lease)
        line = _Line(lease, session, self._stuck.setdefault(lease.id, Stuck()))
        line.outflow = Outflow(
            session,
            read=partial(self._held, line),
            sent=partial(self._sent, line),
            free=partial(self._offer, line),
            doubt=partial(self._compare, line),
        )
        self._lines[lease.id] = line

    def unlinked(self, lease: Lease) -> None:
        self._close(lease)
        if not self._stuck.get(lease.id) or lease.status is Status.REMOVED:
            self._stuck.pop(lease.id, None)

    def _close(self, lease: Lease) -> None:
        line = self._lines.pop(lease.id, None)
        if line is not None:
            line.outflow.close()

    def capacity(self, lease: Lease, beat: link.Beat) -> None:
        """An accepted beat: what its worker holds and takes. Never waits."""
        line = self._lines.get(lease.id)
        if line is None or beat.generation < lease.record.generation:
            return
        line.holding = set(beat.holding)
        # A worker that has not said it is well gets nothing new.
        line.places = len(line.holding) + (beat.capacity if beat.runtime_state == "" else 0)
        if beat.runtime_state == "":
            line.room = line.places
        if beat.generation != line.generation:
            line.generation = beat.generation
            line.outflow.clear()
            line.ready = False
        line.stuck.of(beat.generation)
        line.stuck.ticked(beat.tick_age)
        if not line.ready:
            self._compare(line)
        else:
            self._offer(line)

    def reachable(self, workspace_id: str) -> bool:
        """Whether a worker can be told something and may be expected to answer."""
        line = self._lines.get(workspace_id)
        return line is not None and line.ready and takes_work(line.lease.record)

    def stop_work(self, workspace_id: str, task_id: UUID, generation: int, attempt: int) -> None:
        line = self._lines.get(workspace_id)
        if line is not None:
            line.outflow.send(Cancel(task_id=str(task_id), generation=generation, attempt=attempt))

    def on_announced(self, lease: Lease, _announcement: Announcement) -> None:
        """Its health changed, and that is on disk."""
        workspace_id = UUID(lease.id)
        self._notices.workspace_changed(workspace_id)
        if takes_work(lease.record):
            line = self._lines.get(lease.id)
            if line is not None:
                self._offer(line)
        else:
            _forget_errors(self._ledger.inspect(workspace_id, _give_up_cancellations))

    # --- what workers say ---------------------------------------------------------------------------------------------

    def on_frame(self, lease: Lease, frame: Frame) -> None:
        """It is settled once it is on disk, or refused for good. Never waits."""
        line = self._lines.get(lease.id)
        if line is None or line.overflown:
            return
        weight = _weight(frame)
        if (
            line.pending_frames >= PENDING_FRAMES
            or line.pending_weight + weight > PENDING_WEIGHT
            or self._pending_weight + weight > TOTAL_WEIGHT
        ):
            # The database is slower than the worker. Beats must go on, so nothing waits here: what was not taken is
            # not settled, and comes again over a new link.
            line.overflown = True
            log.warning("a link says more than can be written", workspace=lease.id, frames=line.pending_frames)
            if not line.pending_frames:
                line.session.cut("say it again: more came than could be written")
            return
        try:
            task_id = UUID(frame.task_id)
        except ValueError:
            line.session.post(Settled(n=frame.n))
            return
        key = f"{frame.task_id}/{frame.attempt}"
        event, more = _told(frame, weight)
        if isinstance(frame, Finished | HandedBack):
            line.inflight.discard(key)
            line.holding.discard(key)
            line.ending.add(key)
            if isinstance(frame, HandedBack) and not frame.begun:
                # Its worker did not want it: before its next beat says what it takes it would be given it again.
                line.places = 0
            self._ledger.claim(UUID(lease.id))
        begins = line.stuck.moved(key) and not isinstance(frame, HandedBack)
        if begins and (found := lease.record.open(Symptom.UNRESPONSIVE)) and found.witness is Witness.SENDER:
            spawn(self._observe(lease, DeliverySucceeded()), name="deliveries begin")
        line.pending_frames += 1
        line.pending_weight += weight
        self._pending_weight += weight
        done = self._ledger.happen(task_id, event, lasting=True, by=UUID(lease.id), **more)
        done.add_done_callback(partial(self._written, line, frame, weight))

    def _written(self, line: _Line, frame: Frame, weight: int, done: asyncio.Future[delivery.Outcome | None]) -> None:
        line.pending_frames -= 1
        line.pending_weight -= weight
        if isinstance(frame, Finished | HandedBack):
            line.ending.discard(f"{frame.task_id}/{frame.attempt}")
        self._pending_weight -= weight
        if done.cancelled() or (error := done.exception()) is not None:
            if not done.cancelled() and isinstance(error, Invalid):
                line.session.post(Settled(n=frame.n))  # it can't be written, so it need not be said again
            elif not done.cancelled() and not isinstance(error, TruebeatError):
                log.error("a frame could not be written", workspace=line.lease.id, exc_info=error)
            return
        outcome = done.result()
        if outcome is None or outcome.refused:
            why = "there is no such task" if outcome is None else outcome.refused
            log.info("refused", workspace=line.lease.id, task=frame.task_id, frame=type(frame).__name__, reason=why)
        elif isinstance(frame, Finished) and frame.state in {"completed", "input-required", "auth-required"}:
            self._succeeded(line.lease)
        line.session.post(Settled(n=frame.n))
        if line.overflown and not line.pending_frames:
            line.session.cut("say it again: more came than could be written")

    def _succeeded(self, lease: Lease) -> None:
        self._health.note_delivery(lease, succeeded=True)
        if lease.record.open(Symptom.UNRESPONSIVE) is not None:
            spawn(self._observe(lease, DeliverySucceeded()), name="delivery succeeded")

    async def _observe(self, lease: Lease, observation: DeliverySucceeded | DeliveriesStuck) -> None:
        try:
            await self._health.observe(lease.id, observation, self._clock.now())
        except TruebeatError as error:
            log.warning("not judged", workspace=lease.id, observation=type(observation).__name__, reason=error.message)

    # --- who gets what ------------------------------------------------------------------------------------------------

    def _offer(self, line: _Line) -> None:
        """Whether anything waits is for the writer to say: it may be writing a send this moment."""
        self._ledger.claim(UUID(line.lease.id))

    def _room_of(self, workspace_id: UUID) -> tuple[int, int] | None:
        line = self._lines.get(str(workspace_id))
        if line is None or not line.ready or line.overflown or line.outflow.busy or not takes_work(line.lease.record):
            return None
        room = min(CLAIM_LIMIT, line.places - len(line.inflight | line.holding))
        return (line.generation, room) if room > 0 else None

    def _deliver(self, delivered: list[tuple[UUID, Deliver]]) -> None:
        for workspace_id, deliver in delivered:
            line = self._lines.get(str(workspace_id))
            # Without its line it stays held: the next link of this generation is asked whether it has it.
            if line is not None and line.generation == deliver.generation:
                self._send(line, deliver)

    def _send(self, line: _Line, deliver: Deliver) -> None:
        key = f"{deliver.task_id}/{deliver.attempt}"
        if key in line.inflight:
            return
        line.inflight.add(key)
        line.outflow.send(deliver)

    @staticmethod
    def _sent(line: _Line, deliver: Deliver) -> None:
        key = f"{deliver.task_id}/{deliver.attempt}"
        line.inflight.add(key)
        line.stuck.delivered(key, f"{deliver.sender.kind}:{deliver.sender.id}")

    async def _held(self, line: _Line, ids: list[UUID]) -> list[Deliver]:
        """Of these what its worker was given and has not begun. Errors: Unavailable."""
        return await self._ledger.deliveries(ids, line.generation)

    # --- who holds what -----------------------------------------------------------------------------------------------

    def _compare_all(self) -> None:
        for line in self._lines.values():
            line.ready = False
            if line.generation >= 0:
                self._compare(line)

    def _compare(self, line: _Line) -> None:
        if line.comparing:
            return
        line.comparing = True
        generation = line.generation
        done = self._ledger.inspect(UUID(line.lease.id), partial(self._decide, line, generation))
        done.add_done_callback(partial(self._compared, line, generation))

    def _decide(self, line: _Line, generation: int, leases: list[task_store.Lease]) -> Decision:
        """The ledger's view against the supervisor's. Runs again if its transaction is tried again."""
        events: list[tuple[UUID, delivery.Event]] = []
        again: list[UUID] = []
        by_ledger: set[str] = set()
        for held in leases:
            key = f"{held.id}/{held.attempt}"
            if held.generation < generation:
                reason = f"worker generation {held.generation} was replaced by {generation}"
                events.append((held.id, delivery.LeaseExpired(held.generation, held.attempt, reason)))
            elif held.generation == generation:
                by_ledger.add(key)
                if key in line.ending:
                    continue
                if key in line.holding or key in line.inflight:
                    line.inflight.add(key)
                elif held.state is State.SUBMITTED and not held.cancel_requested:
                    again.append(held.id)
                else:
                    reason = "its supervisor does not have it any more"
                    events.append((held.id, delivery.LeaseExpired(held.generation, held.attempt, reason)))
        line.inflight &= by_ledger
        line.stuck.keep(by_ledger)
        for key in line.holding - by_ledger:
            task_id, _, attempt = key.rpartition("/")
            if attempt.isdecimal():
                line.session.post(Cancel(task_id=task_id, generation=generation, attempt=int(attempt[:9])))
        return Decision(events, again)

    def _compared(self, line: _Line, generation: int, done: asyncio.Future[list[UUID]]) -> None:
        line.comparing = False
        if done.cancelled() or done.exception() is not None or self._lines.get(line.lease.id) is not line:
            return
        if generation != line.generation:
            self._compare(line)
            return
        line.ready = True
        line.outflow.send_again(done.result())
        self._offer(line)

    async def watch(self) -> None:
        """What was delivered and never begins is evidence of the senders."""
        while True:
            await asyncio.sleep(1.0)
            await self.look()

    async def look(self) -> None:
        """One look, a second after the last."""
        for line in list(self._lines.values()):
            if not line.ready or line.overflown:
                continue  # what it says can't be heard now
            if (stuck := line.stuck.look(line.room)) is not None and takes_work(line.lease.record):
                await self._observe(line.lease, stuck)


def _give_up_cancellations(leases: list[task_store.Lease]) -> Decision:
    """Whoever asked to cancel need not wait for a worker that can't answer."""
    reason = "canceled by its sender; its worker could not be reached, so it may still be working on it"
    return Decision(
        [(held.id, delivery.CancelRequested(False, reason)) for held in leases if held.cancel_requested],
        [],
    )


def _forget_errors(future: asyncio.Future[Any]) -> None:
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


def _weight(frame: Frame) -> int:
    size = 256 + len(frame.text if isinstance(frame, Chunk | Finished) else "")
    if isinstance(frame, Chunk | Finished) and frame.parts:
        size += len(msgspec.json.encode(frame.parts))
    return size


def _told(frame: Frame, weight: int) -> tuple[delivery.Event, dict[str, Any]]:
    """The frame as an event of the life cycle, and what comes with it."""
    lease = (frame.generation, frame.attempt)
    match frame:
        case Begun():
            return delivery.Begun(*lease), {}
        case Chunk():
            chunk = (frame.kind, frame.name, frame.index)
            return delivery.Progressed(*lease), {"text": frame.text, "parts": frame.parts, "chunk": chunk}
        case HandedBack():
            return delivery.HandedBack(*lease, frame.begun, frame.reason[:1000]), {}
    if weight > RESULT_LIMIT + 256:
        reason = f"the result is larger than {RESULT_LIMIT} characters and was not kept"
        return delivery.Finished(*lease, State.FAILED, reason), {}
    said = {"text": frame.text, "parts": frame.parts, "tool_calls": frame.tool_calls}
    return delivery.Finished(*lease, State(frame.state)), said
