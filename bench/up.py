"""`truebeat up`, cold (a new data directory) and warm (an existing one): start of the command -> /readyz answers 200.

The ratio is against the least such a command could cost: starting Python and importing the command line.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from bench.harness import free_port, median_of


def start_to_ready(data_dir: str) -> float:
    port = free_port()
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "truebeat.cli.main", "up", "--data-dir", data_dir, "--port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            with (
                contextlib.suppress(urllib.error.URLError, ConnectionError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer,
            ):
                if answer.status == 200:
                    return time.monotonic() - begun
            if process.poll() is not None or time.monotonic() - begun > 60:
                raise SystemExit("`truebeat up` did not become ready")
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cold, warm, least = [], [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="tb-bench-", ignore_cleanup_errors=True) as parent:
            os.chmod(parent, 0o755)
            cold.append(start_to_ready(f"{parent}/data"))
            warm.append(start_to_ready(f"{parent}/data"))
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", "import truebeat.cli.main"], check=True)
        least.append(time.monotonic() - begun)
    print(f"up, cold: {median_of(cold):.2f} s   (goal <= 3 s)")
    print(f"up, warm: {median_of(warm):.2f} s   (goal <= 1 s)")
    print(f"Python and the command line alone: {median_of(least):.2f} s; ratio warm/alone "
          f"{median_of(warm) / median_of(least):.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
