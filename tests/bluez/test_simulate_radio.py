"""``bleagent simulate lock --radio``: a lock in a process of its own, and what is said without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from bleagent.simulator.profiles import profile
from bleagent.simulator.stdio import TEST_KEYS
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import LockKeys, Secret

from .air import Air, Radio
from .conversation import find, hear, talk
from .hci_socket import hci_server

ADDRESS = "DC:23:51:00:00:01"
KEYS = LockKeys(
    uuid=TEST_KEYS["uuid"],
    virtual_id=TEST_KEYS["device_id"],
    local_key=Secret(TEST_KEYS["local_key"]),
)
WITHOUT_BUMBLE = "import sys; sys.modules['bumble'] = None; from bleagent.cli import main; main()"


@asynccontextmanager
async def simulated(air: Air, folder: Path, *options: str) -> AsyncIterator[Process]:
    """The program, on a controller of this test behind a socket."""
    async with hci_server(folder / "hci") as transport:
        Radio(air, ADDRESS, "lock", host=transport)
        command = [sys.executable, "-m", "bleagent", "simulate", "lock"]
        async with await anyio.open_process(
            [*command, "--radio", f"unix-client:{folder}/hci", *options], stderr=None
        ) as process:
            yield process
            process.terminate()


@pytest.mark.anyio
@pytest.mark.usefixtures("adapter")
async def test_a_central_on_the_radio_is_served(air: Air, tmp_path: Path) -> None:
    async with simulated(air, tmp_path, "--profile", "v4-244", "--wants-connection") as process:
        assert process.stdout is not None
        out = BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(20):
            first = (await out.receive_until(b"\n", 1000)).decode()
            assert first == f"advertises {ADDRESS}, uuid {KEYS.uuid}, profile v4-244, bound"
            heard = await hear(ADDRESS)
            assert heard.verify(KEYS)
            assert heard.connect_request
            twin = VirtualLock(KEYS, profile("v4-244"))
            async with talk(await find(ADDRESS), twin, KEYS):
                assert await out.receive_until(b"\n", 1000) == b"up"
                assert (await out.receive_until(b"\n", 1000)).startswith(b"> 00")


@contextmanager
def said(*command: str) -> Iterator[str]:
    """What a program that gives up says."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    yield done.stderr


def test_without_the_extra_it_says_how_to_get_it() -> None:
    with said("-c", WITHOUT_BUMBLE, "simulate", "lock", "--radio", "usb:0") as error:
        assert "bleagent[lab]" in error
        assert "--port" in error


@pytest.mark.parametrize(
    "transport", ["usb", "usb:99", "serial:/dev/nothing", "x:1", "hci-socket:99"]
)
def test_a_radio_that_cannot_be_opened_is_named(transport: str) -> None:
    with said("-m", "bleagent", "simulate", "lock", "--radio", transport) as error:
        assert repr(transport) in error
        assert "xpected is" in error
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--wants-connection",),
        ("--radio", "usb:0", "--port", "1"),
        ("--radio", "x", "--product-id", "é"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: tuple[str, ...]) -> None:
    with said("-m", "bleagent", "simulate", "lock", *options) as error:
        assert "error" in error
