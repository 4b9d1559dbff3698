"""What an operator does to the state directory while the agent is stopped."""

from __future__ import annotations

import secrets
from pathlib import Path

from .adapters.sqlite_store import SqliteStore, StateDirectory
from .config import load_config
from .config.secrets import credentials_directory, load_vault_keys
from .errors import UnknownLock


async def forget(path: Path, lock: str) -> bool:
    """Let a lock be proven anew, after it was updated, replaced or bound again (safety H1).

    The state directory is held meanwhile: with the agent running this ends in AlreadyRunning,
    which names it. Returns whether anything was remembered.

    Raises:
        UnknownLock: the configuration has no such lock.
        AgentError: configuration or store cannot be used.
    """
    config = load_config(path)
    if config.lock(lock) is None:
        known = ", ".join(one.name for one in config.locks)
        raise UnknownLock(f"no lock {lock!r} in {path}; there are: {known}")
    with StateDirectory(config.state_dir) as directory:
        keys = load_vault_keys(
            config, credentials_directory(), new_nonce=lambda: secrets.token_bytes(12)
        )
        with SqliteStore(directory, keys) as store:
            return await store.memory.forget_proven(lock)
