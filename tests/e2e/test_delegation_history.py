"""Chains of delegations among real workspaces while everything is killed and wedged: all end, none lost, none doubled.

The long run is `python -m bench.delegation_history`; what it checks is checked in test_delegation_history_check.py.
CHAOS_SEED repeats a run as far as its dice go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_rig import Rig, dice, run_cli

from bench.delegation_history import DEPTH, prepare, run

DELEGATIONS = 80
#: seconds over which they are sent and things are killed
SECONDS = 15.0


@pytest.fixture
def chains(new_directory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    directory = new_directory()
    for name in ("CHAIN_JOURNAL", "CHAIN_ORDERS"):
        monkeypatch.setenv(name, "")  # so that what is set now ends with the test
    prepare(directory)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    made = Rig(directory)
    try:
        yield made
    finally:
        left = made.close()
    assert left == {}, "processes stayed behind"


@pytest.mark.timeout(600)
def test_every_result_is_used_by_exactly_one_turn_whatever_dies(chains: Rig) -> None:
    figures = run(
        chains, delegations=DELEGATIONS, workspaces=5, seconds=SECONDS, pause=1.5, dice=dice(), wedges=("admit",)
    )
    print(figures)
    assert figures["deeds"], "nothing was killed or stopped: the run shows nothing"
    assert figures["violations"] == []
    assert figures["chains"] == DELEGATIONS // DEPTH
    assert figures["states"].get("completed", 0) > 0.8 * DELEGATIONS, figures
    _whoever_looks_sees_the_whole_chain(chains)


def _whoever_looks_sees_the_whole_chain(chains: Rig) -> None:
    made = [one for view in chains.views().values() for one in chains.client.delegations.page(view.id, limit=500)]
    deepest = max(made, key=lambda one: one.depth)
    assert deepest.depth == DEPTH
    code, tree = run_cli(chains, "trace", str(deepest.delegation_id), "--json")
    assert code == 0
    for depth in range(DEPTH):
        assert tree["depth"] == depth
        [tree] = [child for child in tree["children"] if not child["wake"]]
    assert tree["task_id"] == str(deepest.delegation_id)
