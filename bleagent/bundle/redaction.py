"""What must not leave this machine, looked for in whatever form somebody could have written it.

The parts of a support bundle have no secrets to begin with: this is the check that it is so, and
what is done where it is not (safety G5).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from urllib.parse import quote

from protocol import Secret

SHORTEST = 4
"""Characters of an identity; what is shorter stands anywhere by chance."""
_ADDRESS = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{2}(?:[:_-][0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f])")
"""Of a Bluetooth device, as D-Bus and people write it: the neighbours' too."""


class Redaction:
    """Knows secrets, and the texts that say whose lock it is."""

    def __init__(self, secrets: Mapping[str, Secret], identities: Mapping[str, str]) -> None:
        self._secrets = {
            name: forms
            for name, secret in secrets.items()
            if (forms := {form for part in _parts(secret.reveal()) for form in _forms(part)})
        }
        # The longest first: one may be within another.
        self._identities = sorted(
            ((name, value) for name, value in identities.items() if len(value) >= SHORTEST),
            key=lambda one: -len(one[1]),
        )

    def clean(self, text: str) -> str:
        """Identities by what they are, and without the lines in which a secret stands."""
        for name, value in self._identities:
            for written in {value, value.upper(), value.lower()}:
                text = text.replace(written, f"<{name}>")
        text = _ADDRESS.sub("<address>", text)
        lines = []
        for line in text.removesuffix("\n").split("\n"):  # a key can have other line ends in it
            found = self.found(line.encode())
            lines.append(f"[left out: {', '.join(found)} stood here]" if found else line)
        return "".join(f"{line}\n" for line in lines)

    def found(self, raw: bytes) -> list[str]:
        """The names of the secrets that stand there."""
        return [name for name, forms in self._secrets.items() if any(form in raw for form in forms)]


def _parts(value: bytes) -> list[bytes]:
    """The secret itself; of a PEM each line of it."""
    if not value.startswith(b"-----"):
        return [whole] if (whole := value.strip(b"\r\n")) else []
    return [line for line in value.splitlines() if line and not line.startswith(b"-----")]


def _forms(value: bytes) -> set[bytes]:
    text = value.decode("latin-1")
    found = {
        text, value.hex(), value.hex().upper(), value.hex(" "), value.hex(":").upper(),
        quote(value, safe=""), repr(value)[2:-1], json.dumps(text)[1:-1],
        ", ".join(map(str, value)), ",".join(map(str, value)),
    }  # fmt: skip
    everything = "".join(f"%{byte:02x}" for byte in value)
    found |= {everything, everything.upper()}
    for encode in (b64encode, urlsafe_b64encode):
        found |= {one for before in range(3) if (one := _in_base64(value, before, encode))}
    return {value} | {one.encode() for one in found}


def _in_base64(value: bytes, before: int, encode: Callable[[bytes], bytes]) -> str:
    """What of it stands in the base64 of anything with ``before`` bytes (mod 3) ahead of it."""
    first = (0, 2, 3)[before]
    last = (before + len(value)) * 8 // 6
    return encode(bytes(before) + value).decode()[first:last]
