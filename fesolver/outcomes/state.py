"""What every outcome takes and gives: a solved state, the settings, and named values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Tissue
from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.fields import Fields
from fesolver.fem.problem import Elasticity, Loads, Problem
from fesolver.fem.voigt import principal_values, strain_tensor, stress_tensor
from fesolver.loading.load_case import LoadCase
from fesolver.loading.pads import TOP
from fesolver.meshing.memo import Memo
from fesolver.meshing.regions import cell_centroids, cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.parts import part_rank
from fesolver.solvers.solution import Solution

__all__ = ["SEGMENT", "Outcome", "OutcomeSettings", "SolveName", "SolvedState", "Value"]

SEGMENT = "segment"
"""Stands in the place of a level in values that belong to the whole segment."""

SolveName = Literal["segment", "isolated"]


@dataclass(frozen=True)
class Value:
    """One number of one state.

    Parameters
    ----------
    level : str
        Vertebral level, disc (`L1-L2`) or `segment`.
    quantity : str
        What it is, with its unit as the end of the name (`segment_stiffness_n_per_mm`); ratios carry none.
    value : float
        The number; compression is negative.
    """

    level: str
    quantity: str
    value: float


@dataclass(frozen=True)
class OutcomeSettings:
    """Choices that outcomes depend on.

    Parameters
    ----------
    endplate_depth_mm : float
        Thickness of the layer under each endplate in which stresses are collected, mm.
    bulge_center_area_fraction : float
        Central part of an endplate's area whose displacement is the bulge, in (0, 1).
    bulge_rim_mm : float
        Width of the outer rim that the bulge is measured against, mm.
    yield_strain_compression, yield_strain_tension : float
        Yield strains of vertebral trabecular bone, both positive: 0.77 +- 0.06 % and 0.70 +- 0.05 % [1]_ (known from
        the paper with high confidence, not read again for this package).
    yielded_volume_fraction : float
        Part of a body's bone volume over its yield strain at which the body counts as failed, in (0, 1); after [2]_,
        whose 2 % was calibrated on the distal radius with micro-finite elements, not on vertebrae.
    strength_coefficient : float
        c in strength = c k h, 0.0068 [3]_ (known from the paper with medium confidence).
    share_heights : tuple of float
        Heights of the cuts near the inferior and the superior endplate, as fractions of the body's height.

    Raises
    ------
    InputError
        If a setting is outside its range.

    References
    ----------
    .. [1] E. F. Morgan, T. M. Keaveny, J Biomech 34:569-577, 2001.
    .. [2] W. Pistoia et al., Bone 30:842-848, 2002.
    .. [3] R. P. Crawford, C. E. Cann, T. M. Keaveny, Bone 33:744-750, 2003.
    """

    endplate_depth_mm: float = 2.0
    bulge_center_area_fraction: float = 0.10
    bulge_rim_mm: float = 3.0
    yield_strain_compression: float = 0.0077
    yield_strain_tension: float = 0.0070
    yielded_volume_fraction: float = 0.02
    strength_coefficient: float = 0.0068
    share_heights: tuple[float, float] = (0.10, 0.90)

    def __post_init__(self) -> None:
        fractions = {"bulge_center_area_fraction", "yielded_volume_fraction"}
        strains = {"yield_strain_compression", "yield_strain_tension"}
        for entry in fields(self):
            if entry.name == "share_heights":
                continue
            number = getattr(self, entry.name)
            upper = 1.0 if entry.name in fractions else 0.1 if entry.name in strains else np.inf
            if not (np.isfinite(number) and 0.0 < number < upper):
                raise InputError(
                    f"{entry.name} = {number} is not in (0, {upper:g})",
                    where=f"outcome settings, {entry.name}",
                    fix="give strains as numbers, not percent: 0.77 % is 0.0077" if entry.name in strains else None,
                )
        low, high = self.share_heights
        if not 0.0 < low < 0.5 < high < 1.0:
            raise InputError(
                f"share_heights = {self.share_heights} must lie on the two sides of mid-height, in (0, 1)",
                where="outcome settings, share_heights",
            )


@dataclass(frozen=True, eq=False)
class SolvedState:
    """A mesh, what it is made of, how it was loaded, and how it moved.

    Parameters
    ----------
    name : str
        `intact`, `treated`, ...
    mesh : SpineMesh
        Mesh with regions, surfaces and frames, in the segment frame.
    tissue : Tissue
        What the cells are made of.
    elasticity : Elasticity
        Constants per cell, MPa.
    problem : Problem
        What was solved.
    loads : Loads
        What it was solved for.
    load_case : LoadCase
        The load case behind `problem` and `loads`.
    load_point : (3,) ndarray
        Where the force acts, mm, segment frame.
    solution : Solution
        Displacements and reactions.
    fields : Fields
        Strain, stress and energy density per cell.
    region_young : mapping of str to float or (k,) ndarray
        Young's modulus along the axis, MPa, of a region (`L1/cortical`, `L1-L2/nucleus`, ...), one number or one per
        cell of the region. It splits the force of a mixed cell between its materials; a region that is not here takes
        what the others leave.
    region_unit_elasticity : mapping of str to (6, 6) ndarray
        Elasticity matrix of a region's own material at an axial modulus of 1 MPa. With `region_young` it gives the
        stress that this material has under the strain of its cell; a region that is not here has no stress of its own.
    load_body : str
        Name of the rigid body the load acts on.
    memo : Memo
        What has been worked out from the state.

    Raises
    ------
    ConvergenceError
        If the solution did not converge: an unconverged solve is no result.
    InputError
        If the parts do not belong together.
    """

    name: str
    mesh: SpineMesh
    tissue: Tissue
    elasticity: Elasticity
    problem: Problem
    loads: Loads
    load_case: LoadCase
    load_point: NDArray[np.float64]
    solution: Solution
    fields: Fields
    region_young: Mapping[str, float | NDArray[np.float64]] = field(default_factory=dict)
    region_unit_elasticity: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    load_body: str = TOP
    memo: Memo = field(default_factory=Memo, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.solution.is_converged:
            last = self.solution.residual_norms[-1] if self.solution.residual_norms else float("nan")
            raise ConvergenceError(
                f"the solve of state {self.name!r} stopped at a residual of {last:.1e}, not {self.solution.rtol:.1e}",
                fix="no outcome is taken from an unconverged solve: raise the iteration limit or check the supports",
            )
        n_points, n_cells = len(self.mesh.points), len(self.mesh.cells)
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "solution.u": (self.solution.u.shape, (n_points, 3)),
            "fields.strain": (self.fields.strain.shape, (n_cells, 6)),
            "fields.stress": (self.fields.stress.shape, (n_cells, 6)),
            "fields.strain_energy_density": (self.fields.strain_energy_density.shape, (n_cells,)),
            "elasticity.young": (self.elasticity.young.shape, (n_cells,)),
        }
        for name, young in self.region_young.items():
            if np.ndim(young) and name in self.mesh.regions:
                shapes[f"region_young of {name!r}"] = (np.shape(young), self.mesh.regions[name].cells.shape)
        for name, matrix in self.region_unit_elasticity.items():
            shapes[f"region_unit_elasticity of {name!r}"] = (np.shape(matrix), (6, 6))
        for part, (shape, expected) in shapes.items():
            if shape != expected:
                raise InputError(
                    f"{part} has shape {shape}, the mesh asks for {expected}", where=f"state {self.name!r}"
                )

    @cached_property
    def cell_volumes(self) -> NDArray[np.float64]:
        """Volume of every cell, mm3, (n_cells,)."""
        return cell_volumes(self.mesh)

    @cached_property
    def cell_centroids(self) -> NDArray[np.float64]:
        """Centroid of every cell, mm, (n_cells, 3)."""
        return cell_centroids(self.mesh)

    @cached_property
    def part_rank(self) -> NDArray[np.int64]:
        """Position in `parts(mesh)` of the vertebra or disc that fills most of each cell, (n_cells,)."""
        return part_rank(self.mesh)

    @cached_property
    def principal_stress(self) -> NDArray[np.float64]:
        """Principal values of the cell mean stress, ascending, MPa, (n_cells, 3)."""
        return principal_values(stress_tensor(self.fields.stress))

    @cached_property
    def principal_strain(self) -> NDArray[np.float64]:
        """Principal values of the cell mean strain, ascending, dimensionless, (n_cells, 3)."""
        return principal_values(strain_tensor(self.fields.strain))

    @property
    def axial_force(self) -> float:
        """Force of the loaded pad on the segment along +z, N; negative in compression."""
        return float(self._of_load_body("rigid_reaction")[2])

    @property
    def axial_load(self) -> float:
        """Size of the axial load, N: that of the loaded pad and of a follower load; 0 under moments alone."""
        load_case = self.load_case
        has_force = load_case.control == "displacement" or load_case.force_n != 0.0
        return (abs(self.axial_force) if has_force else 0.0) + load_case.follower_n

    @property
    def axial_displacement(self) -> float:
        """Displacement of the load point along +z, mm; negative in compression."""
        motion = self._of_load_body("rigid_motion")
        reference = next(body.reference for body in self.problem.rigid_bodies if body.name == self.load_body)
        return float((motion[:3] + np.cross(motion[3:], self.load_point - reference))[2])

    def _of_load_body(self, what: str) -> NDArray[np.float64]:
        found: Mapping[str, NDArray[np.float64]] = getattr(self.solution, what)
        if self.load_body not in found:
            raise InputError(
                f"state {self.name!r} has no rigid body {self.load_body!r}, only {', '.join(sorted(found)) or 'none'}",
                fix="name the loaded pad in SolvedState.load_body",
            )
        return found[self.load_body]


@dataclass(frozen=True)
class Outcome:
    """A named computation on solved states.

    Parameters
    ----------
    name : str
        Name in studies.
    needs : tuple of {"segment", "isolated"}
        Solves it uses: the whole segment, or every body alone between rigid ends.
    compute : callable
        `compute(segment, isolated, settings)` with the segment's state, the isolated states by level, and the settings.
    """

    name: str
    needs: tuple[SolveName, ...]
    compute: Callable[[SolvedState, Mapping[str, SolvedState], OutcomeSettings], list[Value]]
