"""Bring your own model: moduli per voxel in, displacements, reactions and fields out, all as grids."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.constraints import RigidMap, rigid_force, rigid_map
from fesolver.fem.hooke import lame_parameters
from fesolver.fem.problem import RigidBody, RigidLoad
from fesolver.fem.supports import check_grid_supports
from fesolver.fem.threads import kernel_threads, threads_for
from fesolver.fem.voxel_operator import Material
from fesolver.fem.voxel_runs import number_nodes
from fesolver.solvers.memory import check_solver_memory
from fesolver.solvers.prepare import thread_count
from fesolver.solvers.solution import Progress
from fesolver.solvers.voxel_core import CoreLoads, RigidPart, VoxelCore
from fesolver.solvers.voxel_pieces import is_network
from fesolver.solvers.voxel_solution import VoxelSolution

__all__ = ["Fixed", "Pad", "VoxelSolution", "VoxelSystem", "prepare_voxels", "solve_voxels"]

COMPONENTS = "xyz"
MOTIONS = ("ux", "uy", "uz", "rx", "ry", "rz")


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
    fixed: Sequence[str] = MOTIONS
    force_n: Sequence[float] = (0.0, 0.0, 0.0)
    moment_nmm: Sequence[float] = (0.0, 0.0, 0.0)
    motion: Sequence[float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class VoxelSystem:
    """A voxel array with its supports, ready to be solved; made by `prepare_voxels`."""

    def __init__(
        self,
        active: NDArray[np.bool_],
        material: Material,
        poisson: NDArray[np.float64],
        spacing: NDArray[np.float64],
        places: NDArray[np.int64],
        given: NDArray[np.float64],
        rigid: tuple[tuple[RigidMap, RigidLoad], ...],
        *,
        is_bbar: bool,
        threads: int,
    ) -> None:
        self._active, self._poisson = active, poisson
        self._places, self._given, self._rigid = places, given, rigid
        self._threads = threads
        parts = tuple(RigidPart(body.body.points, body.matrix) for body, _ in rigid)
        nodes, components = np.nonzero(~np.isnan(given))
        with kernel_threads(threads_for(given.size, threads)):
            self._core = VoxelCore(
                active, material, spacing, 3 * nodes + components, parts, is_bbar=is_bbar, n_threads=threads
            )

    def with_young(self, young_mpa: ArrayLike) -> VoxelSystem:
        """The same voxels, Poisson's ratios and supports with other moduli; only what they change is made anew.

        Raises
        ------
        InputError
            If other voxels hold material than before.
        """
        E = _young(young_mpa)
        box = E.transpose(2, 1, 0)
        if box.shape != self._active.shape or not np.array_equal(box > 0, self._active):
            raise InputError("other voxels hold material than before", fix="use prepare_voxels")
        other = copy.copy(self)
        material = _isotropic(box[self._active], self._poisson)
        with kernel_threads(threads_for(self._given.size, self._threads)):
            other._core = self._core.with_material(material)
        return other

    def solve(
        self,
        force_n: NDArray[np.float64] | None = None,
        *,
        rtol: float = 1e-8,
        start_mm: NDArray[np.float64] | None = None,
        reaction_rtol: float | None = None,
        on_failure: Literal["raise", "return"] = "raise",
        progress: Progress | None = None,
    ) -> VoxelSolution:
        """Displacements under the prepared supports and loads and, if given, forces on grid points.

        Parameters
        ----------
        force_n : (nx + 1, ny + 1, nz + 1, 3) ndarray, optional
            Forces on grid points, N.
        rtol : float
            Stop when ||f - K u|| / ||f|| in float64 over the free unknowns is below it, f being the loads and what the
            given displacements put on free points, and the forces through all planes normal to z balance to 100 times
            it.
        start_mm : (nx + 1, ny + 1, nz + 1, 3) ndarray, optional
            Displacement to start from, for instance of a similar model; values outside the material are ignored.
        reaction_rtol : float, optional
            Stop as soon as the strain energy, and with it the reaction to a given motion, is estimated to be this close
            to its final value.
        on_failure : {"raise", "return"}
            What to do when this is not reached.
        progress : callable, optional
            Called with (iteration, relative residual).

        Raises
        ------
        ConvergenceError
            If the solution is not reached and `on_failure` is "raise".
        InputError
            If an argument does not fit.
        """
        for name, value in (("rtol", rtol), ("reaction_rtol", reaction_rtol)):
            if value is not None and not 0 < value < 1:
                raise InputError(f"{name} must lie between 0 and 1, got {value}")
        if on_failure not in ("raise", "return"):
            raise InputError(f"unknown on_failure {on_failure!r}", fix="use 'raise' or 'return'")
        core, n = self._core, len(self._places)
        u = core.new_vector()
        grid = u.reshape(3, -1)
        grid[:, :n] = np.nan_to_num(self._given.T)
        loads = []
        for body, load in self._rigid:
            motion = np.where(body.body.is_fixed, load.motion, 0.0)
            grid[:, body.body.points] += (body.modes @ motion).T
            loads.append(rigid_force(body, load))
        force = None if force_n is None else self._on_nodes(force_n, "force_n")
        case = CoreLoads(u, force, np.concatenate([np.zeros(0), *loads]))
        with kernel_threads(threads_for(self._given.size, self._threads)):
            start: tuple[NDArray[np.float64], ...] = ()
            if start_mm is not None:
                start = core.free_part(self._on_nodes(start_mm, "start_mm") - u)
            result = core.solve(case, *start, rtol=rtol, reaction_rtol=reaction_rtol, progress=progress)
            internal = core.new_vector()
            core.operator.product(u, internal, core.slabs)
        is_converged = result.is_converged and bool(np.all(np.isfinite(grid[:, :n])))
        if not is_converged and on_failure == "raise":
            raise ConvergenceError(
                f"voxel-multigrid stopped at a relative residual of {result.norms[-1]:.2e} after "
                f"{len(result.norms) - 1} iterations; {rtol:.0e} was asked for",
                fix="check contrast and supports, or ask for a looser rtol",
            )
        return VoxelSolution.make(
            core.operator, self._active, self._places, u, internal, force,
            [body for body, _ in self._rigid], result, rtol=rtol, is_converged=is_converged,
        )  # fmt: skip

    def _on_nodes(self, grid: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """Values on grid points as a vector of the core."""
        nz, ny, nx = self._active.shape
        if np.shape(grid) != (nx + 1, ny + 1, nz + 1, 3):
            raise InputError(f"{name} must have shape {(nx + 1, ny + 1, nz + 1, 3)}, got {np.shape(grid)}")
        out = self._core.new_vector()
        k, j, i = np.unravel_index(self._places, (nz + 1, ny + 1, nx + 1))
        values = np.asarray(grid, dtype=np.float64)[i, j, k].T
        if not np.all(np.isfinite(values)):
            raise InputError(f"{name} must be finite on the material's points")
        out.reshape(3, -1)[:, : len(self._places)] = values
        return out


def prepare_voxels(
    young_mpa: ArrayLike,
    poisson: ArrayLike,
    spacing_mm: ArrayLike,
    *,
    fixed: Sequence[Fixed] = (),
    pads: Sequence[Pad] = (),
    integration: Literal["b-bar", "full"] = "b-bar",
    threads: int | None = None,
) -> VoxelSystem:
    """Check a voxel model and set up its solver, once for many loads or moduli.

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
    integration : {"b-bar", "full"}
        Mean dilatation, or full 2 x 2 x 2 integration.
    threads : int, optional
        FESOLVER_NUM_THREADS or all cores by default; results do not depend on it.

    Returns
    -------
    VoxelSystem

    Raises
    ------
    InputError
        If shapes or values do not fit, or the supports do not hold the material; with the place in mm.
    """
    E = _young(young_mpa)
    given_spacing = np.asarray(spacing_mm, dtype=np.float64)
    if given_spacing.shape not in ((), (1,), (3,)) or not np.all((given_spacing > 0) & (given_spacing < np.inf)):
        raise InputError(f"the cell size must be one or three positive numbers, got {given_spacing.tolist()} mm")
    spacing = np.broadcast_to(given_spacing, 3).copy()
    if integration not in ("b-bar", "full"):
        raise InputError(f"unknown integration {integration!r}", fix="use 'b-bar' or 'full'")
    count = thread_count(threads)
    box = E.transpose(2, 1, 0)
    active = np.ascontiguousarray(box > 0)
    if not active.any():
        raise InputError(f"no cell is active in a grid of shape {E.shape}", fix="give moduli above zero")
    ratio = np.asarray(poisson, dtype=np.float64)
    if ratio.shape not in ((), E.shape):
        raise InputError(f"poisson must be a number or have the shape of young_mpa, {E.shape}, got {ratio.shape}")
    nu = np.broadcast_to(ratio, E.shape).transpose(2, 1, 0)[active]
    bad = ~((nu > -1) & (nu < 0.5))
    if bad.any():
        at = np.argwhere(active)[int(np.argmax(bad))][::-1]
        where = f"voxel {tuple(int(i) for i in at)}"
        raise InputError(f"Poisson's ratio must lie in (-1, 0.5), got {nu[np.argmax(bad)]}", where=where)
    places = np.flatnonzero(number_nodes(active)[1].ravel() >= 0)
    grid = tuple(n + 1 for n in E.shape)
    given = _prescribed(fixed, places, grid)
    rigid = _rigid(pads, places, grid, spacing)
    check_solver_memory(
        len(nu), len(places), (E.shape[0], E.shape[1], E.shape[2]), n_rigid=sum(len(body.free) for body, _ in rigid),
        is_network=is_network(active, len(places)),
    )  # fmt: skip
    _check_held(E.shape, active, spacing, places, given, rigid)
    return VoxelSystem(
        active, _isotropic(box[active], nu), nu, spacing, places, given, rigid,
        is_bbar=integration == "b-bar", threads=count,
    )  # fmt: skip


def solve_voxels(
    young_mpa: ArrayLike,
    poisson: ArrayLike,
    spacing_mm: ArrayLike,
    *,
    fixed: Sequence[Fixed] = (),
    pads: Sequence[Pad] = (),
    force_n: NDArray[np.float64] | None = None,
    integration: Literal["b-bar", "full"] = "b-bar",
    rtol: float = 1e-8,
    threads: int | None = None,
    progress: Progress | None = None,
) -> VoxelSolution:
    """Solve linear elasticity on a voxel array.

    Parameters
    ----------
    young_mpa, poisson, spacing_mm, fixed, pads, integration, threads
        As in `prepare_voxels`.
    force_n, rtol, progress
        As in `VoxelSystem.solve`.

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
    >>> float(result.stress[0, 0, 0, 2].round(7))
    -1.0
    """
    system = prepare_voxels(
        young_mpa, poisson, spacing_mm, fixed=fixed, pads=pads, integration=integration, threads=threads
    )
    return system.solve(force_n, rtol=rtol, progress=progress)


def _young(young_mpa: ArrayLike) -> NDArray[np.float64]:
    """The moduli, checked."""
    E = np.asarray(young_mpa, dtype=np.float64)
    if E.ndim != 3:
        raise InputError(f"young_mpa must have three axes (nx, ny, nz), got shape {E.shape}")
    if not E.size or not (np.min(E) >= 0 and np.max(E) < np.inf):
        bad = np.argwhere(~(np.isfinite(E) & (E >= 0)))
        where = f"voxel {tuple(int(i) for i in bad[0])}" if len(bad) else None
        raise InputError("young_mpa must be finite and not negative", where=where)
    return E


def _isotropic(young: NDArray[np.float64], poisson: NDArray[np.float64]) -> Material:
    """Constants of the active voxels."""
    return Material(*lame_parameters(young, poisson), np.zeros(0, np.int64), np.zeros((0, 6, 6)))


def _ids(points: NDArray[np.bool_], places: NDArray[np.int64], grid: tuple[int, ...], what: str) -> NDArray[np.int64]:
    """Nodes of a mask on the grid points."""
    if np.shape(points) != grid:
        raise InputError(f"{what} must be a mask of shape {grid}, got {np.shape(points)}")
    ids = np.flatnonzero(np.asarray(points, dtype=bool).transpose(2, 1, 0).ravel()[places])
    if not len(ids):
        raise InputError(f"{what} holds no point of the material")
    return ids.astype(np.int64)


def _prescribed(fixed: Sequence[Fixed], places: NDArray[np.int64], grid: tuple[int, ...]) -> NDArray[np.float64]:
    """Given displacement (n_nodes, 3), NaN where none; one that is given twice must be given alike."""
    given = np.full((len(places), 3), np.nan)
    for entry in fixed:
        ids = _ids(entry.points, places, grid, "a fixed set")
        if not entry.components or set(entry.components) - set(COMPONENTS):
            raise InputError(f"components must be some of 'x', 'y', 'z', got {entry.components!r}")
        if not np.isfinite(entry.value_mm):
            raise InputError(f"value_mm of a fixed set must be finite, got {entry.value_mm}")
        for component in entry.components:
            c = COMPONENTS.index(component)
            before = given[ids, c]
            if np.any(~np.isnan(before) & (before != entry.value_mm)):
                raise InputError(f"two different displacements are prescribed along {component} at one point")
            given[ids, c] = entry.value_mm
    return given


def _refuse_idle(pad: Pad) -> None:
    """Refuse a load on a motion that is held, and a given motion that is free: neither would do anything."""
    for what, given, length in (
        ("force_n", pad.force_n, 3),
        ("moment_nmm", pad.moment_nmm, 3),
        ("motion", pad.motion, 6),
    ):
        if len(given) != length or not np.all(np.isfinite(given)):
            raise InputError(f"{what} of pad {pad.name!r} must be {length} numbers, got {given}")
    load = (*pad.force_n, *pad.moment_nmm)
    if idle := [name for name, value in zip(MOTIONS, load, strict=True) if value and name in pad.fixed]:
        raise InputError(
            f"pad {pad.name!r} has a load along {', '.join(idle)}, which it holds fixed",
            fix="leave these out of fixed, or give no load there",
        )
    if idle := [name for name, value in zip(MOTIONS, pad.motion, strict=True) if value and name not in pad.fixed]:
        raise InputError(
            f"pad {pad.name!r} is given a motion along {', '.join(idle)}, which is free",
            fix="add these to fixed, or give no motion there",
        )


def _rigid(
    pads: Sequence[Pad], places: NDArray[np.int64], grid: tuple[int, ...], spacing: NDArray[np.float64]
) -> tuple[tuple[RigidMap, RigidLoad], ...]:
    """Rigid bodies and their loads."""
    out: list[tuple[RigidMap, RigidLoad]] = []
    for pad in pads:
        ids = _ids(pad.points, places, grid, f"pad {pad.name!r}")
        if unknown := set(pad.fixed) - set(MOTIONS):
            raise InputError(
                f"pad {pad.name!r} fixes unknown motion {sorted(unknown)}", fix=f"use {', '.join(MOTIONS)}"
            )
        if any(body.body.name == pad.name for body, _ in out):
            raise InputError(f"two pads are named {pad.name!r}")
        _refuse_idle(pad)
        points = np.stack(np.unravel_index(places[ids], grid[::-1])[::-1], axis=1) * spacing
        reference = points.mean(axis=0) if pad.reference_mm is None else np.asarray(pad.reference_mm, dtype=float)
        if reference.shape != (3,) or not np.all(np.isfinite(reference)):
            raise InputError(f"reference_mm of pad {pad.name!r} must be three numbers, got {pad.reference_mm}")
        body = RigidBody(pad.name, ids, reference, np.array([name in pad.fixed for name in MOTIONS]))
        load = RigidLoad(*(np.asarray(v, dtype=float) for v in (pad.force_n, pad.moment_nmm, pad.motion)))
        out.append((rigid_map(body, points), load))
    return tuple(out)


def _check_held(
    shape: tuple[int, ...],
    active: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    places: NDArray[np.int64],
    given: NDArray[np.float64],
    rigid: tuple[tuple[RigidMap, RigidLoad], ...],
) -> None:
    """No point in two constraints; every part held."""
    grid = tuple(n + 1 for n in shape)
    owners = np.any(~np.isnan(given), axis=1).astype(np.int64)
    for body, _ in rigid:
        owners[body.body.points] += 1
    if owners.max(initial=0) > 1:
        at = np.array(np.unravel_index(places[int(np.argmax(owners))], grid[::-1])[::-1]) * spacing
        raise InputError(
            "a point is held by two constraints", where=f"({at[0]:.1f}, {at[1]:.1f}, {at[2]:.1f}) mm",
            fix="remove it from one of the two rigid bodies or prescribed sets",
        )  # fmt: skip

    def mask(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
        box = np.zeros((int(np.prod(grid)), *values.shape[1:]), dtype=bool)
        box[places] = values
        return np.moveaxis(box.reshape(*grid[::-1], *values.shape[1:]), [0, 1, 2], [2, 1, 0])

    bodies = []
    for body, _ in rigid:
        is_in = np.zeros(len(places), dtype=bool)
        is_in[body.body.points] = True
        bodies.append((body.body.name, mask(is_in), body.body.reference, body.body.is_fixed))
    check_grid_supports(active.transpose(2, 1, 0), spacing, np.zeros(3), mask(~np.isnan(given)), bodies)
