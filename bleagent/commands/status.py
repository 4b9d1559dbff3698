"""``bleagent status``: how the running daemon is."""

from __future__ import annotations

import json

import typer

from bleagent.errors import AgentError
from bleagent.printable import printable

from .records_options import Config, TokenFile, Url
from .tokens import AsJson

NOT_READY = 1
UNUSABLE = 2


def status(
    *, config: Config = None, url: Url = None, token_file: TokenFile = None, as_json: AsJson = False
) -> None:
    """Say how the running daemon is: what keeps doors shut, each part, each lock.

    Exit status: 0 ready, 1 doors stay shut, 2 the daemon could not be asked.
    """
    from .daemon_client import DaemonClient, find_daemon  # noqa: PLC0415
    from .status_screen import to_lines  # noqa: PLC0415

    try:
        with DaemonClient(find_daemon(config, url, token_file)) as client:
            ready, locks = client.readiness(), client.locks()
    except AgentError as error:
        for line in f"{error}\n{error.advice}".splitlines():
            typer.echo(f"bleagent status: {printable(line)}", err=True)
        raise typer.Exit(UNUSABLE) from None
    if as_json:
        typer.echo(json.dumps({**ready, **locks}, indent=1))
    else:
        for line in to_lines(ready, locks):
            typer.echo(printable(line))
    raise typer.Exit(0 if ready["ready"] else NOT_READY)
