"""Where a push notification may go: only to what the operator allowed, and never by surprise into a private network.

The allow-list has names (`hooks.example.com`, `hooks.example.com:8443`), addresses and networks (`10.1.0.0/16`). A name
that resolves to an address that is not public is refused, unless that address is in the list too.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from truebeat.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address

#: carries an IPv4 address in an IPv6 one
_NAT64: Final = IPv6Network("64:ff9b::/96")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart; `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str


class Targets:
    """Errors of the constructor: Invalid (an entry is none)."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._names: set[tuple[str, int | None]] = set()
        for entry in allowed:
            try:
                self._networks.append(ip_network(entry, strict=False))
            except ValueError:
                self._names.add(_name(entry))

    def parse(self, url: str) -> Target:
        """Errors: Invalid (no URL for this, or its host is not allowed)."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Invalid("url: not a URL") from None
        host = (parts.hostname or "").rstrip(".").lower()
        if parts.scheme not in _PORTS or not host or "@" in parts.netloc or len(url) > 2000:
            raise Invalid("url: http(s)://host/path is needed, without credentials")
        if any(character <= " " or character > "~" for character in url):
            raise Invalid("url: visible ASCII characters only")
        target = Target(
            scheme=parts.scheme,
            host=host,
            port=port or _PORTS[parts.scheme],
            path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        )
        literal = _literal(host)
        named = (host, None) in self._names or (host, target.port) in self._names
        if not named and (literal is None or not self._listed(literal)):
            raise Invalid("url: this server does not push to that host; an operator can allow it")
        return target

    async def resolve(self, target: Target) -> Address:
        """An address to connect to, checked. Errors: Invalid, OSError (it does not resolve)."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not _is_public(address) and not self._listed(address):
                raise Invalid("url: its host resolves to an address that is not public and not allowed")
        return addresses[0]

    def _listed(self, address: Address) -> bool:
        plain = _unwrapped(address)
        return any(plain in network for network in self._networks if network.version == plain.version)


def _name(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if colon and not port.isdecimal():
        raise Invalid(f"TRUEBEAT_PUSH_HOSTS: {entry[:100]!r} is no host, host:port, address or network")
    return (host.lower(), int(port)) if colon else (entry.lower(), None)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    plain = _unwrapped(address)
    return plain.is_global and not plain.is_multicast
