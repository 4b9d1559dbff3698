"""The daemon's HTTP on loopback over a small shelf of records, and the command as a process."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta, timezone
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, cast

import anyio
import uvicorn

from bleagent.clock import SystemClock
from bleagent.http.app import HttpParts, create_app
from bleagent.http.auth import Tokens
from bleagent.http.records import RecordParts
from protocol import Secret
from tests.agent.record_shelf import TinyShelf

TOKEN = "CANARY-token-0123456789"
NOWHERE: Any = cast("Any", None)
COMMAND = [sys.executable, "-m", "bleagent", "records"]


class RecordsSite:
    """Serves ``shelf``; ``more`` are further parts. ``folder`` has configuration and token."""

    def __init__(self, folder: Path, shelf: TinyShelf, **more: Any) -> None:
        self.folder = folder
        self.shelf = shelf
        self.more = more
        self.config = folder / "config.toml"
        self.token = folder / "token"
        self.port = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Listening, on the same port as before if there was one."""
        clock = SystemClock()
        records = RecordParts(
            shelf=self.shelf, last_seq=self.shelf.last_seq, locks=("front", "back"), clock=clock,
            zone=timezone(timedelta(hours=2)), **self.more,
        )  # fmt: skip
        parts = HttpParts(
            doors=NOWHERE, ledger=NOWHERE, clock=clock, tokens=Tokens(Secret(TOKEN)), new_id=str,
            stalled=lambda: False, air=lambda: None, readiness=dict, records=records,
        )  # fmt: skip
        config = uvicorn.Config(
            create_app(parts), port=self.port, http="h11", ws="none", lifespan="off",
            log_config=None, access_log=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as tasks:
            config.load()
            server.lifespan = config.lifespan_class(config)
            await server.startup()
            self.port = server.servers[0].sockets[0].getsockname()[1]
            self.configure()
            tasks.start_soon(server.main_loop)
            yield
            server.should_exit = True
            await server.shutdown()

    def configure(self) -> None:
        """Write the configuration and its token."""
        self.token.touch(0o600)
        self.token.write_text(TOKEN + "\n")
        self.config.write_text(
            f'[http]\nport = {self.port}\ntoken = {{ file = "{self.token}" }}\n'
            '[cloud]\nbase_url = "https://cloud.example"\nclient_id = "x"\n'
            'secret = { file = "/nowhere/secret" }\n'
            '[[locks]]\nname = "front"\ndevice_id = "d"\nuuid = "tuya0123456789ab"\n'
            'local_key = { file = "/nowhere/key" }\n'
        )

    async def run(
        self, *arguments: str, known: bool = True, stdin: bytes = b""
    ) -> CompletedProcess[bytes]:
        """The command, to its end; ``known``: it is told the configuration."""
        where = ["--config", str(self.config)] if known else []
        return await anyio.run_process(
            [*COMMAND, *where, *arguments], check=False, input=stdin, env=environment()
        )


def environment(**more: str) -> Mapping[str, str]:
    """Without what changes how a table looks."""
    left = {name: os.environ[name] for name in os.environ if name not in ("COLUMNS", "NO_COLOR")}
    return left | {"TZ": "Europe/Berlin"} | more
