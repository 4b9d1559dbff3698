"""A gateway's files below a folder, a systemd-creds that can be read, and locks of an account."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from bleagent.cloud.models import DeviceFacts
from bleagent.cloud.settings import CloudSettings
from bleagent.init import files, places
from bleagent.init.locks import Candidate
from bleagent.init.machine import Machine, Prepared
from bleagent.init.plan import Answers
from bleagent.init.sealing import SystemdCreds
from protocol import Secret

SECRET, LOCAL_KEY = "CANARYcloudsecret00", "CANARYlocalkey01"
FRONT = DeviceFacts(
    device_id="device-front", uuid="tuya0123456789ab", local_key=Secret(LOCAL_KEY),
    category="jtmspro", name="Front door", online=True,
)  # fmt: skip
BACK = replace(
    FRONT, device_id="device-back", uuid="tuya0123456789ac", name="Back", sec_key=Secret("s" * 16)
)
# Writes down how it was called: a secret has no business there.
CREDS = """\
#!{python}
import sys, pathlib
pathlib.Path({log!r}).open("a").write(" ".join(sys.argv[1:]) + "\\n")
what, name, *_ = sys.argv[1:]
given = sys.stdin.buffer.read()
if what == "encrypt":
    sys.stdout.write(f"{{name}} {{given[::-1].hex()}}\\n")
else:
    told, text = given.decode().split()
    sys.exit("another name") if told != name else sys.stdout.buffer.write(bytes.fromhex(text)[::-1])
"""


def creds(folder: Path) -> SystemdCreds:
    """One that is there; its calls are in `creds.log`."""
    program = folder / "systemd-creds"
    program.write_text(CREDS.format(python=sys.executable, log=str(folder / "creds.log")))
    program.chmod(0o755)
    return SystemdCreds(str(program))


def service(folder: Path, sealing: SystemdCreds | None = None) -> Machine:
    """The service's places; each token that is drawn is another one."""
    drawn = count(1)
    return Machine(
        places.of_service(folder), sealing, lambda: Secret(f"CANARY-token-0123456789-{next(drawn)}")
    )


def answers(
    *devices: DeviceFacts, secret: str = SECRET, configured: str = "", user: str | None = "root"
) -> Answers:
    """Of a project with these locks; some are in the configuration already."""
    return Answers(
        cloud=CloudSettings(
            base_url="https://cloud.example", client_id="client", secret=Secret(secret)
        ),
        locks=[
            Candidate(device=one, name=name, configured=name in configured.split())
            for one, name in zip(devices or (FRONT,), ("front", "back"), strict=False)
        ],
        users=[] if user is None else [user],
    )


def written(machine: Machine, said: Answers) -> Prepared:
    """What is prepared, written."""
    prepared = machine.prepare(said)
    files.write(prepared.changes)
    return prepared


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and mode of every file."""
    return {str(one.relative_to(folder)): _look(one) for one in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (one for one in folder.rglob("*") if one.is_file())


def _look(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), path.stat().st_mode & 0o777
