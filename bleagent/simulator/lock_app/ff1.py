"""FF1 format-preserving encryption of decimal digits: NIST SP 800-38G, radix 10, empty tweak.

What offline passwords are enciphered with (reference: protocol §6.8).
"""

from __future__ import annotations

from collections.abc import Sequence

from Crypto.Cipher import AES

_RADIX = 10
_ROUNDS = 10
_BLOCK = 16


def encrypt(key: bytes, plain: Sequence[int]) -> list[int]:
    """Encipher digits 0 to 9, at least two of them; as many come out. ``key`` has 16 bytes."""
    a, b = _halves(plain)
    for step in range(_ROUNDS):
        size = len(a)
        a, b = b, _digits(_number(a) + _mask(key, step, b, len(plain)), size)
    return a + b


def decrypt(key: bytes, cipher: Sequence[int]) -> list[int]:
    """The digits that ``encrypt`` was given."""
    a, b = _halves(cipher)
    for step in reversed(range(_ROUNDS)):
        size = len(b)
        a, b = _digits(_number(b) - _mask(key, step, a, len(cipher)), size), a
    return a + b


def _halves(digits: Sequence[int]) -> tuple[list[int], list[int]]:
    half = len(digits) // 2
    return list(digits[:half]), list(digits[half:])


def _mask(key: bytes, step: int, half: Sequence[int], total: int) -> int:
    """The number that one round adds to the other half."""
    longer = total - total // 2
    size = ((10**longer - 1).bit_length() + 7) // 8
    head = bytes((1, 2, 1, 0, 0, _RADIX, _ROUNDS, total // 2 % 256))
    head += total.to_bytes(4, "big") + bytes(4)
    body = bytes(-(size + 1) % _BLOCK) + bytes((step,)) + _number(half).to_bytes(size, "big")
    cipher = AES.new(key, AES.MODE_CBC, bytes(_BLOCK))
    last = cipher.encrypt(head + body)[-_BLOCK:]
    return int.from_bytes(last[: 4 * ((size + 3) // 4) + 4], "big")


def _number(digits: Sequence[int]) -> int:
    return int("".join(map(str, digits)))


def _digits(number: int, size: int) -> list[int]:
    return [int(digit) for digit in f"{number % 10**size:0{size}}"]
