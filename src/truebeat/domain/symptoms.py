"""What is known about how runtimes fail: the catalogue that docs/symptoms.md shows and that error texts are read by.

Narrow on purpose: a rate limit must never degrade a workspace, and only what hangs until a restart is a wedge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: what a row's sources are below
SOURCES: Final = "https://github.com/"


class Meaning(StrEnum):
    """Who has to act."""

    #: the runtime hangs until it is replaced: truebeat replaces it
    WEDGED = "wedged"
    #: a restart can't help: a person has to change a setting
    CONFIGURATION = "configuration"
    #: a restart can't help: a person has to give a valid key or pay
    CREDENTIALS = "credentials"
    #: the model's API throttles, fails or stands still: no fault of the workspace
    UPSTREAM = "upstream"
    #: it works, later than usual: nobody has to act
    SLOW = "slow"
    #: this turn or this client failed: truebeat opens a fresh client, the next turn may go well
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Row:
    """One symptom. `pattern`: how error texts that mean it look; None: it is seen, not said.

    seen: by whoever looks; action: what an operator can do, after what truebeat does by itself; sources: threads below
    SOURCES.
    """

    id: str
    meaning: Meaning
    seen: str
    action: str
    pattern: re.Pattern[str] | None = None
    sources: tuple[str, ...] = ()

    def links(self) -> tuple[str, ...]:
        return tuple(SOURCES + source for source in self.sources)


def _text(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


#: The order decides: the cause that a person can remove is named before the hang that it led to.
CATALOGUE: Final[tuple[Row, ...]] = (
    Row(
        "rate-limit",
        Meaning.UPSTREAM,
        "the API answers HTTP 429 or 529",
        "Wait, or raise the limit of the account; fewer turns at a time. The status of the workspace is not touched.",
        # 529 is the Messages API's "overloaded"
        _text(
            r"rate[ _-]?limit|too many requests|overloaded_error|api error:\W*(?:\d{3}\W*)?overloaded"
            r"|\b(?:http|status|code|error)\b\W{0,3}(?:429|529)\b"
        ),
    ),
    Row(
        "key-refused",
        Meaning.CREDENTIALS,
        "the API answers HTTP 401 or 403, or the CLI is not logged in",
        "Give the workspace a valid ANTHROPIC_API_KEY, or log the CLI in; then restart it.",
        _text(
            r"invalid (?:x-)?api[ -]key|authentication_(?:error|failed)|permission_error|not logged in"
            r"|please run /login|oauth token (?:has )?(?:been )?(?:expired|revoked)"
            r"|\b(?:http|status|api error:?)\W{0,3}(?:401|403)\b"
        ),
    ),
    Row(
        "unpaid",
        Meaning.CREDENTIALS,
        "the account has no credit left",
        "Pay, or use another account's key.",
        _text(r"credit balance is too low|billing_error|\b(?:http|status|api error:?)\W{0,3}402\b"),
    ),
    Row(
        "cli-missing",
        Meaning.CONFIGURATION,
        "there is no Claude CLI, or it is no program",
        "Install a claude-agent-sdk that bundles it, or set cli_path.",
        _text(
            r"claude code not found|claude cli is not there|cli_path='"
            r"|failed to start claude code: .{0,300}(?:permission denied|exec format error)"
        ),
    ),
    Row(
        "options-refused",
        Meaning.CONFIGURATION,
        "the CLI exits with a usage text",
        "Correct the option that it names, or use a CLI that knows it.",
        _text(
            r"error: unknown option|error: option '|error: missing required argument|usage: claude\b"
            r"|cannot be used with root/sudo|working directory .{0,300}does not exist|no such settings file"
            r"|settings file not found|invalid mcp config"
        ),
    ),
    Row(
        "start-blocked",
        Meaning.CONFIGURATION,
        "the CLI starts with minimal options, and not with those it was given",
        "A SessionStart hook, a plugin, an MCP server or a setting keeps it from starting: fix it, or leave it out of "
        "setting_sources, mcp_config, plugins or settings.",
        _text(r"starts with minimal options"),
        (
            "anthropics/claude-agent-sdk-typescript/issues/274",
            "vercel/vercel-plugin/issues/129",
        ),
    ),
    Row(
        "control-timeout",
        Meaning.WEDGED,
        "the CLI does not answer on its control channel: `Control request timeout: ...`",
        "Leftover CLIs are killed, a fresh client is tried in place, then with minimal options, then the process is "
        "restarted. If it stays after an upgrade of the CLI, pin the version before.",
        _text(r"control request timeout"),
        (
            "anthropics/claude-code/issues/18666",
            "anthropics/claude-code/issues/18667",
            "anthropics/claude-code/issues/42884",
            "anthropics/claude-agent-sdk-python/issues/387",
        ),
    ),
    Row(
        "dead-in-turn",
        Meaning.WEDGED,
        "a turn is silent and two probes are not answered",
        "The turn ends as interrupted and a fresh client resumes its session. Nothing to do unless it comes back.",
        None,
        ("anthropics/claude-code/issues/59243", "anthropics/claude-code/issues/77783"),
    ),
    Row(
        "interrupt-ignored",
        Meaning.WEDGED,
        "an interrupt is acknowledged, and the turn goes on",
        "The CLI is killed by its process id and a fresh client resumes its session.",
        _text(r"interrupt was acknowledged and ignored|did not acknowledge the interrupt"),
        ("anthropics/claude-agent-sdk-typescript/issues/429",),
    ),
    Row(
        "close-spins",
        Meaning.WEDGED,
        "the worker burns a whole CPU after it closed a client",
        "The blocked event loop is found and the worker is restarted. Use claude-agent-sdk 0.2.111 or newer.",
        None,
        ("anthropics/claude-agent-sdk-python/issues/378", "anthropics/claude-agent-sdk-python/issues/810"),
    ),
    Row(
        "binary-hangs",
        Meaning.WEDGED,
        "the CLI hangs even at `--version`",
        "Install another version of the CLI.",
        None,
        ("anthropics/claude-code/issues/87583",),
    ),
    Row(
        "no-result",
        Meaning.FAILURE,
        "the CLI ends the turn, or itself, without a result",
        "The turn fails at once and a fresh client resumes the session. Send it again if it may be done twice.",
        _text(r"ended the turn without a result"),
        ("anthropics/claude-agent-sdk-python/issues/387",),
    ),
    Row(
        "result-never-sent",
        Meaning.FAILURE,
        "the transcript has `end_turn`, and no result comes",
        "The turn is answered with the text it had, and a fresh client resumes the session.",
        _text(r"the result was never sent"),
        ("anthropics/claude-code/issues/87577", "anthropics/claude-code/issues/30333"),
    ),
    Row(
        "broken-line",
        Meaning.FAILURE,
        "`Failed to decode JSON` or `JSON message exceeded maximum buffer size`; later turns would end with nothing",
        "The client is thrown away. If resuming the session brings the same line again, a new session is begun.",
        _text(r"failed to decode json|exceeded maximum buffer size"),
        ("inkbox-ai/claude-code-plugin/pull/11",),
    ),
    Row(
        "stream-closed",
        Meaning.FAILURE,
        "`Stream closed` on MCP or hook calls",
        "A fresh client is opened. If it comes back, look at the MCP server or the hook that it names.",
        _text(r"\bstream closed\b"),
        ("anthropics/claude-agent-sdk-python/issues/676",),
    ),
    Row(
        "cli-exited",
        Meaning.FAILURE,
        "the CLI exits or is killed, before it answers or in a turn",
        "A fresh client resumes the session. Its last words on stderr are in the error; look for memory limits if it "
        "was killed.",
        _text(r"command failed with exit code|the claude cli (?:exited|was killed)|exited before it answered"),
        ("anthropics/claude-agent-sdk-python/issues/387",),
    ),
    Row(
        "output-held",
        Meaning.FAILURE,
        "the CLI is gone, and a process that it started holds its output open",
        "All that it started is killed, and a fresh client resumes the session.",
        _text(r"holds its output open"),
        (
            "plmbr/notebook-intelligence/pull/357",
            "anthropics/claude-agent-sdk-typescript/issues/142",
        ),
    ),
    Row(
        "leftovers",
        Meaning.FAILURE,
        "CLIs of earlier clients run on at 60-70 % CPU and block new ones",
        "They are killed before each connect.",
        _text(r"leftover clis? (?:was|were) killed"),
        ("anthropics/claude-code/issues/18666",),
    ),
    Row(
        "upstream-stalled",
        Meaning.UPSTREAM,
        "a turn is silent, and the CLI answers its probe: the API does not move",
        "Nothing is wrong with the workspace. Cancel the task if it need not be waited for; stream_idle_timeout and "
        "api_timeout bound the silence.",
        _text(r"upstream_stalled"),
        ("anthropics/claude-agent-sdk-python/issues/533",),
    ),
    Row(
        "upstream-error",
        Meaning.UPSTREAM,
        "the API answers HTTP 5xx or not at all",
        "The CLI tries again by itself (max_retries). Wait, or look at the status page of the API.",
        _text(
            r"\b(?:http|status|api error:?)\W{0,3}5\d\d\b|internal server error|service unavailable"
            r"|api error: (?:connection|request timed out)|econnrefused|econnreset|enotfound|socket hang up"
            r"|fetch failed"
        ),
    ),
    Row(
        "slow-start",
        Meaning.SLOW,
        "the CLI answers, but late",
        "Nothing, unless connect_timeout comes near: then raise it.",
        _text(r"slow start"),
        ("anthropics/claude-code/issues/16005",),
    ),
    Row(
        "mcp-pending",
        Meaning.SLOW,
        "a turn is silent while an MCP server has not answered",
        "Look at that server; the CLI gives up on it after 30 s.",
        _text(r"mcp_pending"),
    ),
)

_BY_ID: Final = {row.id: row for row in CATALOGUE}


def row(identifier: str) -> Row:
    """The row with that id."""
    return _BY_ID[identifier]


def classify(error_text: str) -> Row | None:
    """The first row of the catalogue whose pattern is in the text; None: nothing is known about it."""
    return next((each for each in CATALOGUE if each.pattern is not None and each.pattern.search(error_text)), None)


def means_wedged(error_text: str) -> bool:
    """True if an error with this text means that every later call will hang or fail until a restart."""
    found = classify(error_text)
    return found is not None and found.meaning is Meaning.WEDGED


def means_rate_limited(error_text: str) -> bool:
    """True if an error with this text says only that the upstream throttles: no fault of the workspace."""
    found = classify(error_text)
    return found is not None and found.id == "rate-limit"
