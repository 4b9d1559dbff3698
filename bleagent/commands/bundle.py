"""``bleagent support-bundle``: shown first, written then."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, NoReturn

import anyio
import typer

from bleagent.errors import AgentError

from .records_options import TokenFile, Url, Yes

NOT_WRITTEN = 1
UNUSABLE = 2


def support_bundle(
    *,
    config: Annotated[Path, typer.Option("--config", "-c", help="The daemon's configuration.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write, a .tar.gz.")
    ] = None,
    url: Url = None,
    token_file: TokenFile = None,
    yes: Yes = False,
) -> None:
    """Write a file that helps others to help: versions, settings, what doctor and status say, log.

    No secret, no database, and nothing that says whose lock it is. To be run as root or as the
    daemon's user: a secret that cannot be read cannot be looked for, and the log is left out then.

    Exit status: 0 written, 1 not wanted, 2 it could not be.
    """
    from bleagent.bundle import contents  # noqa: PLC0415 - what only this needs
    from bleagent.bundle.machine import Asked, collect  # noqa: PLC0415

    asked = Asked(config=config, url=url, token_file=token_file)
    try:
        found = anyio.run(collect, asked)
    except AgentError as error:
        _unusable(f"{error}\n{error.advice}")
    now = time.time()
    path = output or Path(time.strftime("bleagent-support-%Y%m%d-%H%M%S.tar.gz", time.gmtime(now)))
    typer.echo(f"{path} would have:")
    for part in found.parts:
        typer.echo(f"  {part.size:>9}  {part.name}")
    for name in found.unread:
        typer.echo(f"  {name} cannot be read here, and so not be looked for: no log")
    if not yes and not typer.confirm("Write it?"):
        raise typer.Exit(NOT_WRITTEN)
    raw = contents.packed(found.parts, unix=int(now))
    try:
        # Never over another file, and never through somebody else's link.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
    except FileExistsError:
        _unusable(f"{path} is there already: name another --output, or move it away")
    except OSError as error:
        _unusable(f"{path} cannot be written: {error.strerror}")
    typer.echo(f"written: {path}, {len(raw)} bytes. Read it before you send it.")


def _unusable(text: str) -> NoReturn:
    for line in text.splitlines():
        typer.echo(f"bleagent support-bundle: {line}", err=True)
    raise typer.Exit(UNUSABLE)
