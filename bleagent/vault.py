"""Secrets at rest: sealed with AES-GCM under a key that is kept elsewhere (safety G4).

A sealed value is ``version (1) | nonce (12) | ciphertext | tag (16)``. It is bound to the place
where it is stored: table, row and column are authenticated with it, so that a value that was
moved elsewhere in the database does not open there.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from Crypto.Cipher import AES

from protocol import Secret

from .errors import SecretError, VaultKeyMissing

KEY_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16
LARGEST_SECRET = 64 * 1024  # bytes in a file; more is not a secret but a mistake
FILE_MODE = 0o600


class Vault:
    """Seals and opens; ``keys`` by version (1-255), of which ``newest`` (the highest) seals.

    ``new_nonce`` gives 12 random bytes, never the same twice.

    Raises:
        SecretError: no key, or one of another length.
    """

    def __init__(
        self,
        keys: Mapping[int, Secret],
        *,
        new_nonce: Callable[[], bytes],
        newest: int | None = None,
    ) -> None:
        if not keys or not all(1 <= version <= 0xFF for version in keys):
            raise SecretError("a vault needs a key, of version 1 to 255")
        for version, key in keys.items():
            if len(key) != KEY_SIZE:
                raise SecretError(f"vault key {version} has {len(key)} bytes, not {KEY_SIZE}")
        self._keys = dict(keys)
        self._version = max(keys) if newest is None else newest
        self._new_nonce = new_nonce

    def seal(self, plain: Secret, *, table: str, row: str, column: str) -> bytes:
        """Seal for one place in the database.

        Raises:
            SecretError: the source of nonces gave something else.
        """
        nonce = self._new_nonce()
        if len(nonce) != NONCE_SIZE:
            raise SecretError(f"a nonce has {NONCE_SIZE} bytes, not {len(nonce)}")
        cipher = AES.new(
            self._keys[self._version].reveal(), AES.MODE_GCM, nonce=nonce, mac_len=TAG_SIZE
        )
        cipher.update(_place(table, row, column, self._version))
        text, tag = cipher.encrypt_and_digest(plain.reveal())
        return bytes([self._version]) + nonce + text + tag

    def open(self, sealed: bytes, *, table: str, row: str, column: str) -> Secret:
        """Open what was sealed for this very place.

        Raises:
            SecretError: another key, another place, or altered.
        """
        where = f"{table}.{column} of {row}"
        if len(sealed) < 1 + NONCE_SIZE + TAG_SIZE:
            raise SecretError(f"{where} is too short to be sealed")
        version = sealed[0]
        key = self._keys.get(version)
        if key is None:
            raise SecretError(f"{where} is sealed with key {version}, which is not here")
        nonce, text = sealed[1 : 1 + NONCE_SIZE], sealed[1 + NONCE_SIZE : -TAG_SIZE]
        cipher = AES.new(key.reveal(), AES.MODE_GCM, nonce=nonce, mac_len=TAG_SIZE)
        cipher.update(_place(table, row, column, version))
        try:
            return Secret(cipher.decrypt_and_verify(text, sealed[-TAG_SIZE:]))
        except ValueError:
            raise SecretError(
                f"{where} does not open: sealed with another key, or altered"
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest key sealed this; if not, seal it anew when there is time."""
        return sealed[:1] == self.prefix

    @property
    def prefix(self) -> bytes:
        """How everything begins that the newest key sealed."""
        return bytes([self._version])


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A vault key, and where it came from: what to call it in a message."""

    place: str
    key: Secret


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed value and its place in the database."""

    value: bytes = field(repr=False)
    table: str
    row: str
    column: str = "sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultKeys:
    """The configured keys, before it is known which of them sealed what.

    ``current`` seals from now on; ``previous`` only open. A key has no version of its own: which
    it has is found by what it opens, so that keys may be named in any order and dropped when
    nothing needs them any more.
    """

    current: NamedKey
    previous: tuple[NamedKey, ...] = ()
    new_nonce: Callable[[], bytes]

    def vault(self, needed: Iterable[Sealed], *, wanted: Iterable[Sealed] = ()) -> Vault:
        """A vault that opens everything ``needed``, and of ``wanted`` what it can.

        Raises:
            VaultKeyMissing: something needed opens with none of the keys; says what.
        """
        found: dict[int, Secret] = {}
        taken: set[int] = set()
        for sealed, must in (*((one, True) for one in needed), *((one, False) for one in wanted)):
            version = sealed.value[0] if sealed.value else 0
            taken.add(version)
            known = found.get(version)
            if known is not None and self._opens(known, version, sealed):
                continue
            key = next((one for one in self._all if self._opens(one, version, sealed)), None)
            if key is not None and known is None:
                found[version] = key
            elif must:
                raise VaultKeyMissing(self._missing(sealed, version))
        newest = next((v for v, key in found.items() if key == self.current.key), None)
        if newest is None:
            newest = next((v for v in range(1, 0x100) if v not in taken), None)
        if newest is None:
            raise SecretError("every version of a vault key is in use")
        return Vault(found | {newest: self.current.key}, new_nonce=self.new_nonce, newest=newest)

    @property
    def _all(self) -> list[Secret]:
        return [one.key for one in (self.current, *self.previous)]

    def _opens(self, key: Secret, version: int, sealed: Sealed) -> bool:
        try:
            Vault({version: key}, new_nonce=self.new_nonce).open(
                sealed.value, table=sealed.table, row=sealed.row, column=sealed.column
            )
        except SecretError:
            return False
        return True

    def _missing(self, sealed: Sealed, version: int) -> str:
        tried = ", ".join(one.place for one in (self.current, *self.previous))
        return (
            f"{sealed.table} of {sealed.row} was sealed with another key (version {version}) than "
            f"those that are here ({tried}), or it was altered"
        )


def _place(table: str, row: str, column: str, version: int) -> bytes:
    # JSON, so that ("ab", "c") and ("a", "bc") differ.
    return json.dumps([table, row, column, version]).encode()


def read_secret(path: Path) -> Secret:
    """A secret from a file that only we can read, byte for byte.

    Raises:
        SecretError: missing, not a plain file, readable by others, somebody else's, or huge.
    """
    return _read(path, _require_private)


def read_credential(folder: Path | None, name: str) -> Secret:
    """A secret that systemd hands over in ``$CREDENTIALS_DIRECTORY`` (``folder``).

    Raises:
        SecretError: no such credential, or everybody can read it.
    """
    if folder is None:
        raise SecretError(
            f"credential {name}: $CREDENTIALS_DIRECTORY is not set; "
            f"start under systemd with LoadCredential={name}:PATH, or name a file"
        )
    return _read(folder / name, _require_not_public)


def without_line_end(secret: Secret) -> Secret:
    """A secret of one line of text, without the line end that an editor leaves."""
    value = secret.reveal()
    return Secret(value.removesuffix(b"\n").removesuffix(b"\r"))


def read_vault_key(path: Path) -> Secret:
    """The vault's key: a file of 32 random bytes.

    Raises:
        SecretError: as ``read_secret``, or another length.
    """
    return require_key_size(read_secret(path), str(path))


def require_key_size(key: Secret, where: str) -> Secret:
    """The key itself, if it has 32 bytes. Raises SecretError."""
    if len(key) != KEY_SIZE:
        raise SecretError(
            f"{where} has {len(key)} bytes, not {KEY_SIZE}; put the key back from a backup: "
            "what is sealed cannot be opened with another one"
        )
    return key


def create_vault_key(path: Path, *, random: Callable[[int], bytes]) -> Secret:
    """Make a key file of mode 0600 if there is none yet, and read it.

    It appears whole or not at all, and an existing one is never replaced.

    Raises:
        SecretError: it cannot be made, or as ``read_vault_key``.
    """
    if not path.exists() and not path.is_symlink():
        draft = path.with_name(path.name + ".new")
        try:
            draft.unlink(missing_ok=True)
            _write_synced(draft, random(KEY_SIZE))
            os.link(draft, path)  # unlike a rename, never replaces
            draft.unlink()
            _sync(path.parent)
        except OSError as error:
            raise SecretError(f"{path} cannot be made: {error.strerror}") from error
    return read_vault_key(path)


def _write_synced(path: Path, value: bytes) -> None:
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(file, "wb") as out:
        os.fchmod(file, FILE_MODE)
        out.write(value)
        out.flush()
        os.fsync(file)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _read(path: Path, require: Callable[[Path, os.stat_result], None]) -> Secret:
    try:
        # Not blocking: a pipe in place of the file must not stop the start.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        reason = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise SecretError(f"{path} cannot be read: {reason}{_not_ours(path, error)}") from None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise SecretError(f"{path} is not a plain file")
        require(path, found)
        value = os.read(file, LARGEST_SECRET + 1)
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {error.strerror}") from None
    finally:
        os.close(file)
    if not 0 < len(value) <= LARGEST_SECRET:
        raise SecretError(f"{path} has {found.st_size} bytes; 1 to {LARGEST_SECRET} are expected")
    return Secret(value)


def _not_ours(path: Path, error: OSError) -> str:
    """Whose the file should be, where it is another's: as its folder is."""
    if error.errno != errno.EACCES:
        return ""
    try:
        owner = path.parent.stat().st_uid
    except OSError:
        return "; this is for the user of the agent, or root"
    if owner != os.geteuid():
        return f"; this is for the user with uid {owner}, whose {path.parent} is, or for root"
    return f": chown {owner} {path}"


def _require_private(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise SecretError(f"{path} has mode {mode:04o}, so others can use it: chmod 0600 {path}")
    if found.st_uid != os.geteuid():
        raise SecretError(f"{path} {_of_another(path, found.st_uid)}")


def _of_another(path: Path, owner: int) -> str:
    """To give the agent's files to root shuts every door: root is told to be the agent instead."""
    if os.geteuid() == 0:
        return (
            f"belongs to uid {owner}: run this as that user "
            f"(cd / && runuser -u $(id -un {owner}) -- ...)"
        )
    return f"belongs to uid {owner}, not to {os.geteuid()}: chown {os.geteuid()} {path}"


def _require_not_public(path: Path, found: os.stat_result) -> None:
    # systemd leaves them to root and lets the service in by an access list, whose mask is seen
    # as the rights of the group.
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o007:
        raise SecretError(f"{path} has mode {mode:04o}, so everybody can use it: chmod 0400 {path}")
