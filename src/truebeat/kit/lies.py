"""The lies: each must be found, by the right witness, in time, and must end in a recovery that was verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from truebeat.kit.lies_claude import CLAUDE
from truebeat.kit.lies_command import COMMAND
from truebeat.kit.lies_worker import FUNCTION, PRETENDING, WORKER

if TYPE_CHECKING:
    from truebeat.kit.case import Case

LIES: Final[tuple[Case, ...]] = (*WORKER, *PRETENDING, *FUNCTION, *COMMAND, *CLAUDE)
