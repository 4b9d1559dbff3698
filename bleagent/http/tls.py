"""What the TCP listener shows: a certificate and its key, which can be replaced while it runs.

There is no Strict-Transport-Security: names here are of one home, and a browser that has learnt
it would lock its owner out for months when a certificate of his own making has to be made anew.
Nothing is spoken without TLS at this port, so there is nothing to be led away from either.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bleagent.certificate import pinned
from bleagent.errors import CertificateError
from protocol import Secret

_FLIGHTS = 8
"""More than any handshake has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate with its key, ready to be shown."""

    context: ssl.SSLContext = field(repr=False)
    names: frozenset[str]
    """DNS names and addresses that it is for; of a wildcard nothing."""
    expires: float
    """Unix seconds."""


class Tls:
    """The identity of now. Connections keep the one that they began with."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def names(self) -> frozenset[str]:
        """How we may be asked for, because the certificate says so."""
        return self.identity.names


def make_identity(certificates: str, key: Secret) -> Identity:
    """An identity from PEM texts: the certificate, those above it, and the key.

    It is tried once in memory: what no client could take is refused here. No file is written.

    Raises:
        CertificateError: one of them cannot be used, or they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if b"PRIVATE KEY-----" not in key.reveal():
        raise CertificateError("the key of [http] tls is no PEM private key")
    try:
        with _in_memory(certificates.encode("latin-1")) as shown, _in_memory(key.reveal()) as kept:
            context.load_cert_chain(shown, kept, password=_has_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError("the key of [http] tls is not that of its certificate") from None
        why = f": {error.reason}" if error.reason else ""
        raise CertificateError(f"certificate or key of [http] tls cannot be used{why}") from None
    except OSError as error:  # no memory file, or no /proc, in the unit's sandbox
        raise CertificateError(
            f"the key of [http] tls cannot be handed to OpenSSL: {error.strerror}"
        ) from None
    seen = _tried(context, pinned(certificates))
    return Identity(
        context=context,
        names=frozenset(
            name.strip()
            for kind, name in seen.get("subjectAltName", ())
            if kind in ("DNS", "IP Address") and "*" not in name
        ),
        expires=ssl.cert_time_to_seconds(seen["notAfter"]),
    )


def _has_passphrase() -> str:
    """OpenSSL would ask for it at the terminal."""
    raise CertificateError("the key of [http] tls has a passphrase, expected one without")


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """The path of a file that is in no file system: OpenSSL reads certificates from files only."""
    with open(os.memfd_create("tls"), "wb") as file:  # noqa: PTH123 - by its descriptor
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _tried(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """What a client sees of the certificate. Raises CertificateError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(there, back)
    answers = server.wrap_bio(back, there, server_side=True)
    try:
        for _ in range(_FLIGHTS):
            if all([_is_done(asks.do_handshake), _is_done(answers.do_handshake)]):
                break
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", None) or error.reason
        raise CertificateError(f"no client takes the certificate of [http] tls: {why}") from None
    return asks.getpeercert() or {}


def _is_done(handshake: Callable[[], None]) -> bool:
    try:
        handshake()
    except ssl.SSLWantReadError:
        return False
    return True
