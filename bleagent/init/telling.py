"""What is said at the end: what is written where, and the commands that come next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote

from bleagent.config.http import HttpUser

from .drop_in import credentials_in
from .machine import Prepared
from .places import Place

SEALED_ELSEWHERE = (
    "The encrypted credentials here cannot be read: they were made on another machine, or are "
    "damaged. They are replaced, the token for programs too."
)
DOOR = '-X POST -H "Idempotency-Key: $(openssl rand -hex 16)"'


def of_changes(prepared: Prepared) -> Iterator[str]:
    """A line for each file; what would be replaced is called so."""
    for change in prepared.changes:
        what = "new     " if change.new else "replaced"
        yield f"{what}  {change.path}  ({change.told})"
    for path in prepared.kept:
        yield f"kept      {path}"
    if prepared.plain is not None:
        yield f"Secrets are plain, of mode 0600: systemd-creds does not work ({prepared.plain})"


def of_next(place: Place, prepared: Prepared, drop_in: str) -> Iterator[str]:
    """The commands that start it, open a door, and look at it."""
    config = prepared.config
    lock = config.locks[0].name
    socket = quote(str(config.http.socket or config.state_dir / "http.sock"))
    file = quote(str(place.config))
    if place.is_service and prepared.changes:
        yield "Start it (as root):"
        yield "  systemctl daemon-reload && systemctl enable --now bleagent.socket bleagent.service"
        if _again(prepared):
            yield "  systemctl restart bleagent.service    # if it runs already"
        for user in config.http.users:
            if user.user not in (None, "root"):
                yield f"  usermod -aG bleagent {quote(user.user)}    # and sign in anew"
    elif not place.is_service:
        yield "Start it:"
        yield f"  bleagent run --config {file}"
    yield f"Open a door{_as_whom(config.http.users)}:"
    url = f"http://localhost/v1/locks/{lock}/unlock"
    if config.http.users:
        yield f"  curl --unix-socket {socket} {DOOR} {url}"
        if place.is_service:
            yield "  curl (7): not in the group yet, sign in anew; or the socket is not started"
    else:
        token = _token(place, config.http.token.credential, config.http.token.file, drop_in)
        yield f"  {{ printf 'Authorization: Bearer '; {token}; }} | \\"
        yield f"      curl -H @- --unix-socket {socket} {DOOR} {url}"
    yield f"If it does not open{' (as root)' if place.is_service else ''}:"
    as_agent = "cd / && runuser -u bleagent -- " if place.is_service else ""
    yield f"  {as_agent}bleagent doctor --config {file}"
    key = config.state_dir / "vault.key"
    if config.vault.key is None:
        yield f"After the first start, keep a copy of {key} elsewhere."


def _again(prepared: Prepared) -> bool:
    changed = bool(prepared.changes)
    return changed and (bool(prepared.kept) or any(not one.new for one in prepared.changes))


def _as_whom(users: Iterable[HttpUser]) -> str:
    names = [one.user for one in users if one.user is not None]
    return f" (as {' or '.join(names)})" if names else ""


def _token(place: Place, name: str | None, file: Path | None, drop_in: str) -> str:
    """The command that prints the token to a pipe, and to nobody's list of processes."""
    if name is None or (known := credentials_in(drop_in).get(name)) is None:
        return f"cat {quote(str(file or place.secrets / str(name)))}"
    if known.encrypted:
        return f"systemd-creds decrypt --name={name} {quote(str(known.path))} -"
    return f"cat {quote(str(known.path))}"
