"""The guard before the routes: what it decides, how often it lets whom in, where it listens."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from bleagent.authority.issued_tokens import Revoked
from bleagent.authority.tokens import EVERY_SCOPE
from bleagent.errors import ListenError
from bleagent.http.auth import Tokens, Unauthorized
from bleagent.http.callers import Callers, User, Users
from bleagent.http.guard import Guard
from bleagent.http.limits import Buckets, Limits, Rate, Strangers
from bleagent.http.listeners import ListenSettings, handed_over, listening
from bleagent.http.peer import NOBODY, Peer, peer_of_unix
from bleagent.http.rules import _ONCE, MAX_BODY, MAX_HEAD, MAX_HEADERS, Head, Rules
from bleagent.model import Principal
from protocol import Secret

TOKEN = "CANARY+token/0123456789"
RULES = Rules(
    hosts=("127.0.0.1",), allowed_hosts=lambda: ("gate.lan",), is_token=lambda it: it == TOKEN
)
TCP, LOCAL = Peer(address="127.0.0.1"), Peer(uid=1000, gids=frozenset({1000}))
JSON = {"content-type": "application/json", "content-length": "2"}


def head(
    method: str = "GET", target: str = "/v1/locks", *pairs: tuple[str, str], peer: Peer = TCP,
    **headers: str,
) -> Head:  # fmt: skip
    """A request's head; ``pairs`` may repeat a header."""
    path, _, query = target.partition("?")
    named = {"host": "localhost:8580"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    every = [(name, value) for name, value in (*named.items(), *pairs) if value]
    return Head(
        method=method, raw_path=path.encode(), query=query.encode(), peer=peer,
        headers=tuple((name.encode(), value.encode("latin-1")) for name, value in every),
    )  # fmt: skip


def code(*given: Any, **named: Any) -> str | None:
    refusal = RULES.refuse(head(*given, **named))
    return None if refusal is None else refusal.code


# -- names of ours: DNS rebinding


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8580", "[::1]:1", "[0:0:0:0:0:0:0:1]",
     "gate.lan:443"],
)  # fmt: skip
@pytest.mark.parametrize("peer", [TCP, LOCAL])
def test_our_own_names_are_good(host: str, peer: Peer) -> None:
    assert code(host=host, peer=peer) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "evil.example:8580", "127.0.0.1.evil.example",
     "127.0.0.2", "2130706433", "127.1", "0.0.0.1", "localhost:99999", "localhost:8580:1",
     "localhost:", "user@localhost", "localhost/", "localhost evil", "lócalhost", "[::1", "[::2]",
     "::1", "xn--localhost", "localhost,evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("peer", [TCP, LOCAL])
def test_no_other_name_is(host: str, peer: Peer) -> None:
    assert code(host=host, peer=peer) == "host-not-allowed"


def test_an_address_of_the_tcp_listener_is_no_name_of_the_socket() -> None:
    rules = Rules(hosts=("127.0.0.9",))
    assert rules.refuse(head(host="127.0.0.9")) is None
    assert rules.refuse(head(host="127.0.0.9", peer=LOCAL)) is not None


# -- pages of others: CSRF


def test_our_own_page_may_ask() -> None:
    page = {"host": "localhost:8580", "origin": "http://localhost:8580"}
    assert code("POST", **page, sec_fetch_site="same-origin") is None
    assert code(sec_fetch_site="none") is None  # somebody typed it


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "https://localhost:8580", "http://localhost:3000",
     "http://localhost", "http://127.0.0.1:8580", "file://", "x"],
)  # fmt: skip
def test_a_page_of_another_origin_may_not(origin: str) -> None:
    assert code("POST", origin=origin) == "origin-foreign"
    assert code("GET", origin=origin) == "origin-foreign"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "something-new"])
def test_a_browser_that_says_where_it_comes_from_is_believed(site: str) -> None:
    assert code(sec_fetch_site=site) == "origin-foreign"


def test_no_page_speaks_through_the_socket() -> None:
    page = {"host": "localhost", "origin": "http://localhost"}
    assert code("POST", **page) is None
    assert code("POST", **page, peer=LOCAL) == "origin-foreign"


# -- bodies


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_a_body(kind: str) -> None:
    assert code("POST", content_type=kind, content_length="2") is None


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/jsonp", "text/plain; application/json"],
)  # fmt: skip
def test_nothing_else_is(kind: str) -> None:
    for sized in ({"content_length": "2"}, {"transfer_encoding": "chunked"}):
        assert code("POST", content_type=kind, **sized) == "content-type-unusable"
    for empty in ({}, {"content_length": "0"}):
        assert code("POST", content_type=kind, **empty) is None


def test_a_body_that_says_that_it_is_too_large_is_not_waited_for() -> None:
    most = str(MAX_BODY)
    assert code("POST", content_type="application/json", content_length=most) is None
    assert code("POST", content_type="application/json", content_length=most + "0") == (
        "body-too-large"
    )
    assert code("GET", content_length=most + "0") == "body-too-large"


# -- heads that two could read differently


@pytest.mark.parametrize("name", ["authorization", "idempotency-key", "origin", "content-type"])
def test_what_may_come_once_came_twice(name: str) -> None:
    both = ((name, "a"), (name, "a"))
    assert code("GET", "/v1/locks", *both) == "header-repeated"


def test_two_lengths_are_none() -> None:
    both = {"transfer_encoding": "chunked", "content_length": "2"}
    assert code("POST", content_type="application/json", **both) == "length-ambiguous"


@pytest.mark.parametrize("sign", ["\xe9", "\x7f", "\t", "\xa0"])
def test_a_key_is_plain(sign: str) -> None:
    assert code(idempotency_key=f"a{sign}b") == "header-invalid"
    assert code(authorization=f"Bearer a{sign}b") == "header-invalid"


def test_a_head_has_its_bounds() -> None:
    few = [(f"x-{number}", "y") for number in range(MAX_HEADERS - 1)]
    assert code("GET", "/v1/locks", *few) is None
    assert code("GET", "/v1/locks", *few, ("x", "y")) == "head-too-large"
    assert code(cookie="x" * MAX_HEAD) == "head-too-large"
    assert code("GET", "/v1/locks?" + "x" * MAX_HEAD) == "head-too-large"


@pytest.mark.parametrize(
    "path",
    ["//v1/locks", "/v1//locks", "/v1/../v1/locks", "/v1/./locks", "/v1/%2e%2e/locks", "/v1/%2E",
     "/v1%2flocks", "/v1%5Clocks", "/v1/locks%00", "/v1/locks%0d%0aX:y", "/v1\\locks",
     "http://evil.example/v1/locks", "*", ""],
)  # fmt: skip
def test_a_path_has_no_tricks(path: str) -> None:
    assert code("GET", path) == "path-invalid"


@pytest.mark.parametrize("path", ["/", "/v1/locks/front/unlock", "/v1/locks/a%20b", "/v1/..x/x..y"])
def test_a_plain_path_has_none(path: str) -> None:
    assert code("GET", path) is None


# -- credentials in addresses: F6


@pytest.mark.parametrize(
    "query",
    ["token=x", "access_token=x", "TOKEN=", "a=1&auth=x", "%74oken=x", "api_key=x",
     "ticket=x", "sharing_ticket=x",
     f"anything={TOKEN}", TOKEN, "q=CANARY%2Btoken%2F0123456789", "q=blk_ab12_abcdefgh",
     "q=%62lk_ab12_abcdefgh", "&".join(f"a{number}=" for number in range(70))],
)  # fmt: skip
def test_a_credential_in_an_address_is_seen(query: str) -> None:
    refusal = RULES.refuse(head("GET", f"/v1/records?{query}"))
    assert refusal is not None
    assert (refusal.status, refusal.code) == (400, "credential-in-url")
    assert TOKEN not in repr(refusal)
    assert "blk_" not in repr(refusal)


def test_a_token_in_a_path_is_seen_too() -> None:
    assert code("GET", "/v1/locks/blk_ab12_abcdefgh/unlock") == "credential-in-url"


@pytest.mark.parametrize(
    "query", ["lock=front&limit=5", "key=0123-abc", "after=7", "cursor=x", "="]
)
def test_other_questions_are_none(query: str) -> None:
    assert code("GET", f"/v1/records?{query}") is None


# -- local callers: F5


def test_a_hidden_uid_is_always_refused() -> None:
    assert code(peer=Peer(uid=NOBODY), authorization=f"Bearer {TOKEN}") == "caller-unknown"
    assert Users([User(uids=frozenset({NOBODY}))]).principal(Peer(uid=NOBODY)) is None


def callers(uids: Collection[int] = (), gids: Collection[int] = ()) -> Callers:
    user = User(uids=frozenset(uids), gids=frozenset(gids))
    return Callers(Tokens(Secret(TOKEN)), Users([user]))


def test_a_mapped_uid_or_group_is_a_caller() -> None:
    mapped = Principal(id="uid:1000", scopes=EVERY_SCOPE)
    assert callers(uids={1000}).principal(None, LOCAL) == mapped
    assert callers(gids={1000}).principal(None, LOCAL) == mapped


def test_nobody_else_is_root_neither() -> None:
    for uid in (0, 1000, 1001):
        with pytest.raises(Unauthorized, match=f"uid {uid}"):
            callers(uids={1002}, gids={7}).principal(None, Peer(uid=uid, gids=frozenset({uid})))
    with pytest.raises(Unauthorized):
        callers(uids={1000}).principal(None, TCP)


def test_a_token_that_is_shown_decides_alone() -> None:
    both = callers(uids={1000})
    assert both.principal(f"Bearer {TOKEN}", LOCAL).id == "token"
    with pytest.raises(Unauthorized):
        both.principal("Bearer wrong", LOCAL)


def test_a_local_caller_stays_good_when_the_token_is_replaced() -> None:
    tokens = Tokens(Secret(TOKEN))
    both = Callers(tokens, Users([User(uids=frozenset({1000}))]))
    by_token, by_uid = both.principal(f"Bearer {TOKEN}"), both.principal(None, LOCAL)
    tokens.replace(Secret("another"))
    both.require_good(by_uid, "front")
    with pytest.raises(Revoked):
        both.require_good(by_token, "front")


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        peer = peer_of_unix(one)
    assert peer.uid == os.getuid()
    assert peer.gids == frozenset({os.getgid(), *os.getgroups()})


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        (LOCAL, "uid:1000"), (TCP, "127.0.0.1"), (Peer(address="::1"), "::1"),
        (Peer(address="::ffff:10.0.0.1"), "10.0.0.1"),
        (Peer(address="2001:db8::1"), "2001:db8::/64"),
        (Peer(address="2001:db8::2"), "2001:db8::/64"), (Peer(), "unknown"),
    ],
)  # fmt: skip
def test_what_counts_as_one_client(peer: Peer, name: str) -> None:
    assert peer.name == name


ODD = st.binary(max_size=40) | st.sampled_from([b"localhost", b"http://localhost", b"9" * 20, b"%"])
NAMES = st.sampled_from(
    [b"host", b"origin", b"authorization", b"content-length", b"content-type", b"cookie",
     b"transfer-encoding", b"sec-fetch-site", b"idempotency-key"]
)  # fmt: skip


@given(ODD, ODD, st.lists(st.tuples(NAMES, ODD), max_size=12), st.sampled_from([TCP, LOCAL]))
def test_every_head_gets_a_decision_and_only_ours_come_in(
    path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], peer: Peer
) -> None:
    who = callers()
    rules = Rules(hosts=("127.0.0.1",), is_token=who.is_token)
    found = Head(
        method="POST", raw_path=b"/" + path, query=query, headers=tuple(headers), peer=peer
    )
    if rules.refuse(found) is None:
        named = dict(headers)
        assert len(named) >= len([name for name, _ in headers if name in _ONCE])
        assert named[b"host"].strip().split(b":")[0].rstrip(b".").lower() == b"localhost"


# -- how often: F4


def test_a_bucket_empties_and_fills_again() -> None:
    buckets = Buckets(Rate(burst=3, per_minute=6))
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 5.0) == 5.0
    assert buckets.take("a", 10.0) == 0.0
    buckets.give_back("a")
    assert buckets.take("a", 10.0) == 0.0
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=60))
def test_no_bucket_gives_more_than_it_has_and_none_keeps_anybody_out_for_ever(
    steps: list[tuple[str, float]],
) -> None:
    rate = Rate(burst=4, per_minute=12)
    buckets, now, given_to = Buckets(rate), 0.0, dict.fromkeys("abc", 0)
    for key, passed in steps:
        now += passed
        if buckets.take(key, now) == 0:
            given_to[key] += 1
        assert given_to[key] <= rate.burst + now * rate.per_minute / 60 + 1e-6
        wait = buckets.wait(key, now)
        assert 0 <= wait <= 60 / rate.per_minute + 1e-9
        assert buckets.wait(key, now + wait + 1e-6) == 0


def test_a_table_of_clients_is_bounded_and_the_whole_still_holds() -> None:
    buckets = Buckets(Rate(burst=1, per_minute=1), most=10)
    for number in range(1000):
        buckets.take(str(number), 0.0)
    assert len(buckets) == 10
    few = Limits(failures_all=Rate(burst=20, per_minute=1))
    strangers = Strangers(few)
    waits = [strangers.was_wrong(str(number), 0.0) for number in range(25)]
    assert waits == [0.0] * 20 + [60.0] * 5


# -- the guard itself


@dataclass
class HandClock:
    """A clock set by hand."""

    at: float = 100.0
    trusted = True

    def now(self) -> float:
        return self.at

    def unix(self) -> float:
        return self.at


Answer = tuple[int, dict[str, str], bytes]


class Gate:
    """A guard before an application that answers 200 with its own headers."""

    def __init__(self, limits: Limits | None = None, **users: Any) -> None:
        self.came: list[Scope] = []
        self.clock = HandClock()
        who = callers(**users)
        rules = Rules(hosts=("127.0.0.1",), is_token=who.is_token)
        self.guard = Guard(self.inner, rules, who, self.clock, limits or Limits())
        self.inside: Callable[[], None] = lambda: None

    async def inner(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.came.append(scope)
        self.inside()
        headers = [(b"cache-control", b"public"), (b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"in"})

    def ask(
        self, authorization: str = "", *, peer: Peer = TCP, query: str = "", host: str = "localhost"
    ) -> Answer:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError

        pairs = [(b"host", host.encode())]
        if authorization:
            pairs.append((b"authorization", authorization.encode()))
        scope = {
            "type": "http", "method": "GET", "path": "/v1/locks", "raw_path": b"/v1/locks",
            "query_string": query.encode(), "headers": pairs, "scheme": "http",
            "state": {"peer": peer}, "client": ("10.9.9.9", 1),
        }  # fmt: skip
        anyio.run(self.guard, scope, receive, send)
        if not sent:
            return 0, {}, b""
        start, body = sent
        names = [name.decode() for name, _ in start["headers"]]
        assert len(set(names)) == len(names)
        return (
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            body["body"],
        )


GOOD = f"Bearer {TOKEN}"


def test_every_answer_says_that_it_is_not_to_be_kept() -> None:
    gate = Gate()
    for answer in (gate.ask(GOOD), gate.ask(GOOD, host="evil.example"), gate.ask()):
        assert answer[1]["cache-control"] == "no-store"
        assert answer[1]["x-content-type-options"] == "nosniff"
        assert not [name for name in answer[1] if name.startswith("access-control")]
    assert gate.ask(GOOD)[1]["x-own"] == "1"


def test_a_refusal_never_reaches_the_routes_and_ends_the_connection() -> None:
    gate = Gate()
    status, headers, body = gate.ask(GOOD, host="evil.example")
    assert (status, headers["connection"]) == (421, "close")
    assert b'"code":"host-not-allowed"' in body
    assert gate.came == []


def test_a_token_in_a_query_is_refused_and_not_written_down() -> None:
    gate = Gate()
    with capture_logs() as lines:
        status, _, body = gate.ask(GOOD, query=f"q={TOKEN.replace('+', '%2B')}")
    assert status == 400
    assert TOKEN not in repr(lines) + body.decode()
    assert [line["event"] for line in lines] == ["token.exposed", "http.refused"]


def test_a_token_that_stood_in_an_address_is_named_once_a_minute() -> None:
    gate = Gate()
    with capture_logs() as lines:
        for query in (f"q={TOKEN.replace('+', '%2B')}", f"a=b&{TOKEN}", "token=another", "q=1"):
            gate.ask(GOOD, query=query)
    told = [line for line in lines if line["event"] == "token.exposed"]
    assert [(line["token"], line["client"]) for line in told] == [("token", "127.0.0.1")]
    assert TOKEN not in repr(lines)


def test_a_guess_in_an_address_is_a_wrong_token() -> None:
    gate = Gate(Limits(failures=Rate(burst=3, per_minute=6)))
    answers = [gate.ask(query=f"x=guess-{number}")[0] for number in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    assert gate.ask(query=f"x={TOKEN.replace('+', '%2B')}")[0] == 429  # nor is it told by another
    assert gate.ask()[0] == 200


def test_wrong_tokens_are_throttled_and_the_right_one_never() -> None:
    gate = Gate(Limits(failures=Rate(burst=3, per_minute=6)))
    answers = [gate.ask("Bearer wrong") for _ in range(5)]
    assert [answer[0] for answer in answers] == [200, 200, 200, 429, 429]  # the routes say 401
    assert answers[-1][1]["retry-after"] == "10"
    assert gate.ask(GOOD)[0] == 200
    gate.clock.at += 10
    assert gate.ask("Bearer wrong")[0] == 200


def test_one_client_uses_up_its_own_share_only() -> None:
    limits = Limits(anonymous=Rate(burst=2, per_minute=1), anonymous_all=Rate(5, 1))
    gate = Gate(limits, uids={1000})
    first, second = Peer(address="192.0.2.1"), Peer(address="192.0.2.2")
    assert [gate.ask(peer=first)[0] for _ in range(3)] == [200, 200, 429]
    assert [gate.ask(peer=second)[0] for _ in range(3)] == [200, 200, 429]
    third = Peer(address="192.0.2.3")
    assert [gate.ask(peer=third)[0] for _ in range(2)] == [200, 429]  # all together had five
    assert gate.ask(peer=LOCAL)[0] == 200


def test_failures_are_told_once_a_minute_and_client() -> None:
    gate = Gate()
    with capture_logs() as lines:
        for _ in range(30):
            gate.ask("Bearer wrong")
            gate.ask("Bearer wrong", peer=LOCAL)
            gate.clock.at += 1
        gate.clock.at += 31
        gate.ask("Bearer wrong")
    told = [line["client"] for line in lines if line["event"] == "auth.failed"]
    assert told == ["127.0.0.1", "uid:1000", "127.0.0.1"]
    assert gate.guard.strangers.failed == 61


def test_nobody_fills_the_log() -> None:
    gate = Gate(Limits(told=Rate(burst=4, per_minute=1)))
    with capture_logs() as lines:
        for _ in range(50):
            gate.ask(GOOD, host="evil.example")
    assert [line["event"] for line in lines] == ["http.refused"] * 4


def test_who_hangs_up_in_the_midst_of_a_body_is_no_fault_of_ours() -> None:
    gate = Gate()

    def gone() -> None:
        raise ClientDisconnect

    gate.inside = gone
    with capture_logs() as lines:
        assert gate.ask(GOOD) == (0, {}, b"")
    assert [(line["event"], line["log_level"]) for line in lines] == [("http.left", "debug")]


# -- where it listens


def local(path: Path, **more: Any) -> ListenSettings:
    return ListenSettings(host=None, path=path, **more)


def test_the_socket_is_for_owner_and_group_only_and_goes_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    before = os.umask(0o022)
    with listening(local(path)) as listeners:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert listeners.port == 0
        assert os.umask(before) == 0o022
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_a_dead_socket_of_ours_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with listening(local(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_living_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with listening(local(path)):
        with pytest.raises(ListenError, match="somebody answers"), listening(local(path)):
            pass
        assert path.exists()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="something else"), listening(local(path)):
        pass
    assert path.read_text() == "precious"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ListenError, match="something else"), listening(local(path)):
        pass


def test_a_foreign_socket_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ListenError, match="expected one of ours"), listening(local(path)):
        pass
    assert path.exists()


def test_what_took_its_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with listening(local(path)):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_where_it_cannot_listen_it_says_why(tmp_path: Path) -> None:
    for settings, words in (
        (local(tmp_path / "none" / "http.sock"), "its directory does not exist"),
        (local(tmp_path / "http.sock", group="no-such-group"), "no group 'no-such-group'"),
    ):
        with pytest.raises(ListenError, match=words), listening(settings):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "count"),
    [
        ({}, 0), ({"LISTEN_FDS": "2"}, 0), ({"LISTEN_FDS": "2", "LISTEN_PID": "7"}, 2),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "8"}, 0), ({"LISTEN_FDS": "x", "LISTEN_PID": "7"}, 0),
    ],
)  # fmt: skip
def test_only_what_was_handed_to_this_process_is_taken(environ: dict[str, str], count: int) -> None:
    assert handed_over(environ, 7) == count


def test_tcp_and_socket_at_once(tmp_path: Path) -> None:
    with listening(ListenSettings(path=tmp_path / "s")) as listeners:
        families = {one.family for one in listeners.sockets}
        assert families == {socket.AF_INET, socket.AF_UNIX}
        assert listeners.port > 0
        assert listeners.names == {"127.0.0.1"}
