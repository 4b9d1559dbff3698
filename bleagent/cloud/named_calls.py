"""Every API of the catalogue, called by its name.

None of them is part of an opening by this agent: each can wait, and a quota that one exhausts
stops only what can wait.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

from . import codec, results
from .calls import Call
from .catalogue import Api, Kind, LockKind, Path
from .catalogued import check_way, known, named_call
from .errors import CloudError, UnknownCloudError
from .settings import CloudSettings

TRY_OTHER_PATH = (1108, 28841101, 28841106)
"""There is no such path, or the project is not subscribed to it: nothing was carried out."""


class Caller(Protocol):
    """What those who only call by name want of the client."""

    async def call(
        self,
        name: str,
        /,
        *,
        version: str | None = ...,
        for_lock: LockKind | None = ...,
        deadline: float | None = ...,
        **arguments: Any,
    ) -> Any:
        """As ``NamedCalls.call``."""
        ...


class NamedCalls(ABC):
    """What ``CloudClient`` does with the catalogue. Raises ``CloudError`` and nothing else."""

    _settings: CloudSettings
    _good_paths: dict[str, Path]
    """Of the APIs that have several paths, the one that this project may ask."""

    @abstractmethod
    async def _ask(self, call: Call, deadline: float | None) -> codec.Answer: ...

    async def call(
        self,
        name: str,
        /,
        *,
        version: str | None = None,
        for_lock: LockKind | None = LockKind.BLUETOOTH,
        deadline: float | None = None,
        **arguments: Any,
    ) -> Any:
        """Call an API by its name in the vendor's documents, with its parameters by theirs.

        Args:
            name: such as ``doorLock.listRecords``.
            version: of an API that has several; else the newest.
            for_lock: what kind of lock it is about; ``None`` checks nothing.
            deadline: a time of the client's clock.
            arguments: its parameters, in either spelling.

        Returns:
            Its result in plain values, read tolerantly: see ``results.read``.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            NotSupported: there is no way to ask it, or not for such a lock; nothing was sent.
            CloudError: what became of it.
        """
        api = known(name, version)
        check_way(api, self._settings)
        answer = await self._by_any_path(api, arguments, for_lock, deadline)
        try:
            _check_told(api, answer)
            return results.read(api, answer.result)
        except CloudError as error:
            error.tid = answer.tid
            error.ambiguous = not api.idempotent
            raise

    async def _by_any_path(
        self, api: Api, arguments: dict[str, Any], lock: LockKind | None, deadline: float | None
    ) -> codec.Answer:
        paths: Iterable[Path | None] = self._paths(api)
        refused: CloudError | None = None
        for path in paths:
            try:
                answer = await self._ask(named_call(api, arguments, lock=lock, path=path), deadline)
            except CloudError as error:
                if error.cloud_code not in TRY_OTHER_PATH:
                    raise
                refused = refused or error
                continue
            if path is not None:
                self._good_paths[api.key] = path
            return answer
        assert refused is not None  # noqa: S101 -- there is at least one way
        raise refused

    def _paths(self, api: Api) -> list[Path | None]:
        """The ways to go: one, but for an API that has several paths and goes by them."""
        if api.ways[-1] != self._settings.transport or len(api.paths) < 2:
            return [None]
        good = self._good_paths.get(api.key)
        return [good] if good is not None else list(api.paths)


def _check_told(api: Api, answer: codec.Answer) -> None:
    """What the vendor's helpers make of every failure is an empty list."""
    if answer.result != [] or api.gives is None:
        return
    may_be_empty = api.gives.kind in (Kind.LIST, Kind.PAGED, Kind.ANY)
    if not may_be_empty or answer.t is None:
        raise UnknownCloudError(f"{api.name} is empty, or failed: the reason was dropped")
