"""Memory a case will take, and whether this machine has it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fesolver.errors import InputError
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.solvers.memory import available_mb, solver_memory_mb

__all__ = ["check_memory", "expected_memory_mb"]

BASE_MB = 180.0
"""Python, the libraries and their compiled kernels."""

MODEL_BYTES = 5400.0
"""Mesh, tissue, and the fields and outcomes of both states at both tolerances, per cell."""

ASSEMBLED_BYTES: Mapping[str, float] = MappingProxyType({"hex8": 2000.0, "hex20": 6100.0})
"""The assembled stiffness and its multigrid levels, per unknown."""


def expected_memory_mb(mesh: SpineMesh) -> float:
    """Expected peak of one case on a mesh, MB.

    Notes
    -----
    The libraries, so many bytes per cell for the model and its solved states, and the solver's own arrays. Figures and
    report included, the demo (92,132 cells) peaks at 611 MB, expected 713, and the CT lumbar study (159,160 cells) at
    1096 MB, expected 1101. On structured meshes, without figures: the structured demo (93,795 unknowns) peaks at
    524 MB, expected 527; two levels of hex8 (153,387 unknowns) at 734, expected 749; of hex20 (110,871 unknowns) at
    899, expected 903.
    """
    expected = BASE_MB + len(mesh.cells) * MODEL_BYTES / 1e6
    if mesh.lattice is not None:
        return expected + solver_memory_mb(len(mesh.cells), len(mesh.points), mesh.lattice.shape)
    return expected + 3 * len(mesh.points) * ASSEMBLED_BYTES.get(mesh.element, ASSEMBLED_BYTES["hex20"]) / 1e6


def check_memory(mesh: SpineMesh) -> None:
    """Refuse a mesh whose case will not fit into memory.

    Raises
    ------
    InputError
        With what is needed and what there is.
    """
    needed, have = expected_memory_mb(mesh), available_mb()
    if have is not None and needed > have:
        raise InputError(
            f"{len(mesh.cells)} cells need about {needed:,.0f} MB of memory and {have:,.0f} MB are available",
            where="segment.spacing_mm" if mesh.lattice is not None else "segment.refinement",
            fix="use larger cells, or fewer levels",
        )
