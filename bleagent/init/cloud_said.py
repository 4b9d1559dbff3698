"""The real cloud, asked once over HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.clock import SystemClock
from bleagent.cloud.account import AccountClient
from bleagent.cloud.settings import CloudSettings

from .look import ASK, Account, look


async def ask_cloud(settings: CloudSettings, ids: Sequence[str]) -> Account:
    """What ``look`` finds. Raises InitError."""
    clock = SystemClock()
    async with HttpxTransport() as http:
        client = AccountClient(settings, http, clock)
        return await look(
            client, ids, where=settings.base_url, deadline=clock.now() + ASK, unix=time.time
        )
