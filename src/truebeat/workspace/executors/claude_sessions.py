"""Which session of the CLI continues which conversation: context id to session id, kept over restarts if asked to."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from truebeat.workspace.executors import threads

if TYPE_CHECKING:
    from pathlib import Path

#: conversations that are remembered; the one unused for longest is forgotten first
LIMIT: Final = 1000
FILE: Final = "claude-sessions.json"


class Sessions:
    """`directory`: where the map is kept; None keeps it in memory only. A turn without a context is never kept."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / FILE
        self._known: dict[str, str] = {}

    async def load(self) -> None:
        """What an earlier process kept. A file that can't be read costs the conversations, never the start."""
        path = self._path
        if path is None:
            return
        try:
            kept = json.loads(await threads.call(path.read_bytes, name="sessions"))
            self._known = {str(context): str(session) for context, session in kept.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError) as error:
            print(f"{path} can't be read ({error}): conversations begin anew", file=sys.stderr)

    def get(self, context: str) -> str:
        """The session's id, or "" for a new conversation."""
        return self._known.get(context, "")

    async def put(self, context: str, session: str) -> None:
        same = self._known.pop(context, None) == session
        self._known[context] = session
        if same:
            return
        while len(self._known) > LIMIT:
            del self._known[next(iter(self._known))]
        await self._save()

    async def forget(self, context: str) -> None:
        if self._known.pop(context, None) is not None:
            await self._save()

    async def _save(self) -> None:
        path = self._path
        if path is None:
            return
        text = json.dumps({context: session for context, session in self._known.items() if context})

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            new.replace(path)

        try:
            await threads.call(write, name="sessions")
        except OSError as error:
            print(f"{path} can't be written ({error}): conversations end with this process", file=sys.stderr)
