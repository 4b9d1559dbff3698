"""What is answered, as models: they describe it, and tests hold the real answers against them.

Nothing answers with them: the views make the JSON. They are loaded only where somebody asks for
the document of the interface.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bleagent.model import Action, Outcome, Phase
from bleagent.records.record import Carriage, TimeQuality
from bleagent.records.story import Category, Severity
from protocol.records import RecordKind

Time = str
"""ISO 8601 with milliseconds and an offset."""


class Answer(BaseModel):
    """What is said here is all that is answered."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """Why a request was refused (RFC 9457). Go by `code`; the words may change."""

    type: str = Field(description="Where this code is explained: `/docs#CODE`.")
    title: str
    status: int
    code: str
    detail: str
    advice: str = Field(description="What a person can do.")
    operation: str | None = Field(
        default=None, description="With `unresolved-operation`: the id that `after` would name."
    )


class Operation(Answer):
    """One operation of a door. Without an outcome it is still going on."""

    id: str
    lock: str
    action: Action
    phase: Phase
    requested_at: Time
    outcome: Outcome | None
    steps: dict[str, float] = Field(
        description="Seconds from the request to the end of each step: heard (the lock's "
        "advertisement), turn (at the adapter), link (connected), connect (services discovered), "
        "device_info, pair, config, check_code, instruction, commit, write, ack. Those that it "
        "had, or has had so far."
    )
    code: str | None = Field(default=None, description="Why it ended so.")
    by: Literal["lock", "cloud"] | None = Field(default=None, description="Who spoke.")
    result: int | None = Field(default=None, description="The lock's own number, if it gave one.")
    moved: Literal["no", "possible", "yes"] = Field(
        default="no", description="What is known of the motor."
    )
    retryable: bool = Field(
        default=False, description="Whether a machine may ask again, with a new Idempotency-Key."
    )
    late: bool = Field(default=False, description="It was written after its deadline.")
    offline: bool = Field(default=False, description="Without the cloud, from what it had issued.")
    evidence: list[dict[str, Any]] = Field(
        default=[], description="What else the lock said, up to ten seconds after it."
    )
    finished_at: Time | None = None


class Hint(Answer):
    """For how many seconds the lock stays connected."""

    lock: str
    seconds: float


class Rehearsal(Answer):
    """How far an opening would come: everything up to the write, and nothing is written."""

    lock: str
    ready: bool = Field(description="Nothing was in the way.")
    code: str = Field(description="`ok`, or the code that an operation would have ended with.")
    detail: str | None = None
    advice: str | None = None
    steps: dict[str, float] = Field(description="Seconds until each step had ended.")
    gives_code: bool = Field(
        description="The lock does not have the cloud's check code: an opening gives it first."
    )


class Event(Answer):
    """One of the stream: the fields of server-sent events, `data` being JSON."""

    id: str = Field(description="For `Last-Event-ID`.")
    event: Literal["operation", "evidence", "record", "lost"]
    data: str


class Trouble(Answer):
    """One thing that is wrong."""

    code: str
    detail: str
    since: Time | None
    advice: str
    of: str | None = Field(default=None, description="The lock, sink or adapter, if one's own.")


class Part(Answer):
    """One part of the agent."""

    ok: bool
    keeps_doors_shut: bool
    wrong: list[Trouble]


class Adapter(Answer):
    """One Bluetooth adapter."""

    usable: bool
    scanning: bool
    heard_s_ago: float | None
    symptoms: list[str]


class RadioPart(Part):
    """What hears and reaches locks; no ``adapters`` for a virtual lock."""

    adapters: dict[str, Adapter] = Field(default_factory=dict)


class CloudPart(Part):
    """What gives the instruction to open."""

    answered_s_ago: float | None
    failed_s_ago: float | None
    asked: bool


class Waiting(Answer):
    """What waits for one sink."""

    waiting: int
    held: int
    parked: int
    oldest_waiting_s: float | None


class OutboxPart(Part):
    """What carries records; ``sinks`` by their name."""

    sinks: dict[str, Waiting]


class Subscription(Answer):
    """How far one is."""

    waiting: int | None = Field(description="Events behind its place, of all locks.")
    delivered: int
    given_up: int = Field(description="The receiver refused them for good.")


class WebhooksPart(Part):
    """Who is told what becomes of operations; ``subscriptions`` by their name."""

    subscriptions: dict[str, Subscription]


class ClockPart(Part):
    """Whether the date is certain."""

    trusted: bool


class Parts(Answer):
    """Every part."""

    radio: RadioPart
    store: Part
    cloud: CloudPart
    records: Part
    outbox: OutboxPart
    webhooks: WebhooksPart
    audit: Part
    clock: ClockPart
    config: Part


class Ready(Answer):
    """Whether doors can be opened; what is wrong, for who may `read`."""

    ready: bool
    wrong: list[str] | None = None
    parts: Parts | None = None


class Delivery(Answer):
    """One record and one sink."""

    sink: str
    state: Carriage
    attempts: int
    code: str = Field(description="The sink's last word about it.")


class Record(Answer):
    """What a lock recorded; never its bytes."""

    id: str
    seq: int = Field(description="In the order of taking.")
    lock: str
    kind: RecordKind
    value: int | None = Field(description="Of a credential, a member or an alarm.")
    category: Category
    severity: Severity | None
    title: str
    who: str | None
    at: Time | None
    local: Time | None
    quality: TimeQuality = Field(description="What `at` rests on.")
    live: bool
    operation: str | None = Field(description="The operation of ours that it is the record of.")
    late: bool
    released: bool
    taken_at: Time | None
    deliveries: list[Delivery]


class Records(Answer):
    """A page of them."""

    records: list[Record]
    next: str | None = Field(description="The `cursor` of the next page.")
    last: int = Field(description="For `after`, to follow what comes.")


class Sink(Answer):
    """What one sink has, and what waits for it."""

    sink: str
    configured: bool
    waiting: int
    held: int
    done: int
    parked: int
    dropped: int
    oldest_waiting_s: float | None
    routes_closed: dict[str, str] = Field(description="Locks that it refuses, and its code.")


class Taken(Answer):
    """Counters of one lock."""

    lock: str
    taken: int
    duplicate: int
    gaps: int


class Outbox(Answer):
    """What waits for each sink, and what was taken off each lock."""

    sinks: list[Sink]
    locks: list[Taken]


class Decided(Answer):
    """What came of a decision."""

    changed: int
    record: Record


class Forgotten(Answer):
    """How many deliveries were given up."""

    sink: str
    changed: int


class Said(Answer):
    """One record as the cloud calls it."""

    code: str
    value: Any
    at: Time | None


class Verified(Answer):
    """The cloud's records of a lock, beside ours."""

    lock: str
    agree: int
    lacking: list[Said] = Field(description="Here and not there.")
    twice: list[Said]
    unknown: list[Said] = Field(description="There and not here.")
    complete: bool


class Guest(Answer):
    """When a guest's token is good, and how often."""

    begins: Time | None
    weekdays: list[str]
    between: str | None
    times: int | None
    used: int | None = Field(default=None, description="Openings so far, where they are counted.")


class Token(Answer):
    """A token; nothing of its secret."""

    id: str
    label: str
    scopes: list[str]
    state: Literal["good", "expired", "revoked", "date-unknown"]
    created: Time | None
    expires: Time | None
    revoked: Time | None
    guest: Guest | None


class NewToken(Token):
    """A token, and the one place where it is told."""

    token: str


class Tokens(Answer):
    """All of them, oldest first."""

    tokens: list[Token]
