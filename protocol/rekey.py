"""A copy of a capture that can be shown to anybody: other keys, other names, the same talk.

Every secret and identity is replaced by a test value of the same length, and everything is
sealed again under test keys, so that the copy reads, replays and checks like the original
(reference: safety G2). What nobody can vouch for is left out and named in ``dropped``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from .capture import Capture, Event, Kind, RecordedFrame, format_capture, parse_capture
from .commands import CommandCode, Sender, code_name
from .device_info import DeviceInfo
from .dialect import double_md5_auth
from .dpmap import DpMap
from .errors import (
    LocalProtocolError,
    PayloadError,
    ProtocolError,
    RemoteProtocolError,
    SealError,
)
from .fragment import read_varint, write_varint
from .frame import Frame
from .keys import KeyRing, SecurityFlag
from .leaks import find_leak
from .message import Opened
from .observer import Observation, Seen, Unreadable, observe_capture
from .scrub import Scrubbed, Scrubber
from .scrub_header import NAME, ORIGIN, header_secrets, scrub_header
from .scrub_local import scrub_local
from .seal import IV_SIZE, seal, seal_plain
from .substitutes import Sensitive, Substitutes

_POWER = frozenset({"off", "on", "restart"})
_CARRIES_SERVER_RAND = frozenset({SecurityFlag.AUTH, SecurityFlag.V2_AUTH, SecurityFlag.V2_ANOMALY})
_MIN_SEALED_PACKET = 8
"""Bytes of the shortest packet of which two are not equal by chance."""


class RekeyError(LocalProtocolError):
    """The copy was made and cannot be given out. ``kind`` says what is wrong, never the value."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {message}")


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that is not in the copy; ``line`` is that of the original (1: the header)."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """The copy, and what is not in it."""

    capture: Capture
    dropped: tuple[Dropped, ...]


def rekey_capture(
    capture: Capture, *, new_iv: Callable[[], bytes], dpmap: DpMap, keep_unknown: bool = False
) -> Rekeyed:
    """A copy of a capture without its secrets.

    Kept: times, order, numbers, commands, flags, sizes, results, plain values and timestamps.
    Replaced, always alike within the capture: keys, ids, random numbers, codes, PINs, texts.
    Left out: notes, packets that could not be read (what is in them nobody knows), and, unless
    ``keep_unknown``, unknown commands and datapoints and data without the documented shape.

    Args:
        capture: a conversation with the keys that open it.
        new_iv: gives 16 fresh random bytes at every call.
        dpmap: the numbers of this lock's datapoints.
        keep_unknown: keep what is not known as it is; somebody looked at it.

    Raises:
        RekeyError: something of the original is still in the copy, or it cannot be read.
        LocalProtocolError: ``new_iv`` gave something else than 16 bytes.
    """
    if len({event.line for event in capture.events}) < len(capture.events):
        capture = capture.with_lines()
    messages = _messages(capture)
    # A first time only to learn what the secrets are: no test value may be one of them.
    secrets = Substitutes()
    _Copy.of(capture, messages, Scrubber(secrets, dpmap, keep_unknown), lambda: bytes(IV_SIZE))
    originals = {*secrets.originals(), *header_secrets(capture.header)}
    values = Substitutes(avoid=frozenset(value for _, value in originals))
    copy = _Copy.of(capture, messages, Scrubber(values, dpmap, keep_unknown), new_iv)
    _check(capture, copy, originals, values)
    return Rekeyed(copy.result, tuple(copy.dropped))


# -- reading


@dataclass(frozen=True, slots=True)
class _Message:
    """The packets of a message, and what could be read of it."""

    told: Observation
    packets: tuple[Event, ...]


def _messages(capture: Capture) -> dict[int, _Message]:
    """Messages by the line of their last packet; every packet is in one of them."""
    told = {(one.sender, one.line): one for one in observe_capture(capture)}
    waiting: dict[Sender, list[Event]] = {sender: [] for sender in Sender}
    found: dict[int, _Message] = {}
    for event in capture.events:
        if event.value is None:
            continue
        waiting[event.sender].append(event)
        observation = told.get((event.sender, event.line))
        if observation is not None:
            found[event.line] = _Message(observation, tuple(waiting[event.sender]))
            waiting[event.sender] = []
    return found


# -- writing


@dataclass(slots=True)
class _Copy:
    """A copy in the making."""

    scrubber: Scrubber
    new_iv: Callable[[], bytes]
    ring: KeyRing
    result: Capture
    """The original until it is finished."""
    dropped: list[Dropped] = field(default_factory=list)
    frames: list[tuple[Sender, Opened]] = field(default_factory=list)
    """What a reader of the copy must find in it."""
    sealed: set[bytes | None] = field(default_factory=set)
    """Packets that are sealed, and long enough to be like no other by chance."""
    _events: dict[int, Event] = field(default_factory=dict)
    _ivs: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        capture: Capture,
        messages: dict[int, _Message],
        scrubber: Scrubber,
        new_iv: Callable[[], bytes],
    ) -> _Copy:
        """Make one."""
        header, reason = scrub_header(capture.header, scrubber.values)
        copy = cls(scrubber, new_iv, KeyRing(header.keys), capture)
        if reason is not None:
            copy.drop(1, reason)
        for event in capture.events:
            if event.value is None:
                copy.take_event(event)
            elif event.line in messages:
                copy.take_message(messages[event.line])
        kept = (copy._events[one.line] for one in capture.events if one.line in copy._events)
        copy.result = Capture(header, tuple(kept)).with_lines()
        return copy

    def drop(self, line: int, reason: str) -> None:
        """Remember what is not in the copy."""
        self.dropped.append(Dropped(line, reason))

    # -- events

    def take_event(self, event: Event) -> None:
        """Something else than a packet."""
        try:
            self._events[event.line] = self._without_remarks(event)
        except PayloadError as error:
            self.drop(event.line, str(error))

    def _without_remarks(self, event: Event) -> Event:
        bare = Event(t=event.t, sender=event.sender, kind=event.kind)
        match event.kind:
            case Kind.CONNECT | Kind.DISCONNECT:
                return bare
            case Kind.POWER if event.power in _POWER:
                return replace(bare, power=event.power)
            case Kind.LOCAL:
                local, reasons = scrub_local(event.local or {}, self.scrubber)
                for reason in reasons:
                    self.drop(event.line, reason)
                return replace(bare, local=local)
            case _:
                raise PayloadError("an event that nobody knows how to read")

    def take_message(self, message: _Message) -> None:
        """All packets of one message, when the last of them is there."""
        told = message.told
        if isinstance(told, Unreadable):
            count = len(message.packets)
            self.drop(told.line, f"{count} packet(s) that cannot be read: {told.error}")
            return
        frame = told.opened.frame
        try:
            scrubbed = self.scrubber.frame(told.sender, frame, self._register_key)
            new = replace(frame, data=scrubbed.data)
            plaintext = new.to_bytes()
        except ProtocolError as error:
            self.drop(told.line, f"{code_name(frame.code)}, sn {frame.sn}: {error}")
            return
        try:
            sealed, opened = self._seal(message, told, new, plaintext)
        except SealError as error:
            self.drop(told.line, f"{code_name(frame.code)}, sn {frame.sn}: {error}")
            return
        self._learn(told.sender, new)
        self._keep(message, told, scrubbed, opened, sealed)

    def _seal(
        self, message: _Message, told: Seen, frame: Frame, plaintext: bytes
    ) -> tuple[bytes, Opened]:
        flag, iv = told.opened.flag, b""
        if flag != SecurityFlag.PLAIN:
            # Equal messages (a replay) stay equal, so each IV is replaced like a secret.
            iv = self._ivs.get(told.opened.iv) or self.new_iv()
            self._ivs[told.opened.iv] = iv
        if told.sender is Sender.CENTRAL and flag in _CARRIES_SERVER_RAND:
            self.ring.learn_server_rand(iv)
        if len(frame.data) == len(told.opened.frame.data):
            total = _total(message.packets[0].value or b"")
            padding = total - 1 - len(iv) - len(plaintext)  # some centrals add a whole block
            plaintext += bytes((padding,)) * padding
        opened = Opened(frame, flag, iv)
        if flag == SecurityFlag.PLAIN:
            return seal_plain(plaintext), opened
        return seal(plaintext, flag=flag, key=self.ring.key(flag), iv=iv), opened

    def _keep(
        self, message: _Message, told: Seen, scrubbed: Scrubbed, opened: Opened, sealed: bytes
    ) -> None:
        taken = self.result.header.att_payload if told.sender is Sender.CENTRAL else None
        last = 0
        for event, value in zip(
            message.packets, _split_alike(message.packets, sealed, taken), strict=False
        ):
            self._events[event.line] = Event(
                t=event.t, sender=event.sender, kind=event.kind, value=value
            )
            last = event.line
            if opened.flag != SecurityFlag.PLAIN and len(value) >= _MIN_SEALED_PACKET:
                self.sealed.add(value)
        if any(event.frame is not None for event in message.packets):
            self._events[last] = replace(self._events[last], frame=RecordedFrame.of(opened))
        self.frames.append((told.sender, opened))
        for reason in scrubbed.dropped:
            self.drop(told.line, reason)

    def _register_key(self) -> bytes | None:
        return None if self.ring.keys.auth_key is None else self.ring.register_key()

    def _learn(self, sender: Sender, frame: Frame) -> None:
        """Follow what changes the keys of the copy, as its reader will."""
        if sender is not Sender.LOCK or frame.code != CommandCode.DEVICE_INFO:
            return
        try:
            info = DeviceInfo.from_bytes(frame.data)
        except RemoteProtocolError:
            return
        self.ring.double_md5_auth = double_md5_auth(info.protocol)
        self.ring.learn_srand(info.srand.reveal())


def _total(first: bytes) -> int:
    """Length of the message that a fragment 0 announces."""
    _, at = read_varint(first, 0)
    return read_varint(first, at)[0]


def _split_alike(packets: tuple[Event, ...], message: bytes, taken: int | None) -> Iterator[bytes]:
    """Cut a message as another one was cut; a shorter message needs fewer packets.

    Bytes that the receiver did not look at (beyond ``taken``, or behind the end) become zeros.
    """
    same_length, rest = _total(packets[0].value or b"") == len(message), message
    for event in packets:
        recorded = event.value or b""
        number, at = read_varint(recorded, 0)
        head = recorded[:at]
        if number == 0:
            version = read_varint(recorded, at)[1]
            head += write_varint(len(message)) + recorded[version : version + 1]
        room = max(len(recorded[:taken]) - len(head), 0)
        packet, rest = head + rest[:room], rest[room:]
        yield packet.ljust(len(recorded), b"\0") if same_length or rest else packet
        if not rest and not same_length:
            return


# -- checking


def _check(
    original: Capture,
    copy: _Copy,
    originals: set[tuple[Sensitive, bytes]],
    values: Substitutes,
) -> None:
    text = format_capture(copy.result)
    seen = observe_capture(parse_capture(text))
    found = [(one.sender, one.opened) for one in seen if isinstance(one, Seen)]
    if len(found) < len(seen) or found != copy.frames:
        raise RekeyError("conversation", "the copy does not read like the original")
    plaintexts = [opened.frame.data for _, opened in found]
    ours = [*values.issued(), NAME.encode(), ORIGIN.encode()]
    leak = find_leak(text, plaintexts, originals, ours)
    if leak is not None:
        raise RekeyError(leak, "the copy still contains one of the original")
    if copy.sealed & {event.value for event in original.events}:
        raise RekeyError("sealed frame", "the copy still contains a packet of the original")
