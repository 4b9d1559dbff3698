"""What a virtual lock would advertise now."""

from __future__ import annotations

from protocol.advertised_fields import LOCK_APPLICATION_PADDING, AdvertisementFormat
from protocol.advertisement import Advertisement

from .lock_app import LockApplication
from .virtual_lock import VirtualLock

PRODUCT_ID = "vanjlsr8"
"""Where no other is given."""
LOCAL_NAMES = {"3.0": "LJ", "3.3": "TY", "4.4": "TY", "secv2": "BLE\0\0"}
"""By firmware, as recorded."""


def advertisement(
    lock: VirtualLock, *, product_id: str = PRODUCT_ID, wants_connection: bool = False
) -> Advertisement:
    """By generation, keys and binding of the lock, as its firmware would.

    Args:
        lock: whose.
        product_id: 8 or 16 ASCII characters.
        wants_connection: sets the bit that asks to be connected to.

    Raises:
        LocalProtocolError: a key that it takes is absent, or a product id without a place.
    """
    old = lock.firmware.protocol[0] < 4
    pads = old and len(product_id) == 8 and isinstance(lock.app, LockApplication)
    return Advertisement.build(
        AdvertisementFormat.V3 if old else AdvertisementFormat.V4,
        lock.keys,
        product_id=product_id,
        bound=lock.bound,
        connect_request=wants_connection,
        security_v2=lock.firmware.security_v2,
        local_name=LOCAL_NAMES[lock.firmware.name],
        padding=LOCK_APPLICATION_PADDING if pads else 0,
    )
