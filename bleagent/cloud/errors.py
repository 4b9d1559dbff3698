"""What the cloud can do to us: one tree, and the vendor's codes as data.

Every error keeps the vendor's ``cloud_code``, ``msg`` and ``tid`` (what the vendor's support
asks for). ``msg`` varies by language and version: nothing here looks into it. No error ever
holds a secret: the client masks what the cloud echoes before it gets here.

Source: reference cloud §2; safety F3 for ``allows_offline``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from bleagent import errors as agent


class Retry(StrEnum):
    """What may be done after an error, inside the same call."""

    NEVER = "never"
    BACKOFF = "backoff"  # wait a little and ask again, if asking twice does no harm
    NEW_TOKEN = "new-token"  # get another token, ask again once
    NEW_CLOCK = "new-clock"  # correct the clock by the answer's ``t``, sign and ask again once
    LATER = "later"  # not in this call; in a minute it may be another matter
    BREAKER = "breaker"  # for hours any further call makes it worse


class CloudError(agent.CloudError):
    """Base of everything a call to the cloud can end in.

    ``refusal`` is the cloud's *no*. ``allows_offline`` says that no answer could be had, so that
    ``offline = cached`` may stand in; after a *no* it never does (safety F3).
    ``ambiguous``: the request may have reached the cloud and been carried out, only its answer
    is missing or worthless. Such an instruction call is never repeated by the client.
    """

    code = "cloud-error"
    advice = "Try again; if it stays, give the tid to the vendor's support."
    default_retry: ClassVar[Retry] = Retry.NEVER

    def __init__(
        self,
        message: str,
        *,
        cloud_code: int | str | None = None,
        msg: str = "",
        tid: str | None = None,
        ambiguous: bool = False,
        retry: Retry | None = None,
    ) -> None:
        super().__init__(message)
        self.cloud_code = cloud_code
        self.msg = msg
        self.tid = tid
        self.ambiguous = ambiguous
        self.retry = self.default_retry if retry is None else retry

    def __str__(self) -> str:
        details = [
            f"{name} {value}"
            for name, value in (("code", self.cloud_code), ("tid", self.tid))
            if value is not None
        ]
        details += [repr(self.msg)] if self.msg else []
        text = str(self.args[0])
        return f"{text} ({', '.join(details)})" if details else text


# -- no answer


class CloudUnreachable(CloudError):
    """No answer: not connected, or cut off. ``ambiguous`` says whether the request arrived."""

    code = "cloud-unreachable"
    advice = "Check the gateway's network and the configured base URL."
    default_retry = Retry.BACKOFF
    allows_offline = True


class CloudTimeout(CloudUnreachable):
    """No answer in time."""

    code = "cloud-timeout"


class CloudDown(CloudUnreachable):
    """HTTP 5xx: the cloud, or something in front of it, is broken."""

    code = "cloud-down"
    advice = "Wait; the vendor's cloud has a fault of its own."


class CloudFault(CloudError):
    """Code 500 and the like inside a well-formed answer.

    Every action documents it as *the* sample of a failure, so it may stand for a no: it does
    not allow to go on offline.
    """

    code = "cloud-fault"
    default_retry = Retry.BACKOFF


class RateLimited(CloudError):
    """Too many requests at once."""

    code = "cloud-rate-limited"
    advice = "Wait; ask less often."
    default_retry = Retry.BACKOFF


class QuotaExhausted(CloudError):
    """The project's quota is used up; the client stops calling for hours."""

    code = "cloud-quota"
    advice = "Extend the cloud project's plan."
    default_retry = Retry.BREAKER
    allows_offline = True


class BadAnswer(CloudError):
    """An answer that cannot be read; names what was wrong with it, never its content."""

    code = "cloud-bad-answer"
    advice = "Check that the base URL is the vendor's cloud and nothing in between answers."


# -- who we are


class TokenRejected(CloudError):
    """The access token is not (or no longer) valid."""

    code = "cloud-token"
    advice = "See that no other program uses the same cloud project."
    default_retry = Retry.NEW_TOKEN


class ClockSkew(CloudError):
    """The cloud does not believe our time."""

    code = "cloud-clock"
    advice = "Check the gateway's clock."
    default_retry = Retry.NEW_CLOCK


class SignatureRejected(CloudError):
    """Client id, secret or signature are not accepted."""

    code = "cloud-signature"
    advice = "Check client id, secret, signer and data centre."


# -- the cloud's no


class CloudRefused(CloudError):
    """The cloud's no."""

    code = "cloud-refused"
    advice = "The message says why; asking again does not help."
    refusal = True


class PermissionDenied(CloudRefused):
    """The project may not do this with this device: not linked, not subscribed, another region."""

    code = "cloud-permission"
    advice = "Link the device to the project, check its API subscriptions and data centre."


class NotSupported(CloudRefused):
    """This lock, or this way of reaching the cloud, does not have what was asked for."""

    code = "cloud-not-supported"
    advice = "Choose another transport, or another way to operate this lock."


class DeviceOffline(CloudRefused):
    """The cloud does not reach the device."""

    code = "cloud-device-offline"
    advice = "Wake the lock or its own gateway."
    default_retry = Retry.LATER


class InvalidArgument(CloudRefused):
    """A parameter that the cloud does not take."""

    code = "cloud-argument"
    advice = (
        "Check what is named: `bleagent cloud describe NAME` has what each call takes. Of an "
        "opening it is the configured device id, or the strategy for device_random."
    )


class UnknownCloudError(CloudRefused):
    """A failure whose code is in no table."""

    code = "cloud-unknown"


# -- the vendor's codes

_Row = tuple[type[CloudError], Retry | None]


def _rows(kind: type[CloudError], *codes: int, retry: Retry | None = None) -> dict[int, _Row]:
    return dict.fromkeys(codes, (kind, retry))


CODES: dict[int, _Row] = {
    **_rows(CloudFault, 500, 1111, 1112),
    **_rows(CloudRefused, 1000, 1107, 2006, 2007, *range(2301, 2325)),
    **_rows(SignatureRejected, 1001, 1004, 1005, 1007),
    **_rows(InvalidArgument, 1003, 1006, 1100, 1101, 1102, 1104, 1105, 1109),
    **_rows(TokenRejected, 1002, 1010, 1011, 1012, 1400),
    **_rows(PermissionDenied, 1008, 1106, 2405, 2406),
    **_rows(PermissionDenied, 28841001, 28841002, 28841003),
    **_rows(PermissionDenied, 28841101, 28841102, 28841103, 28841105, 28841106),
    **_rows(ClockSkew, 1013),
    **_rows(CloudRefused, 1103, 2311, 2313, 2317, 2328, retry=Retry.LATER),
    **_rows(NotSupported, 1108, 2003, 2004, 2008, 2009, 2010, 2015),
    **_rows(RateLimited, 1110, 1199, 40000309),
    **_rows(RateLimited, 1113, retry=Retry.LATER),
    **_rows(DeviceOffline, 2001, 2312),
    **_rows(QuotaExhausted, 28841004, 28841104),
}
"""Each code's error, and its retry class where it is not the error's own."""


def error_of(code: int | str | None, *, msg: str = "", tid: str | None = None) -> CloudError:
    """The error for a failure that the cloud reported.

    After code 500 and its like nobody knows what the cloud did before it failed.
    """
    known = CODES.get(code) if isinstance(code, int) else None
    kind, retry = known or (UnknownCloudError, None)
    message = (kind.__doc__ or "").partition("\n")[0].rstrip(".:")
    ambiguous = kind is CloudFault
    return kind(message, cloud_code=code, msg=msg, tid=tid, ambiguous=ambiguous, retry=retry)


def kinds(of: type[CloudError] = CloudError) -> dict[str, type[CloudError]]:
    """Every kind of error by its ``code``."""
    found = {of.code: of}
    for one in of.__subclasses__():
        found |= kinds(one)
    return found
