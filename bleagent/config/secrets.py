"""The secrets that the configuration points to, read from where they are."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bleagent.cloud.settings import CloudSettings
from bleagent.errors import SecretError
from bleagent.model import LockFacts
from bleagent.vault import (
    NamedKey,
    VaultKeys,
    create_vault_key,
    read_vault_key,
    require_key_size,
    without_line_end,
)
from protocol import LockKeys, Secret

from .file import Config, LockConfig
from .secret_source import SecretSource

DEFAULT_KEY = "vault.key"
"""Of the state directory."""
OF_THE_SERVICE = Path("/run/credentials/bleagent.service")
"""Where systemd keeps what it hands to the service."""
SHORTEST_TOKEN = 16
"""Characters; what is shorter can be guessed."""

_TOKEN = re.compile(rb"[!-~]{%d,}" % SHORTEST_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What the configuration only points to. ``locks`` by name, keys included."""

    http_token: Secret
    tls_key: Secret | None
    cloud_secret: Secret | None
    locks: Mapping[str, LockFacts] = field(repr=False)
    sinks: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    """Of the sinks that have one, by name."""
    webhooks: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    """Of the subscriptions, by name."""


def load_secrets(config: Config, credentials: Path | None) -> Secrets:
    """Read every secret that the configuration names, each one line of text.

    ``credentials`` is ``$CREDENTIALS_DIRECTORY``, None where there is none.

    Raises:
        SecretError: one cannot be read, others can read it, or it has the wrong length.
    """
    return Secrets(
        http_token=load_http_token(config, credentials),
        tls_key=load_tls_key(config, credentials),
        cloud_secret=load_cloud_secret(config, credentials),
        locks={lock.name: _facts(lock, credentials) for lock in config.locks},
        sinks={
            sink.named: _line(f"sinks.{sink.named}.secret", sink.secret, credentials)
            for sink in config.sinks
            if sink.secret is not None
        },
        webhooks={
            name: _line(f"webhooks.{name}.secret", one.secret, credentials)
            for name, one in config.webhooks.items()
        },
    )


def credentials_directory() -> Path | None:
    """Where systemd has put the credentials of this service, if it has."""
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(given) if given else None


def service_credentials() -> Path | None:
    """For a command: its own credentials, or what the running service was handed, if it may."""
    own = credentials_directory()
    return OF_THE_SERVICE if own is None and os.access(OF_THE_SERVICE, os.X_OK) else own


def load_http_token(config: Config, credentials: Path | None) -> Secret:
    """The HTTP trigger's token, as it is now. Raises SecretError, also for one to be guessed."""
    token = _line("http.token", config.http.token, credentials)
    if _TOKEN.fullmatch(token.reveal()):
        return token
    raise SecretError(
        f"http.token: expected at least {SHORTEST_TOKEN} plain characters without spaces, "
        f"found {len(token.reveal())} bytes; `openssl rand -hex 32` makes a good one"
    )


def load_tls_key(config: Config, credentials: Path | None) -> Secret | None:
    """The key of the TCP listener's certificate, as it is now. Raises SecretError."""
    tls = config.http.tls
    return None if tls is None else _read("http.tls.key", tls.key, credentials)


def load_cloud_secret(config: Config, credentials: Path | None) -> Secret | None:
    """The cloud project's secret, where there is one. Raises SecretError."""
    secret = config.cloud.secret
    return None if secret is None else _line("cloud.secret", secret, credentials)


def cloud_settings(config: Config, secret: Secret | None) -> CloudSettings:
    """The cloud client's settings; ``secret`` is ``Secrets.cloud_secret``."""
    cloud = config.cloud
    return CloudSettings(
        base_url=cloud.base_url,
        client_id=cloud.client_id or "",
        secret=secret or Secret(""),
        transport=cloud.transport,
        signer=cloud.signer,
        action_url=cloud.action_url,
        panel_url=cloud.panel_url,
        uid=cloud.uid,
        app_schema=cloud.app_schema,
        wx_app_id=cloud.wx_app_id,
    )


def load_vault_key(config: Config, credentials: Path | None) -> Secret:
    """The vault's key, made on first use where that is configured.

    To be called by the holder of the state directory only. Raises SecretError.
    """
    source = config.vault.key
    if source is not None and source.credential is not None:
        return require_key_size(_read("vault.key", source, credentials), source.place)
    path = config.state_dir / DEFAULT_KEY if source is None else source.file
    assert path is not None  # noqa: S101 -- one of the two is set
    if config.vault.create:
        return create_vault_key(path, random=secrets.token_bytes)
    return read_vault_key(path)


def load_vault_keys(
    config: Config, credentials: Path | None, *, new_nonce: Callable[[], bytes]
) -> VaultKeys:
    """The vault's key and those that it replaced. As ``load_vault_key``."""
    source = config.vault.key
    place = str(config.state_dir / DEFAULT_KEY) if source is None else source.place
    # The older ones first: a mistake there must not leave a new key file behind.
    previous = tuple(
        NamedKey(one.place, require_key_size(_read("vault.previous", one, credentials), one.place))
        for one in config.vault.previous
    )
    current = NamedKey(place, load_vault_key(config, credentials))
    return VaultKeys(current=current, previous=previous, new_nonce=new_nonce)


def _line(key: str, source: SecretSource, credentials: Path | None) -> Secret:
    return without_line_end(_read(key, source, credentials))


def _read(key: str, source: SecretSource, credentials: Path | None) -> Secret:
    """The bytes; whoever cannot have them is told which key of the configuration wants them."""
    try:
        return source.read(credentials)
    except SecretError as error:
        raise SecretError(f"{key}: {error}") from None


def _facts(lock: LockConfig, credentials: Path | None) -> LockFacts:
    found: dict[str, Secret | None] = {}
    for key, size in (("local_key", 16), ("sec_key", 16), ("auth_key", 32)):
        source: SecretSource | None = getattr(lock, key)
        found[key] = None if source is None else _of_size(lock.name, key, source, credentials, size)
    return LockFacts(
        name=lock.name,
        device_id=lock.device_id,
        address=lock.address,
        keys=LockKeys(uuid=lock.uuid, virtual_id=lock.device_id, **found),
    )


def _of_size(
    lock: str, key: str, source: SecretSource, credentials: Path | None, size: int
) -> Secret:
    secret = _line(f"{key} of {lock}", source, credentials)
    if len(secret) != size:
        raise SecretError(
            f"{source.place}: found {len(secret)} characters, expected the {size} of the {key} "
            f"of {lock}"
        )
    return secret
