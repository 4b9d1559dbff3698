"""Operations on disk: what makes "at most once" true. Implements ``ports.Ledger``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bleagent.errors import KeyReused, StoreError, StoreFull
from bleagent.model import Action, Ending, OperationRecord, OperationRequest, Outcome, Phase

from .database import Database
from .memory import raise_mark
from .uses import forget_uses, give_back_use, reserve_use

KEY_AGE = 24 * 3600.0  # s of trusted time for which an idempotency key is kept at least (F1)
KEYS_KEPT = 10_000  # of each principal, the newest, however old
AT_ONCE = 500  # forgotten in one commit: an opening that comes meanwhile waits for it
RESERVE = 4 * 1024 * 1024  # bytes; with less on the disk nothing new begins, what runs can end

# What ``recover`` says (reference: safety A7).
BEFORE_SENDING = "interrupted-before-sending"
POWER_CUT = "interrupted-by-power-cut"
WHILE_SENDING = "interrupted-while-sending"

# What ``operation_events`` calls its two kinds.
OPERATION, EVIDENCE = "operation", "evidence"

_FINISHED = "phase = 'finished', finished_at = ?, ending = ?, ended = ?, ended_boot = ?"
COLUMNS = "id, lock, action, principal, key, fingerprint, phase, requested_at, finished_at, ending"


class SqliteLedger:
    """The operation ledger of one gateway.

    ``boot_id`` is the kernel's; ``free_bytes`` tells what is left on the disk, ``boottime`` the
    seconds since boot (``ports.Clock.now``).
    """

    def __init__(
        self,
        database: Database,
        *,
        boot_id: str,
        free_bytes: Callable[[], int],
        boottime: Callable[[], float],
    ) -> None:
        self._database = database
        self._boot_id = boot_id
        self._free_bytes = free_bytes
        self._boottime = boottime
        self._opened_at = boottime()
        self._ours: set[str] = set()  # begun by this process: not what a crash left behind

    async def begin(self, request: OperationRequest, *, unix: float) -> OperationRecord | None:
        """Store the intent; or return the record of a key that is known already.

        Raises:
            KeyReused: a known key with another fingerprint.
            UsesSpent: a guest has none left; nothing was stored.
            StoreFull: too little space to carry an operation through; nothing was stored.
        """

        def work(connection: sqlite3.Connection) -> OperationRecord | None:
            known = _by_key(connection, request.principal.id, request.key)
            if known is not None:
                if known.fingerprint != request.fingerprint:
                    raise KeyReused(
                        f"this key belongs to operation {known.id}, which asked for something else"
                    )
                return known
            self._require_space()
            _insert(connection, request, boot_id=self._boot_id, unix=unix)
            reserve_use(connection, request)
            return None

        # Before the write: whoever recovers meanwhile must not take it for a dead one.
        added = request.operation_id not in self._ours
        self._ours.add(request.operation_id)
        stored = False
        try:
            known = await self._database.write(work)
            stored = known is None
        finally:
            if added and not stored:
                self._ours.discard(request.operation_id)
        return known

    async def sending(self, operation_id: str, *, sn: int, sealed: bool = False) -> None:
        """``intent -> sending``, once; ``sealed`` raises the lock's mark in the same commit.

        Raises:
            StoreError: it was anything else, or the number cannot be a mark.
        """

        def work(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE operations SET phase = 'sending', sn = ? WHERE id = ? AND phase = 'intent'",
                (sn, operation_id),
            ).rowcount
            if changed != 1:
                raise _wrong_phase(connection, operation_id, "sending")
            if sealed:
                lock = _require(_by_id(connection, operation_id)).lock
                raise_mark(connection, lock, sn)

        await self._database.write(work)

    async def finish(self, operation_id: str, ending: Ending, *, unix: float) -> OperationRecord:
        """Store the ending, once; ``confirmed`` only for what was sent. Raises StoreError."""
        sent_only = ending.outcome is Outcome.CONFIRMED

        def work(connection: sqlite3.Connection) -> OperationRecord:
            changed = connection.execute(
                f"UPDATE operations SET {_FINISHED} "  # noqa: S608 -- a constant of ours
                "WHERE id = ? AND (phase = 'sending' OR (phase = 'intent' AND NOT ?))",
                (*self._finished(ending, unix), operation_id, sent_only),
            ).rowcount
            if changed != 1:
                raise _wrong_phase(connection, operation_id, f"finished ({ending.outcome})")
            give_back_use(connection, operation_id, ending)
            _note_event(connection, operation_id, OPERATION, heard=len(ending.evidence))
            return _require(_by_id(connection, operation_id))

        record = await self._database.write(work)
        self._ours.discard(operation_id)
        return record

    async def add_evidence(
        self, operation_id: str, evidence: Mapping[str, Any]
    ) -> OperationRecord | None:
        """Add to a finished operation's evidence; ``None`` where it is not known (any more)."""

        def work(connection: sqlite3.Connection) -> OperationRecord | None:
            found = _by_id(connection, operation_id)
            if found is None or found.ending is None:
                return None
            ending = replace(found.ending, evidence=(*found.ending.evidence, dict(evidence)))
            connection.execute(
                "UPDATE operations SET ending = ? WHERE id = ?",
                (ending_to_json(ending), operation_id),
            )
            _note_event(connection, operation_id, EVIDENCE, heard=len(ending.evidence))
            return replace(found, ending=ending)

        return await self._database.write(work)

    async def require_usable(self) -> None:
        """Raises StoreError where no operation could begin now; changes nothing."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("SELECT seq FROM operations ORDER BY seq DESC LIMIT 1").fetchone()
            self._require_space()

        await self._database.read(work)

    async def known(self, principal: str, key: str) -> OperationRecord | None:
        """The operation of an idempotency key, if the key was used and is still kept."""
        return await self._database.read(lambda connection: _by_key(connection, principal, key))

    async def operation(self, operation_id: str) -> OperationRecord | None:
        """Look one up."""
        return await self._database.read(lambda connection: _by_id(connection, operation_id))

    async def last_of(self, lock: str) -> OperationRecord | None:
        """The newest operation of a lock, by the order in which they began."""

        def work(connection: sqlite3.Connection) -> OperationRecord | None:
            row = connection.execute(
                f"SELECT {COLUMNS}, ended, ended_boot FROM operations "  # noqa: S608 -- ours
                "WHERE lock = ? ORDER BY seq DESC LIMIT 1",
                (lock,),
            ).fetchone()
            if row is None:
                return None
            *columns, ended, boot = row
            return replace(record_of(tuple(columns)), ended_at=self._in_this_boot(ended, boot))

        return await self._database.read(work)

    def _require_space(self) -> None:
        if (free := self._free_bytes()) < RESERVE:
            raise StoreFull(f"{free} bytes are free, an operation begins with {RESERVE}")

    def _in_this_boot(self, ended: float | None, boot: str | None) -> float:
        if ended is None:
            return self._opened_at  # nobody knows: not before somebody could have seen it
        return ended if boot == self._boot_id else 0.0

    def _finished(self, ending: Ending, unix: float) -> tuple[object, ...]:
        return unix, ending_to_json(ending), self._boottime(), self._boot_id

    async def recover(self, *, unix: float) -> list[OperationRecord]:
        """Close what a crash left open (reference: safety A7); returns what was closed.

        Sent or about to be: ``unconfirmed``. Not sent, same boot: ``unreached``. Not sent, other
        boot: ``unconfirmed``, because a cheap card may have lost the commit of ``sending``.
        Operations that this process began are left alone.
        """

        def work(connection: sqlite3.Connection) -> list[OperationRecord]:
            open_ones = connection.execute(
                "SELECT id, phase, boot FROM operations WHERE phase <> 'finished' ORDER BY seq"
            ).fetchall()
            closed = []
            for operation_id, phase, boot in open_ones:
                if operation_id in self._ours:
                    continue
                ending = _after_crash(Phase(phase), same_boot=boot == self._boot_id)
                connection.execute(
                    f"UPDATE operations SET {_FINISHED} WHERE id = ?",  # noqa: S608 -- ours
                    (*self._finished(ending, unix), operation_id),
                )
                give_back_use(connection, operation_id, ending)
                _note_event(connection, operation_id, OPERATION, heard=0)
                closed.append(_require(_by_id(connection, operation_id)))
            return closed

        return await self._database.write(work)

    async def prune(self, *, trusted_unix: float) -> int:
        """Forget idempotency keys that are old enough (F1), and their operations; how many.

        To be called now and then, and only while the clock is trusted; again at once while it
        forgets any, for it does little at a time. A key ages from the first pruning that sees it,
        so that one stored under a wrong date is not forgotten early. Running operations and the
        newest one of each lock stay.
        """

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(
                "UPDATE idempotency SET aged_from = ? WHERE aged_from IS NULL", (trusted_unix,)
            )
            kept_until = (trusted_unix - KEY_AGE, KEYS_KEPT, AT_ONCE)
            keys = connection.execute(_OLD_KEYS, kept_until).fetchall()
            connection.executemany("DELETE FROM idempotency WHERE operation = ?", keys)
            without_key = connection.execute(_OLD_OPERATIONS, (AT_ONCE,)).fetchall()
            connection.executemany("DELETE FROM operations WHERE seq = ?", without_key)
            if without_key:
                connection.execute(_FORGET_EVENTS)
                forget_uses(connection)
            return max(len(keys), len(without_key))

        return await self._database.write(work)


_OLD_KEYS = """
    SELECT operation FROM (
        SELECT operation, aged_from,
            row_number() OVER (PARTITION BY principal ORDER BY operation DESC) AS newness
        FROM idempotency
    ) WHERE aged_from <= ? AND newness > ?
        AND operation IN (SELECT seq FROM operations WHERE phase = 'finished')
    ORDER BY operation LIMIT ?
"""
_OLD_OPERATIONS = """
    SELECT seq FROM operations AS o WHERE phase = 'finished'
        AND NOT EXISTS (SELECT 1 FROM idempotency WHERE operation = o.seq)
        AND EXISTS (SELECT 1 FROM operations WHERE lock = o.lock AND seq > o.seq)
    ORDER BY seq LIMIT ?
"""
_FORGET_EVENTS = """
    DELETE FROM operation_events WHERE operation NOT IN (SELECT seq FROM operations)
"""


def _insert(
    connection: sqlite3.Connection, request: OperationRequest, *, boot_id: str, unix: float
) -> None:
    connection.execute(
        "INSERT INTO operations (id, lock, action, principal, key, fingerprint, boot, phase, "
        "requested_at) VALUES (?, ?, ?, ?, ?, ?, ?, 'intent', ?)",
        (
            request.operation_id,
            request.lock,
            request.action.value,
            request.principal.id,
            request.key,
            request.fingerprint,
            boot_id,
            unix,
        ),
    )
    connection.execute(
        "INSERT INTO idempotency (principal, key, operation) VALUES (?, ?, last_insert_rowid())",
        (request.principal.id, request.key),
    )


def _note_event(
    connection: sqlite3.Connection, operation_id: str, kind: str, *, heard: int
) -> None:
    """For those who follow what happens; ``heard`` are the pieces of evidence there are now."""
    connection.execute(
        "INSERT INTO operation_events (operation, kind, heard) "
        "SELECT seq, ?, ? FROM operations WHERE id = ?",
        (kind, heard, operation_id),
    )


def _after_crash(phase: Phase, *, same_boot: bool) -> Ending:
    if phase is Phase.SENDING:
        return Ending(outcome=Outcome.UNCONFIRMED, code=WHILE_SENDING, moved="possible")
    if same_boot:
        return Ending(outcome=Outcome.UNREACHED, code=BEFORE_SENDING)
    return Ending(outcome=Outcome.UNCONFIRMED, code=POWER_CUT, moved="possible")


def _by_id(connection: sqlite3.Connection, operation_id: str) -> OperationRecord | None:
    return _one(connection, f"SELECT {COLUMNS} FROM operations WHERE id = ?", operation_id)  # noqa: S608


def _by_key(connection: sqlite3.Connection, principal: str, key: str) -> OperationRecord | None:
    return _one(
        connection,
        f"SELECT {COLUMNS} FROM operations WHERE seq = "  # noqa: S608 -- a constant of ours
        "(SELECT operation FROM idempotency WHERE principal = ? AND key = ?)",
        principal,
        key,
    )


def _one(connection: sqlite3.Connection, query: str, *values: str) -> OperationRecord | None:
    row = connection.execute(query, values).fetchone()
    return None if row is None else record_of(row)


def record_of(row: tuple[Any, ...]) -> OperationRecord:
    """One row of ``COLUMNS``. Raises StoreError: its ending cannot be read."""
    operation_id, lock, action, principal, key, fingerprint, phase, requested, finished, ending = (
        row
    )
    return OperationRecord(
        id=operation_id,
        lock=lock,
        action=Action(action),
        principal=principal,
        key=key,
        fingerprint=fingerprint,
        phase=Phase(phase),
        requested_at=requested,
        finished_at=finished,
        ending=None if ending is None else ending_from_json(ending),
    )


def _require(record: OperationRecord | None) -> OperationRecord:
    if record is None:
        raise StoreError("an operation that was just written is not there")
    return record


def _wrong_phase(connection: sqlite3.Connection, operation_id: str, wanted: str) -> StoreError:
    found = _by_id(connection, operation_id)
    phase = "not known" if found is None else found.phase.value
    return StoreError(f"operation {operation_id} is {phase}; it cannot become {wanted}")


def ending_to_json(ending: Ending) -> str:
    """An ending as it is stored.

    It never fails: the truth about a door must not get lost over a piece of evidence that has
    no form in JSON. Such a piece is named by its type, unread.
    """
    return json.dumps(
        {
            "outcome": ending.outcome.value,
            "code": ending.code,
            "by": ending.by,
            "result": ending.result,
            "moved": ending.moved,
            "late": ending.late,
            "offline": ending.offline,
            "evidence": list(ending.evidence),
            "steps": ending.steps,
        },
        default=lambda value: f"<{type(value).__name__}>",
        skipkeys=True,
    )


def ending_from_json(text: str) -> Ending:
    """The reverse. Raises StoreError for what ``ending_to_json`` does not write."""
    try:
        fields = json.loads(text)
        return Ending(
            outcome=Outcome(fields["outcome"]),
            code=fields["code"],
            by=fields["by"],
            result=fields["result"],
            moved=fields["moved"],
            late=fields["late"],
            offline=fields["offline"],
            evidence=tuple(fields["evidence"]),
            steps=fields["steps"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"a stored ending cannot be read: {error!r}") from error
