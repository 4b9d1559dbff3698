"""Sharing in virtual time: the virtual cloud's tickets behind the port, without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from bleagent.authority.shared import Invitation, Permission
from bleagent.cloud.errors import CloudError, CloudTimeout, CloudUnreachable, error_of
from bleagent.cloud.sharing import read_invitation, read_permission
from bleagent.simulator.cloud_checks import Failure
from bleagent.simulator.cloud_sharing import SharingDesk
from protocol import Secret

OURS = "our-uid"


@dataclass(slots=True)
class DirectSharing:
    """Implements ``sharing.SharingCloud``.

    ``down``: no call is answered; ``takes``: seconds that each lasts; ``asked`` has their names.
    """

    desk: SharingDesk
    down: bool = False
    fails: CloudError | None = None
    takes: float = 0.05
    asked: list[str] = field(default_factory=list)

    async def verify_sharing(self, ticket: Secret, *, deadline: float | None = None) -> Invitation:
        params = {"sharing_ticket": ticket.reveal().decode()}
        return read_invitation(await self._call("verify", params, deadline), ticket, None)

    async def confirm_sharing(
        self,
        sharing_id: str,
        ticket: Secret,
        *,
        receiver: str | None = None,
        deadline: float | None = None,
    ) -> Permission:
        params = {
            "sharing_id": sharing_id, "sharing_ticket": ticket.reveal().decode(),
            "receiver": receiver or OURS, "app_schema": "cloud",
        }  # fmt: skip
        return read_permission(await self._call("confirm", params, deadline))

    async def _call(self, name: str, params: Mapping[str, Any], deadline: float | None) -> object:
        self.asked.append(name)
        now = anyio.current_time()
        if deadline is not None and now + self.takes > deadline:
            await anyio.sleep(max(0.0, deadline - now))
            raise CloudTimeout("no answer in time")
        await anyio.sleep(self.takes)
        if self.down:
            raise CloudUnreachable("no route to the cloud")
        if self.fails is not None:
            raise self.fails
        try:
            return self.desk.actions()[f"doorLock.{name}PermissionSharing"](params)
        except Failure as failure:
            raise error_of(failure.code, msg=failure.msg) from None
