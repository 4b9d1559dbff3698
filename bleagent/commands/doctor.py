"""``bleagent doctor``: what keeps doors shut, and what mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from bleagent.printable import printable

from .tokens import AsJson

if TYPE_CHECKING:
    from bleagent.doctor.check import Report

FAILED = 1


def doctor(
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The daemon's configuration: look at all of it, too."),
    ] = None,
    lock: Annotated[
        list[str] | None,
        typer.Option(
            "--lock",
            "-l",
            help="Rehearse an opening of it, up to the write; with --config. Several times.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what keeps a lock from being reached, and what mends it.

    Without --config it looks at this machine's Bluetooth. With it also at configuration, secrets,
    store, daemon and cloud, and whether each lock is heard: that takes some seconds. Looks only;
    run it as the user that the daemon runs as. Root may see more of the kernel.

    With --lock the running daemon does all of an opening but the writing: it connects, pairs, has
    the cloud issue an instruction and checks it. No door moves, and an opening goes first.

    Exit status: 0 nothing failed (there may be warnings), 1 something did.
    """
    if lock and config is None:
        raise typer.BadParameter("needs --config: the daemon's", param_hint="--lock")
    report = anyio.run(_report, config, tuple(lock or ()))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1))
    else:
        _show(report)
    raise typer.Exit(0 if report.ok else FAILED)


async def _report(config: Path | None, locks: tuple[str, ...]) -> Report:
    from bleagent.doctor import machine_look  # noqa: PLC0415 - what only this needs

    report = await machine_look.look()
    if config is not None:
        from bleagent.doctor import site, site_look  # noqa: PLC0415

        found = await site_look.look(config)
        before, after = site.examine(found)
        radio = report.checks if found.virtual is None else [site.virtual(found)]
        rehearsals = [site.rehearsal(one, site_look.rehearse(config, one)) for one in locks]
        report.checks = [*before, *radio, *after, *rehearsals]
    return report


def _show(report: Report) -> None:
    from bleagent.doctor.check import to_lines  # noqa: PLC0415

    marks = {
        "ok": typer.style("ok  ", fg="green"),
        "warn": typer.style("warn", fg="yellow"),
        "fail": typer.style("FAIL", fg="red", bold=True),
    }
    for check in report.checks:
        first, *more = map(printable, to_lines(check))
        typer.echo(f"{marks[check.level]}  {first}")
        for line in more:
            typer.echo(f"  {line}")
    levels = [str(one.level) for one in report.checks]
    failed, warned = levels.count("fail"), levels.count("warn")
    typer.echo(f"{len(levels)} checks: {failed} failed, {warned} to think about")
