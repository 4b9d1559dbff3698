"""This machine's files: what is there already, and what has to change."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bleagent.config import Config, load_config
from bleagent.config.secret_source import SecretSource
from bleagent.errors import ConfigError
from bleagent.vault import without_line_end
from protocol import Secret

from .drop_in import Credential, with_credentials
from .faults import InitError
from .files import OPEN, Change, read
from .places import Place
from .plan import Answers, Home, config_text, home, new_line, wanted
from .sealing import SystemdCreds
from .trust import require_within

CONFIG_MODE, SECRET_MODE, DROP_IN_MODE = 0o644, 0o600, 0o644
SECRET_FOLDER_MODE = 0o700
_AS_IT_IS = "surrogateescape"


@dataclass(slots=True, kw_only=True)
class Prepared:
    """What is to be written, in this order; the configuration last."""

    config: Config
    changes: list[Change] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    plain: str | None = None
    """Why new secrets are not encrypted, where they could have been."""


class Machine:
    """Files in a ``place``.

    Args:
        place: where.
        sealing: encrypts credentials; ``None``: they stay plain.
        draw: a new token for programs.
    """

    def __init__(
        self, place: Place, sealing: SystemdCreds | None, draw: Callable[[], Secret]
    ) -> None:
        self.place = place
        self._sealing = sealing
        self._draw = draw
        self._seals: bool | None = None if sealing is not None else False

    def existing(self) -> tuple[str | None, Config | None]:
        """The configuration that is there, as text and as what it means.

        Raises:
            InitError: it cannot be read.
            ConfigError: it is wrong: whoever wrote it knows what was meant.
        """
        path = self._here(self.place.config)
        found = read(path)
        if found is None:
            return None, None
        return found.decode("utf-8", "replace"), load_config(path)

    def secret(self, source: SecretSource | None) -> Secret | None:
        """What is kept there now, if anybody can tell."""
        if source is None:
            return None
        return self._current(home(source, self.place, self.drop_in()))

    def sealed_elsewhere(self, source: SecretSource | None) -> bool:
        """Whether an encrypted credential is there that this machine cannot open."""
        if source is None or self._sealing is None:
            return False
        at = home(source, self.place, self.drop_in())
        if at.line:  # the drop-in stayed behind on the old card
            line = new_line(at, encrypted=True)
            at = Home(path=line.path, credential=line.name, encrypted=True)
        sealed = bool(at.encrypted) and bool(read(self._here(at.path)))
        return sealed and self._current(at) is None

    def drop_in(self) -> str:
        """All that hands credentials over, as systemd reads it: a unit of the owner's, drop-ins."""
        path = self.place.drop_in
        if path is None:
            return ""
        folder = self._here(path.parent)
        places = (folder.with_suffix(""), *sorted(folder.glob("*.conf")))
        return "\n".join(self._text(one) for one in places)

    def _text(self, here: Path) -> str:
        """In whatever encoding; nothing where there is none."""
        return (read(here) or b"").decode(errors=_AS_IT_IS)

    def prepare(self, answers: Answers) -> Prepared:
        """Compare what is to be with what is there. Writes nothing.

        Raises:
            AgentError: it would be no good configuration, or cannot be had.
        """
        there, before = self.existing()
        text = config_text(answers, self.place, there, before)
        found = Prepared(config=self._meaning(text))
        drop_in = self.drop_in()
        lines: list[Credential] = []
        for one in wanted(found.config, answers):
            at = home(one.source, self.place, drop_in)
            if at.line:
                lines.append(line := new_line(at, encrypted=self._can_seal()))
                at = Home(path=line.path, credential=line.name, encrypted=line.encrypted)
            current = self._current(at)
            if current is not None and one.value in (None, current):
                found.kept.append(self._here(at.path))
                continue
            content = self._sealed(at, one.value or self._draw(), one.what)
            self._change(found, at.path, content, one.what, SECRET_MODE, SECRET_FOLDER_MODE)
        if (place := self.place.drop_in) is not None:
            own = with_credentials(self._text(self._here(place)), lines)
            if own:  # else another one hands them all over
                more = own.encode(errors=_AS_IT_IS)
                self._change(found, place, more, "hands the secrets over", DROP_IN_MODE)
        self._change(found, self.place.config, text.encode(), "the configuration", CONFIG_MODE)
        if lines and not self._can_seal() and self._sealing is not None:
            found.plain = self._sealing.wrong
        return found

    # -- one of it

    def _here(self, path: Path) -> Path:
        """A path of the gateway as this machine has it. Raises InitError."""
        return require_within(self.place.here(path), self.place.root)

    def _change(
        self,
        found: Prepared,
        path: Path,
        content: bytes,
        told: str,
        mode: int,
        folder_mode: int = OPEN,
    ) -> None:
        here = self._here(path)
        if here in (one.path for one in found.changes):
            raise InitError(
                f"the {told} and another secret in {here}",
                "a place for each",
                f"give it another name in {self.place.config}",
            )
        before = read(here)
        if before == content:
            found.kept.append(here)
            return
        found.changes.append(
            Change(
                path=here, content=content, mode=mode, folder_mode=folder_mode, told=told,
                new=before is None, before=before,
            )
        )  # fmt: skip

    def _meaning(self, text: str) -> Config:
        """Read back what would be written.

        Raises:
            ConfigError: with the place that it would have.
            InitError: there is no room to try it.
        """
        try:
            with tempfile.TemporaryDirectory() as folder:
                draft = Path(folder) / "config.toml"
                draft.write_text(text, encoding="utf-8")
                try:
                    return _with_known_users(load_config(draft), draft)
                except ConfigError as error:
                    told = str(error).replace(str(draft), str(self.place.config))
                    raise type(error)(told) from None
        except OSError as error:
            raise InitError(
                f"{error.strerror} where the configuration is tried", "a little room", "df -h /tmp"
            ) from None

    def _current(self, at: Home) -> Secret | None:
        content = read(self._here(at.path))
        if content is None or not content:
            return None
        if not at.encrypted:
            return without_line_end(Secret(content))
        if self._sealing is None:
            return None
        return self._sealing.decrypt(str(at.credential), content)

    def _sealed(self, at: Home, value: Secret, what: str) -> bytes:
        """The content of its file. Raises InitError."""
        if not at.encrypted:
            return value.reveal() + b"\n"
        if self._sealing is not None:
            found = self._sealing.encrypt(str(at.credential), value)
            if found is not None:
                return found
        why = "it was not to be used" if self._sealing is None else self._sealing.wrong
        raise InitError(
            f"that systemd-creds does not encrypt the {what}: {why}",
            f"an encrypted {at.credential}, as {self.place.drop_in} says",
            f"change its line to LoadCredential={at.credential}:PATH, and run this again",
        )

    def _can_seal(self) -> bool:
        """Whether it works here, tried once."""
        if self._seals is None:
            assert self._sealing is not None  # noqa: S101 - see __init__
            self._seals = self._sealing.encrypt("bleagent-init", Secret("probe")) is not None
        return self._seals


def _with_known_users(config: Config, path: Path) -> Config:
    """A daemon leaves out who is not there; who is writing the file is told. Raises ConfigError."""
    for number, one in enumerate(config.http.users):
        if one.unknown is not None:
            raise ConfigError(
                f"{path}: http.users[{number}]: found {one.unknown}, expected one of this machine"
            )
    return config
