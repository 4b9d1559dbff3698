"""Who may open: up to ten centrals, each with a check code (reference: protocol §6.6)."""

from __future__ import annotations

from protocol.lock import APP_CENTRAL, CheckCodeOperation, CheckCodeResult, OpenResult

from .buffer import ReplyBuffer, Request
from .flash import Flash

_PLACES = 10
_NOBODY = (0, bytes(8))
_SET_SIZE = 23


class CheckCodes:
    """The table as it is in RAM; deleting reaches the flash only, until the next power-up.

    A free place is a central 0 with a code of zeros, and the firmware takes it for one.
    """

    def __init__(self, flash: Flash) -> None:
        self._flash = flash
        self._centrals = [flash.centrals.get(place, _NOBODY) for place in range(_PLACES)]
        self.peripheral = flash.peripheral
        """The lock's own id, learned from the first check code that was set."""

    def knows(self, central: int) -> bool:
        """Whether the central has a place."""
        return any(one == central for one, _ in self._centrals)

    def matches(self, central: int, code: bytes) -> bool:
        """Whether this is the central's code."""
        return (central, code) in self._centrals

    @property
    def empty(self) -> bool:
        """Whether no code was ever set."""
        return all(one == _NOBODY for one in self._centrals)

    def learn(self, peripheral: int, code: bytes, central: int = APP_CENTRAL) -> None:
        """Have a code already, as if it had been set."""
        self.peripheral = self._flash.peripheral = peripheral
        self._save(central, code)

    def judge_opening(self, central: int, peripheral: int, code: bytes) -> OpenResult | None:
        """Why the lock does not open, in the order in which it looks; None if it does."""
        if not self.knows(central):
            return OpenResult.UNKNOWN_CENTRAL
        if peripheral != self.peripheral:
            return OpenResult.WRONG_PERIPHERAL
        if not self.matches(central, code):
            return OpenResult.WRONG_CODE
        return None

    def judge_app(self, request: Request) -> int:
        """The same for what only the app may do; 0 is yes."""
        central, peripheral = request.number(0, 2), request.number(2, 2)
        if central != APP_CENTRAL:
            return OpenResult.UNKNOWN_CENTRAL
        if peripheral != self.peripheral:
            return OpenResult.WRONG_PERIPHERAL
        return OpenResult.OK if self.matches(central, request.take(4, 8)) else OpenResult.WRONG_CODE

    def set(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``check_code``; any other length is not answered."""
        if len(request.data) != _SET_SIZE:
            return False
        reply.put(0, request.take(2, 2) + request.take(0, 2))
        reply.set(15, self._set(request))
        reply.size = 16
        return True

    def _set(self, request: Request) -> CheckCodeResult:
        central, peripheral = request.number(0, 2), request.number(2, 2)
        code, operation, empty = request.take(4, 8), request.byte(12), self.empty
        if central != APP_CENTRAL:
            return CheckCodeResult.NOT_THE_APP
        if not empty and peripheral != self.peripheral:
            return CheckCodeResult.WRONG_PERIPHERAL
        if (code != bytes(8)) if empty else not self.matches(central, code):
            return CheckCodeResult.WRONG_CODE
        if operation > CheckCodeOperation.DELETE:
            return CheckCodeResult.BAD_OPERATION
        new_central, new_code = request.number(13, 2), request.take(15, 8)
        if operation == CheckCodeOperation.DELETE:
            deleted = self._delete(new_central)
            return CheckCodeResult.OK if deleted else CheckCodeResult.NOT_FOUND
        if empty:
            self.peripheral = self._flash.peripheral = peripheral
        return CheckCodeResult.OK if self._save(new_central, new_code) else CheckCodeResult.FULL

    def _save(self, central: int, code: bytes) -> bool:
        ids = [one for one, _ in self._centrals]
        wanted = central if central in ids else 0
        if wanted not in ids:
            return False
        place = ids.index(wanted)
        self._centrals[place] = self._flash.centrals[place] = (central, code)
        return True

    def _delete(self, central: int) -> bool:
        for place, (one, _) in enumerate(self._centrals):
            if one == central:
                return self._flash.centrals.pop(place, None) is not None
        return False
