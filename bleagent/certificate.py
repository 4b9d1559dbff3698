"""A certificate of our own: read, tried, and trusted by our own commands and by nobody else."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from .errors import CertificateError

MOST = 256 * 1024
"""Bytes of a file of certificates."""
_ONE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which Python does not name


def read_certificate(path: Path) -> str:
    """The text of a PEM file: the certificate itself comes first.

    Raises:
        CertificateError: missing, unreadable, no PEM certificate, or there is a private key in it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST).decode("latin-1")
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from None
    if "PRIVATE KEY-----" in text:
        raise CertificateError(f"{path}: found a private key in it, expected certificates only")
    if _ONE.search(text) is None:
        raise CertificateError(f"{path}: found no PEM certificate")
    return text


def pinned(text: str) -> ssl.SSLContext:
    """A client's context that trusts the first certificate of a text, and no other one.

    Neither its names nor its dates count: it is known itself. Raises CertificateError.
    """
    found = _ONE.search(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        context.load_verify_locations(cadata=found[0] if found else "")
    except (ssl.SSLError, ValueError):
        raise CertificateError("the first certificate cannot be read") from None
    return context
