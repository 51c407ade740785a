"""The table of cases is complete and consistent: the scorecard is worth no more than what it plays."""

from __future__ import annotations

import pytest

from truebeat import errors
from truebeat.kit import cases
from truebeat.kit.case import Kind, Quiet, Recovery, Run
from truebeat.kit.faults import claude_cli, functions, runtime

LIES = [case for case in cases.CASES if case.kind is Kind.LIE]
HARDSHIPS = [case for case in cases.CASES if case.kind is Kind.HARDSHIP]


def test_there_are_enough_of_both_kinds_and_each_has_a_name_of_its_own():
    assert len(LIES) >= 24
    assert len(HARDSHIPS) >= 10
    names = [case.name for case in cases.CASES]
    assert len(set(names)) == len(names)
    assert all(case.title for case in cases.CASES)


@pytest.mark.parametrize(
    "name",
    [
        "claude-never-answers-initialize",
        "claude-exits-0-at-start",
        "hangs-in-a-turn",
        "deaf-stdin",
        "worker-stopped",
        "claude-stopped",
        "loop-blocked",
        "thread-pool-blocked",
        "lock-deadlock",
        "busy-loop",
        "claude-broken-json",
        "claude-huge-line",
        "claude-stream-without-result",
        "claude-result-never-sent",
        "grandchild-holds-stdout",
        "half-open-socket",
        "swallowed-exceptions",
        "counters-stand",
        "pipe-closed",
        "memory-bomb",
        "descriptors-exhausted",
        "claude-leftover",
        "claude-interrupt-ignored",
        "worker-killed",
        "worker-exits-0",
    ],
)
def test_a_lie_that_was_promised_is_told(name: str):
    assert name in {case.name for case in LIES}


@pytest.mark.parametrize(
    "name",
    [
        "silent-tool",
        "slow-model",
        "slow-start",
        "claude-announced-retry",
        "claude-stalled-upstream",
        "claude-slow-mcp",
        "approval",
        "claude-compaction",
        "stderr-flood",
        "server-stalled",
        "machine-starved",
        "big-output",
    ],
)
def test_a_hardship_that_was_promised_is_endured(name: str):
    assert name in {case.name for case in HARDSHIPS}


@pytest.mark.parametrize("case", LIES, ids=lambda case: case.name)
def test_every_lie_says_by_whom_it_is_found_and_how_it_comes_back(case):
    assert case.witnesses
    assert case.recovery
    if case.quiet is None:
        # hard evidence is measured with the defaults: a scaled bound would prove nothing
        assert not case.run.bounds.keys() & {"idle", "working", "waiting_model"} or case.run.worker
        assert not case.run.suspects
        assert "probe_interval" not in case.run.options
        assert "probe_timeout" not in case.run.options
        assert case.run.loop_bound == Run().loop_bound
    else:
        assert case.quiet.seconds > 0
        assert case.quiet.why


def test_who_can_only_be_mended_by_an_operator_is_mended_by_one():
    for case in LIES:
        if case.recovery & {Recovery.ORDERED, Recovery.RERUN}:
            assert case.mends is not None


def test_every_fault_that_a_turn_or_an_order_names_is_there():
    source = "\n".join(
        [*runtime.TURNS, *runtime.ORDERS, *runtime.HARDSHIPS, *functions._ON_THE_LOOP, claude_cli.__doc__ or ""]
    )
    for case in cases.CASES:
        fault = case.run.environment.get("TRUEBEAT_CHECK_FAULT", "ok").partition("@")[0].partition("=")[0]
        assert fault in source


def test_cases_for_any_executor_run_the_target_given():
    target = Run(agent="command", target=("prog", "--flag"), options={"mode": "ndjson"})
    chosen = cases.against(target)
    assert {case.kind for case in chosen} == {Kind.LIE, Kind.HARDSHIP}
    assert all(case.run.target == ("prog", "--flag") and case.run.options["mode"] == "ndjson" for case in chosen)
    # what sabotages the worker itself is not lost by that
    assert any(case.run.worker for case in chosen)


def test_a_runtime_is_killed_only_where_there_is_one():
    def names(agent: str, **options: str) -> set[str]:
        return {case.name for case in cases.against(Run(agent=agent, target="x", options=options))}

    assert "runtime-killed" in names("command", mode="ndjson")
    assert "runtime-killed" in names("claude")
    assert "runtime-killed" not in names("command")
    assert "runtime-killed" not in names("python")
    assert "worker-killed" in names("python")


def test_what_is_not_installed_is_not_played(monkeypatch):
    monkeypatch.setattr(cases, "find_spec", lambda _: None)
    monkeypatch.setattr(cases, "bundled", lambda: None)
    able = [case for case in cases.own() if cases.playable(case)]
    assert able
    assert all(case.run.agent != "claude" for case in able)


def test_cases_are_chosen_by_name_by_beginning_and_by_executor():
    everything = cases.own()
    assert [case.name for case in cases.named(everything, ["worker-killed"])] == ["worker-killed"]
    assert len(cases.named(everything, ["worker-"])) > 3
    assert len(cases.named(everything, ["worker-", "worker-killed"])) == len(cases.named(everything, ["worker-"]))
    assert all(case.run.agent for case in everything)
    assert {case.run.agent for case in cases.own("claude")} == {"claude"}
    with pytest.raises(errors.Invalid, match="no case 'nonsense'"):
        cases.named(everything, ["nonsense"])


def test_a_quiet_case_has_its_bound_and_some_slack_as_its_limit_and_a_hard_one_seven_seconds():
    for case in LIES:
        if isinstance(case.quiet, Quiet):
            assert case.quiet.seconds < case.limit <= case.quiet.seconds + 2
        else:
            assert case.limit == 7.0
