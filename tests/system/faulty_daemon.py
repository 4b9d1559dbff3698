"""The daemon with a fault of its own: ``faulty_daemon.py PLACE FOLDER run ...``.

At the place an exception is raised that nobody expects, with every secret of the folder in its
message and in local variables on the way.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import warnings
from pathlib import Path
from typing import Any, NoReturn

from uvicorn.protocols.http.h11_impl import H11Protocol

from bleagent import app, start
from bleagent.adapters.sqlite_store.ledger import SqliteLedger
from bleagent.cloud.client import CloudClient
from bleagent.http import operations as http_operations
from bleagent.lock_client import LockClient

METHODS: dict[str, tuple[Any, str]] = {
    "cloud": (CloudClient, "open_instruction"),
    "config": (CloudClient, "issued_config"),
    "link": (LockClient, "send"),
    "begin": (SqliteLedger, "begin"),
    "finish": (SqliteLedger, "finish"),
    "protocol": (H11Protocol, "handle_events"),
    "handler": (http_operations, "operation_view"),
    "start": (app, "load_secrets"),
}
PLACES = (*METHODS, "background")


class Spill:
    """Raises, everywhere."""

    def __init__(self, folder: Path) -> None:
        names = ("token", "local", "auth", "sec", "cloud")
        self._secrets = {name: (folder / name).read_text() for name in names}
        self._kept: list[object] = []

    def raise_it(self, *_: object, **__: object) -> NoReturn:
        """The fault."""
        revealed = dict(self._secrets)
        cause = KeyError(*revealed.values())
        raise RuntimeError(f"unexpected {revealed} {list(revealed.values())}") from cause

    async def raise_it_later(self, *_: object, **__: object) -> NoReturn:
        """The fault, of a coroutine."""
        self.raise_it()

    def in_the_background(self) -> None:
        """In a task nobody waits for, a thread, a finalizer, a callback; and a warning."""
        loop = asyncio.get_running_loop()
        self._kept = [loop.create_task(self.raise_it_later(), name=self._secrets["local"])]
        loop.call_soon(self.raise_it)
        loop.call_later(0.05, self._forget)
        thread = threading.Thread(target=self.raise_it, name=self._secrets["auth"])
        thread.start()
        thread.join()
        type("Leaking", (), {"__del__": lambda _: self.raise_it()})()
        warnings.warn(self._secrets["token"], stacklevel=1)

    def _forget(self) -> None:
        self._kept = []
        gc.collect()


if __name__ == "__main__":
    place, folder = sys.argv.pop(1), sys.argv.pop(1)
    spill = Spill(Path(folder))
    if place == "background":
        start._settle = spill.in_the_background
        CloudClient.unix_time = spill.raise_it_later  # type: ignore[method-assign]
    else:
        owner, name = METHODS[place]
        plain = place in ("handler", "protocol", "start")
        setattr(owner, name, spill.raise_it if plain else spill.raise_it_later)
    raise SystemExit(start.main(sys.argv[2:]))
