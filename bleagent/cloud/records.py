"""The calls about records and credentials: reported one by one, read back page by page.

None of them opens a door: each can wait, and none of them may keep another call waiting.
Source: reference cloud §3.3, §5 (R1) and §8.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bleagent.records.readback import MEMBER, CredentialName, ReadBack

from . import codec, fields, record_models
from .calls import Call, Way
from .catalogue import CREDENTIAL_CODES
from .catalogued import known, named_call
from .errors import BadAnswer, InvalidArgument, UnknownCloudError
from .pages import PAGE_SIZE, Pages

REPORT_PROPERTY = "property.report"
LIST_RECORDS = "doorLock.listRecords"
OPENING_LOGS = "doorLock.openingLogs"
LIST_USERS = "doorLock.listUsers"
LIST_USER_OPMODES = "doorLock.listUserOpmodes"

MAX_USERS = 30
"""Users that are asked about one by one, where the list of users tells no credentials."""
MAX_MESSAGE_ID = 32
_LAST_SECOND = 253_402_300_799.0  # of the year 9999


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
            way=Way.PATH,
            method="POST",
            path=f"/v1.0/iot-03/3rdcloud/devices/{codec.segment(device_id)}/property/report",
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
        found = await self._pages(
            LIST_RECORDS,
            {
                "device_id": device_id,
                "target_standard_dp_codes": ",".join(codes),
                "start_time": _date(since),
                "end_time": _date(until),
            },
            deadline,
        )
        return record_models.read_records(found)

    async def opening_logs(
        self, device_id: str, *, since: float, until: float, deadline: float | None = None
    ) -> ReadBack:
        """``doorLock.openingLogs``: openings alone, and in whole seconds."""
        span = {"start_time": _date(since), "end_time": _date(until)}
        found = await self._pages(OPENING_LOGS, {"device_id": device_id, **span}, deadline)
        return record_models.read_records(found)

    async def list_users(
        self,
        device_id: str,
        *,
        codes: Iterable[str] = CREDENTIAL_CODES,
        deadline: float | None = None,
    ) -> tuple[CredentialName, ...]:
        """``doorLock.listUsers``: the members of a lock, and the credentials of each."""
        wanted = {"device_id": device_id, "target_standard_dp_codes": ",".join(codes)}
        found = await self._pages(LIST_USERS, wanted, deadline)
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
        found = await self._pages(
            LIST_USER_OPMODES,
            {
                "device_id": device_id,
                "user_id": user_id,
                "target_unlock_standard_dp_codes": ",".join(codes),
            },
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
        self, name: str, arguments: Mapping[str, Any], deadline: float | None
    ) -> Pages:
        async def ask(number: int) -> object:
            page = {"page_no": number, "page_size": PAGE_SIZE}
            call = named_call(known(name), {**arguments, **page})
            answer = await self._ask(call, deadline)
            if answer.result == [] and answer.t is None:
                # What the vendor's helpers make of every failure looks like an empty page.
                raise UnknownCloudError(f"{name} is empty, or failed: the reason was dropped")
            return answer.result

        return await Pages.of(ask, name)


def _is_yes(answer: codec.Answer) -> bool:
    """``result: true``, or none at all inside a whole envelope; a bare nothing is no word."""
    if answer.result is None:
        return answer.t is not None
    try:
        return fields.boolean(answer.result, "result")
    except BadAnswer:
        return False


def _date(seconds: float) -> datetime:
    """Of Unix seconds, of which some have no date."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST_SECOND), UTC)
