"""``bleagent run``: as little as possible is loaded before a door can be asked to open.

The command line's own libraries stay outside, and so does what other libraries load only because
it is installed (rich and pygments, for structlog and httpx; plugins of pydantic): it costs time
and memory at every start, and rich would show local variables in a traceback (safety G4).
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FAULT = 1
CANNOT_START = 2
STUCK = 3
LEFT_OUT = ("rich", "pygments", "sniffio")
"""What other libraries use where it is there; in this process it is not. The last one is looked
for by each call to the cloud, several times, in every folder of the path."""


def main(given: Sequence[str] | None = None) -> int:
    """Run the daemon until a signal stops it; ``given`` is what follows ``run``.

    Returns the exit status: 0 stopped by a signal, 1 a fault of its own, 2 it cannot start, 3
    Bluetooth is stuck and nothing helped: to be started anew.
    """
    for early in (signal.SIGHUP, signal.SIGUSR1):  # they would end who does not listen yet
        signal.signal(early, signal.SIG_IGN)
    options = _parser().parse_args(given)
    # Nothing made while importing becomes garbage worth looking for; see ``_settle``.
    gc.disable()
    leave_out()
    import anyio  # noqa: PLC0415 - not before what is left out is left out

    with models_built_when_used():
        from . import app, logs  # noqa: PLC0415
        from .errors import AgentError, RadioStuck  # noqa: PLC0415

    logs.set_up(options.log_level)

    def ready(port: int) -> None:
        _settle()
        if options.port_file is not None:
            options.port_file.write_text(str(port))

    async def run() -> None:
        await app.run(options.config, on_ready=ready)

    try:
        anyio.run(run)
    except Exception as error:  # noqa: BLE001 - nothing of it may reach stderr as it is
        known = _inside(error)
        if isinstance(known, AgentError):
            sys.stderr.write(f"bleagent run: {known}\n{known.advice}\n")
            return STUCK if isinstance(known, RadioStuck) else CANNOT_START
        logs.tell_fault(error)
        return FAULT
    return 0


def _inside(error: BaseException) -> BaseException:
    """What a task group has wrapped, if it is one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bleagent run",
        description="Run the daemon. "
        "Exit status: 0 stopped by a signal, 1 a fault of its own, 2 it cannot start, "
        "3 Bluetooth is stuck and nothing helped.",
    )
    parser.add_argument(
        "-c", "--config", type=Path, required=True, help="the configuration, TOML", metavar="FILE"
    )
    parser.add_argument(
        "--port-file", type=Path, help="write the port there when ready", metavar="FILE"
    )
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info"
    )
    return parser


def leave_out() -> None:
    """Make ``LEFT_OUT`` look as if it were not installed; before anything else is imported."""
    for name in LEFT_OUT:
        # None makes an import of it fail, which typing does not know.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


@contextmanager
def models_built_when_used() -> Iterator[None]:
    """Pydantic models defined in here are built when they are first used.

    FastAPI defines thirty that describe OpenAPI and are of no use to opening a door; building
    them is a twelfth of the start. Whoever does want them gets them all the same.
    """
    from pydantic import BaseModel  # noqa: PLC0415

    config, before = BaseModel.model_config, BaseModel.model_config.get("defer_build", False)
    config["defer_build"] = True
    try:
        yield
    finally:
        config["defer_build"] = before


def _settle() -> None:
    """What was loaded stays for good: no collection has to walk through it from here on."""
    gc.freeze()
    gc.enable()
