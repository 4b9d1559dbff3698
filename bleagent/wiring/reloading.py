"""The composition root's part for SIGHUP: the configuration, its token and certificate read again.

All or nothing: a file that cannot be used is refused, and so is one with any change that needs a
restart (``config.changes``); the configuration of before stays in force. An operation that has
begun goes on by the policy that it began with, and whoever asked for it is looked at once more
before the last fragment, as always.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
import structlog

from bleagent import logs
from bleagent.adapters.systemd import SystemdManager
from bleagent.audit.chain import Audit
from bleagent.config.changes import Change, Takes, changes
from bleagent.config.file import Config, load_config
from bleagent.config.secrets import credentials_directory, load_http_token
from bleagent.doors import Door
from bleagent.errors import AgentError, RestartNeeded
from bleagent.health.watchdog import Watchdog
from bleagent.health.watches import ConfigWatch
from bleagent.http.auth import Tokens
from bleagent.http.callers import Users
from bleagent.http.tls import Tls
from bleagent.policy import Policy

from .entrance import read_identity, reload_tls, users_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file that can come into force as it is."""

    config: Config
    changed: list[Change]
    users: Users
    policies: Mapping[str, Policy]


@dataclass(slots=True, kw_only=True)
class Reloading:
    """The configuration in force, and how another one comes into force while doors open.

    ``doors`` get new policies, and ``follow`` is called with them; ``watch`` is told how it went.
    """

    path: Path
    config: Config
    tokens: Tokens
    users: Users
    tls: Tls | None
    doors: dict[str, Door]
    follow: Callable[[str, Policy], None]
    watch: ConfigWatch
    audit: Audit

    def allowed_hosts(self) -> tuple[str, ...]:
        """Under which other names we may be asked for, as it is now."""
        return self.config.http.allowed_hosts

    async def run(self, watchdog: Watchdog) -> None:
        """At each SIGHUP, until cancelled; the service manager is told when it is over."""
        manager = SystemdManager()
        with anyio.open_signal_receiver(signal.SIGHUP) as signals:
            async for _ in signals:
                if watchdog.ready:
                    manager.reloading()
                await self.once()
                if watchdog.ready:
                    manager.notify(f"READY=1\nSTATUS={watchdog.status}")

    async def once(self) -> None:
        """Read everything again. Token and certificate also where the file is refused."""
        await self._read_config()
        self._read_token()
        if self.tls is not None:
            await reload_tls(self.config, self.tls)

    async def _read_config(self) -> None:
        """In a thread: of a file with many locks the loop would be late, and so would a door."""
        try:
            self._apply(await anyio.to_thread.run_sync(self._read))
        except AgentError as error:
            self._refused(error)
            log.warning("config.not_read", detail=str(error), code=error.code, advice=error.advice)
        except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
            self._refused(AgentError(f"a fault of the agent ({type(error).__name__})"))
            log.error("config.fault", **logs.fault(error))  # noqa: TRY400 - without its message

    def _read(self) -> _Read:
        """Raises ConfigError, RestartNeeded, SecretError, CertificateError."""
        config = load_config(self.path)
        changed = changes(self.config, config)
        stuck = [str(one) for one in changed if one.takes is Takes.RESTART]
        if stuck:
            raise RestartNeeded(f"{self.path}: needs a restart: {', '.join(stuck)}")
        if config.http.token != self.config.http.token:
            load_http_token(config, credentials_directory())
        if config.http.tls != self.config.http.tls:
            read_identity(config)
        policies = {lock.name: lock.policy() for lock in config.locks}
        return _Read(config=config, changed=changed, users=users_of(config), policies=policies)

    def _apply(self, read: _Read) -> None:
        """Without waiting for anything: nobody meets one half of it."""
        for name, policy in read.policies.items():
            if policy != self.doors[name].policy:
                self.doors[name] = replace(self.doors[name], policy=policy)
                self.follow(name, policy)
        self.users.replace(read.users)
        self.config = read.config
        self.watch.read()
        changed = [str(one) for one in read.changed]
        log.info("config.read", changed=changed)
        if changed:
            self.audit.tell("config.read", config=read.config.digest, changed=changed)

    def _refused(self, error: AgentError) -> None:
        self.watch.refused(error)
        self.audit.tell("config.not_read", code=error.code)

    def _read_token(self) -> None:
        """Of the old one nothing more is written."""
        try:
            token = load_http_token(self.config, credentials_directory())
        except AgentError as error:
            log.warning("token.not_read", detail=str(error), advice=error.advice)
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
            log.error("token.fault", **logs.fault(error))  # noqa: TRY400 - without its message
            return
        replaced = self.tokens.replace(token)
        log.info("token.read", replaced=replaced)
        self.audit.tell("token.read", replaced=replaced)
