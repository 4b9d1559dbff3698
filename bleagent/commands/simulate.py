"""``bleagent simulate``: what is missing at a desk."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Simulated(StrEnum):
    """What can be simulated, and how it is reached."""

    LOCK = "lock"
    STDIO = "stdio"
    CLOUD = "cloud"


def simulate(
    context: typer.Context,
    what: Annotated[
        Simulated,
        typer.Argument(help="lock or cloud: on a loopback port; stdio: a lock by lines."),
    ],
) -> None:
    """Be a virtual lock or cloud: `simulate lock --help`, `simulate cloud --help`."""
    from bleagent.simulator import serve, serve_cloud, stdio  # noqa: PLC0415 - the simulator, only here

    try:
        match what:
            case Simulated.LOCK:
                serve.main(context.args)
            case Simulated.STDIO:
                stdio.main(context.args)
            case Simulated.CLOUD:
                serve_cloud.main(context.args)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
