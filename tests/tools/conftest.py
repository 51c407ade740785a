"""What tests of the tools stand on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "stands"))
from fleet_stub import Stub

from truebeat.tools.catalog import Tools
from truebeat.tools.desk import Desk


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.close()


@pytest.fixture
def tools(stub: Stub) -> Iterator[Tools]:
    with Desk(stub.place) as desk:
        yield Tools(desk, lambda: str(stub_task))


stub_task = "00000000-0000-0000-0000-0000000000aa"
