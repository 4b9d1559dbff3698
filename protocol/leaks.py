"""The last look at a rekeyed capture: is anything of the original still in it?

It knows nothing of how the copy was made. It takes the finished text and the plaintext of every
frame in it, and searches them for every original in the forms that bytes are written in: as
they are, hexadecimal, base64, hexadecimal once more, a MAC address in both orders
(reference: safety G5).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .capture import Kind
from .commands import Sender
from .gatt import GattGeneration
from .scrub_local import ACTIONS, WORDS
from .substitutes import MIN_SEARCHED, Sensitive

_HEX_FIELDS = frozenset({"adv", "data", "payload", "scan_rsp"})
_SEALED_FIELDS = frozenset({"iv", "value"})
_OUR_WORDS = frozenset(Kind) | frozenset(Sender) | frozenset(GattGeneration) | ACTIONS
_OUR_WORDS |= {"restart", "unknown"}.union(*WORDS.values())
"""Words of the format, which an original may happen to be."""
_COMMAND = re.compile(r"0x[0-9a-f]{4}")
_MIN_DIFFERENT = 3
"""Different bytes in an original that can be told from padding, counters and small numbers."""
_MIN_IN_SEALED = 6
"""Bytes of the shortest original that does not turn up in ciphertext by chance."""
_MIN_FORM = 6
"""Characters of the shortest base64 form that is searched."""
_BETWEEN = b"\n\0|\0\n"
# Timestamps stay, and the first ten digits of one may be T0 (or six of them a PIN).
_IN_TIMESTAMPS = frozenset({Sensitive.OFFLINE_T0, Sensitive.PIN})


@dataclass(frozen=True, slots=True)
class _Searched:
    """What can be read, and what is (or should be) sealed."""

    plain: bytes
    sealed: bytes


def find_leak(
    text: str,
    plaintexts: Iterable[bytes],
    originals: Iterable[tuple[Sensitive, bytes]],
    issued: Iterable[bytes],
) -> Sensitive | None:
    """What of the originals is still there.

    Originals of less than 4 bytes, or of less than 3 different ones, are not searched: they
    are everywhere.

    Args:
        text: the copy, as it will be written.
        plaintexts: data of the frames in it, as its reader will see them.
        originals: every secret and identity.
        issued: the test values; an original inside of one (a text "test") is no leak.
    """
    searched = _searched(text, plaintexts)
    values = tuple(issued)
    for what, original in sorted(set(originals)):
        if len(original) < MIN_SEARCHED or len(set(original)) < _MIN_DIFFERENT:
            continue
        if _is_in(searched, what, original, values):
            return what
    return None


def _searched(text: str, plaintexts: Iterable[bytes]) -> _Searched:
    plain, sealed = list(plaintexts), []
    for line in text.splitlines():
        for name, value in _strings("", json.loads(line)):
            raw = _unhex(value)
            if name in _SEALED_FIELDS:
                sealed.append(raw)
                continue
            plain.append(raw)
            if name not in _HEX_FIELDS and value not in _OUR_WORDS and not _COMMAND.match(value):
                plain.append(value.encode())
    return _Searched(_BETWEEN.join(plain), _BETWEEN.join(sealed))


def _strings(name: str, found: object) -> Iterator[tuple[str, str]]:
    """Every string in a JSON value, with the name of its field."""
    match found:
        case str():
            yield name, found
        case dict():
            for key, value in found.items():
                yield from _strings(key, value)
        case list():
            for value in found:
                yield from _strings(name, value)


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _is_in(
    searched: _Searched, what: Sensitive, original: bytes, issued: tuple[bytes, ...]
) -> bool:
    orders = {original, original[::-1]} if what is Sensitive.MAC else {original}
    if len(original) >= _MIN_IN_SEALED and any(one in searched.sealed for one in orders):
        return True
    bounded = what in _IN_TIMESTAMPS and original.isdigit()
    for order in orders:
        for form in _forms(order):
            for at in _places(searched.plain, form):
                if bounded and _in_longer_number(searched.plain, at, len(form)):
                    continue
                if not any(_covers(searched.plain, at, form, one) for one in issued):
                    return True
    return False


def _forms(value: bytes) -> set[bytes]:
    forms = {value}
    for between in ("", ":", "-", " "):
        text = value.hex(between) if between else value.hex()
        forms |= {text.encode(), text.upper().encode()}
    for ahead in range(3):  # base64 of something longer that contains it
        encoded = b64encode(bytes(ahead) + value)
        whole = len(bytes(ahead) + value) * 8 // 6
        inner = encoded[-(-ahead * 8 // 6) : whole]
        if len(inner) >= _MIN_FORM:
            forms |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms


def _places(where: bytes, what: bytes) -> Iterator[int]:
    at = where.find(what)
    while at >= 0:
        yield at
        at = where.find(what, at + 1)


def _in_longer_number(where: bytes, at: int, size: int) -> bool:
    return where[max(at - 1, 0) : at].isdigit() or where[at + size : at + size + 1].isdigit()


def _covers(where: bytes, at: int, form: bytes, value: bytes) -> bool:
    """Whether the form stands here as a part of this whole value."""
    return any(
        at >= inside and where[at - inside : at - inside + len(value)] == value
        for inside in _places(value, form)
    )
