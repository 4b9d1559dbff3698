"""The interface describes itself: ``/openapi.json`` for programs, ``/docs`` for people.

The page is for anybody: a browser sends no token with a link, and nothing of this gateway is in
it. Both are made when they are asked for first, in a thread: no door waits for it.
"""

from __future__ import annotations

import json
from importlib.resources import files

import anyio
import anyio.to_thread
from fastapi import FastAPI, Response

from .requests import Reader

CSP = (
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
"""What a browser may load for the page: its style, from here, and nothing else (safety F6)."""


class Docs:
    """Both texts, made once."""

    def __init__(self) -> None:
        self._made: tuple[bytes, bytes] | None = None
        self._one_at_a_time = anyio.Lock()

    async def texts(self) -> tuple[bytes, bytes]:
        """The document as JSON, and as a page."""
        async with self._one_at_a_time:
            if self._made is None:
                self._made = await anyio.to_thread.run_sync(_make)
            return self._made


def _make() -> tuple[bytes, bytes]:
    # Only here: nobody who just opens doors needs them.
    from .docs_page import page  # noqa: PLC0415
    from .openapi import document  # noqa: PLC0415

    told = document()
    return json.dumps(told).encode(), page(told).encode()


def add_docs(app: FastAPI) -> None:
    """Add the routes."""
    docs, look = Docs(), _look()

    @app.get("/openapi.json")
    async def openapi(_caller: Reader) -> Response:
        told, _ = await docs.texts()
        return Response(told, media_type="application/json")

    @app.get("/docs")
    async def page() -> Response:
        _, told = await docs.texts()
        headers = {"Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer"}
        return Response(told, media_type="text/html", headers=headers)

    @app.get("/docs.css")
    async def style() -> Response:
        return Response(look, media_type="text/css")


def _look() -> bytes:
    """Read now: no request waits for the disk. Without it the page is plain, and doors open."""
    try:
        return (files("bleagent.http") / "docs.css").read_bytes()
    except OSError:
        return b""
