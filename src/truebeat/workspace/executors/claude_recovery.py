"""The ladder: what is tried, in which order, when the CLI does not answer or a client was lost.

    fresh client with resume -> canary with minimal options -> fresh client once more -> give up

The canary tells a broken CLI from options that keep a good one from starting. Options are only blamed if the CLI
started without them and, tried again, still not with them: one slow start must not quarantine a workspace.
Whoever gives up is marked wedged by the worker; the supervisor restarts the process, and in the end quarantines it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from truebeat.domain.symptoms import Meaning, classify
from truebeat.workspace.executors.base import ConfigurationError, Step

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Rungs(Protocol):
    """What the ladder can do; each raises when it fails."""

    async def reopen(self, session: str) -> None:
        """A fresh client with the full options, probed; "" for a new session."""

    async def canary(self) -> None:
        """A client with minimal options, probed and closed again."""


def said(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__


async def climb(rungs: Rungs, session: str, extras: str) -> AsyncGenerator[Step, None]:
    """Step by step until one helped. ConfigurationError if only a person can help: the last step says why."""
    name = "fresh client with resume" if session else "fresh client"
    try:
        await rungs.reopen(session)
    except ConfigurationError as error:
        yield Step(name, ok=False, detail=said(error))
        raise
    except Exception as error:
        yield Step(name, ok=False, detail=said(error))
        if unknown_session(said(error)):
            step = await _anew(rungs)
            yield step
            if step.ok:
                return
    else:
        yield Step(name, ok=True, detail=session and f"session {session}")
        return
    async for step in blame(rungs, extras):
        yield step


async def _anew(rungs: Rungs) -> Step:
    name = "fresh client with a new session"
    try:
        await rungs.reopen("")
    except ConfigurationError:
        raise
    except Exception as error:
        return Step(name, ok=False, detail=said(error))
    return Step(name, ok=True, detail="the conversation begins anew")


def unknown_session(text: str) -> bool:
    """Whether the CLI says that there is no such session: one that was killed early may never have been saved."""
    return "no conversation found with session id" in text.lower()


async def blame(rungs: Rungs, extras: str) -> AsyncGenerator[Step, None]:
    """The canary, and the full options once more, without a session, if it passed."""
    try:
        await rungs.canary()
    except ConfigurationError as error:
        yield Step("canary with minimal options", ok=False, detail=said(error))
        raise
    except Exception as error:
        yield Step("canary with minimal options", ok=False, detail=said(error))
        return
    yield Step("canary with minimal options", ok=False, detail="it starts; the options or the session are in the way")
    step = await _anew(rungs)
    yield step
    if not step.ok:
        raise ConfigurationError(start_blocked(extras, step.detail))


def start_blocked(extras: str, detail: str) -> str:
    """What an operator reads when options keep the CLI from starting."""
    blamed = extras or "the user's own MCP servers or plugins"
    return (
        f"configuration: the Claude CLI starts with minimal options, and not with {blamed} ({detail}): fix the "
        "hook, plugin, MCP server or setting that keeps it, or leave it out"
    )


def naming(text: str) -> Meaning | None:
    """Whose matter a failed turn is, if it is not the workspace's own; None otherwise."""
    row = classify(text)
    others = {Meaning.CONFIGURATION, Meaning.CREDENTIALS, Meaning.UPSTREAM}
    return row.meaning if row is not None and row.meaning in others else None
