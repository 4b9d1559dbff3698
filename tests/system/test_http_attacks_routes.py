"""Attacks on the routes beside the doors, and less usual ways to attack those of doors.

As test_http_attacks, before the real daemon. docs/attacks.md has the rows.
"""

from __future__ import annotations

import gzip
import json
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from bleagent.http.api import ROWS
from bleagent.http.events import MOST, OF_CALLER
from tests.system.attacker import AUTH, JSON, UNLOCK, Attacker, attacked
from tests.system.daemon import TOKEN, unlock
from tests.system.following import follow

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def issued(attacker: Attacker, *scopes: str) -> dict[str, str]:
    made = await attacker.client.post("/v1/tokens", json={"scopes": list(scopes)})
    assert made.status_code == 201
    return dict(made.json())


def bearer(made: dict[str, str]) -> str:
    return f"Authorization: Bearer {made['token']}"


# -- row: DNS rebinding; row: CSRF, on every route that there is


async def test_no_route_answers_another_host_or_another_page(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for row in ROWS:
            path = row.path.replace("{lock}", "front").replace("{", "").replace("}", "")
            first = f"{row.method.upper()} {path} HTTP/1.1"
            rebound = await attacker.ask(first, host="evil.example")
            assert (rebound.status, rebound.code) == (421, "host-not-allowed"), first
            foreign = await attacker.ask(first, "Origin: http://evil.example")
            assert (foreign.status, foreign.code) == (403, "origin-foreign"), first


async def test_no_way_of_a_browser_to_send_without_asking_opens_it(tmp_path: Path) -> None:
    """Without what newer browsers add: beacons, pings, reports and forms of an old one."""
    async with attacked(tmp_path) as attacker:
        for kind in (
            "text/ping", "application/csp-report", "application/reports+json", "text/plain",
            "text/plain; application/json", "application/jsonx", "application/json, text/plain",
            "application/x-www-form-urlencoded; charset=application/json",
        ):  # fmt: skip
            answer = await attacker.ask(UNLOCK, f"Content-Type: {kind}", body=b"{}")
            assert (answer.status, answer.code) == (415, "content-type-unusable"), kind
        form = "Content-Type: application/x-www-form-urlencoded"
        empty = await attacker.ask(UNLOCK, form, auth=None)  # a form without fields has no body
        assert (empty.status, empty.code) == (401, "unauthorized")
        cookie = await attacker.ask(UNLOCK, f"Cookie: token={TOKEN}", auth=None)
        assert cookie.status == 401


async def test_no_web_socket_is_opened_from_another_page(tmp_path: Path) -> None:
    handshake = (
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )  # fmt: skip
    async with attacked(tmp_path) as attacker:
        for path in ("/v1/events", "/", "/v1/locks"):
            line = f"GET {path} HTTP/1.1"
            foreign = await attacker.ask(line, *handshake, "Origin: http://evil.example")
            assert foreign.code == "origin-foreign"
        same = await attacker.ask("GET /v1/locks HTTP/1.1", *handshake)
        assert same.status == 200  # never 101: it is an ordinary request
        assert "upgrade" not in same.headers


# -- row: Overflow and parser bugs


async def test_lengths_without_bounds_are_not_believed(tmp_path: Path) -> None:
    head = f"{UNLOCK}\r\nHost: localhost\r\n{AUTH}\r\nIdempotency-Key: n\r\n{JSON}\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n"
    async with attacked(tmp_path) as attacker:
        for sent in (
            f"{head}Content-Length: {'9' * 5000}\r\n\r\n", f"{head}Content-Length: -1\r\n\r\n",
            f"{head}Content-Length: {'9' * 19}\r\n\r\n", f"{head}Content-Length: 1e3\r\n\r\n",
            f"{head}Content-Length: 4097\r\n\r\n", f"{chunked}{'F' * 21}\r\n",
            f"{chunked}{'F' * 16}\r\n{' ' * 9000}", f"{chunked}-1\r\n", f"{chunked}0x1\r\n",
        ):  # fmt: skip
            answer = await attacker.raw(sent.encode())
            assert answer.code in ("not-http", "body-too-large"), sent[-40:]


async def test_no_request_line_is_read_as_something_else(tmp_path: Path) -> None:
    lines = f"Host: localhost\r\n{AUTH}\r\nIdempotency-Key: l\r\nConnection: close\r\n\r\n"
    async with attacked(tmp_path) as attacker:
        for first in (
            "CONNECT 127.0.0.1:22 HTTP/1.1", "OPTIONS * HTTP/1.1", "POST ?/v1/locks HTTP/1.1",
            "POST v1/locks/front/unlock HTTP/1.1", "POST /v1/locks/front/unlock",
            "POST  /v1/locks/front/unlock HTTP/1.1", "POST\t/v1/locks/front/unlock HTTP/1.1",
            "POST /v1/locks/front/unlock HTTP/9.9 HTTP/1.1", "POST /v1/locks/front/unlock http/1.1",
            f"X: y\r\n{UNLOCK}", f" {UNLOCK}", "POST /v1/locks/fr\xf6nt/unlock HTTP/1.1",
        ):  # fmt: skip
            answer = await attacker.raw(f"{first}\r\n{lines}".encode("latin-1"))
            assert answer.status == 400, first
        folded = f"{UNLOCK}\r\nHost: localhost\r\n evil.example\r\n{AUTH}\r\n\r\n"
        assert (await attacker.raw(folded.encode())).status in (400, 421)


async def test_a_body_is_json_in_utf_8_and_nothing_that_becomes_it(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for body in (
            "{}".encode("utf-16"), "{}".encode("utf-32"), b"\xef\xbb\xbf{}", b"+ADsAfQ-",
            gzip.compress(b"{}"), b"{} {}", b"{}//", b"{\x00}", b"{'after': 1}",
            b'{"deadline_ms": 1' + b"0" * 4000 + b"}", b'{"expires_at": 1' + b"0" * 4000 + b"}",
            b'{"expires_at": "9999-12-31T23:59:59-14:00"}', b'{"expires_at": 1e300}',
        ):  # fmt: skip
            answer = await attacker.ask(UNLOCK, JSON, "Content-Encoding: gzip", body=body)
            assert (answer.status, answer.code) == (422, "request-invalid"), body[:20]


async def test_numbers_and_texts_beyond_every_bound_are_refused_everywhere(tmp_path: Path) -> None:
    many = "9" * 26
    async with attacked(tmp_path) as attacker:
        for path in (
            f"records?limit={many}", f"records?since={many}", "records?until=-1e300",
            f"records?after={many}", "records?lock=%00", "records?lock=front&lock=back",
            "records?limit=%D9%A3", "records?since=nan", f"operations?key={'k' * 256}",
            "operations?key=%FF", "records?since=0001-01-01T00:00:00%2B14:00",
        ):  # fmt: skip
            answer = await attacker.ask(f"GET /v1/{path} HTTP/1.1")
            assert (answer.status, answer.code) == (422, "request-invalid"), path
        for path in (f"operations/{many}", f"records/{many}", "operations/%ED%A0%80"):
            assert (await attacker.ask(f"GET /v1/{path} HTTP/1.1")).status == 404
        for body in (
            b'{"scopes": ["\\ud800"]}', b'{"scopes": ["read"], "expires_in": 1e300}',
            b'{"scopes": ["read"], "label": "a\\nb"}', b'{"scopes": {"admin": 1}}',
        ):  # fmt: skip
            assert (await attacker.ask("POST /v1/tokens HTTP/1.1", JSON, body=body)).status == 422
        assert (await attacker.client.get("/v1/tokens")).json()["tokens"] == []


# -- row: Overflow, on the page, the document and the numbers


async def test_no_path_leads_out_of_the_pages_folder(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for path in (
            "/page/../config.toml", "/page/..%2fconfig.toml", "/page/%2e%2e/config.toml",
            "/page//etc/passwd", "/page/%2fetc%2fpasswd", "/page/..\\config.toml", "/page/",
            "/page/page.js/", "/page/page.js%00.css", "/page/.git", "/page/__init__.py",
            "/docs/../v1/locks", "/docs.css/..", "/openapi.json/", "/docs/openapi.json",
        ):  # fmt: skip
            answer = await attacker.ask(f"GET {path} HTTP/1.1")
            assert answer.status in (400, 404), path
            assert b"state_dir" not in answer.body


async def test_what_strangers_are_told_is_the_same_for_everybody(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for path in ("/", "/page/page.js", "/docs", "/docs.css", "/livez", "/readyz"):
            answer = await attacker.ask(f"GET {path} HTTP/1.1", auth=None)
            assert answer.status == 200, path
            for word in ("canary", TOKEN, str(tmp_path)):  # "front" is in the document's examples
                assert word.encode() not in answer.body, (path, word)
        for path in ("/metrics", "/openapi.json", "/v1/events", "/v1/locks", "/v1/outbox"):
            answer = await attacker.ask(f"GET {path} HTTP/1.1", auth=None)
            assert (answer.status, answer.code) == (401, "unauthorized"), path


async def test_what_strangers_ask_for_makes_no_metrics_of_its_own(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for number in range(20):
            line = f"M{number} /v1/made-up-{number} HTTP/1.1"
            await attacker.ask(line, f"X-Made-Up: {number}", auth=None)
            await attacker.ask(f"GET /v1/locks/made-up-{number} HTTP/1.1")
        told = (await attacker.client.get("/metrics")).text
        assert "made-up" not in told
        assert "M1" not in told


# -- row: header injection, and of the log


async def test_no_name_or_key_writes_a_header_or_a_line_of_its_own(tmp_path: Path) -> None:
    forged = '{"event": "operation.finished", "outcome": "confirmed"}'
    async with attacked(tmp_path) as attacker:
        for tried in ("%0d%0a", "%0a", "%E2%80%A8", "%C2%85", "%1b[2K", "%C2%9B2K"):
            for path in (f"/v1/locks/{tried}{forged}/unlock", f"/v1/operations/x{tried}{forged}"):
                first = f"POST {path.replace(' ', '%20')} HTTP/1.1"
                answer = await attacker.ask(first, f"Prefer: wait={tried}", "User-Agent: \x1b[2J")
                assert answer.status in (400, 404, 405, 422), path
        body = json.dumps({"after": f"\r\n\u2028\x85{forged}"}).encode()
        answer = await attacker.ask("POST /v1/locks/back/unlock HTTP/1.1", JSON, body=body)
        assert answer.status in (404, 422)
        for line in attacker.site.log.read_text().splitlines():
            assert not line.startswith(forged[:8])
            assert "\x1b[2" not in line
        assert forged not in attacker.site.log.read_text()


async def test_an_id_to_come_back_with_writes_nothing_into_the_stream(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        for last in (
            "x\r\n\r\nevent: operation", "9" * 26, "ffffffff:999999999999999999/-", "-/-", "\xe9",
            "00000000:0/00000000:0\tdata: x", "k" * 7000,
        ):  # fmt: skip
            async with await attacker.connect() as stream:
                head = f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\nLast-Event-ID: "
                await stream.send(f"{head}{last}\r\n\r\n".encode("latin-1"))
                raw = b""
                with anyio.fail_after(10):
                    while b"retry" not in raw and b"not-http" not in raw:
                        raw += await stream.receive()
                assert b"event: operation" not in raw
                assert b"data: x" not in raw


# -- row: Replay, as it looks with a key of others or for another thing


async def test_a_key_is_good_for_one_request_of_one_caller(tmp_path: Path) -> None:
    async with attacked(tmp_path, opened=1) as attacker:
        other = bearer(await issued(attacker, "read", "operate:*"))
        first = await attacker.ask(UNLOCK, JSON, body=b'{"deadline_ms": 9000}', key="one")
        assert first.status == 200
        for line, body in (
            (UNLOCK, b'{"deadline_ms": 9001}'), (UNLOCK, b"{}"),
            (UNLOCK, b'{"deadline_ms": 9000, "after": "x"}'),
            (UNLOCK.replace("unlock", "lock HTTP/1.1\r\nX: y").split("\r\n")[0], b"{}"),
        ):  # fmt: skip
            answer = await attacker.ask(line, JSON, body=body, key="one")
            assert (answer.status, answer.code) == (422, "idempotency-key-reused"), line
        theirs = await attacker.ask(UNLOCK, JSON, body=b"{}", key="one", auth=other)
        assert (theirs.status, theirs.code) == (409, "lock-busy")  # a request of its own: it rests
        seen = await attacker.ask("GET /v1/operations?key=one HTTP/1.1", auth=other)
        assert seen.status == 404


# -- row: Denial, by streams and by bodies that never come


async def test_streams_that_nobody_reads_leave_room_and_open_doors(tmp_path: Path) -> None:
    async with attacked(tmp_path, opened=1) as attacker, AsyncExitStack() as held:
        auths = [AUTH] + [bearer(await issued(attacker, "read")) for _ in range(3)]
        refused = 0
        for auth in auths:
            for _ in range(OF_CALLER + 1):
                stream = await held.enter_async_context(await attacker.connect())
                head = f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n\r\n"
                await stream.send(head.encode())
                refused += b" 429 " in await stream.receive()
        assert refused == len(auths) * (OF_CALLER + 1) - MOST
        answer = await attacker.ask(UNLOCK, JSON, body=b"{}")
        assert answer.status == 200


async def test_a_guest_follows_nothing_of_others_and_is_let_go_when_revoked(
    tmp_path: Path,
) -> None:
    async with attacked(tmp_path, opened=1) as attacker:
        made = await issued(attacker, "operate:front")
        shown = {"Authorization": f"Bearer {made['token']}"}
        async with follow(attacker.client, **shown) as stream, follow(attacker.client) as ours:
            assert (await unlock(attacker.client, "ours")).status_code == 200
            await ours.until("operation", 1)
            await attacker.client.post(f"/v1/tokens/{made['id']}/revoke")
            with anyio.fail_after(20):
                await stream.ended.wait()
            assert stream.events == []
        async with follow(attacker.client, ours.last_id, **shown) as again:
            assert again.status == 401


async def test_strangers_who_never_send_their_bodies_keep_nobody_out(tmp_path: Path) -> None:
    head = f"{UNLOCK}\r\nHost: localhost\r\nIdempotency-Key: s\r\n{JSON}\r\n"
    async with attacked(tmp_path, opened=1) as attacker, AsyncExitStack() as held:
        for number in range(80):  # more than there are places
            stream = await held.enter_async_context(await attacker.connect())
            more = "Expect: 100-continue\r\n" if number % 2 else ""
            try:
                await stream.send(f"{head}{more}Content-Length: 9\r\n\r\n".encode())
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                continue
        answer = await attacker.ask(UNLOCK, JSON, body=b"{}")
        assert answer.status == 200


async def test_a_body_that_was_promised_is_not_waited_for(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker, await attacker.connect() as stream:
        head = f"{UNLOCK}\r\nHost: localhost\r\nIdempotency-Key: s\r\n{JSON}\r\n"
        await stream.send(f"{head}Content-Length: 9\r\n\r\n".encode())
        with anyio.fail_after(2):  # a good caller's body has five seconds
            assert b" 401 " in await stream.receive()


# -- row: Brute force, past the header


async def test_a_guess_in_an_address_is_held_up_like_any_other(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        statuses = [
            (await attacker.ask(f"GET /v1/locks?x=guess-{n} HTTP/1.1", auth=None)).status
            for n in range(15)
        ]
        assert (statuses[:10], statuses[11:]) == ([401] * 10, [429] * 4)
        right = await attacker.ask(f"GET /v1/locks?x={TOKEN} HTTP/1.1", auth=None)
        assert right.status == 429  # no other answer than to a wrong one
        shown = await attacker.ask(f"GET /v1/locks?x={TOKEN} HTTP/1.1")
        assert shown.code == "credential-in-url"
        log = attacker.site.log.read_text()
        assert log.count("token.exposed") == 1  # it is named where it was shown, and not written


async def test_nobody_is_told_by_the_answer_whether_a_token_was(tmp_path: Path) -> None:
    async with attacked(tmp_path) as attacker:
        made = await issued(attacker, "read")
        wrong = made["token"][:-4] + "AAAA"
        await attacker.client.post(f"/v1/tokens/{made['id']}/revoke")
        never = f"blk_00000000_{'A' * 43}"
        answers = [
            await attacker.ask("GET /v1/locks HTTP/1.1", auth=f"Authorization: Bearer {one}")
            for one in (made["token"], wrong, never, "x")
        ]
        assert {(one.status, one.body) for one in answers} == {(401, answers[0].body)}


def test_the_rows_of_routes_are_all_there() -> None:
    assert len(ROWS) > 20
    assert {"/v1/events", "/metrics", "/openapi.json", "/docs", "/readyz"} <= {
        row.path for row in ROWS
    }
