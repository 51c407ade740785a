"""The stack of another process, with real processes; and what the kernel says of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from truebeat.protocol.link import STACK_LIMIT
from truebeat.workspace import measure, stack

sys.path.insert(0, str(Path(__file__).parent))
from fake_server import until

if sys.platform != "linux":
    pytest.skip("/proc is Linux's", allow_module_level=True)

REGISTERED = """
import os, threading, time
from truebeat.workspace import stack
stack.register()
assert stack.ENV_STACK not in os.environ
def main():
    print("ready", flush=True)
"""
SLEEPS = "    time.sleep(1000)\nmain()\n"
HOLDS_THE_INTERPRETER = "    import re; re.match('(a+)+b', 'a' * 60)\nmain()\n"
MANY_THREADS = """
    def deeper(n):
        if n: deeper(n - 1)
        else: time.sleep(1000)
    for _ in range(80): threading.Thread(target=deeper, args=(50,), daemon=True).start()
    deeper(3)
main()
"""


@pytest.fixture
def file() -> Iterator[stack.StackFile]:
    made = stack.StackFile()
    yield made
    made.close()


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def spawn(started: list[subprocess.Popen[str]], file: stack.StackFile, code: str) -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(file.fd,),
        env={**os.environ, stack.ENV_STACK: str(file.fd)},
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process.pid


def captured(file: stack.StackFile, pid: int) -> str:
    assert file.ask(pid, time.monotonic()) == ""
    until(lambda: file.poll(time.monotonic()), what="the stack")
    return file.text()


@pytest.mark.parametrize("code", [SLEEPS, HOLDS_THE_INTERPRETER])
def test_the_stack_of_a_living_process_twice(
    started: list[subprocess.Popen[str]], file: stack.StackFile, code: str
) -> None:
    pid = spawn(started, file, REGISTERED + code)
    for _ in range(2):
        text = captured(file, pid)
        assert text.count("in main") == 1
        assert "most recent call first" in text
    assert measure.read(pid).state in {"R", "S"}  # asking did it no harm


def test_a_long_stack_is_cut_in_its_middle(started: list[subprocess.Popen[str]], file: stack.StackFile) -> None:
    text = captured(file, spawn(started, file, REGISTERED + MANY_THREADS))
    assert len(text) <= STACK_LIMIT
    assert text.rstrip().endswith("in <module>")
    assert "in main" in text


def test_who_has_no_handler_is_not_asked(started: list[subprocess.Popen[str]], file: stack.StackFile) -> None:
    pid = spawn(started, file, "import time; print('ready', flush=True); time.sleep(1000)")
    assert file.ask(pid, 0.0) == "the worker has registered no handler for it"
    until(lambda: measure.read(pid).state == "S", what="its sleep")  # asking did it no harm


def test_a_stopped_process_is_not_asked(started: list[subprocess.Popen[str]], file: stack.StackFile) -> None:
    pid = spawn(started, file, REGISTERED + SLEEPS)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: measure.read(pid).state == "T", what="the stop")
    assert "stopped (state T)" in file.ask(pid, 0.0)


def test_a_process_that_is_gone(started: list[subprocess.Popen[str]], file: stack.StackFile) -> None:
    pid = spawn(started, file, REGISTERED + SLEEPS)
    started[0].kill()
    started[0].wait()
    assert measure.read(pid) == measure.Reading("")
    assert file.ask(pid, 0.0)


def test_an_answer_that_never_comes_is_not_waited_for(file: stack.StackFile) -> None:
    assert not file.poll(0.0)
    assert file.poll(stack.ANSWER_WITHIN)
    assert file.text() == ""


def test_without_a_supervisor_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(stack.ENV_STACK, raising=False)
    stack.register()
    monkeypatch.setenv(stack.ENV_STACK, "nonsense")
    stack.register()


def test_the_processor_time_of_a_process_is_measured() -> None:
    before = measure.read(os.getpid())
    assert before.state == "R"
    assert before.cpu is not None
    assert before.run_delay is not None
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    after = measure.read(os.getpid())
    assert after.cpu is not None
    assert after.cpu > before.cpu
