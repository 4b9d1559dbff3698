"""This machine, for ``bleagent support-bundle``: what there is to be told of it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bleagent import __version__
from bleagent.commands.daemon_client import DaemonClient, find_daemon
from bleagent.config import Config, load_config
from bleagent.config.secrets import DEFAULT_KEY, service_credentials
from bleagent.config.shown import identities, secret_places, shown
from bleagent.doctor.machine_look import look, run
from bleagent.errors import AgentError, ConfigError, SecretError
from bleagent.vault import read_secret
from protocol import Secret

from .contents import HEADER, Part, as_json, cleaned, database
from .redaction import Redaction

LINES = 2000
"""Of the journal, the newest."""
UNIT = "bleagent.service"
DATABASES = ("operations", "records", "audit", "webhooks", "passwords")
LIBRARIES = ("anyio", "bleak", "dbus-fast", "fastapi", "httpx", "pydantic", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whose bundle it is to be, as ``daemon_client.find_daemon`` wants it."""

    config: Path
    url: str | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What would be written; ``unread`` are secrets that nobody could look for."""

    parts: list[Part]
    unread: list[str] = field(default_factory=list)


async def collect(
    asked: Asked, *, command: Callable[[tuple[str, ...]], str | None] = run
) -> Bundle:
    """Look at everything, and clean it. Raises ConfigError where it is not this user's to read."""
    config: Config | None = None
    try:
        config = load_config(asked.config)
        described = as_json(shown(config))
    except ConfigError as error:
        if not asked.config.is_file():
            raise
        described = as_json({"wrong": str(error).splitlines()})
    secrets, unread = _secrets(config)
    parts = [
        Part(name="version.json", text=as_json(_versions(command))),
        Part(name="configuration.json", text=described),
        Part(name="doctor.json", text=as_json((await look()).to_json())),
        Part(name="status.json", text=as_json(_status(asked))),
        Part(name="store.json", text=as_json(_store(config))),
        Part(name="journal.txt", text=_journal(command)),
    ]
    redaction = Redaction(secrets, {} if config is None else identities(config))
    known = config is not None and not unread
    return Bundle(parts=cleaned(parts, redaction, all_known=known), unread=unread)


def _versions(command: Callable[[tuple[str, ...]], str | None]) -> dict[str, Any]:
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return {
        "bleagent": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "systemd": (command(("systemctl", "--version")) or "").partition("\n")[0],
        "libraries": found,
    }


def _secrets(config: Config | None) -> tuple[Mapping[str, Secret], list[str]]:
    """Those that can be read, and the names of the others."""
    found: dict[str, Secret] = {}
    unread: list[str] = []
    if config is None:
        return found, unread
    folder = service_credentials()
    for name, source in secret_places(config):
        try:
            found[name] = source.read(folder)
        except SecretError:
            unread.append(name)
    if config.vault.key is None and (path := config.state_dir / DEFAULT_KEY).exists():
        try:
            found["vault.key"] = read_secret(path)
        except SecretError:
            unread.append("vault.key")
    return found, unread


def _status(asked: Asked) -> dict[str, Any]:
    try:
        with DaemonClient(find_daemon(asked.config, asked.url, asked.token_file)) as client:
            return {**client.readiness(), **client.locks()}
    except AgentError as error:
        return {"asked": False, "code": error.code, "detail": str(error)}


def _store(config: Config | None) -> dict[str, Any]:
    if config is None:
        return {}
    found: dict[str, Any] = {}
    for name in DATABASES:
        path = config.state_dir / f"{name}.db"
        try:
            with path.open("rb") as file:
                found[name] = database(file.read(HEADER), path.stat().st_size)
        except OSError as error:
            found[name] = {"unread": error.strerror}
    return found


def _journal(command: Callable[[tuple[str, ...]], str | None]) -> str:
    said = command(
        (
            "journalctl",
            f"--unit={UNIT}",
            f"--lines={LINES}",
            "--output=short-iso",
            "--no-hostname",
            "--no-pager",
        )
    )
    return (
        "not to be read here (journalctl; root or the group systemd-journal)"
        if said is None
        else said
    )
