from __future__ import annotations

import subprocess
import sys

import pytest

import truebeat


def test_every_public_name_is_there() -> None:
    for name in truebeat.__all__:
        assert getattr(truebeat, name) is not None
    assert set(truebeat.__all__) <= set(dir(truebeat))


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="wedge_me"):
        truebeat.wedge_me  # noqa: B018


def test_the_package_alone_imports_nothing_heavy() -> None:
    """A supervisor imports it too."""
    code = "import sys, truebeat; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"asyncio", "typing", "msgspec", "wsproto", "truebeat.workspace"}.isdisjoint(loaded)


def test_an_executors_author_gets_no_event_loop_for_the_wedge_helpers() -> None:
    code = "import sys; from truebeat import mark_wedged; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "asyncio" not in loaded
