"""The page for people at ``/``: a few static files, the same for everybody.

They hold nothing of this gateway, so that they need no token; what they show they ask for with
the token that a person types in. The page is there over TCP without TLS on loopback, or over TLS;
no browser speaks through a Unix socket (safety F6).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from .peer import peer_of

FOLDER = Path(__file__).with_name("page")
INDEX = "index.html"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Nobody who opened us in a window, or wants our files in his page, has a hold of us.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_page(app: FastAPI, folder: Path = FOLDER) -> None:
    """Add a route for each file. They are read now: no request waits for the disk.

    Without them (a package that was taken apart) there is no page, and doors open all the same.
    """
    files = _read(folder)
    for name, content in files.items():
        path = "/" if name == INDEX else f"/page/{name}"
        kind = KINDS[Path(name).suffix]
        app.add_api_route(path, _answering(content, kind), include_in_schema=False)


def _read(folder: Path) -> Mapping[str, bytes]:
    try:
        found = sorted(one for one in folder.iterdir() if one.suffix in KINDS)
        return {one.name: one.read_bytes() for one in found}
    except OSError:
        return {}


def _answering(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if not _may_have(request):
            raise HTTPException(404)
        return Response(content, media_type=kind, headers=HEADERS)

    return answer


def _may_have(request: Request) -> bool:
    """Whether what is typed into the page stays between browser and agent."""
    peer = peer_of(request.scope)
    if peer.local:
        return False
    if request.url.scheme == "https":
        return True
    try:
        address = ipaddress.ip_address(peer.address or "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
