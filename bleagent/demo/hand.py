"""The demo's own hands: a central driven step by step, to show what a lock insists on."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.cloud.client import CloudClient
from bleagent.cloud.settings import CloudSettings
from bleagent.model import InstructionRequest
from protocol import (
    Central,
    DpMap,
    DpName,
    Expected,
    RemoteProtocolError,
    Secret,
)
from protocol import events as ev
from protocol.dpmap import LockGeneration
from protocol.lock import OpenOperation

if TYPE_CHECKING:
    from .play import Demo


class Hand:
    """A central driven step by step against the lock, to show what the lock insists on."""

    def __init__(self, demo: Demo, cloud: CloudClient) -> None:
        self._demo = demo
        self._cloud = cloud
        self._central = Central(demo.keys, new_iv=lambda: secrets.token_bytes(16))
        self._fragments: tuple[bytes, ...] = ()
        self._events: list[ev.CentralEvent] = []

    def connect(self) -> None:
        """Handshake, straight at the lock."""
        self._demo.lock.connected(self._demo.clock.now())
        self._central.connected()
        now = self._demo.clock.now()
        self._write(self._central.ask_device_info(now).fragments)
        self._write(self._central.pair(now).fragments)

    def leave(self) -> None:
        """The link ends."""
        self._demo.lock.disconnected(self._demo.clock.now())
        self._central.disconnected()

    async def open_and_go_on(self) -> tuple[int, bool]:
        """Open with the cloud's frame; returns next_sn and whether a frame with it was taken."""
        reservation = self._central.reserve()
        sealed = await self._cloud.open_instruction(
            InstructionRequest(
                device_id=self._demo.keys.virtual_id,
                bluetooth_sn=reservation.sn,
                device_random=Secret(self._demo.code.reveal().hex()),
                open=True,
                major=3,
            )
        )
        dps = DpMap.default(LockGeneration.V3_3)
        instruction = self._central.check_instruction(
            sealed.message.reveal(),
            Expected(
                reservation=reservation,
                dp_id=dps.number(DpName.OPEN_CHECKED),
                central=0xFFFF,
                peripheral=5,
                code=self._demo.code,
                operation=OpenOperation.OPEN,
            ),
        )
        outgoing, believed = self._central.send_instruction(instruction, next_sn=sealed.next_sn)
        self._fragments = outgoing.fragments
        self._write(outgoing.fragments)
        query = self._central.query()
        self._events.clear()
        self._write(query.fragments)
        answered = any(isinstance(one, ev.Answered) for one in self._events)
        return sealed.next_sn, believed and query.sn == sealed.next_sn and answered

    def write_again(self) -> bool:
        """The very same frame once more; returns whether the lock hung up."""
        self._write(self._fragments)
        return not self._demo.lock.is_connected

    def _write(self, fragments: tuple[bytes, ...]) -> None:
        now = self._demo.clock.now()
        for fragment in fragments:
            for action in self._demo.lock.write(fragment, now):
                value = getattr(action, "value", None)
                if isinstance(value, bytes):
                    try:
                        self._events += self._central.receive(value, now)
                    except RemoteProtocolError as error:
                        self._demo.story.tell(f"   unreadable: {error}")


@asynccontextmanager
async def by_hand(demo: Demo, base_url: str) -> AsyncIterator[Hand]:
    """A hand that is logged in, with a cloud client of its own."""
    settings = CloudSettings(
        base_url=base_url, client_id=demo.cloud.client_id, secret=demo.cloud.secret
    )
    async with HttpxTransport() as transport:
        hand = Hand(demo, CloudClient(settings, transport, demo.clock))
        hand.connect()
        try:
            yield hand
        finally:
            hand.leave()
