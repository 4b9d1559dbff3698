"""Records over HTTP: the questions, the answers, and who decides about parked ones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bleagent.errors import CloudError
from bleagent.http.app import HttpParts, create_app
from bleagent.http.auth import Tokens
from bleagent.http.problems import RequestUnusable
from bleagent.http.record_query import parse_query, parse_time, to_cursor
from bleagent.http.records import RecordParts
from bleagent.records.record import Carriage, RecordQuery, StoredRecord, TimeQuality
from protocol import Secret
from protocol.lock import OpenRecord
from protocol.records import RecordKind

from .record_shelf import AT, TinyShelf, stored

TOKEN = "CANARY-token-0123456789"
NOWHERE: Any = cast("Any", None)
ZONE = timezone(timedelta(hours=2))
DONE, WAITING, PARKED = Carriage.DONE, Carriage.WAITING, Carriage.PARKED


class FixedClock:
    """Ten minutes after the records."""

    trusted = True

    def now(self) -> float:
        return 0.0

    def unix(self) -> float:
        return AT + 600


def record_parts(shelf: TinyShelf, **more: Any) -> RecordParts:
    return RecordParts(
        shelf=shelf, last_seq=shelf.last_seq, locks=("front", "back"), clock=FixedClock(),
        zone=ZONE, **more,
    )  # fmt: skip


def ask(
    records: RecordParts | None, method: str, url: str, token: str = TOKEN, **more: Any
) -> httpx.Response:
    """One request to the application."""
    parts = HttpParts(
        doors=NOWHERE, ledger=NOWHERE, clock=FixedClock(), tokens=Tokens(Secret(TOKEN)),
        new_id=str, stalled=lambda: False, air=lambda: None, readiness=dict, records=records,
    )  # fmt: skip

    async def main() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(parts)), base_url="http://gateway",
            headers={"Authorization": f"Bearer {token}"},
        ) as client:  # fmt: skip
            return await client.request(method, url, **more)

    answer = anyio.run(main)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["advice"]
    else:
        assert answer.headers["cache-control"] == "no-store"
    return answer


def get(shelf: TinyShelf, url: str) -> dict[str, Any]:
    answer = ask(record_parts(shelf), "GET", url)
    assert answer.status_code == 200, answer.text
    return cast("dict[str, Any]", answer.json())


def problem(records: RecordParts | None, method: str, url: str, **more: Any) -> tuple[int, str]:
    answer = ask(records, method, url, **more)
    return answer.status_code, answer.json()["code"]


# -- looking


def test_a_record_is_told_whole_and_in_local_time() -> None:
    one = stored(
        7, operation="op-1", cloud=(DONE, ""), file=(PARKED, "1109"), quality=TimeQuality.RECEIVED
    )
    parts = record_parts(TinyShelf(one), name_of=lambda lock, _: f"Jane of {lock}")
    told = ask(parts, "GET", f"/v1/records/{one.id}").json()
    assert told == {
        "id": one.id, "seq": 7, "lock": "front", "kind": "fingerprint", "value": 3,
        "category": "opening", "severity": None, "title": "opened by fingerprint 3",
        "who": "Jane of front", "at": "2024-06-02T21:37:43.000+00:00",
        "local": "2024-06-02T23:37:43.000+02:00", "quality": "received", "live": False,
        "operation": "op-1", "late": False, "released": True,
        "taken_at": "2024-06-02T21:38:43.000+00:00",
        "deliveries": [
            {"sink": "cloud", "state": "done", "attempts": 1, "code": ""},
            {"sink": "file", "state": "parked", "attempts": 1, "code": "1109"},
        ],
    }  # fmt: skip
    assert ask(parts, "GET", "/v1/records").json()["records"] == [told]


def test_local_times_are_those_of_the_machine_by_default() -> None:
    one = stored(1)
    parts = replace(record_parts(TinyShelf(one)), zone=None)
    local = ask(parts, "GET", f"/v1/records/{one.id}").json()["local"]
    assert datetime.fromisoformat(local) == datetime.fromtimestamp(AT, UTC)
    assert datetime.fromisoformat(local).utcoffset() is not None


def test_a_time_that_no_calendar_has_is_null() -> None:
    told = get(TinyShelf(stored(1, at=1e15)), "/v1/records")["records"][0]
    assert (told["at"], told["local"]) == (None, None)


def test_no_byte_of_a_record_is_told() -> None:
    said = OpenRecord(
        central=5, peripheral=2, code=Secret(b"CANARY72"), operation=1, timestamp=0x41424344,
        method=3, info=b"CANARYinfo",
    )  # fmt: skip
    raw = said.to_bytes()
    one = stored(1, kind=RecordKind.OPENED, value=None, data=raw)
    text = ask(record_parts(TinyShelf(one)), "GET", "/v1/records").text
    assert "opened by accessory 5, method 3" in text
    for form in ("CANARY", raw.hex(), raw.hex().upper(), b"CANARY".hex()):
        assert form not in text


def test_pages_go_back_in_time_and_end() -> None:
    # Two in one second stand in the order of their numbers.
    kept = [stored(seq, at=AT + seq // 2) for seq in range(1, 8)]
    shelf = TinyShelf(*kept)
    seen, cursor = [], ""
    for _ in range(4):
        page = get(shelf, f"/v1/records?limit=3{cursor}")
        seen += [one["seq"] for one in page["records"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert page["next"] is None


def test_following_goes_forward_by_the_order_of_taking() -> None:
    shelf = TinyShelf(stored(1, at=AT), stored(2, at=AT - 100), stored(3, at=AT - 50))
    newest = get(shelf, "/v1/records?limit=1")
    assert ([one["seq"] for one in newest["records"]], newest["last"]) == ([1], 3)
    shelf.add(at=AT - 500)
    shelf.add(at=AT - 400)
    first = get(shelf, f"/v1/records?after={newest['last']}&limit=1")
    assert ([one["seq"] for one in first["records"]], first["last"]) == ([4], 4)
    assert first["next"] is None
    then = get(shelf, f"/v1/records?after={first['last']}")
    assert ([one["seq"] for one in then["records"]], then["last"]) == ([5], 5)
    nothing = get(shelf, f"/v1/records?after={then['last']}")
    assert (nothing["records"], nothing["last"]) == ([], 5)


def test_every_parameter_reaches_the_shelf() -> None:
    shelf = TinyShelf(stored(1))
    get(
        shelf,
        "/v1/records?lock=front&since=2024-06-02T23:37:43%2B02:00&until=1717364264.5"
        "&kind=card&kind=alarm&kind=card&state=parked&limit=500"
        f"&cursor={to_cursor(1717364263.25, 9)}",
    )
    assert shelf.asked == [
        RecordQuery(
            lock="front", since=AT, until=AT + 1.5, kinds=(RecordKind.CARD, RecordKind.ALARM),
            state=Carriage.PARKED, limit=500, before=(1717364263.25, 9),
        )
    ]  # fmt: skip


def test_without_parameters_the_newest_hundred_are_meant() -> None:
    shelf = TinyShelf()
    assert get(shelf, "/v1/records") == {"records": [], "next": None, "last": 0}
    assert shelf.asked == [RecordQuery()]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("colour=red", "unknown parameter 'colour'; there are lock, since"),
        ("lock=a&lock=b", "lock is given twice"),
        ("lock=..%2F..%2Fetc", "lock: found '../../etc', expected a lock's name"),
        ("lock=" + "a" * 300, "a lock's name"),
        ("lock=%00", "a lock's name"),
        ("since=yesterday", "since: found 'yesterday', expected Unix seconds, or ISO 8601"),
        ("since=2026-01-31T18:30:00", "expected an offset after it"),
        ("since=" + "9" * 400, "a time between 1970 and 9999"),
        ("since=253402300800", "a time between 1970 and 9999"),  # the year 10000
        ("since=nan", "since: found 'nan', expected Unix seconds, or ISO 8601"),
        ("since=-1", "a time between 1970 and 9999"),
        ("since=20&until=10", "since lies behind until"),
        ("kind=thought", "kind: found 'thought', expected one of fingerprint, password"),
        ("state=lost", "expected one of waiting, done, parked, dropped"),
        ("limit=0", "limit: found '0', expected a number from 1 to 500"),
        ("limit=501", "a number from 1 to 500"),
        ("limit=%D9%A3", "a number from 1 to 500"),  # a digit, and none of ours
        ("limit=1e2", "a number from 1 to 500"),
        ("after=-1", "after: found '-1', expected a number from 0"),
        ("after=9223372036854775808", "expected a number from 0"),
        ("after=1&cursor=" + to_cursor(1.0, 1), "after and cursor exclude each other"),
        ("cursor=x", "cursor: found 'x', expected the `next` of an answer"),
        ("cursor=MSwx%00", "expected the `next`"),
        ("cursor=" + to_cursor(float("nan"), 1), "expected the `next`"),
        ("cursor=" + to_cursor(1.0, -1), "expected the `next`"),
        ("cursor=" + to_cursor(1.0, 2**63), "expected the `next`"),
        ("cursor=" + "QQ" * 5000, "expected the `next`"),
    ],
)
def test_what_is_of_no_use_is_said(query: str, words: str) -> None:
    shelf = TinyShelf()
    answer = ask(record_parts(shelf), "GET", f"/v1/records?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid")
    assert words in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 450
    assert shelf.asked == []


def test_the_value_of_an_unknown_parameter_is_not_repeated() -> None:
    answer = ask(record_parts(TinyShelf()), "GET", f"/v1/records?access_token={TOKEN}")
    assert answer.status_code == 422
    assert TOKEN not in answer.text


@given(st.text(max_size=80))
def test_any_text_as_a_cursor_is_a_place_or_an_error(text: str) -> None:
    try:
        before = parse_query([("cursor", text)]).before
    except RequestUnusable:
        return
    assert before is not None


@given(st.text(max_size=80))
def test_any_text_as_a_time_is_a_time_or_an_error(text: str) -> None:
    with suppress(RequestUnusable):
        assert parse_time("since", text) >= 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["lock", "since", "until", "kind", "state", "limit", "after", "cursor"])
            | st.text(max_size=5),
            st.text(max_size=30) | st.integers().map(str) | st.sampled_from(RecordKind),
        ),
        max_size=4,
    )
)
def test_any_question_is_a_question_or_an_error(given: list[tuple[str, str]]) -> None:
    try:
        query = parse_query(given)
    except RequestUnusable as error:
        assert len(str(error)) < 500  # noqa: PT017 - it may also be none
        return
    assert 1 <= query.limit <= 500


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back_as_it_was(at: float, seq: int) -> None:
    assert parse_query([("cursor", to_cursor(at, seq))]).before == (at, seq)


def test_a_plus_that_became_a_space_is_a_plus() -> None:
    assert parse_time("since", "2024-06-02T23:37:43 02:00") == AT
    with pytest.raises(RequestUnusable):
        parse_time("since", "2024-06-02 23:37")


def test_a_lock_is_known_by_the_configuration_or_by_its_records() -> None:
    shelf = TinyShelf(stored(1, lock="sold"))
    assert get(shelf, "/v1/records?lock=back")["records"] == []
    assert len(get(shelf, "/v1/records?lock=sold")["records"]) == 1
    assert problem(record_parts(shelf), "GET", "/v1/records?lock=none") == (404, "unknown-lock")


@pytest.mark.parametrize("text", ["0" * 32, "x", "%00", "x%2Fy", "0" * 33, "A" * 32])
def test_an_unknown_record_is_none(text: str) -> None:
    parts = record_parts(TinyShelf(stored(1)))
    for method, url in (
        ("GET", f"/v1/records/{text}"),
        ("POST", f"/v1/records/{text}/retry"),
        ("POST", f"/v1/records/{text}/drop"),
    ):
        status, code = problem(parts, method, url)
        assert status == 404
        assert code in ("unknown-record", "not-found")  # a slash is another address


EVERY = [
    ("GET", "/v1/records"),
    ("GET", "/v1/records/" + "0" * 32),
    ("GET", "/v1/outbox"),
    ("POST", "/v1/records/" + "0" * 32 + "/retry"),
    ("POST", "/v1/records/" + "0" * 32 + "/drop"),
    ("POST", "/v1/outbox/gone/forget"),
    ("POST", "/v1/locks/front/records/verify"),
]


@pytest.mark.parametrize(("method", "url"), EVERY)
def test_nobody_asks_without_the_token(method: str, url: str) -> None:
    parts = record_parts(TinyShelf(stored(1)))
    assert ask(parts, method, url, token="x").status_code == 401


@pytest.mark.parametrize(("method", "url"), EVERY)
def test_a_daemon_without_records_says_so(method: str, url: str) -> None:
    assert problem(None, method, url) == (503, "records-not-kept")


def test_no_get_decides() -> None:
    parts = record_parts(TinyShelf(stored(1, cloud=(PARKED, "1109"))))
    for word in ("retry", "drop"):
        assert ask(parts, "GET", f"/v1/records/{1:032x}/{word}").status_code == 405


# -- deciding


def test_what_is_left_for_a_sink_that_is_gone_is_given_up_with_who_said_so() -> None:
    shelf = TinyShelf(
        stored(1, old=(WAITING, ""), cloud=(WAITING, "")),
        stored(2, old=(PARKED, "410"), cloud=(PARKED, "1109")),
        stored(3, old=(DONE, "")),
    )
    shelf.gone = {"old"}
    parts = record_parts(shelf)
    assert problem(parts, "POST", "/v1/outbox/nobody/forget") == (404, "unknown-sink")
    assert problem(parts, "POST", "/v1/outbox/cloud/forget") == (409, "sink-configured")
    url = "/v1/outbox/old/forget"
    assert problem(parts, "POST", url, content=b'{"sink": "cloud"}') == (422, "request-invalid")
    with capture_logs() as lines:
        assert ask(parts, "POST", url).json() == {"sink": "old", "changed": 2}
    assert [(one["event"], one["deliveries"], one["principal"]) for one in lines] == [
        ("sink.forgotten", 2, "token")
    ]
    states = [[one.state for one in record.deliveries] for record in shelf.kept]
    assert states == [["dropped", "waiting"], ["dropped", "parked"], ["done"]]


@pytest.mark.parametrize(("word", "state"), [("retry", "waiting"), ("drop", "dropped")])
def test_a_parked_record_is_decided_about(word: str, state: str) -> None:
    one = stored(1, cloud=(PARKED, "1109"), file=(DONE, ""), hook=(PARKED, "410"))
    parts = record_parts(TinyShelf(one))
    url = f"/v1/records/{one.id}/{word}"
    first = ask(parts, "POST", url, json={"sink": "cloud"}).json()
    states = {one["sink"]: one["state"] for one in first["record"]["deliveries"]}
    assert (first["changed"], states) == (1, {"cloud": state, "file": "done", "hook": "parked"})
    assert ask(parts, "POST", url).json()["changed"] == 1
    assert problem(parts, "POST", url) == (409, "not-parked")


def test_what_is_not_parked_is_told_with_what_it_is() -> None:
    one = stored(1, cloud=(WAITING, "2008"), file=(DONE, ""))
    parts = record_parts(TinyShelf(one, stored(2)))
    url = f"/v1/records/{one.id}/drop"
    whole = ask(parts, "POST", url).json()
    assert whole["detail"] == "nothing of it is parked: cloud waiting, file done"
    named = ask(parts, "POST", url, json={"sink": "nobody"}).json()
    assert named["detail"] == "nothing of it is parked for 'nobody': cloud waiting, file done"
    bare = ask(parts, "POST", f"/v1/records/{2:032x}/retry").json()
    assert bare["detail"] == "nothing of it is parked: no sink has it"


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"sink": 3}', b'{"zink": "a"}', b'{"sink": ""}'])
def test_a_body_of_no_use_changes_nothing(body: bytes) -> None:
    shelf = TinyShelf(stored(1, cloud=(PARKED, "1109")))
    parts = record_parts(shelf)
    for word in ("retry", "drop"):
        answer = ask(parts, "POST", f"/v1/records/{1:032x}/{word}", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid")
    assert shelf.kept[0].deliveries[0].state is PARKED


def test_a_body_has_its_bound() -> None:
    parts = record_parts(TinyShelf(stored(1, cloud=(PARKED, "1109"))))
    for method, url in EVERY[3:]:
        assert problem(parts, method, url, content=b" " * 5000) == (413, "body-too-large")


def test_the_outbox_says_what_waits_and_what_was_taken() -> None:
    shelf = TinyShelf(
        stored(1, cloud=(DONE, ""), file=(WAITING, "")),
        stored(2, at=AT + 60, released=False, cloud=(DONE, ""), file=(WAITING, "")),
        stored(3, lock="back", cloud=(PARKED, "1109")),
        stored(4, lock="back", at=AT + 60, cloud=(WAITING, "28841105")),
    )
    shelf.gone = {"file"}
    assert get(shelf, "/v1/outbox") == {
        "sinks": [
            {
                "sink": "cloud", "configured": True, "waiting": 1, "held": 0, "done": 2,
                "parked": 1, "dropped": 0, "oldest_waiting_s": 480.0,
                "routes_closed": {"back": "1106"},
            },
            {
                "sink": "file", "configured": False, "waiting": 2, "held": 1, "done": 0,
                "parked": 0, "dropped": 0, "oldest_waiting_s": 540.0, "routes_closed": {},
            },
        ],
        "locks": [
            {"lock": "back", "taken": 2, "duplicate": 2, "gaps": 1},
            {"lock": "front", "taken": 2, "duplicate": 2, "gaps": 1},
        ],
    }  # fmt: skip


def test_an_age_is_never_negative_and_may_be_none() -> None:
    sinks = get(TinyShelf(stored(1, at=AT + 9000, a=(WAITING, ""), b=(DONE, ""))), "/v1/outbox")
    assert [one["oldest_waiting_s"] for one in sinks["sinks"]] == [0.0, None]


# -- comparing


@dataclass(frozen=True)
class Said:
    code: str
    value: object
    at: float


@dataclass(frozen=True)
class Verification:
    agree: int
    lacking: tuple[Said, ...] = ()
    twice: tuple[Said, ...] = ()
    unknown: tuple[Said, ...] = ()
    complete: bool = True


def test_a_comparison_is_asked_for_and_told() -> None:
    asked: list[tuple[Any, ...]] = []

    async def verify(*what: Any) -> Verification:
        asked.append(what)
        return Verification(
            agree=5, lacking=(Said("unlock_card", 11, AT),), twice=(Said("hijack", True, AT),),
            complete=False,
        )  # fmt: skip

    parts = record_parts(TinyShelf(), verify=verify)
    url = "/v1/locks/front/records/verify"
    told = ask(
        parts, "POST", url, json={"since": "2024-06-02T21:37:43Z", "until": AT + 1, "sink": "cloud"}
    ).json()
    assert told == {
        "lock": "front", "agree": 5, "complete": False, "unknown": [],
        "lacking": [{"code": "unlock_card", "value": 11, "at": "2024-06-02T21:37:43.000+00:00"}],
        "twice": [{"code": "hijack", "value": True, "at": "2024-06-02T21:37:43.000+00:00"}],
    }  # fmt: skip
    assert ask(parts, "POST", url).status_code == 200
    assert asked == [("front", AT, AT + 1, "cloud"), ("front", None, None, None)]


def test_a_comparison_that_cannot_be_had_says_why() -> None:
    url = "/v1/locks/front/records/verify"
    assert problem(record_parts(TinyShelf()), "POST", url) == (501, "cannot-verify")

    async def unlucky(*_: Any) -> Verification:
        raise CloudError("nobody there")

    parts = record_parts(TinyShelf(), verify=unlucky)
    assert problem(parts, "POST", url) == (502, "cloud-failed")
    assert problem(parts, "POST", "/v1/locks/none/records/verify") == (404, "unknown-lock")
    for body in ({"since": "soon"}, {"since": True}, {"colour": "red"}, {"since": -5}):
        assert problem(parts, "POST", url, json=body) == (422, "request-invalid")
    assert problem(parts, "POST", url, content=b'{"since": NaN}') == (422, "request-invalid")
    assert ask(parts, "GET", url).status_code == 405


def test_a_comparison_has_a_bound() -> None:
    async def never(*_: Any) -> Verification:
        await anyio.sleep_forever()
        raise AssertionError

    parts = record_parts(TinyShelf(), verify=never, verify_within=0.01)
    assert problem(parts, "POST", "/v1/locks/front/records/verify") == (504, "verify-too-slow")


# -- what is written down


def test_a_decision_is_logged_with_who_decided() -> None:
    one = stored(1, cloud=(PARKED, "1109"))
    with capture_logs() as lines:
        url = f"/v1/records/{one.id}/drop"
        ask(record_parts(TinyShelf(one)), "POST", url, json={"sink": "cloud"})
    assert lines == [
        {
            "event": "record.decided", "log_level": "info", "record": one.id, "decision": "drop",
            "sink": "cloud", "deliveries": 1, "principal": "token",
        }
    ]  # fmt: skip


def test_names_are_asked_for_by_lock_and_record() -> None:
    asked: list[tuple[str, int]] = []

    def name_of(lock: str, record: StoredRecord) -> str | None:
        asked.append((lock, record.seq))
        return None

    shelf = TinyShelf(stored(1), stored(2, lock="back"))
    told = ask(record_parts(shelf, name_of=name_of), "GET", "/v1/records").json()
    assert [one["who"] for one in told["records"]] == [None, None]
    assert sorted(asked) == [("back", 2), ("front", 1)]
