"""Connections before they are any: accepted over TCP, and not yet through the TLS handshake.

asyncio's own servers take as many of these as come, each for a minute, and a handshake costs more
than any request: somebody on the network could use up the gateway's descriptors and its time.
Here they are few, soon over, and only so many in a minute (reference: safety F4, F7). A place
among the connections (``wire``) is taken only by who is through.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from socket import socket

import structlog

from bleagent import logs

from .limits import Buckets, HandshakeLimits, take_both
from .peer import Peer
from .tls import Tls

log = structlog.get_logger()

PAUSE = 1.0
"""Seconds without accepting when the machine has no more descriptors, as in asyncio."""


class Handshakes:
    """Accepts, and hands over those that speak TLS; ``stop`` ends what is under way."""

    def __init__(
        self,
        tls: Tls,
        protocol: Callable[[], asyncio.Protocol],
        limits: HandshakeLimits | None = None,
    ) -> None:
        self._tls = tls
        self._protocol = protocol
        self._limits = limits or HandshakeLimits()
        self._accepting: list[asyncio.Task[None]] = []
        self._shaking: dict[asyncio.Task[None], str] = {}
        self._rates = Buckets(self._limits.rate), Buckets(self._limits.rate_all)
        self._told = Buckets(self._limits.told), Buckets(self._limits.told_all)

    def __len__(self) -> int:
        return len(self._shaking)

    def start(self, listeners: list[socket]) -> None:
        """Accept at sockets that listen already."""
        self._accepting = [asyncio.create_task(self._accept(one)) for one in listeners]

    async def stop(self) -> None:
        """Accept no more, and hang up on who is not through."""
        ended = [*self._accepting, *self._shaking]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    async def _accept(self, listener: socket) -> None:
        listener.setblocking(False)  # noqa: FBT003 - its only parameter
        loop = asyncio.get_running_loop()
        while True:
            try:
                connected, address = await loop.sock_accept(listener)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                log.warning("tls.not_accepting", error=error.strerror, seconds=PAUSE)
                await asyncio.sleep(PAUSE)
                continue
            self._begin(connected, Peer(address=address[0]))
            await asyncio.sleep(0)  # many that wait do not keep others waiting

    def _begin(self, connected: socket, peer: Peer) -> None:
        now = asyncio.get_running_loop().time()
        if peer.remote and take_both(*self._rates, peer.name, now):
            connected.close()
            return
        self._make_room(peer.name)
        task = asyncio.create_task(self._shake(connected, peer))
        self._shaking[task] = peer.name

        def ended(task: asyncio.Task[None]) -> None:
            self._shaking.pop(task, None)
            if task.cancelled():  # perhaps before it began
                connected.close()

        task.add_done_callback(ended)

    def _make_room(self, peer: str) -> None:
        same = [task for task, name in self._shaking.items() if name == peer]
        oldest = None
        if len(same) >= self._limits.of_peer:
            oldest = same[0]
        elif len(self._shaking) >= self._limits.at_once:
            oldest = next(iter(self._shaking))
        if oldest is not None:
            del self._shaking[oldest]
            oldest.cancel()

    async def _shake(self, connected: socket, peer: Peer) -> None:
        limits = self._limits
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connected, ssl=self._tls.identity.context,
                ssl_handshake_timeout=limits.within, ssl_shutdown_timeout=limits.close_within,
            )  # fmt: skip
        except OSError as error:
            self._tell(peer, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours; others are let in all the same
            log.error("tls.fault", **logs.fault(error))  # noqa: TRY400 - without its message

    def _tell(self, peer: Peer, error: OSError) -> None:
        """What keeps somebody out, so that it can be mended; nobody fills the disk with it."""
        if not take_both(*self._told, peer.name, asyncio.get_running_loop().time()):
            reason = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
            log.info("tls.refused", client=peer.name, reason=reason)
