"""The part of bluetoothd that is not reached through bleak, where bumble is the adapter."""

from __future__ import annotations

from collections.abc import Callable

from bleagent.adapters.bluez.stack import AdapterDetails, Watch
from bleagent.errors import LinkError, RadioUnavailable
from bleagent.model import AdapterInfo

from .bleak_bumble import Adapter, BleakClientBumble


class BumbleStack:
    """Implements ``bleagent.adapters.bluez.stack.Stack``."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._watches: set[Watch] = set()

    async def adapters(self) -> list[AdapterDetails]:
        info = AdapterInfo(name="hci0", address="00:A0:50:00:00:01", powered=True)
        return [AdapterDetails(info=info, version=None, passive_scan=False)]

    async def is_connected(self, _: str, address: str) -> bool:
        return bool(self._clients(address))

    async def connected(self, _: str) -> list[str]:
        return sorted(client.address for client in self._adapter.clients)

    async def end(self, _: str, address: str) -> None:
        for client in self._clients(address):
            await client.disconnect()

    async def forget(self, adapter: str, address: str) -> None:
        await self.end(adapter, address)

    async def set_power(self, _: str, *, on: bool) -> None:
        del on
        for client in list(self._adapter.clients):
            await client.disconnect()

    async def watch(
        self, adapter: str, gone: Callable[[LinkError], None], address: str | None = None
    ) -> Watch:
        return Watch(adapter, gone, self._watches, address)

    def fail(self, fault: RadioUnavailable) -> None:
        """The adapter goes away."""
        for watch in list(self._watches):
            watch.tell(fault)

    async def aclose(self) -> None:
        pass

    def _clients(self, address: str) -> list[BleakClientBumble]:
        return [client for client in self._adapter.clients if client.address == address]
