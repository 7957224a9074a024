"""Meshes as the text that Abaqus and CalculiX read: nodes, elements, a set per region, a set per surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import StringIO
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.problem import ElementName
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["ABAQUS_TYPES", "abaqus_text", "set_name"]

ABAQUS_TYPES: Mapping[ElementName, str] = MappingProxyType(
    {"hex8": "C3D8", "hex20": "C3D20", "tet4": "C3D4", "tet10": "C3D10", "wedge6": "C3D6", "wedge15": "C3D15"}
)
"""Element types of the same nodes in the same order as VTK's, with full or selectively reduced integration."""

_PER_LINE = 8
"""Numbers on a line; a deck allows 16."""


def set_name(name: str) -> str:
    """Name of the set of a region or surface: `L1/trabecular` is `L1_TRABECULAR`.

    Examples
    --------
    >>> set_name("L1-L2/annulus")
    'L1-L2_ANNULUS'
    """
    return name.replace("/", "_").upper()


def abaqus_text(mesh: SpineMesh, region_of_cell: NDArray[np.int64], *, heading: str = "") -> Iterator[str]:
    """A mesh as the lines of an input deck, in pieces.

    Parameters
    ----------
    mesh : SpineMesh
        Points in mm, written with 14 digits: CalculiX reads no more than 20 characters of a number.
    region_of_cell : (n_cells,) ndarray of int64
        Position of each cell's region in `mesh.regions`.
    heading : str
        One line.

    Yields
    ------
    str
        `*HEADING`, `*NODE`, `*ELEMENT`, one `*ELSET` per region and one `*NSET` per surface, all numbers from 1.
    """
    yield f"*HEADING\n{heading or 'fesolver'}\n** lengths in mm\n*NODE, NSET=ALL_NODES\n"
    yield _rows(np.column_stack([np.arange(1, len(mesh.points) + 1), mesh.points]), "%d, %.13e, %.13e, %.13e")
    yield f"*ELEMENT, TYPE={ABAQUS_TYPES[mesh.element]}, ELSET=ALL_CELLS\n"
    numbers = np.column_stack([np.arange(1, len(mesh.cells) + 1), mesh.cells + 1])
    fields = ["%d"] * numbers.shape[1]
    lines = [", ".join(fields[at : at + 1 + _PER_LINE]) for at in range(0, len(fields), 1 + _PER_LINE)]
    yield _rows(numbers, ",\n".join(lines))
    for index, name in enumerate(mesh.regions):
        yield f"*ELSET, ELSET={set_name(name)}\n" + _listed(np.flatnonzero(region_of_cell == index))
    for name, surface in mesh.surfaces.items():
        yield f"*NSET, NSET=ON_{set_name(name)}\n" + _listed(np.unique(surface.facets))


def _rows(values: NDArray[np.float64] | NDArray[np.int64], form: str) -> str:
    """Rows of a table as text."""
    out = StringIO()
    np.savetxt(out, values, fmt=form)
    return out.getvalue()


def _listed(ids: NDArray[np.int64]) -> str:
    """Ids, counted from 1, a few on each line."""
    numbers = [str(i) for i in (ids + 1).tolist()]
    lines = [", ".join(numbers[at : at + _PER_LINE]) for at in range(0, len(numbers), _PER_LINE)]
    return ",\n".join(lines) + "\n" if lines else ""
