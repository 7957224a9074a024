"""What has been worked out once and is asked for again: kept with the mesh it belongs to, and gone with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Memo", "content_digest"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Entry:
    """A value, its key, and the objects it was made from."""

    key: Hashable
    sources: tuple[object, ...]
    value: Any


class Memo:
    """The last few values of every kind.

    Parameters
    ----------
    *owners : object
        What the values may be made from without saying so. A memo serves these very objects and no equal ones: they are
        held, so that no other object can take their place.

    Notes
    -----
    A value that is kept is the one that would be made again, bit by bit. Copies and pickles of a memo are empty.
    """

    def __init__(self, *owners: object) -> None:
        self._owners = owners
        self._kept: dict[str, list[_Entry]] = {}

    def serves(self, *owners: object) -> bool:
        """Whether the values were made from these very objects."""
        return len(owners) == len(self._owners) and all(a is b for a, b in zip(owners, self._owners, strict=True))

    def once(
        self, kind: str, key: Hashable, make: Callable[[], T], *, sources: tuple[object, ...] = (), size: int = 1
    ) -> T:
        """The value of a kind, a key and some sources, made where it is not kept.

        Parameters
        ----------
        kind : str
            What it is; every kind has a size of its own.
        key : hashable
            What else the value depends on, by content.
        make : callable
            Makes it.
        sources : tuple of object, optional
            What else it depends on, by identity.
        size : int
            How many values of this kind are kept; the one that was not asked for longest goes first.

        Examples
        --------
        >>> memo = Memo()
        >>> memo.once("square", 3, lambda: 9), memo.once("square", 3, lambda: 0)
        (9, 9)
        """
        entries = self._kept.get(kind, [])
        found = next((e for e in entries if e.key == key and _are_same(e.sources, sources)), None)
        if found is None:
            found = _Entry(key, sources, make())
            entries = self._kept.get(kind, [])
        self._kept[kind] = [found, *(e for e in entries if e is not found)][:size]
        value: T = found.value
        return value

    def __reduce__(self) -> tuple[type[Memo], tuple[object, ...]]:
        return Memo, self._owners


def _are_same(first: tuple[object, ...], second: tuple[object, ...]) -> bool:
    """Whether two tuples hold the very same objects."""
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def content_digest(values: NDArray[Any]) -> bytes:
    """Digest of an array's type, shape and bytes."""
    seen = hashlib.blake2b(f"{values.dtype.str} {values.shape}".encode(), digest_size=16)
    seen.update(np.ascontiguousarray(values).data)
    return seen.digest()
