"""Vertebrae and discs of a mesh in order, and where their cells lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.levels import disc_name
from fesolver.errors import InputError
from fesolver.meshing.memo import content_digest
from fesolver.meshing.regions import cell_centroids
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = [
    "BONE_KINDS",
    "FOREIGN_KINDS",
    "discs",
    "facing_levels",
    "part_fraction",
    "part_rank",
    "parts",
]

BONE_KINDS = ("trabecular", "cortical", "superior_endplate", "inferior_endplate")
"""Regions of a vertebral body that are bone."""

FOREIGN_KINDS = ("cement", "implant")
"""Regions of a vertebral body that are neither bone nor marrow."""


def discs(mesh: SpineMesh) -> tuple[str, ...]:
    """Names of the discs of a mesh, cranial first."""
    owners = {name.split("/")[0] for name in mesh.regions}
    pairs = zip(mesh.levels[:-1], mesh.levels[1:], strict=True)
    return tuple(name for name in (disc_name(*pair) for pair in pairs) if name in owners)


def facing_levels(disc: str) -> tuple[str, str]:
    """The vertebrae above and below a disc.

    Examples
    --------
    >>> facing_levels("L1-L2")
    ('L1', 'L2')
    """
    upper, lower = disc.split("-")
    return upper, lower


def parts(mesh: SpineMesh) -> tuple[str, ...]:
    """Vertebrae and discs of a mesh in order, cranial first."""
    present = set(discs(mesh))
    ordered: list[str] = []
    for level, below in zip(mesh.levels, (*mesh.levels[1:], ""), strict=True):
        ordered.append(level)
        if below and disc_name(level, below) in present:
            ordered.append(disc_name(level, below))
    return tuple(ordered)


def part_fraction(mesh: SpineMesh, part: str, kinds: tuple[str, ...] | None = None) -> NDArray[np.float64]:
    """Fraction of each cell that a vertebra or disc fills, (n_cells,); only its regions of the given kinds, if any."""
    out = np.zeros(len(mesh.cells))
    for name, region in mesh.regions.items():
        owner, kind = name.split("/")
        if owner == part and (kinds is None or kind in kinds):
            out[region.cells] += region.fraction
    return out


def part_rank(mesh: SpineMesh) -> NDArray[np.int64]:
    """Position in `parts(mesh)` of the vertebra or disc that fills most of each cell, (n_cells,).

    Raises
    ------
    InputError
        If a cell belongs to none.

    Notes
    -----
    Meshes of one shape whose regions give the same ranks, as with and without cement, share one array.
    """
    memo = mesh.memo

    def make() -> NDArray[np.int64]:
        rank = _part_rank(mesh)
        return memo.once("rank", content_digest(rank), lambda: rank, size=2)

    return memo.once("rank of regions", mesh.levels, make, sources=(mesh.regions,), size=2)


def _part_rank(mesh: SpineMesh) -> NDArray[np.int64]:
    """Ranks of `part_rank`, worked out."""
    fraction = np.stack([part_fraction(mesh, part) for part in parts(mesh)])
    empty = np.flatnonzero(fraction.max(axis=0) <= 0.0)
    if len(empty):
        place = cell_centroids(mesh)[empty[0]]
        raise InputError(
            f"{len(empty)} of {len(mesh.cells)} cells belong to no vertebra or disc of {', '.join(parts(mesh))}",
            where=f"the first at {np.round(place, 1).tolist()} mm",
        )
    return np.asarray(np.argmax(fraction, axis=0))
