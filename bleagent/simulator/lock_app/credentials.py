"""Passwords, cards, fingers, faces and temporary passwords (reference: protocol §6.4)."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.credentials import (
    NO_HARDID,
    ChangeResult,
    Freeze,
    Method,
    Stage,
    TemporaryResult,
    Validity,
)

from .buffer import ReplyBuffer, Request
from .flash import Credential, Flash

PER_METHOD = 10
_EVERYTHING = 0
"""In place of a method: all of a member."""
_TOUCHES = {Method.PASSWORD: 0, Method.CARD: 1, Method.FINGERPRINT: 6, Method.FACE: 1}
_MODIFIED = (Method.PASSWORD, Method.CARD, Method.FINGERPRINT)


def hardids(method: int) -> range:
    """The numbers of a method's credentials; none where there is no such method."""
    start = (method - 1) * PER_METHOD
    return range(start, start + PER_METHOD) if method in tuple(Method) else range(0)


class Credentials:
    """What is enrolled. Handlers fill the reply; the late reports are the application's."""

    def __init__(self, flash: Flash) -> None:
        self._flash = flash

    def free(self, method: int) -> int:
        """The lowest free number of a method, ``NO_HARDID`` if there is none."""
        return next((one for one in hardids(method) if one not in self._all), NO_HARDID)

    @property
    def _all(self) -> dict[int, Credential]:
        return self._flash.credentials

    def _of_member(self, member: int) -> Iterator[int]:
        return (hardid for hardid, one in list(self._all.items()) if one.member == member)

    # -- enrolling

    def add(self, request: Request, reply: ReplyBuffer) -> tuple[int, int] | None:
        """Begin or cancel; what is to be reported a little later, as stage and hardid."""
        method, stage = request.byte(0), request.byte(1)
        reply.size = 7
        if method not in _TOUCHES:
            return None
        reply.set(6, 0)
        if stage == Stage.CANCELLED:
            reply.set(5, 0)
        if stage != Stage.START:
            return None
        reply.set(5, _TOUCHES[Method(method)])
        hardid = self.free(method)
        if hardid == NO_HARDID:
            return Stage.FAILED, hardid
        if method != Method.PASSWORD:
            return None
        self.enrol(request, method)
        return Stage.COMPLETE, hardid

    def enrol(self, request: Request, method: int) -> None:
        """Keep what was enrolled, under the lowest free number, with the request's fields."""
        hardid = self.free(method)
        if hardid == NO_HARDID:
            return
        password = request.take(24, request.byte(23)) if method == Method.PASSWORD else b""
        self._all[hardid] = Credential(
            method, request.byte(2), request.byte(3), request.take(5, 17), request.byte(22),
            password,
        )  # fmt: skip

    # -- changing

    def delete(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``delete_credential``; the style byte is not looked at."""
        method, hardid, deleted = request.byte(0), request.byte(4), True
        if method == _EVERYTHING:
            for one in self._of_member(request.byte(3)):
                del self._all[one]
        elif method in _TOUCHES:
            deleted = self._all.pop(hardid, None) is not None
        reply.set(6, ChangeResult.OK if deleted else ChangeResult.FAILED)
        reply.size = 7
        return True

    def modify(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``modify_credential``."""
        method, hardid, modified = request.byte(0), request.byte(4), True
        if method == _EVERYTHING:
            for one in self._of_member(request.byte(3)):
                self._all[one].validity = request.take(5, 17)
        elif method in _MODIFIED:
            modified = hardid in self._all
            if modified:
                old = self._all[hardid]
                self._all[hardid] = Credential(
                    old.method, request.byte(2), request.byte(3), request.take(5, 17),
                    request.byte(22), request.take(24, request.byte(23)), old.freeze,
                )  # fmt: skip
        reply.set(5, request.byte(22))
        reply.set(6, ChangeResult.OK if modified else ChangeResult.FAILED)
        reply.size = 7
        return True

    def freeze_one(self, request: Request, state: Freeze) -> None:
        """One credential; another length than 4 is echoed without effect."""
        hardid = request.number(0, 4) & 0xFF
        if len(request.data) == 4 and hardid in self._all:
            self._all[hardid].freeze = state

    def freeze_member(self, request: Request, state: Freeze) -> None:
        """All of a member, as ``freeze_one``."""
        if len(request.data) == 4:
            for one in self._of_member(request.number(0, 4) & 0xFF):
                self._all[one].freeze = state

    # -- temporary passwords

    def add_temporary(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``add_temporary_password``."""
        hardid = self.free(Method.TEMPORARY_PASSWORD)
        result = TemporaryResult.FULL if hardid == NO_HARDID else TemporaryResult.OK
        if result is TemporaryResult.OK:
            self._all[hardid] = _temporary(request, 1)
        return _temporary_reply(reply, hardid, result)

    def delete_temporary(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``delete_temporary_password``; any hardid will do."""
        deleted = self._all.pop(request.byte(0), None) is not None
        result = TemporaryResult.OK if deleted else TemporaryResult.FAILED
        return _temporary_reply(reply, request.byte(0), result)

    def modify_temporary(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``modify_temporary_password``; no digits are an empty password."""
        hardid = request.byte(0)
        result = TemporaryResult.OK if hardid in self._all else TemporaryResult.FAILED
        if result is TemporaryResult.OK:
            old, new = self._all[hardid], _temporary(request, 2)
            new.method, new.admin, new.member = old.method, old.admin, old.member
            new.freeze = old.freeze
            self._all[hardid] = new
        return _temporary_reply(reply, hardid, result)

    def type_temporary(self, typed: bytes, unix: int) -> int | None:
        """Somebody enters a temporary password: its hardid, if it opens. The last use deletes it.

        The hours of a cycle are not looked at: no document says what they mean.
        """
        for hardid in hardids(Method.TEMPORARY_PASSWORD):
            one = self._all.get(hardid)
            if one is None or one.digits != typed or one.freeze == Freeze.FROZEN:
                continue
            validity = Validity.from_bytes(one.validity)
            if not validity.start <= unix < validity.end:
                continue
            if one.count == 1:
                del self._all[hardid]
            one.count = max(one.count - 1, 0)
            return hardid
        return None


def _temporary(request: Request, at: int) -> Credential:
    """The fields that begin with the validity at ``at``."""
    digits = request.take(at + 19, request.byte(at + 18))
    validity, count = request.take(at, 17), request.byte(at + 17)
    return Credential(Method.TEMPORARY_PASSWORD, 0, 0, validity, count, digits)


def _temporary_reply(reply: ReplyBuffer, hardid: int, result: TemporaryResult) -> bool:
    reply.set(0, hardid)
    reply.set(1, result)
    reply.size = 2
    return True
