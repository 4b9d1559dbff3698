"""The configuration as it may be shown to others, and where its secrets are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from .file import Config
from .secret_source import SecretSource

PLAIN = frozenset(
    {
        "adapter", "adapters", "allowed_hosts", "broker", "codes", "events", "generation", "group",
        "host", "locks", "name", "protocol", "scopes", "socket", "socket_group", "type", "user",
    }
)  # fmt: skip
"""Keys whose texts are shown as they are; those of all others are masked, a new one's too."""
ORIGINS = frozenset({"action_url", "base_url", "panel_url"})
"""Keys of which the origin is shown; other addresses can have a secret in their path."""
IDENTITIES = frozenset({"address", "client_id", "device_id", "gateway_id", "uid", "uuid"})
"""Keys whose texts say whose lock it is. Their values are looked for elsewhere, too."""


def shown(config: Config) -> dict[str, Any]:
    """Every key; numbers, choices, paths and names as they are, other texts masked."""
    return {name: _shown(name, value) for name, value in config}


def secret_places(config: Config) -> Iterator[tuple[str, SecretSource]]:
    """Each secret that it points to, with what wants it, such as ``locks.front.local_key``."""
    yield from _places("", config)


def identities(config: Config) -> dict[str, str]:
    """Texts that say whose lock it is, by what they are."""
    found = {}
    for place, section in _sections("", config):
        for name, value in section:
            if name in IDENTITIES and isinstance(value, str):
                found[f"{place}{name}"] = value
    return found


def _shown(key: str, value: object) -> Any:
    match value:
        case SecretSource():
            return {"credential": value.credential} if value.file is None else _file(value.file)
        case BaseModel():
            return {name: _shown(name, one) for name, one in value}
        case Mapping():
            return {str(name): _shown(_of(key, name, one), one) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_shown(key, one) for one in value]
        case None | bool() | int() | float():
            return value
        case Enum() | Path():
            return str(value)
    text = str(value)
    if key in ORIGINS:
        parts = urlsplit(text)
        return f"{parts.scheme}://{parts.hostname}"
    return text if key in PLAIN else f"*** ({len(text)} characters)"


def _of(key: str, name: object, value: object) -> str:
    """A table of sections has keys of its own; one of texts is judged by its name."""
    return str(name) if isinstance(value, BaseModel) else key


def _file(path: Path) -> dict[str, str]:
    return {"file": str(path)}


def _places(at: str, value: object) -> Iterator[tuple[str, SecretSource]]:
    if isinstance(value, SecretSource):
        yield at, value
        return
    for name, one in _inside(value):
        yield from _places(f"{at}.{name}" if at else name, one)


def _sections(at: str, value: object) -> Iterator[tuple[str, BaseModel]]:
    if isinstance(value, BaseModel):
        yield at, value
    for name, one in _inside(value):
        yield from _sections(f"{at}{name}.", one)


def _inside(value: object) -> Iterator[tuple[str, object]]:
    match value:
        case BaseModel():
            yield from value
        case Mapping():
            yield from ((str(name), one) for name, one in value.items())
        case list() | tuple():
            for number, one in enumerate(value):
                yield str(getattr(one, "name", None) or number), one
