"""The lock application 3.3 as the virtual lock runs it (reference: protocol §6)."""

from __future__ import annotations

from .lock_application import LockApplication

__all__ = ["LockApplication"]
