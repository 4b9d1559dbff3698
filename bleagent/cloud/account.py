"""What the project may see of its account: all devices, page by page. No door needs it."""

from __future__ import annotations

from . import fields, models
from .calls import Call, Way
from .client import CloudClient
from .models import DeviceFacts

LIST_DEVICES = "account.listDevices"
"""A name of ours: the vendor has a path for it and no action."""
_PATH = "/v1.0/iot-01/associated-users/devices"
PAGE = 50
MOST_PAGES = 20


class AccountClient(CloudClient):
    """``CloudClient``, and the devices of all accounts that the project is linked to."""

    async def list_devices(self, *, deadline: float | None = None) -> tuple[DeviceFacts, ...]:
        """All of them, at most 1000; those of other kinds than locks, too.

        Raises:
            CloudError: NotSupported where the project has no client id and secret to sign it with;
                PermissionDenied where it is not subscribed to the API.
        """
        found: list[DeviceFacts] = []
        row_key = ""
        for _ in range(MOST_PAGES):
            query = {"size": str(PAGE)} | ({"last_row_key": row_key} if row_key else {})
            call = Call(name=LIST_DEVICES, way=Way.PATH, path=_PATH, query=query, can_wait=True)
            page = fields.mapping((await self._ask(call, deadline)).result, "the list of devices")
            found += models.read_devices(fields.find(page, "devices"))
            row_key = fields.text(fields.find(page, "last_row_key"))
            if not row_key or not fields.boolean(fields.find(page, "has_more"), "has_more"):
                break
        return tuple(found)
