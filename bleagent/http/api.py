"""Every request that there is: what it takes, who may ask, what comes back.

One row a request; a test holds the rows against the application's own routes. The document of
the interface is made of them (``openapi``).
"""

from __future__ import annotations

from bleagent.authority.tokens import ADMIN, READ, RECORDS
from bleagent.model import Action
from bleagent.records.record import Carriage
from protocol.records import RecordKind

from . import examples, lock_schemas, schemas
from .described import (
    ANY_CALLER,
    CLOUD,
    OPERATED,
    SHELF,
    STORE,
    Answer,
    Row,
    parameter,
    query,
)
from .fields import MOMENT
from .operations import ASYNC, KEY, MAX_KEY, OperateBody, UnlockBody
from .record_query import LIMIT, MAX_LIMIT
from .records import DecideBody, ForgetBody, VerifyBody
from .tokens import TokenBody

LOCK = {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"}
NAME = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
COUNT = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}

LOCK_NAME = parameter("path", "lock", LOCK, "The lock's name.", example="front-door")
RECORD_ID = parameter(
    "path", "record_id", {"type": "string", "pattern": "^[0-9a-f]{32}$"}, "The record's `id`.",
    example=examples.RECORD["id"],
)  # fmt: skip
SINK = parameter(
    "path", "sink", NAME, "The sink's name.",
    example="old-webhook",
)  # fmt: skip
KEY_SCHEMA = {"type": "string", "pattern": KEY, "minLength": 1, "maxLength": MAX_KEY}
KEY_HEADER = parameter(
    "header", "Idempotency-Key", KEY_SCHEMA, "A new random one for each new request. The same one "
    "again, with the same body, is answered with what is known, and opens nothing.",
    required=True, example="8f1d7c3a5be24c0f9a6d",
)  # fmt: skip
PREFER = parameter(
    "header", "Prefer", {"type": "string"}, f"`{ASYNC}`: do not wait for the outcome (RFC 7240). "
    "The operation then goes on though the caller hangs up.", example=ASYNC,
)  # fmt: skip

OPERATION = "The operation: its outcome, `code`, and the time of each step."
OPERATE_WORDS = (
    "Waits for the outcome, at most `deadline_ms` until the command is written and 8 s (locking: "
    "20 s) for the lock's word about it. There are four outcomes, and silence is not a no: "
    "`confirmed` (200), `refused` (409), `unreached` (503, safe to ask again with a new key) and "
    "`unconfirmed` (504, a person looks first). A caller that hangs up before the command is "
    "written stops it. "
    "One operation a lock at a time, and two seconds of rest after it; after an `unconfirmed` one "
    "a minute, unless it is named in `after`. `expires_at` ends the deadline by the date, and is "
    "refused while the agent does not know that. 409 and 503 are either the operation or, where "
    "nothing was begun, a problem."
)


SHARING_WORDS = (
    " With a ticket in `sharing` the scope `share:{lock}` is enough: the cloud then has to take it "
    "for this lock first, within its time and its weekly hours, which are held to here as well."
)


def _operate(action: Action) -> Row:
    opens = action is Action.UNLOCK
    return Row(
        method="post", path=f"/v1/locks/{{lock}}/{action}", group="Doors",
        title={Action.UNLOCK: "Open a door", Action.LOCK: "Lock a door"}[action],
        words=OPERATE_WORDS + SHARING_WORDS * opens, scope="operate:{lock}",
        parameters=(LOCK_NAME, KEY_HEADER, PREFER),
        body=UnlockBody if opens else OperateBody, body_example={"deadline_ms": 8000},
        answers={
            200: _outcome("confirmed", "The lock reported carrying it out."),
            202: _outcome(None, f"It has begun (`Prefer: {ASYNC}`), or was found unfinished."),
            409: _outcome("refused", "Lock or cloud said no."),
            503: _outcome("unreached", "Certainly not delivered whole."),
            504: _outcome("unconfirmed", "It left, nobody answered: the door may be open."),
        },
        codes=(
            "idempotency-key-missing", "idempotency-key-reused", "unknown-lock", "scope-missing",
            "uses-spent", "lock-busy", "unresolved-operation", "too-late", *STORE,
            *(("sharing-refused", "sharing-unverified") if opens else ()),
        ),
    )  # fmt: skip


def _outcome(outcome: str | None, words: str) -> Answer:
    return Answer(
        words=words, model=schemas.Operation, example=examples.operation(outcome),
        headers=OPERATED,
    )  # fmt: skip


DOORS = (
    *map(_operate, Action),
    Row(
        method="post", path="/v1/locks/{lock}/hint", group="Doors", title="Somebody is coming",
        words="Connects, and stays for the lock's `warm` seconds. Takes no body.",
        scope="operate:{lock}", parameters=(LOCK_NAME,),
        answers={
            202: Answer(words="For so long.", model=schemas.Hint, example=examples.HINT),
        },
        codes=("unknown-lock", "scope-missing", "connection-on-demand", "content-type-unusable"),
    ),
    Row(
        method="post", path="/v1/locks/{lock}/rehearse", group="Doors", title="Rehearse an opening",
        words="Connects, pairs, has configuration and instruction issued, checks them, and "
        "writes nothing: no door moves. Whoever opens the door meanwhile goes first, and this is "
        "then answered `lock-busy`. Takes no body, up to 20 s, and counts as an operation for the "
        "limit of these.",
        scope="operate:{lock}", parameters=(LOCK_NAME,),
        answers={
            200: Answer(
                words="How far it came.", model=schemas.Rehearsal, example=examples.REHEARSAL
            ),
        },
        codes=("unknown-lock", "scope-missing", "lock-busy", "content-type-unusable"),
    ),
    Row(
        method="get", path="/v1/operations", group="Doors", title="Find an operation by its key",
        words="Of the caller's own.", scope=ANY_CALLER,
        parameters=(
            parameter(
                "query", "key", KEY_SCHEMA, "The Idempotency-Key.", required=True,
                example="8f1d7c3a5be24c0f9a6d",
            ),
        ),
        answers={
            200: Answer(
                words=OPERATION, model=schemas.Operation, example=examples.operation("confirmed"),
                headers=("Location",),
            ),
        },
        codes=("unknown-operation", "request-invalid", *STORE),
    ),
    Row(
        method="get", path="/v1/operations/{operation_id}", group="Doors",
        title="How an operation ended",
        words="`evidence` grows for ten seconds with what the lock says after it. One's own "
        "operations take no scope, others' take `read`.", scope=ANY_CALLER,
        parameters=(
            parameter(
                "path", "operation_id", NAME,
                "The operation's `id`.", example=examples.operation(None)["id"],
            ),
        ),
        answers={
            200: Answer(
                words=OPERATION, model=schemas.Operation, example=examples.operation("confirmed"),
            ),
        },
        codes=("unknown-operation", "scope-missing", *STORE),
    ),
    Row(
        method="get", path="/v1/locks", group="Doors", title="Each lock", scope=READ,
        answers={
            200: Answer(words="All of them.", model=lock_schemas.Locks, example=examples.LOCKS),
        },
        codes=("scope-missing",),
    ),
    Row(
        method="get", path="/v1/locks/{lock}", group="Doors", title="One lock", scope=READ,
        parameters=(LOCK_NAME,),
        answers={
            200: Answer(
                words="As it is known here.", model=lock_schemas.Lock,
                example=examples.LOCKS["locks"][0],
            ),
        },
        codes=("scope-missing", "unknown-lock"),
    ),
)  # fmt: skip

KEPT = "What the locks recorded"


def _decide(word: str, title: str, words: str, scope: str) -> Row:
    return Row(
        method="post", path=f"/v1/records/{{record_id}}/{word}", group=KEPT, title=title,
        words=words, scope=scope, parameters=(RECORD_ID,), body=DecideBody,
        body_example={"sink": "cloud"},
        answers={
            200: Answer(words="Done.", model=schemas.Decided, example=examples.DECIDED),
        },
        codes=("scope-missing", "unknown-record", "not-parked", "outbox-full", *SHELF),
    )  # fmt: skip


RECORD_ROWS = (
    Row(
        method="get", path="/v1/records", group=KEPT, title="Records, newest first",
        words="With `after`, those taken behind it, oldest first: to follow what comes. `after` "
        "and `cursor` exclude each other, and each parameter but `kind` comes once.",
        scope=RECORDS,
        parameters=(
            query("lock", LOCK, "Of this lock."),
            query("since", MOMENT, "Not before."),
            query("until", MOMENT, "Not after."),
            query(
                "kind", {"type": "array", "items": {"enum": list(RecordKind)}},
                "Of this kind; several times.",
            ),
            query("state", {"enum": list(Carriage)}, "With a delivery in this state."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": LIMIT},
                "So many at most.",
            ),
            query(
                "cursor", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                "The `next` of an answer, as it is.",
            ),
            query("after", COUNT, "The `last` of an answer."),
        ),
        answers={
            200: Answer(words="A page.", model=schemas.Records, example=examples.RECORDS),
        },
        codes=("scope-missing", "unknown-lock", "request-invalid", *SHELF),
    ),
    Row(
        method="get", path="/v1/records/{record_id}", group=KEPT, title="One record",
        scope=RECORDS, parameters=(RECORD_ID,),
        answers={
            200: Answer(words="The record.", model=schemas.Record, example=examples.RECORD),
        },
        codes=("scope-missing", "unknown-record", *SHELF),
    ),
    _decide("retry", "Try a parked record again", "Does no harm.", RECORDS),
    _decide("drop", "Give a parked record up", "For good.", ADMIN),
    Row(
        method="post", path="/v1/locks/{lock}/records/verify", group=KEPT,
        title="Compare with the cloud", words="Asks the cloud, page after page: up to 100 s.",
        scope=RECORDS, parameters=(LOCK_NAME,), body=VerifyBody,
        body_example={"since": "2026-01-31T00:00:00Z"},
        answers={
            200: Answer(words="Beside ours.", model=schemas.Verified, example=examples.VERIFIED),
        },
        codes=(
            "scope-missing", "unknown-lock", "unknown-sink", "cannot-verify", "verify-too-slow",
            *CLOUD, *SHELF,
        ),
    ),
    Row(
        method="get", path="/v1/outbox", group=KEPT, title="What waits for each sink",
        scope=READ,
        answers={
            200: Answer(words="Sinks and locks.", model=schemas.Outbox, example=examples.OUTBOX),
        },
        codes=("scope-missing", *SHELF),
    ),
    Row(
        method="post", path="/v1/outbox/{sink}/forget", group=KEPT,
        title="Give up what is left for a sink",
        words="Of one that is no longer configured. Its body is empty.", scope=ADMIN,
        parameters=(SINK,), body=ForgetBody, body_example={},
        answers={
            200: Answer(words="Given up.", model=schemas.Forgotten, example=examples.FORGOTTEN),
        },
        codes=("scope-missing", "unknown-sink", "sink-configured", *SHELF),
    ),
)  # fmt: skip

EVENT_WORDS = (
    "Server-sent events that go on until the caller leaves, is not let in any more, or the agent "
    "stops; a comment after 15 s of silence. `operation`: one ended (as `GET "
    "/v1/operations/{operation_id}`). `evidence`: the lock said more about it (`operation`, "
    "`lock`, `action`, `evidence`). `record`: one was taken (as `GET /v1/records/{record_id}`; "
    "scope `records`). `lost`: what was asked for is not stored any more (`of`, `count`, `from`), "
    "said first. Without `read`, operations of others are left out. 8 streams of one caller, 24 in "
    "all, otherwise 429."
)
EVENT_ROWS = (
    Row(
        method="get", path="/v1/events", group="Doors", title="Follow what happens",
        words=EVENT_WORDS, scope=ANY_CALLER,
        parameters=(
            parameter(
                "header", "Last-Event-ID", {"type": "string"}, "The `id` of the last event that "
                "one has: everything since is told. One that is not known is answered by `lost`.",
                example="3f2a9c01:16/a81b22c4:1203",
            ),
        ),
        answers={
            200: Answer(
                words="A stream; the schema is that of one event.", model=schemas.Event,
                example=examples.EVENT, kind="text/event-stream",
            ),
        },
        codes=STORE,
    ),
)  # fmt: skip

TOKEN_ROWS = (
    Row(
        method="get", path="/v1/tokens", group="Tokens", title="Who may call", scope=ADMIN,
        answers={
            200: Answer(words="Oldest first.", model=schemas.Tokens, example=examples.TOKENS),
        },
        codes=("scope-missing", *STORE),
    ),
    Row(
        method="post", path="/v1/tokens", group="Tokens", title="Make a token",
        words="With `scopes`, or with `guest` and an end. `expires` or `expires_in`, not both. "
        "The answer is the only place where the token is told.", scope=ADMIN,
        body=TokenBody, body_needed=True,
        body_example={"label": "Anna", "scopes": ["operate:front-door"], "expires_in": 2592000},
        answers={
            201: Answer(words="Made.", model=schemas.NewToken, example=examples.NEW_TOKEN),
        },
        codes=("scope-missing", "token-unusable", "too-many-tokens", *STORE),
    ),
    Row(
        method="post", path="/v1/tokens/{token_id}/revoke", group="Tokens", title="Take one back",
        words="At once: also what it asked for and is not written yet is stopped. Takes no body.",
        scope=ADMIN,
        parameters=(
            parameter(
                "path", "token_id", {"type": "string", "pattern": "^(blk_)?[0-9a-f]{8}$"},
                "The token's `id`.", example="5d0c2e91",
            ),
        ),
        answers={
            200: Answer(words="As it is now.", model=schemas.Token, example=examples.REVOKED),
        },
        codes=(
            "scope-missing", "unknown-token", "token-unusable", "content-type-unusable", *STORE,
        ),
    ),
)  # fmt: skip

AGENT_ROWS = (
    Row(
        method="get", path="/livez", group="The agent", title="Alive",
        answers={200: Answer(words="It is; nothing is said.")},
    ),
    Row(
        method="get", path="/readyz", group="The agent", title="Ready",
        words="Whether doors can be opened, for anybody; with `read`, what is wrong.",
        answers={
            200: Answer(words="It is.", model=schemas.Ready, example=examples.READY),
            503: Answer(
                words="Doors stay shut.", model=schemas.Ready, example=examples.NOT_READY
            ),
        },
    ),
    Row(
        method="get", path="/metrics", group="The agent", title="Numbers for Prometheus",
        scope=READ,
        answers={200: Answer(words="Its text format.", kind="text/plain; version=0.0.4")},
        codes=("scope-missing",),
    ),
    Row(
        method="get", path="/openapi.json", group="The agent", title="This document",
        scope=READ, answers={200: Answer(words="OpenAPI 3.1.", example={"openapi": "3.1.0"})},
        codes=("scope-missing",),
    ),
    Row(
        method="get", path="/docs", group="The agent", title="This document as a page",
        words="For anybody: it says nothing of this gateway.",
        answers={200: Answer(words="HTML without scripts.", kind="text/html")},
    ),
    Row(
        method="get", path="/docs.css", group="The agent", title="How that page looks",
        answers={200: Answer(words="CSS.", kind="text/css")},
    ),
    Row(
        method="get", path="/", group="The agent", title="The page for people",
        words="Over loopback or TLS; what it shows it asks for with a token that a person types.",
        answers={200: Answer(words="HTML.", kind="text/html")}, codes=("not-found",),
    ),
)  # fmt: skip

ROWS = (*DOORS, *EVENT_ROWS, *RECORD_ROWS, *TOKEN_ROWS, *AGENT_ROWS)
