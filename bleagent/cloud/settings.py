"""How to reach the cloud: what an operator chooses, with defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from protocol import Secret

from .codec import Credentials
from .pace import RetryPolicy


class Transport(StrEnum):
    """How calls travel."""

    ACTION = "action"  # one endpoint that takes {"action", "params"}
    OPENAPI = "openapi"  # a path each, where one is public; there is none to open a lock


class Signer(StrEnum):
    """Who vouches for an action request."""

    NONE = "none"  # something in front of the cloud does
    FAAS = "faas"  # the action endpoint's own signature, no token
    OPENAPI = "openapi"  # signature version 2 and access token


class InstructionCall(StrEnum):
    """Which call seals an open instruction."""

    BLE_OPEN = "bleOpenInstruction"
    UNLOCK = "unlockInstruction"  # its predecessor: opens only, protocol 3 only
    BLE_OPEN_THEN_UNLOCK = "bleOpenInstruction, then unlockInstruction"
    """The older one where the cloud says that it does not have the newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """One cloud project. Times in seconds. Any base URL: tests and private clouds have theirs.

    Client id and secret may stay empty where the signer is ``none``.
    """

    base_url: str
    client_id: str = ""
    secret: Secret = field(default_factory=lambda: Secret(b""))
    transport: Transport = Transport.ACTION
    signer: Signer = Signer.FAAS
    action_url: str | None = None
    """Where actions go; ``<base_url>/faas`` by default."""
    panel_url: str | None = None
    """Where the APIs of the app's panels go: a relay to an app that is signed in."""
    instruction_call: InstructionCall = InstructionCall.BLE_OPEN
    uid: str | None = None
    """Added to the parameters of every action, where the endpoint wants a user."""
    app_schema: str = "cloud"
    """The app's schema in calls about sharing; ``cloud`` where the endpoint puts in its own."""
    wx_app_id: str | None = None
    """MD5 (hexadecimal) of the mini program's id, where the endpoint wants it."""
    call_timeout: float = 10.0
    """For one request; the vendor's own programs wait 15 s."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    quota_pause: float = 2 * 3600.0
    """How long nothing is asked after the quota was exhausted."""

    def __post_init__(self) -> None:
        for url in (self.base_url, self.url_of_actions, self.panel_url or self.base_url):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
                raise ValueError(f"{url!r} is not an http(s) URL without a query")

    @property
    def credentials(self) -> Credentials:
        """For signing."""
        return Credentials(self.client_id, self.secret)

    @property
    def origin(self) -> str:
        """The base URL without a slash at its end."""
        return self.base_url.rstrip("/")

    @property
    def url_of_actions(self) -> str:
        """Where actions go."""
        return self.action_url or f"{self.origin}/faas"
