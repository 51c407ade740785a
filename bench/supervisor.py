"""What a supervisor costs: its resident memory and its share of a processor while its agent is idle.

The ratio is against a bare Python interpreter that only sleeps, started in the same run.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

import psutil

from bench.harness import ADMIN, free_port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tb-bench-", ignore_cleanup_errors=True) as parent:
        os.chmod(parent, 0o755)
        environment = {**os.environ, "TRUEBEAT_URL": f"http://127.0.0.1:{port}", "TRUEBEAT_TOKEN": ADMIN}
        up = subprocess.Popen(
            [sys.executable, "-m", "truebeat.cli.main", "up", "--data-dir", f"{parent}/data", "--port", str(port)],
            env={**os.environ, "TRUEBEAT_ADMIN_TOKEN": ADMIN},
            stdout=subprocess.DEVNULL,
        )
        bare = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        command = [sys.executable, "-m", "truebeat.cli.main", "run", "idle", "--agent", "command"]
        command += ["--option", "mode=ndjson", "--", sys.executable, "-m", "truebeat.kit.agent"]
        try:
            while subprocess.run(
                [sys.executable, "-m", "truebeat.cli.main", "ps", "--json"],
                env=environment,
                capture_output=True,
                check=False,
            ).returncode:
                time.sleep(0.2)
            supervisor = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            try:
                process = psutil.Process(supervisor.pid)
                while "truebeat.workspace.supervisor" not in " ".join(process.cmdline()) or not process.children():
                    time.sleep(0.1)
                time.sleep(5)
                before, begun = process.cpu_times(), time.monotonic()
                time.sleep(options.seconds)
                after, elapsed = process.cpu_times(), time.monotonic() - begun
                share = (after.user + after.system - before.user - before.system) / elapsed
                memory = process.memory_info().rss / 2**20
                least = psutil.Process(bare.pid).memory_info().rss / 2**20
            finally:
                supervisor.send_signal(signal.SIGTERM)
                supervisor.wait(20)
        finally:
            bare.kill()
            bare.wait()
            up.send_signal(signal.SIGINT)
            up.wait(20)
    print(f"supervisor memory: {memory:.1f} MB resident   (goal <= 25 MB)")
    print(f"a bare interpreter: {least:.1f} MB; ratio {memory / least:.1f}")
    print(f"supervisor processor share while idle: {share * 100:.2f} %   (goal <= 0.2 %)")


if __name__ == "__main__":
    main()
