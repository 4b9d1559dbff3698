"""A real BlueZ: a kernel and bluetoothd in a small virtual machine, driven from here.

Only the machine's own programs are emulated; tests, the daemon and every radio run here:

    daemon -- bleak -- D-Bus over TCP --------> dbus-daemon -- bluetoothd
                                                                  |
    lock -- Radio ~~ Air ~~ Radio -- H4 over a socket --> kernel: hci0

What cannot go through that door is file descriptors (AcquireNotify, AcquireWrite).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bumble.transport import open_transport
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.auth import AuthExternal

from tests.bluez.air import Air, Radio
from tests.bluez.bluez_names import ADAPTER, OBJECT_MANAGER, PROPERTIES

START_TIMEOUT = 120.0
"""Seconds; it takes about five on an idle machine."""
PLUG_TIMEOUT, PLUG_ATTEMPT = 40.0, 10.0
"""Seconds for an adapter to be powered, and for one attempt at it; machines may be slow."""
MEMORY = 192
"""MiB."""


class MachineError(Exception):
    """The machine does not do what it should; has its console in it."""


class Machine:
    """One machine; ``start`` it once, it serves many tests.

    Args:
        image: folder with ``kernel`` and ``initrd``, as ``build.sh`` makes it.
        adapters: how many may be plugged in at a time.
    """

    def __init__(self, image: Path, *, adapters: int = 2) -> None:
        self._image = image
        self._adapters = adapters
        # Short: the path of a unix socket has room for about 100 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="bluez"))
        self._bus_port, self._shell_port = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bus_address(self) -> str:
        """Of its system bus."""
        return f"tcp:host=127.0.0.1,port={self._bus_port}"

    @property
    def environment(self) -> dict[str, str]:
        """For a program, such as the daemon, that is to see this BlueZ."""
        # Whoever we are: at the other end somebody forwards who is root there.
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.bus_address, "BLEAK_DBUS_AUTH_UID": "0"}

    # -- its life

    def start(self) -> None:
        """Boot.

        Raises:
            MachineError: it did not come up.
        """
        with (self._folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ours
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MachineError(f"it did not come up:\n{self.console()[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Pull the plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def console(self) -> str:
        """Everything it and qemu have said."""
        said = ""
        for name in ("console.log", "qemu.log"):
            with suppress(OSError):
                said += (self._folder / name).read_text(errors="replace")
        return said

    def _command(self) -> list[str]:
        # Emulated on purpose: where acceleration is nested it often cannot boot a kernel.
        accel = os.environ.get("BLUEZ_VM_ACCEL", "tcg")
        words = (
            "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off cryptomgr.notests=1 "
            f"tsc=reliable no_timer_check adapters={self._adapters}"
        )
        network = (
            "user,id=n,restrict=on"
            f",hostfwd=tcp:127.0.0.1:{self._bus_port}-:5555"
            f",hostfwd=tcp:127.0.0.1:{self._shell_port}-:5556"
        )
        command = [
            "qemu-system-x86_64", "-M", f"q35,accel={accel}",
            "-cpu", os.environ.get("BLUEZ_VM_CPU", "max"), "-smp", "2", "-m", str(MEMORY),
            "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-monitor", "none",
            "-serial", f"file:{self._folder}/console.log",
            "-kernel", str(self._image / "kernel"), "-initrd", str(self._image / "initrd"),
            "-append", words, "-device", "virtio-rng-pci",
            "-netdev", network, "-device", "virtio-net-pci,netdev=n,romfile=",
            "-device", f"virtio-serial-pci,max_ports={self._adapters + 1}",
        ]  # fmt: skip
        for number in range(self._adapters):
            path = self._folder / f"hci{number}"
            command += [
                "-chardev", f"socket,id=h{number},path={path},server=on,wait=off",
                "-device", f"virtconsole,chardev=h{number}",
            ]  # fmt: skip
        return command

    def _is_ready(self) -> bool:
        if "appliance:" not in self.console():
            return False
        with suppress(OSError):
            return "ready" in self.run("netstat -ltn | grep -q :5555 && echo ready")
        return False

    # -- inside

    def run(self, command: str, *, within: float = 30) -> str:
        """A shell command as root in the machine; what it says."""
        with socket.create_connection(("127.0.0.1", self._shell_port), within) as shell:
            shell.sendall(f"({command}) 2>&1\n".encode())
            shell.shutdown(socket.SHUT_WR)
            said = b""
            while part := shell.recv(65536):
                said += part
        return said.decode(errors="replace")

    async def sh(self, command: str) -> str:
        """``run`` without blocking the loop."""
        return await asyncio.to_thread(self.run, command)

    async def kill_bluetoothd(self) -> None:
        """It is started again after 0.2 s."""
        await self.sh("killall -9 bluetoothd")

    async def stop_bluetoothd(self) -> None:
        """Until ``start_bluetoothd``."""
        await self.sh("touch /tmp/no-bluetoothd; killall -9 bluetoothd")

    async def start_bluetoothd(self) -> None:
        """After ``stop_bluetoothd``."""
        await self.sh("rm -f /tmp/no-bluetoothd")

    @asynccontextmanager
    async def adapter(
        self, air: Air, number: int = 0, *, fresh: bool = True
    ) -> AsyncIterator[PluggedAdapter]:
        """An adapter on the air, plugged in and powered on.

        ``fresh``: BlueZ forgets every device, GATT table and connection first.
        """
        async with await open_transport(f"unix-client:{self._folder}/hci{number}") as transport:
            radio = Radio(air, f"B8:27:EB:00:00:{number + 1:02X}", "adapter", host=transport)
            if fresh:
                await self.sh("rm -rf /var/lib/bluetooth/*; killall -9 bluetoothd")
            plugged = PluggedAdapter(self, air, radio, number)
            try:
                await plugged.plug_in()
                yield plugged
            finally:
                await plugged.plug_out()


@dataclass
class PluggedAdapter:
    """One of the machine's adapters. ``name`` is the kernel's, such as ``hci0``."""

    machine: Machine
    air: Air
    radio: Radio
    number: int
    name: str = ""

    @property
    def address(self) -> str:
        """Upper case, with colons."""
        return self.radio.public_address.to_string(with_type_qualifier=False)

    async def plug_in(self) -> None:
        """Returns when BlueZ has powered it on.

        Raises:
            TimeoutError: it has not.
        """
        self.air.controllers.add(self.radio)
        self.air.restore(self.radio)
        async with asyncio.timeout(PLUG_TIMEOUT), _bus(self.machine.bus_address) as bus:
            while True:
                await self._attach()
                # Bytes that were on the wire when it was pulled out can spoil the first reset;
                # the kernel gives up on it after 2 s, and a person would plug it in again.
                with suppress(TimeoutError):
                    async with asyncio.timeout(PLUG_ATTEMPT):
                        self.name = await _powered(bus, self.address)
                        return
                await self._detach()

    async def plug_out(self) -> None:
        """As pulling a dongle: it vanishes from the kernel, from BlueZ and from the air."""
        self.air.plug_out(self.radio)
        await self._detach()

    async def _attach(self) -> None:
        await self.machine.sh(f"touch /tmp/plug{self.number}")

    async def _detach(self) -> None:
        file = f"/tmp/btattach{self.number}.pid"  # noqa: S108 - in the machine
        await self.machine.sh(f"rm -f /tmp/plug{self.number}; kill $(cat {file})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _bus(address: str) -> AsyncIterator[MessageBus]:
    bus = await MessageBus(bus_address=address, auth=AuthExternal(uid=0)).connect()
    try:
        yield bus
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def _call(
    bus: MessageBus, path: str, interface: str, member: str, signature: str = "", *body: Any
) -> list[Any]:
    reply = await bus.call(
        Message(
            destination="org.bluez", path=path, interface=interface, member=member,
            signature=signature, body=list(body),
        )
    )  # fmt: skip
    if reply.message_type is MessageType.ERROR:
        raise MachineError(f"{member}: {reply.error_name} {reply.body}")
    return list(reply.body)


async def _powered(bus: MessageBus, address: str) -> str:
    """Power it on; its name."""
    while True:
        # bluetoothd may not be there yet, or be busy with the adapter.
        with suppress(MachineError):
            (objects,) = await _call(bus, "/", OBJECT_MANAGER, "GetManagedObjects")
            for path, interfaces in objects.items():
                if ADAPTER in interfaces and interfaces[ADAPTER]["Address"].value == address:
                    on = (ADAPTER, "Powered", Variant("b", True))
                    await _call(bus, path, PROPERTIES, "Set", "ssv", *on)
                    return str(path).rpartition("/")[2]
        await asyncio.sleep(0.05)


@contextmanager
def booted(image: Path, *, adapters: int = 2) -> Iterator[Machine]:
    """A machine as long as the context lasts."""
    machine = Machine(image, adapters=adapters)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
