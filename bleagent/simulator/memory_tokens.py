"""Tokens in memory, for tests and rehearsals. Implements ``ports.TokenBook``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import anyio.lowlevel

from bleagent.authority.tokens import PREFIX, StoredToken
from bleagent.errors import StoreError


@dataclass(slots=True)
class MemoryTokens:
    """``fails``: the disk takes nothing."""

    kept: dict[str, StoredToken] = field(default_factory=dict)
    fails: bool = False
    uses: dict[str, str] = field(default_factory=dict)
    """Operation and principal; shared with ``MemoryLedger``: one commit changes them."""

    async def tokens(self) -> list[StoredToken]:
        """All of them, oldest first."""
        await self._disk()
        return sorted(self.kept.values(), key=lambda one: (one.created, one.id))

    async def add(self, token: StoredToken) -> None:
        """Store a new one."""
        await self._disk()
        if token.id in self.kept:
            raise StoreError("the id is taken")
        self.kept[token.id] = token

    async def revoke(self, token_id: str, *, unix: float) -> StoredToken | None:
        """From now on it is good for nothing."""
        await self._disk()
        found = self.kept.get(token_id)
        if found is not None and found.revoked is None:
            found = self.kept[token_id] = replace(found, revoked=unix)
        return found

    async def remove(self, token_id: str) -> None:
        """Forget one."""
        await self._disk()
        self.kept.pop(token_id, None)
        for operation in [one for one, of in self.uses.items() if of == PREFIX + token_id]:
            del self.uses[operation]

    async def used(self) -> dict[str, int]:
        """As the ledger's list has it."""
        await self._disk()
        return dict(Counter(one.removeprefix(PREFIX) for one in self.uses.values()))

    async def _disk(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.fails:
            raise StoreError("the commit failed")
