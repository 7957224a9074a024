"""Finite elements for osteoporotic vertebrae: cement augmentation, load shift, adjacent-fracture risk.

Names load when they are first used; importing the package imports none of the libraries under it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fesolver.errors import ConvergenceError, FesolverError, InputError, MissingDependencyError
    from fesolver.fem.problem import Elasticity, LinearTie, Loads, Problem, RigidBody, RigidLoad
    from fesolver.report.html import write_report
    from fesolver.report.results import read_results
    from fesolver.solvers.prepare import prepare
    from fesolver.solvers.voxels import Fixed, Pad, VoxelSolution, VoxelSystem, prepare_voxels, solve_voxels
    from fesolver.study.config import StudyConfig, load_study, study_from_dict
    from fesolver.study.demo import demo_study
    from fesolver.study.runner import RunSummary, run_study

_HOMES = {
    "fesolver.errors": ("ConvergenceError", "FesolverError", "InputError", "MissingDependencyError"),
    "fesolver.fem.problem": ("Elasticity", "LinearTie", "Loads", "Problem", "RigidBody", "RigidLoad"),
    "fesolver.report.html": ("write_report",),
    "fesolver.report.results": ("read_results",),
    "fesolver.solvers.prepare": ("prepare",),
    "fesolver.solvers.voxels": ("Fixed", "Pad", "VoxelSolution", "VoxelSystem", "prepare_voxels", "solve_voxels"),
    "fesolver.study.config": ("StudyConfig", "load_study", "study_from_dict"),
    "fesolver.study.demo": ("demo_study",),
    "fesolver.study.runner": ("RunSummary", "run_study"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ConvergenceError",
    "Elasticity",
    "FesolverError",
    "Fixed",
    "InputError",
    "LinearTie",
    "Loads",
    "MissingDependencyError",
    "Pad",
    "Problem",
    "RigidBody",
    "RigidLoad",
    "RunSummary",
    "StudyConfig",
    "VoxelSolution",
    "VoxelSystem",
    "__version__",
    "demo_study",
    "load_study",
    "prepare",
    "prepare_voxels",
    "read_results",
    "run_study",
    "solve_voxels",
    "study_from_dict",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("fesolver")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'fesolver' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)
