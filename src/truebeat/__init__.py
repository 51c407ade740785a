"""truebeat: a control plane for fleets of AI agents whose heartbeats can't lie.

The package map is in ARCHITECTURE.md. This file holds the SDK's public names only and imports none of them before they
are asked for, because the supervisor (goal: 25 MB of memory) imports it too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from truebeat.tools.in_turn import cancel_delegation, delegate, delegation, notify_user, peers, report_to_parent
    from truebeat.workspace.embed import Workspace
    from truebeat.workspace.embed_task import Task
    from truebeat.workspace.executors.base import (
        AnsweredError,
        Artifact,
        ConfigurationError,
        Executor,
        InPhase,
        InputRequired,
        InterruptedTurnError,
        Options,
        Output,
        Progress,
        Result,
        Step,
        Text,
        ToolFinished,
        ToolStarted,
        Turn,
        TurnError,
    )
    from truebeat.workspace.wedge import clear_wedge, is_wedged, mark_wedged, wedge_reason

__version__ = "0.1.0"

__all__ = [
    "AnsweredError",
    "Artifact",
    "ConfigurationError",
    "Executor",
    "InPhase",
    "InputRequired",
    "InterruptedTurnError",
    "Options",
    "Output",
    "Progress",
    "Result",
    "Step",
    "Task",
    "Text",
    "ToolFinished",
    "ToolStarted",
    "Turn",
    "TurnError",
    "Workspace",
    "cancel_delegation",
    "clear_wedge",
    "delegate",
    "delegation",
    "is_wedged",
    "mark_wedged",
    "notify_user",
    "peers",
    "report_to_parent",
    "wedge_reason",
]

_PLACES = {
    "Workspace": "truebeat.workspace.embed",
    "Task": "truebeat.workspace.embed_task",
    "cancel_delegation": "truebeat.tools.in_turn",
    "clear_wedge": "truebeat.workspace.wedge",
    "delegate": "truebeat.tools.in_turn",
    "delegation": "truebeat.tools.in_turn",
    "is_wedged": "truebeat.workspace.wedge",
    "mark_wedged": "truebeat.workspace.wedge",
    "notify_user": "truebeat.tools.in_turn",
    "peers": "truebeat.tools.in_turn",
    "report_to_parent": "truebeat.tools.in_turn",
    "wedge_reason": "truebeat.workspace.wedge",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'truebeat' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_PLACES.get(name, "truebeat.workspace.executors.base")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
