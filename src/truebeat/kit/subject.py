"""One workspace under test: its supervisor, worker and runtime, all real, and the handles that faults need."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final, Self

import psutil

from truebeat import errors
from truebeat.domain.health import Status
from truebeat.kit.faults import scene
from truebeat.kit.not_started import NotStarted
from truebeat.kit.runs import FAULT
from truebeat.kit.stage import marked, sweep, tail
from truebeat.protocol.resources import NewWorkspace, WorkspaceView
from truebeat.protocol.tasks import NewTask, TaskView
from truebeat.workspace.config import RunConfig, encode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from truebeat.kit.case import Run
    from truebeat.kit.stage import Stage

#: in the environment of every process of one case
_MESSAGES: Final = "{messages}"
CASE: Final = "TRUEBEAT_CHECK_CASE"
#: seconds
ONLINE_LIMIT: Final = 60.0
STAMP_LIMIT: Final = 40.0
STOP_GRACE: Final = 12.0


class Subject:
    """`with` creates the workspace; `start` runs it. Afterwards nothing of it is left, and what was is in `left`."""

    def __init__(self, stage: Stage, name: str, run: Run) -> None:
        self.stage = stage
        self.name = name
        self.run = run
        self.directory = stage.directory / "cases" / name
        self.id: UUID
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.left: list[str] = []
        #: the last task that was sent
        self.task: UUID | None = None
        self._port = ""
        self._extra: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True)
        created = self.stage.client.workspaces.create(NewWorkspace(name=self.name))
        self.id = created.workspace.id
        (self.directory / "token").touch(mode=0o600)
        (self.directory / "token").write_text(created.token)
        cli = self.directory / "claude"
        command = f'"{sys.executable}" -m truebeat.kit.faults.claude_cli "${FAULT}"'
        cli.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        cli.chmod(0o700)
        for path, content in self.run.files.items():
            place = self.directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(self._placed(content))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for process in self._extra:
            with process:
                process.kill()
        mark = f"{CASE}={self._mark}"
        self.stage.until(lambda: not marked(mark), 2.0)
        self.left += sweep(marked(mark))
        with contextlib.suppress(errors.TruebeatError):
            self.stage.client.workspaces.remove(self.id)

    @property
    def _mark(self) -> str:
        return f"{self.stage.marker}-{self.name}"

    def environment(self) -> dict[str, str]:
        """What every process of the case starts with."""
        return {
            **self.stage.environment(),
            CASE: self._mark,
            scene.DIRECTORY: str(self.directory),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def _filled(self, texts: Mapping[str, str]) -> dict[str, str]:
        filled = {key: self._placed(value) for key, value in texts.items()}
        if any(_MESSAGES in value for value in filled.values()):
            port = self._messages_port()
            filled = {key: value.replace(_MESSAGES, port) for key, value in filled.items()}
        return filled

    def _placed(self, text: str) -> str:
        return text.replace("{case}", str(self.directory))

    def _messages_port(self) -> str:
        """Starts the stand-in for the Messages API, unless this case has one."""
        if not self._port:
            command = [sys.executable, "-m", "truebeat.kit.faults.messages"]
            process = self.beside(command, stdout=subprocess.PIPE)
            assert process.stdout is not None  # noqa: S101 - asked for
            self._port = process.stdout.readline().decode().strip()
        return self._port

    def start(self) -> None:
        """Its supervisor, as `truebeat run` starts one."""
        run = self.run
        config = RunConfig(
            name=self.name,
            workspace_id=str(self.id),
            url=self.stage.client.url,
            agent=run.agent,
            target=run.target if isinstance(run.target, str) else list(run.target),
            options=self._filled(run.options),
            token_file=str(self.directory / "token"),
            parent_pid=os.getpid(),
            bounds=dict(run.bounds),
            suspects=dict(run.suspects),
            worker_command=list(run.worker) or None,
            loop_bound=run.loop_bound,
            loop_kill=run.loop_kill,
        )
        with (self.directory / "log").open("ab") as log:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "truebeat.workspace.supervisor", encode(config)],
                env={**self.environment(), **self._filled(run.environment)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_online(self) -> WorkspaceView:
        """Online with a worker that claims health; NotStarted if that does not come."""
        seen: list[WorkspaceView] = []

        def online() -> bool:
            if self.supervisor is not None and self.supervisor.poll() is not None:
                raise NotStarted(f"its supervisor ended: {self.log(400)}")
            seen[:] = [self.view()]
            return seen[0].status is Status.ONLINE and seen[0].runtime_state == "" and bool(seen[0].worker_pid)

        if not self.stage.until(online, ONLINE_LIMIT):
            raise NotStarted(f"it was not online within {ONLINE_LIMIT:.0f} s: {self.log(400)}")
        return seen[0]

    def view(self) -> WorkspaceView:
        return self.stage.client.workspaces.get(self.id)

    def worker_pid(self) -> int:
        return self.view().worker_pid or 0

    def runtime_pid(self) -> int:
        """The process that the worker holds to do the work; 0 if there is none."""
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self.worker_pid()).children()
            return next((one.pid for one in children if one.status() != psutil.STATUS_ZOMBIE), 0)
        return 0

    def need_runtime(self) -> int:
        if pid := self.runtime_pid():
            return pid
        raise NotStarted("its worker holds no runtime process")

    def send(self, text: str) -> UUID:
        """A task; its id."""
        path, new = f"/workspaces/{self.id}/tasks", NewTask(text=self._placed(text))
        self.task = self.stage.client.call(TaskView, "POST", path, new).id
        return self.task

    def result(self) -> TaskView:
        """The last task as it is now."""
        return self.stage.client.call(TaskView, "GET", f"/tasks/{self.task}")

    def cancel(self) -> None:
        self.stage.client.call(TaskView, "POST", f"/tasks/{self.task}/cancel")

    def stamped(self, limit: float = STAMP_LIMIT) -> float:
        """When the fault took effect, as its process says; NotStarted if it never did."""
        self.stage.until(lambda: scene.stamped(self.directory) is not None, limit)
        at = scene.stamped(self.directory)
        if at is None:
            raise NotStarted(f"the fault never took effect: {self.log(400)}")
        return at

    def beside(self, command: list[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
        """A process of the case's own scenery; it is killed at the end."""
        with (self.directory / "beside.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self.environment(), stdin=subprocess.PIPE, stdout=stdout or log, stderr=log
            )
        self._extra.append(process)
        return process

    def stop(self) -> None:
        """End its supervisor in order, also one that a fault stopped."""
        process, self.supervisor = self.supervisor, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE)
            return
        self.left.append(f"{process.pid} its supervisor, which did not end within {STOP_GRACE:.0f} s")
        process.kill()
        process.wait()

    def log(self, limit: int = 1500) -> str:
        return tail(self.directory / "log", limit)
