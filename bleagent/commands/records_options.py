"""What the commands of ``bleagent records`` are told, and how each of it is explained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The daemon's configuration: where it is, and its token."),
]
Url = Annotated[
    str | None, typer.Option("--url", help="Where the daemon is, instead.", show_default=False)
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="A file with the daemon's token, instead.")
]
Lock = Annotated[str | None, typer.Option("--lock", "-l", help="Of this lock only.")]
Kind = Annotated[
    list[str] | None,
    typer.Option("--kind", "-k", help="Such as fingerprint, bluetooth or alarm; several times."),
]
State = Annotated[
    str | None, typer.Option("--state", help="waiting, done, parked or dropped, for any sink.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="From then on: 2026-01-31, '2026-01-31 18:30' or Unix seconds."),
]
Until = Annotated[str | None, typer.Option("--until", help="Until then.")]
Sink = Annotated[str | None, typer.Option("--sink", help="For this sink only.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
RecordId = Annotated[str, typer.Argument(metavar="ID", help="The record's id.")]
SinkName = Annotated[str, typer.Argument(metavar="SINK", help="As `records outbox` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """How to find the daemon, as it was said before the name of a command."""

    config: Path | None = None
    url: str | None = None
    token_file: Path | None = None
