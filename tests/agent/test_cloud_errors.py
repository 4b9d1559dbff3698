"""What each failure is called, whether it may be repeated, and whether we may go on offline."""

from __future__ import annotations

import copy

import pytest

from bleagent import errors as agent
from bleagent.cloud import errors
from bleagent.cloud.errors import CODES, CloudError, Retry, error_of

EVERY_KIND = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CloudError)
]


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        (500, errors.CloudFault, Retry.BACKOFF),
        (1000, errors.CloudRefused, Retry.NEVER),
        (1001, errors.SignatureRejected, Retry.NEVER),
        (1002, errors.TokenRejected, Retry.NEW_TOKEN),
        (1004, errors.SignatureRejected, Retry.NEVER),
        (1010, errors.TokenRejected, Retry.NEW_TOKEN),
        (1011, errors.TokenRejected, Retry.NEW_TOKEN),
        (1012, errors.TokenRejected, Retry.NEW_TOKEN),
        (1400, errors.TokenRejected, Retry.NEW_TOKEN),
        (1013, errors.ClockSkew, Retry.NEW_CLOCK),
        (1103, errors.CloudRefused, Retry.LATER),
        (1106, errors.PermissionDenied, Retry.NEVER),
        (1108, errors.NotSupported, Retry.NEVER),
        (1109, errors.InvalidArgument, Retry.NEVER),
        (1110, errors.RateLimited, Retry.BACKOFF),
        (1111, errors.CloudFault, Retry.BACKOFF),
        (1113, errors.RateLimited, Retry.LATER),
        (1199, errors.RateLimited, Retry.BACKOFF),
        (2001, errors.DeviceOffline, Retry.LATER),
        (2009, errors.NotSupported, Retry.NEVER),
        (2302, errors.CloudRefused, Retry.NEVER),
        (2312, errors.DeviceOffline, Retry.LATER),
        (2328, errors.CloudRefused, Retry.LATER),
        (28841002, errors.PermissionDenied, Retry.NEVER),
        (28841004, errors.QuotaExhausted, Retry.BREAKER),
        (28841104, errors.QuotaExhausted, Retry.BREAKER),
        (40000309, errors.RateLimited, Retry.BACKOFF),
        (424242, errors.UnknownCloudError, Retry.NEVER),
        ("USER_SESSION", errors.UnknownCloudError, Retry.NEVER),
        (None, errors.UnknownCloudError, Retry.NEVER),
    ],
)
def test_a_code_has_an_error_and_a_retry_class(
    code: int | str | None, kind: type[CloudError], retry: Retry
) -> None:
    error = error_of(code, msg="words", tid="abc")
    assert type(error) is kind
    assert error.retry is retry
    assert (error.cloud_code, error.msg, error.tid) == (code, "words", "abc")
    assert "abc" in str(error)


def test_only_where_no_answer_can_be_had_may_we_go_on_offline() -> None:
    allowed = {kind for kind in EVERY_KIND if kind("x").allows_offline}
    assert allowed == {
        errors.CloudUnreachable,
        errors.CloudTimeout,
        errors.CloudDown,
        errors.QuotaExhausted,
    }


def test_what_is_a_no_never_lets_us_go_on_offline() -> None:
    refusals = {kind for kind in EVERY_KIND if kind.refusal}
    assert refusals == {kind for kind in EVERY_KIND if issubclass(kind, errors.CloudRefused)}
    assert not any(kind.allows_offline for kind in refusals)


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_answer_of_the_cloud_never_does_but_for_the_quota(code: int) -> None:
    error = error_of(code)
    assert error.allows_offline == isinstance(error, errors.QuotaExhausted)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_error_has_a_stable_code_and_advice(kind: type[CloudError]) -> None:
    assert issubclass(kind, agent.CloudError)
    assert kind.code.startswith("cloud-")
    assert kind.advice
    assert [other for other in EVERY_KIND if other.code == kind.code] == [kind]


def test_a_copy_of_an_error_knows_what_the_error_knew() -> None:
    error = error_of(2328, msg="m", tid="t")
    error.ambiguous = True
    same = copy.copy(error)
    assert type(same) is type(error)
    assert vars(same) == vars(error)
    assert str(same) == str(error)
