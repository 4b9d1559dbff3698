"""A sharing ticket in a request to open a door: what it looks like, and how often one may be wrong.

It stands in the body only. Whoever passes it on needs a token of its own, with the scope
``share:LOCK``, which opens nothing without a ticket.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
from pydantic import BaseModel, ConfigDict, Field

from bleagent.authority.shared import id_of
from bleagent.authority.sharing import SharingRefused, Sharings, SharingUnverified
from bleagent.model import OperationRequest
from bleagent.ports import Clock, Ledger
from protocol import Secret

from .guard import too_many
from .limits import Buckets, Rate
from .rules import Refusal

log = structlog.get_logger()

TICKET = "^[A-Za-z0-9_-]{16,128}$"
"""The vendor's are 32 hexadecimal digits. A shorter one could be guessed by its id."""


class SharingBody(BaseModel):
    """A ticket of the cloud's sharing."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=False)

    ticket: str = Field(pattern=TICKET, repr=False, description="The `sharing_ticket`.")
    receiver: str | None = Field(
        default=None, min_length=1, max_length=128,
        description="The UID of who received it; by default the one of the configuration.",
    )  # fmt: skip

    def fingerprint(self) -> list[str | None]:
        """What binds an Idempotency-Key to it, without the ticket."""
        return [id_of(Secret(self.ticket)), self.receiver]


@dataclass(slots=True)
class TicketGate:
    """Takes tickets to those who verify them."""

    sharings: Sharings | None
    """``None``: nobody can be asked about a ticket."""
    ledger: Ledger
    clock: Clock
    rate: Rate
    """Wrong tickets of one caller."""
    _wrong: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self._wrong = Buckets(self.rate)

    async def passed(
        self, asked: OperationRequest, given: SharingBody
    ) -> OperationRequest | Refusal:
        """The request with the ticket's authority; as it is, where its key is known already.

        Without that authority a request that is not known after all needs the scope to operate
        the lock, at the latest at the commit point. Raises AgentError (``Sharings.authorised``).
        """
        if self.sharings is None:
            raise SharingUnverified("there is nobody to ask about a ticket")
        caller = asked.principal.id
        if await self.ledger.known(caller, asked.key) is not None:
            return asked
        # Taken beforehand: many at once are no way around it.
        if wait := self._wrong.take(caller, self.clock.now()):
            return too_many("wrong sharing tickets", wait)
        was_wrong = False
        try:
            passed = await self.sharings.authorised(asked, Secret(given.ticket), given.receiver)
        except SharingRefused:
            if await self.ledger.known(caller, asked.key) is not None:
                return asked  # the same request came a moment before, and has taken the ticket
            was_wrong = True
            log.warning(
                "sharing.refused", lock=asked.lock, sharing=id_of(Secret(given.ticket)),
                principal=caller,
            )  # fmt: skip
            raise
        finally:
            if not was_wrong:
                self._wrong.give_back(caller)
        log.info(
            "sharing.accepted", lock=asked.lock, sharing=passed.principal.counted_as,
            principal=caller, operation=asked.operation_id,
        )  # fmt: skip
        return passed
