"""What one case leaves for the next: the last few meshes and intact solutions, by what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from fesolver.study.config import StudyConfig, by_content

__all__ = ["Kept", "geometry_key", "intact_key"]

T = TypeVar("T")

DENSITY_KEYS = (
    "t_score", "density_g_cm3", "density_kind", "density_pattern", "rim_density_ratio", "inferior_superior_ratio",
    "compartments_g_cm3", "density_key", "density_unit",
)  # fmt: skip
"""Keys of `[input]` that say how dense bone is, and nothing of its shape."""

_NO_PART = ("name", "description", "output", "sweep", "factors", "design", "cluster")
"""Tables that no number of a case depends on."""


class Kept(Generic[T]):
    """The last few values that were made, by key.

    Parameters
    ----------
    size : int
        How many; the one that was not asked for longest goes first.
    """

    def __init__(self, size: int = 2) -> None:
        self._size = size
        self._values: OrderedDict[str, T] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The value of a key, made where it is not there."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        while len(self._values) >= self._size:
            self._values.popitem(last=False)  # before the new one is made: memory holds no more than `size`
        value = make()
        self._values[key] = value
        return value


def geometry_key(config: StudyConfig) -> str:
    """Hash of what the mesh of a study depends on; keys that are not known to leave it alone count."""
    data = config.model_dump(mode="json", by_alias=True, include={"input", "segment", "disc", "connections"})
    given = {key: value for key, value in data["input"].items() if key not in DENSITY_KEYS}
    disc = {key: data["disc"].get(key) for key in ("degeneration", "nucleus")}
    return _hash([given, data["segment"], disc, data["connections"]])


def intact_key(config: StudyConfig, files: Mapping[str, str] | None = None) -> str:
    """Hash of what the intact states of a study depend on: everything but the treatment and its material.

    Paths that `files` knows count by their hash, not by their place.
    """
    data = config.model_dump(mode="json", by_alias=True, exclude={*_NO_PART, "treatment"})
    for key in ("cement_young_mpa", "cement_poisson"):
        if not _has_label_cement(config):
            data["materials"].pop(key)
    return _hash(by_content(data, files or {}))


def _has_label_cement(config: StudyConfig) -> bool:
    """Whether there is cement in every state, from a label volume."""
    return getattr(config.input, "cement_label", None) is not None


def _hash(data: Any) -> str:
    """SHA-256 of canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
