"""Searches for secrets in whatever form somebody could have written them."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote


def _in_base64(value: bytes) -> Iterator[tuple[str, str]]:
    """What of it stands in the base64 of anything that contains it, whatever is around."""
    for before in range(3):
        first = (0, 2, 3)[before]  # characters that also hold what comes before
        last = (before + len(value)) * 8 // 6  # behind this one, what comes after
        for name, encode in (("base64", b64encode), ("urlsafe base64", urlsafe_b64encode)):
            yield f"{name} {before}", encode(bytes(before) + value).decode()[first:last]


def forms(value: bytes) -> dict[str, bytes]:
    """Every form that is looked for, by name."""
    digits = value.hex()
    text = value.decode("latin-1")
    found = {
        "hex": digits,
        "HEX": digits.upper(),
        "hex with blanks": value.hex(" "),
        "hex with colons": value.hex(":").upper(),
        "URL": quote(value, safe=""),
        "URL, everything": "".join(f"%{byte:02X}" for byte in value),
        "url, everything": "".join(f"%{byte:02x}" for byte in value),
        "repr": repr(value)[2:-1],
        "JSON": json.dumps(text)[1:-1],
        "numbers": ", ".join(map(str, value)),
        "numbers in JSON": ",".join(map(str, value)),
        **dict(_in_base64(value)),
    }
    return {"raw": value} | {name: form.encode() for name, form in found.items()}


class Canary:
    """Knows secrets by name, and finds them."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._forms: dict[str, dict[str, bytes]] = {}
        for name, value in secrets.items():
            self.add(name, value)

    @property
    def names(self) -> set[str]:
        """What is looked for."""
        return set(self._forms)

    def add(self, name: str, value: bytes) -> None:
        """One more. Shorter ones would be found by chance."""
        assert len(value) >= 6, name
        self._forms[name] = forms(value)

    def found(self, text: bytes | str) -> list[tuple[str, str]]:
        """Which secret stands there, in which form."""
        raw = text.encode() if isinstance(text, str) else text
        return [
            (name, form)
            for name, forms in self._forms.items()
            for form, pattern in forms.items()
            if pattern in raw
        ]

    def in_all(self, texts: Iterable[tuple[str, bytes | str]]) -> list[tuple[str, str, str]]:
        """The same over many texts, each with a name."""
        return [(place, *one) for place, text in texts for one in self.found(text)]
