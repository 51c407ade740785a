"""Tasks on their way through the supervisor, pure: down to their generation's worker, up what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truebeat.protocol.delivery import Finished, HandedBack
from truebeat.workspace import events as ev

if TYPE_CHECKING:
    from truebeat.protocol.delivery import Cancel, Deliver
    from truebeat.workspace.desk import Desk
    from truebeat.workspace.outbox import Outbox
    from truebeat.workspace.uplink import Uplink


class Errands:
    """One supervisor's. A task is held by the outbox from `delivered` until the server has its ending."""

    def __init__(self, desk: Desk, outbox: Outbox, uplink: Uplink) -> None:
        self._desk = desk
        self._outbox = outbox
        self._uplink = uplink

    def delivered(self, task: Deliver, *, refusal: str, capacity: int) -> None:
        """Give it to the worker, or back with the reason. A repetition of what the worker has is passed over."""
        if not refusal and self._outbox.room(capacity) == 0:
            refusal = f"no room: this workspace takes {capacity} at a time"
        if refusal:
            back = self._outbox.refused(task, refusal)
            if back is not None:
                self._desk.log("info", "a task goes back", task=task.task_id, reason=refusal)
                self._uplink.send(back)
        elif self._outbox.taken(task):
            self._desk.out.append(ev.TellWorker(task))

    def cancelled(self, order: Cancel) -> None:
        """Only the worker can stop its turn; what has ended needs no stopping, its ending is told until settled."""
        if self._outbox.holds(order):
            self._desk.out.append(ev.TellWorker(order))

    def told(self, event: ev.TaskTold) -> bool:
        """What the worker says of a task. True when that ended one."""
        frame = self._outbox.up(event.frame)
        if frame is None:
            self._desk.log(
                "warning", "fenced: the worker tells of a task that it does not hold", task=event.frame.task_id
            )
            return False
        self._uplink.send(frame)
        return isinstance(frame, Finished | HandedBack)

    def lost(self, generation: int, reason: str) -> None:
        """Nothing more will come from that generation: what it held goes back."""
        for frame in self._outbox.lost(generation, reason):
            self._uplink.send(frame)
