"""The command line. It reads arguments and files and prints; the work is done elsewhere."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import anyio
import typer

from bleagent import __version__
from bleagent.commands.audit import audit_app
from bleagent.commands.bundle import support_bundle
from bleagent.commands.cloud import cloud_app
from bleagent.commands.decode import (
    ARROWS,
    DecodeError,
    compare,
    observe_packets,
    read_keys,
    to_json,
    to_text,
)
from bleagent.commands.doctor import doctor
from bleagent.commands.openapi import openapi
from bleagent.commands.records import records_app
from bleagent.commands.simulate import simulate
from bleagent.commands.status import status
from bleagent.commands.tokens import tokens_app
from bleagent.init.cli import init
from protocol.capture import Capture, CaptureError, format_capture, parse_capture
from protocol.dpmap import DpMap, LockGeneration
from protocol.observer import Observation, Seen, observe_capture
from protocol.rekey import RekeyError, rekey_capture

UNREADABLE = 1
UNUSABLE = 2

app = typer.Typer(
    name="bleagent",
    help="A companion agent for Tuya Bluetooth door locks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(records_app, name="records")
app.add_typer(cloud_app, name="cloud")
app.add_typer(tokens_app, name="token")
app.command()(init)
app.command()(openapi)
app.command()(doctor)
app.command()(status)
app.command("support-bundle")(support_bundle)
app.add_typer(audit_app, name="audit")


def main() -> None:
    """Entry point of the ``bleagent`` command."""
    app()


def _version(show: bool) -> None:
    if show:
        print(f"bleagent {__version__}")
        raise typer.Exit


@app.callback()
def _bleagent(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A companion agent for Tuya Bluetooth door locks."""


@app.command()
def decode(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE | '>'HEX '<'HEX ...",
            help="A capture (JSON Lines, - for standard input), or pasted packets: "
            "'>' from the central, '<' from the lock, each quoted for the shell.",
        ),
    ],
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object per frame. Its `data` is NOT masked."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with what the recorder wrote down.")
    ] = False,
    rekey: Annotated[
        bool,
        typer.Option(
            "--rekey",
            help="Write a copy that can be shared: every key, code, PIN and identity replaced.",
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where --rekey writes (else: stdout).")
    ] = None,
    keep_unknown: Annotated[
        bool,
        typer.Option(
            "--keep-unknown", help="With --rekey: keep commands and datapoints nobody knows."
        ),
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Keys for pasted packets: JSON with local_key, sec_key, ..."),
    ] = None,
    local_key: Annotated[
        str | None,
        typer.Option("--local-key", help="A TEST lock's key; others see the command line."),
    ] = None,
) -> None:
    """Read a recorded or pasted conversation with a lock.

    Prints each complete frame in order, secrets masked.

    With --json the `data` is not masked: keys, codes and PINs may be in it.

    Exit status: 0 all was read, 1 some was not (or differs, with --check), 2 unusable input.
    """
    if all(one[:1] in ARROWS for one in what):
        if check or rekey:
            _unusable("--check and --rekey need a capture file, not pasted packets")
        _decode_packets(what, keys, local_key, as_json=as_json)
    if len(what) > 1 or keys is not None or local_key is not None:
        _unusable(
            "one capture file, which has its keys in its first line, or packets that begin "
            "with '>' or '<' together with --keys"
        )
    capture = _capture(what[0])
    if rekey:
        _rekey(capture, output, keep_unknown=keep_unknown)
    seen = observe_capture(capture)
    _show(seen, {event.line: event.t for event in capture.events}, as_json=as_json)
    differences = compare(capture, seen) if check else []
    for difference in differences:
        _tell(difference)
    if check and not differences:
        _tell(f"{len(seen)} as recorded")
    _leave(seen, failed=bool(differences))


PASSED_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,  # what follows is for somebody else, --help too
}


app.command(context_settings=PASSED_ON)(simulate)


@app.command(context_settings=PASSED_ON, add_help_option=False)
def run(context: typer.Context) -> None:
    """Run the daemon: `run --help`."""
    from bleagent import start  # noqa: PLC0415 - the daemon's parts, only here

    raise typer.Exit(start.main(context.args))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running, to try it.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the frames.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Last line: the claims as JSON.")] = False,
) -> None:
    """Show the main job: an HTTP request opens a virtual door, truthfully and once.

    Starts a virtual lock, a virtual cloud and the real daemon on loopback, and checks its own
    claims against the lock's log. Exit status: 0 every claim was true, 1 one was not.
    """
    from bleagent.demo import play as showing  # noqa: PLC0415 - the simulator, only here

    # Whoever stops it in another way than by Ctrl-C wants nothing to stay behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    async def main() -> bool:
        return await showing.show(keep=keep, verbose=verbose, as_json=as_json)

    try:
        ok = anyio.run(main)
    except KeyboardInterrupt:
        raise typer.Exit(0 if keep else UNREADABLE) from None
    raise typer.Exit(0 if ok else UNREADABLE)


@app.command()
def scan(
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", "-s", min=1.0, help="How long (else 10, on a terminal: Ctrl-C)."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Know the locks of this file by name; no key is read."),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="Such as hci0; else all that are powered.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per lock and line, at the end.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="With --json: as they are heard, until stopped.")
    ] = False,
) -> None:
    """Show which locks this machine hears. Nothing is connected to.

    On a terminal a table that goes on until Ctrl-C, elsewhere a line for whatever is new.

    Exit status: 0 a lock was heard, 1 none was, 2 it could not be listened (the reason says what
    to do).
    """
    from bleagent import logs  # noqa: PLC0415 - the Bluetooth stack, only here
    from bleagent.commands import scan as scanning  # noqa: PLC0415
    from bleagent.errors import AgentError  # noqa: PLC0415

    if follow and not as_json:
        print("bleagent scan: --follow goes with --json", file=sys.stderr)
        raise typer.Exit(UNUSABLE)
    logs.set_up("warning")
    if seconds is None and not follow and (as_json or not sys.stdout.isatty()):
        seconds = scanning.SECONDS
    options = scanning.ScanOptions(
        seconds=seconds, adapter=adapter, config=config, as_json=as_json, follow=follow
    )
    try:
        heard = anyio.run(scanning.run, options)
    except AgentError as error:
        print(f"bleagent scan: {error}\n{error.advice}", file=sys.stderr)
        raise typer.Exit(UNUSABLE) from None
    raise typer.Exit(0 if heard else UNREADABLE)


@app.command()
def forget(
    lock: Annotated[str, typer.Argument(help="The lock's name in the configuration.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The daemon's configuration.")],
) -> None:
    """Let a lock be proven anew: after it was updated, replaced or bound again.

    The daemon pins what a lock was when it first took our key (protocol, security, identity), and
    operates nothing else in its place. To be run while the daemon is stopped.

    Exit status: 0 done, 2 not (the reason says what to do).
    """
    from bleagent import maintenance  # noqa: PLC0415 - the store, only here
    from bleagent.errors import AgentError  # noqa: PLC0415

    try:
        known = anyio.run(maintenance.forget, config, lock)
    except AgentError as error:
        print(f"bleagent forget: {error}\n{error.advice}", file=sys.stderr)
        raise typer.Exit(UNUSABLE) from None
    print(f"{lock} will be proven anew" if known else f"nothing was remembered of {lock}")


def _decode_packets(
    packets: list[str], keys: Path | None, local_key: str | None, *, as_json: bool
) -> NoReturn:
    try:
        if keys is not None:
            found = read_keys(_text(str(keys)), str(keys))
        elif local_key is not None:
            _tell("warning: a key on a command line is seen by others; --keys FILE is safer")
            found = read_keys(json.dumps({"local_key": local_key}), "--local-key")
        else:
            _unusable("pasted packets need --keys FILE")
        seen = observe_packets(packets, found)
    except DecodeError as error:
        _unusable(str(error))
    _show(seen, {}, as_json=as_json)
    _leave(seen, failed=False)


def _rekey(capture: Capture, output: Path | None, *, keep_unknown: bool) -> NoReturn:
    try:
        copy = rekey_capture(
            capture,
            new_iv=lambda: secrets.token_bytes(16),
            dpmap=DpMap.default(LockGeneration.V3_3),
            keep_unknown=keep_unknown,
        )
    except RekeyError as error:
        _unusable(f"cannot be made safe to share: {error}")
    for dropped in copy.dropped:
        _tell(f"left out: {dropped}")
    text = format_capture(copy.capture)
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text)
        except OSError as error:
            _unusable(f"{output} cannot be written: {error.strerror}")
    raise typer.Exit(0)


def _show(seen: list[Observation], times: dict[int, float], *, as_json: bool) -> None:
    if as_json:
        _tell("`data` is not masked: keys, codes and PINs may be in it")
    for one in seen:
        print(json.dumps(to_json(one, times)) if as_json else to_text(one, times))


def _leave(seen: list[Observation], *, failed: bool) -> NoReturn:
    unread = sum(not isinstance(one, Seen) for one in seen)
    if unread:
        _tell(f"{unread} of {len(seen)} could not be read")
    raise typer.Exit(UNREADABLE if unread or failed else 0)


def _capture(name: str) -> Capture:
    try:
        return parse_capture(_text(name))
    except CaptureError as error:
        _unusable(f"{name}, {error}")


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        _unusable(f"{name} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        _unusable(f"{name} is not text")


def _unusable(why: str) -> NoReturn:
    _tell(why)
    raise typer.Exit(UNUSABLE)


def _tell(text: str) -> None:
    print(f"bleagent decode: {text}", file=sys.stderr)
