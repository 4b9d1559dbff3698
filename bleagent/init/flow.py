"""From the first question to the last file: asked, tried and shown before it is written."""

from __future__ import annotations

import getpass
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import typer
from pydantic import ValidationError

from bleagent.cloud.data_centres import DATA_CENTRES
from bleagent.cloud.settings import CloudSettings, Signer
from bleagent.config import Config
from bleagent.config.http import HttpUser
from bleagent.config.secrets import cloud_settings
from bleagent.doctor.site import SKEW
from bleagent.printable import printable
from protocol import Secret

from . import files, places, telling
from .asking import Asking, base_url, drop_typed, read_secret
from .cloud_said import ask_cloud
from .faults import InitError
from .locks import Candidate, candidates, named_ids, require_usable, shown
from .look import Account
from .machine import Machine, Prepared
from .plan import Answers
from .sealing import SystemdCreds

TRIES = 3
"""Times that somebody at a terminal may get the keys wrong."""
TOKEN_BYTES = 32
_NAME = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was said on the command line. ``users`` ``None``: nothing was."""

    data_centre: str | None = None
    client_id: str | None = None
    secret_file: Path | None = None
    locks: Sequence[str] = ()
    users: Sequence[str] | None = None
    listen: float = 0.0
    virtual_lock: str | None = None
    directory: Path | None = None
    root: Path | None = None
    plain: bool = False
    yes: bool = False


class Flow:
    """One run. ``written``: whether it has come so far."""

    def __init__(self, options: Options) -> None:
        self.written = False
        self._options = options
        self._asking = Asking(quiet=options.yes)
        self._place = _place(options)
        seals = self._place.is_service and self._place.is_this_machine and not options.plain
        self._machine = Machine(
            self._place, SystemdCreds() if seals else None,
            lambda: Secret(secrets.token_hex(TOKEN_BYTES)),
        )  # fmt: skip
        self._typed: Secret | None = None

    def run(self) -> None:
        """All of it.

        Raises:
            AgentError: it stopped; nothing was written.
        """
        names = named_ids(self._options.locks)
        _, config = self._machine.existing()
        if config is not None:
            typer.echo(f"{self._place.config} is there: it is added to, nothing of it is lost.")
            if self._machine.sealed_elsewhere(config.cloud.secret):
                _say(telling.SEALED_ELSEWHERE)
        settings, account = self._cloud(config, names)
        found = self._candidates(config, account, names)
        locks = self._locks(found, names, new=config is None)
        answers = Answers(
            cloud=settings,
            locks=[*(one for one in found if one.configured), *locks],
            users=self._users(config),
            virtual_lock=self._options.virtual_lock,
        )
        self._write(self._machine.prepare(answers))

    # -- the cloud

    def _cloud(self, config: Config | None, names: dict[str, str]) -> tuple[CloudSettings, Account]:
        """Its address and keys, tried; at a terminal again where they are wrong."""
        ids = [*names, *([lock.device_id for lock in config.locks] if config else ())]
        for tried in range(1, TRIES + 1):
            try:
                settings = self._settings(config)
                account = anyio.run(ask_cloud, settings, ids)
            except InitError as error:
                if self._asking.quiet or self._all_said or tried == TRIES:
                    raise
                _say(f"{error}\n{error.mend}")
                continue
            _say(f"The cloud at {settings.base_url} answers, and takes these keys.")
            self._tell(account)
            return settings, account
        raise AssertionError("the last try returns or raises")

    @property
    def _all_said(self) -> bool:
        """Whether asking again would ask nothing."""
        said = self._options
        return None not in (said.data_centre, said.client_id, said.secret_file)

    def _settings(self, config: Config | None) -> CloudSettings:
        options, ask = self._options, self._asking
        there = None if config is None else cloud_settings(
            config, self._machine.secret(config.cloud.secret)
        )  # fmt: skip
        if there is not None and there.signer is Signer.NONE:
            return there
        said = options.data_centre or ask.text(
            f"Data centre of your cloud project ({', '.join(DATA_CENTRES)}, or an address)",
            default=None if there is None else there.base_url, flag="--data-centre",
        )  # fmt: skip
        url = base_url(said)
        client_id = options.client_id or ask.text(
            "Its client id (Access ID)", default=None if there is None else there.client_id,
            flag="--client-id",
        )  # fmt: skip
        if options.secret_file is None:
            kept = there.secret if there is not None and len(there.secret) else None
            secret = ask.secret(kept=kept, flag="--secret-file FILE (- is standard input)")
        else:
            secret = self._typed = self._typed or read_secret(options.secret_file)
        before = there or CloudSettings(base_url=url)
        return replace(before, base_url=url, client_id=client_id, secret=secret)

    def _tell(self, account: Account) -> None:
        if abs(account.skew) > SKEW:
            _say(
                f"The date of this machine is {abs(account.skew):.0f} s "
                f"{'behind' if account.skew > 0 else 'before'} the cloud's, expected at most "
                f"{SKEW:.0f} s: timedatectl set-ntp true"
            )
        if account.unlisted is not None:
            _say(f"It does not list its locks, so only those are known that you name:\n"
                 f"{account.unlisted}\n{account.unlisted.mend}")  # fmt: skip

    # -- the locks

    def _candidates(
        self, config: Config | None, account: Account, names: dict[str, str]
    ) -> list[Candidate]:
        """The account's locks, with what the air has of them; shown."""
        heard, listened = {}, False
        if self._options.listen and self._place.is_this_machine and not self._virtual(config):
            from .air import hear  # noqa: PLC0415 - the Bluetooth stack, only here

            _say(f"Listening for {self._options.listen:.0f} s; wake your locks at their keypads.")
            air = anyio.run(hear, list(account.devices.values()), self._options.listen)
            drop_typed()
            heard, listened = air.known, air.unheard is None
            if air.unheard is not None:
                _say(f"Nothing can be heard: {air.unheard}\n{air.unheard.advice}")
            for other in air.strangers:
                _say(f"  heard, and not of this project: {other.address} {other.name or ''}")
        else:
            _say("The air is not listened to.")
        found = candidates(account.devices, heard, config, names)
        require_usable(found, names)
        _say("Locks of this project's accounts:")
        for number, one in enumerate(found, 1):
            _say(f"  {number}  {one.words(listened=listened)}")
        for lock in () if config is None else config.locks:
            if lock.device_id not in account.devices:
                _say(f"  -  {lock.name}: in the configuration, not known to the cloud; it stays")
        return found

    def _virtual(self, config: Config | None) -> bool:
        there = config is not None and config.radio.socket is not None
        return there or self._options.virtual_lock is not None

    def _locks(
        self, found: Sequence[Candidate], names: dict[str, str], *, new: bool
    ) -> list[Candidate]:
        """Those to be added: the named ones, or what somebody picks; of a new one's, all."""
        fresh = [one for one in found if not one.configured and one.unusable is None]
        if names:
            return [one for one in fresh if one.device.device_id in names]
        if not fresh or (self._asking.quiet and not new):
            return []
        picked = self._asking.which(found, fresh, default="all" if new else "none")
        if new and not picked:
            raise InitError("no lock", "at least one", "choose one, or say --lock NAME=ID")
        return self._named(picked, taken={one.name for one in found})

    def _named(self, picked: Sequence[Candidate], taken: set[str]) -> list[Candidate]:
        named = []
        for one in picked:
            taken.discard(one.name)
            question = f"Name of {shown(one.device)} ({one.device.device_id}) here"
            name = self._asking.text(question, default=one.name, flag="--lock NAME=ID")
            while not _NAME.fullmatch(name) or name in taken:
                _say(f"  found {printable(name)!r}, expected 1 to 32 of a-z, 0-9 and -, not in use")
                name = self._asking.text(question, default=one.name, flag="--lock NAME=ID")
            taken.add(name)
            named.append(replace(one, name=name))
        return named

    def _users(self, config: Config | None) -> list[str]:
        if self._options.users is not None:
            return [one for one in self._options.users if one]
        if config is not None:
            return []
        mine: str | None
        try:
            mine = getpass.getuser()
        except (KeyError, OSError):
            mine = None  # a uid without a name, as in a container
        if self._place.is_service:
            mine = (os.environ.get("SUDO_USER") or mine) if self._place.is_this_machine else "root"
        question = (
            "Whose programs may open doors without a token, and do everything else here, "
            "tokens too (- for nobody's)"
        )
        said = self._asking.text(question, default=mine, flag="--user NAME")
        while said != "-" and not self._asking.quiet and not _is_user(said):
            _say(f"  found {printable(said)!r}, expected a user of this machine, or -")
            said = self._asking.text(question, default=mine, flag="--user NAME")
        return [] if said == "-" else [said]

    # -- writing

    def _write(self, prepared: Prepared) -> None:
        for line in telling.of_changes(prepared):
            _say(line)
        if not prepared.changes:
            _say("Nothing has to change.")
        elif not self._asking.sure("Write this?"):
            raise typer.Abort
        else:
            with files.uninterrupted():
                files.write(prepared.changes)
                self.written = True
        for line in telling.of_next(self._place, prepared, self._machine.drop_in()):
            _say(line)


def _place(options: Options) -> places.Place:
    """Raises InitError."""
    if options.directory is not None:
        if options.root is not None:
            raise InitError("--directory and --root", "one of them", "leave one out")
        return places.of_folder(options.directory.absolute())
    if options.root is None and os.geteuid() != 0:
        raise InitError(
            "a user who may not write to /etc",
            "root, or a folder of your own",
            "sudo bleagent init, or: bleagent init --directory FOLDER",
        )
    return places.of_service((options.root or Path("/")).absolute())


def _is_user(name: str) -> bool:
    """Whether a configuration may name it here."""
    try:
        return HttpUser(user=name).unknown is None
    except ValidationError:
        return False


def _say(text: str) -> None:
    for line in text.splitlines():
        typer.echo(printable(line))
