"""Telling a receiver what becomes of operations: in order, from where one was, never for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from bleagent.config.webhooks import WebhookConfig
from bleagent.errors import StoreError
from bleagent.events import Bell, Mark, OperationEvent
from bleagent.health.readiness import Readiness
from bleagent.http.views import operation_view
from bleagent.records.outbox import FAULT_WAIT, IDLE, LONGEST_REST, STORE_WAIT
from bleagent.records.record import DONE, Receipt, ReceiptKind
from bleagent.simulator import virtual_time
from bleagent.simulator.event_fakes import MemoryWebhooks, events_of_ledger
from bleagent.simulator.fakes import LoopClock, MemoryLedger
from bleagent.webhooks import PAGE, REFUSALS, Follower, Lost, Progress, WebhookState
from bleagent.wiring.pushing import telling, wanted_by
from tests.agent.record_shelf import TinyShelf
from tests.agent.watched import Gateway, at_the_gateway, sample, watched
from tests.contracts.test_ledger import CONFIRMED, NOON, asked

BOLT = {"dp": 47, "value": True}
DAY = 24 * 3600.0
SOON = 0.1
AWAY = Receipt(kind=ReceiptKind.LATER, code="unreachable", detail="hooks: Connection refused")
NO = Receipt(kind=ReceiptKind.POISON, code="http-400", detail="the receiver answered 400")
GONE = Receipt(kind=ReceiptKind.NO_ROUTE, code="http-410", detail="the receiver is gone")


@dataclass
class Receiver:
    """Implements ``webhooks.Tell``; ``word`` is its answer, by the id."""

    word: Callable[[str], Receipt] = lambda _: DONE
    took: list[str] = field(default_factory=list)
    asked: list[tuple[float, str]] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    slow: float = 0.0

    async def __call__(self, name: str, event: OperationEvent | Lost) -> Receipt:
        self.asked.append((anyio.current_time(), name))
        await anyio.sleep(self.slow)
        receipt = self.word(name)
        if receipt.kind is ReceiptKind.DONE:
            self.took.append(name)
            if isinstance(event, Lost):
                self.lost.append(event)
        return receipt


@dataclass
class Site:
    """A ledger, a book, a receiver; ``follow`` is a start of the agent."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    book: MemoryWebhooks = field(default_factory=MemoryWebhooks)
    bell: Bell = field(default_factory=Bell)
    receiver: Receiver = field(default_factory=Receiver)

    def __post_init__(self) -> None:
        self.events = events_of_ledger(self.ledger)
        self.running: anyio.CancelScope | None = None

    async def ended(self, *names: str) -> None:
        """Operations that end now."""
        for name in names:
            await self.ledger.begin(asked(name, key=name, lock=f"door-of-{name}"), unix=NOON)
            await self.ledger.sending(name, sn=1)
            await self.ledger.finish(name, CONFIRMED, unix=NOON + 2)
        self.bell.ring()

    async def more(self, name: str) -> None:
        """The lock said more."""
        await self.ledger.add_evidence(name, BOLT)
        self.bell.ring()

    def follower(self, wants: Callable[[OperationEvent], bool] = lambda _: True) -> Follower:
        return Follower(
            "home", wants=wants, events=self.events, book=self.book, tell=self.receiver,
            bell=self.bell, clock=LoopClock(), chance=lambda: 1.0,
        )  # fmt: skip

    def state(self, follower: Follower) -> WebhookState:
        told = self.ledger.events
        return follower.state(Mark(self.events.name, told[-1].seq if told else 0))


Story = Callable[[Site, Callable[..., Awaitable[Follower]]], Awaitable[None]]


def rehearse(story: Story, site: Site | None = None) -> None:
    """``start`` runs a new follower instead of the one before it."""

    async def main() -> None:
        here = site or Site()
        async with anyio.create_task_group() as tasks:

            async def run(follower: Follower, scope: anyio.CancelScope) -> None:
                with scope:
                    await follower.run()

            async def start(**options: Any) -> Follower:
                if here.running is not None:
                    here.running.cancel()
                follower, here.running = here.follower(**options), anyio.CancelScope()
                tasks.start_soon(run, follower, here.running)
                await anyio.sleep(SOON)
                return follower

            await story(here, start)
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


def test_what_happens_from_now_on_is_told_in_order_each_once() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await site.ended("before")
        follower = await start()
        await site.ended("one", "two")
        await site.more("one")
        await site.more("one")
        await anyio.sleep(SOON)
        # By their numbers in what the operation has: one piece came with its ending.
        assert site.receiver.took == ["one", "two", "one-2", "one-3"]
        state = site.state(follower)
        assert (state.waiting, state.delivered, state.given_up) == (0, 4, 0)
        assert state.trouble is None

    rehearse(story)


def test_more_than_a_page_is_told_and_read_a_page_at_a_time() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        names = [f"op-{number}" for number in range(2 * PAGE + 1)]
        site.receiver.word = lambda _: AWAY
        await site.ended(*names)
        await anyio.sleep(SOON)
        assert site.events.furthest == PAGE
        site.receiver.word = lambda _: DONE
        await anyio.sleep(2 * LONGEST_REST)
        assert site.receiver.took == names

    rehearse(story)


def test_a_restart_goes_on_where_it_was() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        await site.ended("one")
        await anyio.sleep(SOON)
        assert site.running is not None
        site.running.cancel()
        await site.ended("two")
        assert site.state(await start()).delivered == 2
        assert site.receiver.took == ["one", "two"]

    rehearse(story)


def test_nobody_who_is_new_waits_for_a_first_event_to_be_remembered() -> None:
    """What happens before the first was told is not forgotten by a crash."""

    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        site.receiver.word = lambda _: AWAY
        await start()
        await site.ended("one")
        site.receiver.word = lambda _: DONE
        await start()
        assert site.receiver.took == ["one"]

    rehearse(story)


def test_only_what_is_wanted_is_told_and_the_rest_is_passed_for_good() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        config = WebhookConfig.model_validate_json(
            '{"url": "https://x.org", "secret": {"credential": "x"}, '
            '"events": ["evidence"], "locks": ["door-of-two"]}'
        )
        await start(wants=wanted_by(config))
        await site.ended("one", "two")
        await site.more("one")
        await site.more("two")
        await anyio.sleep(SOON)
        assert site.receiver.took == ["two-2"]
        await site.more("one")
        await anyio.sleep(SOON)
        assert site.book.places["home"].mark.seq == 5
        assert site.book.places["home"].delivered == 1

    rehearse(story)


# -- a receiver that does not take it


def test_a_receiver_that_is_away_is_asked_less_and_less_and_gets_all_in_order() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        follower = await start()
        site.receiver.word = lambda _: AWAY
        with capture_logs() as logs:
            await site.ended("one", "two")
            await anyio.sleep(30 * DAY)
        times = [at for at, _ in site.receiver.asked]
        rests = [after - before for before, after in pairwise(times)]
        assert rests[:4] == pytest.approx([1, 2, 4, 8])
        assert max(rests) == pytest.approx(LONGEST_REST)
        assert {name for _, name in site.receiver.asked} == {"one"}
        assert 2 < len(logs) < 20  # not a line for each of thousands
        state = site.state(follower)
        assert (state.waiting, state.given_up) == (2, 0)
        assert state.trouble is not None
        assert (state.trouble.code, state.trouble.of) == ("unreachable", "home")
        site.receiver.word = lambda _: DONE
        await anyio.sleep(LONGEST_REST)
        assert site.receiver.took == ["one", "two"]
        assert site.state(follower).trouble is None

    rehearse(story)


def test_it_waits_as_long_as_the_receiver_says_whoever_rings() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        site.receiver.word = lambda _: replace(AWAY, code="http-429", after=7200.0)
        await site.ended("one")
        await anyio.sleep(3600)
        await site.ended("two")
        await anyio.sleep(3500)
        assert len(site.receiver.asked) == 1

    rehearse(story)


def test_an_event_that_is_refused_is_given_up_after_a_while_and_the_next_one_goes() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        follower = await start()
        site.receiver.word = lambda name: NO if name == "one" else DONE
        with capture_logs() as logs:
            await site.ended("one", "two")
            began = anyio.current_time()
            with anyio.fail_after(DAY):
                while not site.receiver.took:
                    await anyio.sleep(1)
        assert 8 * 60 < anyio.current_time() - began < 9 * 60
        assert [name for _, name in site.receiver.asked] == ["one"] * REFUSALS + ["two"]
        (told,) = [one for one in logs if one["event"] == "webhook.given_up"]
        assert (told["id"], told["code"], told["times"]) == ("one", "http-400", REFUSALS)
        assert site.state(follower).given_up == 1
        assert site.book.places["home"].given_up == 1

    rehearse(story)


def test_each_event_has_its_own_number_of_refusals() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        site.receiver.word = lambda _: NO
        await site.ended("one", "two")
        await anyio.sleep(DAY)
        asked = [name for _, name in site.receiver.asked]
        assert asked == ["one"] * REFUSALS + ["two"] * REFUSALS

    rehearse(story)


def test_a_mistake_in_the_configuration_costs_no_event() -> None:
    """401, 404, a redirect, an address inside: the event is not to blame."""

    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        follower = await start()
        site.receiver.word = lambda _: replace(AWAY, code="http-401")
        await site.ended("one")
        await anyio.sleep(30 * DAY)
        assert (site.state(follower).given_up, site.state(follower).waiting) == (0, 1)

    rehearse(story)


def test_a_receiver_that_is_gone_is_asked_no_more_until_the_next_start() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        site.receiver.word = lambda _: GONE
        follower = await start()
        with capture_logs() as logs:
            await site.ended("one", "two")
            await anyio.sleep(DAY)
        assert [name for _, name in site.receiver.asked] == ["one"]
        assert [one["event"] for one in logs] == ["webhook.stopped"]
        state = site.state(follower)
        assert state.trouble is not None
        assert (state.trouble.code, state.waiting) == ("http-410", 2)
        site.receiver.word = lambda _: DONE
        await start()
        assert site.receiver.took == ["one", "two"]

    rehearse(story)


def test_a_slow_receiver_keeps_no_other_one_waiting() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        site.receiver.slow = 9.0
        quick = Receiver()
        other = Follower(
            "shop", wants=lambda _: True, events=site.events, book=site.book, tell=quick,
            bell=site.bell, clock=LoopClock(), chance=lambda: 1.0,
        )  # fmt: skip
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other.run)
            await anyio.sleep(SOON)
            await site.ended("one", "two")
            await anyio.sleep(SOON)
            assert quick.took == ["one", "two"]
            assert site.receiver.took == []
            tasks.cancel_scope.cancel()

    rehearse(story)


# -- what cannot be told any more


def test_events_that_were_deleted_are_said_where_they_are_missing() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        site.receiver.word = lambda _: AWAY
        await site.ended("one", "two", "three", "four")
        await anyio.sleep(SOON)
        site.events.forgotten |= {1, 2, 4}
        site.receiver.word = lambda _: DONE
        await site.ended("five")
        await anyio.sleep(LONGEST_REST)
        first, second = "lost-00000001-0", "lost-00000001-3"
        assert site.receiver.took == [first, "three", second, "five"]
        assert site.receiver.lost == [
            Lost(id=first, count=2, at=NOON + 2), Lost(id=second, count=1, at=NOON + 2)
        ]  # fmt: skip

    rehearse(story)


def test_what_was_lost_is_said_also_when_a_crash_comes_first() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        await site.ended("one", "two")
        site.events.forgotten.add(1)
        site.receiver.word = lambda _: AWAY
        site.book.places["home"] = Progress(mark=Mark("00000001", 0))
        await start()
        site.receiver.word = lambda _: DONE
        await start()
        assert site.receiver.took[-2:] == ["lost-00000001-0", "two"]

    rehearse(story)


def test_a_store_that_began_anew_is_told_whole_and_what_was_before_is_lost() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        site.book.places["home"] = Progress(mark=Mark("0000000f", 9), delivered=9)
        await site.ended("one")
        await start()
        assert site.receiver.took == ["lost-0000000f-9", "one"]
        assert site.receiver.lost[0].count is None

    rehearse(story)


def test_a_store_that_was_set_back_is_not_told_again() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        site.book.places["home"] = Progress(mark=Mark("00000001", 9))
        await site.ended("one")
        await start()
        await site.ended("two")
        await anyio.sleep(SOON)
        assert site.receiver.took == ["lost-00000001-9", "two"]

    rehearse(story)


def test_places_that_were_lost_themselves_are_said() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        site.book.damaged = True
        await site.ended("one")
        await start()
        await site.ended("two")
        await anyio.sleep(SOON)
        assert site.receiver.took == ["lost-00000001-1", "two"]

    rehearse(story)


# -- a store that does not answer, and faults of ours


def test_what_was_taken_and_could_not_be_noted_is_noted_before_anything_else_is_told() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        follower = await start()

        def word(_name: str) -> Receipt:
            site.book.fails = True
            return DONE

        site.receiver.word = word
        with capture_logs() as logs:
            await site.ended("one", "two")
            await anyio.sleep(10 * STORE_WAIT)
        assert site.receiver.took == ["one"]
        assert [one["event"] for one in logs if one["log_level"] == "error"] == ["webhook.not_kept"]
        trouble = site.state(follower).trouble
        assert trouble is not None
        assert trouble.code == StoreError.code
        site.receiver.word = lambda _: DONE
        site.book.fails = False
        await anyio.sleep(STORE_WAIT)
        assert site.receiver.took == ["one", "two"]
        assert site.state(follower).trouble is None

    rehearse(story)


def test_events_that_cannot_be_read_are_read_later() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        site.events.fails = True
        follower = await start()
        assert site.state(follower).trouble is not None
        assert site.state(follower).waiting is None
        site.events.fails = False
        await anyio.sleep(STORE_WAIT)
        await site.ended("one")
        await anyio.sleep(SOON)
        assert site.receiver.took == ["one"]

    rehearse(story)


def test_a_fault_of_ours_is_told_without_its_words_and_it_goes_on() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        follower = await start()

        def fault(_name: str) -> Receipt:
            raise RuntimeError("CANARY")

        site.receiver.word = fault
        with capture_logs() as logs:
            await site.ended("one")
            await anyio.sleep(SOON)
        assert [one["event"] for one in logs] == ["webhook.fault"]
        assert "CANARY" not in repr(logs)
        assert site.state(follower).trouble is not None
        site.receiver.word = lambda _: DONE
        await anyio.sleep(FAULT_WAIT)
        assert site.receiver.took == ["one"]
        assert site.state(follower).trouble is None

    rehearse(story)


def test_what_nobody_rang_about_is_found_all_the_same() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        await start()
        site.bell = Bell()
        await site.ended("one")
        await anyio.sleep(IDLE + SOON)
        assert site.receiver.took == ["one"]

    rehearse(story)


# -- what is sent, and what is shown


def test_what_is_sent_is_what_the_stream_says() -> None:
    sent: list[tuple[str, Any]] = []

    async def post(name: str, view: Any) -> Receipt:
        await anyio.lowlevel.checkpoint()
        sent.append((name, view))
        return DONE

    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        tell = telling(post)  # type: ignore[arg-type]
        await site.ended("one")
        await site.more("one")
        end, more = site.ledger.events
        for event in (end, more, Lost(id="lost", count=None, at=NOON)):
            await tell("id", event)
        del start
        assert [view for _, view in sent] == [
            {"type": "operation", "operation": operation_view(end.record)},
            {
                "type": "evidence",
                "evidence": {
                    "operation": "one", "lock": "door-of-one", "action": "unlock",
                    "evidence": BOLT,
                },
            },
            {
                "type": "lost",
                "lost": {
                    "of": "operations", "count": None,
                    "from": sent[2][1]["lost"]["from"],
                },
            },
        ]  # fmt: skip

    rehearse(story)


STATE = WebhookState(name="home", waiting=3, delivered=17, given_up=1, trouble=None)


def test_how_far_it_is_is_a_part_of_how_the_agent_is() -> None:
    async def story(site: Site, start: Callable[..., Awaitable[Follower]]) -> None:
        follower = await start()
        site.receiver.word = lambda _: GONE
        await site.ended("one")
        await anyio.sleep(SOON)
        states = lambda: [site.state(follower), STATE]  # noqa: E731
        part = Readiness(watched(LoopClock(), TinyShelf(), webhooks=states)).parts()["webhooks"]
        assert [(one.code, one.of) for one in part.wrong] == [("http-410", "home")]
        assert not part.shuts
        assert part.facts == {
            "subscriptions": {"home": {"waiting": 3, "delivered": 17, "given_up": 1}}
        }

    rehearse(story)


def test_it_is_counted() -> None:
    async def story(gateway: Gateway) -> None:
        found = await gateway.scrape()
        assert found[sample("webhook_waiting", webhook="home")] == 3
        assert found[sample("webhook_delivered_total", webhook="home")] == 17
        assert found[sample("webhook_given_up_total", webhook="home")] == 1
        assert found[sample("webhook_failing", webhook="home")] == 0
        assert found[sample("part_ok", part="webhooks")] == 1

    at_the_gateway(story, webhooks=lambda: [STATE])
