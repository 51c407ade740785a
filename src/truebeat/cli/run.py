"""`truebeat run`: one workspace. Finds or creates it, then becomes its supervisor."""

from __future__ import annotations

import os
import shlex
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from truebeat import errors
from truebeat.cli import connection
from truebeat.cli.output import complain
from truebeat.client.credentials import FixedToken
from truebeat.client.http import Client
from truebeat.clock import SystemClock
from truebeat.domain.access import Role
from truebeat.protocol.resources import NewToken, NewWorkspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

#: seconds to wait for a server that does not answer yet
PATIENCE: Final = 60.0


def run(
    name: str,
    /,
    *target: str,
    agent: str,
    option: Annotated[tuple[str, ...], Parameter(name="--option", negative="")] = (),
    role: str = "",
    parent: str = "",
    bound: Annotated[tuple[str, ...], Parameter(name="--bound", negative="")] = (),
    suspect: Annotated[tuple[str, ...], Parameter(name="--suspect", negative="")] = (),
    loop_bound: float = 2.0,
    loop_kill: float = 20.0,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run one workspace until interrupted or removed.

    With an operator's token the workspace is created, or taken over if it exists; otherwise TRUEBEAT_TOKEN or
    TRUEBEAT_TOKEN_FILE must be its own.

    Parameters
    ----------
    name
        Its name, or the id of an existing one.
    target
        What to run: the command line (command; write it after --) or module:function (python). None for claude.
    agent
        Which executor does the turns: claude, command, python, a2a, or one that an installed package adds.
    option
        key=value for the executor; may be repeated. docs/executors.md lists them.
    role
        What it is for, if it is created now.
    parent
        The name or id of the workspace above it in the hierarchy, if it is created now.
    bound
        PHASE=SECONDS: how long a phase may stand still without evidence; may be repeated. docs/phases.md has them.
    suspect
        PHASE=SECONDS: after how long a silence in a phase the runtime is probed; may be repeated.
    loop_bound
        Seconds without a tick of the worker's event loop after which it counts as stalled.
    loop_kill
        Seconds without a tick after which the worker is also restarted.
    log_level
        What the supervisor says on standard error.
    json
        One line of JSON with the workspace's id before it starts.
    """
    goal = check_target(agent, target)
    options = parse_options(option)
    bounds, suspects = parse_seconds("--bound", bound), parse_seconds("--suspect", suspect)
    if not 0 < loop_bound < loop_kill:
        raise errors.Invalid("--loop-bound must be above 0 and below --loop-kill, in seconds")
    from truebeat.workspace.config import RunConfig, encode

    url, workspace_id, environment = _prepare(name, role, parent)
    if agent == "claude":
        # where it remembers which conversation is which session of the CLI
        options.setdefault("state_dir", str(connection.data_dir() / "workspaces" / str(workspace_id)))
        bounds.setdefault("starting", start_bound(options))
    config = RunConfig(
        name=name,
        workspace_id=str(workspace_id),
        url=url,
        agent=agent,
        target=goal,
        options=options,
        token_file=environment.get("TRUEBEAT_TOKEN_FILE"),
        log_level=log_level,
        bounds=bounds,
        suspects=suspects,
        loop_bound=loop_bound,
        loop_kill=loop_kill,
    )
    if json:
        from truebeat.cli.output import print_json

        print_json({"id": workspace_id, "name": name, "url": url, "pid": os.getpid()})
    sys.stdout.flush()
    # This process becomes the supervisor: the command line's memory is gone, its pid stays.
    command = [sys.executable, "-m", "truebeat.workspace.supervisor", encode(config)]
    os.execve(sys.executable, command, environment)  # noqa: S606


def check_target(agent: str, target: Sequence[str]) -> str | list[str]:
    """What the executor is told to run; Invalid says how to write it."""
    if agent == "command":
        if not target:
            raise errors.Invalid("--agent command needs a command line: truebeat run NAME --agent command -- PROGRAM")
        return list(target) if len(target) > 1 else shlex.split(target[0])
    if agent == "python":
        if len(target) != 1 or ":" not in target[0]:
            raise errors.Invalid("--agent python needs one module:function")
        return target[0]
    check_agent(agent)
    if target and agent == "claude":
        raise errors.Invalid(f"--agent {agent} takes no command line; give --option key=value")
    return list(target) if len(target) > 1 else "".join(target)


def check_agent(agent: str) -> None:
    """Invalid if no executor has that name."""
    from truebeat.workspace.executors import names

    if agent not in (known := names()):
        raise errors.Invalid(f"there is no executor {agent!r}; choose one of: {', '.join(known)}")


def parse_options(given: Sequence[str]) -> dict[str, str]:
    options = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise errors.Invalid(f"--option {text!r} must be key=value")
        options[key] = value
    return options


def start_bound(options: Mapping[str, str]) -> float:
    """Seconds that a start of Claude may take: up to four connects, to tell bad options from a broken CLI."""
    from truebeat.domain.phases import bounds_of

    try:
        connect = float(options.get("connect_timeout", "0"))
    except ValueError:
        connect = 0.0  # the executor refuses it with its own words
    return max(bounds_of("starting").still_after or 0.0, 4 * connect)


def parse_seconds(flag: str, given: Sequence[str]) -> dict[str, float]:
    """PHASE=SECONDS, each above 0."""
    found = {}
    for text in given:
        phase, _, value = text.partition("=")
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not phase or not 0 < seconds < 1e9:
            raise errors.Invalid(f"{flag} {text!r} must be PHASE=SECONDS, for example waiting_model=60")
        found[phase] = seconds
    return found


def _prepare(name: str, role: str, parent: str) -> tuple[str, UUID, dict[str, str]]:
    """The server's URL, the workspace's id, and an environment that holds the workspace's own token and no other."""
    url, source = connection.address()
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE
    told = False
    with Client(url, source) as client:
        while True:
            try:
                workspace_id, token_file = own(client, name, role, parent)
                break
            except (errors.Unavailable, _NoParentError) as error:
                if clock.monotonic() > deadline:
                    raise
                if not told:
                    complain(f"{error.message}; trying for {PATIENCE:.0f} s")
                    told = True
                # a parent of the same fleet is there in a moment
                time.sleep(0.1 if isinstance(error, _NoParentError) else 0.5)
    environment = dict(os.environ)
    environment.pop("TRUEBEAT_ADMIN_TOKEN", None)
    if token_file is not None:
        environment.pop("TRUEBEAT_TOKEN", None)
        environment["TRUEBEAT_TOKEN_FILE"] = str(token_file)
    return client.url, workspace_id, environment


class _NoParentError(errors.NotFound):
    """The parent is not there yet: in a fleet it may be starting this moment."""


def own(client: Client, name: str, role: str, parent: str = "") -> tuple[UUID, Path | None]:
    """The workspace's id and the file with its token; None: the token we were given is its own."""
    try:
        view = client.workspaces.find(name)
    except errors.NotFound:
        return _create(client, name, role, _parent_id(client, parent))
    path = token_path(view.id)
    if _works(client.url, path, view.id):
        return view.id, path
    try:
        issued = client.tokens.issue(NewToken(name=f"run {view.name}"[:200], role=Role.WORKSPACE, workspace_id=view.id))
    except errors.Forbidden:
        return view.id, None
    connection.write_secret(path, issued.token + "\n")
    return view.id, path


def _parent_id(client: Client, parent: str) -> UUID | None:
    if not parent:
        return None
    try:
        return client.workspaces.find(parent).id
    except errors.NotFound:
        raise _NoParentError(f"there is no workspace {parent!r} to be its parent; start that one first") from None


def _create(client: Client, name: str, role: str, parent_id: UUID | None) -> tuple[UUID, Path]:
    try:
        created = client.workspaces.create(NewWorkspace(name=name, role=role, parent_id=parent_id))
    except errors.Forbidden:
        raise errors.Forbidden(
            f"no workspace is named {name!r} and this token may not create one; "
            f"use an operator's token, or the name of the workspace the token is for"
        ) from None
    path = token_path(created.workspace.id)
    connection.write_secret(path, created.token + "\n")
    return created.workspace.id, path


def token_path(workspace_id: UUID) -> Path:
    return connection.data_dir() / "workspaces" / f"{workspace_id}.token"


def _works(url: str, path: Path, workspace_id: UUID) -> bool:
    """Whether a token kept from an earlier run is still good."""
    try:
        kept = path.read_text(encoding="utf-8").strip()
        with Client(url, FixedToken(kept)) as client:
            client.workspaces.get(workspace_id)
    except (OSError, UnicodeDecodeError, errors.Unauthenticated, errors.Forbidden, errors.NotFound):
        return False
    return True
