"""What solving a voxel array returns, as grids; fields are made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.constraints import RigidMap
from fesolver.fem.fields import Fields
from fesolver.fem.recovery import voxel_fields
from fesolver.fem.voxel_operator import VoxelOperator
from fesolver.solvers.voxel_core import CoreResult

__all__ = ["VoxelSolution"]


@dataclass(frozen=True)
class _State:
    """What the fields are made of: vectors of the core, the operator, places of nodes on the grid."""

    operator: VoxelOperator
    active: NDArray[np.bool_]
    places: NDArray[np.int64]
    u: NDArray[np.float64]
    internal: NDArray[np.float64]
    force: NDArray[np.float64] | None


@dataclass(frozen=True)
class VoxelSolution:
    """Results on the grid; NaN where there is no material. Grids are made when first asked for.

    Parameters
    ----------
    pad_reaction, pad_motion : dict of str to (6,) ndarray
        Force and moment (N, N mm) of each pad on the material, and its motion (mm, rad), about its reference.
    iterations : int
        Iterations used.
    residual_norms : tuple of float
        ||f - K u|| / ||f|| after each iteration; the last one recomputed from the displacement.
    rtol : float
        Tolerance asked for.
    method : str
        Which solver.
    is_converged : bool
        Whether what was asked for was reached.
    stopped_by : str
        "residual" or "reaction".

    Attributes
    ----------
    displacement : (nx + 1, ny + 1, nz + 1, 3) ndarray
        mm.
    reaction : (nx + 1, ny + 1, nz + 1, 3) ndarray
        Internal minus external force, N: what supports and pads put on the material; zero at free points.
    strain, stress : (nx, ny, nz, 6) ndarray
        Cell means, Voigt order (xx, yy, zz, yz, xz, xy), engineering shear; MPa.
    strain_energy_density : (nx, ny, nz) ndarray
        N mm per mm3.
    """

    pad_reaction: dict[str, NDArray[np.float64]]
    pad_motion: dict[str, NDArray[np.float64]]
    iterations: int
    residual_norms: tuple[float, ...]
    rtol: float
    method: str
    is_converged: bool
    stopped_by: str
    _state: _State

    @classmethod
    def make(
        cls,
        operator: VoxelOperator,
        active: NDArray[np.bool_],
        places: NDArray[np.int64],
        u: NDArray[np.float64],
        internal: NDArray[np.float64],
        force: NDArray[np.float64] | None,
        bodies: Sequence[RigidMap],
        result: CoreResult,
        *,
        rtol: float,
        is_converged: bool,
    ) -> VoxelSolution:
        """From vectors of the core: displacement, K u and nodal forces."""
        motion, reaction = {}, {}
        left = internal if force is None else internal - force
        for body in bodies:
            at = body.body.points
            modes = body.modes.reshape(-1, 6)
            motion[body.body.name] = np.asarray(
                np.linalg.lstsq(modes, u.reshape(3, -1)[:, at].T.ravel(), rcond=None)[0], dtype=np.float64
            )
            reaction[body.body.name] = modes.T @ left.reshape(3, -1)[:, at].T.ravel()
        return cls(
            reaction, motion, len(result.norms) - 1, tuple(result.norms), rtol, "voxel-multigrid", is_converged,
            result.stopped_by, _State(operator, active, places, u, internal, force),
        )  # fmt: skip

    def _on_points(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """A vector of the core on the grid points, axes x, y, z, component."""
        state = self._state
        nz, ny, nx = state.active.shape
        out = np.full((3, (nz + 1) * (ny + 1) * (nx + 1)), np.nan)
        out[:, state.places] = vector.reshape(3, -1)[:, : len(state.places)]
        return out.reshape(3, nz + 1, ny + 1, nx + 1).transpose(3, 2, 1, 0)

    def _on_cells(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of the active cells on the grid, axes x, y, z, component."""
        out = np.full((*self._state.active.shape, *rows.shape[1:]), np.nan)
        out[self._state.active] = rows
        return np.moveaxis(out, [0, 1, 2], [2, 1, 0])

    @cached_property
    def displacement(self) -> NDArray[np.float64]:
        """Displacement (nx + 1, ny + 1, nz + 1, 3), mm."""
        return self._on_points(self._state.u)

    @cached_property
    def reaction(self) -> NDArray[np.float64]:
        """Internal minus external force (nx + 1, ny + 1, nz + 1, 3), N."""
        internal, force = self._state.internal, self._state.force
        return self._on_points(internal if force is None else internal - force)

    @cached_property
    def _fields(self) -> Fields:
        return voxel_fields(self._state.operator, self._state.u)

    @cached_property
    def strain(self) -> NDArray[np.float64]:
        """Mean strain of each cell (nx, ny, nz, 6), engineering shear."""
        return self._on_cells(self._fields.strain)

    @cached_property
    def stress(self) -> NDArray[np.float64]:
        """Mean stress of each cell (nx, ny, nz, 6), MPa."""
        return self._on_cells(self._fields.stress)

    @cached_property
    def strain_energy_density(self) -> NDArray[np.float64]:
        """Mean strain energy density of each cell (nx, ny, nz), N mm per mm3."""
        return self._on_cells(self._fields.strain_energy_density)
