"""The cloud's sealed instruction: asked for under a reserved number, and every field checked."""

from __future__ import annotations

from collections.abc import Callable

from protocol import DpName, Expected, Secret
from protocol.instruction import Instruction
from protocol.lock import OpenOperation
from protocol.numbers import Reservation

from .check_code import US, as_written
from .lock_client import LockClient
from .model import InstructionRequest, IssuedInstruction, LockFacts, SealedInstruction
from .policy import DeviceRandom, Policy
from .ports import Cloud


async def ask_instruction(
    client: LockClient,
    facts: LockFacts,
    policy: Policy,
    cloud: Cloud,
    part: IssuedInstruction,
    reservation: Reservation,
    *,
    opens: bool,
    came: Callable[[], None] = lambda: None,
) -> tuple[SealedInstruction, Instruction]:
    """Have one sealed for this connection, and see that it is what was asked for (safety B4).

    ``came`` is called when the cloud has answered.

    Raises:
        CloudError: the cloud said no, or nothing.
        InstructionError: it sealed something else; the field is named.
    """
    code = as_written(part, policy.code_source)
    asked = InstructionRequest(
        device_id=facts.device_id,
        bluetooth_sn=reservation.sn,
        device_random=_device_random(client, policy, part),
        open=opens,
        major=policy.major,
    )
    sealed = await cloud.open_instruction(asked)
    came()
    instruction: Instruction = client.central.check_instruction(
        sealed.message.reveal(),
        Expected(
            reservation=reservation,
            dp_id=policy.dps.number(DpName.OPEN_CHECKED),
            central=US,
            peripheral=code.peripheral,
            code=code.new_code,
            operation=OpenOperation.OPEN if opens else OpenOperation.CLOSE,
        ),
    )
    return sealed, instruction


def _device_random(client: LockClient, policy: Policy, part: IssuedInstruction) -> Secret:
    info = client.central.info
    if policy.device_random is DeviceRandom.CONNECTION_SRAND and info is not None:
        return Secret(info.srand.reveal().hex())
    return Secret(part.ins.reveal().hex() if part.ins is not None else "")
