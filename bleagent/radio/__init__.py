"""The radio: who is in the air, which adapter connects to whom, and how it heals itself.

``BluetoothRadio`` is all that the rest of the agent needs of it.
"""

from .airtime import LockAir, RadioAir
from .bluetooth_radio import BluetoothRadio
from .settings import Listeners, RadioSettings

__all__ = ["BluetoothRadio", "Listeners", "LockAir", "RadioAir", "RadioSettings"]
