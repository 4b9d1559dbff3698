"""``bleagent cloud``: the vendor's APIs, what each does, and how to call one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bleagent.cloud import described
from bleagent.cloud.catalogue import CATALOGUE, Api, Group, LockKind
from bleagent.errors import AgentError
from protocol import Secret

if TYPE_CHECKING:
    from bleagent.cloud.settings import CloudSettings

REFUSED = 1
UNUSABLE = 2
_CELL = 60
PIN = "pin"
_SEALED = {"password": "0" * 32, "ticket_id": "0", "password_type": "ticket"}
"""Stands for a PIN and its ticket until there is one."""

cloud_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The APIs of the vendor's cloud, by the names of its documents. The daemon is not asked.",
)


def _names(incomplete: str) -> list[str]:
    return sorted({api.name for api in CATALOGUE if api.name.startswith(incomplete)})


def _keys(context: typer.Context, incomplete: str) -> list[str]:
    """What the API takes whose name stands before."""
    api = next((api for api in reversed(CATALOGUE) if api.name == context.params.get("name")), None)
    keys = [] if api is None else [f"{one.name}=" for one in api.takes]
    if api is not None and _takes_pin(api):
        keys.append(f"{PIN}=")
    return [key for key in keys if key.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Such as doorLock.listRecords.", autocompletion=_names),
]
Version = Annotated[
    str | None, typer.Option("--api-version", help="Of an API that has several; else the newest.")
]


@cloud_app.command(name="list")
def show(
    *,
    group: Annotated[
        Group | None, typer.Option("--group", "-g", help="Only these.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the table in the README.", hidden=True)
    ] = False,
) -> None:
    """Show all of them: what each does, and by which transports it goes."""
    apis = [api for api in CATALOGUE if group in (None, api.group)]
    if as_json:
        for api in apis:
            typer.echo(json.dumps(described.to_json(api)))
        return
    rows: list[tuple[str, ...]] = [
        ("name", "group", "goes by", "what it does"),
        *((api.key, api.group.value, ", ".join(api.ways), api.purpose) for api in apis),
    ]
    for line in _markdown(rows) if markdown else _table(rows):
        typer.echo(line)


@cloud_app.command()
def describe(name: Name, *, version: Version = None, as_json: Annotated[
    bool, typer.Option("--json", help="As JSON.")
] = False) -> None:  # fmt: skip
    """Say what one takes and answers, for which locks, and what its documents leave open."""
    api = _known(name, version)
    if as_json:
        typer.echo(json.dumps(described.to_json(api)))
        return
    typer.echo(f"{api.key}: {api.purpose}")
    for title, text in described.facts(api):
        typer.echo(f"  {title:<10}{text}")
    for title, several in (("takes", api.takes), ("answers", (api.gives,) if api.gives else ())):
        typer.echo(f"  {title}" + ("" if several else "   nothing"))
        for line in described.field_lines(several, 4, given=title == "takes"):
            typer.echo(line)


@cloud_app.command()
def call(  # noqa: PLR0913 -- options
    name: Name,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Parameters; lists and objects as JSON. KEY=@FILE reads a file, @- the input: "
            "what stands on a command line is seen by others. pin=@- encrypts the digits of a new "
            "password with a ticket of its own.",
            show_default=False,
            autocompletion=_keys,
        ),
    ] = None,
    *,
    config: Annotated[
        Path,
        typer.Option(
            "--config", "-c", help="The daemon's configuration, for its section \\[cloud]."
        ),
    ],
    version: Version = None,
    lock_kind: Annotated[
        LockKind, typer.Option("--lock-kind", help="What kind of lock it is about.")
    ] = LockKind.BLUETOOTH,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the request and send nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Do not mask keys and passwords in the answer.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Needed for what may move a bolt at once.")
    ] = False,
) -> None:
    """Call one, and show its answer with the secrets masked.

    Exit status: 0 done, 1 the cloud said no or could not be asked, 2 nothing was sent, for the
    reason that is told.
    """
    from bleagent.cloud import shown  # noqa: PLC0415 - what only this needs
    from bleagent.cloud.arguments import write  # noqa: PLC0415
    from bleagent.cloud.catalogued import check_way  # noqa: PLC0415

    api = _known(name, version)
    given = dict(_argument(api, one) for one in arguments or ())
    pin = given.pop(PIN, None) if _takes_pin(api) else None
    if api.moves and not (yes or dry_run):
        _unusable(f"{api.name} may move a bolt at once; say --yes where that is meant")
    try:
        settings = _settings(config)
        check_way(api, settings)
        params = write(api, given | (_SEALED if pin else {}), lock_kind)
        if dry_run:
            _print_request(shown.request(api, params, settings), as_json=as_json)
            return
        answer = _ask(settings, api, given, lock_kind, pin)
    except AgentError as error:
        _fail(error)
    shown_answer = shown.plain(answer) if show_secrets else shown.result(api, answer)
    if as_json:
        typer.echo(json.dumps(shown_answer, ensure_ascii=False))
        return
    for line in _lines(shown_answer):
        typer.echo(line)


# -- asking


def _settings(config: Path) -> CloudSettings:
    from bleagent.config import load_config  # noqa: PLC0415 - pydantic, only here
    from bleagent.config.secrets import (  # noqa: PLC0415
        cloud_settings,
        credentials_directory,
        load_cloud_secret,
    )

    loaded = load_config(config)
    return cloud_settings(loaded, load_cloud_secret(loaded, credentials_directory()))


def _takes_pin(api: Api) -> bool:
    """Whether it takes digits that are encrypted with a ticket."""
    return {"password", "ticket_id"} <= {one.name for one in api.takes}


def _ask(
    settings: CloudSettings, api: Api, given: dict[str, Any], lock: LockKind, pin: str | None
) -> Any:
    import anyio  # noqa: PLC0415 - what only this needs

    from bleagent.adapters.httpx_transport import HttpxTransport  # noqa: PLC0415
    from bleagent.clock import SystemClock  # noqa: PLC0415
    from bleagent.cloud.client import CloudClient  # noqa: PLC0415
    from bleagent.cloud.passwords import with_ticket  # noqa: PLC0415

    async def ask() -> Any:
        async with HttpxTransport() as http:
            client = CloudClient(settings, http, SystemClock())
            if pin is not None:
                device_id, secret = str(given.get("device_id", "")), settings.secret
                sealed = await with_ticket(
                    client, secret, device_id=device_id, pin=Secret(pin), lock=lock
                )
                given.update(sealed)
            version = api.version or None
            return await client.call(api.name, version=version, for_lock=lock, **given)

    return anyio.run(ask)


def _argument(api: Api, text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        _unusable(f"found {key!r}, expected KEY=VALUE, such as device_id=...")
    if value.startswith("@"):
        try:
            source = value.removeprefix("@")
            value = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            _unusable(f"{key}: {value} cannot be read: {error}")
        value = value.removesuffix("\n")
    elif key == PIN or any(one.secret and key in (one.name, *one.also) for one in api.takes):
        _tell(f"warning: {key} on a command line is seen by others; {key}=@FILE is safer")
    return key, value


def _known(name: str, version: str | None) -> Api:
    from bleagent.cloud.catalogued import known  # noqa: PLC0415
    from bleagent.cloud.errors import InvalidArgument  # noqa: PLC0415

    try:
        return known(name, version)
    except InvalidArgument as error:
        _unusable(f"{error}; `bleagent cloud list` shows all")


def _fail(error: AgentError) -> NoReturn:
    """Nothing was sent where the cloud has no word in it, nor could have."""
    from bleagent.cloud.errors import InvalidArgument, NotSupported  # noqa: PLC0415
    from bleagent.errors import CloudError  # noqa: PLC0415

    local = isinstance(error, InvalidArgument | NotSupported) and error.cloud_code is None
    for line in f"{error}\n{error.advice}".splitlines():
        _tell(_printable(line))
    asked = isinstance(error, CloudError) and not local
    raise typer.Exit(REFUSED if asked else UNUSABLE) from None


# -- words


def _print_request(request: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(request, ensure_ascii=False))
        return
    typer.echo(f"{request['method']} {request['url']}")
    typer.echo(f"signed: {request['signed']}")
    if request["body"] is not None:
        typer.echo(json.dumps(request["body"], ensure_ascii=False, indent=1))
    _tell("nothing was sent")


def _lines(value: Any) -> Iterator[str]:
    """A result for people: rows as a table, an object a line for each of its parts."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if _is_table(inner):
                yield f"{_printable(name)}:"
                yield from _rows(inner)
            else:
                yield f"{_printable(name)}: {_cell(inner)}"
    elif _is_table(value):
        yield from _rows(value)
    else:
        yield _cell(value)


def _is_table(value: Any) -> bool:
    """Whether it is a list of objects that have something in them."""
    return isinstance(value, list) and any(value) and all(isinstance(one, dict) for one in value)


def _rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    titles = list(dict.fromkeys(name for row in rows for name in row))
    shown = [tuple(_cell(row.get(name))[:_CELL] for name in titles) for row in rows]
    yield from _table([tuple(map(_printable, titles)), *shown])


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    *sizes, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for *cells, last in rows:
        padded = [cell.ljust(size) for cell, size in zip(cells, sizes, strict=True)]
        yield "  ".join([*padded, last]).rstrip()


def _markdown(rows: list[tuple[str, ...]]) -> Iterator[str]:
    title, *rest = rows
    yield f"| {' | '.join(title)} |"
    yield f"|{'---|' * len(title)}"
    for name, *cells in rest:
        yield f"| `{name}` | {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _printable(text)


def _printable(text: str) -> str:
    from bleagent.cloud.fields import printable  # noqa: PLC0415

    return printable(text, len(text))


def _tell(text: str) -> None:
    typer.echo(f"bleagent cloud: {text}", err=True)


def _unusable(why: str) -> NoReturn:
    _tell(_printable(why))
    raise typer.Exit(UNUSABLE)
