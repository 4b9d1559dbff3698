"""The calls about records and credentials: reported one by one, read back page by page.

None of them opens a door: each can wait, and none of them may keep another call waiting.
Source: reference cloud §3.3, §5 (R1) and §8.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from bleagent.readback import MEMBER, CredentialName, ReadBack

from . import codec, fields, record_models
from .calls import Call
from .errors import BadAnswer, InvalidArgument, UnknownCloudError
from .pages import PAGE_SIZE, Pages

REPORT_PROPERTY = "property.report"
LIST_RECORDS = "doorLock.listRecords"
OPENING_LOGS = "doorLock.openingLogs"
LIST_USERS = "doorLock.listUsers"
LIST_USER_OPMODES = "doorLock.listUserOpmodes"

CREDENTIAL_CODES = (
    "unlock_fingerprint",
    "unlock_password",
    "unlock_card",
    "unlock_finger_vein",
    "unlock_face",
    "unlock_hand",
    "unlock_eye",
)
"""What the vendor's own programs ask for."""
MAX_USERS = 30
"""Users that are asked about one by one, where the list of users tells no credentials."""
MAX_MESSAGE_ID = 32


class RecordCalls(ABC):
    """What ``CloudClient`` knows of records. Raises ``CloudError`` and nothing else."""

    @abstractmethod
    async def _ask(self, call: Call, deadline: float | None) -> codec.Answer: ...

    async def report_property(
        self,
        device_id: str,
        *,
        message_id: str,
        code: str,
        value: int | bool | str,
        time_ms: int,
        deadline: float | None = None,
    ) -> None:
        """Report one value of one device; returns on the cloud's own *yes* only.

        Sent once: whoever has it on disk repeats it, under the same ``message_id``.

        Raises:
            CloudError: ``ambiguous`` where the cloud may have it all the same; NotSupported
                where the project has no client id and secret to sign it with.
        """
        if not 0 < len(message_id) <= MAX_MESSAGE_ID:
            raise InvalidArgument(
                f"a message id of {len(message_id)} signs, expected 1 to {MAX_MESSAGE_ID}"
            )
        call = Call(
            name=REPORT_PROPERTY,
            path=f"/v1.0/iot-03/3rdcloud/devices/{_segment(device_id)}/property/report",
            body={"msg_id": message_id, "data": {code: {"value": value, "time": time_ms}}},
            once=True,
            can_wait=True,
        )
        answer = await self._ask(call, deadline)
        if not _is_yes(answer):
            raise BadAnswer(f"{REPORT_PROPERTY}: a success without a result", ambiguous=True)

    async def list_records(
        self,
        device_id: str,
        *,
        since: float,
        until: float,
        codes: Iterable[str],
        deadline: float | None = None,
    ) -> ReadBack:
        """``doorLock.listRecords``: openings and alarms between two times (Unix seconds)."""
        # The unit is not stated; the records in the answer have milliseconds.
        span = {"start_time": _ms(since), "end_time": _ms(until)}
        wanted = {"target_standard_dp_codes": ",".join(codes)}
        found = await self._pages(
            LIST_RECORDS,
            {"device_id": device_id, **wanted, **span},
            f"{_door_lock(device_id)}/records",
            {**wanted, **span},
            deadline,
        )
        return record_models.read_records(found)

    async def opening_logs(
        self, device_id: str, *, since: float, until: float, deadline: float | None = None
    ) -> ReadBack:
        """``doorLock.openingLogs``: openings alone, and in whole seconds."""
        found = await self._pages(
            OPENING_LOGS,
            {"device_id": device_id, "start_time": _ms(since), "end_time": _ms(until)},
            f"{_door_lock(device_id)}/open-logs",
            # The document of the path has seconds where that of the action has milliseconds.
            {"start_time": math.floor(since), "end_time": math.ceil(until)},
            deadline,
        )
        return record_models.read_records(found)

    async def list_users(
        self,
        device_id: str,
        *,
        codes: Iterable[str] = CREDENTIAL_CODES,
        deadline: float | None = None,
    ) -> tuple[CredentialName, ...]:
        """``doorLock.listUsers``: the members of a lock, and the credentials of each."""
        wanted = ",".join(codes)
        found = await self._pages(
            LIST_USERS,
            {"device_id": device_id, "target_standard_dp_codes": wanted},
            f"{_smart_lock(device_id)}/users",
            {"codes": wanted},
            deadline,
        )
        return record_models.read_users(found.rows)

    async def list_user_opmodes(
        self,
        device_id: str,
        user_id: str,
        *,
        codes: Iterable[str] = CREDENTIAL_CODES,
        deadline: float | None = None,
    ) -> tuple[CredentialName, ...]:
        """``doorLock.listUserOpmodes``: the credentials of one member."""
        wanted = ",".join(codes)
        found = await self._pages(
            LIST_USER_OPMODES,
            {
                "device_id": device_id,
                "user_id": user_id,
                "target_unlock_standard_dp_codes": wanted,
                "target_unlock_name": "",
            },
            f"{_smart_lock(device_id)}/opmodes/{_segment(user_id)}",
            {"codes": wanted},
            deadline,
        )
        return record_models.read_opmodes(found.rows)

    async def credential_names(
        self, device_id: str, *, deadline: float | None = None
    ) -> tuple[CredentialName, ...]:
        """Whose the credentials of a lock are. Implements ``names.CredentialNames``."""
        names = list(await self.list_users(device_id, deadline=deadline))
        if all(one.code == MEMBER for one in names):
            for member in names[:MAX_USERS]:
                names += await self.list_user_opmodes(device_id, member.user_id, deadline=deadline)
        return tuple(names)

    async def _pages(
        self,
        name: str,
        params: Mapping[str, str | int],
        path: str,
        query: Mapping[str, str | int],
        deadline: float | None,
    ) -> Pages:
        async def ask(number: int) -> object:
            page = {"page_no": number, "page_size": PAGE_SIZE}
            texts = {one: str(value) for one, value in {**query, **page}.items()}
            call = Call(name=name, params={**params, **page}, path=path, query=texts, can_wait=True)
            answer = await self._ask(call, deadline)
            if answer.result == [] and answer.t is None:
                # What the vendor's helpers make of every failure looks like an empty page.
                raise UnknownCloudError(f"{name} is empty, or failed: the reason was dropped")
            return answer.result

        return await Pages.of(ask, name)


def _door_lock(device_id: str) -> str:
    return f"/v1.0/devices/{_segment(device_id)}/door-lock"


def _smart_lock(device_id: str) -> str:
    return f"/v1.0/smart-lock/devices/{_segment(device_id)}"


def _segment(text: str) -> str:
    """An id as a part of a path; one that would be more than a part leads elsewhere."""
    if not text or "/" in text or text in (".", ".."):
        raise InvalidArgument("an id that is empty, or has a slash, cannot be part of a path")
    return text


def _is_yes(answer: codec.Answer) -> bool:
    """``result: true``, or none at all inside a whole envelope; a bare nothing is no word."""
    if answer.result is None:
        return answer.t is not None
    try:
        return fields.boolean(answer.result, "result")
    except BadAnswer:
        return False


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
