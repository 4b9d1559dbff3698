"""The configuration: one TOML file, read into frozen values, wrong ones named exactly.

No secret is in the file, only where it is: ``{ credential = "NAME" }`` for what systemd hands
over in ``$CREDENTIALS_DIRECTORY``, ``{ file = "PATH" }`` for a file of mode 0600. Every field's
description is what an error message says was expected.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from bleagent.cloud.settings import Signer, Transport
from bleagent.errors import ConfigError, ConfigMissing, ConfigNotToml, ConfigUnreadable
from bleagent.policy import (
    CodeSource,
    DeviceRandom,
    LockVia,
    Offline,
    PasswordDelivery,
    Policy,
    SharingLock,
    SnStart,
    Upkeep,
)
from protocol import DpMap, InstructionAir, LocalProtocolError
from protocol.dpmap import LockGeneration

from .base import Section, mismatch
from .errors import explain
from .http import LONGEST_PATH, HttpConfig, check_users, loopback
from .radio import LockRadioConfig, RadioConfig, check_radio
from .secret_source import SecretSource, absolute
from .sinks import RecordsConfig, SinkConfig, check_sinks
from .webhooks import WebhookConfig, check_webhooks


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError
    if parts.scheme == "http":
        loopback(parts.hostname)
    elif parts.scheme != "https":
        raise ValueError
    return url


class CloudConfig(Section):
    """The vendor's cloud."""

    transport: Transport = Field(default=Transport.ACTION, description="action or openapi")
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        description="an https:// address (http:// on loopback only) without query or user"
    )
    action_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        default=None,
        description="an https:// address (http:// on loopback only) without query or user",
    )
    panel_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        default=None,
        description="an https:// address (http:// on loopback only) without query or user",
    )
    signer: Signer = Field(default=Signer.FAAS, description="none, faas or openapi")
    client_id: str | None = Field(default=None, min_length=1, description="the project's client id")
    secret: SecretSource | None = Field(
        default=None, description='{ credential = "NAME" } or { file = "PATH" }'
    )

    uid: str | None = Field(
        default=None, min_length=1, description="the user that actions are asked for"
    )
    app_schema: str = Field(
        default="cloud", min_length=1, description="the schema of the app that locks are shared in"
    )
    wx_app_id: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{32}$",
        description="the MD5 of the mini program's id, 32 hexadecimal digits",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.transport is Transport.OPENAPI and self.signer is not Signer.OPENAPI:
            raise mismatch(
                f"transport openapi with signer {self.signer}", 'signer = "openapi" with it'
            )
        if self.signer is not Signer.NONE and (self.client_id is None or self.secret is None):
            missing = "client_id" if self.client_id is None else "secret"
            raise mismatch(f"signer {self.signer} without {missing}", "both client_id and secret")
        return self


class VaultConfig(Section):
    """The key that seals secrets in the state directory; by default a file made there.

    What ``previous`` keys sealed is sealed anew with ``key`` at the start.
    """

    key: SecretSource | None = Field(
        default=None, description='{ credential = "NAME" } or { file = "PATH" }'
    )
    previous: tuple[SecretSource, ...] = Field(
        default=(), description='an array of { credential = "NAME" } or { file = "PATH" }'
    )
    create: bool = Field(
        default=True, description="true or false: make the key file if there is none"
    )


class Strategies(Section):
    """What the vendor's texts or the locks in the field disagree about."""

    device_random: DeviceRandom = Field(
        default=DeviceRandom.ISSUED_CODE, description="issued_code or connection_srand"
    )
    code_source: CodeSource = Field(
        default=CodeSource.WAKE_UP_INS, description="wake_up_ins or ins"
    )
    sn_start: SnStart = Field(default=SnStart.STORED, description="stored or one")
    instruction_air: InstructionAir = Field(
        default=InstructionAir.AS_SEALED, description="as_sealed or resealed"
    )
    lock_via: LockVia = Field(default=LockVia.DP46, description="dp46 or dp71")
    offline: Offline = Field(default=Offline.NEVER, description="never or cached")
    offline_max_age: float = Field(default=24 * 3600.0, gt=0, description="seconds, more than 0")
    sharing: SharingLock = Field(default=SharingLock.NAMED, description="named or only_lock")
    passwords: PasswordDelivery = Field(
        default=PasswordDelivery.LEAVE, description="leave or deliver"
    )
    upkeep: Upkeep = Field(default=Upkeep.LEAVE, description="leave or keep")


class LockConfig(LockRadioConfig):
    """One lock. ``strategies`` is the whole set that holds for it, overrides applied."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,32}$", description="1 to 32 of a-z, 0-9 and -")
    device_id: str = Field(pattern=r"^[!-~]{1,22}$", description="the cloud's id, 1 to 22 signs")
    uuid: str = Field(
        pattern=r"^([!-~]{16}|[A-Za-z0-9]{20})$", description="16 or 20 letters and digits"
    )
    address: str | None = Field(
        default=None,
        pattern=r"^[0-9A-F]{2}(:[0-9A-F]{2}){5}$",
        description="an address such as AA:BB:CC:DD:EE:FF",
    )
    local_key: SecretSource = Field(description='{ credential = "NAME" } or { file = "PATH" }')
    sec_key: SecretSource | None = Field(
        default=None, description='{ credential = "NAME" } or { file = "PATH" }'
    )
    auth_key: SecretSource | None = Field(
        default=None, description='{ credential = "NAME" } or { file = "PATH" }'
    )
    protocol: str | None = Field(
        default=None, pattern=r"^[2-9]\.[0-9]$", description="a protocol version such as 3.3"
    )
    generation: LockGeneration = Field(
        default=LockGeneration.V3_3, description=", ".join(LockGeneration)
    )
    security_v2: bool = Field(default=False, description="true or false")
    member: int = Field(default=1, ge=0, le=255, description="a member id from 0 to 255")
    dps: Mapping[str, int] = Field(
        default_factory=dict, description="names of datapoints and numbers from 1 to 255"
    )
    codes: Mapping[
        Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")],
        Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")],
    ] = Field(
        default_factory=dict, description="numbers of datapoints and the product's codes for them"
    )
    strategies: Strategies = Field(default_factory=Strategies, description="a table of strategies")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            self.dpmap()
        except LocalProtocolError as error:
            raise mismatch(f"in dps: {error}", "names and free numbers of datapoints") from None
        if self.security_v2 and self.sec_key is None:
            raise mismatch("security_v2 without sec_key", "both")
        return self

    def dpmap(self) -> DpMap:
        """Which number carries which datapoint of this lock."""
        return DpMap.default(self.generation).override(self.dps)

    def policy(self) -> Policy:
        """How this lock is operated, in the jobs' terms."""
        return Policy(
            **{name: getattr(self.strategies, name) for name in Strategies.model_fields},
            major=3 if self.protocol is None else int(self.protocol[0]),
            security_v2=self.security_v2,
            dps=self.dpmap(),
            member=self.member,
            backlog=self.backlog,
            connection=self.connection,
            linger=self.linger,
            warm_for=self.warm,
        )


def _not_empty(locks: tuple[LockConfig, ...]) -> tuple[LockConfig, ...]:
    # Not ``min_length``: that would also complain when the only lock is wrong.
    if not locks:
        raise ValueError
    return locks


class Config(Section):
    """The whole file. ``strategies`` are the defaults of every lock."""

    state_dir: Annotated[Path, AfterValidator(absolute)] = Field(
        default=Path("/var/lib/bleagent"), description="the absolute path of a directory"
    )
    http: HttpConfig = Field(description="a section [http]")
    cloud: CloudConfig = Field(description="a section [cloud]")
    radio: RadioConfig = Field(default_factory=RadioConfig, description="a section [radio]")
    vault: VaultConfig = Field(default_factory=VaultConfig, description="a section [vault]")
    strategies: Strategies = Field(default_factory=Strategies, description="a section [strategies]")
    records: RecordsConfig = Field(default_factory=RecordsConfig, description="a section [records]")
    sinks: tuple[SinkConfig, ...] = Field(
        default=(), description="a section [[sinks]] for each sink"
    )
    webhooks: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")], WebhookConfig] = Field(
        default_factory=dict,
        description="a section [webhooks.NAME], with a name of 1 to 32 of a-z, 0-9 and -",
    )
    locks: Annotated[tuple[LockConfig, ...], AfterValidator(_not_empty)] = Field(
        description="a section [[locks]] for each lock"
    )

    @model_validator(mode="after")
    def _locks_differ(self) -> Self:
        for key in ("name", "device_id", "uuid"):
            values = [getattr(lock, key) for lock in self.locks]
            for value in values:
                if values.count(value) > 1:
                    raise mismatch(f'two locks with {key} "{value}"', "different ones")
        only = any(lock.strategies.sharing is SharingLock.ONLY_LOCK for lock in self.locks)
        if only and len(self.locks) > 1:
            raise mismatch('sharing = "only_lock" with more than one lock', '"named"')
        if (path := self.http_socket) is not None and len(str(path).encode()) > LONGEST_PATH:
            raise mismatch(
                f"no [http] socket, and a state_dir too long for {path.name} in it",
                f"a socket of at most {LONGEST_PATH} bytes, or a port",
            )
        check_radio(self.radio, self.locks)
        check_sinks(self.sinks)
        check_users(self.http.users, [lock.name for lock in self.locks])
        check_webhooks(self.webhooks, (lock.name for lock in self.locks))
        return self

    @property
    def http_socket(self) -> Path | None:
        """The Unix socket: one in the state directory, where nothing is said of any listener."""
        if self.http.socket is not None or self.http.over_tcp:
            return self.http.socket
        return self.state_dir / "http.sock"

    @property
    def digest(self) -> str:
        """What tells one configuration from another; secrets are not in it, only their places."""
        return sha256(self.model_dump_json().encode()).hexdigest()

    def lock(self, name: str) -> LockConfig | None:
        """The lock of that name."""
        return next((lock for lock in self.locks if lock.name == name), None)


def _inherit(data: dict[str, Any]) -> dict[str, Any]:
    """Give each lock the strategies that it does not set itself."""
    shared, locks = data.get("strategies"), data.get("locks")
    if not isinstance(shared, dict) or not isinstance(locks, list):
        return data  # to be refused as it is
    # A wrong default is told once, where it stands.
    good = {key: value for key, value in shared.items() if _is_strategy(key, value)}
    return data | {"locks": [_with_defaults(lock, good) for lock in locks]}


def _is_strategy(key: str, value: object) -> bool:
    try:
        Strategies.model_validate_json(json.dumps({key: value}, default=str))
    except ValidationError:
        return False
    return True


def _with_defaults(lock: Any, shared: dict[str, Any]) -> Any:
    own = lock.get("strategies", {}) if isinstance(lock, dict) else None
    return lock | {"strategies": shared | own} if isinstance(own, dict) else lock


def load_config(path: Path) -> Config:
    """Read the file.

    Raises:
        ConfigError: one line for each thing that is wrong, with file, key, what was found and
            what was expected; never with a secret.
    """
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise ConfigMissing(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigUnreadable(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigNotToml(f"{path}: found bytes that are not UTF-8, expected TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigNotToml(f"{path}: not TOML: {error}") from None
    try:
        # By way of JSON: text becomes a path or an enum there, and nothing else is converted.
        return Config.model_validate_json(json.dumps(_inherit(data), default=str))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        # A misspelt key first: what is missing is told because of it.
        found.sort(key=lambda one: one["type"] != "extra_forbidden")
        lines = [f"{path}: {explain(Config, one)}" for one in found]
        # Not chained: pydantic's own text shows what was found, secrets too.
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None
