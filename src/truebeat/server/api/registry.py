"""Handler of POST /registry/register. The heartbeat beside it is `api/heartbeat.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from truebeat.protocol.resources import RegistrationReply
    from truebeat.server.api.call import Call
    from truebeat.server.main import Services


async def register(services: Services, call: Call) -> RegistrationReply:
    return await services.registrar.register(call.body, call.principal)
