"""TLS for the TCP listener: certificates, handshakes before they are connections, and names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from anyio.streams.tls import TLSStream
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from uvicorn import Config
from uvicorn.server import ServerState

from bleagent.certificate import pinned, read_certificate
from bleagent.errors import CertificateError, ListenError
from bleagent.http.handshakes import Handshakes
from bleagent.http.limits import HandshakeLimits, Rate
from bleagent.http.listeners import ListenSettings, listening
from bleagent.http.peer import Peer
from bleagent.http.rules import Rules
from bleagent.http.server import Server, make_server
from bleagent.http.tls import Tls, make_identity
from bleagent.http.wire import GuardedProtocol, WireLimits
from bleagent.wiring.entrance import watch_end
from protocol import Secret
from tests.agent.certificates import Authority, Issued
from tests.agent.test_http_guard import LOCAL, TCP, HandClock, head

pytestmark = pytest.mark.anyio
WITHIN = 0.3
HELLO = b"\x16\x03\x01\x02\x00"  # of a handshake's first record, and no more


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue("localhost", "127.0.0.1", "gate.lan", "fd00::1", "*.gate.lan")


# -- certificate and key


def test_what_is_to_be_shown_is_read_from_the_certificate(issued: Issued) -> None:
    found = issued.identity()
    assert found.names == {"localhost", "127.0.0.1", "gate.lan", "FD00:0:0:0:0:0:0:1"}
    assert found.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert found.expires > 4e9
    assert "key" not in repr(found).lower()


def test_one_that_is_over_is_read_all_the_same(authority: Authority) -> None:
    over = authority.issue("localhost", until=datetime(2020, 1, 1), since=False)  # noqa: DTZ001
    assert over.identity().expires == 1577836800


def with_passphrase(key: Secret) -> Secret:
    found = serialization.load_pem_private_key(key.reveal(), None)
    return Secret(
        found.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"canary"),
        )
    )  # fmt: skip


def test_what_cannot_be_used_is_refused_in_words(authority: Authority, issued: Issued) -> None:
    other = authority.issue("localhost").key
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for certificate, key, words in (
        (issued.certificate, other, "is not that of its certificate"),
        (issued.certificate, with_passphrase(issued.key), "has a passphrase"),
        (issued.certificate, Secret(b"canary"), "is no PEM private key"),
        (issued.certificate, Secret(b"-----BEGIN PRIVATE KEY-----\ncanary"), "cannot be used"),
        (broken, issued.key, "cannot be used"),
    ):
        with pytest.raises(CertificateError, match=words) as caught:
            make_identity(certificate, key)
        assert "canary" not in str(caught.value)


def test_a_sandbox_without_memory_files_is_told(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_name: str) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("os.memfd_create", none)
    with pytest.raises(CertificateError, match="OpenSSL: Function not implemented"):
        issued.identity()


def for_clients_only() -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1))  # noqa: DTZ001 - UTC is meant
        .not_valid_after(datetime(2999, 1, 1))  # noqa: DTZ001
        .add_extension(usage, critical=False)
        .sign(key, SHA256())
    )
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Issued(
        made.public_bytes(serialization.Encoding.PEM).decode(),
        Secret(key.private_bytes(serialization.Encoding.PEM, kind, plain)),
    )


def test_one_that_no_client_takes_is_refused() -> None:
    with pytest.raises(CertificateError, match="no client takes"):
        for_clients_only().identity()


def test_one_without_names_has_none(authority: Authority) -> None:
    assert authority.issue("me@example.org").identity().names == set()


def test_a_file_of_certificates_is_one(tmp_path: Path, issued: Issued) -> None:
    path = issued.write(tmp_path)
    assert read_certificate(path) == issued.certificate
    for text, words in (
        ("", "no PEM certificate"),
        (issued.certificate + issued.key.reveal().decode(), "found a private key in it"),
    ):
        path.write_text(text)
        with pytest.raises(CertificateError, match=words):
            read_certificate(path)
    path.unlink()
    with pytest.raises(CertificateError, match="No such file"):
        read_certificate(path)


# -- a server of ours


async def app(scope: Scope, _receive: Receive, send: Send) -> None:
    """Says by what it was asked."""
    length = int(scope["path"].removeprefix("/") or 0)
    body = bytes(length) or scope["scheme"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(
    tls: Tls, handshakes: HandshakeLimits | None = None, wire: WireLimits | None = None,
    path: Path | None = None,
) -> AsyncIterator[tuple[Server, int]]:  # fmt: skip
    ready = anyio.Event()
    server = make_server(app, ready.set, stop_within=1, limits=wire, tls=tls, handshakes=handshakes)
    with listening(ListenSettings(path=path)) as listeners:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listeners.sockets)
            await ready.wait()
            yield server, listeners.port
            server.should_exit = True


def shaking(server: Server) -> int:
    assert server._handshakes is not None
    return len(server._handshakes)


async def until(server: Server, handshakes: int = 0, connections: int = 0) -> None:
    with anyio.fail_after(5):
        while (shaking(server), len(server.server_state.connections)) != (handshakes, connections):
            await anyio.sleep(0.01)


async def ask(port: int, context: ssl.SSLContext, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=5) as client:
        return await client.get(f"https://127.0.0.1:{port}/", **more)


async def connect(port: int) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", port)


async def is_cut_off(stream: SocketStream, within: float = 5.0) -> bool:
    with anyio.fail_after(within):
        try:
            return await stream.receive() == b""
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True


async def test_tcp_is_in_tls_and_the_socket_beside_it_is_not(
    tmp_path: Path, authority: Authority, issued: Issued
) -> None:
    async with serving(Tls(issued.identity()), path=tmp_path / "s") as (_, port):
        assert (await ask(port, authority.trusted())).text == "https"
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s"))
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.get("http://localhost/")).text == "http"


async def test_who_trusts_another_authority_is_not_answered(issued: Issued) -> None:
    async with serving(Tls(issued.identity())) as (server, port):
        with capture_logs() as lines, pytest.raises(httpx.ConnectError, match="VERIFY_FAILED"):
            await ask(port, Authority().trusted())
        with capture_logs() as more:
            await until(server)
    lines += more
    told = [line for line in lines if line["event"] == "tls.refused"]
    assert [line["client"] for line in told] == ["127.0.0.1"]


async def test_what_is_not_tls_is_not_answered(issued: Issued) -> None:
    async with serving(Tls(issued.identity())) as (server, port):
        for sent in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x00" * 100, b"x"):
            async with await connect(port) as stream:
                await stream.send(sent)
                await stream.send_eof()
                assert b"HTTP" not in await rest(stream)
        assert server.server_state.total_requests == 0
        await until(server)


async def rest(stream: SocketStream) -> bytes:
    raw = b""
    with anyio.fail_after(5), contextlib.suppress(anyio.BrokenResourceError):
        async for chunk in stream:
            raw += chunk
    return raw


def old(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = authority.trusted()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def test_no_old_version_is_spoken(authority: Authority, issued: Issued) -> None:
    newest = authority.trusted()
    newest.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(Tls(issued.identity())) as (server, port):
        assert (await ask(port, newest)).status_code == 200
        with capture_logs() as lines, pytest.raises(httpx.ConnectError):
            await ask(port, old(authority, ssl.TLSVersion.TLSv1_1))
        await until(server)
    assert {"tls.refused", "UNSUPPORTED_PROTOCOL"} <= {
        str(x) for one in lines for x in one.values()
    }


async def test_a_slow_handshake_is_cut_off_and_is_no_connection(
    authority: Authority, issued: Issued
) -> None:
    limits = HandshakeLimits(within=WITHIN)
    async with serving(Tls(issued.identity()), limits, WireLimits(tcp=1)) as (server, port):
        async with await connect(port) as silent, await connect(port) as slow:
            await slow.send(HELLO)
            await until(server, handshakes=2)
            assert (
                await ask(port, authority.trusted())
            ).status_code == 200  # the one place is free
            begun = anyio.current_time()
            assert await is_cut_off(silent)
            assert await is_cut_off(slow)
            assert anyio.current_time() - begun < WITHIN * 4
        await until(server)


async def test_the_oldest_handshake_makes_room(authority: Authority, issued: Issued) -> None:
    limits = HandshakeLimits(within=60, of_peer=2)
    async with serving(Tls(issued.identity()), limits) as (server, port):
        first, second, third = [await connect(port) for _ in range(3)]
        assert await is_cut_off(first)
        await until(server, handshakes=2)
        assert (await ask(port, authority.trusted())).status_code == 200
        assert await is_cut_off(second)
        await until(server, handshakes=1)
        await third.aclose()
        await until(server)
        await second.aclose()
        await first.aclose()


async def test_all_peers_together_have_so_many(issued: Issued) -> None:
    limits = HandshakeLimits(within=60, at_once=2)
    async with serving(Tls(issued.identity()), limits) as (server, port):
        streams = [await connect(port) for _ in range(3)]
        assert await is_cut_off(streams[0])
        await until(server, handshakes=2)
        for stream in streams:
            await stream.aclose()


async def test_from_the_network_there_are_only_so_many_in_a_minute(
    authority: Authority, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = HandshakeLimits(rate=Rate(burst=2, per_minute=1))
    async with serving(Tls(issued.identity()), limits) as (_, port):
        for _ in range(4):  # programs of this machine are not counted
            assert (await ask(port, authority.trusted())).status_code == 200
        monkeypatch.setattr(Peer, "remote", property(lambda _: True))
        for _ in range(2):
            assert (await ask(port, authority.trusted())).status_code == 200
        with pytest.raises(httpx.TransportError):
            await ask(port, authority.trusted())


async def test_nobody_fills_the_log_with_handshakes(issued: Issued) -> None:
    limits = HandshakeLimits(told=Rate(burst=3, per_minute=1))
    async with serving(Tls(issued.identity()), limits) as (server, port):
        with capture_logs() as lines:
            for _ in range(8):
                async with await connect(port) as stream:
                    await stream.send(b"GET / HTTP/1.1\r\n\r\n")
                    await rest(stream)
            await until(server)
    told = [line for line in lines if line["event"] == "tls.refused"]
    assert [line["reason"] for line in told] == ["HTTP_REQUEST"] * 3


async def test_the_stop_waits_for_no_handshake(issued: Issued) -> None:
    async with serving(Tls(issued.identity()), HandshakeLimits(within=60)) as (server, port):
        held = [await connect(port) for _ in range(3)]
        await until(server, handshakes=3)
        begun = anyio.current_time()
    assert anyio.current_time() - begun < 1.5
    for stream in held:
        assert await is_cut_off(stream)
        await stream.aclose()


async def test_the_stop_waits_for_nobody_who_says_no_goodbye(
    authority: Authority, issued: Issued
) -> None:
    limits, wire = HandshakeLimits(close_within=60), WireLimits(stop_within=WITHIN, idle=60)
    async with serving(Tls(issued.identity()), limits, wire) as (server, port):
        idle = await secured(port, authority)
        await idle.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in await idle.receive()
        await until(server, connections=1)
        begun = anyio.current_time()
    assert anyio.current_time() - begun < 0.9  # stop_within of the whole server is 1
    with contextlib.suppress(anyio.BrokenResourceError):
        await idle.aclose()


async def test_without_descriptors_it_waits_and_goes_on(
    authority: Authority, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bleagent.http.handshakes.PAUSE", 0.01)
    left = [OSError(24, "Too many open files"), ConnectionAbortedError(), OSError(24, "again")]
    loop = asyncio.get_running_loop()
    really = loop.sock_accept

    async def accept(listener: socket.socket) -> Any:
        if left:
            raise left.pop()
        return await really(listener)

    monkeypatch.setattr(loop, "sock_accept", accept)
    with capture_logs() as lines:
        async with serving(Tls(issued.identity())) as (_, port):
            assert (await ask(port, authority.trusted())).status_code == 200
    assert [line["event"] for line in lines].count("tls.not_accepting") == 2


async def test_one_that_ends_before_it_began_is_hung_up_on_too(issued: Issued) -> None:
    limits = HandshakeLimits(of_peer=1)
    handshakes = Handshakes(Tls(issued.identity()), asyncio.Protocol, limits)
    pairs = [socket.socketpair() for _ in range(2)]
    for ours, _ in pairs:
        handshakes._begin(ours, Peer(address="127.0.0.1"))
    await handshakes.stop()
    assert len(handshakes) == 0
    for ours, theirs in pairs:
        with theirs:
            assert ours.fileno() == -1
            assert theirs.recv(1) == b""


async def test_many_that_wait_do_not_keep_others_waiting(issued: Issued) -> None:
    handshakes = Handshakes(Tls(issued.identity()), asyncio.Protocol)
    rounds, many = 0, 20
    with listening(ListenSettings()) as listeners:
        address = ("127.0.0.1", listeners.port)
        waiting = [socket.create_connection(address) for _ in range(many)]
        handshakes.start(listeners.sockets)
        with monkeyed_begin(handshakes) as begun, anyio.fail_after(5):
            while len(begun) < many:
                rounds += 1
                await asyncio.sleep(0)
        await handshakes.stop()
        for one in waiting:
            one.close()
    assert rounds >= many


@contextlib.contextmanager
def monkeyed_begin(handshakes: Handshakes) -> Iterator[list[Peer]]:
    """Who has been accepted; each is hung up on."""
    begun: list[Peer] = []

    def begin(connected: socket.socket, peer: Peer) -> None:
        connected.close()
        begun.append(peer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handshakes, "_begin", begin)
        yield begun


async def test_a_new_identity_is_shown_from_the_next_connection_on(
    authority: Authority, issued: Issued
) -> None:
    tls, other = Tls(issued.identity()), Authority()
    before = httpx.AsyncClient(verify=authority.trusted(), trust_env=False)
    async with serving(tls) as (_, port), before:
        url = f"https://127.0.0.1:{port}/"
        assert (await before.get(url)).status_code == 200
        tls.identity = other.issue("127.0.0.1", rsa=True).identity()
        assert (await before.get(url)).status_code == 200  # it goes on as it began
        with pytest.raises(httpx.ConnectError, match="VERIFY_FAILED"):
            await ask(port, authority.trusted())
        assert (await ask(port, other.trusted())).status_code == 200


# -- the wire's own bounds hold inside


async def secured(port: int, authority: Authority) -> TLSStream:
    return await anyio.connect_tcp(
        "127.0.0.1", port, tls=True, ssl_context=authority.trusted(), tls_standard_compatible=False
    )


async def all_of(stream: TLSStream) -> bytes:
    raw = b""
    with anyio.fail_after(5), contextlib.suppress(anyio.BrokenResourceError):
        async for chunk in stream:
            raw += chunk
    return raw


async def test_slow_heads_and_many_connections_are_bounded_inside(
    authority: Authority, issued: Issued
) -> None:
    tls = Tls(issued.identity())
    async with serving(tls, wire=WireLimits(head_within=WITHIN)) as (_, port):
        slow = await secured(port, authority)
        await slow.send(b"GET / HT")
        assert b"too-slow" in await all_of(slow)
        await slow.aclose()
    async with serving(tls, wire=WireLimits(head_within=60, tcp=2)) as (server, port):
        idle = [await secured(port, authority) for _ in range(5)]
        await until(server, connections=2)
        assert (await ask(port, authority.trusted())).status_code == 200
        for stream in idle:
            with contextlib.suppress(anyio.BrokenResourceError):
                await stream.aclose()


@pytest.mark.parametrize("length", [0, 30_000_000])
async def test_who_does_not_read_the_answer_does_not_keep_the_connection(
    authority: Authority, issued: Issued, length: int
) -> None:
    wire = WireLimits(read_within=WITHIN, idle=1)
    limits = HandshakeLimits(close_within=WITHIN)
    async with serving(Tls(issued.identity()), limits, wire) as (server, port):
        stream = await secured(port, authority)
        await stream.send(f"GET /{length} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        with anyio.fail_after(5):
            while not server.server_state.total_requests:
                await anyio.sleep(0.01)
        await until(server)
        with contextlib.suppress(anyio.BrokenResourceError):
            await stream.aclose()


async def test_a_large_answer_comes_whole(authority: Authority, issued: Issued) -> None:
    client = httpx.AsyncClient(verify=authority.trusted(), trust_env=False)
    async with serving(Tls(issued.identity())) as (_, port), client:
        for _ in range(2):
            answer = await client.get(f"https://127.0.0.1:{port}/3000000")
            assert len(answer.content) == 3_000_000


class FakeTransport:
    """A connection from an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.gone = False
        self.family = socket.AF_INET

    def getsockname(self) -> tuple[str, int]:
        return self.address, 1

    getpeername = getsockname

    def get_extra_info(self, name: str) -> Any:
        return {"socket": self, "peername": (self.address, 1)}.get(name)

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def is_closing(self) -> bool:
        return self.gone

    def abort(self) -> None:
        self.gone = True


async def test_one_address_of_the_network_has_so_many_connections() -> None:
    config, state = Config(app, lifespan="off"), ServerState()
    config.load()
    made = GuardedProtocol.limited(WireLimits(tcp=5, of_address=2))

    def connected(address: str) -> FakeTransport:
        transport = FakeTransport(address)
        protocol: Any = made(config=config, server_state=state, app_state={})
        protocol.connection_made(transport)
        return transport

    near = [connected("127.0.0.1") for _ in range(3)]
    far = [connected("192.0.2.1") for _ in range(4)]
    assert [one.gone for one in near] == [False] * 3
    assert [one.gone for one in far] == [True, True, False, False]
    for one in list(state.connections):
        one.connection_lost(OSError())


# -- names, and where it may listen


def test_names_of_the_certificate_are_ours_over_tcp_only_and_change_with_it() -> None:
    names = {"gate.lan", "FD00:0:0:0:0:0:0:1"}
    rules = Rules(hosts=("192.0.2.1",), certified=lambda: names)
    for host in ("gate.lan:8580", "GATE.lan.", "[fd00::1]:8580", "192.0.2.1", "localhost"):
        assert rules.refuse(head(host=host)) is None
    for host, peer in (("x.gate.lan", TCP), ("*.gate.lan", TCP), ("gate.lan", LOCAL)):
        refusal = rules.refuse(head(host=host, peer=peer))
        assert refusal is not None
        assert refusal.code == "host-not-allowed"
    names.clear()
    assert rules.refuse(head(host="gate.lan")) is not None


def test_without_tls_nothing_but_loopback_is_listened_on() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):  # noqa: S104 - refused
        wide = listening(ListenSettings(host=host))
        with pytest.raises(ListenError, match="expected loopback"), wide:
            pass
    with listening(ListenSettings(host="0.0.0.0", secured=True)) as listeners:  # noqa: S104
        assert listeners.port > 0
        assert listeners.names == frozenset()


def test_a_name_that_is_none_is_refused_in_words() -> None:
    nowhere = listening(ListenSettings(host="no.such.invalid", secured=True))
    with pytest.raises(ListenError, match=r"no\.such\.invalid cannot be looked up"), nowhere:
        pass


@pytest.mark.parametrize(
    ("address", "remote"),
    [("127.0.0.1", False), ("127.9.9.9", False), ("::1", False), ("::ffff:127.0.0.1", False),
     ("192.168.1.5", True), ("fe80::1", True), ("::ffff:10.0.0.1", True), ("x", True)],
)  # fmt: skip
def test_who_comes_over_the_network(address: str, remote: bool) -> None:
    assert Peer(address=address).remote is remote
    assert not Peer(uid=1).remote


# -- our own commands


async def test_what_is_pinned_is_known_itself_whatever_its_names_and_dates(
    authority: Authority,
) -> None:
    over = authority.issue("gate.lan", until=datetime(2020, 1, 1), since=False)  # noqa: DTZ001
    async with serving(Tls(over.identity())) as (_, port):
        assert (await ask(port, pinned(over.certificate))).status_code == 200
        with pytest.raises(httpx.ConnectError, match="VERIFY_FAILED"):
            await ask(port, pinned(authority.issue("gate.lan").certificate))


# -- its end


async def test_it_is_warned_of_before_its_end_and_after(authority: Authority) -> None:
    tls = Tls(authority.issue("x", until=datetime(2020, 1, 1), since=False).identity())  # noqa: DTZ001
    for days, said in ((-30, None), (-13, False), (1, True)):
        clock = HandClock(tls.identity.expires + days * 86400)
        with capture_logs() as lines:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch_end, tls, clock)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        told = [(one["ends"][:10], one["over"]) for one in lines]
        assert told == ([] if said is None else [("2020-01-01", said)])
