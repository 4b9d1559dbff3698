"""Every code of a problem, and of how an operation ended: what it means, and what to do.

Errors bring their own words (``errors``); here stand those of what is refused without one. The
document of the interface, its page and ``docs/problems.md`` are made of this table.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

# Imported for the errors that they define.
from bleagent import check_code, errors
from bleagent.authority import issued_tokens
from bleagent.cloud import errors as cloud

from . import auth, operations, problems, records

Kind = TypeVar("Kind", bound=errors.AgentError)

_MEND = "Send each thing once and plainly."
_LESS = "Send less."


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code. ``statuses``: what it is answered with; none for how an operation ended."""

    name: str
    meaning: str
    advice: str
    statuses: tuple[int, ...] = ()


def _plain(status: int, name: str, meaning: str, advice: str) -> Code:
    return Code(name=name, meaning=meaning, advice=advice, statuses=(status,))


_PLAIN = (
    _plain(400, "not-http", "What came cannot be read as a request.", "Send HTTP/1.1."),
    _plain(400, "header-repeated", "A header that may come once came twice.", _MEND),
    _plain(
        400, "length-ambiguous", "The body has two lengths: Transfer-Encoding and Content-Length.",
        _MEND,
    ),
    _plain(
        400, "header-invalid", "Authorization or Idempotency-Key is not plain ASCII.", _MEND
    ),
    _plain(400, "path-invalid", "The path has empty, dotted or hidden parts.", _MEND),
    _plain(
        400, "credential-in-url", "A token, or a parameter named like one, is in the address.",
        "Send it in the header only, and make a new token: addresses end up in logs.",
    ),
    _plain(
        400, "idempotency-key-missing",
        "No Idempotency-Key of 1 to 255 characters came with a request to operate a door.",
        "Send a new random one with each new request, and the same one to ask again.",
    ),
    _plain(
        403, "origin-foreign", "A page of another origin is behind the request.",
        "Ask from a program.",
    ),
    _plain(
        403, "caller-unknown", "A name space hides the caller's uid (65534).",
        "Call from outside of it; the agent's unit must have no PrivateUsers=.",
    ),
    _plain(
        404, "not-found", "There is no such path.", "Look at /docs, or at `bleagent openapi`."
    ),
    _plain(
        405, "method-not-allowed", "The path is there and does not have this method.",
        "Use one that Allow names.",
    ),
    _plain(
        408, "too-slow", "Head or body took more than 5 s.", "Send the request at once."
    ),
    _plain(409, "not-parked", "Nothing of this record waits for a decision.",
           "Only what a sink will never take waits for you."),
    _plain(413, "body-too-large", "The body has more than 4096 bytes.", _LESS),
    _plain(
        415, "content-type-unusable", "A body is not said to be JSON.",
        "Send `Content-Type: application/json`, or no body.",
    ),
    _plain(
        421, "host-not-allowed", "Host is none of this agent's names (DNS rebinding).",
        "Ask for localhost, the configured address or a name of the certificate, or add the name "
        "to [http] allowed_hosts.",
    ),
    _plain(
        429, "too-many-requests",
        "Too many wrong tokens or sharing tickets, requests without a token, or doors operated in "
        "a minute.",
        "Wait for as many seconds as Retry-After says.",
    ),
    _plain(431, "head-too-large", "More than 64 headers or 8192 bytes of head.", _LESS),
    _plain(
        501, "cannot-verify", "Nothing here can ask the cloud what it has.",
        "Configure a sink that carries to the vendor's cloud.",
    ),
    _plain(
        504, "verify-too-slow", "The cloud has not told its records in time.",
        "Ask for less time, with since and until.",
    ),
)  # fmt: skip
"""Problems that are answered without an error behind them."""

_ENDINGS = (
    Code(name="ok", meaning="The lock reported carrying out this very command.",
         advice="Nothing."),
    Code(name="lock-result-N", meaning="The lock's own no, and its number as `result`: 1 the "
         "motor tried, 2 to 5 it did not move, 4 another check code.",
         advice="Look at the door where `moved` is `possible`."),
    Code(name="not-understood", meaning="The lock rejected the form of the command.",
         advice="Check the lock's protocol in the configuration."),
    Code(name="check-code-N", meaning="The lock did not take the check code that the cloud "
         "issued; N is its result.", advice="Pair the lock anew, if it stays."),
    Code(name="instruction-rejected-FIELD", meaning="What the cloud sealed was not what was "
         "asked for, in the named field; nothing was sent.", advice="Ask again; report it, if "
         "it stays."),
    Code(name="cancelled", meaning="The caller hung up, or the agent was stopped, before the "
         "command was written (`unreached`), or the agent was while it waited for the lock's "
         "word (`unconfirmed`).", advice="Look at the outcome."),
    Code(name="interrupted-before-sending", meaning="The agent ended before the command was "
         "written, and was started again.", advice="Ask again with a new key."),
    Code(name="interrupted-while-sending", meaning="The agent ended while the command was being "
         "written, and was started again.", advice="Look at the door."),
    Code(name="interrupted-by-power-cut", meaning="The machine ended in the middle, and nobody "
         "knows how much of it reached the disk.", advice="Look at the door."),
    Code(name="internal-error", meaning="A fault of the agent; its log says where.",
         advice="Report it."),
    Code(name="protocol-misuse", meaning="The agent was about to break the lock's protocol, and "
         "did not.", advice="Report it."),
)  # fmt: skip
"""Endings without an error behind them."""


def problem_codes() -> dict[str, Code]:
    """Those of problems, by name, in the order of their statuses."""
    found = {one.name: one for one in _PLAIN}
    for kind, status in _statuses():
        before = found.get(kind.code)
        statuses = {status, *(before.statuses if before else ())}
        told = before or _of_error(kind)
        found[kind.code] = Code(
            name=kind.code, meaning=told.meaning, advice=told.advice,
            statuses=tuple(sorted(statuses)),
        )  # fmt: skip
    return {
        one.name: one for one in sorted(found.values(), key=lambda one: (one.statuses, one.name))
    }


def ending_codes() -> dict[str, Code]:
    """Those of how an operation ended, by name."""
    kinds = [
        *_family(errors.LinkError), *_family(cloud.CloudError), *_family(errors.StoreError),
        errors.TooLate, errors.ScopeMissing, check_code.IssuedConfigUnusable,
        check_code.CheckCodeUnanswered, issued_tokens.Revoked, issued_tokens.Expired,
        issued_tokens.NotNow, issued_tokens.DateUnknown,
    ]  # fmt: skip
    told: dict[str, Code] = {}
    for one in map(_of_error, kinds):  # the first of a code is the one that others refine
        if one.name not in _NO_ENDING:
            told.setdefault(one.name, one)
    return {one.name: one for one in _ENDINGS} | dict(sorted(told.items()))


_NO_ENDING = {
    problem.code
    for problem in (
        errors.AlreadyRunning, errors.StoreTooNew, errors.StoreForeign, errors.OutboxFull,
        errors.RadioStuck, records.RecordsNotKept, errors.AuditGone,
    )
}  # fmt: skip
"""Errors of the same families that no operation meets."""


def _statuses() -> Iterator[tuple[type[errors.AgentError], int]]:
    """Each error that a request can be answered with, and by which status."""
    yield errors.AgentError, 500
    for base in problems.STATUS:
        for kind in _family(base):
            if kind.code not in _UNANSWERED:
                known = next(one for one in kind.__mro__ if one in problems.STATUS)
                yield kind, problems.STATUS[known]
    for kind in _family(auth.Unauthorized):
        yield kind, kind.status


_SAFETY = re.compile(r" \(safety [^)]*\)")
_BASES = {
    errors.AgentError.code: "The agent failed; nothing is said of it here.",
    cloud.CloudError.code: "A call to the cloud failed in a way that has no code of its own.",
}
"""Of errors whose own words are about the tree that they are the root of."""

_UNANSWERED = {
    errors.AlreadyRunning.code, errors.StoreTooNew.code, errors.StoreForeign.code,
    errors.CloudError.code, operations.HangUp.code, errors.AuditGone.code,
}  # fmt: skip
"""Said at the start, or to nobody."""


def _family(base: type[Kind]) -> Iterator[type[Kind]]:
    """The error and those under it which this package defines."""
    if base.__module__.startswith("bleagent.") and ".simulator" not in base.__module__:
        yield base
    for kind in base.__subclasses__():
        yield from _family(kind)


def _of_error(kind: type[errors.AgentError]) -> Code:
    words = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
    meaning = _SAFETY.sub("", " ".join(words.split())).replace("``", "`")
    return Code(name=kind.code, meaning=_BASES.get(kind.code, meaning), advice=kind.advice)


HEAD = """# Codes of the HTTP interface

Made by `bleagent openapi --problems`. A refused request is answered with
`application/problem+json` (RFC 9457): `type` (`/docs#CODE`), `title`, `status`, `code`, `detail`
and `advice`. A code never changes its meaning: go by it, not by the words.

## Why a request was refused
"""
ENDED = """## How an operation ended

The `code` of an operation, beside its `outcome`; where that is `refused`, `by` says by whom. With
`unreached` nothing happened, and a new request may be made with a new key.
"""


def as_markdown() -> str:
    """``docs/problems.md``: a section for each code."""
    refused, ended = _sections(problem_codes().values()), _sections(ending_codes().values())
    return "\n".join([HEAD, *refused, ENDED, *ended]).rstrip() + "\n"


def _sections(codes: Iterable[Code]) -> Iterator[str]:
    for one in codes:
        yield f"### {one.name}"
        yield ""
        status = " or ".join(map(str, one.statuses))
        yield f"{status}: {one.meaning}" if status else one.meaning
        yield ""
        yield f"What to do: {one.advice}"
        yield ""
