"""This machine, for ``bleagent doctor``: its files, its programs, its Bluetooth stack."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

from bleagent.adapters.bluez.faults import BusDenied
from bleagent.adapters.bluez.stack import BluezStack
from bleagent.errors import LinkError, RadioUnavailable

from .check import Report
from .machine import Machine, Stack, examine

RUN_TIMEOUT = 5.0
"""Seconds for a program that only prints something."""
MAX_TEXT = 1 << 20
"""Characters of a file that are read."""


async def look() -> Report:
    """Examine this machine; bounded, raises nothing on account of what it finds."""
    return examine(Machine(stack=await _stack(), user=_user(), read=_read, names=_names, run=run))


async def _stack() -> Stack:
    stack = BluezStack()
    try:
        found = await stack.adapters()
    except BusDenied as fault:
        return Stack(fault=fault, denied=True)
    except RadioUnavailable as fault:
        return Stack(fault=fault)
    except LinkError as error:
        return Stack(fault=RadioUnavailable(str(error)))
    finally:
        await stack.aclose()
    return Stack(
        adapters=tuple(one.info for one in found),
        version=next((one.version for one in found if one.version is not None), None),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return str(os.getuid())


def _read(path: str) -> str | None:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_TEXT)
    except OSError:
        return None


def _names(path: str) -> list[str]:
    try:
        return [one.name for one in Path(path).iterdir()]
    except OSError:
        return []


def run(command: tuple[str, ...]) -> str | None:
    """What it prints; ``None`` if there is no such program, it failed, or it took too long."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands of ours
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=RUN_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
