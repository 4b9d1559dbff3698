"""How locks in the field differ from the recorded firmware, as named options.

Source: reference, locks in the field §5 to §7. All off: the firmware as it was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """One lock's differences. Times in seconds."""

    answer_delay: float = 0.0
    """The lock's own word (not the structural answer) comes so much later; lost with the link."""
    motor_time: float = 0.0
    """The motor runs so long, and commands that would move it meanwhile are dropped."""
    reports_bolt: bool = False
    """Reports the bolt by itself when the motor has stopped."""
    silent_bolt: bool = False
    """Never reports the bolt, whatever happens to it."""
    no_check_of_code: bool = False
    """Opens with any check code."""
    swapped_ids_accepted: bool = False
    """Takes the peripheral's id before the central's in an opening, too."""
    needs_newer_timestamp: bool = False
    """Ignores an opening that is not newer than the last one, without a word."""
    closes_by_open_checked: bool = False
    """Locks on operation 0 of the checked opening, and answers with a result of its own."""
    pushes_info_on_connect: bool = False
    """Sends its device information unasked."""
    resends_unacked_records: bool = False
    """Sends a timed report three times, 6 s apart, and holds the next one back until it is
    acknowledged."""
    jammed: bool = False
    """The motor is jammed from the beginning."""
    refuse_open_with: int | None = None
    """Answers every checked opening with this result and does not move."""
