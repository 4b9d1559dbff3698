"""What differs between the generations of the protocol, as named facts.

Source: reference protocol §2, §3.1, §4, §9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from .commands import CommandCode
from .datapoint import LengthWidth
from .errors import LocalProtocolError
from .keys import SecurityFlag

_V1_FLAGS = frozenset(
    {
        SecurityFlag.PLAIN,
        SecurityFlag.AUTH,
        SecurityFlag.AUTH_SESSION,
        SecurityFlag.LOGIN,
        SecurityFlag.SESSION,
    }
)
_V2_FLAGS = frozenset(
    {
        SecurityFlag.V2_AUTH,
        SecurityFlag.V2_AUTH_SESSION,
        SecurityFlag.V2_LOGIN,
        SecurityFlag.V2_SESSION,
        SecurityFlag.V2_ANOMALY,
    }
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to talk to a lock: its protocol major version and its security generation."""

    major: int = 3
    security_v2: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.major <= 15:
            raise LocalProtocolError(f"protocol major {self.major} is not 2-15")

    @property
    def login_flag(self) -> SecurityFlag:
        """Device information of a bound lock, and what the cloud seals."""
        return SecurityFlag.V2_LOGIN if self.security_v2 else SecurityFlag.LOGIN

    @property
    def session_flag(self) -> SecurityFlag:
        """Everything after device information, when bound."""
        return SecurityFlag.V2_SESSION if self.security_v2 else SecurityFlag.SESSION

    @property
    def auth_flag(self) -> SecurityFlag:
        """Device information of an unbound lock."""
        return SecurityFlag.V2_AUTH if self.security_v2 else SecurityFlag.AUTH

    @property
    def auth_session_flag(self) -> SecurityFlag:
        """Pairing of an unbound lock."""
        return SecurityFlag.V2_AUTH_SESSION if self.security_v2 else SecurityFlag.AUTH_SESSION

    @property
    def anomaly_flag(self) -> SecurityFlag:
        """Unbinding without the login key; under security V2 by the sources, never recorded."""
        return SecurityFlag.V2_ANOMALY if self.security_v2 else SecurityFlag.AUTH

    @property
    def known_flags(self) -> frozenset[int]:
        """Flags that either side of this dialect understands."""
        return _V2_FLAGS if self.security_v2 else _V1_FLAGS

    @property
    def write_code(self) -> CommandCode:
        """The datapoint write; 4.4 drops the older one without a word (§9.2)."""
        return CommandCode.DP_WRITE_V4 if self.major >= 4 else CommandCode.DP_WRITE

    @property
    def dp_width(self) -> LengthWidth:
        """Bytes of a datapoint's length field in writes and reports of this dialect."""
        return 2 if self.major >= 4 else 1

    @property
    def untimed_report(self) -> CommandCode:
        """The report that carries states and replies."""
        return CommandCode.REPORT_V4 if self.major >= 4 else CommandCode.REPORT

    def with_protocol(self, protocol: tuple[int, int]) -> Self:
        """The same security with the major version the lock itself gave."""
        return type(self)(protocol[0], self.security_v2)


def double_md5_auth(protocol: tuple[int, int]) -> bool:
    """Whether flag 2 derives from MD5(auth_key): protocol 3.0 (lock SDK 0.1.1) and below."""
    return protocol <= (3, 0)
