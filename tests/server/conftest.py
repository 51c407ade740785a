"""What tests of tasks stand on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from task_stand import standing


@pytest.fixture
async def stand(live):
    """A live server, with what sending to it and driving a link by hand need."""
    async with standing(live) as made:
        yield made
