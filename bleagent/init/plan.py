"""From answers to what is to be where. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bleagent.cloud.settings import CloudSettings
from bleagent.config import Config
from bleagent.config.secret_source import SecretSource
from protocol import Secret

from . import text
from .drop_in import Credential, credentials_in
from .faults import InitError
from .locks import Candidate, is_key
from .places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is to be: ``cloud`` with its secret, and every lock that is wanted."""

    cloud: CloudSettings
    locks: Sequence[Candidate]
    users: Sequence[str] = ()
    """Names of this machine's users whose programs need no token."""
    virtual_lock: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A secret that the configuration points to. ``value`` ``None``: any will do, once made."""

    what: str
    source: SecretSource
    value: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where a secret is kept. ``encrypted`` ``None``: as the machine can.

    ``line``: the drop-in does not hand it over yet.
    """

    path: Path
    credential: str | None = None
    encrypted: bool | None = False
    line: bool = False


def config_text(answers: Answers, place: Place, there: str | None, config: Config | None) -> str:
    """The configuration, new or with what it still lacks.

    Args:
        answers: what is to be.
        place: where.
        there: the text that is there.
        config: what that means.

    Raises:
        InitError: the text cannot be added to.
    """
    secrets = None if place.is_service else place.secrets
    if there is None or config is None:
        cloud = answers.cloud
        return text.new_config(
            cloud={
                "base_url": cloud.base_url,
                "client_id": cloud.client_id,
                "secret": text.source("cloud-secret", secrets),
            },
            locks=[one.fields(secrets) for one in answers.locks],
            users=answers.users,
            state_dir=None if place.is_service else place.config.parent / "state",
            secrets=secrets,
            virtual_lock=answers.virtual_lock,
        )
    document = text.Document(there)
    document.set("cloud", "base_url", answers.cloud.base_url)
    if answers.cloud.client_id:
        document.set("cloud", "client_id", answers.cloud.client_id)
    if answers.virtual_lock is not None:
        document.set("radio", "socket", answers.virtual_lock)
    named = {user.user for user in config.http.users}
    for user in answers.users:
        if user not in named:
            document.add("http.users", {"user": user})
    for lock in answers.locks:
        if not lock.configured:
            document.add("locks", lock.fields(secrets))
    return document.text


def wanted(config: Config, answers: Answers) -> Iterator[Wanted]:
    """The secrets that are known now, in the places that the configuration names."""
    yield Wanted(what="token for programs", source=config.http.token, value=None)
    if config.cloud.secret is not None:
        yield Wanted(what="cloud secret", source=config.cloud.secret, value=answers.cloud.secret)
    devices = {one.device.device_id: one.device for one in answers.locks if one.unusable is None}
    for lock in config.locks:
        device = devices.get(lock.device_id)
        if device is None:
            continue
        yield Wanted(
            what=f"local key of {lock.name}", source=lock.local_key, value=device.local_key
        )
        if lock.sec_key is not None and is_key(device.sec_key):
            yield Wanted(what=f"sec key of {lock.name}", source=lock.sec_key, value=device.sec_key)


def home(source: SecretSource, place: Place, drop_in: str) -> Home:
    """Where a secret is kept, or is to be.

    Raises:
        InitError: systemd hands it over, and this is not the service's configuration.
    """
    if source.file is not None:
        return Home(path=source.file)
    name = str(source.credential)
    if not place.is_service:
        raise InitError(
            f"credential {name} in {place.config}",
            "files of its own, for what systemd does not run",
            "leave --directory out, or write { file = ... } instead",
        )
    known: Mapping[str, Credential] = credentials_in(drop_in)
    if (line := known.get(name)) is not None:
        if not line.path.is_absolute():
            raise InitError(
                f"{line.line.strip()} in {place.drop_in}",
                "a whole path, or nothing about it",
                "put its path in, or take the line out; then run this again",
            )
        return Home(path=line.path, credential=name, encrypted=line.encrypted)
    return Home(path=place.secrets / name, credential=name, encrypted=None, line=True)


def new_line(found: Home, *, encrypted: bool) -> Credential:
    """The line that hands over a secret whose form is known now."""
    path = found.path.with_name(found.path.name + ".cred") if encrypted else found.path
    return Credential(name=str(found.credential), path=path, encrypted=encrypted)
