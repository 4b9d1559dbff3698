"""The composition root's part for who comes in, and through what: users, and the certificate."""

from __future__ import annotations

import anyio
import anyio.to_thread
import structlog

from bleagent import logs
from bleagent.certificate import read_certificate
from bleagent.config.file import Config
from bleagent.config.secrets import credentials_directory, load_tls_key
from bleagent.errors import AgentError
from bleagent.http.callers import User, Users
from bleagent.http.record_views import iso
from bleagent.http.tls import Identity, Tls, make_identity
from bleagent.ports import Clock
from protocol import Secret

log = structlog.get_logger()

DAY = 86400.0
SOON = 14 * DAY
"""Seconds before its end from which on a certificate is warned about."""


def users_of(config: Config) -> Users:
    """Whose programs may call without a token, and what they may do; unknown ones are told."""
    for one in config.http.users:
        if one.unknown is not None:
            log.warning("user.unknown", user=one.unknown, advice="Take it out, or make it again.")
    return Users(
        User(uids=one.uids, gids=one.gids, scopes=one.granted) for one in config.http.users
    )


def tls_of(config: Config, key: Secret | None) -> Tls | None:
    """What the TCP listener shows, if it is to show anything. Raises CertificateError."""
    identity = _identity(config, key)
    return None if identity is None else Tls(identity)


async def watch_end(tls: Tls, clock: Clock) -> None:
    """Warn of a certificate that ends soon or is over, each day; it is shown all the same."""
    while True:
        left = tls.identity.expires - clock.unix()
        if left < SOON:
            log.warning("certificate.ends", ends=iso(tls.identity.expires), over=left < 0)
        await anyio.sleep(DAY)


async def reload_tls(config: Config, tls: Tls) -> None:
    """Read certificate and key again; what cannot be used is told, and the old one stays.

    In a thread: a signature with a large key takes long enough to be felt at a door.
    """
    try:
        identity = await anyio.to_thread.run_sync(read_identity, config)
    except AgentError as error:
        log.warning("certificate.not_read", detail=str(error), advice=error.advice)
    except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
        log.error("certificate.fault", **logs.fault(error))  # noqa: TRY400 - without its message
    else:
        if identity is not None:
            tls.identity = identity
            log.info("certificate.read", names=sorted(identity.names), ends=iso(identity.expires))


def read_identity(config: Config) -> Identity | None:
    """Certificate and key as they are now. Raises SecretError, CertificateError."""
    return _identity(config, load_tls_key(config, credentials_directory()))


def _identity(config: Config, key: Secret | None) -> Identity | None:
    """Raises CertificateError."""
    tls = config.http.tls
    if tls is None or key is None:
        return None
    return make_identity(read_certificate(tls.certificate), key)
