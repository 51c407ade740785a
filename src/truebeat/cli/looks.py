"""How a status and a time look. A status differs by glyph and by word, not by colour alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from truebeat.domain.health import Status

if TYPE_CHECKING:
    from datetime import datetime

    from truebeat.protocol.resources import ConditionView, WorkspaceView

#: glyph, its ASCII stand-in, rich style
_LOOKS: Final[dict[Status, tuple[str, str, str]]] = {
    Status.PROVISIONING: ("◌", "~", "cyan"),
    Status.ONLINE: ("●", "*", "green"),
    Status.DEGRADED: ("▲", "!", "bold yellow"),
    Status.OFFLINE: ("○", "o", "magenta"),
    Status.FAILED: ("✖", "x", "bold red"),
    Status.REMOVED: ("⊘", "-", "dim"),
}


def status_text(status: Status) -> str:
    """Glyph and word, without colour."""
    glyph, ascii_glyph, _ = _LOOKS[status]
    return f"{glyph if _can_print(glyph) else ascii_glyph} {status.value}"


def status_markup(status: Status) -> str:
    return f"[{_LOOKS[status][2]}]{status_text(status)}[/]"


def reason(view: WorkspaceView) -> str:
    """The first open condition's detail: the reason people read. "" when nothing is open."""
    return why(view.conditions[0]) if view.conditions else ""


def why(condition: ConditionView) -> str:
    return condition.detail or condition.symptom.value


def since(view: WorkspaceView) -> datetime | None:
    return view.conditions[0].since if view.conditions else None


def verdict_markup(healthy: bool | None) -> str:
    """What a witness finds: well, not well, can't tell."""
    glyph, stand_in, style = {
        True: ("✓", "+", "green"),
        False: ("✗", "!", "bold yellow"),
        None: ("·", ".", "dim"),
    }[healthy]
    return f"[{style}]{glyph if _can_print(glyph) else stand_in}[/]"


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def age(then: datetime | None, now: datetime) -> str:
    """As in "0.4 s", "12 s", "3 min", "5 h", "2 d"; "-" for never. A clock ahead of ours makes no negative age."""
    if then is None:
        return "-"
    return span(max(0.0, (now - then).total_seconds()))


def span(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} d"


def glyph(wanted: str, stand_in: str) -> str:
    """`wanted`, where the terminal's encoding has it."""
    return wanted if _can_print(wanted) else stand_in


def _can_print(glyph: str) -> bool:
    try:
        glyph.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
