"""The table of commands, and the one place where an error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from truebeat.cli.exits import Exit, exit_for
from truebeat.cli.parent import end_with_parent
from truebeat.errors import TruebeatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import App


def build() -> App:
    """The commands, by name and where they are; none is imported before it is called."""
    from cyclopts import App, Group

    from truebeat import __version__

    app = App(
        name="truebeat",
        help="A control plane for fleets of AI agents whose heartbeats can't lie.",
        version=__version__,
        help_format="plaintext",
        result_action="return_value",
    )
    start = Group("Start", sort_key=0)
    look = Group("Look", sort_key=1)
    act = Group("Act", sort_key=2)
    keep = Group("Keep", sort_key=3)
    for place, (name, group, meaning) in enumerate(
        (
            ("demo", start, "Watch a lie being caught: a small fleet, a real wedge, measured times."),
            ("up", start, "Run the server with its own PostgreSQL, and the workspaces of a fleet.toml."),
            ("run", start, "Run one workspace: a supervisor and, under it, the agent."),
            ("mcp", start, "The agents' tools for one workspace, as an MCP server."),
            ("serve", start, "Run the server alone, on the PostgreSQL of TRUEBEAT_DATABASE_URL."),
            ("canvas", look, "The page to watch and drive the fleet: its URL, with a login."),
            ("ps", look, "List the workspaces with their judged status and the reason."),
            ("watch", look, "The same, live."),
            ("show", look, "Everything about one workspace."),
            ("incidents", look, "What went wrong, from the first symptom to the verified recovery."),
            ("events", look, "What happened, and what happens."),
            ("tasks", look, "A workspace's tasks, or everything about one."),
            ("trace", look, "Who asked whom: the whole tree that a task is part of."),
            ("send", act, "Send a workspace a message, and print the answer as it comes."),
            ("delegate", act, "Let one workspace give another work."),
            ("cancel", act, "Cancel a task."),
            ("restart", act, "Order a new generation of a workspace's worker."),
            ("remove", act, "Remove a workspace for good."),
            ("check", keep, "Lie on purpose and measure: is every lie found in time, and nobody healthy punished?"),
            ("doctor", keep, "Check this machine and the server; say what to do."),
        )
    ):
        app.command(f"truebeat.cli.{name}:{name}", name=name, group=group, help=meaning, sort_key=place)
    token = App(name="token", help="Create, list, revoke and rotate tokens.", group=act, help_format="plaintext")
    for name in ("create", "list", "revoke", "rotate"):
        token.command(f"truebeat.cli.token:{name}_token", name=name)
    app.command(token)
    migrate = App(name="migrate", help="Bring the database's schema up or down.", group=keep, help_format="plaintext")
    for name in ("up", "down", "status"):
        migrate.command(f"truebeat.cli.migrate:migrate_{name}", name=name)
    app.command(migrate)
    return app


def dispatch(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code. Never raises but for what no command foresaw."""
    from cyclopts import CycloptsError

    from truebeat.cli.output import complain

    try:
        outcome = build()(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        complain(f"{str(error).rstrip('.')}; see: truebeat --help")
        return Exit.USAGE
    except TruebeatError as error:
        complain(error.message)
        return exit_for(error)
    except ModuleNotFoundError as error:
        complain(f"the package {error.name} is not installed; for the server: pip install 'truebeat[server]'")
        return Exit.FAILURE
    except Exception as error:
        if os.environ.get("TRUEBEAT_DEBUG"):
            raise
        complain(f"this should not happen: {type(error).__name__}: {error}; TRUEBEAT_DEBUG=1 shows where")
        return Exit.FAILURE
    return outcome if isinstance(outcome, int) else Exit.OK


def main() -> None:
    """The program `truebeat`."""
    try:
        end_with_parent()
        code = dispatch(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.OK
    sys.exit(int(code))


if __name__ == "__main__":
    main()
