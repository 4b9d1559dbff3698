"""A radio over a loopback socket: the virtual lock in another process, for rehearsals.

Lines of text, as ``bleagent.simulator.stdio`` speaks them: we send ``connect``, ``disconnect``
and ``w HEX``; the lock sends ``up N`` (bytes in one write), ``n HEX`` and ``disconnect``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from bleagent.errors import AgentError, LinkError, LinkLost, LockNotFound
from bleagent.model import LockFacts, Priority

MAX_LINE = 4096
CONNECT_TIMEOUT = 5.0
"""Seconds for the lock's side to answer a connection."""
QUEUE = 256
"""Notifications kept for a reader that is busy; one more and the link is given up."""


class SocketRadio:
    """Implements ``ports.LockRadio``."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.fault: str | None = None
        """Why the last attempt found nobody."""

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[SocketLink]:
        """Connect; leaving the context disconnects. Raises LinkError."""
        del priority  # nobody else wants this lock
        try:
            stream = await anyio.connect_tcp(self._host, self._port)
        except OSError as error:
            self.fault = f"no lock answers at {self._host}:{self._port}"
            raise LockNotFound(f"no lock answers for {lock.name}") from error
        self.fault = None
        link = SocketLink(stream)
        failure: BaseException | None = None
        async with stream, anyio.create_task_group() as tasks:
            try:
                await link.begin()
                tasks.start_soon(link.read)
                yield link
            except (AgentError, anyio.get_cancelled_exc_class()) as error:
                failure = error
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(1, shield=True):
                await link.end()
        if failure is not None:
            raise failure


class SocketLink:
    """Implements ``ports.LockLink``."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._lines = BufferedByteReceiveStream(stream)
        self._send, self._receive = anyio.create_memory_object_stream[bytes](QUEUE)
        self.att_payload = 0
        self._ended = False

    async def begin(self) -> None:
        """Open the connection to the lock. Raises LinkError."""
        await self._say("connect")
        with anyio.move_on_after(CONNECT_TIMEOUT):
            word, _, rest = (await self._line()).partition(" ")
            if word == "up" and rest.isdigit():
                self.att_payload = int(rest)
                return
        raise LockNotFound("the lock did not take the connection")

    async def end(self) -> None:
        """Leave; a link that is gone already is fine."""
        self._ended = True
        self._send.close()
        self._receive.close()
        with contextlib.suppress(LinkError):
            await self._say("disconnect")

    async def read(self) -> None:
        """Pass notifications on until the link ends."""
        with self._send:
            try:
                await self._pass_on()
            except (LinkError, ValueError, anyio.WouldBlock):
                return
            finally:
                self._ended = True

    async def _pass_on(self) -> None:
        while True:
            word, _, rest = (await self._line()).partition(" ")
            if word != "n":
                return
            self._send.send_nowait(bytes.fromhex(rest))

    async def write(self, value: bytes) -> None:
        """One write. Raises LinkError."""
        if self._ended:
            raise LinkLost("the link is gone")
        await self._say(f"w {value.hex()}")

    async def notifications(self) -> AsyncIterator[bytes]:
        """Every notification once, in order. Raises LinkLost when the link ends."""
        with self._receive, contextlib.suppress(anyio.ClosedResourceError):
            async for value in self._receive:
                yield value
        raise LinkLost("the link is gone")

    async def _say(self, line: str) -> None:
        try:
            await self._stream.send(f"{line}\n".encode())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise LinkLost("the link is gone") from error

    async def _line(self) -> str:
        try:
            return (await self._lines.receive_until(b"\n", MAX_LINE)).decode("ascii", "replace")
        except (
            anyio.IncompleteRead,
            anyio.DelimiterNotFound,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
        ) as error:
            raise LinkLost("the link is gone") from error
