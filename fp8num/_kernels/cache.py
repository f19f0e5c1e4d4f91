"""A cache bounded in bytes, for tables that are made once and shared by threads."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Cache"]


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class Cache:
    """
    Keep the most recently used values, up to a number of bytes.

    Parameters
    ----------
    limit : int
        The most bytes to keep; a value larger than that is made again each time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.nbytes = 0
        self._lock = Lock()
        self._values: OrderedDict[Hashable, _Sized] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, making it if it is not there."""
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
                return found  # type: ignore[return-value]  # `make` alone decides a key's type
        made = make()
        with self._lock:
            if key not in self._values and made.nbytes <= self.limit:
                self._values[key] = made
                self.nbytes += made.nbytes
            while self.nbytes > self.limit:
                self.nbytes -= self._values.popitem(last=False)[1].nbytes
        return made
