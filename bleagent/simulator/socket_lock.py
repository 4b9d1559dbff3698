"""A virtual lock behind a loopback socket, for a daemon in another process."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from bleagent.ports import Clock

from .actions import Action, Closed, HungUp, Notification, Opened
from .tap import Tap, no_tap
from .virtual_lock import VirtualLock

MAX_LINE = 4096


class SocketLock:
    """Serves one lock; one central at a time, as a lock does."""

    def __init__(
        self, lock: VirtualLock, clock: Clock, *, att_payload: int, tap: Tap = no_tap
    ) -> None:
        self.lock = lock
        self._clock = clock
        self._att_payload = att_payload
        self._tap = tap
        self._central: SocketStream | None = None
        self._changed = anyio.Event()
        self._passing = anyio.Lock()

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[int]:
        """Listen on loopback; gives the port."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._connection)
            tasks.start_soon(self._timers)
            yield int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django's
            tasks.cancel_scope.cancel()

    async def until_left(self) -> None:
        """Wait until nobody is connected."""
        while self._central is not None:
            await self._changed.wait()

    async def act(self, event: dict[str, object]) -> None:
        """Something happens at the lock (an event of the capture format)."""
        await self._pass_on(self.lock.local(event, self._clock.now()))

    async def _connection(self, stream: SocketStream) -> None:
        lines = BufferedByteReceiveStream(stream)
        async with stream:
            try:
                while True:
                    line = await lines.receive_until(b"\n", MAX_LINE)
                    await self._command(stream, line.decode("ascii", "replace"))
            except (
                anyio.IncompleteRead,
                anyio.DelimiterNotFound,
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
            ):
                pass
            finally:
                if self._central is stream:
                    self._gone("the central left")

    async def _command(self, stream: SocketStream, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "connect" and self._central is None:
            self._central = stream
            self._tap("|", b"")
            await stream.send(f"up {self._att_payload}\n".encode())
            await self._pass_on(self.lock.connected(self._clock.now()))
        elif word == "w" and self._central is stream:
            value = bytes.fromhex(rest)
            self._tap(">", value)
            await self._pass_on(self.lock.write(value, self._clock.now()))
        elif word == "disconnect" and self._central is stream:
            self._gone("the central left")
        else:
            await stream.send(b"disconnect\n")

    def _gone(self, reason: str) -> None:
        self._central = None
        self._changed.set()
        self._tap("|", b"")
        self.lock.disconnected(self._clock.now(), reason)

    async def _timers(self) -> None:
        while True:
            self._changed = anyio.Event()
            due = self.lock.next_timer()
            left = math.inf if due is None else due - self._clock.now()
            with anyio.move_on_after(max(left, 0.001)):
                await self._changed.wait()
            await self._pass_on(self.lock.tick(self._clock.now()))

    async def _pass_on(self, actions: list[Action]) -> None:
        self._changed.set()
        async with self._passing:  # in order, whoever brought it about: a command or a timer
            await self._pass_all(actions)

    async def _pass_all(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Opened | Closed):
                self._tap("!", b"opened" if isinstance(action, Opened) else b"closed")
                continue
            central = self._central
            if central is None:
                return
            if isinstance(action, Notification):
                self._tap("<", action.value)
                await central.send(f"n {action.value.hex()}\n".encode())
                self.lock.delivered(action, self._clock.now())
            elif isinstance(action, HungUp):
                self._gone(action.reason)
                await central.send(b"disconnect\n")
