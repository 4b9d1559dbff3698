"""Records sent to an address: signed, to a checked address only, and what the answer means."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import threading
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest

from bleagent.adapters.sinks.addresses import plain, refusal
from bleagent.adapters.sinks.signed_post import (
    LONGEST_WAIT,
    MOST_ANSWER,
    SignedPost,
    WebhookSettings,
    resolve,
    signing_key,
)
from bleagent.adapters.sinks.webhook import WebhookSink
from bleagent.records.record import DONE, Receipt, ReceiptKind, StoredRecord
from bleagent.simulator.fakes import LoopClock
from protocol import Secret
from tests.agent.record_samples import Nobody, sample

URL = "https://hooks.example.org/records?door=1"
PUBLIC = "93.184.216.34"
KEY = b"0123456789abcdef01234567"
SECRET = Secret(b"whsec_" + b64encode(KEY))

Answer = Callable[[httpx.Request], httpx.Response]


def deliver(
    answer: Answer,
    *records: StoredRecord,
    addresses: tuple[str, ...] = (PUBLIC,),
    url: str = URL,
    allow_private: bool = False,
    own: frozenset[str] = frozenset(),
) -> tuple[list[Receipt], list[httpx.Request]]:
    """What the sink says, and the requests it made."""
    seen: list[httpx.Request] = []

    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    async def respond(request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        seen.append(request)
        return answer(request)

    async def main() -> list[Receipt]:
        settings = WebhookSettings(url=url, secret=SECRET, allow_private=allow_private, own=own)
        post = SignedPost(
            settings, LoopClock(), resolve=resolve, transport=httpx.MockTransport(respond)
        )
        try:
            return await WebhookSink("webhook", post, Nobody()).deliver(records or (sample(),))
        finally:
            await post.aclose()

    return anyio.run(main), seen


def ok(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(204)


def test_a_record_is_sent_signed_under_its_own_id() -> None:
    receipts, (request,) = deliver(ok)
    assert receipts == [DONE]
    assert request.headers["webhook-id"] == sample().id
    stamp = request.headers["webhook-timestamp"]
    signed = f"{sample().id}.{stamp}.".encode() + request.content
    expected = b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    body = json.loads(request.content)
    assert body["type"] == "record"
    assert body["record"]["title"] == "opened by fingerprint 3"


def test_it_goes_to_the_address_that_was_looked_at_under_the_name() -> None:
    _, (request,) = deliver(ok)
    assert request.url == f"https://{PUBLIC}:443/records?door=1"
    assert request.headers["host"] == "hooks.example.org"
    assert request.extensions["sni_hostname"] == "hooks.example.org"


def test_an_address_of_6_is_written_as_one() -> None:
    _, (request,) = deliver(ok, addresses=("2606:2800:220:1::1",))
    assert request.url.host == "2606:2800:220:1::1"


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (b"whsec_" + b64encode(KEY), KEY),
        (b"a plain one", b"a plain one"),
        (b"whsec_not base64!", b"whsec_not base64!"),
    ],
)
def test_what_signs(secret: bytes, key: bytes) -> None:
    assert signing_key(Secret(secret)) == key


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ReceiptKind.DONE),
        (302, ReceiptKind.LATER),  # nobody but the operator says where records go
        (400, ReceiptKind.POISON),
        (401, ReceiptKind.LATER),
        (403, ReceiptKind.LATER),
        (404, ReceiptKind.LATER),
        (409, ReceiptKind.LATER),
        (410, ReceiptKind.NO_ROUTE),
        (413, ReceiptKind.POISON),
        (422, ReceiptKind.POISON),
        (429, ReceiptKind.LATER),
        (500, ReceiptKind.LATER),
        (503, ReceiptKind.LATER),
    ],
)
def test_what_an_answer_means(status: int, kind: ReceiptKind) -> None:
    receipts, _ = deliver(lambda _: httpx.Response(status, headers={"Location": "https://x.org"}))
    assert [one.kind for one in receipts] == [kind]


@pytest.mark.parametrize(
    ("header", "after"), [("120", 120.0), ("9" * 20, LONGEST_WAIT), ("soon", 0.0), ("-1", 0.0)]
)
def test_it_waits_as_long_as_it_is_told_within_reason(header: str, after: float) -> None:
    (receipt,), _ = deliver(lambda _: httpx.Response(503, headers={"Retry-After": header}))
    assert receipt.after == after


def test_what_is_behind_a_failure_waits_so_that_the_order_holds() -> None:
    records = [sample(1), sample(2), sample(3)]
    receipts, seen = deliver(
        lambda request: httpx.Response(
            503 if request.headers["webhook-id"] == sample(2).id else 200
        ),
        *records,
    )
    assert [one.kind for one in receipts] == [
        ReceiptKind.DONE, ReceiptKind.LATER, ReceiptKind.LATER,
    ]  # fmt: skip
    assert len(seen) == 2


def test_poison_is_passed_by() -> None:
    receipts, _ = deliver(
        lambda request: httpx.Response(
            422 if request.headers["webhook-id"] == sample(1).id else 200
        ),
        sample(1), sample(2),
    )  # fmt: skip
    assert [one.kind for one in receipts] == [ReceiptKind.POISON, ReceiptKind.DONE]


def test_an_endless_answer_is_not_read() -> None:
    served = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            nonlocal served
            while True:
                served += 1024
                yield b"x" * 1024

    receipts, _ = deliver(lambda _: httpx.Response(200, stream=Endless()))
    assert receipts == [DONE]
    assert served <= MOST_ANSWER + 2048


def test_a_packed_answer_is_not_unpacked() -> None:
    asked_for: list[bytes] = []

    class Bomb(httpx.AsyncByteStream):
        """Unpacks to a megabyte, at once."""

        async def __aiter__(self) -> AsyncIterator[bytes]:
            asked_for.append(packed := gzip.compress(bytes(1_000_000)))
            yield packed

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Bomb())

    assert deliver(answer, sample())[0] == [DONE]
    assert asked_for == []


def test_a_connection_that_fails_is_tried_later() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    (receipt,), _ = deliver(refuse)
    assert (receipt.kind, receipt.code) == (ReceiptKind.LATER, "unreachable")


REFUSED = [
    "0.0.0.0",  # noqa: S104 - not bound to
    "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.8.9.1", "169.254.169.254",
    "172.16.0.1", "192.168.1.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1%eth0",
    "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:c0a8:101::1",
    "2001:0:1::1", "::ffff:0:127.0.0.1", "64:ff9b:1:7f00:0:100:5db8:d822", "4000::1", "fec0::1",
    "100::1", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_inside_is_refused_however_it_is_dressed(address: str) -> None:
    receipts, seen = deliver(ok, addresses=(address,))
    assert (receipts[0].kind, receipts[0].code) == (ReceiptKind.LATER, "address-refused")
    assert seen == []


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_a_public_address_is_fine(address: str) -> None:
    assert refusal(address, own=frozenset(), allow_private=False) is None


def test_one_good_address_of_several_is_taken() -> None:
    _, (request,) = deliver(ok, addresses=("10.0.0.1", PUBLIC))
    assert request.url.host == PUBLIC


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("127.0.0.1", True), ("192.168.1.7", True), ("fd12::1", True), ("::1", True),
        ("::ffff:192.168.1.7", True), ("169.254.169.254", False), ("0.1.2.3", False),
        ("224.0.0.1", False), ("100.64.0.1", False), ("fe80::1", False),
    ],
)  # fmt: skip
def test_the_home_network_is_let_in_where_the_operator_asked_for_it(
    address: str, fine: bool
) -> None:
    assert (refusal(address, own=frozenset(), allow_private=True) is None) is fine


def test_this_machines_own_public_address_is_this_machine() -> None:
    assert refusal(PUBLIC, own=frozenset({PUBLIC}), allow_private=False) is not None


@pytest.mark.parametrize(
    ("dressed", "inside"),
    [
        ("::ffff:1.2.3.4", "1.2.3.4"), ("64:ff9b::1.2.3.4", "1.2.3.4"),
        ("2002:102:304::", "1.2.3.4"), ("2606:4700::1", "2606:4700::1"), ("1.2.3.4", "1.2.3.4"),
    ],
)  # fmt: skip
def test_the_address_inside(dressed: str, inside: str) -> None:
    from ipaddress import ip_address  # noqa: PLC0415

    assert str(plain(ip_address(dressed))) == inside


def test_nothing_of_the_secret_is_shown() -> None:
    settings = WebhookSettings(url=URL, secret=SECRET)
    assert b64decode(SECRET.reveal()[6:]) == KEY
    assert b64encode(KEY).decode() not in repr(settings)


def test_a_name_is_resolved_where_nobody_else_waits_for_it() -> None:
    """The cloud's name is resolved by the loop's own threads: here all of them are taken."""

    async def main() -> list[str]:
        loop, free = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        taken = loop.run_in_executor(None, free.wait)
        try:
            with anyio.fail_after(10):
                return await resolve("127.0.0.1", 80)
        finally:
            free.set()
            await taken

    assert anyio.run(main) == ["127.0.0.1"]
