"""``bleagent init`` at a real terminal, and the door that what it wrote opens."""

from __future__ import annotations

import getpass
import os
import pty
import sys
import termios
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import Process

from tests.agent.init_site import tree
from tests.system.canary import Canary
from tests.system.daemon import LOCAL_KEY, Site, unlock_when_rested

pytestmark = pytest.mark.anyio
CTRL_C = "\x03"
AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Terminal:
    """What somebody sees and types."""

    def __init__(self, process: Process, ours: int) -> None:
        self.process, self.ours = process, ours
        self.shown = ""
        self.answered = 0
        """So much of it."""

    async def answer(self, question: str, typed: str, *, unseen: bool = False) -> None:
        """Wait for a question, then type; ``unseen``: when nothing is echoed any more.

        What is typed before that is thrown away by getpass.
        """
        with anyio.fail_after(60):
            while question not in self.shown[self.answered :] or (unseen and self._echoes()):
                assert self.process.returncode is None, self.shown
                await self._look()
        self.answered = len(self.shown)
        os.write(self.ours, typed.encode())

    async def end(self) -> int:
        """Its exit status."""
        with anyio.fail_after(60):
            while self.process.returncode is None:
                await self._look()
        await self._look()
        return self.process.returncode

    def _echoes(self) -> bool:
        return bool(termios.tcgetattr(self.ours)[3] & termios.ECHO)

    async def _look(self) -> None:
        try:
            self.shown += os.read(self.ours, 65536).decode()
        except OSError:  # nothing yet, or nobody there any more
            await anyio.sleep(0.02)


@asynccontextmanager
async def terminal(*options: str) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = await anyio.open_process(
        [sys.executable, "-c", AT_TERMINAL, "-m", "bleagent", "init", *options],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
            await process.aclose()
        os.close(ours)


async def test_from_nothing_to_an_open_door(tmp_path: Path) -> None:
    site = Site(tmp_path)
    own = tmp_path / "own"
    secret = site.cloud.secret.reveal().decode()
    async with site.up():
        radio = tomllib.loads(site.config.read_text())["radio"]["socket"]
        options = ("-d", str(own), "--virtual-lock", radio)
        async with terminal(*options) as session:
            await session.answer("Data centre", f"{site.cloud.base_url}\n")
            await session.answer("client id", f"{site.cloud.client_id}\n")
            await session.answer("secret", "CANARYnotthesecret\n", unseen=True)
            await session.answer("Data centre", f"{site.cloud.base_url}\n")
            await session.answer("client id", f"{site.cloud.client_id}\n")
            await session.answer("secret", f"{secret}\n", unseen=True)
            await session.answer("Which of them", "1\n")
            await session.answer('Name of "Front door"', "front\n")
            await session.answer("Whose programs", f"{getpass.getuser()}\n")
            assert not own.exists()
            await session.answer("Write this?", "y\n")
            assert await session.end() == 0
        assert "does not accept these keys" in session.shown
        before = tree(own)
        async with terminal(*options) as stopped:
            await stopped.answer("Data centre", "\n")
            await stopped.answer("client id", "someone else\n")
            await stopped.answer("secret", CTRL_C, unseen=True)
            assert await stopped.end() == 130
        assert "nothing was written" in stopped.shown
        assert tree(own) == before
        # Typed or read, no secret is on the screen.
        token = (own / "secrets/http-token").read_bytes().strip()
        secrets = {"cloud": secret, "local": LOCAL_KEY, "wrong": "CANARYnotthesecret"}
        canary = Canary({name: one.encode() for name, one in secrets.items()} | {"token": token})
        assert canary.found(session.shown + stopped.shown) == []

        site.config = own / "config.toml"
        async with site.daemon():
            transport = httpx.AsyncHTTPTransport(uds=str(own / "state/http.sock"))
            async with httpx.AsyncClient(
                base_url="http://localhost", transport=transport, timeout=60
            ) as client:
                answer = await unlock_when_rested(client, "k")
        assert answer.json()["outcome"] == "confirmed", answer.text
        assert site.opened == 1
