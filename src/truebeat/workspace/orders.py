"""Which orders to restart are still to be obeyed, pure: each once, and none that a newer generation fulfils already."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from truebeat.workspace.events import RestartOrdered

#: orders that are remembered
REMEMBERED: Final = 256


class Orders:
    """One supervisor's."""

    def __init__(self) -> None:
        self._heard: deque[str] = deque(maxlen=REMEMBERED)

    def counts(self, order: RestartOrdered, generation: int) -> bool:
        """False: heard before, or the present generation is newer than the one it was to replace (a server repeats a
        pending order to a supervisor that has just started its first worker).
        """
        if order.restart_id in self._heard:
            return False
        self._heard.append(order.restart_id)
        return order.above is None or generation <= order.above
