"""What every ledger promises, whatever stores it. One class; one subclass for each ledger.

A ledger is opened on something that outlives it (here a directory), under the id of a boot;
opening it again is what a restart does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from bleagent.adapters.sqlite_store import SqliteLedger, SqliteStore, StateDirectory
from bleagent.authority.guests import GuestTerms
from bleagent.authority.shared import Permission, Shared
from bleagent.errors import KeyReused, StoreError, UsesSpent
from bleagent.model import (
    Action,
    Ending,
    OperationRecord,
    OperationRequest,
    Outcome,
    Phase,
    Principal,
)
from bleagent.ports import Ledger
from bleagent.vault import Vault
from protocol import Secret

pytestmark = pytest.mark.anyio

NOON = 1_795_348_800.0  # 2026-11-22 12:00 UTC
BOOT, OTHER_BOOT = "boot-1", "boot-2"
Open = Callable[[str], Ledger]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def asked(
    operation_id: str = "op-1",
    *,
    key: str = "key-1",
    principal: str = "alice",
    lock: str = "front-door",
    fingerprint: str = "POST /v1/locks/front-door/unlock {}",
) -> OperationRequest:
    return OperationRequest(
        operation_id=operation_id,
        lock=lock,
        action=Action.UNLOCK,
        principal=Principal(id=principal),
        key=key,
        fingerprint=fingerprint,
        received_at=100.0,
        deadline=120.0,
    )


CONFIRMED = Ending(
    outcome=Outcome.CONFIRMED,
    code="ok",
    by="lock",
    result=0,
    late=True,
    offline=True,
    evidence=({"dp": 47, "value": True, "at": 1.25},),
    steps={"connect": 0.4, "ack": 1.5},
)
UNREACHED = Ending(outcome=Outcome.UNREACHED, code="lock-not-found")
UNCONFIRMED = Ending(outcome=Outcome.UNCONFIRMED, code="lock-silent", moved="possible")


REFUSED = Ending(outcome=Outcome.REFUSED, code="cloud-refused", by="cloud")


def by_guest(
    operation_id: str,
    *,
    key: str | None = None,
    principal: str = "blk_00ffee12",
    action: Action = Action.UNLOCK,
    times: int = 1,
) -> OperationRequest:
    request = asked(operation_id, key=key or operation_id)
    caller = Principal(id=principal, guest=True, times=times)
    return replace(request, principal=caller, action=action)


def the_intent(record: OperationRecord | None) -> OperationRecord:
    assert record is not None
    return record


class LedgerContract:
    """Subclass it and give a fixture ``open_ledger``: it closes the last ledger, opens anew."""

    @pytest.fixture
    def open_ledger(self, tmp_path: Path) -> Iterator[Open]:
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, open_ledger: Open) -> Ledger:
        return open_ledger(BOOT)

    async def test_an_intent_is_stored_as_it_was_asked(self, ledger: Ledger) -> None:
        assert await ledger.begin(asked(), unix=NOON) is None
        assert await ledger.operation("op-1") == OperationRecord(
            id="op-1",
            lock="front-door",
            action=Action.UNLOCK,
            principal="alice",
            key="key-1",
            fingerprint="POST /v1/locks/front-door/unlock {}",
            phase=Phase.INTENT,
            requested_at=NOON,
        )

    async def test_an_unknown_operation_is_none(self, ledger: Ledger) -> None:
        assert await ledger.operation("op-1") is None
        assert await ledger.last_of("front-door") is None

    async def test_a_whole_operation_keeps_every_field_of_its_ending(self, ledger: Ledger) -> None:
        await ledger.begin(asked(), unix=NOON)
        await ledger.sending("op-1", sn=77)
        finished = await ledger.finish("op-1", CONFIRMED, unix=NOON + 2)
        assert finished.phase is Phase.FINISHED
        assert (finished.finished_at, finished.ending) == (NOON + 2, CONFIRMED)
        assert await ledger.operation("op-1") == finished

    async def test_what_is_heard_later_is_kept_and_changes_no_outcome(self, ledger: Ledger) -> None:
        await ledger.begin(asked(), unix=NOON)
        assert await ledger.add_evidence("op-1", {"dp": 47, "value": True}) is None  # too early
        await ledger.sending("op-1", sn=77)
        await ledger.finish("op-1", CONFIRMED, unix=NOON + 2)
        for value in (True, False):
            await ledger.add_evidence("op-1", {"dp": 47, "value": value})
        kept = the_intent(await ledger.operation("op-1"))
        heard = ({"dp": 47, "value": True}, {"dp": 47, "value": False})
        assert kept.ending == replace(CONFIRMED, evidence=(*CONFIRMED.evidence, *heard))
        assert await ledger.add_evidence("op-2", {"dp": 47, "value": True}) is None

    async def test_a_known_key_answers_the_stored_truth_and_begins_nothing(
        self, ledger: Ledger
    ) -> None:
        await ledger.begin(asked("op-1"), unix=NOON)
        running = the_intent(await ledger.begin(asked("op-2"), unix=NOON + 1))
        assert (running.id, running.phase) == ("op-1", Phase.INTENT)
        await ledger.finish("op-1", UNREACHED, unix=NOON + 2)
        ended = the_intent(await ledger.begin(asked("op-3"), unix=NOON + 3))
        assert (ended.id, ended.ending) == ("op-1", UNREACHED)
        assert await ledger.operation("op-2") is None
        assert await ledger.operation("op-3") is None

    async def test_a_known_key_with_another_request_is_refused(self, ledger: Ledger) -> None:
        await ledger.begin(asked("op-1"), unix=NOON)
        with pytest.raises(KeyReused):
            await ledger.begin(asked("op-2", fingerprint="other"), unix=NOON)
        assert await ledger.operation("op-2") is None

    async def test_a_key_belongs_to_its_principal(self, ledger: Ledger) -> None:
        assert await ledger.begin(asked("op-1", principal="alice"), unix=NOON) is None
        assert await ledger.begin(asked("op-2", principal="bob"), unix=NOON) is None

    async def test_a_key_can_be_looked_up_without_beginning_anything(self, ledger: Ledger) -> None:
        assert await ledger.known("alice", "key-1") is None
        await ledger.begin(asked("op-1"), unix=NOON)
        assert await ledger.known("alice", "key-1") == await ledger.operation("op-1")
        assert await ledger.known("bob", "key-1") is None
        assert await ledger.known("alice", "key-2") is None

    async def test_an_operation_id_is_used_once(self, ledger: Ledger) -> None:
        await ledger.begin(asked("op-1", key="key-1"), unix=NOON)
        with pytest.raises(StoreError):
            await ledger.begin(asked("op-1", key="key-2"), unix=NOON)
        assert await ledger.begin(asked("op-2", key="key-2"), unix=NOON) is None

    async def test_of_many_begins_with_one_key_one_wins(self, ledger: Ledger) -> None:
        answers: dict[str, OperationRecord | None] = {}

        async def one(operation_id: str) -> None:
            answers[operation_id] = await ledger.begin(asked(operation_id), unix=NOON)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(one, f"op-{number}")
        winners = [operation_id for operation_id, known in answers.items() if known is None]
        assert len(winners) == 1
        assert {known.id for known in answers.values() if known is not None} == set(winners)

    async def test_sending_follows_an_intent_once(self, ledger: Ledger) -> None:
        with pytest.raises(StoreError):
            await ledger.sending("op-1", sn=1)
        await ledger.begin(asked(), unix=NOON)
        await ledger.sending("op-1", sn=1)
        with pytest.raises(StoreError):
            await ledger.sending("op-1", sn=2)
        await ledger.finish("op-1", UNCONFIRMED, unix=NOON)
        with pytest.raises(StoreError):
            await ledger.sending("op-1", sn=3)

    async def test_of_many_senders_one_may_write(self, ledger: Ledger) -> None:
        await ledger.begin(asked(), unix=NOON)
        may: list[int] = []

        async def one(sn: int) -> None:
            try:
                await ledger.sending("op-1", sn=sn)
            except StoreError:
                return
            may.append(sn)

        async with anyio.create_task_group() as tasks:
            for sn in range(20):
                tasks.start_soon(one, sn)
        assert len(may) == 1

    async def test_an_ending_is_stored_once(self, ledger: Ledger) -> None:
        with pytest.raises(StoreError):
            await ledger.finish("op-1", UNREACHED, unix=NOON)
        await ledger.begin(asked(), unix=NOON)
        await ledger.finish("op-1", UNREACHED, unix=NOON)
        with pytest.raises(StoreError):
            await ledger.finish("op-1", UNCONFIRMED, unix=NOON)
        assert the_intent(await ledger.operation("op-1")).ending == UNREACHED

    async def test_what_was_never_sent_is_not_confirmed(self, ledger: Ledger) -> None:
        await ledger.begin(asked(), unix=NOON)
        with pytest.raises(StoreError):
            await ledger.finish("op-1", CONFIRMED, unix=NOON)
        assert the_intent(await ledger.operation("op-1")).phase is Phase.INTENT

    async def test_the_last_of_a_lock_is_the_one_that_began_last(self, ledger: Ledger) -> None:
        await ledger.begin(asked("op-1", key="1"), unix=NOON)
        await ledger.begin(asked("op-2", key="2"), unix=NOON - 3600)  # the date was set back
        await ledger.begin(asked("op-3", key="3", lock="back-door"), unix=NOON)
        assert the_intent(await ledger.last_of("front-door")).id == "op-2"

    @pytest.mark.parametrize(
        ("phase", "boot", "outcome"),
        [
            pytest.param("intent", BOOT, Outcome.UNREACHED, id="intent-same-boot"),
            pytest.param("intent", OTHER_BOOT, Outcome.UNCONFIRMED, id="intent-other-boot"),
            pytest.param("sending", BOOT, Outcome.UNCONFIRMED, id="sending-same-boot"),
            pytest.param("sending", OTHER_BOOT, Outcome.UNCONFIRMED, id="sending-other-boot"),
        ],
    )
    async def test_a_restart_closes_what_was_open_by_the_rule(
        self, open_ledger: Open, phase: str, boot: str, outcome: Outcome
    ) -> None:
        before = open_ledger(BOOT)
        await before.begin(asked(), unix=NOON)
        if phase == "sending":
            await before.sending("op-1", sn=5)
        after = open_ledger(boot)
        (closed,) = await after.recover(unix=NOON + 60)
        assert (closed.id, closed.phase, closed.finished_at) == ("op-1", Phase.FINISHED, NOON + 60)
        assert closed.ending is not None
        assert closed.ending.outcome is outcome
        assert closed.ending.moved == ("no" if outcome is Outcome.UNREACHED else "possible")
        assert await after.recover(unix=NOON + 61) == []
        with pytest.raises(StoreError):
            await after.sending("op-1", sn=6)
        assert await after.begin(asked("op-2"), unix=NOON + 62) == closed

    # -- a guest's openings (F2)

    async def test_an_opening_of_a_guest_is_reserved_with_the_intent(self, ledger: Ledger) -> None:
        assert await ledger.begin(by_guest("op-1", times=2), unix=NOON) is None
        assert await ledger.begin(by_guest("op-2", times=2), unix=NOON) is None
        with pytest.raises(UsesSpent):
            await ledger.begin(by_guest("op-3", times=2), unix=NOON)
        assert await ledger.operation("op-3") is None
        assert await ledger.known("blk_00ffee12", "op-3") is None
        known = the_intent(await ledger.begin(by_guest("op-4", key="op-1", times=2), unix=NOON))
        assert known.id == "op-1"
        other = by_guest("op-5", principal="blk_00000001", times=2)
        assert await ledger.begin(other, unix=NOON) is None
        closing = by_guest("op-6", action=Action.LOCK, times=2)
        assert await ledger.begin(closing, unix=NOON) is None

    async def test_openings_with_a_ticket_are_counted_by_it_and_not_by_who_passes_it_on(
        self, ledger: Ledger
    ) -> None:
        async def with_ticket(operation_id: str, ticket: str, principal: str) -> None:
            request = by_guest(operation_id, principal=principal, times=1)
            shared = Shared(id=ticket, permission=Permission(terms=GuestTerms()), until=NOON)
            caller = replace(request.principal, shared=shared)
            assert await ledger.begin(replace(request, principal=caller), unix=NOON) is None

        await with_ticket("op-1", "sharing:1", "blk_00ffee12")
        await with_ticket("op-2", "sharing:2", "blk_00ffee12")
        with pytest.raises(UsesSpent):
            await with_ticket("op-3", "sharing:1", "blk_00000001")
        assert await ledger.begin(by_guest("op-4"), unix=NOON) is None
        known = the_intent(await ledger.known("blk_00ffee12", "op-2"))
        assert known.principal == "blk_00ffee12"

    @pytest.mark.parametrize(
        ("sent", "ending", "back"),
        [
            pytest.param(False, UNREACHED, True, id="unreached"),
            pytest.param(True, UNREACHED, True, id="unreached-before-the-last-fragment"),
            pytest.param(False, REFUSED, True, id="refused-before-anything-was-sent"),
            pytest.param(True, REFUSED, False, id="refused-by-the-lock"),
            pytest.param(True, CONFIRMED, False, id="confirmed"),
            pytest.param(True, UNCONFIRMED, False, id="unconfirmed"),
        ],
    )
    async def test_an_opening_comes_back_only_where_nothing_was_sent(
        self, open_ledger: Open, sent: bool, ending: Ending, back: bool
    ) -> None:
        ledger = open_ledger(BOOT)
        await ledger.begin(by_guest("op-1"), unix=NOON)
        if sent:
            await ledger.sending("op-1", sn=5)
        await ledger.finish("op-1", ending, unix=NOON)
        await self.require_left(open_ledger(BOOT), back)

    @pytest.mark.parametrize(
        ("sent", "boot", "back"),
        [(False, BOOT, True), (False, OTHER_BOOT, False), (True, BOOT, False)],
    )
    async def test_a_restart_gives_an_opening_back_only_where_nothing_was_sent(
        self, open_ledger: Open, sent: bool, boot: str, back: bool
    ) -> None:
        before = open_ledger(BOOT)
        await before.begin(by_guest("op-1"), unix=NOON)
        if sent:
            await before.sending("op-1", sn=5)
        after = open_ledger(boot)
        await after.recover(unix=NOON)
        await self.require_left(after, back)

    @staticmethod
    async def require_left(ledger: Ledger, left: bool) -> None:
        if left:
            assert await ledger.begin(by_guest("op-2"), unix=NOON) is None
        else:
            with pytest.raises(UsesSpent):
                await ledger.begin(by_guest("op-2"), unix=NOON)

    async def test_a_restart_leaves_what_was_finished(self, open_ledger: Open) -> None:
        before = open_ledger(BOOT)
        await before.begin(asked(), unix=NOON)
        finished = await before.finish("op-1", UNREACHED, unix=NOON + 1)
        after = open_ledger(OTHER_BOOT)
        assert await after.recover(unix=NOON + 60) == []
        assert await after.operation("op-1") == finished

    async def test_recovery_leaves_alone_what_runs_now(self, ledger: Ledger) -> None:
        await ledger.begin(asked(), unix=NOON)
        assert await ledger.recover(unix=NOON) == []
        await ledger.sending("op-1", sn=5)


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def open_ledger(self, tmp_path: Path) -> Iterator[Open]:
        vault = Vault({1: Secret(bytes(32))}, new_nonce=lambda: bytes(12))
        with ExitStack() as last:

            def open_one(boot: str) -> Ledger:
                last.close()
                directory = last.enter_context(StateDirectory(tmp_path / "state"))
                return last.enter_context(SqliteStore(directory, vault, boot_id=boot)).ledger

            yield open_one

    async def test_an_opening_stays_used_when_its_operation_is_forgotten(
        self, ledger: SqliteLedger
    ) -> None:
        await ledger.begin(by_guest("op-1"), unix=NOON)
        await ledger.sending("op-1", sn=5)
        await ledger.finish("op-1", CONFIRMED, unix=NOON)
        await ledger.begin(asked("op-9", key="other"), unix=NOON)
        await ledger.finish("op-9", UNREACHED, unix=NOON)
        ledger._database.at_start(
            lambda connection: connection.execute("DELETE FROM idempotency").close()
        )
        await ledger.prune(trusted_unix=NOON)
        assert await ledger.operation("op-1") is None
        await self.require_left(ledger, left=False)

    async def test_evidence_without_a_form_in_json_does_not_cost_the_outcome(
        self, ledger: Ledger
    ) -> None:
        await ledger.begin(asked(), unix=NOON)
        odd = replace(UNREACHED, evidence=({"code": Secret("canary"), "raw": b"canary"},))
        finished = await ledger.finish("op-1", odd, unix=NOON)
        assert finished.ending is not None
        assert finished.ending.evidence == ({"code": "<Secret>", "raw": "<bytes>"},)
