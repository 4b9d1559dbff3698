"""``bleagent audit``: who did what, and whether that was changed since."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bleagent.errors import AgentError, AuditUnusable
from bleagent.printable import printable

if TYPE_CHECKING:
    from bleagent.adapters.sqlite_store import AuditFile
    from bleagent.audit.chain import ChainedRow, Head, Root
    from bleagent.audit.verify import Verdict

BROKEN = 1
UNUSABLE = 2

audit_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="What was done, by whom, in a chain that shows changes. Needs no running daemon.",
)

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="The daemon's configuration: where it is.")
]
File = Annotated[Path | None, typer.Option("--file", help="A copy of audit.db, instead.")]


@audit_app.command()
def init(
    *,
    config: Annotated[Path, typer.Option("--config", "-c", help="The daemon's configuration.")],
) -> None:
    """Draw a root key, with the daemon stopped, and print it: this once. Keep it off the gateway.

    With it, verify proves that no row from here on was changed or put in later, whoever has taken
    the gateway since. A new one may be drawn at any time; the old one stays good for its rows.

    Exit status: 0 done, 2 it could not be.
    """
    from bleagent.audit.files import draw_root  # noqa: PLC0415 - the store, only here

    with _told():
        root = draw_root(config, at=time.time())
    typer.echo(root.to_text())
    typer.echo(
        f"bleagent audit: this key holds from row {root.first} on; it is not kept here and not "
        "shown again",
        err=True,
    )


@audit_app.command()
def show(
    *,
    lock: Annotated[str | None, typer.Option("--lock", "-l", help="Of this lock only.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From then on: 2026-01-31, '2026-01-31 18:30'.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Until then.")] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, help="So many at most, the newest; 0: all.")
    ] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: Config = None,
    file: File = None,
) -> None:
    """Show rows, oldest first, also while the daemon runs.

    Exit status: 0 done, 2 it could not be read.
    """
    begin, end = _time(since, "--since"), _time(until, "--until")
    with _told(), _opened(config, file) as audit:
        found = list(audit.rows(lock=lock, since=begin, until=end, last=last or None))
    if as_json:
        for row in found:
            typer.echo(json.dumps(_fields(row)))
        return
    for line in _table([("row", "time", "event", "who", "lock", "what"), *map(_cells, found)]):
        typer.echo(line)


@audit_app.command()
def verify(
    *,
    root_key: Annotated[
        Path | None,
        typer.Option(
            "--root-key",
            help="A file with what init printed; - is standard input.",
            allow_dash=True,
        ),
    ] = None,
    anchor: Annotated[
        Path | None,
        typer.Option(
            "--anchor",
            help="Lines of the daemon's log that was kept elsewhere (journalctl -o cat); - is "
            "standard input.",
            allow_dash=True,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Config = None,
    file: File = None,
) -> None:
    """Say whether the audit is whole, and what that proves.

    An anchor proves that nothing up to it was changed or cut off; the root key, that no row was
    made later. Without either only a clumsy change shows.

    Exit status: 0 whole as far as this proves, 1 it is not, 2 something could not be read.
    """
    from bleagent.audit.verify import told, verify  # noqa: PLC0415 - only here

    if root_key == anchor == Path("-"):
        _unusable("--root-key and --anchor cannot both be standard input")
    with _told():
        root, anchors = _root(root_key), _anchors(anchor)
        with _opened(config, file) as audit:
            kept = audit.kept()
            if kept is None:
                raise AuditUnusable("found no row yet, expected an audit that has begun")
            verdict = verify(audit.rows(), kept, root=root, anchors=anchors)
    if as_json:
        typer.echo(json.dumps(told(verdict)))
    else:
        _say(verdict)
    raise typer.Exit(0 if verdict.whole else BROKEN)


def _say(verdict: Verdict) -> None:
    rows = f"rows {verdict.first} to {verdict.last}"
    for line in verdict.broken:
        typer.echo(f"BROKEN: {line}")
    if verdict.whole:
        held = f", anchored up to {verdict.anchored}" if verdict.anchored else ""
        typer.echo(f"{rows} are whole{held}")
    for line in verdict.limits:
        typer.echo(f"note: {line}")


def _root(path: Path | None) -> Root | None:
    from bleagent.audit.chain import Root  # noqa: PLC0415

    return None if path is None else Root.from_text(_text(path))


def _anchors(path: Path | None) -> list[Head]:
    from bleagent.audit.verify import read_anchors  # noqa: PLC0415

    return [] if path is None else read_anchors(_text(path).splitlines())


def _text(path: Path) -> str:
    """Raises AuditUnusable."""
    try:
        if path == Path("-"):
            return sys.stdin.read()
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise AuditUnusable(f"{path} cannot be read: {error.strerror}") from None


@contextmanager
def _opened(config: Path | None, file: Path | None) -> Iterator[AuditFile]:
    from bleagent.audit.files import opened  # noqa: PLC0415 - the store, only here

    if (config is None) == (file is None):
        _unusable("say --config, or --file for a copy of audit.db")
    with opened(config, file) as audit:
        yield audit


@contextmanager
def _told() -> Iterator[None]:
    """Whatever cannot be used ends the command in words."""
    try:
        yield
    except AgentError as error:
        for line in f"{error}\n{error.advice}".splitlines():
            typer.echo(f"bleagent audit: {_printable(line)}", err=True)
        raise typer.Exit(UNUSABLE) from None


def _fields(row: ChainedRow) -> dict[str, Any]:
    return {
        "number": row.number, "at": _moment(row).isoformat(timespec="milliseconds"),
        "event": row.event, "principal": row.principal, "lock": row.lock,
        "operation": row.operation, "detail": _detail(row), "digest": row.digest.hex(),
    }  # fmt: skip


def _cells(row: ChainedRow) -> tuple[str, ...]:
    detail = _detail(row)
    said = {key: value for key, value in detail.items() if value is not False}
    words = [f"{key}={value}" for key, value in said.items() if value not in (None, "", [])]
    if row.operation is not None:
        words.insert(0, row.operation)
    when = f"{_moment(row).astimezone():%Y-%m-%d %H:%M:%S}"
    cells = (str(row.number), when, row.event, row.principal or "", row.lock or "", " ".join(words))
    return tuple(map(_printable, cells))


def _detail(row: ChainedRow) -> dict[str, Any]:
    """What stands there, whoever has written it."""
    try:
        found = json.loads(row.detail)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"unreadable": row.detail}


def _moment(row: ChainedRow) -> datetime:
    try:
        return datetime.fromtimestamp(row.at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    *sizes, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for *cells, last in rows:
        padded = [cell.ljust(size) for cell, size in zip(cells, sizes, strict=True)]
        yield "  ".join([*padded, last]).rstrip()


def _printable(text: str) -> str:

    return printable(text)


def _time(text: str | None, option: str) -> float | None:
    """Unix seconds; people write no offset and mean their own."""
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        _unusable(f"{option}: found {text!r}, expected a time such as '2026-01-31 18:30'")


def _unusable(why: str) -> NoReturn:
    typer.echo(f"bleagent audit: {why}", err=True)
    raise typer.Exit(UNUSABLE)
