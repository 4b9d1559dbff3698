"""SIGHUP and SIGUSR1 at the real daemon: what changes, what does not, and nobody is hurt by it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import Process

from bleagent import start
from bleagent.commands.status_screen import to_lines
from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.system.canary import Canary
from tests.system.daemon import (
    AUTH_KEY,
    CODE,
    LOCAL_KEY,
    SEC_KEY,
    TOKEN,
    Site,
    unlock,
    unlock_when_rested,
)

SIGNALS = (signal.SIGHUP, signal.SIGUSR1)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def signals_as_they_were() -> Iterator[None]:
    before = [(one, signal.signal(one, signal.SIG_DFL)) for one in SIGNALS]
    yield
    for one, action in before:
        signal.signal(one, action)


@pytest.mark.usefixtures("signals_as_they_were")
def test_a_signal_that_comes_too_early_ends_nobody() -> None:
    with pytest.raises(SystemExit):
        start.main(["--help"])
    assert {signal.getsignal(one) for one in SIGNALS} == {signal.SIG_IGN}


async def is_told(site: Site, text: str, times: int = 1) -> str:
    """The newest line of the log with this in it, when there are so many."""
    with anyio.fail_after(20):
        while True:
            found = [line for line in site.log.read_text().splitlines() if text in line]
            if len(found) >= times:
                return found[-1]
            await anyio.sleep(0.02)


def change(site: Site, old: str, new: str) -> None:
    text = site.config.read_text()
    assert old in text
    site.config.write_text(text.replace(old, new))


async def is_written_down_in_the_log_by_wish(
    site: Site, client: httpx.AsyncClient, process: Process
) -> None:
    """SIGUSR1: everything, and not any more; never a secret."""
    assert "cloud.called" not in site.log.read_text()
    process.send_signal(signal.SIGUSR1)
    assert '"now": "debug"' in await is_told(site, '"log.level"')
    assert (await unlock_when_rested(client, "three")).json()["outcome"] == "confirmed"
    await is_told(site, '"cloud.called"')
    await is_told(site, '"lock.heard"')
    process.send_signal(signal.SIGUSR1)
    assert '"now": "info"' in await is_told(site, '"log.level"', times=2)
    told = site.log.read_text().count('"level": "debug"')
    assert (await unlock_when_rested(client, "four")).json()["outcome"] == "confirmed"
    assert site.log.read_text().count('"level": "debug"') == told
    secrets = {"local": LOCAL_KEY, "auth": AUTH_KEY, "sec": SEC_KEY, "token": TOKEN, "code": CODE}
    canary = Canary({name: value.encode() for name, value in secrets.items()})
    assert canary.found(site.log.read_bytes()) == []


async def test_a_right_one_comes_into_force_while_a_door_is_opened_and_a_wrong_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(tmp_path / "notify"))

        async def heard(wanted: str) -> str:
            with anyio.fail_after(20):
                while True:
                    try:
                        found = manager.recv(4096).decode()
                    except BlockingIOError:
                        await anyio.sleep(0.02)
                    else:
                        if found.startswith(wanted):
                            return found

        site = Site(tmp_path)
        async with site.up(), site.daemon("info") as (client, process):
            await heard("READY=1")
            gate = {"Host": "gate.lan"}
            assert (await client.get("/v1/locks", headers=gate)).status_code == 421
            site.cloud.faults.always(
                "doorLock.bleOpenInstruction", Fault(FaultKind.SLOW, seconds=0.5)
            )
            answers: list[httpx.Response] = []

            async def ask() -> None:
                answers.append(await unlock(client, "one"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                with anyio.fail_after(20):
                    while not site.cloud.calls["doorLock.bleOpenInstruction"]:
                        await anyio.sleep(0.02)
                change(site, "port = 0\n", 'port = 0\nallowed_hosts = ["gate.lan"]\n')
                change(site, 'offline = "never"', 'offline = "cached"')
                process.send_signal(signal.SIGHUP)
                told = await is_told(site, '"config.read"')
                assert '["http.allowed_hosts", "locks.strategies.offline of front"]' in told
                assert not answers
            assert answers[0].json()["outcome"] == "confirmed"
            assert (await heard("RELOADING=1")).startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert (await heard("READY=1")).startswith("READY=1\nSTATUS=ready")
            assert (await client.get("/v1/locks", headers=gate)).status_code == 200
            # One change too many, and nothing of it holds.
            site.cloud.faults.clear()
            change(site, "gate.lan", "else.lan")
            change(site, "[radio]\n", "[radio]\nslots = 5\n")
            process.send_signal(signal.SIGHUP)
            assert "needs a restart: radio.slots" in await is_told(site, '"config.not_read"')
            assert (await heard("READY=1")).endswith("to look at: config")
            assert (await client.get("/v1/locks", headers=gate)).status_code == 200
            lines = list(to_lines((await client.get("/readyz")).json(), {}))
            assert "config    look" in lines
            assert any("needs a restart: radio.slots (restart-needed" in line for line in lines)
            await is_written_down_in_the_log_by_wish(site, client, process)
        assert site.opened == 3
