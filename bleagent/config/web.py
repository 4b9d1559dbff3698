"""What sinks and subscriptions have in common: addresses that signed requests are sent to."""

from __future__ import annotations

from urllib.parse import urlsplit

from .base import mismatch


def web_url(url: str) -> str:
    """An address without user or fragment that can be asked. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError
    if parts.username or parts.password or parts.fragment or parts.port == 0:
        raise ValueError  # reading the port raises it, too, where it is none
    parts.hostname.encode("idna")  # as the resolver will
    url.encode("ascii")
    return url


def require_sealed(url: str, *, allow_private: bool) -> None:
    """Nothing goes out readable, but at home where that is asked for.

    Raises PydanticCustomError.
    """
    if urlsplit(url).scheme == "http" and not allow_private:
        raise mismatch("an http:// url", "https://, or allow_private = true")
