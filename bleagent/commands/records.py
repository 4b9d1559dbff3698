"""``bleagent records``: what the locks recorded and where it has been carried to."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bleagent.printable import printable

from .records_options import (
    AsJson,
    Config,
    Kind,
    Lock,
    RecordId,
    Since,
    Sink,
    SinkName,
    State,
    TokenFile,
    Until,
    Url,
    Where,
    Yes,
)

if TYPE_CHECKING:
    from .daemon_client import DaemonClient

REFUSED = 1
UNUSABLE = 2
LIMIT = 50
POLL = 1.0
"""Seconds between two questions of --follow."""

records_app = typer.Typer(add_completion=False)


@records_app.callback(invoke_without_command=True)
def records(
    context: typer.Context,
    *,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
    lock: Lock = None,
    kind: Kind = None,
    state: State = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = LIMIT,
    as_json: AsJson = False,
    ids: Annotated[bool, typer.Option("--ids", help="With each record's id.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Oldest first, and go on until Ctrl-C.")
    ] = False,
) -> None:
    """Show what the locks recorded, newest first.

    The daemon has to run: this asks it. Times are local.

    Exit status: 0 done, 1 the daemon said no (verify: see there), 2 it could not be asked, or
    could not do it itself.
    """
    context.obj = Where(config=config, url=url, token_file=token_file)
    if context.invoked_subcommand is not None:
        if any((lock, kind, state, since, until, as_json, ids, follow)) or limit != LIMIT:
            _unusable(f"options of {context.invoked_subcommand} stand behind its name")
        return
    if follow and until is not None:
        _unusable("--follow goes on, and --until ends")
    try:
        with _daemon(context) as client:
            params = _params(lock=lock, kind=kind, state=state, since=since, until=until)
            show = _show_json if as_json else _Tables(steady=follow, ids=ids).show
            if follow:
                _follow(client, params, limit, show)
            else:
                found = list(client.all_records(params, most=limit))
                show(found)
                _tell_bounds(len(found), limit)
    except KeyboardInterrupt:
        if follow:
            raise typer.Exit(0) from None
        raise


@records_app.command()
def export(
    context: typer.Context,
    *,
    csv: Annotated[str, typer.Option("--csv", metavar="FILE|-", help="Where to; - is stdout.")],
    lock: Lock = None,
    kind: Kind = None,
    state: State = None,
    since: Since = None,
    until: Until = None,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Write all records as CSV (RFC 4180), newest first.

    A text that a spreadsheet would take for a formula gets a ' before it. The file is there only
    when it is whole.
    """
    from . import records_view  # noqa: PLC0415 - what only this needs

    with _daemon(context, config, url, token_file) as client:
        params = _params(lock=lock, kind=kind, state=state, since=since, until=until)
        found = client.all_records(params)
        if csv == "-":
            # The line ends are CSV's own, not the platform's.
            sys.stdout.reconfigure(newline="", encoding="utf-8")  # type: ignore[union-attr]
            records_view.write_csv(found, sys.stdout)
            return
        whole, part = Path(csv), Path(f"{csv}.part")
        try:
            with part.open("w", encoding="utf-8", newline="") as output:
                count = records_view.write_csv(found, output)
            part.replace(whole)
        except OSError as error:
            _unusable(f"{csv} cannot be written: {error.strerror}")
        finally:
            part.unlink(missing_ok=True)
    typer.echo(f"{count} records in {csv}", err=True)


@records_app.command()
def retry(
    context: typer.Context,
    record_id: RecordId,
    *,
    sink: Sink = None,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Let a parked record wait for its sink again."""
    with _daemon(context, config, url, token_file) as client:
        _tell_decision(client.decide(record_id, "retry", sink), "waits again")


@records_app.command()
def drop(
    context: typer.Context,
    record_id: RecordId,
    *,
    sink: Sink = None,
    yes: Yes = False,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Give a parked record up: it is never carried to its sink, and stays in the book."""
    from . import records_view  # noqa: PLC0415

    with _daemon(context, config, url, token_file) as client:
        if not yes:
            typer.echo(records_view.line_of(client.record(record_id)), err=True)
            _confirm(f"Never carry it to {sink or 'any sink that parked it'}?")
        _tell_decision(client.decide(record_id, "drop", sink), "is given up")


@records_app.command()
def verify(
    context: typer.Context,
    lock: Annotated[str, typer.Argument(help="The lock's name in the configuration.")],
    *,
    since: Since = None,
    until: Until = None,
    sink: Sink = None,
    as_json: AsJson = False,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Ask the cloud what it has of a lock's records, and compare.

    Exit status: 0 nothing is lacking there and nothing is there twice, 1 something is, or not all
    could be compared, 2 the daemon or the cloud could not be asked. What is in the cloud and not
    here is told, and is no failure.
    """
    from . import records_view  # noqa: PLC0415

    with _daemon(context, config, url, token_file) as client:
        what = {"since": _time(since, "--since"), "until": _time(until, "--until"), "sink": sink}
        found = client.verify(lock, what)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for line in records_view.verified_lines(found):
            typer.echo(line)
    good = found.get("complete") and not found.get("lacking") and not found.get("twice")
    raise typer.Exit(0 if good else REFUSED)


@records_app.command()
def outbox(
    context: typer.Context,
    *,
    as_json: AsJson = False,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Show what waits for each sink, and what was taken off each lock."""
    from . import records_view  # noqa: PLC0415

    with _daemon(context, config, url, token_file) as client:
        found = client.outbox()
    if as_json:
        typer.echo(json.dumps(found))
        return
    screen = records_view.console(sys.stdout)
    for number, table in enumerate(records_view.outbox_tables(found)):
        screen.print(*([""] if number else []), table, sep="\n")
    for note in records_view.outbox_notes(found):
        screen.print(note, style="dim", markup=False, soft_wrap=True)


@records_app.command("forget-sink")
def forget_sink(
    context: typer.Context,
    sink: SinkName,
    *,
    yes: Yes = False,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Give up all that is left for a sink that is not configured any more; it stays in the book."""
    with _daemon(context, config, url, token_file) as client:
        if not yes:
            _confirm(f"Never carry what is left for {sink} to it?")
        changed = client.forget_sink(sink).get("changed")
    typer.echo(f"given up for {sink}: {changed}")


# -- the daemon


@contextmanager
def _daemon(
    context: typer.Context,
    config: Path | None = None,
    url: str | None = None,
    token_file: Path | None = None,
) -> Iterator[DaemonClient]:
    """A client; whatever goes wrong with the daemon ends the command in words."""
    from bleagent.errors import AgentError  # noqa: PLC0415 - httpx and pydantic, only here

    from .daemon_client import DaemonClient, DaemonRefused, find_daemon  # noqa: PLC0415

    said = context.obj if isinstance(context.obj, Where) else Where()
    try:
        address = find_daemon(config or said.config, url or said.url, token_file or said.token_file)
        with DaemonClient(address) as client:
            yield client
    except AgentError as error:
        for line in f"{error}\n{error.advice}".splitlines():
            typer.echo(f"bleagent records: {printable(line)}", err=True)
        raise typer.Exit(REFUSED if isinstance(error, DaemonRefused) else UNUSABLE) from None


def _follow(
    client: DaemonClient,
    params: list[tuple[str, str]],
    limit: int,
    show: Callable[[list[dict[str, Any]]], None],
) -> None:
    """Show the newest ones, then whatever is taken; a daemon that restarts is waited for."""
    from .daemon_client import PAGE, DaemonAway  # noqa: PLC0415

    page = client.records([*params, ("limit", str(min(limit, PAGE)))])
    # One that was taken while that was answered is in it, and comes once more.
    shown = {one.get("id") for one in page["records"]}
    show(page["records"][::-1])
    away = False
    while True:
        if len(page["records"]) < PAGE:
            time.sleep(POLL)
        try:
            page = client.records(
                [*params, ("limit", str(PAGE)), ("after", str(page.get("last", 0)))]
            )
        except DaemonAway as error:
            if not away:
                typer.echo(f"bleagent records: {error}; waiting for it", err=True)
            away = True
            continue
        if away:
            typer.echo("bleagent records: the daemon is back", err=True)
            away = False
        show([one for one in page["records"] if one.get("id") not in shown])


# -- what was asked, what is shown


def _params(
    *, lock: str | None, kind: list[str] | None, state: str | None, since: str | None,
    until: str | None,
) -> list[tuple[str, str]]:  # fmt: skip
    named = [
        ("lock", lock), ("state", state), ("since", _time(since, "--since")),
        ("until", _time(until, "--until")), *(("kind", one) for one in kind or ()),
    ]  # fmt: skip
    return [(name, value) for name, value in named if value is not None]


def _time(text: str | None, option: str) -> str | None:
    """As the daemon wants it: people write no offset and mean their own."""
    # 20260131 is a day; nine digits are since 1973.
    if text is None or re.fullmatch(r"\d{9,12}(\.\d+)?", text, re.ASCII):
        return text
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        _unusable(
            f"{option}: found {text!r}, expected a time such as 2026-01-31, '2026-01-31 18:30', "
            "2026-01-31T18:30:00Z or Unix seconds"
        )


def _show_json(records: list[dict[str, Any]]) -> None:
    for one in records:
        typer.echo(json.dumps(one))
    sys.stdout.flush()


def _tell_bounds(count: int, limit: int) -> None:
    """Beside the result: that there is none, or that there may be more."""
    if not count:
        typer.echo("bleagent records: none", err=True)
    elif count == limit and sys.stderr.isatty():
        typer.echo(f"bleagent records: the newest {limit}; --limit shows more", err=True)


class _Tables:
    """A table, and below it what comes later; ``steady`` columns where something will."""

    def __init__(self, *, steady: bool, ids: bool) -> None:
        self._steady = steady
        self._ids = ids
        self._header = True

    def show(self, records: list[dict[str, Any]]) -> None:
        """More of them."""
        from . import records_view  # noqa: PLC0415

        if not records and not self._header:
            return
        screen = records_view.console(sys.stdout)
        least = records_view.STEADY if self._steady else records_view.LEAST
        if screen.width < least + (records_view.ID if self._ids else 0):
            for one in records:
                screen.print(records_view.line_of(one, ids=self._ids), markup=False, soft_wrap=True)
        else:
            screen.print(
                records_view.table_of(
                    records, screen.width, steady=self._steady, header=self._header, ids=self._ids
                )
            )
        for note in records_view.notes_of(records):
            screen.print(note, style="dim", markup=False, soft_wrap=True)
        sys.stdout.flush()
        self._header = False


def _tell_decision(answer: dict[str, Any], what: str) -> None:
    from . import records_view  # noqa: PLC0415

    record = answer.get("record")
    typer.echo(f"{what}: {records_view.line_of(record if isinstance(record, dict) else {})}")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        _unusable("nobody is there to be asked: say --yes")
    typer.confirm(question, abort=True)


def _unusable(why: str) -> NoReturn:
    typer.echo(f"bleagent records: {why}", err=True)
    raise typer.Exit(UNUSABLE)
