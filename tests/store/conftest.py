"""What tests of the store stand on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
async def conn(database):
    async with database.acquire() as connection:
        yield connection
