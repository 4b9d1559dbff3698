"""The text of a configuration: a new one, or more in one that is there. Pure.

Whatever stands in a text already, comments and order and spacing, stays byte for byte: one value
in its line is replaced, sections are added at the end. What comes out is read again and has to
mean exactly what was asked for.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .faults import InitError

Fields = Mapping[str, Any]

HEAD = """\
# The configuration of bleagent, written by `bleagent init`. It is yours to edit: run again, init
# adds locks and keeps every other line. Every key with its default: config.example.toml, in the
# sources' systemd/ or the package's /usr/share/doc/bleagent/examples/.
# No secret stands in here, only where it is.
"""


def source(name: str, secrets: Path | None) -> dict[str, str]:
    """Where a secret is: a credential, or a file in the folder of the secrets."""
    return {"credential": name} if secrets is None else {"file": str(secrets / name)}


def new_config(
    *,
    cloud: Fields,
    locks: Sequence[Fields],
    users: Sequence[str],
    state_dir: Path | None,
    secrets: Path | None,
    virtual_lock: str | None = None,
) -> str:
    """A whole one. Without ``state_dir`` and ``secrets`` it is the service's."""
    service = state_dir is None
    http: dict[str, Any] = {"socket": "/run/bleagent/http.sock"} if service else {}
    http["token"] = source("http-token", secrets)
    parts = [HEAD]
    if state_dir is not None:
        parts.append(_lines({"state_dir": str(state_dir)}))
    at = "/run/bleagent/http.sock" if service else f"{state_dir}/http.sock"
    parts.append(f"# Programs ask at {at}. For TCP, add port = 8580.\n[http]\n{_lines(http)}")
    if users:
        parts.append("# Programs of these users need no token there, and may do everything.\n")
        parts[-1] += "\n".join(_section("http.users", {"user": user}) for user in users)
    parts.append(f"[cloud]\n{_lines(cloud)}")
    if virtual_lock is not None:
        parts.append(
            f"# A virtual lock instead of Bluetooth.\n[radio]\nsocket = {_value(virtual_lock)}\n"
        )
    parts.append(
        "# What the locks recorded is carried to the cloud.\n"
        + _section("sinks", {"type": "openapi"})
    )
    parts += [_section("locks", lock) for lock in locks]
    return "\n".join(parts)


class Document:
    """A text that is there, edited without touching the rest of it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._meant: dict[str, Any] = tomllib.loads(text)
        self._told: list[str] = []

    def set(self, section: str, key: str, value: str) -> None:
        """Replace the text of one key, or add the key."""
        table = self._meant.setdefault(section, {})
        if table.get(key) == value:
            return
        table[key] = value
        self._told.append(f'{key} = "{value}" in [{section}]')
        self._text = _with_value(self._text, section, key, value)

    def add(self, section: str, fields: Fields) -> None:
        """Add a section to an array of them."""
        table, _, name = section.rpartition(".")
        inside = self._meant.setdefault(table, {}) if table else self._meant
        inside.setdefault(name, []).append(dict(fields))
        self._told.append(f"a section [[{section}]]")
        self._text = added(self._text, _section(section, fields))

    @property
    def text(self) -> str:
        """The outcome.

        Raises:
            InitError: it cannot be had without writing the file anew, which is the owner's to do.
        """
        try:
            if tomllib.loads(self._text) == self._meant:
                return self._text
        except tomllib.TOMLDecodeError:
            pass
        raise InitError(
            "a configuration that is written in a way that cannot be added to",
            "plain sections such as [cloud] and [[locks]]",
            f"put in by hand: {', '.join(self._told)}; then run this again",
        )


def added(text: str, more: str) -> str:
    """Something more at the end, after a blank line."""
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{more}"


def _section(name: str, fields: Fields) -> str:
    return f"[[{name}]]\n{_lines(fields)}"


def _lines(fields: Fields) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in fields.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_value(one)}' for key, one in value.items())} }}"
    # JSON's texts, booleans and numbers are TOML's, but for one sign.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _with_value(text: str, section: str, key: str, value: str) -> str:
    header = re.search(rf"(?m)^[ \t]*\[{re.escape(section)}\][^\n]*(\n|\Z)", text)
    if header is None:
        return added(text, f"[{section}]\n{_lines({key: value})}")
    end = re.compile(r"(?m)^[ \t]*\[").search(text, header.end())
    stop = len(text) if end is None else end.start()
    inside = text[header.end() : stop]
    line = re.compile(rf'(?m)^([ \t]*{re.escape(key)}[ \t]*=[ \t]*)("[^"\n]*"|\'[^\'\n]*\')')
    changed, times = line.subn(lambda found: found[1] + _value(value), inside, count=1)
    if not times:
        gap = "" if header[0].endswith("\n") else "\n"
        changed = f"{gap}{_lines({key: value})}{inside}"
    return text[: header.end()] + changed + text[stop:]
