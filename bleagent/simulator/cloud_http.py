"""The virtual cloud's HTTP: h11 on a TCP socket, able to break off in any place."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import h11
from anyio.abc import ByteStream

from .cloud_checks import Received

MAX_BODY = 1 << 20
_CHUNK = 65536
_PAGE = b"<html><body><h1>Bad gateway</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how much of it is sent. ``sent`` 0 sends nothing, 0.5 half of the body."""

    body: bytes = field(repr=False)
    status: int = 200
    content_type: str = "application/json;charset=UTF-8"
    sent: float = 1.0

    @classmethod
    def of_json(cls, value: object, *, sent: float = 1.0) -> Reply:
        """JSON, as the vendor writes it."""
        return cls(json.dumps(value, ensure_ascii=False).encode(), sent=sent)

    @classmethod
    def page(cls, status: int) -> Reply:
        """What something in front of the cloud answers."""
        return cls(_PAGE, status, "text/html")

    @classmethod
    def nothing(cls) -> Reply:
        """The connection is closed without a byte."""
        return cls(b"", sent=0.0)


Handler = Callable[[Received], Awaitable[Reply]]


async def serve_connection(stream: ByteStream, handler: Handler) -> None:
    """Answer the requests of one connection until either side has enough of it."""
    async with stream:
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await _receive(stream, connection)) is not None:
                if not await _answer(stream, connection, await handler(request)):
                    return
                connection.start_next_cycle()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, h11.ProtocolError):
            return  # the other side went away, or did not speak HTTP


async def _receive(stream: ByteStream, connection: h11.Connection) -> Received | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            await _feed(stream, connection)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                return None
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Received(head.method.decode(), head.target.decode(), headers, bytes(body))
        else:
            return None


async def _feed(stream: ByteStream, connection: h11.Connection) -> None:
    try:
        connection.receive_data(await stream.receive(_CHUNK))
    except anyio.EndOfStream:
        connection.receive_data(b"")


async def _answer(stream: ByteStream, connection: h11.Connection, reply: Reply) -> bool:
    """Send an answer; false where the connection ends with it."""
    if reply.sent == 0:
        return False
    headers = [
        ("Content-Type", reply.content_type),
        ("Content-Length", str(len(reply.body))),
    ]
    start = connection.send(h11.Response(status_code=reply.status, headers=headers)) or b""
    if reply.sent < 1:
        await stream.send(start + reply.body[: int(len(reply.body) * reply.sent)])
        return False
    whole = connection.send(h11.Data(reply.body)) or b""
    await stream.send(start + whole + (connection.send(h11.EndOfMessage()) or b""))
    return connection.our_state is h11.DONE
