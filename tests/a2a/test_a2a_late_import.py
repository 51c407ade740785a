"""A server that nobody asks by A2A starts without the SDK: importing it takes a second."""

import subprocess
import sys

CHECK = """
import sys
import truebeat.server.serve
found = sorted(name for name in sys.modules if name.split(".")[0] in {"a2a", "google", "pydantic"})
assert not found, found
"""


def test_the_server_starts_without_the_sdk():
    subprocess.run([sys.executable, "-c", CHECK], check=True, timeout=60)
