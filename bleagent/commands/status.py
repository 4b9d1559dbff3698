"""``bleagent status``: how the running daemon is."""

from __future__ import annotations

import json
from typing import Any

import typer

from bleagent.errors import AgentError, ConfigError
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
    from .daemon_client import SERVICE_CONFIG, DaemonClient, find_daemon  # noqa: PLC0415
    from .status_screen import to_lines  # noqa: PLC0415

    other = None
    try:
        try:
            with DaemonClient(find_daemon(config, url, token_file)) as client:
                ready, locks = client.readiness(), client.locks()
        except AgentError as error:
            # Of another daemon than the service, that one's state would be a lie.
            if url is not None or config not in (None, SERVICE_CONFIG):
                raise
            ready, locks, other = *_by_the_service(error), error
    except AgentError as error:
        for line in f"{error}\n{error.advice}".splitlines():
            typer.echo(f"bleagent status: {printable(line)}", err=True)
        raise typer.Exit(UNUSABLE) from None
    if as_json:
        typer.echo(json.dumps({**ready, **locks}, indent=1))
    else:
        for line in to_lines(ready, locks):
            typer.echo(printable(line))
    if other is not None:
        typer.echo("The service runs by another configuration than the file says now:", err=True)
        for line in str(other).splitlines():
            typer.echo(f"  {printable(line)}", err=True)
    raise typer.Exit(0 if ready["ready"] else NOT_READY)


def _by_the_service(error: AgentError) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the running service, where its file says something else by now.

    Raises AgentError: ``error`` itself, where the service is not there or does not answer either.
    """
    from .daemon_client import (  # noqa: PLC0415
        DaemonAway,
        DaemonClient,
        DaemonUnnamed,
        service_address,
    )

    address = service_address()
    changed = isinstance(error, (ConfigError, DaemonAway)) and not isinstance(error, DaemonUnnamed)
    if address is None or not changed:
        raise error
    try:
        with DaemonClient(address) as client:
            return client.readiness(), client.locks()
    except AgentError:
        raise error from None
