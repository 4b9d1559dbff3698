"""The composition root: builds the parts, wires them, runs them until told to stop."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import structlog
from anyio.abc import TaskGroup

from . import logs
from .adapters.httpx_transport import HttpxTransport
from .adapters.socket_radio import SocketRadio
from .adapters.sqlite_store import SqliteStore, StateDirectory
from .adapters.systemd import SystemdManager
from .audit.writer import AuditWriter
from .authority.issued_tokens import IssuedTokens
from .authority.sharing import Sharings
from .clock import SystemClock
from .cloud.client import CloudClient
from .config.file import Config, load_config
from .config.secrets import (
    Secrets,
    cloud_settings,
    credentials_directory,
    load_secrets,
    load_vault_keys,
)
from .doors import Door, Doors
from .errors import AgentError, CloudError, VaultKeyMissing
from .health.stall import StallWatch
from .held_memory import HeldMemory
from .http.app import HttpParts, guarded
from .http.auth import Tokens
from .http.callers import Callers
from .http.listeners import ListenSettings, handed_over, listening
from .http.server import Server, make_server
from .http.tokens import TokenParts
from .model import LockFacts, Step
from .operation_log import OperationLog
from .policy import Listening
from .ports import Bluetooth, LockRadio
from .radio.bluetooth_radio import BluetoothRadio
from .radio.settings import Listeners, RadioSettings
from .retention import forget_operations, keep_room
from .session import LinkPorts
from .supervisor import Supervisor
from .unlock import Ports
from .wiring.carrying import Carrying
from .wiring.entrance import tls_of, users_of, watch_end
from .wiring.pushing import Pushing
from .wiring.reloading import Reloading
from .wiring.syncing import Syncing, has_desks
from .wiring.watching import Watching

log = structlog.get_logger()

TRUST_INTERVAL = 600.0
"""Seconds between looks at the cloud's clock."""
TRUST_RETRY = 5.0
"""Seconds before the next look while the clock is not trusted."""
OPENING = 600.0
"""Seconds that opening the store may take, brought to a newer form or after a cut of the power."""
STOP_GRACE = 30.0
"""Seconds for running operations when told to stop."""


async def run(path: Path, *, on_ready: Callable[[int], None] = lambda _: None) -> None:
    """Run the daemon with a configuration file; ``on_ready`` is told the port.

    Raises:
        AgentError: it cannot start; says what is wrong and what to do.
    """
    config = load_config(path)
    credentials = credentials_directory()
    found = load_secrets(config, credentials)
    with StateDirectory(config.state_dir) as directory:
        keys = load_vault_keys(config, credentials, new_nonce=_nonce)
        sinks = tuple(sink.named for sink in config.sinks)
        capacity = config.records.capacity
        SystemdManager().notify(
            f"STATUS=opening the store\nEXTEND_TIMEOUT_USEC={OPENING * 1e6:.0f}"
        )
        with SqliteStore(
            directory, keys, sinks=sinks, capacity=capacity,
            subscriptions=tuple(config.webhooks), passwords=has_desks(config),
        ) as store:  # fmt: skip
            for damage in store.damage:
                log.error("store.damaged", detail=str(damage), advice=damage.advice)
            if (wrong := store.without_records) is not None:
                log.error(
                    "store.without_records", code=wrong.code, detail=str(wrong), advice=wrong.advice
                )
            await _serve(path, config, found, store, on_ready)


async def _serve(
    path: Path,
    config: Config,
    found: Secrets,
    store: SqliteStore,
    on_ready: Callable[[int], None],
) -> None:
    clock = SystemClock(highest_trusted=await store.highest_trusted())
    tls = tls_of(config, found.tls_key)
    watching = Watching(config, store, clock)
    audit, bell = watching.audit, watching.bell
    for record in await store.ledger.recover(unix=clock.unix()):
        watching.recovered(record)
    doors = {lock.name: Door(found.locks[lock.name], lock.policy()) for lock in config.locks}
    async with (
        HttpxTransport() as transport,
        _bluetooth(config, clock) as bluetooth,
        anyio.create_task_group() as tasks,
    ):
        settings = cloud_settings(config, found.cloud_secret)
        cloud = CloudClient(settings, transport, clock, on_event=watching.called)
        memory = HeldMemory(store.memory)
        carrying = Carrying(config, found, store, cloud, clock, watching.records, audit, bell.ring)
        records = carrying.ports(memory, tasks)
        syncing = Syncing(config, found.locks, store, cloud, clock, tasks, audit)

        def links_over(radio: LockRadio) -> LinkPorts:
            return LinkPorts(
                radio=radio, memory=memory, clock=clock, new_iv=_iv, records=records,
                passwords=syncing.desk, upkeep=syncing.upkeep, heard=watching.heard,
            )  # fmt: skip

        supervisor, radio = await _reach(
            config, doors, bluetooth, store, links_over, clock, tasks, watching.log
        )
        ports = Ports(cloud=cloud, ledger=store.ledger, memory=memory, clock=clock)
        issued = IssuedTokens(store.tokens, clock, secrets.token_bytes)
        await issued.load()
        tokens, stall = Tokens(found.http_token, issued), StallWatch(clock)
        users = users_of(config)
        sharings = Sharings(doors, cloud, clock, Callers(tokens, users).require_good)
        allowed = sharings.require_good
        operations = Doors(doors, ports, supervisor, tasks, watching.doors, allowed=allowed)
        reloading = Reloading(
            path=path, config=config, tokens=tokens, users=users, tls=tls, doors=doors,
            follow=supervisor.follow, watch=watching.config, audit=audit,
        )  # fmt: skip
        pushing = Pushing(config, found, store, clock, bell)
        metrics = watching.shown(operations, cloud, radio, pushing.states)
        watchdog = watching.watchdog(metrics.readiness)
        offline = watching.offline(doors.values(), memory)

        def ready(port: int) -> None:
            watchdog.listens()
            on_ready(port)

        parts = HttpParts(
            doors=operations,
            ledger=store.ledger,
            clock=clock,
            tokens=tokens,
            users=users,
            tls=tls,
            new_id=lambda: secrets.token_hex(12),
            stalled=stall.stalled,
            readiness=metrics.readiness.parts,
            air=metrics.air,
            states=watching.states,
            syncs=syncing.states,
            upkeeps=syncing.upkeeps,
            offline=lambda: offline.current or {},
            records=carrying.shown(),
            issued=TokenParts(issued=issued, clock=clock, locks=doors, audit=audit),
            metrics=metrics,
            audit=audit,
            events=watching.events(),
            sharings=sharings,
        )
        for job in (
            audit.run, stall.run, metrics.readiness.run, watchdog.run, offline.run, carrying.run,
            pushing.run, partial(keep_room, store.reserve),
        ):  # fmt: skip
            tasks.start_soon(job)
        tasks.start_soon(_keep_time, config, cloud, clock, store, supervisor.time_known)
        tasks.start_soon(syncing.run, supervisor.called, watching.log.lock_failed)
        tasks.start_soon(forget_operations, store.ledger, clock, operations.settled)
        tasks.start_soon(reloading.run, watchdog)
        tasks.start_soon(_log_more_on_signal)
        if tls is not None:
            tasks.start_soon(watch_end, tls, clock)
        supervisor.start()
        if store.without_records is None:
            tasks.start_soon(_seal_anew, store, audit)
        await _listen(config, parts, reloading.allowed_hosts, ready, bell.close)
        supervisor.stop()
        with anyio.move_on_after(STOP_GRACE):
            await operations.settled()
            await supervisor.left()
        await audit.stop()
        tasks.cancel_scope.cancel()


async def _reach(
    config: Config,
    doors: dict[str, Door],
    bluetooth: Bluetooth | None,
    store: SqliteStore,
    links_over: Callable[[LockRadio], LinkPorts],
    clock: SystemClock,
    tasks: TaskGroup,
    told: OperationLog,
) -> tuple[Supervisor, BluetoothRadio | SocketRadio]:
    """Who connects to the locks, and by what."""

    def keep_address(lock: str, address: str) -> None:
        tasks.start_soon(_keep_address, store, lock, address)

    def reached(lock: str, step: Step) -> None:
        supervisor.reached(lock, step)

    listeners = Listeners(
        wants_connection=lambda lock, _: supervisor.called(lock),
        proved=keep_address,
        full=lambda _, holding: supervisor.make_room(holding),
        reached=reached,
    )
    facts = [door.facts for door in doors.values()]
    radio = await _radio(config, bluetooth, clock, facts, store, listeners)
    links = links_over(radio)
    if isinstance(radio, BluetoothRadio):
        links = replace(
            links, judge=radio, trouble=radio.trouble, idle=radio.idle, wanted=radio.wanted
        )
        tasks.start_soon(radio.run)
    owned = {name: (door.facts, door.policy) for name, door in doors.items()}
    supervisor = Supervisor(owned, links, tasks, told.lock_failed)
    return supervisor, radio


async def _listen(
    config: Config,
    parts: HttpParts,
    allowed_hosts: Callable[[], Iterable[str]],
    on_ready: Callable[[int], None],
    on_stop: Callable[[], None],
) -> None:
    """Serve requests until told to stop. Raises ListenError."""
    http = config.http
    settings = ListenSettings(
        host=http.host if http.over_tcp else None, port=http.port, path=config.http_socket,
        group=http.socket_group, inherited=handed_over(os.environ, os.getpid()),
        secured=parts.tls is not None,
    )  # fmt: skip
    with listening(settings) as listeners:

        def ready() -> None:
            log.info("agent.ready", port=listeners.port, socket=str(config.http_socket or ""))
            on_ready(listeners.port)

        app = guarded(parts, listeners.names, allowed_hosts)
        server = make_server(app, ready, stop_within=STOP_GRACE, on_stop=on_stop, tls=parts.tls)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, server)
            await server.serve(sockets=listeners.sockets)
            tasks.cancel_scope.cancel()


async def _stop_on_signal(server: Server) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for received in signals:
            log.info("agent.stopping", signal=received.name)
            SystemdManager().notify("STOPPING=1")
            server.should_exit = True


async def _log_more_on_signal() -> None:
    """SIGUSR1: everything is logged, and from the next one on what was asked for at the start."""
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        async for _ in signals:
            logs.toggle_debug()


async def _keep_address(store: SqliteStore, lock: str, address: str) -> None:
    try:
        await store.memory.keep_address(lock, address)
    except AgentError as error:
        log.warning("address.not_kept", lock=lock, code=error.code)


async def _keep_time(
    config: Config,
    cloud: CloudClient,
    clock: SystemClock,
    store: SqliteStore,
    known: Callable[[], None],
) -> None:
    """Ask the cloud for the time until the clock is trusted, then now and then."""
    verified = config.cloud.base_url.startswith("https://") or _is_loopback(config.cloud.base_url)
    while True:
        try:
            unix, known_before = await cloud.unix_time(), clock.trusted
            if clock.trust(unix, verified=verified) and not known_before:
                known()
            await store.raise_highest_trusted(clock.highest_trusted)
        except AgentError as error:
            if isinstance(error, CloudError):
                host = urlsplit(config.cloud.base_url).hostname
                log.warning(
                    "cloud.unreachable", code=error.code, host=host, detail=str(error),
                    advice=error.advice,
                )  # fmt: skip
            else:
                log.warning("time.not_kept", code=error.code)
        except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
            log.error("time.fault", **logs.fault(error))  # noqa: TRY400 - without its message
        await anyio.sleep(TRUST_INTERVAL if clock.trusted else TRUST_RETRY)


async def _seal_anew(store: SqliteStore, audit: AuditWriter) -> None:
    """What grows and was sealed with an older vault key: beside everything else."""
    try:
        sealed = store.sealed_anew + await store.seal_reports_anew()
        if sealed:
            audit.tell("vault.sealed_anew", values=sealed, previous_needed=store.unopened > 0)
            log.info("vault.sealed_anew", values=sealed, previous_needed=store.unopened > 0)
        if store.unopened:
            log.error("vault.unopened", reports=store.unopened, advice=VaultKeyMissing.advice)
    except AgentError as error:
        log.warning("vault.not_sealed_anew", code=error.code, detail=str(error))


def _is_loopback(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:"))


@asynccontextmanager
async def _bluetooth(config: Config, clock: SystemClock) -> AsyncIterator[Bluetooth | None]:
    """This machine's Bluetooth, unless a virtual lock stands in for it."""
    if config.radio.socket is not None:
        yield None
        return
    # Only here: a rehearsal needs no Bluetooth stack, and loading it costs a tenth of a second.
    from .adapters.bluez import BluezBluetooth  # noqa: PLC0415
    from .adapters.bluez.scan import Mode  # noqa: PLC0415

    active = config.radio.scan is Listening.ACTIVE
    mode = Mode.ACTIVE if active else Mode.PASSIVE_FIRST
    async with BluezBluetooth(clock, mode=mode) as bluetooth:
        yield bluetooth


async def _radio(
    config: Config,
    bluetooth: Bluetooth | None,
    clock: SystemClock,
    facts: list[LockFacts],
    store: SqliteStore,
    listeners: Listeners,
) -> BluetoothRadio | SocketRadio:
    """How locks are reached: by Bluetooth, or a virtual one over a socket."""
    if bluetooth is None:
        host, _, port = str(config.radio.socket).partition(":")
        return SocketRadio(host, int(port))
    settings = RadioSettings(
        adapters=config.radio.adapters,
        slots=config.radio.slots,
        pins={one.name: one.adapter for one in config.locks if one.adapter is not None},
        addresses=await store.memory.addresses(),
    )
    return BluetoothRadio(
        bluetooth, clock, facts, settings, manager=SystemdManager(), listeners=listeners
    )


def _iv() -> bytes:
    return secrets.token_bytes(16)


def _nonce() -> bytes:
    return secrets.token_bytes(12)
