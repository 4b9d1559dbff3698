"""A virtual cloud for rehearsals at a desk: for ``bleagent cloud``, or anybody's client.

    bleagent simulate cloud --write cloud
    bleagent cloud call doorLock.listUsers device_id=bftest0virtual0lock000 -c cloud/config.toml

Has one lock (the one of ``simulate lock``), a member and a card that nobody owns. Prints a line
for each call, without its parameters. Runs until it is interrupted.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from protocol import LocalProtocolError, LockKeys, Secret

from .cloud_actions import CloudLock, RandomCheck
from .cloud_quirks import CloudQuirk
from .cloud_records import CloudCredential, CloudUser
from .stdio import TEST_KEYS, check_code
from .virtual_cloud import ActionAuth, Envelope, LoggedCall, VirtualCloud

_OURS = "# Written by `bleagent simulate cloud`, and written anew by it."
DEFAULT_CODE = "0005:52777950"
_FINGER = CloudCredential(dp_code="unlock_fingerprint", unlock_sn=3, unlock_name="Thumb", dp_id=12)
_CARD = CloudCredential(dp_code="unlock_card", unlock_sn=7, unlock_name="Card", dp_id=15)


def main(given: Sequence[str] | None = None) -> None:
    """Serve. A mistake in the options ends with 2 (SystemExit)."""
    parser = _parser()
    options = parser.parse_args(given)
    try:
        cloud = furnished(options)
    except LocalProtocolError as error:
        parser.error(f"--uuid, --device-id or --local-key: {error}")
    try:
        anyio.run(_serve, cloud, options)
    except OSError as error:
        parser.error(f"{error.filename or f'port {options.port}'}: {error.strerror}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bleagent simulate cloud",
        description="A virtual cloud on a loopback port, with all APIs of the vendor's documents.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--port", type=int, help="default: any free one")
    add("--write", type=Path, metavar="DIRECTORY",
        help="write config.toml and its secrets there, for `bleagent cloud call -c`")  # fmt: skip
    add("--envelope", choices=[str(one) for one in Envelope], default=str(Envelope.OPENAPI),
        help="in which wrapping actions are answered; default openapi")  # fmt: skip
    add("--auth", choices=[str(one) for one in ActionAuth], default=str(ActionAuth.FAAS),
        help="how actions have to be signed; default faas")  # fmt: skip
    add("--quirk", action="append", choices=[str(one) for one in CloudQuirk], default=[],
        help="how it contradicts its own documents; several times")  # fmt: skip
    add("--zigbee", action="store_true",
        help="its lock is a Zigbee one, which opens with a password from afar")  # fmt: skip
    for name in ("device_id", "uuid", "local_key"):
        add(f"--{name.replace('_', '-')}", default=TEST_KEYS[name], help="of its lock")
    add("--check-code", type=check_code, default=DEFAULT_CODE, metavar="PERIPHERAL:CODE",
        help=f"of its lock; default {DEFAULT_CODE}")  # fmt: skip
    return parser


def furnished(options: argparse.Namespace) -> VirtualCloud:
    """The cloud that the options describe.

    Raises:
        LocalProtocolError: a key or id of another form than locks have.
    """
    peripheral, code = options.check_code
    keys = LockKeys(
        uuid=options.uuid, virtual_id=options.device_id, local_key=Secret(options.local_key)
    )
    cloud = VirtualCloud(
        envelope=Envelope(options.envelope),
        action_auth=ActionAuth(options.auth),
        random_check=RandomCheck.ISSUED_CODE,
        quirks=[CloudQuirk(one) for one in options.quirk],
        tell=_tell,
    )
    cloud.register(
        CloudLock(device_id=options.device_id, keys=keys, code=Secret(code), peripheral=peripheral)
    )
    if options.zigbee:
        cloud.members.zigbee.add(options.device_id)
    james = CloudUser(user_id="2887", nick_name="James", credentials=(_FINGER,))
    cloud.records.users[options.device_id] = [james]
    cloud.members.unallocated[options.device_id] = [_CARD]
    return cloud


async def _serve(cloud: VirtualCloud, options: argparse.Namespace) -> None:
    async with cloud.serve(port=options.port or 0) as base_url:
        section = _section(cloud, base_url, options)
        if options.write is None:
            _say(f"{section}# the secret is {cloud.secret.reveal().decode()}, and published")
        else:
            _say(f"config = {json.dumps(str(_write(options, cloud, section)))}")
        await anyio.sleep_forever()


def _section(cloud: VirtualCloud, base_url: str, options: argparse.Namespace) -> str:
    return (
        f'[cloud]\nbase_url = "{base_url}"\npanel_url = "{base_url}/panel"\n'
        f'client_id = "{cloud.client_id}"\nsigner = "{options.auth}"\n'
    )


def _write(options: argparse.Namespace, cloud: VirtualCloud, section: str) -> Path:
    """A whole configuration, with this lock; its secrets beside it."""
    folder = options.write.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config: Path = folder / "config.toml"
    if config.exists() and not config.read_text(encoding="utf-8").startswith(_OURS):
        raise FileExistsError(errno.EEXIST, "it is not one of a simulated cloud", str(config))
    named: dict[str, str] = {}
    secrets = {
        "cloud-secret": cloud.secret.reveal(),
        "local-key": options.local_key.encode(),
        "http-token": os.urandom(16).hex().encode(),
    }
    if (folder / "http-token").exists():  # somebody may have it in use
        secrets["http-token"] = (folder / "http-token").read_bytes().strip()
    for name, secret in secrets.items():
        (folder / name).touch(0o600)
        (folder / name).write_bytes(secret + b"\n")
        named[name] = f"{{ file = {json.dumps(str(folder / name))} }}"
    config.write_text(
        f"{_OURS}\n\nstate_dir = {json.dumps(str(folder / 'state'))}\n\n"
        f"[http]\ntoken = {named['http-token']}\n\n{section}secret = {named['cloud-secret']}\n\n"
        f'[[locks]]\nname = "desk"\ndevice_id = "{options.device_id}"\nuuid = "{options.uuid}"\n'
        f"local_key = {named['local-key']}\n",
        encoding="utf-8",
    )
    return config


def _tell(call: LoggedCall) -> None:
    _say(f"{call.action} {call.ending}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
