"""Values with secrets in them, as the bytes that the vault seals.

JSON, so that old ones stay readable; secrets as hexadecimal, because they need not be text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from bleagent.errors import StoreError
from bleagent.model import CodeAttempt, IssuedConfig, IssuedInstruction, LockFacts
from protocol import LocalProtocolError, LockKeys, Secret

T = TypeVar("T")


def config_to_bytes(config: IssuedConfig) -> Secret:
    """An issued config, to be sealed."""
    return _to_bytes(
        {
            "fetched_at": config.fetched_at,
            "lock_random": _instruction_to_json(config.lock_random),
            "lock_record": _instruction_to_json(config.lock_record),
        }
    )


def config_from_bytes(plain: Secret) -> IssuedConfig:
    """The reverse. Raises StoreError."""

    def read(fields: dict[str, Any]) -> IssuedConfig:
        return IssuedConfig(
            lock_random=_instruction_from_json(fields["lock_random"]),
            lock_record=_instruction_from_json(fields["lock_record"]),
            fetched_at=fields["fetched_at"],
        )

    return _from_bytes(plain, read)


def facts_to_bytes(facts: LockFacts) -> Secret:
    """Device facts, to be sealed."""
    keys = facts.keys
    return _to_bytes(
        {
            "name": facts.name,
            "device_id": facts.device_id,
            "address": facts.address,
            "product_id": facts.product_id,
            "uuid": keys.uuid,
            "virtual_id": keys.virtual_id,
            "local_key": _hex(keys.local_key),
            "sec_key": _hex(keys.sec_key),
            "auth_key": _hex(keys.auth_key),
        }
    )


def facts_from_bytes(plain: Secret) -> LockFacts:
    """The reverse. Raises StoreError."""

    def read(fields: dict[str, Any]) -> LockFacts:
        return LockFacts(
            name=fields["name"],
            device_id=fields["device_id"],
            address=fields["address"],
            product_id=fields["product_id"],
            keys=LockKeys(
                uuid=fields["uuid"],
                virtual_id=fields["virtual_id"],
                local_key=_secret(fields["local_key"]),
                sec_key=_secret(fields["sec_key"]),
                auth_key=_secret(fields["auth_key"]),
            ),
        )

    return _from_bytes(plain, read)


def _instruction_to_json(issued: IssuedInstruction | None) -> dict[str, Any] | None:
    if issued is None:
        return None
    return {
        "dp_id": issued.dp_id,
        "distribute": issued.distribute,
        "ins": _hex(issued.ins),
        "wake_up_ins": _hex(issued.wake_up_ins),
        "peripheral": issued.peripheral,
    }


def _instruction_from_json(fields: dict[str, Any] | None) -> IssuedInstruction | None:
    if fields is None:
        return None
    return IssuedInstruction(
        dp_id=fields["dp_id"],
        distribute=fields["distribute"],
        ins=_secret(fields["ins"]),
        wake_up_ins=_secret(fields["wake_up_ins"]),
        peripheral=fields["peripheral"],
    )


def attempt_to_bytes(attempt: CodeAttempt) -> Secret:
    """A check code on its way, as it is sealed."""
    return _to_bytes({"old": _hex(attempt.old), "new": _hex(attempt.new)})


def attempt_from_bytes(plain: Secret) -> CodeAttempt:
    """The reverse. Raises StoreError."""

    def read(fields: dict[str, Any]) -> CodeAttempt:
        return CodeAttempt(old=_secret(fields["old"]), new=Secret(bytes.fromhex(fields["new"])))

    return _from_bytes(plain, read)


def _hex(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal().hex()


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(bytes.fromhex(text))


def _to_bytes(fields: dict[str, Any]) -> Secret:
    return Secret(json.dumps(fields))


def _from_bytes(plain: Secret, read: Callable[[dict[str, Any]], T]) -> T:
    try:
        return read(json.loads(plain.reveal()))
    except (ValueError, KeyError, TypeError, LocalProtocolError) as error:
        # Its text could show what was sealed.
        raise StoreError(f"a sealed value has another form ({type(error).__name__})") from None
