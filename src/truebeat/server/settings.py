"""Everything that can be set, from the environment (`TRUEBEAT_*`). A bad value is refused by name."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from truebeat.domain.delegations import Messaging
from truebeat.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

#: characters an operator's own token must have at least
ADMIN_TOKEN_LEAST: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Durations are seconds.

    Invariant: `lease` is at least twice `beat_interval`, so that one lost beat flips nobody.
    """

    #: postgresql://...; "" when `serve` runs an embedded PostgreSQL
    database_url: str = ""
    #: the first operator's token; its bearer may do everything
    admin_token: str | None = None
    #: what workspaces are told to beat at
    beat_interval: float = 10.0
    #: without a beat for so long a workspace is offline
    lease: float = 45.0
    #: a lost link may come back within this
    link_grace: float = 5.0
    #: a first beat is expected within this
    provisioning_deadline: float = 120.0
    #: what this server itself finds stuck, and stays so for so long, gets a restart
    restart_after: float = 30.0
    #: events and closed incidents older than this are dropped
    event_retention: float = 7 * 86400.0
    #: seconds that ended tasks are kept; at least as long as an idempotency key means its task
    task_retention: float = 30 * 86400.0
    #: seconds that notifications are kept, read or not
    notification_retention: float = 30 * 86400.0
    #: connections to the database at most; one more guards that this server is the only one
    database_connections: int = 10
    #: the id or name of one workspace whose A2A endpoint needs no token; only for servers that listen on loopback
    open_workspace: str = ""
    #: scheme://host[:port] that clients reach this server by, for the URLs in agent cards; "" to take the Host header
    public_url: str = ""
    #: hosts, addresses or networks that A2A push notifications may go to; none: they are off
    push_hosts: tuple[str, ...] = ()
    #: what push notifications are signed with (HMAC-SHA256)
    push_secret: str = ""
    #: whom workspaces may message: those related to them in the hierarchy, or everybody
    messaging: Messaging = Messaging.HIERARCHY

    def __post_init__(self) -> None:
        if self.lease < 2 * self.beat_interval:
            raise Invalid("TRUEBEAT_LEASE must be at least twice TRUEBEAT_BEAT_INTERVAL: one lost beat flips nobody")
        if self.link_grace > self.lease:
            raise Invalid("TRUEBEAT_LINK_GRACE must not be longer than TRUEBEAT_LEASE")
        if self.admin_token is not None and not _is_token(self.admin_token):
            raise Invalid(
                f"TRUEBEAT_ADMIN_TOKEN needs {ADMIN_TOKEN_LEAST} to 200 visible ASCII characters without spaces"
            )
        if self.database_url and urlsplit(self.database_url).scheme not in {"postgresql", "postgres"}:
            raise Invalid("TRUEBEAT_DATABASE_URL must start with postgresql://")
        if self.public_url and not _is_origin(self.public_url):
            raise Invalid("TRUEBEAT_PUBLIC_URL must be http(s)://host or http(s)://host:port, without a path")
        if self.push_hosts and len(self.push_secret) < ADMIN_TOKEN_LEAST:
            raise Invalid(f"TRUEBEAT_PUSH_SECRET needs {ADMIN_TOKEN_LEAST} characters: push notifications are signed")

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Reads `TRUEBEAT_*`; an empty value counts as not set. Raises `Invalid`."""
        env = os.environ if env is None else env
        return cls(
            database_url=env.get("TRUEBEAT_DATABASE_URL", ""),
            admin_token=env.get("TRUEBEAT_ADMIN_TOKEN") or None,
            beat_interval=_seconds(env, "TRUEBEAT_BEAT_INTERVAL", 10.0, 0.1, 3600),
            lease=_seconds(env, "TRUEBEAT_LEASE", 45.0, 0.5, 86400),
            link_grace=_seconds(env, "TRUEBEAT_LINK_GRACE", 5.0, 0, 3600),
            provisioning_deadline=_seconds(env, "TRUEBEAT_PROVISIONING_DEADLINE", 120.0, 1, 86400),
            restart_after=_seconds(env, "TRUEBEAT_RESTART_AFTER", 30.0, 0.1, 86400),
            event_retention=_seconds(env, "TRUEBEAT_EVENT_RETENTION", 7 * 86400.0, 60, 10 * 365 * 86400),
            task_retention=_seconds(env, "TRUEBEAT_TASK_RETENTION", 30 * 86400.0, 86400, 10 * 365 * 86400),
            notification_retention=_seconds(
                env, "TRUEBEAT_NOTIFICATION_RETENTION", 30 * 86400.0, 3600, 10 * 365 * 86400
            ),
            open_workspace=env.get("TRUEBEAT_OPEN_WORKSPACE", "").strip(),
            public_url=env.get("TRUEBEAT_PUBLIC_URL", "").strip().rstrip("/"),
            push_hosts=tuple(env.get("TRUEBEAT_PUSH_HOSTS", "").replace(",", " ").split()),
            push_secret=env.get("TRUEBEAT_PUSH_SECRET", ""),
            messaging=_messaging(env.get("TRUEBEAT_MESSAGING", "").strip() or "hierarchy"),
            database_connections=int(_seconds(env, "TRUEBEAT_DATABASE_CONNECTIONS", 10, 2, 200)),
        )


def _messaging(text: str) -> Messaging:
    try:
        return Messaging(text)
    except ValueError:
        raise Invalid(f'TRUEBEAT_MESSAGING must be "hierarchy" or "all", not {text[:50]!r}') from None


def _is_origin(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.path or parts.query)


def _is_token(secret: str) -> bool:
    return ADMIN_TOKEN_LEAST <= len(secret) <= 200 and all("!" <= character <= "~" for character in secret)


def _seconds(env: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise Invalid(f"{name} must be a number, not {text[:50]!r}") from None
    if not math.isfinite(value) or not least <= value <= most:
        raise Invalid(f"{name} must be between {least:g} and {most:g}, not {text[:50]}")
    return value
