"""A virtual controller behind a unix socket, for a host in another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bumble.transport.common import StreamPacketSource, Transport


class _HostEnd(StreamPacketSource):
    """Packets from and to whichever host is connected; the transport's source and sink."""

    def __init__(self) -> None:
        super().__init__()
        self._stream: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.close()
        self._stream = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.close()

    def on_packet(self, packet: bytes) -> None:
        if self._stream is not None:
            self._stream.write(packet)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@asynccontextmanager
async def hci_server(path: Path) -> AsyncIterator[Transport]:
    """Listen for a host, one at a time; give the transport to a ``Radio`` as its host."""
    end = _HostEnd()
    server = await asyncio.get_running_loop().create_unix_server(lambda: end, str(path))
    async with server:
        yield Transport(end, end)
        end.close()
        await asyncio.sleep(0)
