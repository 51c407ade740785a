"""A fleet of real processes per module; that nothing of it stays behind is checked each time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from chaos_rig import Rig


@pytest.fixture(scope="module")
def rig(new_directory: Callable[[], Path]) -> Iterator[Rig]:
    made = Rig(new_directory())
    try:
        yield made
    finally:
        left = made.close()
    assert left == {}, "processes stayed behind"
