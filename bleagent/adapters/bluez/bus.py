"""One connection to the D-Bus system bus, made anew after it died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable
from typing import Any

import anyio
from bleak.backends.bluezdbus.utils import get_dbus_authenticator
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from bleagent.errors import LinkError

from .faults import (
    About,
    BluetoothdSilent,
    BusUnreachable,
    of_dbus_error,
    translate,
    translated,
)

BLUEZ = "org.bluez"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
DAEMON = "org.freedesktop.DBus"

CALL_TIMEOUT = 5.0
"""Seconds for an answer of bluetoothd that needs nothing from the air."""
CONNECT_TIMEOUT = 5.0
"""Seconds to get onto the bus."""
ADDRESS = "unix:path=/var/run/dbus/system_bus_socket"
"""Of the system bus, where DBUS_SYSTEM_BUS_ADDRESS names no other one."""

Listener = Callable[[Message | None], None]
"""Told of each signal that was asked for, and of the end of the bus with ``None``."""


class Bus:
    """Calls to bluetoothd and signals about it."""

    def __init__(self, rules: tuple[str, ...], listener: Listener) -> None:
        self._rules = rules
        self._listener = listener
        self._bus: MessageBus | None = None
        self._end: asyncio.Task[None] | None = None
        self._connecting = anyio.Lock()

    async def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        about: About,
        within: float = CALL_TIMEOUT,
    ) -> list[Any]:
        """Call bluetoothd; returns the answer's values.

        Raises:
            LinkError: what it answered; RadioUnavailable where nobody did.
        """
        message = Message(
            destination=BLUEZ,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        await self.ensure()
        return await self._ask(message, member, about, within)

    async def ensure(self) -> None:
        """Be on the bus, signals included.

        Raises:
            RadioUnavailable: there is none, or it does not let us.
        """
        async with self._connecting:
            if self._bus is not None and self._bus.connected:
                return
            await self._leave()
            # The constructor reads the address and may raise as well.
            with translated(f"the D-Bus system bus at {_where()}", About.ADAPTER):
                bus = MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator())
                with anyio.fail_after(CONNECT_TIMEOUT):
                    await bus.connect()
            self._bus = bus
            self._end = asyncio.create_task(self._tell_end(bus))
            bus.add_message_handler(self._on_message)
            try:
                for rule in self._rules:
                    await self._ask(_match(rule), "AddMatch", About.ADAPTER, CALL_TIMEOUT)
            except BaseException:
                bus.disconnect()  # without its signals it is of no use; next time anew
                raise

    async def aclose(self) -> None:
        """Leave the bus."""
        async with self._connecting:
            await self._leave()

    async def _ask(self, message: Message, what: str, about: About, within: float) -> list[Any]:
        if self._bus is None:
            raise BusUnreachable(f"{what}: the bus was left")
        try:
            with anyio.fail_after(within):
                reply: Message | None = await self._bus.call(message)
        except TimeoutError:
            raise BluetoothdSilent(f"{what}: no answer within {within:.0f} s") from None
        except (OSError, EOFError, ValueError) as error:
            raise translate(error, what, about) from error
        if reply is None:  # how dbus-fast answers when the bus ends in good order
            raise BusUnreachable(f"{what}: the bus ended")
        if reply.message_type is MessageType.ERROR:
            raise _error_of(reply, what, about)
        return list(reply.body)

    def _on_message(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL:
            self._listener(message)

    async def _tell_end(self, bus: MessageBus) -> None:
        with contextlib.suppress(OSError, EOFError):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        self._listener(None)

    async def _leave(self) -> None:
        """Release what is left of the last connection."""
        bus, self._bus = self._bus, None
        end, self._end = self._end, None
        if bus is not None:
            bus.disconnect()
        if end is not None:
            await asyncio.wait({end}, timeout=1.0)
            end.cancel()


def _where() -> str:
    """The socket of the bus, for people; the address as it is where it is none."""
    address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or ADDRESS
    return " or ".join(re.findall(r"unix:path=([^,;]+)", address)) or address


def _match(rule: str) -> Message:
    return Message(
        destination=DAEMON,
        path="/org/freedesktop/DBus",
        interface=DAEMON,
        member="AddMatch",
        signature="s",
        body=[rule],
    )


def _error_of(reply: Message, what: str, about: About) -> LinkError:
    name = reply.error_name or ""
    text = str(reply.body[0]) if reply.body else ""
    return of_dbus_error(name, text, about)(f"{what}: [{name}] {text}".strip())
