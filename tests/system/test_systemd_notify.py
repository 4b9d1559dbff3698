"""The notification socket, with real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from bleagent.adapters.systemd import SystemdManager
from bleagent.ports import ServiceManager
from tests.system.daemon import Site


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket, and what systemd would put into the environment for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        if request.param == "path":
            place = str(tmp_path / "notify")
            listening.bind(place)
        else:
            name = f"bleagent-test-{os.getpid()}"
            place = f"@{name}"
            listening.bind(f"\0{name}")
        listening.settimeout(5)
        yield listening, place


def test_what_is_told_arrives_as_one_datagram(manager: tuple[socket.socket, str]) -> None:
    listening, place = manager
    systemd: ServiceManager = SystemdManager({"NOTIFY_SOCKET": place})
    systemd.notify("READY=1")
    systemd.notify("STATUS=Bluetooth is stuck: bücy\nSTOPPING=1")
    assert listening.recv(4096) == b"READY=1"
    assert listening.recv(4096).decode() == "STATUS=Bluetooth is stuck: bücy\nSTOPPING=1"


def test_the_environment_is_the_processes_own(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, place = manager
    monkeypatch.setenv("NOTIFY_SOCKET", place)
    assert SystemdManager().listening
    SystemdManager().notify("READY=1")
    assert listening.recv(4096) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not SystemdManager().listening


@pytest.mark.parametrize("place", ["", "relative", "vsock:2:1234"])
def test_without_such_a_socket_nothing_is_told(place: str) -> None:
    systemd = SystemdManager({"NOTIFY_SOCKET": place})
    assert not systemd.listening
    systemd.notify("READY=1")


def test_a_manager_that_has_gone_or_does_not_read_stops_nobody(tmp_path: Path) -> None:
    SystemdManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "full"))
        systemd = SystemdManager({"NOTIFY_SOCKET": str(tmp_path / "full")})
        for _ in range(5_000):
            systemd.notify("STATUS=again")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_how_often_it_wants_a_word_is_in_the_environment(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert SystemdManager(environ).watchdog == seconds


@pytest.mark.anyio
async def test_the_daemon_tells_what_its_unit_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")

        def until(*wanted: str) -> list[str]:
            told: list[str] = []
            while not set(wanted) <= {line for one in told for line in one.splitlines()}:
                told.append(listening.recv(4096).decode())
            return told

        async with site.up(), site.daemon() as (_, process):
            told = await anyio.to_thread.run_sync(until, "READY=1", "STATUS=ready")
            first = told[0].splitlines()
            assert first == ["STATUS=opening the store", "EXTEND_TIMEOUT_USEC=600000000"]
            await anyio.to_thread.run_sync(until, "WATCHDOG=1")
            await anyio.to_thread.run_sync(until, "WATCHDOG=1")
            process.terminate()
            await anyio.to_thread.run_sync(until, "STOPPING=1")
            assert await process.wait() == 0
