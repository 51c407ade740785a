"""What a plain runtime does over HTTP: register once, then beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from truebeat.protocol import paths
from truebeat.protocol.resources import Heartbeat, HeartbeatReply, Registration, RegistrationReply

if TYPE_CHECKING:
    from truebeat.client.http import Client


class Registry:
    def __init__(self, client: Client) -> None:
        self._client = client

    def register(self, registration: Registration) -> RegistrationReply:
        return self._client.call(RegistrationReply, "POST", paths.REGISTER, registration)

    def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        return self._client.call(HeartbeatReply, "POST", paths.HEARTBEAT, beat)
