"""The boundary-value problem as arrays: what every solver takes and what it gives back the loads for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Connections",
    "Elasticity",
    "ElementName",
    "FluidCavity",
    "Lattice",
    "LinearTie",
    "Loads",
    "Members",
    "Problem",
    "RigidBody",
    "RigidLoad",
]

ElementName = Literal["hex8", "hex20", "tet4", "tet10", "wedge6", "wedge15"]
"""Solid elements; their nodes in VTK order."""


@dataclass(frozen=True)
class Elasticity:
    """Linear elastic constants per cell.

    Parameters
    ----------
    young : (n_cells,) ndarray
        Young's modulus, MPa. In a cell listed in `general_cells` only a representative number, used in reports.
    poisson : (n_cells,) ndarray
        Poisson's ratio, dimensionless, in (-1, 0.5).
    general_cells : (k,) ndarray of int64
        Ascending ids of cells that are not isotropic.
    general_matrices : (k, 6, 6) ndarray
        Their elasticity matrices in the mesh frame, MPa, Voigt order of `fesolver.fem.voigt`, engineering shear.
    """

    young: NDArray[np.float64]
    poisson: NDArray[np.float64]
    general_cells: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    general_matrices: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 6, 6)))


@dataclass(frozen=True)
class Lattice:
    """The regular grid under a voxel mesh.

    Parameters
    ----------
    shape : tuple of int
        Cells along x, y, z.
    spacing : (3,) ndarray
        Cell edges, mm.
    origin : (3,) ndarray
        Lower corner of cell (0, 0, 0), mm.
    cell_index : (n_cells, 3) ndarray of int32
        Grid position of every cell of the mesh.
    point_index : (n_points, 3) ndarray of int32
        Grid position of every point of the mesh, 0..n along each axis.
    """

    shape: tuple[int, int, int]
    spacing: NDArray[np.float64]
    origin: NDArray[np.float64]
    cell_index: NDArray[np.int32]
    point_index: NDArray[np.int32]


@dataclass(frozen=True)
class RigidBody:
    """Points that move as one rigid body.

    Parameters
    ----------
    name : str
        Name the load and the reaction are reported under.
    points : (k,) ndarray of int64
        Ids of the tied points.
    reference : (3,) ndarray
        Point, mm, that forces and motions refer to.
    is_fixed : (6,) ndarray of bool
        Which of the motions (ux, uy, uz, rx, ry, rz) are prescribed; the others follow from force and moment.
    """

    name: str
    points: NDArray[np.int64]
    reference: NDArray[np.float64]
    is_fixed: NDArray[np.bool_]


@dataclass(frozen=True)
class LinearTie:
    """One displacement component as a fixed combination of others: u[dof] = sum(weights * u[masters]).

    Parameters
    ----------
    dof : int
        Slave degree of freedom, 3 * point + component.
    masters : (m,) ndarray of int64
        Master degrees of freedom.
    weights : (m,) ndarray
        Dimensionless weights.
    """

    dof: int
    masters: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class Members:
    """Trusses or springs between pairs of points.

    Parameters
    ----------
    name : str
        Name their forces are reported under.
    ends : (k, 2) ndarray of int64
        Point ids; the second may be -1, which is fixed ground.
    stiffness : (k, 3, 3) ndarray
        N/mm, symmetric and positive semidefinite: the force on the second end is stiffness @ (u[first] - u[second]).
    """

    name: str
    ends: NDArray[np.int64]
    stiffness: NDArray[np.float64]


@dataclass(frozen=True)
class FluidCavity:
    """A closed cavity filled with a fluid that is weightless and has one pressure, an unknown.

    Parameters
    ----------
    name : str
        Name its pressure is reported under.
    facets : (m, 3, 4, 6 or 8) ndarray of int64
        Its whole closed wall: point ids of facets of one kind, counter-clockwise seen from the solid, so that normals
        point out of the cavity.
    bulk_modulus : float
        MPa, positive; infinity keeps the volume.
    """

    name: str
    facets: NDArray[np.int64]
    bulk_modulus: float = float("inf")


@dataclass(frozen=True)
class Connections:
    """Elements whose force follows from one elongation by a law of straight pieces: ligaments, contacts, fibres.

    The elongation of element i is e_i = sum of weights . u[points] over its entries starts[i]:starts[i + 1]; its force
    f_i(e_i), tension positive, acts on them as the internal force f_i * weights. Laws never fall, so that the energy
    is convex and the state under a load is one.

    Parameters
    ----------
    name : str
        Name their forces are reported under, as `L1-L2/anterior_longitudinal`.
    starts : (m + 1,) ndarray of int64
        Entries of element i are starts[i]:starts[i + 1].
    points : (q,) ndarray of int64
        Point ids of the entries.
    weights : (q, 3) ndarray
        Dimensionless; each element's must not be excited by rigid motions: no net force or moment.
    owners : (q,) ndarray of int64
        Cell that each entry pulls at: the force belongs to the side of a cut that this cell is on.
    breaks : (m, b) ndarray
        Elongations, mm, ascending, where the stiffness changes.
    stiffness : (m, b + 1) ndarray
        N/mm, not negative: before the first break, between breaks, after the last.
    force_at_break : (m,) ndarray
        Force, N, at the first break.
    """

    name: str
    starts: NDArray[np.int64]
    points: NDArray[np.int64]
    weights: NDArray[np.float64]
    owners: NDArray[np.int64]
    breaks: NDArray[np.float64]
    stiffness: NDArray[np.float64]
    force_at_break: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Number of elements."""
        return len(self.starts) - 1


@dataclass(frozen=True)
class Problem:
    """Everything but the loads of a linear elastic problem.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        Coordinates, mm.
    cells : (n_cells, k) ndarray of int64
        Cells of one kind; points in VTK order (hexahedra: bottom face counter-clockwise seen from +z, then top face).
    elasticity : Elasticity
        Constants per cell.
    prescribed_dofs : (k,) ndarray of int64
        Ascending degrees of freedom (3 * point + component) whose displacement is given.
    rigid_bodies : tuple of RigidBody
        Must not share points with each other or with `prescribed_dofs`.
    ties : tuple of LinearTie
        Linear constraints; a slave is neither prescribed nor in a rigid body nor a master.
    lattice : Lattice or None
        The regular grid where there is one; the voxel solver needs it.
    integration : {"b-bar", "full", "incompatible"}
        Of eight-node hexahedra: mean dilatation, full 2 x 2 x 2 integration, or incompatible modes.
    element : ElementName
        What the cells are.
    members : tuple of Members
        Trusses and springs.
    cavities : tuple of FluidCavity
        Cavities that the mesh leaves open.
    connections : tuple of Connections
        Ligaments, contacts, fibres: what makes the problem piecewise linear.
    """

    points: NDArray[np.float64]
    cells: NDArray[np.int64]
    elasticity: Elasticity
    prescribed_dofs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    rigid_bodies: tuple[RigidBody, ...] = ()
    ties: tuple[LinearTie, ...] = ()
    lattice: Lattice | None = None
    integration: Literal["b-bar", "full", "incompatible"] = "b-bar"
    element: ElementName = "hex8"
    members: tuple[Members, ...] = ()
    cavities: tuple[FluidCavity, ...] = ()
    connections: tuple[Connections, ...] = ()


@dataclass(frozen=True)
class RigidLoad:
    """Force, moment and motion of one rigid body; each entry is used where the motion is free or fixed, respectively.

    Parameters
    ----------
    force : (3,) ndarray
        N, acting at the body's reference point.
    moment : (3,) ndarray
        N mm about the reference point.
    motion : (6,) ndarray
        Prescribed ux, uy, uz (mm) and rx, ry, rz (rad, small).
    """

    force: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    moment: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    motion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(6))


@dataclass(frozen=True)
class Loads:
    """One load case for a `Problem`.

    Parameters
    ----------
    nodal_force : (n_points, 3) ndarray or None
        External forces, N; None is zero.
    prescribed : (k,) ndarray or None
        Values, mm, for `Problem.prescribed_dofs`; None is zero.
    rigid : mapping of str to RigidLoad
        Per rigid body; a body that is absent is unloaded and its fixed motions are zero.
    initial_strain : (n_cells, 6) ndarray or None
        Strain that each cell would take if it were free (thermal, shrinkage, swelling), Voigt order, engineering shear:
        stress = D (strain - initial strain). None is zero.
    """

    nodal_force: NDArray[np.float64] | None = None
    prescribed: NDArray[np.float64] | None = None
    rigid: Mapping[str, RigidLoad] = field(default_factory=dict)
    initial_strain: NDArray[np.float64] | None = None
