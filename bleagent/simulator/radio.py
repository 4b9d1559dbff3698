"""A radio with one virtual lock in reach, in this process."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from bleagent.errors import AgentError, LinkError, LinkLost, LockNotFound
from bleagent.model import LockFacts, Priority
from bleagent.ports import Clock

from .actions import Action, HungUp, Notification
from .faults import DELAY, NO_FAULTS, Faults, NotifyFault, WriteFault
from .virtual_lock import VirtualLock

QUEUE = 1024
"""Notifications a driver may leave unread."""


class VirtualRadio:
    """Implements ``ports.LockRadio``.

    ``faults`` holds for the next connection, ``then`` for all later ones.
    """

    def __init__(
        self, lock: VirtualLock, clock: Clock, *, att_payload: int, faults: Faults = NO_FAULTS
    ) -> None:
        self.lock = lock
        self.faults = faults
        self.then = NO_FAULTS
        self.att_payload = att_payload
        self.links: list[VirtualLink] = []
        self._clock = clock

    @asynccontextmanager
    async def connect(
        self, lock: LockFacts, *, priority: Priority = Priority.OPERATION
    ) -> AsyncIterator[VirtualLink]:
        """Connect to the lock; leaving the context disconnects."""
        del lock, priority  # there is only one
        await anyio.sleep(self.faults.connect_delay)
        if self.faults.absent:
            self.faults = self.then
            raise LockNotFound("no advertisement was seen")
        faults, self.faults = self.faults, self.then
        link = VirtualLink(self.lock, self._clock, faults, self.att_payload)
        self.links.append(link)
        failure: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            try:
                await link.up(tasks)
                yield link
            except (AgentError, anyio.get_cancelled_exc_class()) as error:
                failure = error  # raised below: a task group would wrap it
            finally:
                link.leave()
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure


class VirtualLink:
    """Implements ``ports.LockLink``. ``written`` and ``notified`` count packets."""

    def __init__(self, lock: VirtualLock, clock: Clock, faults: Faults, att_payload: int) -> None:
        self.att_payload = att_payload
        self._lock = lock
        self._clock = clock
        self._faults = faults
        self._send, self._receive = anyio.create_memory_object_stream[bytes](QUEUE)
        self._held: list[tuple[bytes, Notification]] = []
        self._spoiled: set[int] = set()
        self._delayed: list[tuple[bytes, Notification]] | None = None
        self._changed = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._is_up = False
        self.written: list[bytes] = []
        self.notified = 0
        self.notified_at: list[int] = []
        """``notified`` at each write."""

    async def up(self, tasks: TaskGroup) -> None:
        """The link begins, and with it the lock's timers."""
        self._is_up = True
        self._tasks = tasks
        await self._pass_on(self._lock.connected(self._clock.now()))
        tasks.start_soon(self._timers)

    def down(self, reason: str) -> None:
        """The link ends; what was on the way is lost."""
        if self._is_up:
            self._is_up = False
            self._lock.disconnected(self._clock.now(), reason)
            self._send.close()

    def leave(self) -> None:
        """The central ends it."""
        self.down("the central left")
        self._receive.close()

    async def notifications(self) -> AsyncIterator[bytes]:
        """Every notification once, in order. Raises LinkLost when the link ends."""
        with self._receive, contextlib.suppress(anyio.ClosedResourceError):
            async for value in self._receive:
                yield value
        raise LinkLost("the link is gone")

    async def write(self, value: bytes) -> None:
        """One write."""
        await anyio.lowlevel.checkpoint()
        if not self._is_up:
            raise LinkLost("the link is gone")
        fault = self._faults.writes.get(len(self.written))
        self.written.append(value)
        self.notified_at.append(self.notified)
        await self._deliver(value, fault)
        self._changed.set()

    async def _deliver(self, value: bytes, fault: WriteFault | None) -> None:
        match fault:
            case WriteFault.LOSE:
                return
            case WriteFault.RAISE_BEFORE:
                raise LinkError("the write failed")
            case WriteFault.DROP_BEFORE:
                self.down("out of range")
                raise LinkLost("the link was lost")
            case WriteFault.CORRUPT:
                value = value[:-1] + bytes((value[-1] ^ 0x10,))
            case WriteFault.DELAY:
                await anyio.sleep(DELAY)
            case WriteFault.INJECT:
                for fragment in self._faults.old_frame:
                    await self._pass_on(self._lock.write(fragment, self._clock.now()))
            case WriteFault.DUPLICATE:
                await self._pass_on(self._lock.write(value, self._clock.now()))
            case _:
                pass
        await self._pass_on(self._lock.write(value, self._clock.now()))
        if fault is WriteFault.RAISE_AFTER:
            raise LinkError("the write failed")
        if fault is WriteFault.DROP_AFTER:
            self.down("out of range")

    async def _timers(self) -> None:
        """Let the lock's own time pass."""
        while self._is_up:
            self._changed = anyio.Event()
            due = self._lock.next_timer()
            left = math.inf if due is None else due - self._clock.now()
            with anyio.move_on_after(max(left, 0.0)):
                await self._changed.wait()
            if self._is_up:
                await self._pass_on(self._lock.tick(self._clock.now()))

    async def _pass_on(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Notification):
                self._notify(action)
            elif isinstance(action, HungUp):
                self.down(action.reason)

    def _notify(self, notification: Notification) -> None:
        fault = self._faults.notifications.get(self.notified)
        self.notified += 1
        value = notification.value
        self._note_damage(notification, fault)
        match fault:
            case NotifyFault.LOSE:
                return
            case NotifyFault.DROP_BEFORE:
                self.down("out of range")
                return
            case NotifyFault.CORRUPT:
                value = value[:-1] + bytes((value[-1] ^ 0x10,))
            case NotifyFault.REORDER:
                self._held.append((value, notification))
                return
            case NotifyFault.DELAY if self._tasks is not None and self._delayed is None:
                self._delayed = []
                self._tasks.start_soon(self._later)
            case NotifyFault.DUPLICATE:
                self._arrive(value, notification)
            case _:
                pass
        self._arrive(value, notification)
        held, self._held = self._held, []
        for late, of in held:
            self._arrive(late, of)

    def _note_damage(self, notification: Notification, fault: NotifyFault | None) -> None:
        """Which frames cannot be read any more: the lock's log is to count them as lost."""
        only = notification.last and notification.value[0] == 0
        harmless = fault in (None, NotifyFault.DELAY)
        if fault is NotifyFault.DUPLICATE:
            # Fragment 0 starts over, and behind the last one the frame was whole before.
            harmless = notification.last or notification.value[0] == 0
        if not harmless:
            self._spoiled.add(notification.sn)
        if self._held and not only:
            self._spoiled.add(notification.sn)  # something comes into the middle of it

    async def _later(self) -> None:
        """Everything waits behind a delayed notification: a link keeps the order."""
        await anyio.sleep(DELAY)
        delayed, self._delayed = self._delayed or [], None
        for value, notification in delayed:
            self._arrive(value, notification)

    def _arrive(self, value: bytes, notification: Notification) -> None:
        if self._delayed is not None:
            self._delayed.append((value, notification))
        elif self._is_up:
            try:
                self._send.send_nowait(value)
            except anyio.WouldBlock:
                self.down("nobody reads")
                return
            # A frame with one spoiled packet cannot be read, so it was not delivered.
            if notification.sn not in self._spoiled:
                self._lock.delivered(notification, self._clock.now())
