"""httpx as our transport: what it sends, what it takes, and how its failures are called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.cloud.codec import MAX_BODY
from bleagent.cloud.errors import BadAnswer, CloudError, CloudTimeout, CloudUnreachable
from bleagent.cloud.transport import HttpAnswer
from bleagent.simulator.cloud_checks import Received
from bleagent.simulator.cloud_http import Reply, serve_connection

Serve = Callable[[SocketStream], Awaitable[None]]
SECRET = "secretcanary"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
        yield f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


def replying(reply: Reply, seen: list[Received] | None = None) -> Serve:
    async def handle(request: Received) -> Reply:
        await anyio.lowlevel.checkpoint()
        if seen is not None:
            seen.append(request)
        return reply

    return lambda stream: serve_connection(stream, handle)


async def send(url: str, *, content: bytes = b"", time_limit: float = 5.0) -> HttpAnswer:
    async with HttpxTransport() as transport:
        return await transport.send(
            "POST", url, headers={"sign": SECRET}, content=content, time_limit=time_limit
        )


async def failure(serve: Serve, *, time_limit: float = 5.0) -> CloudError:
    caught: CloudError | None = None
    async with listening(serve) as url:
        try:
            await send(f"{url}/{SECRET}", time_limit=time_limit)
        except CloudError as error:
            caught = error
    assert caught is not None
    assert SECRET not in f"{caught!r} {caught}"
    return caught


@pytest.mark.anyio
async def test_exactly_the_given_bytes_and_target_are_sent() -> None:
    seen: list[Received] = []
    async with listening(replying(Reply(b"{}"), seen)) as url:
        answer = await send(f"{url}/v1.0/x?a=1%2C2%20%C3%A9", content=b'{ "a":\t1}')
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["content-type"].startswith("application/json")
    (request,) = seen
    assert request.target == "/v1.0/x?a=1%2C2%20%C3%A9"
    assert request.body == b'{ "a":\t1}'
    assert request.headers["sign"] == SECRET
    assert request.headers["accept-encoding"] == "identity"
    assert "cookie" not in request.headers


@pytest.mark.anyio
async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    seen: list[Received] = []
    async with listening(replying(Reply(b"", 302), seen)) as url:
        assert (await send(url)).status == 302
    assert len(seen) == 1


@pytest.mark.anyio
async def test_an_endless_answer_is_cut_short() -> None:
    error = await failure(replying(Reply(bytes(MAX_BODY + 1))))
    assert type(error) is BadAnswer
    assert error.ambiguous


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [0.0, 0.5])
async def test_an_answer_that_breaks_off_is_ambiguous(sent: float) -> None:
    error = await failure(replying(Reply(b"{}" * 100, sent=sent)))
    assert type(error) is CloudUnreachable
    assert error.ambiguous


@pytest.mark.anyio
async def test_something_else_than_http_is_ambiguous() -> None:
    async def mumble(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    error = await failure(mumble)
    assert type(error) is CloudUnreachable
    assert error.ambiguous


@pytest.mark.anyio
async def test_silence_is_a_timeout_and_ambiguous() -> None:
    async def silent(stream: SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    error = await failure(silent, time_limit=0.05)
    assert type(error) is CloudTimeout
    assert error.ambiguous


@pytest.mark.anyio
async def test_an_answer_that_drips_is_a_timeout_all_the_same() -> None:
    async def drip(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                await stream.send(b"x")
                await anyio.sleep(0.01)

    with anyio.fail_after(5):
        error = await failure(drip, time_limit=0.1)
    assert type(error) is CloudTimeout
    assert error.ambiguous


@pytest.mark.anyio
async def test_a_port_where_nobody_listens_is_certain() -> None:
    async with listening(replying(Reply(b""))) as url:
        pass
    with pytest.raises(CloudUnreachable) as caught:
        await send(url)
    assert not caught.value.ambiguous
    assert str(caught.value) == "Not connected: Connection refused"


@pytest.mark.anyio
async def test_a_host_that_has_no_address_is_said_to_have_none() -> None:
    with pytest.raises(CloudUnreachable) as caught:
        await send("http://nobody.invalid:1/")
    assert "nobody.invalid" not in str(caught.value)
    assert str(caught.value) != "Not connected: ConnectError"
