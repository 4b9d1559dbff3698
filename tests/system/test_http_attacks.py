"""Attacks on the trigger, byte for byte, against the real daemon before a virtual lock.

Each test is about a row of docs/attacks.md, and ends with the lock's own count of openings. Rows
about the radio, the lock's protocol and callbacks are tested where those are.
"""

from __future__ import annotations

import json
import os
import random
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bleagent.http.listeners import ListenSettings, listening
from bleagent.http.server import make_server
from bleagent.http.wire import WireLimits
from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.system.attacker import AUTH, JSON, UNLOCK, Attacker, attacked, parse, rest
from tests.system.daemon import TOKEN, Site, unlock
from tests.system.hasty_daemon import CONNECTIONS, OPERATIONS

pytestmark = pytest.mark.anyio
WITHIN = 0.3
HASTY = (str(Path(__file__).with_name("hasty_daemon.py")), str(WITHIN))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_good_request_opens_it(tmp_path: Path) -> None:
    """So that the others prove something."""
    async with attacked(tmp_path, opened=1) as attacker:
        answer = await attacker.ask(UNLOCK, JSON, body=b"{}")
        assert answer.status == 200, answer


# -- row: DNS rebinding


async def test_another_name_for_us_opens_nothing(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        port = attacker.port
        for host in (
            "evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}",
            f"localhost.evil.example:{port}", "127.0.0.2", "[::ffff:127.0.0.1]", "2130706433",
        ):  # fmt: skip
            answer = await attacker.ask(UNLOCK, host=host)
            assert (answer.status, answer.code) == (421, "host-not-allowed")
            answer = await attacker.ask("GET /v1/locks HTTP/1.1", host=host)
            assert answer.status == 421
        absolute = "GET http://evil.example/v1/locks HTTP/1.1"
        assert (await attacker.ask(absolute)).code == "path-invalid"
        spoofed = await attacker.ask(
            "GET /v1/locks HTTP/1.1", "X-Forwarded-Host: localhost", host="evil.example"
        )
        assert spoofed.status == 421


async def test_no_name_or_two_are_no_name(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for head in (
            f"{UNLOCK}\r\n{AUTH}\r\nIdempotency-Key: a\r\n\r\n",
            f"{UNLOCK}\r\nHost: localhost\r\nHost: x.org\r\n{AUTH}\r\nIdempotency-Key: a\r\n\r\n",
            f"POST /v1/locks/front/unlock HTTP/1.0\r\n{AUTH}\r\nIdempotency-Key: a\r\n\r\n",
        ):
            answer = await attacker.raw(head.encode())
            assert answer.code in ("not-http", "host-not-allowed")


# -- row: CSRF from a LAN browser


async def test_no_form_and_no_page_of_others_opens_it(tmp_path: Path) -> None:
    form = b"deadline_ms=8000"
    async with attacked(tmp_path) as attacker:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; b=x"):
            answer = await attacker.ask(UNLOCK, f"Content-Type: {kind}", body=b'{"a":"="}')
            assert (answer.status, answer.code) == (415, "content-type-unusable")
        assert (await attacker.ask(UNLOCK, body=form)).status == 415  # a Blob without type
        for line in (
            "Origin: http://evil.example", "Origin: null", f"Origin: http://localhost:{9}",
            "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
        ):  # fmt: skip
            answer = await attacker.ask(UNLOCK, JSON, line, body=b"{}")
            assert (answer.status, answer.code) == (403, "origin-foreign")
            assert (await attacker.ask("GET /v1/locks HTTP/1.1", line)).status == 403


async def test_no_link_opens_it_and_no_preflight_is_answered(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "unlock"):
            answer = await attacker.ask(f"{method} /v1/locks/front/unlock HTTP/1.1")
            assert answer.status == 405
        for override in ("X-HTTP-Method-Override: POST", "X-Method-Override: POST"):
            answer = await attacker.ask("GET /v1/locks/front/unlock HTTP/1.1", override)
            assert answer.status == 405
        preflight = await attacker.ask(
            "OPTIONS /v1/locks/front/unlock HTTP/1.1", "Origin: http://evil.example",
            "Access-Control-Request-Method: POST", auth=None,
        )  # fmt: skip
        assert preflight.status == 403  # `parse` saw that it allows nothing


async def test_a_link_leads_to_the_page_and_to_nothing_that_acts_or_tells(tmp_path: Path) -> None:
    cross, navigate = "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"
    clicked = (cross, navigate, "Sec-Fetch-Dest: document")
    async with attacked(tmp_path) as attacker:
        page = await attacker.ask("GET / HTTP/1.1", *clicked, auth=None)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        for secret in (TOKEN, "front", "canary"):
            assert secret.encode() not in page.body  # it is the same for everybody
        for first, *lines in (
            (UNLOCK, *clicked), ("GET /v1/locks HTTP/1.1", *clicked),
            ("POST / HTTP/1.1", *clicked), ("GET /page/page.js HTTP/1.1", *clicked),
            ("GET / HTTP/1.1", cross, navigate, "Sec-Fetch-Dest: iframe"),
            ("GET / HTTP/1.1", cross, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"),
            ("GET / HTTP/1.1", *clicked, "Origin: http://evil.example"),
        ):  # fmt: skip
            assert (await attacker.ask(first, *lines)).code == "origin-foreign"
        rebound = await attacker.ask("GET / HTTP/1.1", *clicked, host="evil.example", auth=None)
        assert rebound.code == "host-not-allowed"
        exposed = await attacker.ask(f"GET /?token={TOKEN} HTTP/1.1", auth=None)
        assert exposed.code == "credential-in-url"


async def test_through_the_socket_there_is_no_page(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    site = Site(tmp_path, more={"": ""})
    async with site.up():
        text = site.config.read_text()
        site.config.write_text(text.replace("[http]\n", f'[http]\nsocket = "{path}"\n'))
        async with site.daemon() as (tcp, _):
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as unix:
                assert (await unix.get("/")).status_code == 404
                assert (await unix.get("/page/page.js")).status_code == 404
            assert (await tcp.get("/")).status_code == 200


# -- row: Token in URL, in logs


async def test_a_token_in_an_address_opens_nothing_and_is_not_written_down(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for auth in (AUTH, None):
            for query in (f"token={TOKEN}", f"x={TOKEN}", TOKEN, "access_token=guess"):
                target = f"/v1/locks/front/unlock?{query}"
                answer = await attacker.ask(f"POST {target} HTTP/1.1", JSON, auth=auth, body=b"{}")
                assert (answer.status, answer.code) == (400, "credential-in-url")
                assert TOKEN.encode() not in answer.body


# -- row: Brute force of tokens


async def test_guessing_is_held_up_and_whoever_knows_is_not(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        statuses = []
        for number in range(20):
            # A client's own word about its address makes it no other client.
            spoofed = f"X-Forwarded-For: 192.0.2.{number}"
            answer = await attacker.ask(UNLOCK, spoofed, auth=f"Authorization: Bearer {number}")
            statuses.append(answer.status)
        assert (statuses[:10], statuses[11:]) == ([401] * 10, [429] * 9)
        assert 1 <= int(answer.headers["retry-after"]) <= 6
        assert (await attacker.ask("GET /v1/locks HTTP/1.1")).status == 200
        log = attacker.site.log.read_text()
        assert log.count("auth.failed") == 1


async def test_no_other_way_to_say_it_is_a_token(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for auth in (
            "Authorization: Bearer", "Authorization: ", f"Authorization: Basic {TOKEN}",
            f"Authorization: {TOKEN}", f"Authorization: Bearer {TOKEN}x", f"Cookie: token={TOKEN}",
            f"X-Api-Key: {TOKEN}", f"Authorization: Bearer {TOKEN}\x00",
        ):  # fmt: skip
            assert (await attacker.ask(UNLOCK, auth=auth)).status in (400, 401)
        double = await attacker.ask(UNLOCK, "Authorization: Bearer x")
        assert (double.status, double.code) == (400, "header-repeated")


# -- row: Overflow and parser bugs in the HTTP API / JSON


async def test_what_is_too_large_ends_early(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        big = b'{"after":"' + b"x" * 9000 + b'"}'
        assert (await attacker.ask(UNLOCK, JSON, body=big)).code == "body-too-large"
        chunked = b"".join(b"400\r\n" + b" " * 1024 + b"\r\n" for _ in range(9)) + b"0\r\n\r\n"
        answer = await attacker.ask(UNLOCK, JSON, "Transfer-Encoding: chunked", body=chunked)
        assert answer.code == "body-too-large"
        for line in (f"X: {'y' * 9000}", "\r\n".join(f"X-{n}: y" for n in range(99))):
            assert (await attacker.ask(UNLOCK, line)).code == "head-too-large"
        assert (await attacker.ask(UNLOCK, f"X: {'y' * 99_000}")).status in (400, 431)
        endless = await attacker.raw(b"GET /" + b"a" * 200_000)
        assert endless.code == "not-http"


async def test_wrong_types_open_nothing(tmp_path: Path) -> None:
    deep = b"[" * 2000 + b"]" * 2000
    async with attacked(tmp_path) as attacker:
        for body in (
            b"[]", b'"x"', b"1", b"null", b"{", b"\xff\xfe", b'{"deadline_ms": "8000"}', deep,
            b'{"deadline_ms": 1e309}', b'{"deadline_ms": true}', b'{"deadline_ms": NaN}',
            b'{"deadline_ms": 99999999999999999999}', b'{"after": ["x"]}', b'{"__proto__": {}}',
            b'{"after": "\\ud800"}', b'{"deadline_ms": -1}', b'{"after": {"$ne": 1}}',
        ):  # fmt: skip
            answer = await attacker.ask(UNLOCK, JSON, body=body)
            assert (answer.status, answer.code) == (422, "request-invalid"), body


async def test_odd_names_and_keys_open_nothing(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for lock in (
            "FRONT", "front%20", "fr%C3%B6nt", "%EF%BD%86ront", "front%E2%80%8B", "front;x=1",
            "'%20OR%201=1--", "front%FF", "%F0%9F%9A%AA", "front%0d%0aX-Injected:%20yes",
        ):  # fmt: skip
            answer = await attacker.ask(f"POST /v1/locks/{lock}/unlock HTTP/1.1")
            assert answer.status in (400, 404, 422)
            assert "x-injected" not in answer.headers
        for key in ("k" * 256, "k\xe9y"):
            assert (await attacker.ask(UNLOCK, key=key)).status == 400
        double = await attacker.ask(UNLOCK, "Idempotency-Key: other")
        assert double.code == "header-repeated"


async def test_no_path_is_read_in_two_ways(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for path in (
            "//v1/locks/front/unlock", "/v1//locks/front/unlock", "/v1/locks/front/unlock/",
            "/v1/x/../locks/front/unlock", "/v1/locks/front%2funlock", "/livez/../v1/locks/front",
            "/v1/locks/front/%75nlock/..", "/v1/locks/front/unlock%00", "/v1\\locks\\front\\unlock",
            "/V1/locks/front/unlock", "/v1/locks/front/UNLOCK", "/v1/locks/front/unlock%20",
        ):  # fmt: skip
            answer = await attacker.ask(f"POST {path} HTTP/1.1")
            assert answer.status in (400, 404, 422), path
            assert "location" not in answer.headers


async def test_no_noise_stops_it(tmp_path: Path) -> None:
    seeded = random.Random(5)
    good = f"{UNLOCK}\r\nHost: localhost\r\n{AUTH}\r\nIdempotency-Key: n\r\n\r\n".encode()
    async with attacked(tmp_path) as attacker:
        for number in range(60):
            noise = bytearray(good if number % 2 else seeded.randbytes(len(good)))
            for _ in range(3):
                noise[seeded.randrange(len(UNLOCK))] = seeded.randrange(256)
            async with await attacker.connect() as stream:
                await stream.send(bytes(noise))
                await stream.send_eof()
                with anyio.fail_after(10):
                    parse(await rest(stream))
        assert "Invalid HTTP" not in attacker.site.log.read_text()


# -- row: Replay of local requests, row: Duplicate actuation


async def test_the_same_bytes_again_open_nothing_more(tmp_path: Path) -> None:
    async with attacked(tmp_path, opened=1) as attacker:
        first = await attacker.ask(UNLOCK, JSON, body=b"{}", key="once")
        again = await attacker.ask(UNLOCK, JSON, body=b"{}", key="once")
        assert (first.status, again.status) == (200, 200)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.body == first.body


async def test_nothing_is_smuggled_in_behind_a_request(tmp_path: Path) -> None:
    hidden = f"{UNLOCK}\r\nHost: localhost\r\n{AUTH}\r\nIdempotency-Key: h\r\n\r\n"
    async with attacked(tmp_path) as attacker:
        start = f"POST /v1/locks/front/hint HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\n{JSON}\r\n"
        for lines in (
            f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked",
            f"Content-Length: 5\r\nContent-Length: {len(hidden) + 5}",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Content-Length: +5",
            "Content-Length: 0x5", "Transfer-Encoding: chunked, identity", "Content-Length: 5, 6",
        ):  # fmt: skip
            answer = await attacker.raw(f"{start}{lines}\r\n\r\n0\r\n\r\n{hidden}".encode())
            assert answer.status in (400, 501)


def pipelined(key: str, more: str = "") -> bytes:
    head = f"{UNLOCK}\r\nHost: localhost\r\n{AUTH}\r\nIdempotency-Key: {key}\r\n{more}\r\n"
    return head.encode()


UPGRADE = "Connection: Upgrade\r\nUpgrade: h2c\r\n"


async def test_of_requests_that_do_not_wait_for_answers_the_first_is_carried_out(
    tmp_path: Path,
) -> None:
    async with attacked(tmp_path, opened=1) as attacker:
        answer = await attacker.raw(pipelined("first") + pipelined("second") + b"X" * 100_000)
        assert answer.status == 200
        assert json.loads(answer.body)["outcome"] == "confirmed"  # and nothing behind it


async def test_another_protocol_is_not_spoken_and_the_request_carried_out(tmp_path: Path) -> None:
    async with attacked(tmp_path, opened=1) as attacker:
        answer = await attacker.raw(pipelined("first", UPGRADE) + b"PRI * HTTP/2.0\r\n")
        assert answer.status == 200


# -- row: Stale or retained command, where nobody waits any more


@pytest.mark.parametrize(
    ("lines", "behind"), [("", pipelined("more")), (UPGRADE, b"PRI * HTTP/2.0")]
)
async def test_whoever_asks_for_more_and_hangs_up_has_hung_up(
    tmp_path: Path, lines: str, behind: bytes
) -> None:
    async with attacked(tmp_path) as attacker:
        slow = Fault(FaultKind.SLOW, seconds=3.0)
        attacker.site.cloud.faults.always("doorLock.bleOpenInstruction", slow)
        async with await attacker.connect() as stream:
            await stream.send(pipelined("gone", lines))
            with anyio.fail_after(10):
                while not attacker.site.cloud.calls["doorLock.bleOpenInstruction"]:
                    await anyio.sleep(0.02)
            await stream.send(behind)
            await anyio.sleep(0.1)
        with anyio.fail_after(2.5):  # before the cloud has answered
            while (answer := await unlock(attacker.client, "gone")).status_code == 202:
                await anyio.sleep(0.05)
        assert answer.json()["code"] == "cancelled"


# -- row: Denial by holding the single connection, as far as HTTP goes; rule F7


async def test_who_is_slow_is_cut_off(tmp_path: Path) -> None:
    async with attacked(tmp_path, *HASTY) as attacker:
        head = f"{UNLOCK}\r\nHost: localhost\r\n{AUTH}\r\nIdempotency-Key: s\r\n{JSON}\r\n"
        for sent, part in (
            (b"GET / HT", "head"),
            (head.encode(), "head"),
            (f"{head}Content-Length: 2\r\n\r\n{{".encode(), "body"),
            (f"{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n".encode(), "body"),
        ):
            answer = await attacker.raw(sent)
            assert (answer.status, answer.code) == (408, "too-slow")
            assert part in json.loads(answer.body)["detail"]
        assert (await attacker.raw(b"")).status == 0  # nothing was asked, nothing is said


async def test_a_drop_now_and_then_buys_no_time(tmp_path: Path) -> None:
    async with attacked(tmp_path, *HASTY) as attacker, await attacker.connect() as stream:
        begun = anyio.current_time()
        with anyio.fail_after(10):
            try:
                for sign in UNLOCK * 9:
                    await stream.send(sign.encode())
                    await anyio.sleep(WITHIN / 4)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
        assert anyio.current_time() - begun < WITHIN * 4


async def test_who_was_quick_once_has_no_more_time_later(tmp_path: Path) -> None:
    async with attacked(tmp_path, *HASTY) as attacker, await attacker.connect() as stream:
        await stream.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in await stream.receive()
        await stream.send(b"GET /livez HTTP/1.1\r\nHo")
        with anyio.fail_after(5):
            assert parse(await rest(stream)).code == "too-slow"


async def test_who_only_holds_connections_makes_room(tmp_path: Path) -> None:
    async with attacked(tmp_path, *HASTY, opened=1) as attacker:
        held = [await attacker.connect() for _ in range(CONNECTIONS * 5)]
        answer = await attacker.ask(UNLOCK, JSON, body=b"{}")
        assert answer.status == 200
        for stream in held:
            await stream.aclose()


async def test_who_does_not_read_the_answer_does_not_keep_the_connection() -> None:
    async def much(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(30_000_000)})

    ready, limits = anyio.Event(), WireLimits(read_within=WITHIN)
    server = make_server(much, ready.set, stop_within=1, limits=limits)
    with listening(ListenSettings()) as listeners:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listeners.sockets)
            await ready.wait()
            async with await anyio.connect_tcp("127.0.0.1", listeners.port) as stream:
                await stream.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with anyio.fail_after(limits.idle - 1):
                    while not server.server_state.total_requests:
                        await anyio.sleep(0.01)
                    while server.server_state.connections:
                        await anyio.sleep(0.01)
            server.should_exit = True


# -- rule F4: a bucket of its own for doors


async def test_a_caller_operates_doors_so_often_and_a_known_key_is_no_operation(
    tmp_path: Path,
) -> None:
    async with attacked(tmp_path, *HASTY, opened=1) as attacker:
        first = await unlock(attacker.client, "known")
        assert first.status_code == 200
        for _ in range(OPERATIONS * 2):
            assert (await unlock(attacker.client, "known")).json() == first.json()
        refused = [await unlock(attacker.client, f"new-{n}") for n in range(OPERATIONS)]
        assert [one.status_code for one in refused] == [409, 409, 429]  # it rests, then no more
        assert 1 <= int(refused[-1].headers["retry-after"]) <= 60
        assert (await unlock(attacker.client, "known")).json() == first.json()
        assert (await attacker.client.get("/v1/locks")).status_code == 200


# -- row: Local user on the gateway; rule F5


class SocketSite(Site):
    """With a Unix socket in a folder of a short name, and who may use it."""

    users = ""

    def configure(self, base_url: str, radio: str) -> None:
        super().configure(base_url, radio)
        text = self.config.read_text()
        mine = f'[http]\nsocket = "{self.folder}/s"\n'
        text = text.replace("[http]\n", mine, 1).replace("[cloud]\n", f"{self.users}[cloud]\n", 1)
        self.config.write_text(text)


@asynccontextmanager
async def through_socket(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "s"))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=30
    ) as client:
        yield client


async def test_a_named_user_needs_no_token_at_the_socket(tmp_path: Path) -> None:
    site = SocketSite(tmp_path)
    site.users = f"[[http.users]]\nuid = {os.getuid()}\n"
    async with site.up(), site.daemon() as (by_tcp, _), through_socket(tmp_path) as client:
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
        answer = await unlock(client, "one")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "confirmed")
        del by_tcp.headers["Authorization"]
        assert (await by_tcp.get("/v1/locks")).status_code == 401
        for name, value, status in (
            ("Host", "evil.example", 421), ("Host", "", 421), ("Origin", "http://localhost", 403),
            ("Authorization", "Bearer wrong", 401),
        ):  # fmt: skip
            assert (await client.get("/v1/locks", headers={name: value})).status_code == status
        again = await unlock(by_tcp, "one")
        assert again.status_code == 401
        assert site.opened == 1
    assert not (tmp_path / "s").exists()


async def test_nobody_else_is_let_in_there_not_even_root(tmp_path: Path) -> None:
    site = SocketSite(tmp_path)
    site.users = f"[[http.users]]\nuid = {os.getuid() + 1}\n"
    async with site.up(), site.daemon(), through_socket(tmp_path) as client:
        answer = await unlock(client, "one")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        assert (await client.get("/v1/locks")).status_code == 200
        assert site.opened == 0


async def test_a_daemon_that_was_killed_leaves_no_socket_in_the_way(tmp_path: Path) -> None:
    site = SocketSite(tmp_path)
    async with site.up():
        async with site.daemon() as (_, process):
            process.kill()
            await process.wait()
        assert (tmp_path / "s").exists()
        async with site.daemon(), through_socket(tmp_path) as client:
            assert (await client.get("/livez")).status_code == 200


async def test_callers_at_the_socket_have_places_of_their_own(tmp_path: Path) -> None:
    site = SocketSite(tmp_path)
    async with site.up(), site.daemon(by=[HASTY[0], "30"]) as (by_tcp, _):
        attacker = Attacker(by_tcp, site)
        busy = f"{UNLOCK}\r\nHost: localhost\r\n{AUTH}\r\n{JSON}\r\nContent-Length: 4\r\n"
        held = [await attacker.connect() for _ in range(CONNECTIONS)]
        for number, stream in enumerate(held):
            await stream.send(f"{busy}Idempotency-Key: {number}\r\n\r\n".encode())
        await anyio.sleep(0.2)  # until their bodies are waited for
        assert (await attacker.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")).status == 0
        async with through_socket(tmp_path) as client:
            assert (await client.get("/livez")).status_code == 200
        for stream in held:
            await stream.aclose()
        assert site.opened == 0


async def test_without_tcp_there_is_the_socket_for_the_commands_too(tmp_path: Path) -> None:
    site = SocketSite(tmp_path)
    async with site.up():
        site.config.write_text(site.config.read_text().replace("port = 0", "tcp = false", 1))
        async with site.daemon(), through_socket(tmp_path) as client:
            assert (await client.get("/livez")).status_code == 200
            asked = await anyio.run_process(
                [sys.executable, "-m", "bleagent", "records", "outbox", "--json",
                 "--config", str(site.config)],
            )  # fmt: skip
            assert json.loads(asked.stdout)["sinks"] == []


# -- row: Stale or retained command; rule A3


async def test_what_was_queued_before_it_was_ready_opens_nothing(tmp_path: Path) -> None:
    site, told = Site(tmp_path), tmp_path / "answer"
    request = f"{UNLOCK}\r\nHost: localhost\r\n{AUTH}\r\nIdempotency-Key: old\r\n\r\n"
    told.write_text(request)
    program = [str(Path(__file__).with_name("activated_daemon.py")), str(tmp_path / "s"), str(told)]
    async with site.up():
        async with site.daemon(by=program), through_socket(tmp_path) as client:
            client.headers["Authorization"] = f"Bearer {TOKEN}"
            assert (await unlock(client, "new")).json()["outcome"] == "confirmed"
            assert site.opened == 1
        assert told.read_bytes() == b""
        assert "listener.queue_closed" in site.log.read_text()
        assert (tmp_path / "s").exists()  # it is systemd's


def test_the_attacker_reads_answers_strictly() -> None:
    for lost in ("cache-control: no-store", "x-content-type-options: nosniff"):
        lines = ["HTTP/1.1 200 OK", "cache-control: no-store", "x-content-type-options: nosniff"]
        lines.remove(lost)
        with pytest.raises(KeyError):
            parse("\r\n".join(lines).encode())
