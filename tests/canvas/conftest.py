"""A real browser on the page of a real `truebeat up`."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from page_stand import Stand, Visitor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built_page() -> None:
    """The page that the server serves is the one that the sources make."""
    spec = importlib.util.spec_from_file_location("canvas_bundle", ROOT / "canvas" / "bundle.py")
    bundle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bundle)
    if not bundle.fresh():
        pytest.fail("the built page is not what canvas/ makes; run: uv run just canvas")


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, to be run in a page."""
    file = ROOT / "canvas" / "node_modules" / "axe-core" / "axe.min.js"
    if not file.is_file():
        pytest.fail("axe-core is not installed; run: uv run just canvas")
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Browser:
    """Not for longer than a module: while it is there no other loop can run in this thread."""
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
        except Error as error:
            pytest.fail(
                "the canvas is tested in a real browser, and there is none: install Chromium (apt-get install "
                f"chromium) or run: uv run playwright install chromium\n{error}"
            )
        yield started
        started.close()


@pytest.fixture(scope="session")
def stand(built_page, new_directory):
    """A server with two agents, and as many that only beat as a test wants; ends with all its processes."""
    with Stand(new_directory(), agents=("grace", "linus")) as started:
        yield started


@pytest.fixture
def visitor(browser, stand):
    """An operator with the page open."""
    with Visitor(browser, stand) as made:
        yield made


@pytest.fixture
def visit(browser, stand):
    """`with visit(color_scheme="dark") as visitor`: a browser of its own."""
    return lambda **more: Visitor(browser, stand, **more)
