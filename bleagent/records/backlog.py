"""How a lock is asked for what it remembers (reference: protocol §6.7, cloud §8). Pure.

The cloud's word comes first: ``lock_record`` of ``getIssuedConfig`` names datapoint and bytes, and
datapoint 0 means command 0x0023 (pass-through). Without it the datapoint ``get_records`` is
written with the check code. Lock generations without that datapoint begin by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from bleagent.check_code import US, IssuedConfigUnusable, as_written
from bleagent.model import IssuedConfig
from bleagent.policy import Policy
from protocol import Central, CommandCode, Datapoint, DpName, Outgoing, Secret
from protocol.lock import NO_CODE
from protocol.records import RecordTrigger

LONGEST = 64
"""Bytes that a cloud may have us write; the documented question has 13."""
NEVER = frozenset(
    {
        DpName.OPEN_OLD, DpName.OPEN_CHECKED, DpName.REMOTE_OPEN, DpName.MANUAL_LOCK, DpName.BOLT,
        DpName.REVERSE_LOCK, DpName.CHECK_CODE, DpName.SET_REMOTE_KEY,
        DpName.SET_REMOTE_KEY_CHECKED, DpName.ADD_CREDENTIAL, DpName.DELETE_CREDENTIAL,
        DpName.MODIFY_CREDENTIAL, DpName.FREEZE_CREDENTIAL, DpName.UNFREEZE_CREDENTIAL,
        DpName.FREEZE_MEMBER, DpName.UNFREEZE_MEMBER, DpName.ADD_TEMPORARY_PASSWORD,
        DpName.DELETE_TEMPORARY_PASSWORD, DpName.MODIFY_TEMPORARY_PASSWORD, DpName.OFFLINE_T0,
    }
)  # fmt: skip
"""What moves the bolt, or decides who may."""
PASS_THROUGH = 0
"""Datapoint number that stands for command 0x0023."""


@dataclass(frozen=True, slots=True)
class BacklogQuestion:
    """What is written to have the backlog: bytes for a datapoint, or for command 0x0023.

    Without bytes nothing is written: this lock begins by itself once it was told the time.
    """

    dp_id: int = PASS_THROUGH
    body: Secret | None = None

    @property
    def is_automatic(self) -> bool:
        """Whether nothing has to be written."""
        return self.body is None

    def put(self, central: Central, now: float) -> Outgoing:
        """The question as a message. Raises LocalProtocolError: not ready, or no number left."""
        body = b"" if self.body is None else self.body.reveal()
        if self.dp_id == PASS_THROUGH:
            return central.send(CommandCode.PASSTHROUGH, body)
        return central.write_datapoint(Datapoint.raw(self.dp_id, body), now)


def how_to_ask(config: IssuedConfig | None, policy: Policy) -> BacklogQuestion:
    """The question for a lock.

    Raises:
        IssuedConfigUnusable: what the cloud issued must not be written, or has no check code.
    """
    issued = None if config is None else config.lock_record
    if issued is not None and issued.ins is not None:
        _require_harmless(issued.dp_id, issued.ins, policy)
        return BacklogQuestion(issued.dp_id, issued.ins)
    if DpName.GET_RECORDS not in policy.dps:
        return BacklogQuestion()
    return BacklogQuestion(policy.dps.number(DpName.GET_RECORDS), _with_code(config, policy))


def _require_harmless(dp_id: int, body: Secret, policy: Policy) -> None:
    """Asking for records must not open the door, whatever the cloud has us write (rule 9).

    A product may well ask with a number that means some setting elsewhere: the vendor's own sample
    has 56 (cloud §3.5).
    """
    name = policy.dps.name(dp_id)
    if name in NEVER:
        raise IssuedConfigUnusable(f"lock_record names datapoint {dp_id}, which is {name} here")
    if not 1 <= len(body) <= LONGEST:
        raise IssuedConfigUnusable(f"lock_record has {len(body)} bytes, not 1 to {LONGEST}")


def _with_code(config: IssuedConfig | None, policy: Policy) -> Secret:
    """The documented body: ids and check code. The lock that was recorded takes any."""
    part = None if config is None else config.lock_random
    if part is None:
        trigger = RecordTrigger(central=US, peripheral=0, code=NO_CODE)
    else:
        code = as_written(part, policy.code_source)
        trigger = RecordTrigger(central=US, peripheral=code.peripheral, code=code.new_code)
    return Secret(trigger.to_bytes())
