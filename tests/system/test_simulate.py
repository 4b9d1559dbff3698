"""``bleagent simulate``: a door for whoever has none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from bleagent.adapters.socket_radio import SocketRadio
from bleagent.model import LockFacts
from bleagent.simulator.stdio import TEST_KEYS
from protocol import Central, LockKeys, Secret

KEYS = LockKeys(
    uuid=TEST_KEYS["uuid"],
    virtual_id=TEST_KEYS["device_id"],
    local_key=Secret(TEST_KEYS["local_key"]),
)


@contextmanager
def _simulated(*options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "bleagent", "simulate", *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_a_lock_on_a_port_answers_a_central_and_shows_each_packet() -> None:
    with _simulated("lock", "--profile", "v3.0") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        port = int(first.removeprefix('socket = "127.0.0.1:').removesuffix('"\n'))
        central = Central(KEYS, new_iv=lambda: os.urandom(16))
        central.connected()

        async def ask() -> Sequence[object]:
            radio = SocketRadio("127.0.0.1", port)
            facts = LockFacts(name="desk", device_id="desk", keys=KEYS)
            found: Sequence[object] = []
            with anyio.fail_after(20):
                async with radio.connect(facts) as link:
                    for fragment in central.ask_device_info(0).fragments:
                        await link.write(fragment)
                    async for value in link.notifications():
                        found = central.receive(value, 0)
                        if found:
                            break
            return found

        assert [type(event).__name__ for event in anyio.run(ask)] == ["DeviceInfoReceived"]
        assert process.stdout.readline() == "up\n"
        assert process.stdout.readline().startswith("> 00")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_by_lines_it_is_the_same_lock() -> None:
    with _simulated("stdio", "--profile", "v3.0") as process:
        out, _ = process.communicate("connect\ndump\n", timeout=20)
        assert out.splitlines()[0] == "ok"
        assert '"opened": 0' in out
        assert process.returncode == 0


def test_a_cloud_on_a_port_answers_the_command_and_tells_each_call(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    with _simulated("cloud", "--write", str(folder), "--envelope", "app") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        config = json.loads(first.removeprefix("config = "))
        assert config == str(folder / "config.toml")
        assert (folder / "cloud-secret").stat().st_mode & 0o777 == 0o600
        said = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", "bleagent", "cloud", "call", "doorLock.listUsers",
             f"device_id={TEST_KEYS['device_id']}", "-c", config, "--json"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        (member,) = json.loads(said.stdout)["records"]
        assert member["nick_name"] == "James"
        assert process.stdout.readline() == "doorLock.listUsers ok\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_cloud_writes_over_nothing_but_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cloud"
    tokens = set[bytes]()
    for _ in range(2):
        with _simulated("cloud", "--write", str(folder)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            tokens.add((folder / "http-token").read_bytes())
            process.send_signal(signal.SIGINT)
            process.wait(20)
    assert len(tokens) == 1  # somebody may have it in use
    mine = folder / "config.toml"
    mine.write_text("# mine\n")
    said = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "bleagent", "simulate", "cloud", "--write", str(folder)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert said.returncode == 2
    assert "it is not one of a simulated cloud" in said.stderr
    assert mine.read_text() == "# mine\n"


def test_a_cloud_says_how_it_is_reached() -> None:
    with _simulated("cloud") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        section = tomllib.loads("".join(lines))["cloud"]
        assert section["panel_url"] == f"{section['base_url']}/panel"
        assert "published" in lines[-1]


MISTAKES = [
    (("lock", "--profile", "v9"), "v9"),
    (("stdio", "--nonsense"), "--nonsense"),
    (("cloud", "--uuid", "short"), "--uuid"),
    (("cloud", "--envelope", "brown"), "brown"),
    (("cloud", "--write", "/dev/null/there"), "/dev/null"),
    (("x",), "x"),
]


@pytest.mark.parametrize(("options", "named"), MISTAKES)
def test_a_mistake_is_named(options: tuple[str, ...], named: str) -> None:
    with _simulated(*options) as process:
        _, error = process.communicate(timeout=20)
        assert process.returncode == 2
        assert named in error
        assert "Traceback" not in error
