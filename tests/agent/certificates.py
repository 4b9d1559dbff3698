"""Certificates for tests, of an authority that is made on the spot."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

from bleagent.http.tls import Identity, make_identity
from protocol import Secret


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM texts."""

    certificate: str
    key: Secret

    def identity(self) -> Identity:
        return make_identity(self.certificate, self.key)

    def write(self, folder: Path) -> Path:
        """``certificate.pem`` and ``key.pem``; returns the first."""
        key = folder / "key.pem"
        key.touch(0o600)
        key.write_bytes(self.key.reveal())
        path = folder / "certificate.pem"
        path.write_text(self.certificate)
        return path


class Authority:
    """Whoever trusts it trusts what it has issued."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def issue(
        self, *names: str, until: datetime | None = None, rsa: bool = False, since: bool = True
    ) -> Issued:
        kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        found = self._ca.issue_cert(
            *names, not_after=until, key_type=kind,
            not_before=None if since else datetime(2001, 1, 1),  # noqa: DTZ001 - as trustme has it
        )  # fmt: skip
        chain = "".join(part.bytes().decode() for part in found.cert_chain_pems)
        return Issued(chain, Secret(found.private_key_pem.bytes()))

    def trusted(self) -> ssl.SSLContext:
        """A client's context."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context
