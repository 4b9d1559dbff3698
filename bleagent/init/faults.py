"""Why it could not go on, and what a person can do about it."""

from __future__ import annotations

from bleagent.cloud.errors import (
    BadAnswer,
    ClockSkew,
    CloudError,
    CloudUnreachable,
    NotSupported,
    PermissionDenied,
    SignatureRejected,
)
from bleagent.errors import AgentError

PROJECT = "the vendor's developer platform, Cloud > your project"


class InitError(AgentError):
    """It stopped, and nothing was written. ``mend`` is what to do."""

    code = "init-stopped"

    def __init__(self, found: str, expected: str, mend: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.mend = mend


class CloudSaidNo(InitError):
    """The cloud could not be asked, or has no use for what it was asked with."""

    code = "init-cloud"


class NotSaid(InitError):
    """Something that only a person can say, and nobody may be asked."""

    code = "init-not-said"


def mend_of(error: AgentError) -> str:
    """What to do about it."""
    return error.mend if isinstance(error, InitError) else error.advice


def of_cloud(error: CloudError, where: str) -> CloudSaidNo:
    """The cloud's error for somebody who has just typed its address and keys."""
    match error:
        case SignatureRejected():
            return CloudSaidNo(
                f"that {where} does not accept these keys: {error}",
                "client id (Access ID) and secret (Access Secret) of a project of this data centre",
                f"copy both from {PROJECT} > Overview, which names the data centre, too",
            )
        case ClockSkew():
            return CloudSaidNo(
                f"that {where} does not believe the date of this machine: {error}",
                "a clock that is right within a minute",
                "timedatectl set-ntp true; then: timedatectl status",
            )
        case PermissionDenied() | NotSupported():
            return CloudSaidNo(
                f"that {where} does not let this project ask: {error}",
                "a project that is subscribed to the APIs of devices and smart locks",
                f"{PROJECT} > Service API, and its data centre; or say --lock NAME=DEVICE-ID",
            )
        case CloudUnreachable() | BadAnswer():
            return CloudSaidNo(
                f"no answer of a cloud at {where}: {error}",
                "the vendor's cloud at that address",
                f"{error.advice} Try: curl -sSI {where}",
            )
    return CloudSaidNo(f"that {where} said no: {error}", "an answer", error.advice)
