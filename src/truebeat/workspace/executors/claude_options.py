"""The executor's options, and the SDK's that are made of them: in full, and the least that a CLI starts with."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from truebeat.workspace.executors.base import ConfigurationError, Options
from truebeat.workspace.executors.claude_cli import MARK
from truebeat.workspace.executors.claude_tools import ALLOWED, SERVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from truebeat.workspace.executors.claude_tools import NativeTools

#: bytes of one line from the CLI; the SDK's own default of 1 MiB kills its reader on a large tool result
_BUFFER: Final = 16 * 1024 * 1024
#: options that can keep a CLI from starting; a canary leaves them out
_EXTRAS: Final = ("setting_sources", "settings", "mcp_config", "plugins")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds."""

    #: the CLI may take this long to answer `initialize` before people are told that it is slow
    connect_soft: float
    #: and this long before it is killed; the SDK itself would wait for 60
    connect: float
    #: from the last word of a finished answer until its result must be there
    result: float
    #: for an interrupt to be acknowledged and obeyed
    interrupt: float
    #: silence of a turn after which a probe that is answered says that the upstream stands still
    stalled: float
    #: for a probe of a fresh client
    probe: float


class Settings:
    """Read once; ConfigurationError for what can't be right."""

    def __init__(self, options: Options, probe_timeout: float) -> None:
        self._options = options
        connect = options.seconds("connect_timeout", 30.0)
        self.limits = Limits(
            connect_soft=min(options.seconds("connect_soft", 10.0), connect),
            connect=connect,
            result=options.seconds("result_timeout", 30.0),
            interrupt=options.seconds("interrupt_timeout", 5.0),
            stalled=options.seconds("stalled_after", 10.0),
            probe=options.seconds("probe_timeout", probe_timeout),
        )
        directory = options.text("state_dir")
        self.state_dir = Path(directory) if directory else None
        self.wants_tools = options.choice("tools", "yes", ("yes", "no")) == "yes"
        #: the agents' tools, once the executor has them
        self.tools: NativeTools | None = None
        self._environment = self._upstream_limits()

    def check(self) -> None:
        """ConfigurationError if the place or the program is not there."""
        cwd, cli = self._options.text("cwd"), self._options.text("cli_path")
        if cwd and not Path(cwd).is_dir():
            raise ConfigurationError(f"the working directory {cwd!r} does not exist; create it or change option cwd")
        if cli and not os.access(cli, os.X_OK):
            raise ConfigurationError(f"cli_path={cli!r} is not a program that can be run; correct it or leave it out")

    @property
    def extras(self) -> str:
        """What a canary leaves out, as `name=value`, for people; "" if there is nothing to leave out."""
        given = ((name, self._options.text(name)) for name in _EXTRAS)
        return ", ".join(f"{name}={value}" for name, value in given if value)

    def for_sdk(
        self, sdk: Any, *, mark: str, stderr: Callable[[str], None], resume: str = "", full: bool = True
    ) -> Any:
        """A `ClaudeAgentOptions`. `full` false: no setting sources, settings, MCP servers, plugins, session."""
        option = self._options.text
        chosen: dict[str, Any] = {"setting_sources": [], "strict_mcp_config": True}
        if full:
            chosen = {
                "setting_sources": _list(option("setting_sources")),
                "settings": option("settings") or None,
                "plugins": [{"type": "local", "path": path} for path in _list(option("plugins"))],
                "mcp_servers": self._servers(),
                # a hook at the end of a turn may take long, and is then no lost result
                "include_hook_events": bool(self.extras),
                "resume": resume or None,
            }
        try:
            return sdk.ClaudeAgentOptions(
                cli_path=option("cli_path") or None,
                model=option("model") or None,
                cwd=option("cwd") or None,
                system_prompt=option("system_prompt") or None,
                permission_mode=option("permission_mode") or None,
                allowed_tools=[*_list(option("allowed_tools")), *(ALLOWED if full and self.tools else ())],
                include_partial_messages=True,
                max_buffer_size=_BUFFER,
                stderr=stderr,
                env=self._environment | {MARK: mark},
                **chosen,
            )
        except TypeError as error:
            raise ConfigurationError(f"this claude-agent-sdk refuses the options: {error}") from error

    def _servers(self) -> Any:
        """The operator's MCP servers and ours. What it can't read of theirs the CLI is given, to say so."""
        given = self._options.text("mcp_config")
        if self.tools is None:
            return given or {}
        servers: dict[str, Any] = {}
        if given:
            try:
                text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
                servers = dict(json.loads(text)["mcpServers"])
            except (OSError, ValueError, KeyError, TypeError):
                return given
        return {SERVER: self.tools.server()} | servers

    def _upstream_limits(self) -> dict[str, str]:
        """How long the CLI waits for its upstream. What the operator has set in the environment stays."""
        wanted = {
            "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": round(self._options.seconds("stream_idle_timeout", 60.0) * 1000),
            "API_TIMEOUT_MS": round(self._options.seconds("api_timeout", 120.0) * 1000),
            "CLAUDE_CODE_MAX_RETRIES": self._options.integer("max_retries", 6),
        }
        return {name: str(value) for name, value in wanted.items() if name not in os.environ}


def _list(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]
