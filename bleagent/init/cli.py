"""``bleagent init``: from a cloud project's keys to a service that opens doors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bleagent.errors import AgentError
from bleagent.printable import printable

SAID_NO = 1
UNUSABLE = 2
STOPPED = 130


def init(  # noqa: PLR0913 -- options
    *,
    data_centre: Annotated[
        str | None,
        typer.Option(
            "--data-centre", help="cn, us, us-east, eu, eu-west, in, sg, or a cloud's address."
        ),
    ] = None,
    client_id: Annotated[
        str | None, typer.Option("--client-id", help="Access ID of your project at the vendor's.")
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", help="Its secret; - is standard input.", allow_dash=True),
    ] = None,
    lock: Annotated[
        list[str] | None,
        typer.Option(
            "--lock",
            "-l",
            metavar="NAME=ID",
            help="This one, by its device id; several times. Else all locks of the account.",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", help="Whose programs need no token at the socket; several times."),
    ] = None,
    listen: Annotated[
        float, typer.Option("--listen", min=0.0, help="Seconds to listen for locks; 0: not.")
    ] = 8.0,
    virtual_lock: Annotated[
        str | None,
        typer.Option(
            "--virtual-lock",
            metavar="HOST:PORT",
            help="Instead of Bluetooth: where `bleagent simulate lock` is.",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory",
            "-d",
            help="All of it in this folder, for `bleagent run`, instead of the service's places.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="The service's places below this: a card that is mounted."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not encrypt new secrets by systemd-creds.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Write a configuration and its secrets, for the service or for a folder of yours.

    Asks for the cloud project and tries its keys, shows the locks of its account and which of them
    are heard, and says what it would write before it does. Run again, it adds locks and fetches
    keys that changed; of the rest of a configuration it changes not a byte.

    Exit status: 0 written, or nothing to do; 1 the cloud said no or could not be asked; 2 something
    is missing or wrong, and nothing was written; 130 stopped.
    """  # fmt: skip
    from .flow import Flow, Options  # noqa: PLC0415 - what only this needs

    options = Options(
        data_centre=data_centre, client_id=client_id, secret_file=secret_file,
        locks=tuple(lock or ()), users=None if user is None else tuple(user), listen=listen,
        virtual_lock=virtual_lock, directory=directory, root=root, plain=plain, yes=yes,
    )  # fmt: skip
    flow = None
    try:
        flow = Flow(options)
        flow.run()
    except (KeyboardInterrupt, typer.Abort):
        done = (
            "everything was written before"
            if flow is not None and flow.written
            else "nothing was written"
        )
        typer.echo(f"\nbleagent init: stopped; {done}", err=True)
        raise typer.Exit(STOPPED) from None
    except AgentError as error:
        _fail(error)


def _fail(error: AgentError) -> NoReturn:
    from .faults import CloudSaidNo, mend_of  # noqa: PLC0415
    from .files import PartlyWritten  # noqa: PLC0415

    end = [] if isinstance(error, PartlyWritten) else ["Nothing was written."]
    for line in (*str(error).splitlines(), *mend_of(error).splitlines(), *end):
        typer.echo(f"bleagent init: {printable(line)}", err=True)
    raise typer.Exit(SAID_NO if isinstance(error, CloudSaidNo) else UNUSABLE)
