"""How large the discretisation error of the stress is, region by region, in the energy norm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.patch_recovery import patch_error
from fesolver.fem.problem import Problem
from fesolver.fem.smoothing import zz_error

__all__ = ["ErrorEstimate", "RegionError", "estimate_error", "region_groups"]

_BITS = 24
"""Regions that are told apart by bits of one label; with the number of a cell before them they fit 63."""


@dataclass(frozen=True)
class RegionError:
    """Estimated error of the stress in one region or in the whole mesh.

    Parameters
    ----------
    error : float
        Energy norm of the estimated error, (N mm)^0.5.
    norm : float
        Energy norm of the solution's own stress, (N mm)^0.5: the root of twice its elastic energy.
    """

    error: float
    norm: float

    @property
    def relative(self) -> float:
        """Error over the root of norm^2 + error^2, which stands for the norm of the exact stress; 0 without stress."""
        total = float(np.hypot(self.norm, self.error))
        return self.error / total if total else 0.0


@dataclass(frozen=True)
class ErrorEstimate:
    """Zienkiewicz-Zhu estimate of the error of a solution.

    Parameters
    ----------
    regions : mapping of str to RegionError
        In the order given.
    total : RegionError
        Of all cells, in a region or not.
    cells : (n_cells,) ndarray
        Relative error of every cell by itself, in [0, 1].
    """

    regions: Mapping[str, RegionError]
    total: RegionError
    cells: NDArray[np.float64]

    def to_text(self) -> str:
        """A plain table: one line for each region, and one for the whole mesh."""
        rows = {**self.regions, "all cells": self.total}
        width = max(len(name) for name in rows)
        lines = [f"{'region':<{width}}  error % of energy norm"]
        return "\n".join([*lines, *(f"{name:<{width}}  {100 * row.relative:22.2f}" for name, row in rows.items())])


def region_groups(regions: Mapping[str, Region], n_cells: int) -> NDArray[np.int64]:
    """Label (n_cells,) that two cells share where they hold the same set of regions.

    Examples
    --------
    >>> import numpy as np
    >>> half = Region(np.array([1, 2]), np.array([0.5, 1.0]))
    >>> rest = Region(np.array([0, 1]), np.array([1.0, 0.5]))
    >>> region_groups({"a": half, "b": rest}, 3)
    array([0, 2, 1])
    """
    labels = np.zeros(n_cells, dtype=np.int64)
    for number, region in enumerate(regions.values(), start=1):
        is_in = np.zeros(n_cells, dtype=np.int64)
        is_in[region.cells] = 1
        labels = 2 * labels + is_in
        # Ranks keep the order of what they number: they are needed only before the bits run out.
        if number % _BITS == 0 or number == len(regions):
            labels = np.unique(labels, return_inverse=True)[1]
    return labels


def estimate_error(
    problem: Problem,
    u: NDArray[np.float64],
    regions: Mapping[str, Region],
    *,
    initial_strain: NDArray[np.float64] | None = None,
) -> ErrorEstimate:
    """Error of the stress by region: how far the solution's stress is from a smoothed one.

    Parameters
    ----------
    problem : Problem
        The solved problem.
    u : (n_points, 3) ndarray
        Displacement, mm.
    regions : mapping of str to Region
        Cells and fractions by name, as a `SpineMesh` has them. A mixed cell counts in each of its regions by its
        fraction.
    initial_strain : (n_cells, 6) ndarray, optional
        As in `fesolver.fem.problem.Loads`.

    Returns
    -------
    ErrorEstimate

    Raises
    ------
    InputError
        If a region names cells that do not exist or has fractions outside (0, 1], or `u` does not fit.

    Notes
    -----
    With s the stress of the elements and s* a smoothed one, the squared error is the integral of
    (s* - s) D^-1 (s* - s), and the relative one the root of error^2 / (energy^2 + error^2) [1]_. Elements of the first
    order are smoothed by averages at nodes (`fem.smoothing`), of the second by fits over patches (`fem.patch_recovery`)
    [2]_: averages would show 0.7 to 0.9 of their error, however fine the mesh. Stress is smoothed among cells of the
    same set of regions only: it may jump where materials meet. The estimate is of the mesh alone: shape, material and
    load are taken as given. Where the solution is smooth it tends to the true error as the mesh is refined; see
    `docs/theory/loads_and_errors.md` for what was measured.

    References
    ----------
    .. [1] O. C. Zienkiewicz, J. Z. Zhu, *A simple error estimator and adaptive procedure for practical engineering
       analysis*, Int. J. Numer. Meth. Eng. 24:337-357, 1987.
    .. [2] O. C. Zienkiewicz, J. Z. Zhu, *The superconvergent patch recovery and a posteriori error estimates. Part 1:
       the recovery technique*, Int. J. Numer. Meth. Eng. 33:1331-1364, 1992.
    """
    n_cells = len(problem.cells)
    for name, region in regions.items():
        _check_region(name, region, n_cells)
    if u.shape != problem.points.shape:
        raise InputError(f"u must have shape {problem.points.shape}, got {u.shape}")
    estimate = zz_error if ELEMENTS[problem.element].order == 1 else patch_error
    squares = estimate(problem, u, region_groups(regions, n_cells), initial_strain)

    def root(values: NDArray[np.float64]) -> float:
        return float(np.sqrt(values.sum()))

    found = {
        name: RegionError(
            root(region.fraction * squares.error[region.cells]), root(region.fraction * squares.energy[region.cells])
        )
        for name, region in regions.items()
    }
    both = squares.error + squares.energy
    cells = np.sqrt(np.divide(squares.error, both, out=np.zeros(n_cells), where=both > 0))
    return ErrorEstimate(found, RegionError(root(squares.error), root(squares.energy)), cells)


def _check_region(name: str, region: Region, n_cells: int) -> None:
    """Refuse cells that do not exist and fractions outside (0, 1]."""
    if region.cells.shape != region.fraction.shape:
        raise InputError(f"region {name!r} has {region.cells.shape} cells and {region.fraction.shape} fractions")
    if len(region.cells) and (region.cells.min() < 0 or region.cells.max() >= n_cells):
        raise InputError(
            f"region {name!r} names cells {region.cells.min()} to {region.cells.max()}, there are {n_cells}",
            fix="take the regions of the mesh that was solved",
        )
    if not np.all((region.fraction > 0) & (region.fraction <= 1 + 1e-9)):
        raise InputError(f"fractions of region {name!r} must lie in (0, 1]")
