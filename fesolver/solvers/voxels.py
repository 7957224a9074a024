"""Bring your own model: moduli per voxel in, displacements, reactions and fields out, all as grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity, Loads, Problem, RigidBody, RigidLoad
from fesolver.fem.recovery import recover_fields
from fesolver.fem.voxel_mesh import voxel_mesh
from fesolver.solvers.prepare import Method, prepare
from fesolver.solvers.solution import Progress, Solution

__all__ = ["Fixed", "Pad", "VoxelSolution", "solve_voxels"]

COMPONENTS = "xyz"


@dataclass(frozen=True)
class Fixed:
    """Prescribed displacement of a set of grid points.

    Parameters
    ----------
    points : (nx + 1, ny + 1, nz + 1) ndarray of bool
        The set; points outside the material are ignored.
    components : str
        Which of "x", "y", "z", for instance "xyz" or "z".
    value_mm : float
        Displacement, mm.
    """

    points: NDArray[np.bool_]
    components: str = "xyz"
    value_mm: float = 0.0


@dataclass(frozen=True)
class Pad:
    """A set of grid points that moves as a rigid body.

    Parameters
    ----------
    name : str
        Name in the results.
    points : (nx + 1, ny + 1, nz + 1) ndarray of bool
        The set; points outside the material are ignored.
    reference_mm : (3,) sequence of float, optional
        Where force, moment and motion refer to; the mean of the points by default.
    fixed : sequence of str
        Which of "ux", "uy", "uz", "rx", "ry", "rz" are given (as `motion`); all by default.
    force_n, moment_nmm : (3,) sequence of float
        On the free motions.
    motion : (6,) sequence of float
        Given motion, mm and rad, of the fixed ones.
    """

    name: str
    points: NDArray[np.bool_]
    reference_mm: Sequence[float] | None = None
    fixed: Sequence[str] = ("ux", "uy", "uz", "rx", "ry", "rz")
    force_n: Sequence[float] = (0.0, 0.0, 0.0)
    moment_nmm: Sequence[float] = (0.0, 0.0, 0.0)
    motion: Sequence[float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class VoxelSolution:
    """Results on the grid; NaN where there is no material.

    Parameters
    ----------
    displacement : (nx + 1, ny + 1, nz + 1, 3) ndarray
        mm.
    reaction : (nx + 1, ny + 1, nz + 1, 3) ndarray
        Internal minus external force, N: what supports and pads put on the material; zero at free points.
    strain, stress : (nx, ny, nz, 6) ndarray
        Cell means, Voigt order (xx, yy, zz, yz, xz, xy), engineering shear; MPa.
    strain_energy_density : (nx, ny, nz) ndarray
        N mm per mm3.
    pad_reaction, pad_motion : dict of str to (6,) ndarray
        Force and moment (N, N mm) of each pad on the material, and its motion (mm, rad), about its reference.
    solution : Solution
        How it was solved.
    """

    displacement: NDArray[np.float64]
    reaction: NDArray[np.float64]
    strain: NDArray[np.float64]
    stress: NDArray[np.float64]
    strain_energy_density: NDArray[np.float64]
    pad_reaction: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    pad_motion: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    solution: Solution | None = None


def solve_voxels(
    young_mpa: ArrayLike,
    poisson: ArrayLike,
    spacing_mm: ArrayLike,
    *,
    fixed: Sequence[Fixed] = (),
    pads: Sequence[Pad] = (),
    force_n: NDArray[np.float64] | None = None,
    method: Method = "auto",
    rtol: float = 1e-8,
    threads: int | None = None,
    progress: Progress | None = None,
) -> VoxelSolution:
    """Solve linear elasticity on a voxel array.

    Parameters
    ----------
    young_mpa : (nx, ny, nz) array_like
        Young's modulus per voxel, MPa; 0 where there is no material.
    poisson : float or (nx, ny, nz) array_like
        Poisson's ratio, in (-1, 0.5).
    spacing_mm : float or (3,) array_like
        Voxel edges, mm.
    fixed : sequence of Fixed
        Prescribed displacements.
    pads : sequence of Pad
        Rigid sets of points.
    force_n : (nx + 1, ny + 1, nz + 1, 3) ndarray, optional
        Forces on grid points, N.
    method, rtol, threads, progress
        As in `fesolver.solvers.prepare.prepare` and its system's `solve`.

    Returns
    -------
    VoxelSolution

    Raises
    ------
    InputError
        If shapes or values do not fit, or the supports do not hold the material.
    ConvergenceError
        If `rtol` is not reached.

    Examples
    --------
    A column of 10 mm under 1 % of compression: stress = E times strain.

    >>> E = np.full((2, 2, 5), 100.0)
    >>> ends = np.zeros((3, 3, 6), dtype=bool), np.zeros((3, 3, 6), dtype=bool)
    >>> ends[0][:, :, 0] = ends[1][:, :, -1] = True
    >>> corner = np.zeros((3, 3, 6), dtype=bool); corner[0, 0, 0] = True
    >>> edge = np.zeros((3, 3, 6), dtype=bool); edge[2, 0, 0] = True
    >>> result = solve_voxels(E, 0.3, 2.0, fixed=[
    ...     Fixed(ends[0], "z"), Fixed(ends[1], "z", -0.1), Fixed(corner, "xy"), Fixed(edge, "y")])
    >>> float(result.stress[0, 0, 0, 2].round(9))
    -1.0
    """
    E = np.asarray(young_mpa, dtype=np.float64)
    if E.ndim != 3:
        raise InputError(f"young_mpa must have three axes (nx, ny, nz), got shape {E.shape}")
    if not np.all(np.isfinite(E)) or np.any(E < 0):
        bad = np.argwhere(~(np.isfinite(E) & (E >= 0)))[0]
        raise InputError("young_mpa must be finite and not negative", where=f"voxel {tuple(int(i) for i in bad)}")
    nu = np.broadcast_to(np.asarray(poisson, dtype=np.float64), E.shape)
    points, cells, lattice = voxel_mesh(E > 0, spacing_mm)
    i, j, k = lattice.point_index.T
    at, grid = (i, j, k), tuple(n + 1 for n in E.shape)
    ci, cj, ck = lattice.cell_index.T
    dofs, values = _prescribed(fixed, at, grid)
    bodies, rigid = _rigid(pads, points, at, grid)
    if force_n is not None and force_n.shape != (*grid, 3):
        raise InputError(f"force_n must have shape {(*grid, 3)}, got {force_n.shape}")
    problem = Problem(
        points=points,
        cells=cells,
        elasticity=Elasticity(E[ci, cj, ck], nu[ci, cj, ck]),
        prescribed_dofs=dofs,
        rigid_bodies=bodies,
        lattice=lattice,
    )
    nodal = None if force_n is None else np.ascontiguousarray(force_n[at])
    system = prepare(problem, method=method, threads=threads)
    solution = system.solve(Loads(nodal_force=nodal, prescribed=values, rigid=rigid), rtol=rtol, progress=progress)
    fields = recover_fields(problem, solution.u)

    def on_points(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.full((*grid, rows.shape[1]), np.nan)
        out[at] = rows
        return out

    def on_cells(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.full((*E.shape, *rows.shape[1:]), np.nan)
        out[ci, cj, ck] = rows
        return out

    return VoxelSolution(
        displacement=on_points(solution.u),
        reaction=on_points(solution.internal_force - (0.0 if nodal is None else nodal)),
        strain=on_cells(fields.strain),
        stress=on_cells(fields.stress),
        strain_energy_density=on_cells(fields.strain_energy_density),
        pad_reaction=dict(solution.rigid_reaction),
        pad_motion=dict(solution.rigid_motion),
        solution=solution,
    )


def _prescribed(
    fixed: Sequence[Fixed], at: tuple[NDArray[np.int32], ...], grid: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ascending degrees of freedom and their values; one that is given twice must be given alike."""
    given: dict[int, float] = {}
    for entry in fixed:
        if entry.points.shape != grid:
            raise InputError(f"a fixed set must be a mask of shape {grid}, got {entry.points.shape}")
        if not entry.components or set(entry.components) - set(COMPONENTS):
            raise InputError(f"components must be some of 'x', 'y', 'z', got {entry.components!r}")
        ids = np.flatnonzero(entry.points[at])
        if not len(ids):
            raise InputError("a fixed set holds no point of the material")
        for component in entry.components:
            for dof in (3 * ids + COMPONENTS.index(component)).tolist():
                if given.setdefault(dof, entry.value_mm) != entry.value_mm:
                    raise InputError(f"two different displacements are prescribed along {component} at one point")
    dofs = np.array(sorted(given), dtype=np.int64)
    return dofs, np.array([given[d] for d in dofs.tolist()])


def _refuse_idle(pad: Pad, names: tuple[str, ...]) -> None:
    """Refuse a load on a motion that is held, and a given motion that is free: neither would do anything."""
    for what, given, length in (
        ("force_n", pad.force_n, 3),
        ("moment_nmm", pad.moment_nmm, 3),
        ("motion", pad.motion, 6),
    ):
        if len(given) != length:
            raise InputError(f"{what} of pad {pad.name!r} must be {length} numbers, got {len(given)}")
    load = (*pad.force_n, *pad.moment_nmm)
    if idle := [name for name, value in zip(names, load, strict=True) if value and name in pad.fixed]:
        raise InputError(
            f"pad {pad.name!r} has a load along {', '.join(idle)}, which it holds fixed",
            fix="leave these out of fixed, or give no load there",
        )
    if idle := [name for name, value in zip(names, pad.motion, strict=True) if value and name not in pad.fixed]:
        raise InputError(
            f"pad {pad.name!r} is given a motion along {', '.join(idle)}, which is free",
            fix="add these to fixed, or give no motion there",
        )


def _rigid(
    pads: Sequence[Pad], points: NDArray[np.float64], at: tuple[NDArray[np.int32], ...], grid: tuple[int, ...]
) -> tuple[tuple[RigidBody, ...], dict[str, RigidLoad]]:
    """Rigid bodies and their loads."""
    names = ("ux", "uy", "uz", "rx", "ry", "rz")
    bodies, loads = [], {}
    for pad in pads:
        if pad.points.shape != grid:
            raise InputError(f"pad {pad.name!r} must be a mask of shape {grid}, got {pad.points.shape}")
        if unknown := set(pad.fixed) - set(names):
            raise InputError(f"pad {pad.name!r} fixes unknown motion {sorted(unknown)}", fix=f"use {', '.join(names)}")
        if pad.name in loads:
            raise InputError(f"two pads are named {pad.name!r}")
        ids = np.flatnonzero(pad.points[at]).astype(np.int64)
        if not len(ids):
            raise InputError(f"pad {pad.name!r} holds no point of the material")
        _refuse_idle(pad, names)
        reference = points[ids].mean(axis=0) if pad.reference_mm is None else np.asarray(pad.reference_mm, dtype=float)
        bodies.append(RigidBody(pad.name, ids, reference, np.array([name in pad.fixed for name in names])))
        loads[pad.name] = RigidLoad(
            np.asarray(pad.force_n, dtype=float), np.asarray(pad.moment_nmm, dtype=float), np.asarray(pad.motion, float)
        )
    return tuple(bodies), loads
