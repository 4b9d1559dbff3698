"""Metrics in the Prometheus text format. Loaded by the first scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bleagent.health.metrics import BOUNDS, Distribution, Labels
from bleagent.health.readiness import shut_by
from bleagent.radio.airtime import AdapterAir, LockAir
from bleagent.records.record import SinkState, TakenCounts
from bleagent.webhooks import WebhookState

from .metrics import Snapshot

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_EDGES = (*(str(bound) for bound in BOUNDS), "+Inf")

T = TypeVar("T")
L = TypeVar("L", bound=Labels)


def exposed(snapshot: Snapshot) -> bytes:
    """The text. A registry of its own: nothing is kept between two scrapes, nor shared."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything(snapshot))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


@dataclass(frozen=True, slots=True, eq=False)  # a registry wants to hash it
class _Everything(Collector):
    snapshot: Snapshot

    def collect(self) -> Iterator[Metric]:
        """Family after family."""
        found = self.snapshot
        version = {(found.version,): 1}
        yield _gauge("build_info", "The agent's version; always 1", ("version",), version)
        yield from _parts(found)
        yield from _operations(found)
        connected = {(name,): one for name, one in found.connected.items()}
        yield _gauge("lock_connected", "Whether a command could go out at once", _LOCK, connected)
        if found.air is not None:
            yield from _rows(_LOCK, LOCKS, found.air.locks)
            yield from _of_locks(found.air.locks, found.today)
            yield from _rows(_ADAPTER, ADAPTERS, found.air.adapters)
            yield from _of_adapters(found.air.adapters)
        if found.shelf is not None:
            yield from _rows(_LOCK, TAKEN, found.shelf.counts)
            yield from _rows(_SINK, SINKS, {one.sink: one for one in found.shelf.sinks})
            yield _oldest(found.shelf.sinks, found.unix)
        yield from _rows(("webhook",), WEBHOOKS, {one.name: one for one in found.webhooks})
        yield from _cloud(found)
        yield from _http(found)


# -- one number of each lock, adapter or sink


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """A family with one label: its name, its help, where its value is (``None``: absent)."""

    name: str
    help: str
    of: Callable[[T], float | None]
    counts: bool = False
    """Whether it only grows."""


_LOCK, _ADAPTER, _SINK = ("lock",), ("adapter",), ("sink",)

LOCKS: tuple[Row[LockAir], ...] = (
    Row("lock_last_heard_seconds", "Since its last advertisement", lambda it: it.last_heard_age),
    Row(
        "lock_signal_dbm", "Smoothed, of the adapter that heard it best lately", lambda it: it.rssi
    ),
    Row("lock_connection_attempts", "Since the start", lambda it: it.attempts, counts=True),
    Row("lock_connections", "Made since the start", lambda it: it.connections, counts=True),
)
ADAPTERS: tuple[Row[AdapterAir], ...] = (
    Row("adapter_usable", "Whether it can be connected with", lambda it: it.usable),
    Row("adapter_scanning", "Whether it listens", lambda it: it.scanning),
    Row("adapter_links", "Connections that stand", lambda it: it.links),
    Row("adapter_waiting", "Connections that wait for a turn or a slot", lambda it: it.waiting),
    Row(
        "adapter_last_heard_seconds", "Since it heard a lock, anybody's",
        lambda it: it.last_advertisement_age,
    ),
)  # fmt: skip
TAKEN: tuple[Row[TakenCounts], ...] = (
    Row("records_taken", "Since the store was made", lambda it: it.taken, counts=True),
    Row("records_duplicate", "Delivered again by the lock", lambda it: it.duplicate, counts=True),
    Row("records_gaps", "Times one may have been lost on the air", lambda it: it.gaps, counts=True),
)
SINKS: tuple[Row[SinkState], ...] = (
    Row("outbox_waiting", "Records that wait, held ones among them", lambda it: it.waiting),
    Row("outbox_held", "Those of them that wait for older ones", lambda it: it.held),
    Row("outbox_parked", "Records it will never take as they are", lambda it: it.parked),
    Row("outbox_closed_routes", "Locks it refuses as such", lambda it: len(it.routes_closed)),
    Row("outbox_done", "Records it has taken", lambda it: it.done, counts=True),
    Row("outbox_dropped", "Records given up by somebody", lambda it: it.dropped, counts=True),
)

WEBHOOKS: tuple[Row[WebhookState], ...] = (
    Row("webhook_waiting", "Events behind its place, of all locks", lambda it: it.waiting),
    Row("webhook_delivered", "Events the receiver took", lambda it: it.delivered, counts=True),
    Row("webhook_given_up", "Events it refused for good", lambda it: it.given_up, counts=True),
    Row("webhook_failing", "Whether it is in trouble", lambda it: it.trouble is not None),
)


def _rows(labels: Labels, rows: tuple[Row[T], ...], of: Mapping[str, T]) -> Iterator[Metric]:
    for row in rows:
        found = {(name,): row.of(one) for name, one in of.items()}
        values = {named: value for named, value in found.items() if value is not None}
        yield (_counter if row.counts else _gauge)(row.name, row.help, labels, values)


# -- the others


def _parts(found: Snapshot) -> Iterator[Metric]:
    ready = {(): int(not shut_by(found.parts))}
    yield _gauge("ready", "Whether nothing keeps doors shut, as GET /readyz answers", (), ready)
    well = {(name,): int(part.ok) for name, part in found.parts.items()}
    yield _gauge("part_ok", "Whether nothing is wrong with it", ("part",), well)


def _operations(found: Snapshot) -> Iterator[Metric]:
    labels = ("lock", "action", "outcome", "code")
    yield _counter("operations", "That ended since the start", labels, found.operations)
    yield _histogram(
        "operation_seconds", "From the stored request to the stored outcome",
        ("action", "outcome"), found.durations,
    )  # fmt: skip
    yield _histogram(
        "operation_step_seconds", "From the end of the step before it", ("step",), found.steps
    )


def _of_locks(air: Mapping[str, LockAir], today: int) -> Iterator[Metric]:
    connected = {(name,): one.connected_s.get(today, 0.0) for name, one in air.items()}
    yield _gauge("lock_connected_today_seconds", "On this UTC day", _LOCK, connected)
    failures = {
        (name, code): times for name, one in air.items() for code, times in one.failures.items()
    }
    yield _counter("lock_connection_failures", "Since the start", ("lock", "code"), failures)


def _of_adapters(air: Mapping[str, AdapterAir]) -> Iterator[Metric]:
    ails = {(name, symptom): 1 for name, one in air.items() for symptom in one.symptoms}
    yield _gauge("adapter_symptom", "What ails it at the moment", ("adapter", "symptom"), ails)
    taken = {(name, rung): times for name, one in air.items() for rung, times in one.rungs.items()}
    yield _counter("recoveries", "Steps taken to heal it", ("adapter", "rung"), taken)


def _oldest(sinks: Iterable[SinkState], unix: float) -> Metric:
    ages = {
        (one.sink,): max(0.0, unix - one.oldest_waiting)
        for one in sinks
        if one.oldest_waiting is not None
    }
    return _gauge("outbox_oldest_waiting_seconds", "Age of the oldest that waits", _SINK, ages)


def _cloud(found: Snapshot) -> Iterator[Metric]:
    labels = ("call", "outcome")
    yield _counter("cloud_requests", "Answered ok, or the error's code", labels, found.calls)
    held = {(): found.cloud.token}
    yield _gauge("cloud_token", "Whether an access token is held, where one is needed", (), held)
    left = {(): found.cloud.quota_pause}
    yield _gauge("cloud_quota_pause_seconds", "Left of it; 0: the quota is not spent", (), left)


def _http(found: Snapshot) -> Iterator[Metric]:
    yield _counter("http_answers", "By class of status", ("status",), found.answers)
    yield _counter(
        "http_problems", "By code; too-many-requests are throttled ones", ("code",), found.problems
    )


# -- families


def _counter(name: str, told: str, labels: Labels, values: Mapping[L, float]) -> Metric:
    family = CounterMetricFamily(f"bleagent_{name}", told, labels=labels)
    for named, value in sorted(values.items()):
        family.add_metric(named, value)
    return family


def _gauge(name: str, told: str, labels: Labels, values: Mapping[L, float]) -> Metric:
    family = GaugeMetricFamily(f"bleagent_{name}", told, labels=labels)
    for named, value in sorted(values.items()):
        family.add_metric(named, value)
    return family


def _histogram(name: str, told: str, labels: Labels, values: Mapping[L, Distribution]) -> Metric:
    family = HistogramMetricFamily(f"bleagent_{name}", told, labels=labels)
    for named, value in sorted(values.items()):
        buckets = list(zip(_EDGES, map(float, value.at_most), strict=True))
        family.add_metric(named, buckets, sum_value=value.seconds)
    return family
