"""What happens, followed over HTTP: who sees what, from where on, and when a stream ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import anyio
import pytest
from starlette.types import Message
from structlog.testing import capture_logs

from bleagent.authority.issued_tokens import IssuedTokens
from bleagent.events import Bell, Mark, Position, parse_position, position_text
from bleagent.http.app import HttpParts, guarded
from bleagent.http.auth import Tokens
from bleagent.http.event_stream import BEAT, PAGE, RECHECK
from bleagent.http.events import EventParts
from bleagent.http.records import RecordParts, view_of
from bleagent.http.tokens import TokenParts
from bleagent.http.views import operation_view
from bleagent.model import OperationRecord
from bleagent.operation_log import OperationLog
from bleagent.records.log import RecordLog
from bleagent.simulator import virtual_time
from bleagent.simulator.event_fakes import events_of_ledger, events_of_records
from bleagent.simulator.fakes import LoopClock, MemoryLedger
from bleagent.simulator.memory_tokens import MemoryTokens
from bleagent.simulator.record_fakes import MemoryRecords
from protocol import Secret
from tests.contracts.test_ledger import CONFIRMED, asked
from tests.contracts.test_record_book import happened, told

MASTER = "CANARY-token-0123456789"
NOWHERE: Any = cast("Any", None)
BOLT = {"dp": 47, "value": True}


@dataclass
class Stream:
    """One answer, as far as it came."""

    sent: list[Message] = field(default_factory=list)
    gate: anyio.Event | None = None
    """What the reader waits for before it takes events; None: it reads."""
    left: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def text(self) -> str:
        return b"".join(one.get("body", b"") for one in self.sent[1:]).decode()

    @property
    def blocks(self) -> list[dict[str, str]]:
        """Fields by name; a comment's name is empty."""
        return [
            dict(line.partition(":")[::2] for line in block.split("\n"))
            for block in self.text.split("\n\n")[:-1]
        ]

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Names and data."""
        return [
            (one["event"].strip(), json.loads(one["data"])) for one in self.blocks if "data" in one
        ]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    @property
    def last_id(self) -> str:
        return [one["id"].strip() for one in self.blocks if "id" in one][-1]


class Gateway:
    """The guarded application before things that happen on demand."""

    def __init__(self, *, most: int = 24, of_caller: int = 8) -> None:
        self.clock = LoopClock()
        self.bell = Bell()
        self.ledger, self.book = MemoryLedger(), MemoryRecords()
        self.operations = events_of_ledger(self.ledger)
        self.records = events_of_records(self.book)
        self.records.name = "00000002"
        self.told = OperationLog(self.bell.ring)
        self.taken = RecordLog(taken=self.bell.ring)
        draws = iter(range(1, 1000))
        self.issued = IssuedTokens(
            MemoryTokens(), self.clock, lambda size: next(draws).to_bytes(size, "big")
        )
        self.tokens = Tokens(Secret(MASTER), self.issued)
        shelf: Any = self.book
        self.parts = HttpParts(
            doors=NOWHERE, ledger=self.ledger, clock=self.clock, tokens=self.tokens, new_id=str,
            stalled=lambda: False, air=lambda: None, readiness=dict,
            records=RecordParts(
                shelf=shelf, last_seq=self.book.last_seq, locks=("front",), clock=self.clock
            ),
            issued=TokenParts(issued=self.issued, clock=self.clock, locks=("front",)),
            events=EventParts(
                operations=self.operations, records=self.records, bell=self.bell,
                clock=self.clock, most=most, of_caller=of_caller,
            ),
        )  # fmt: skip
        self.app = guarded(self.parts, ["gateway"])

    async def token(self, *scopes: str, expires_in: float | None = None) -> str:
        expires = None if expires_in is None else self.clock.unix() + expires_in
        _, shown = await self.issued.create(label="", scopes=frozenset(scopes), expires=expires)
        return shown.text.reveal().decode()

    async def finished(self, operation: str, principal: str = "alice") -> OperationRecord:
        """An operation ends."""
        request = asked(operation, key=operation, principal=principal)
        await self.ledger.begin(request, unix=self.clock.unix())
        await self.ledger.sending(operation, sn=7)
        record = await self.ledger.finish(operation, CONFIRMED, unix=self.clock.unix())
        self.told.finished(record)
        return record

    async def learned(self, operation: str) -> None:
        record = await self.ledger.add_evidence(operation, BOLT)
        assert record is not None
        self.told.learned(record, BOLT, contradiction=False)

    async def took(self, value: int) -> None:
        """A record is taken."""
        kept = await self.book.take(told(happened(value=value), lock="front"))
        self.taken.kept("front", kept, live=False)

    @asynccontextmanager
    async def stream(
        self, token: str = MASTER, last_id: str | None = None, **more: Any
    ) -> AsyncIterator[Stream]:
        """Follow, until the context ends."""
        stream = Stream(**more)
        headers = [(b"host", b"gateway"), (b"authorization", f"Bearer {token}".encode())]
        if last_id is not None:
            headers.append((b"last-event-id", last_id.encode()))
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET",
            "path": "/v1/events", "raw_path": b"/v1/events", "query_string": b"",
            "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http", "state": {},
            "root_path": "", "http_version": "1.1", "server": ("gateway", 80),
        }  # fmt: skip
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Message:
            for message in asked:
                return message
            await stream.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if stream.gate is not None and b"event:" in message.get("body", b""):
                await stream.gate.wait()
            stream.sent.append(message)

        async def run() -> None:
            await self.app(scope, receive, send)
            stream.done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.sleep(0.01)
            yield stream
            stream.left.set()


def at_the_gateway(story: Callable[[Gateway], Awaitable[None]], **more: Any) -> None:
    """In virtual time."""

    async def main() -> None:
        await story(Gateway(**more))

    virtual_time.run(main)


async def soon() -> None:
    """Less than any time that anything waits for by itself."""
    await anyio.sleep(0.01)


# -- what is told


def test_what_happens_is_told_as_it_happens() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            assert stream.status == 200
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert stream.headers["cache-control"] == "no-store"
            assert "content-length" not in stream.headers
            assert stream.text == "retry: 3000\nid: 00000001:0/00000002:0\n\n"
            await gateway.finished("op-1")
            await soon()
            assert stream.names == ["operation"]
            await gateway.learned("op-1")
            await soon()
            await gateway.took(7)
            await soon()
            assert stream.names == ["operation", "evidence", "record"]
            assert stream.last_id == "00000001:2/00000002:1"
            (_, ended), (_, evidence), (_, record) = stream.events
            assert (ended["id"], ended["outcome"], ended["evidence"]) == (
                "op-1", "confirmed", list(CONFIRMED.evidence)
            )  # fmt: skip
            assert evidence == {
                "operation": "op-1", "lock": "front-door", "action": "unlock", "evidence": BOLT
            }  # fmt: skip
            assert (record["seq"], record["lock"], record["value"]) == (1, "front", 7)
            assert record["title"] == "opened by fingerprint 7"

    at_the_gateway(story)


def test_each_event_is_what_get_shows() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            record = await gateway.finished("op-1")
            await gateway.took(7)
            await soon()
        (one,) = await gateway.records.after(0, limit=1)
        assert gateway.parts.records is not None
        shown = [operation_view(record), view_of(gateway.parts.records, one)]
        assert [data for _, data in stream.events] == json.loads(json.dumps(shown))

    at_the_gateway(story)


def test_silence_is_broken_by_a_comment() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            before = stream.text
            await anyio.sleep(BEAT - 0.1)
            assert stream.text == before
            await anyio.sleep(0.2)
            assert stream.text == before + ": \n\n"
            await anyio.sleep(BEAT)
            assert stream.text == before + ": \n\n" * 2

    at_the_gateway(story)


def test_what_nobody_rang_about_is_told_a_little_later() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            await gateway.book.take(told(happened(value=7), lock="front"))
            await anyio.sleep(RECHECK)
            assert stream.names == ["record"]

    at_the_gateway(story)


# -- from where on


def test_who_comes_back_gets_what_was_meanwhile_each_once_and_in_order() -> None:
    async def story(gateway: Gateway) -> None:
        await gateway.finished("op-0")
        async with gateway.stream() as stream:
            await gateway.finished("op-1")
            await gateway.took(1)
            await soon()
        assert [data["id"] for name, data in stream.events if name == "operation"] == ["op-1"]
        for number in range(2, 2 * PAGE + 5):
            await gateway.finished(f"op-{number}")
            await gateway.took(number)
        async with gateway.stream(last_id=stream.last_id) as again:
            await soon()
        ids = [data["id"] for name, data in again.events if name == "operation"]
        assert ids == [f"op-{number}" for number in range(2, 2 * PAGE + 5)]
        values = [data["value"] for name, data in again.events if name == "record"]
        assert values == list(range(2, 2 * PAGE + 5))
        async with gateway.stream(last_id=again.last_id) as nothing:
            assert nothing.events == []
            assert nothing.last_id == again.last_id

    at_the_gateway(story)


def test_the_id_of_every_single_event_is_good_to_come_back_with() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            for number in range(3):
                await gateway.finished(f"op-{number}")
                await gateway.learned(f"op-{number}")
                await gateway.took(number)
                await soon()
        ids = [one["id"].strip() for one in stream.blocks]
        for number, last in enumerate(ids):
            async with gateway.stream(last_id=last) as again:
                await soon()
            rest = stream.events[number:]
            for kinds in ({"operation", "evidence"}, {"record"}):
                assert [one for one in again.events if one[0] in kinds] == [
                    one for one in rest if one[0] in kinds
                ]

    at_the_gateway(story)


@pytest.mark.parametrize(
    ("last", "lost"),
    [
        ("nonsense", ["operations", "records"]),
        ("00000001:1", ["operations", "records"]),
        ("00000001:1/-", ["records"]),
        ("00000001:2/00000002:1", ["operations"]),  # a number that was never given
        ("00000009:1/00000002:1", ["operations"]),  # of another file
        ("00000001:1/00000009:1", ["records"]),
        ("00000001:1/00000002:1", []),
        ("", []),
    ],
)
def test_an_id_that_is_not_known_is_said(last: str, lost: list[str]) -> None:
    async def story(gateway: Gateway) -> None:
        await gateway.finished("op-1")
        await gateway.took(1)
        async with gateway.stream(last_id=last) as stream:
            await soon()
            assert stream.events == [
                ("lost", {"of": of, "count": None, "from": "2023-11-14T22:13:20.000+00:00"})
                for of in lost
            ]
            assert stream.last_id == "00000001:1/00000002:1"
            await gateway.finished("op-2")
            await soon()
            assert stream.names[len(lost) :] == ["operation"]

    at_the_gateway(story)


def test_an_id_that_is_too_old_is_said_and_what_is_left_follows() -> None:
    async def story(gateway: Gateway) -> None:
        for number in range(1, 5):
            await gateway.finished(f"op-{number}")
            await gateway.took(number)
        gateway.operations.forgotten |= {1, 2, 3}
        gateway.records.forgotten |= {1, 3}
        async with gateway.stream(last_id="00000001:1/00000002:1") as stream:
            await soon()
        lost = [data for name, data in stream.events if name == "lost"]
        assert [(one["of"], one["count"]) for one in lost] == [("operations", 2), ("records", 1)]
        assert lost[0]["from"] == "2023-11-14T22:13:20.000+00:00"
        assert lost[1]["from"] == "2026-11-22T12:01:40.000+00:00"
        assert stream.names == ["lost", "lost", "operation", "record", "record"]

    at_the_gateway(story)


def test_a_position_is_read_as_it_is_written() -> None:
    position: Position = {
        "operations": Mark("0123abcd", 7),
        "records": Mark("00ff00ff", 10**18 - 1),
    }
    assert parse_position(position_text(position)) == position
    assert position_text({}) == "-/-"
    assert parse_position("-/-") == {}
    for odd in (
        "0123abcd:7",
        "0123ABCD:7/-",
        "0123abcd:-7/-",
        "0123abcd:7/-/-",
        "0123abcd:\u0667/-",
    ):
        assert parse_position(odd) == {}


# -- who sees what (F6)


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (["read"], ["operation", "operation"]),
        (["records"], ["operation", "record"]),
        (["read", "records"], ["operation", "operation", "record"]),
        (["operate:front"], ["operation"]),
        (["admin"], ["operation"]),
    ],
)
def test_a_stream_shows_what_the_scopes_allow_and_ones_own(
    scopes: list[str], seen: list[str]
) -> None:
    async def story(gateway: Gateway) -> None:
        token = await gateway.token(*scopes)
        own = gateway.issued.all()[0].principal
        async with gateway.stream(token) as stream:
            await gateway.finished("foreign")
            await gateway.finished("own", own)
            await gateway.took(7)
            await soon()
            assert stream.names == seen
            ids = [data["id"] for name, data in stream.events if name == "operation"]
            assert ids[-1] == "own"

    at_the_gateway(story)


def test_ones_own_is_found_behind_pages_of_others() -> None:
    async def story(gateway: Gateway) -> None:
        token = await gateway.token("operate:front")
        for number in range(3 * PAGE):
            await gateway.finished(f"op-{number}")
        await gateway.finished("own", gateway.issued.all()[0].principal)
        async with gateway.stream(token, last_id="00000001:0/-") as stream:
            await soon()
            assert [data["id"] for _, data in stream.events] == ["own"]

    at_the_gateway(story)


def test_the_place_in_what_one_does_not_see_is_carried_along() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            await gateway.took(1)
            await soon()
        async with gateway.stream(await gateway.token("read"), stream.last_id) as other:
            await gateway.took(2)
            await gateway.finished("op-1")
            await soon()
        assert other.last_id == "00000001:1/00000002:1"
        async with gateway.stream(last_id=other.last_id) as again:
            await soon()
        assert [(name, data["value"]) for name, data in again.events] == [("record", 2)]

    at_the_gateway(story)


@pytest.mark.parametrize("token", ["wrong", ""])
def test_without_a_good_token_there_is_no_stream(token: str) -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream(token) as stream:
            assert stream.status == 401

    at_the_gateway(story)


def test_a_token_that_is_revoked_ends_the_stream_and_gets_nothing_more() -> None:
    async def story(gateway: Gateway) -> None:
        token = await gateway.token("read")
        async with gateway.stream(token) as stream, gateway.stream() as other:
            await gateway.issued.revoke(gateway.issued.all()[0].id)
            await gateway.finished("op-1")
            await soon()
            assert stream.done.is_set()
            assert stream.events == []
            assert other.names == ["operation"]

    at_the_gateway(story)


def test_a_token_is_looked_at_again_also_in_silence() -> None:
    async def story(gateway: Gateway) -> None:
        revoked, ending = await gateway.token("read"), await gateway.token("read", expires_in=60)
        async with gateway.stream(revoked) as one, gateway.stream(ending) as other:
            await gateway.issued.revoke(gateway.issued.all()[0].id)
            with anyio.fail_after(RECHECK + 0.1):
                await one.done.wait()
            with anyio.fail_after(60):
                await other.done.wait()

    at_the_gateway(story)


def test_a_configured_token_that_was_replaced_ends_the_stream() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            gateway.tokens.replace(Secret("another-token"))
            with anyio.fail_after(RECHECK + 0.1):
                await stream.done.wait()

    at_the_gateway(story)


def test_scopes_that_changed_end_the_stream() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream(await gateway.token("read", "records")) as stream:
            (kept,) = gateway.issued.all()
            gateway.issued._held[kept.id] = replace(kept, scopes=frozenset({"records"}))
            with anyio.fail_after(RECHECK + 0.1):
                await stream.done.wait()

    at_the_gateway(story)


# -- bounds


def test_for_who_does_not_read_no_more_than_a_page_is_read() -> None:
    async def story(gateway: Gateway) -> None:
        for number in range(5 * PAGE):
            await gateway.finished(f"op-{number}")
        gate = anyio.Event()
        async with gateway.stream(last_id="00000001:0/00000002:0", gate=gate) as stream:
            await anyio.sleep(100)
            assert gateway.operations.furthest == PAGE
            gate.set()
            await soon()
            assert len(stream.names) == 5 * PAGE

    at_the_gateway(story)


def test_there_are_so_many_places_and_one_that_leaves_makes_room() -> None:
    async def story(gateway: Gateway) -> None:
        other, third = await gateway.token("read"), await gateway.token("read")
        async with gateway.stream() as first, gateway.stream() as second:
            async with gateway.stream() as refused:
                assert refused.status == 429
                assert refused.headers["retry-after"] == "10"
                assert json.loads(refused.text)["code"] == "too-many-requests"
            async with gateway.stream(other) as fine, gateway.stream(third) as full:
                assert (fine.status, full.status) == (200, 429)
            async with gateway.stream(third) as fine:
                assert fine.status == 200
            first.left.set()
            await first.done.wait()
            async with gateway.stream() as again:
                assert again.status == 200
            assert second.status == 200

    at_the_gateway(story, most=3, of_caller=2)


def test_streams_end_at_once_when_the_agent_stops() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            gateway.bell.close()
            await soon()
            assert stream.done.is_set()
            assert stream.sent[-1] == {
                "type": "http.response.body", "body": b"", "more_body": False
            }  # fmt: skip
        async with gateway.stream() as late:
            assert late.done.is_set()

    at_the_gateway(story)


# -- what fails


def test_what_cannot_be_read_now_is_told_later_and_the_rest_meanwhile() -> None:
    async def story(gateway: Gateway) -> None:
        async with gateway.stream() as stream:
            gateway.records.fails = True
            with capture_logs() as logged:
                await gateway.took(1)
                await gateway.finished("op-1")
                await anyio.sleep(3 * RECHECK)
            told_so = [one for one in logged if one["event"] == "events.not_read"]
            assert [(one["of"], one["code"]) for one in told_so] == [("records", "store-failed")]
            assert stream.names == ["operation"]
            gateway.records.fails = False
            await anyio.sleep(RECHECK)
            assert stream.names == ["operation", "record"]

    at_the_gateway(story)


def test_a_store_that_cannot_be_asked_where_it_ends_is_a_problem() -> None:
    async def story(gateway: Gateway) -> None:
        gateway.operations.fails = True
        async with gateway.stream() as stream:
            assert (stream.status, json.loads(stream.text)["code"]) == (503, "store-failed")

    at_the_gateway(story)


def test_where_no_records_are_kept_operations_are_told() -> None:
    async def story(gateway: Gateway) -> None:
        events = gateway.parts.events
        assert events is not None
        parts = replace(gateway.parts, records=None, events=replace(events, records=None))
        gateway.app = guarded(parts, ["gateway"])
        async with gateway.stream() as stream:
            await gateway.finished("op-1")
            await soon()
            assert stream.names == ["operation"]
            assert stream.last_id == "00000001:1/-"

    at_the_gateway(story)


def test_a_fault_of_ours_ends_the_stream_and_tells_no_message() -> None:
    async def story(gateway: Gateway) -> None:
        assert gateway.parts.records is not None

        def broken(*_: object) -> str:
            raise RuntimeError("CANARY")

        parts = replace(gateway.parts, records=replace(gateway.parts.records, name_of=broken))
        gateway.app = guarded(parts, ["gateway"])
        with capture_logs() as logged:
            async with gateway.stream() as stream:
                await gateway.took(1)
                await soon()
                assert stream.done.is_set()
        (fault,) = [one for one in logged if one["event"] == "events.fault"]
        assert fault["error"] == "RuntimeError"
        assert "CANARY" not in str(logged)

    at_the_gateway(story)
