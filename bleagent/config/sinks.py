"""Sections about records: how many may wait, and where they are carried to."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Section, mismatch
from .secret_source import SecretSource, absolute
from .web import require_sealed, web_url

MOST_PORT = 65535
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SinkType(StrEnum):
    """What kind of place records are carried to."""

    OPENAPI = "openapi"  # the vendor's cloud: third-cloud property report
    TUYALINK = "tuyalink"  # the vendor's cloud over MQTT, as a gateway for its sub-devices
    WEBHOOK = "webhook"  # a signed request to an address of the operator's
    FILE = "file"  # JSON lines on this machine


_NEEDED: Mapping[SinkType, tuple[str, ...]] = {
    SinkType.OPENAPI: (),
    SinkType.TUYALINK: ("broker", "gateway_id", "secret"),
    SinkType.WEBHOOK: ("url", "secret"),
    SinkType.FILE: ("path",),
}
_ALLOWED: Mapping[SinkType, tuple[str, ...]] = {
    SinkType.OPENAPI: (),
    SinkType.TUYALINK: ("tls", "ca_file"),
    SinkType.WEBHOOK: ("allow_private",),
    SinkType.FILE: ("max_bytes", "keep"),
}


def _broker(broker: str) -> str:
    if not 1 <= int(broker.rpartition(":")[2]) <= MOST_PORT:
        raise ValueError
    return broker


class RecordsConfig(Section):
    """How records are kept."""

    capacity: int = Field(
        default=100_000, ge=1000, le=10_000_000, description="records, from 1000 to 10000000"
    )
    keep_days: int = Field(default=400, ge=1, le=36_500, description="days from 1 to 36500")
    hold_minutes: int = Field(default=60, ge=1, le=60, description="minutes from 1 to 60")


class SinkConfig(Section):
    """One place that records are carried to; which keys it has depends on ``type``."""

    type: SinkType = Field(description=", ".join(SinkType))
    name: str | None = Field(
        default=None, pattern=r"^[a-z0-9-]{1,32}$", description="1 to 32 of a-z, 0-9 and -"
    )
    broker: Annotated[str, AfterValidator(_broker)] | None = Field(
        default=None, pattern=r"^[^:/ ]+:[0-9]{1,5}$", description="host:port of the broker"
    )
    gateway_id: str | None = Field(
        default=None, pattern=r"^[!-~]{1,64}$", description="the gateway's device id"
    )
    secret: SecretSource | None = Field(
        default=None, description='{ credential = "NAME" } or { file = "PATH" }'
    )
    tls: bool = Field(default=True, description="true, or false for a broker on loopback")
    ca_file: Annotated[Path, AfterValidator(absolute)] | None = Field(
        default=None, description="the absolute path of a file of certificates"
    )
    url: Annotated[str, AfterValidator(web_url)] | None = Field(
        default=None, description="an https:// address without user or fragment"
    )
    allow_private: bool = Field(
        default=False, description="true or false: addresses of the home network, and http://"
    )
    path: Annotated[Path, AfterValidator(absolute)] | None = Field(
        default=None, description="the absolute path of a file"
    )
    max_bytes: int = Field(default=10_000_000, ge=10_000, description="bytes, 10000 or more")
    keep: int = Field(default=5, ge=1, le=1000, description="files from 1 to 1000")

    @property
    def named(self) -> str:
        """Its name, by default its type."""
        return self.name or self.type.value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key in _NEEDED[self.type]:
            if getattr(self, key) is None:
                raise mismatch(f"{self.type} without {key}", f"{key} with it")
        known = {"type", "name", *_NEEDED[self.type], *_ALLOWED[self.type]}
        for key in sorted(self.model_fields_set - known):
            keys = ", ".join(sorted(known - {"type"}))
            raise mismatch(f"{key} with type {self.type}", f"only {keys} with it")
        if self.url is not None:
            require_sealed(self.url, allow_private=self.allow_private)
        if not self.tls and self.broker_at[0] not in _LOOPBACK:
            raise mismatch("tls = false with a broker elsewhere", "TLS, but for loopback")
        return self

    @property
    def broker_at(self) -> tuple[str, int]:
        """Host and port of the broker."""
        host, _, port = (self.broker or ":0").rpartition(":")
        return host, int(port)


def check_sinks(sinks: tuple[SinkConfig, ...]) -> None:
    """Whether the outbox can tell them apart, and none writes into another's file.

    Raises:
        PydanticCustomError: two of one name, or with one path.
    """
    names = [sink.named for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            raise mismatch(f'two sinks with name "{name}"', "different ones")
    paths = [sink.path for sink in sinks if sink.path is not None]
    for path in paths:
        if paths.count(path) > 1:
            raise mismatch(f'two sinks with path "{path}"', "different ones")
