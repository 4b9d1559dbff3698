"""What an operator does with the audit: draw its root key, look at it, verify it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bleagent.adapters.sqlite_store import AuditFile, SqliteStore, StateDirectory
from bleagent.config import load_config
from bleagent.config.secrets import credentials_directory, load_vault_keys

from .chain import Root

NAME = "audit.db"


def draw_root(path: Path, *, at: float) -> Root:
    """Let a new root key hold from the next row on, with the agent stopped; it is kept nowhere.

    ``at``: Unix seconds.

    Raises:
        AlreadyRunning: the agent runs; it is named.
        AgentError: configuration or store cannot be used.
    """
    config = load_config(path)
    with StateDirectory(config.state_dir) as directory:
        keys = load_vault_keys(
            config, credentials_directory(), new_nonce=lambda: secrets.token_bytes(12)
        )
        with SqliteStore(directory, keys) as store:
            return store.audit.root(at)


@contextmanager
def opened(config: Path | None, file: Path | None) -> Iterator[AuditFile]:
    """The audit of a configuration, or a copy of one, as it is now. Raises AgentError."""
    path = load_config(config).state_dir / NAME if config is not None else file or Path(NAME)
    audit = AuditFile(path)
    try:
        yield audit
    finally:
        audit.close()
