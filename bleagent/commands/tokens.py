"""``bleagent token``: who may call the daemon, and what each may do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bleagent.authority.tokens import MAX_LABEL, parse_id
from bleagent.errors import AgentError, TokenUnusable
from bleagent.printable import printable

if TYPE_CHECKING:
    from .daemon_client import DaemonClient

REFUSED = 1
UNUSABLE = 2
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_TITLES = ("id", "state", "expires", "scopes", "label")

tokens_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Give others a token of their own, and take it back. The daemon has to run: this asks it.",
)

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The daemon's configuration: where it is, and its token."),
]
Url = Annotated[
    str | None, typer.Option("--url", help="Where the daemon is, instead.", show_default=False)
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="A file with a token that has the scope admin, instead."),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@tokens_app.command()
def create(  # noqa: PLR0913 -- options
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            "-s",
            help="read, records, admin, operate:LOCK, operate:*, or share:LOCK for a program that "
            "passes on sharing tickets; several times. Who has admin can make tokens with any.",
        ),
    ] = None,
    lock: Annotated[
        str | None,
        typer.Option("--lock", "-l", help="Instead: a guest, who opens and locks this one."),
    ] = None,
    label: Annotated[
        str, typer.Option("--label", help=f"Whose it is, at most {MAX_LABEL} characters.")
    ] = "",
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            "--until",
            help="30d (m, h, d, w), or 2026-01-31, '2026-01-31 18:30'. A guest needs it.",
        ),
    ] = None,
    begins: Annotated[str | None, typer.Option("--from", help="A guest: not before.")] = None,
    weekdays: Annotated[
        str | None, typer.Option("--weekdays", help="A guest: on these only, mon,tue,...")
    ] = None,
    between: Annotated[
        str | None,
        typer.Option("--between", help="A guest: at these hours of the gateway, 08:00-18:00."),
    ] = None,
    times: Annotated[
        int | None, typer.Option("--times", min=1, help="A guest: so many openings.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Make a token and print it: this once, for nobody can read it again.

    Exit status: 0 done, 1 the daemon said no, 2 it could not be asked.
    """
    terms = {
        "begins": None if begins is None else _time(begins, "--from", "a time"),
        "weekdays": None if weekdays is None else weekdays.split(","),
        "between": between,
        "times": times,
    }
    said = {name: value for name, value in terms.items() if value is not None}
    if (lock is None) == (not scope) or (said and lock is None):
        _unusable(
            "say --scope, or --lock for a guest (with --until, and --from, --weekdays, --between "
            "and --times as you like)"
        )
    guest = None if lock is None else {"lock": lock, **said}
    what = {"label": label, "scopes": scope or None, "guest": guest, **_end(expires)}
    with _daemon(config, url, token_file) as client:
        made = client.create_token(what)
    if as_json:
        typer.echo(json.dumps(made))
        return
    # The token alone goes where it may be piped to.
    typer.echo(made["token"])
    typer.echo(f"bleagent token: {_words(made)}; it is not shown again", err=True)


@tokens_app.command(name="list")
def show(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Show who has one, oldest first. Secrets are not kept, and not shown."""
    with _daemon(config, url, token_file) as client:
        found = client.tokens()
    if as_json:
        for one in found:
            typer.echo(json.dumps(one))
        return
    if not found:
        typer.echo("bleagent token: none but the configuration's own", err=True)
        return
    for line in _table([_TITLES, *map(_row, found)]):
        typer.echo(line)


@tokens_app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    *,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Take a token back, at once: also what it asked for and is not written yet is stopped."""
    try:
        known = parse_id(token_id)
    except TokenUnusable as error:
        _unusable(f"ID: {error}")
    with _daemon(config, url, token_file) as client:
        gone = client.revoke_token(known)
    typer.echo(f"{_words(gone)}: good for nothing from now on")


@contextmanager
def _daemon(
    config: Path | None, url: str | None, token_file: Path | None
) -> Iterator[DaemonClient]:
    """A client; whatever goes wrong with the daemon ends the command in words."""
    from .daemon_client import DaemonClient, DaemonRefused, find_daemon  # noqa: PLC0415

    try:
        with DaemonClient(find_daemon(config, url, token_file)) as client:
            yield client
    except AgentError as error:
        for line in f"{error}\n{error.advice}".splitlines():
            typer.echo(f"bleagent token: {printable(line)}", err=True)
        raise typer.Exit(REFUSED if isinstance(error, DaemonRefused) else UNUSABLE) from None


def _end(text: str | None) -> dict[str, Any]:
    """As the daemon wants it: a span by its own clock, a time with its offset."""
    if text is None:
        return {}
    if (span := re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII)) is not None:
        return {"expires_in": int(span[1]) * SECONDS[span[2]]}
    return {"expires": _time(text, "--expires", "a span such as 30d or 12h, or a time")}


def _time(text: str, option: str, expected: str) -> str:
    """People write no offset and mean their own."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        _unusable(
            f"{option}: found {text!r}, expected {expected} such as 2026-01-31, "
            "'2026-01-31 18:30' or 2026-01-31T18:30:00Z"
        )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    *sizes, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for *cells, last in rows:
        padded = [cell.ljust(size) for cell, size in zip(cells, sizes, strict=True)]
        yield "  ".join([*padded, last]).rstrip()


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        _text(one.get("id")),
        _text(one.get("state")),
        _local(one.get("expires")),
        _text(",".join(map(str, one.get("scopes") or ())) + _terms(one.get("guest"))),
        _text(one.get("label")),
    )


def _words(one: Mapping[str, Any]) -> str:
    token_id, _, expires, scopes, label = _row(one)
    named = f"{token_id} ({label})" if label else token_id
    return f"{named}, {scopes}" + ("" if expires == "never" else f", until {expires}")


def _terms(guest: object) -> str:
    """A guest's, behind its scope."""
    if not isinstance(guest, dict):
        return ""
    words = ["guest"]
    if guest.get("begins"):
        words.append(f"from {_local(guest['begins'])}")
    words += [",".join(map(str, guest["weekdays"]))] if guest.get("weekdays") else []
    words += [str(guest["between"])] if guest.get("between") else []
    if guest.get("times"):
        used = f"{guest['used']} of " if "used" in guest else ""
        words.append(f"{used}{guest['times']} openings")
    return f" ({', '.join(words)})"


def _text(value: object) -> str:

    return printable(str(value or ""))


def _local(moment: object) -> str:
    if moment is None:
        return "never"
    try:
        return f"{datetime.fromisoformat(str(moment)).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return _text(moment)


def _unusable(why: str) -> NoReturn:
    typer.echo(f"bleagent token: {why}", err=True)
    raise typer.Exit(UNUSABLE)
