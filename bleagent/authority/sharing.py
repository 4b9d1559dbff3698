"""Opening with a ticket of the cloud's sharing: asked of the cloud each time, and held to here.

A ticket opens nothing by itself: the cloud has to say yes to it, for this lock, before an
operation begins; its time and its weekly hours are looked at here as well, then and again right
before the last fragment (safety E2, F2, F3).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import tzinfo
from typing import Protocol

from bleagent.doors import Door
from bleagent.errors import AgentError, CloudError, Rejected, TooLate, UnknownLock
from bleagent.model import OperationRequest, Principal
from bleagent.policy import SharingLock
from bleagent.ports import Clock
from protocol import Secret

from .issued_tokens import DateUnknown, NotNow
from .shared import Invitation, Permission, Shared, id_of

ASK_WITHIN = 5.0
"""Seconds for all that the cloud is asked about one ticket."""
MOST_CONFIRMED = 256
"""Confirmed tickets that are remembered, so that none is confirmed twice; they live for minutes."""


class SharingCloud(Protocol):
    """What the cloud is asked about a ticket. Both raise CloudError."""

    async def verify_sharing(self, ticket: Secret, *, deadline: float | None = None) -> Invitation:
        """Whether it is one, and for how long."""
        ...

    async def confirm_sharing(
        self,
        sharing_id: str,
        ticket: Secret,
        *,
        receiver: str | None = None,
        deadline: float | None = None,
    ) -> Permission:
        """Take it for who received it; what that allows."""
        ...


class SharingRefused(Rejected):
    """A sharing ticket that the cloud says no to, that has ended, or is for another lock."""

    code = "sharing-refused"
    advice = "Ask the owner of the lock to share it again."


class SharingUnverified(AgentError):
    """The cloud could not be asked about a sharing ticket in time, or gave no usable answer."""

    code = "sharing-unverified"
    advice = "Ask again; without the cloud no ticket opens a door."


class Sharings:
    """Tickets at these doors.

    Args:
        doors: by the operator's name.
        cloud: who verifies tickets.
        clock: without a trusted date no ticket is good.
        allowed: raises AgentError where the caller itself may no longer do this.
        zone: that of the weekly hours; ``None`` is this machine's.
    """

    def __init__(
        self,
        doors: Mapping[str, Door],
        cloud: SharingCloud,
        clock: Clock,
        allowed: Callable[[Principal, str], None],
        zone: tzinfo | None = None,
    ) -> None:
        self._doors = doors
        self._cloud = cloud
        self._clock = clock
        self._allowed = allowed
        self._zone = zone
        self._confirmed: OrderedDict[str, Permission] = OrderedDict()

    async def authorised(
        self, asked: OperationRequest, ticket: Secret, receiver: str | None = None
    ) -> OperationRequest:
        """The request with the ticket's authority, its deadline not later than the ticket's end.

        ``receiver``: the UID of who received it; ``None``: the configured one.

        Raises:
            UnknownLock, TooLate, DateUnknown: the cloud was not asked.
            SharingRefused: it said no, or it was no yes for this lock.
            SharingUnverified: it could not be asked.
            NotNow: it is good at another time.
        """
        door = self._doors.get(asked.lock)
        if door is None:
            raise UnknownLock(f"no lock {asked.lock!r}")
        began = self._clock.now()
        if asked.stale or asked.deadline <= began:
            raise TooLate("the request is old, or its deadline has passed")
        self._require_date()
        name, deadline = id_of(ticket), min(asked.deadline, began + ASK_WITHIN)
        try:
            invitation, permission = await self._asked(door, name, ticket, receiver, deadline)
        except CloudError as error:
            if error.refusal:
                raise SharingRefused(f"the cloud does not take this ticket: {error}") from None
            raise SharingUnverified(f"the cloud was asked in vain: {error.code}") from None
        self._remember(name, permission)
        # Its seconds are counted from before the question: rather too early than too late.
        until = self._clock.unix() + invitation.ends_in - (self._clock.now() - began)
        shared = Shared(id=name, permission=permission, until=until)
        left = self._open_until(shared) - self._clock.unix()
        principal = replace(
            asked.principal,
            guest=True,
            times=permission.terms.times,
            shared=shared,
            via=f"{asked.principal.via} {name}".strip(),
        )
        return replace(
            asked, principal=principal, deadline=min(asked.deadline, self._clock.now() + left)
        )

    def require_good(self, principal: Principal, lock: str) -> None:
        """Asked again at the commit point, of the caller and of its ticket. Raises AgentError."""
        self._allowed(principal, lock)
        if principal.shared is not None:
            self._require_date()
            self._open_until(principal.shared)

    async def _asked(
        self, door: Door, name: str, ticket: Secret, receiver: str | None, deadline: float
    ) -> tuple[Invitation, Permission]:
        """Verified each time, confirmed once.

        A ticket may be one that is spent with it: so not again, and not for another lock.
        """
        invitation = await self._cloud.verify_sharing(ticket, deadline=deadline)
        if invitation.ends_in <= 0:
            raise SharingRefused("the invitation has ended")
        _require_this_lock(door, invitation.device_id)
        known = self._confirmed.get(name)
        if known is not None:
            return invitation, known
        permission = await self._cloud.confirm_sharing(
            invitation.sharing_id, ticket, receiver=receiver, deadline=deadline
        )
        if permission.device_id is not None:
            _require_this_lock(door, permission.device_id)
        if not permission.valid or not permission.opens or permission.terms.times == 0:
            raise SharingRefused("the cloud says that this sharing opens nothing, or no more")
        if not permission.now:
            raise NotNow("the cloud says that this sharing is not good at this time")
        return invitation, permission

    def _remember(self, name: str, permission: Permission) -> None:
        self._confirmed[name] = permission
        while len(self._confirmed) > MOST_CONFIRMED:
            self._confirmed.popitem(last=False)

    def _open_until(self, shared: Shared) -> float:
        """Unix seconds. Raises NotNow."""
        until = shared.open_until(self._clock.unix(), self._zone)
        if until is None:
            raise NotNow("this sharing is not good at this time")
        return until

    def _require_date(self) -> None:
        if not self._clock.trusted:
            raise DateUnknown("a ticket was shown, and the date is not certain")


def _require_this_lock(door: Door, named: str | None) -> None:
    """Raises SharingRefused: it is for another lock, or the cloud does not say for which."""
    if named is None and door.policy.sharing is not SharingLock.ONLY_LOCK:
        raise SharingRefused(
            "the cloud does not say for which lock this ticket is: see the strategy `sharing`"
        )
    if named not in (None, door.facts.device_id):
        raise SharingRefused("this ticket is for another lock")
