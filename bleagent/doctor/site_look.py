"""This agent on this machine, for ``bleagent doctor --config``. Nothing is changed by a look."""

from __future__ import annotations

import grp
import os
import stat
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.adapters.sqlite_store.files import free_bytes
from bleagent.adapters.sqlite_store.looking import sealed_now
from bleagent.clock import SystemClock
from bleagent.cloud.client import CloudClient
from bleagent.commands.daemon_client import DaemonClient, find_daemon
from bleagent.commands.scan import known_locks
from bleagent.config import Config, load_config
from bleagent.config.secrets import (
    DEFAULT_KEY,
    cloud_settings,
    load_cloud_secret,
    load_tls_key,
    load_vault_keys,
    service_credentials,
)
from bleagent.config.shown import secret_places
from bleagent.errors import AgentError, ConfigError, LinkError, SecretError
from bleagent.model import Sighting
from bleagent.radio.nearby import nearby
from bleagent.radio.sightings import Sightings
from bleagent.wiring.entrance import tls_of
from protocol import Secret

from .site import CloudSaid, Daemon, Site, SocketFile, State


class NotAllowed(SecretError):
    """It is somebody else's."""

    advice = "Run this as the daemon's user: cd / && runuser -u bleagent -- bleagent doctor ..."


LISTEN = 8.0
"""Seconds for locks to be heard; they advertise about once a second."""
ASK = 20.0
"""Seconds for all that the cloud is asked."""
SERVICE_SOCKET = Path("/run/bleagent/http.sock")


async def look(path: Path) -> Site:
    """What there is; bounded, raises nothing on account of what it finds."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return Site(path=str(path), fault=error)
    credentials = service_credentials()
    daemon, locks = _daemon(path)
    socket = _socket(config)
    running = daemon.unasked is None
    handed = _handed(config, credentials)
    return Site(
        path=str(path),
        handed=handed,
        virtual=config.radio.socket,
        strangers=tuple(one.unknown for one in config.http.users if one.unknown is not None),
        locks=tuple(one.name for one in config.locks),
        secrets=_secrets(config, credentials),
        certificate=_certificate(config, credentials),
        state=_state(config.state_dir),
        vault="the daemon has opened the store" if running else _vault(config, credentials),
        daemon=daemon,
        socket=socket,
        group=config.http.socket_group or ("bleagent" if _is_service(socket) else None),
        heard=locks if running else await _listen(config, path),
        cloud=await _cloud(config, credentials),
    )


def _handed(config: Config, credentials: Path | None) -> tuple[str, ...]:
    if credentials is not None:
        return ()
    return tuple(name for name, one in secret_places(config) if one.credential is not None)


def _secrets(config: Config, credentials: Path | None) -> dict[str, AgentError | None]:
    found: dict[str, AgentError | None] = {}
    for name, source in secret_places(config):
        if source.credential is not None and credentials is None:
            continue
        try:
            source.read(credentials)
            found[name] = None
        except SecretError as error:
            found[name] = error
    return found


def _certificate(config: Config, credentials: Path | None) -> float | AgentError | None:
    try:
        tls = tls_of(config, load_tls_key(config, credentials))
    except SecretError:
        return None  # told with the secrets
    except AgentError as error:
        return error
    return None if tls is None else tls.identity.expires - time.time()


def _state(path: Path) -> State:
    there = os.access(path, os.F_OK)
    moved: tuple[str, ...] = ()
    try:
        free = free_bytes(path if there else path.parent)
        if there:
            moved = tuple(sorted(str(one) for one in path.glob("*.damaged-*")))
    except OSError:
        free = None
    writable = there and os.access(path, os.W_OK | os.X_OK)
    return State(path=str(path), there=there, writable=writable, free=free, moved=moved)


def _vault(config: Config, credentials: Path | None) -> AgentError | str | None:
    """Opens everything that a start has to open, and writes nothing: no key is made."""
    looking = config.vault.model_copy(update={"create": False})
    source = config.vault.key
    if source is not None and source.credential is not None and credentials is None:
        return None
    path = config.state_dir / DEFAULT_KEY if source is None else source.file
    try:
        missing = config.vault.create and path is not None and not path.exists()
    except PermissionError:
        return NotAllowed(f"{path} cannot be looked at by this user")
    try:
        sealed = sealed_now(config.state_dir)
        if missing and not sealed:
            return "there is none yet, and nothing sealed: the first start makes it"
        keys = load_vault_keys(
            config.model_copy(update={"vault": looking}), credentials, new_nonce=lambda: bytes(12)
        )
        keys.vault(sealed)
    except PermissionError:
        return NotAllowed(f"{config.state_dir} cannot be looked at by this user")
    except AgentError as error:
        return error
    return f"opens the {len(sealed)} values that are sealed in the store"


def _daemon(path: Path) -> tuple[Daemon, Mapping[str, str] | None]:
    """And the locks that it hears, in words; ``None`` where it does not listen itself."""
    try:
        with DaemonClient(find_daemon(path, None, None)) as client:
            ready, locks = client.readiness(), client.locks()["locks"]
    except AgentError as error:
        return Daemon(unasked=error), None
    parts = ready.get("parts") or {}
    shut = tuple(name for name, part in parts.items() if part.get("keeps_doors_shut"))
    heard = {
        str(one["name"]): "connected" if one.get("connected") else _by_ear(one.get("radio") or {})
        for one in locks
        if one.get("reachable")
    }
    listens = any(one.get("reachable") is not None for one in locks)
    return Daemon(ready=ready["ready"] is True, shut_by=shut), heard if listens else None


def rehearse(path: Path, lock: str) -> Mapping[str, object] | AgentError:
    """All of an opening up to the write, by the running daemon; or why not."""
    try:
        with DaemonClient(find_daemon(path, None, None)) as client:
            return client.rehearse(lock)
    except AgentError as error:
        return error


def _by_ear(radio: Mapping[str, object]) -> str:
    return f"{radio.get('rssi')} dBm by {radio.get('adapter') or 'the daemon'}"


def _is_service(socket: SocketFile | None) -> bool:
    return socket is not None and socket.path == str(SERVICE_SOCKET)


def _socket(config: Config) -> SocketFile | None:
    path = config.http.socket or (
        SERVICE_SOCKET if os.access(SERVICE_SOCKET, os.F_OK) else config.http_socket
    )
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return SocketFile(path=str(path), group=group, mode=stat.S_IMODE(found.st_mode))


async def _listen(config: Config, path: Path) -> dict[str, str] | None:
    """By this machine's own ear, for a while; ``None`` where there is none, which is told."""
    if config.radio.socket is not None:
        return None
    from bleagent.adapters.bluez import BluezBluetooth  # noqa: PLC0415 - the Bluetooth stack, only here
    from bleagent.adapters.bluez.scan import Mode  # noqa: PLC0415

    sightings, clock = Sightings(known_locks(path)), SystemClock()

    def hear(seen: Sighting) -> None:
        sightings.hear(seen)

    try:
        async with BluezBluetooth(clock, mode=Mode.ACTIVE) as bluetooth, AsyncExitStack() as scans:
            names = [one.name for one in await bluetooth.adapters() if one.powered]
            for name in names:
                await scans.enter_async_context(bluetooth.scan(name, hear))
            if not names:
                return None
            await anyio.sleep(LISTEN)
            found = nearby(sightings, clock.now())
    except LinkError:
        return None
    return {lock: f"{one.rssi} dBm by {one.adapter}" for one in found for lock in one.known_as}


async def _cloud(config: Config, credentials: Path | None) -> CloudSaid | None:
    host = urlsplit(config.cloud.base_url).hostname or ""
    try:
        settings = cloud_settings(config, load_cloud_secret(config, credentials))
    except SecretError:
        return None  # told with the secrets
    clock = SystemClock()
    async with HttpxTransport() as http:
        client = CloudClient(settings, http, clock)
        deadline = clock.now() + ASK
        try:
            skew = await client.unix_time(deadline=deadline) - time.time()
        except AgentError as error:
            return CloudSaid(host=host, url=config.cloud.base_url, fault=error)
        try:
            ids = [one.device_id for one in config.locks]
            facts = {one.device_id: one for one in await client.lock_facts(ids, deadline=deadline)}
        except AgentError as error:
            return CloudSaid(host=host, skew=skew, devices_fault=error)
    known = {
        one.name: _same(facts[one.device_id].local_key, _local_key(config, one.name, credentials))
        for one in config.locks
        if one.device_id in facts
    }
    return CloudSaid(host=host, skew=skew, known=known)


def _local_key(config: Config, lock: str, credentials: Path | None) -> Secret | None:
    found = config.lock(lock)
    try:
        return None if found is None else found.local_key.read(credentials)
    except SecretError:
        return None


def _same(theirs: Secret | None, ours: Secret | None) -> bool | None:
    if theirs is None or ours is None:
        return None
    return theirs.reveal().strip() == ours.reveal().strip()
