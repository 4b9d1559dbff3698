"""One attempt to connect: at most one connection, and none left over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import structlog
from bleak.backends.device import BLEDevice
from bleak_retry_connector import BleakClientWithServiceCache, establish_connection

from bleagent.errors import LinkError, LinkLost, LockNotFound, RadioUnavailable

from . import manager
from .bounds import in_bounds
from .faults import RAISED, About, Interference, translate, translated
from .link import BluezLink
from .stack import Stack

log = structlog.get_logger()

GRACE = 5.0
"""Seconds for bleak to unwind an attempt: it waits for BlueZ's Disconnect."""
LEAVE_TIMEOUT = 6.0
"""Seconds for leaving a connection; BlueZ takes 2 to 3."""


class Attempt:
    """A new client, used once.

    A client whose connect failed can believe for ever that it is connected (bleak 3.1), so that
    none is used again.
    """

    def __init__(
        self, stack: Stack, adapter: str, device: BLEDevice, linked: Callable[[], None]
    ) -> None:
        self.device = device
        self.linked = linked
        self.address = device.address.upper()
        self.client: _Client | None = None
        self.link = BluezLink(self.address)
        self.within = 0.0
        self._stack = stack
        self._adapter = adapter

    async def connect(self, within: float, *, fresh: bool) -> BluezLink:
        """Connect, verify, subscribe. Nothing of it is left if it fails or is cancelled.

        Raises:
            LockNotFound: no answer within ``within`` seconds.
            IncompleteTable: a characteristic is missing.
            LinkError: anything else.
        """
        self.within = within
        try:
            return await in_bounds(self._establish(fresh=fresh), within, grace=GRACE)
        except TimeoutError:
            await self.abandon()
            if self.link.drops:
                raise Interference(
                    f"{self.address} was reached and cut off {self.link.drops} times"
                    f" within {within:.0f} s"
                ) from None
            raise LockNotFound(
                f"{self.address} did not answer {self._adapter} within {within:.0f} s"
            ) from None
        except RadioUnavailable:
            await self._close_client()  # nobody is there to be asked for more
            raise
        except BaseException:
            await self.abandon()
            raise

    async def _establish(self, *, fresh: bool) -> BluezLink:
        with translated(f"connecting to {self.address}", About.DEVICE):
            client = await establish_connection(
                _Client,
                self.device,
                self.address,
                disconnected_callback=lambda _: self.link.on_disconnected(),
                max_attempts=1,
                use_services_cache=not fresh,
                attempt=self,
            )
        if not client.is_connected:
            raise LinkLost(f"the connection to {self.address} was lost at once")
        await self.link.begin(client)
        return self.link

    async def leave(self) -> None:
        """Disconnect; bounded, cannot be cancelled half way, raises nothing."""
        with anyio.CancelScope(shield=True):
            self.link.end("we left")
            if not await self._close_client():
                await self._end()

    async def abandon(self) -> None:
        """After a failure: see that neither a connection nor a pending attempt is left."""
        with anyio.CancelScope(shield=True):
            self.link.end("it was not made")
            await self._close_client()
            await self._end()

    async def _close_client(self) -> bool:
        """Also of a link that is lost: it releases the client's own bus connection.

        A client that did not get as far has tidied up itself, and could wait here for an answer
        on a bus that it left.
        """
        if self.client is None or not self.client.stands:
            return True
        try:
            await in_bounds(self.client.disconnect(), LEAVE_TIMEOUT, grace=1.0)
        except RAISED as error:
            log.warning("bluez.leaving", address=self.address, error=_said(error))
            return False
        return True

    async def _end(self) -> None:
        try:
            await self._stack.end(self._adapter, self.address)
        except LinkError as error:
            # A stack that is gone holds no connection, and says so at the next call.
            log.warning("bluez.not_ended", address=self.address, error=_said(error))


class _Client(BleakClientWithServiceCache):
    """Connects once.

    An error of ours goes through ``establish_connection`` untouched, which would otherwise wait
    up to 5 s after a failure and then use the same client again, up to 9 times.
    """

    def __init__(self, _: BLEDevice, *, attempt: Attempt, **kwargs: Any) -> None:
        # Not the device given, which may be the same lock as another adapter knows it.
        super().__init__(attempt.device, **kwargs)
        self._attempt = attempt
        self.stands = False
        """Whether there is something to disconnect; bleak's own word is not reliable."""
        attempt.client = self

    async def connect(self, **kwargs: Any) -> None:
        """Connect and learn the table. Raises LinkError."""
        kwargs["timeout"] = self._attempt.within
        with (
            translated(f"connecting to {self._attempt.address}", About.DEVICE),
            manager.told_connected(self._attempt.device, self._attempt.linked),
        ):
            await super().connect(**kwargs)
        self.stands = True


def _said(error: BaseException) -> str:
    return str(translate(error, type(error).__name__, About.LINK))
