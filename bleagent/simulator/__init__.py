"""A lock and a cloud without any hardware: product code, for the demo, for tests, for anybody.

Never imported by the running daemon. The virtual lock is sans IO: bytes and ``now`` in,
actions out.
"""

from __future__ import annotations
