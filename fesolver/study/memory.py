"""Memory a case will take, and whether this machine has it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.solvers.memory import available_mb, solver_memory_mb

__all__ = ["check_memory", "expected_memory_mb"]

BASE_MB = 180.0
"""Python, the libraries and their compiled kernels."""

MODEL_BYTES = 5400.0
"""Mesh, tissue, and the fields and outcomes of both states at both tolerances, per hexahedron."""

TET_MODEL_BYTES = 1500.0
"""The same per tetrahedron."""

GMSH_MB = 75.0
"""gmsh, which stays loaded, and what it keeps."""

ASSEMBLED_BYTES: Mapping[str, float] = MappingProxyType(
    {"hex8": 2000.0, "hex20": 6100.0, "tet4": 2100.0, "tet10": 3200.0}
)
"""The assembled stiffness and its multigrid levels, per unknown."""

CONNECTED_BYTES: Mapping[str, float] = MappingProxyType(
    {"hex8": 2200.0, "hex20": 2700.0, "tet4": 850.0, "tet10": 1700.0}
)
"""What soft connections add, per unknown: the stiffness once more, with the elements that resist, and its levels."""

CONNECTED_VOXEL_BYTES = 500.0
"""The same on voxels, whose stiffness is not assembled."""


def expected_memory_mb(mesh: SpineMesh, *, has_connections: bool = False) -> float:
    """Expected peak of one case on a mesh, MB.

    Parameters
    ----------
    mesh : SpineMesh
        Of the segment.
    has_connections : bool
        Whether ligaments, facet joints or fibres are elements of their own.

    Notes
    -----
    The libraries, so many bytes per cell for the model and its solved states, and the solver's own arrays. Figures and
    report included, the demo (92,132 cells) peaks at 611 MB, expected 713, and the CT lumbar study (159,160 cells) at
    1096 MB, expected 1101. On structured meshes, without figures: the structured demo (93,795 unknowns) peaks at
    524 MB, expected 527; two levels of hex8 (153,387 unknowns) at 734, expected 749; of hex20 (110,871 unknowns) at
    899, expected 903. On tetrahedra of two parametric levels, treated, meshed in the same process: tet4 (15,855 and
    44,202 unknowns) at 322 and 450, expected 323 and 450; tet10 (45,123 and 108,639) at 416 and 634, expected 413 and
    637. With all connections: hex8 (98,277) at 758, expected 760; hex20 (110,871) at 1196, expected 1202; tet4 (15,855)
    at 335, expected 336; tet10 (45,123) at 489, expected 490; voxels (107,244) at 373 after 320 without, expected 419
    and 365.
    """
    is_tetrahedral = ELEMENTS[mesh.element].shape == "tetrahedron"
    of_model = TET_MODEL_BYTES if is_tetrahedral else MODEL_BYTES
    expected = BASE_MB + GMSH_MB * is_tetrahedral + len(mesh.cells) * of_model / 1e6
    n_dof = 3 * len(mesh.points)
    if mesh.lattice is not None:
        expected += CONNECTED_VOXEL_BYTES * n_dof / 1e6 if has_connections else 0.0
        return expected + solver_memory_mb(len(mesh.cells), len(mesh.points), mesh.lattice.shape)
    per_unknown = ASSEMBLED_BYTES.get(mesh.element, ASSEMBLED_BYTES["hex20"])
    if has_connections:
        per_unknown += CONNECTED_BYTES.get(mesh.element, CONNECTED_BYTES["hex20"])
    return expected + n_dof * per_unknown / 1e6


def check_memory(mesh: SpineMesh, *, has_connections: bool = False) -> None:
    """Refuse a mesh whose case will not fit into memory.

    Parameters
    ----------
    mesh, has_connections
        As in `expected_memory_mb`.

    Raises
    ------
    InputError
        With what is needed and what there is.
    """
    needed, have = expected_memory_mb(mesh, has_connections=has_connections), available_mb()
    if have is not None and needed > have:
        raise InputError(
            f"{len(mesh.cells)} cells need about {needed:,.0f} MB of memory and {have:,.0f} MB are available",
            where=f"segment.{_size_key(mesh)}",
            fix="use larger cells, or fewer levels",
        )


def _size_key(mesh: SpineMesh) -> str:
    """The key that makes the cells of such a mesh larger."""
    if mesh.lattice is not None:
        return "spacing_mm"
    return "size_mm" if ELEMENTS[mesh.element].shape == "tetrahedron" else "refinement"
