"""The catalogue of symptoms: real texts, what they mean, and that no rate limit is ever a wedge."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truebeat.domain.symptoms import CATALOGUE, SOURCES, Meaning, classify, means_rate_limited, means_wedged, row
from truebeat.kit import symptoms_page

RATE_LIMITS = (
    "API Error: Number of requests is over your rate limit (HTTP 429)",
    'API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"Number of requests is over"}}',
    'API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
    "API Error: Overloaded",
    "Too Many Requests",
    "error code: 429",
    "status=529",
    "rate-limited: try later",
)
WEDGES = (
    "Control request timeout: initialize",
    "Control request timeout: initialize (no answer within 30 s)",
    "Exception: Control request timeout: interrupt",
    "x CONTROL REQUEST TIMEOUT: mcp_status",
)
CORPUS = {
    "key-refused": (
        "the turn failed: Invalid API key \u00b7 Please run /login (HTTP 401)",
        'API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}',
        'API Error: 403 {"type":"error","error":{"type":"permission_error","message":"no"}}',
        "Not logged in \u00b7 Please run /login",
        "OAuth token has expired. Please obtain a new token",
    ),
    "unpaid": ("Credit balance is too low", "API Error: 402 payment"),
    "cli-missing": ("Claude Code not found at: /opt/claude", "Claude Code not found. Install with:\n  npm install"),
    "options-refused": (
        "error: unknown option '--frobnicate'",
        "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
        "error: option '--permission-mode <mode>' argument 'x' is invalid. Allowed choices are acceptEdits",
        "Working directory does not exist: /srv/none",
    ),
    "start-blocked": (
        "the Claude CLI starts with minimal options, and not with setting_sources=project (Control request timeout: x)",
    ),
    "control-timeout": WEDGES,
    "no-result": ("the Claude CLI ended the turn without a result",),
    "broken-line": (
        'Failed to decode JSON: {"type": "assistant", "message": {"content": [}...',
        "Failed to decode JSON: JSON message exceeded maximum buffer size of 1048576 bytes...",
    ),
    "stream-closed": ("MCP error -32000: Stream closed",),
    "cli-exited": ("Command failed with exit code 1 (exit code: 1)\nError output: Check stderr output for details",),
    "upstream-error": (
        "API Error: 500 Internal server error",
        "API Error: Connection error.",
        "API Error: Request timed out.",
        "connect ECONNREFUSED 127.0.0.1:1",
    ),
    "rate-limit": RATE_LIMITS,
}
NOTHING = (
    "",
    "Request timed out",
    "timeout",
    "control request",
    "the limit of the rate",
    "port 4290",
    "4291 lines",
    "no",
)


@pytest.mark.parametrize(("identifier", "text"), [(name, text) for name, texts in CORPUS.items() for text in texts])
def test_real_texts_are_known(identifier: str, text: str) -> None:
    found = classify(text)
    assert found is not None
    assert found.id == identifier
    assert means_wedged(text) == (found.meaning is Meaning.WEDGED)


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_not_known_means_nothing(text: str) -> None:
    assert classify(text) is None
    assert not means_wedged(text)
    assert not means_rate_limited(text)


FILLING = st.text(string.ascii_letters + string.digits + " :;,.()\n\"'{}", max_size=60)


@given(FILLING, st.sampled_from(RATE_LIMITS), FILLING, st.sampled_from(("", *WEDGES)))
def test_no_rate_limit_is_ever_a_wedge(before: str, limit: str, after: str, wedge: str) -> None:
    text = f"{wedge} {before} {limit} {after}"
    assert means_rate_limited(text)
    assert not means_wedged(text)
    found = classify(text)
    assert found is not None
    assert found.meaning is Meaning.UPSTREAM


@given(FILLING, st.sampled_from(WEDGES))
def test_what_was_said_around_it_hides_no_wedge(around: str, wedge: str) -> None:
    assert means_wedged(f"{around} {wedge}") or means_rate_limited(around)


def test_only_what_hangs_is_a_wedge_and_each_row_says_what_to_do() -> None:
    assert len({each.id for each in CATALOGUE}) == len(CATALOGUE)
    for each in CATALOGUE:
        assert each.action.endswith(".")
        assert all(link.startswith(SOURCES) and link.count("/") >= 6 for link in each.links())
        assert row(each.id) is each
    assert {each.id for each in CATALOGUE if each.meaning is Meaning.WEDGED and each.pattern} == {
        "control-timeout",
        "interrupt-ignored",
    }


def test_the_page_is_fresh_and_shows_every_row() -> None:
    path = Path(__file__).parents[2] / "docs" / "symptoms.md"
    assert symptoms_page.main(["--check", str(path)]) == 0
    assert all(f"| {each.id} |" in symptoms_page.page() for each in CATALOGUE)


def test_a_stale_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "symptoms.md"
    assert symptoms_page.main(["--write", str(path)]) == 0
    path.write_text(path.read_text() + "more")
    assert symptoms_page.main(["--check", str(path)]) == 1
    assert "just fix" in capsys.readouterr().err
    assert symptoms_page.main([]) == 2
