"""The locks there are, by name."""

from __future__ import annotations

from protocol import Firmware, LocalProtocolError, firmware

_PROFILES = {
    "v3.0": ("3.0", 20),
    "v3.3": ("3.3", 20),
    "v4-20": ("4.4", 20),
    "v4-244": ("4.4", 244),
    "secv2-20": ("secv2", 20),
    "secv2-244": ("secv2", 244),
}
PROFILE_NAMES = tuple(_PROFILES)
"""In the order of their age."""


def profile(name: str) -> Firmware:
    """The firmware of a profile.

    Raises:
        LocalProtocolError: no such profile.
    """
    try:
        protocol, att_payload = _PROFILES[name]
    except KeyError:
        raise LocalProtocolError(
            f"no profile {name!r}, there are {', '.join(PROFILE_NAMES)}"
        ) from None
    return firmware(protocol, att_payload=att_payload)


def profile_name(chosen: Firmware) -> str:
    """Its profile's name; a firmware's own where no profile is like it."""
    for name, (protocol, att_payload) in _PROFILES.items():
        if (protocol, att_payload) == (chosen.name, chosen.att_payload):
            return name
    return chosen.name
