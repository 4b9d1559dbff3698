"""The HTTP server: uvicorn around the guarded application, on sockets that were bound before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket

import uvicorn
from starlette.types import ASGIApp

from .wire import GuardedProtocol, WireLimits


class _NotByEverybody(logging.Filter):
    """uvicorn's lines that anybody can have written as often as he likes; ``wire`` has its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is one of the others."""
        return not str(record.msg).startswith(("Invalid HTTP", "Unsupported up", "No supported W"))


_NOT_BY_EVERYBODY = _NotByEverybody()


class Server(uvicorn.Server):
    """uvicorn that leaves signals to us, and says when it listens and when it begins to stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: uvicorn would raise them once more after it has stopped."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Answer what was asked, and stop; an answer without an end must end by ``on_stop``."""
        self._on_stop()
        await super().shutdown(sockets)


def make_server(
    app: ASGIApp,
    on_ready: Callable[[], None],
    *,
    stop_within: float,
    limits: WireLimits | None = None,
    on_stop: Callable[[], None] = lambda: None,
) -> Server:
    """A server of ``app``; it serves with ``serve(sockets=...)``."""
    logging.getLogger("uvicorn.error").addFilter(_NOT_BY_EVERYBODY)
    limits = WireLimits() if limits is None else limits
    config = uvicorn.Config(
        app,
        http=GuardedProtocol.limited(limits),
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_keep_alive=limits.idle,
        proxy_headers=False,  # a client's own word for its address is not believed
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=int(stop_within),
    )
    return Server(config, on_ready, on_stop)
