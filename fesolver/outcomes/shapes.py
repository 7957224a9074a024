"""Two shapes of one segment side by side: cell by cell where the meshes share their topology, else by region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.voigt import von_mises
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.state import SolvedState
from fesolver.outcomes.weighted import weighted_mean

__all__ = ["RegionChange", "ShapeChange", "compare_shapes"]

_QUANTITIES = ("von_mises_stress_mpa", "min_principal_stress_mpa", "strain_energy_density_n_mm_per_mm3")


@dataclass(frozen=True)
class RegionChange:
    """Volume means of one region in two shapes.

    Parameters
    ----------
    volume_before_mm3, volume_after_mm3 : float
        Of the region.
    before, after : mapping of str to float
        Means by quantity.
    """

    volume_before_mm3: float
    volume_after_mm3: float
    before: Mapping[str, float]
    after: Mapping[str, float]

    def change(self, quantity: str) -> float:
        """After minus before."""
        return self.after[quantity] - self.before[quantity]


@dataclass(frozen=True)
class ShapeChange:
    """How the stresses of two shapes differ.

    Parameters
    ----------
    how : {"cell by cell", "by region"}
        What was compared with what.
    reason : str
        Why, in words.
    regions : mapping of str to RegionChange
        Regions that both shapes have.
    cells : mapping of str to (n_cells,) ndarray
        After minus before in every cell, by quantity; empty where compared by region.
    """

    how: Literal["cell by cell", "by region"]
    reason: str
    regions: Mapping[str, RegionChange]
    cells: Mapping[str, NDArray[np.float64]]


def compare_shapes(*, before: SolvedState, after: SolvedState) -> ShapeChange:
    """Difference of two solved shapes, such as an intact and a fractured segment.

    Parameters
    ----------
    before, after : SolvedState
        With the same levels.

    Returns
    -------
    ShapeChange
        Von Mises and minimum principal stress, MPa, and strain energy density, N mm per mm3.

    Raises
    ------
    InputError
        If the two have other levels.

    Notes
    -----
    Structured meshes of equal counts number their cells by topology alone: cell k of one shape is cell k of the other,
    at another place, and the difference is one of corresponding bone, not of points in space. Meshes with other cells
    are compared by the volume means of their regions.
    """
    if before.mesh.levels != after.mesh.levels:
        raise InputError(
            f"the shapes have levels {', '.join(before.mesh.levels)} and {', '.join(after.mesh.levels)}",
            fix="compare shapes of the same segment",
        )
    fields = [dict(zip(_QUANTITIES, _fields(state), strict=True)) for state in (before, after)]
    is_same = _has_same_cells(before.mesh, after.mesh)
    shared = [name for name in before.mesh.regions if name in after.mesh.regions]
    regions = {name: _region_change(name, (before, after), fields) for name in shared}
    return ShapeChange(
        how="cell by cell" if is_same else "by region",
        reason="both meshes have the same cells, their points moved" if is_same else "the meshes have other cells",
        regions=regions,
        cells={name: fields[1][name] - fields[0][name] for name in _QUANTITIES} if is_same else {},
    )


def _fields(state: SolvedState) -> tuple[NDArray[np.float64], ...]:
    """What is compared, per cell."""
    return von_mises(state.fields.stress), state.principal_stress[:, 0], state.fields.strain_energy_density


def _has_same_cells(a: SpineMesh, b: SpineMesh) -> bool:
    """Whether points and cells have the same numbers; cement may fill other ones."""
    return a.element == b.element and a.points.shape == b.points.shape and np.array_equal(a.cells, b.cells)


def _region_change(
    name: str, states: tuple[SolvedState, SolvedState], fields: list[dict[str, NDArray[np.float64]]]
) -> RegionChange:
    """Volumes and volume means of one region."""
    volumes, means = [], []
    for state, values in zip(states, fields, strict=True):
        region = state.mesh.regions[name]
        weight = region.fraction * state.cell_volumes[region.cells]
        volumes.append(float(weight.sum()))
        means.append({quantity: weighted_mean(values[quantity][region.cells], weight) for quantity in _QUANTITIES})
    return RegionChange(volumes[0], volumes[1], means[0], means[1])
