"""What others have written, on its way to a terminal. Pure."""

from __future__ import annotations


def printable(text: str) -> str:
    """Without what a terminal would act on: anybody can send anything as a name."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.rstrip("\0"))
