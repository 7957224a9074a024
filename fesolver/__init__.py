"""Finite elements for osteoporotic vertebrae: cement augmentation, load shift, adjacent-fracture risk.

Names load when they are first used; importing the package imports none of the libraries under it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fesolver.anatomy.cohort import random_cohort
    from fesolver.anatomy.column import build_column
    from fesolver.anatomy.fractures import Fracture
    from fesolver.anatomy.recipe import SpineRecipe
    from fesolver.errors import ConvergenceError, FesolverError, InputError, MissingDependencyError
    from fesolver.fem.distributed import pressure_force, traction_force
    from fesolver.fem.facets import outer_facets
    from fesolver.fem.members import springs, trusses
    from fesolver.fem.problem import Elasticity, FluidCavity, LinearTie, Loads, Members, Problem, RigidBody, RigidLoad
    from fesolver.fem.quadrature_fields import body_force
    from fesolver.fem.recovery import recover_fields
    from fesolver.meshing.ct_density import ct_density
    from fesolver.meshing.structured import mesh_column
    from fesolver.meshing.structured_tissue import structured_tissue
    from fesolver.outcomes.convergence import convergence_study
    from fesolver.outcomes.error_estimate import estimate_error
    from fesolver.outcomes.shapes import compare_shapes
    from fesolver.report.html import write_report
    from fesolver.report.results import read_results
    from fesolver.solvers.prepare import prepare
    from fesolver.solvers.voxels import Fixed, Pad, VoxelSolution, VoxelSystem, prepare_voxels, solve_voxels
    from fesolver.study.config import StudyConfig, load_study, study_from_dict
    from fesolver.study.demo import demo_study
    from fesolver.study.design.plan import plan_study
    from fesolver.study.explain.compare import compare_results
    from fesolver.study.refinement import study_convergence
    from fesolver.study.results_table import long_table, paired, results_table
    from fesolver.study.runner import RunOptions, RunSummary, run_study

_HOMES = {
    "fesolver.anatomy.cohort": ("random_cohort",),
    "fesolver.anatomy.column": ("build_column",),
    "fesolver.anatomy.fractures": ("Fracture",),
    "fesolver.anatomy.recipe": ("SpineRecipe",),
    "fesolver.errors": ("ConvergenceError", "FesolverError", "InputError", "MissingDependencyError"),
    "fesolver.fem.distributed": ("pressure_force", "traction_force"),
    "fesolver.fem.facets": ("outer_facets",),
    "fesolver.fem.members": ("springs", "trusses"),
    "fesolver.fem.problem": (
        "Elasticity",
        "FluidCavity",
        "LinearTie",
        "Loads",
        "Members",
        "Problem",
        "RigidBody",
        "RigidLoad",
        "RunOptions",
    ),
    "fesolver.fem.quadrature_fields": ("body_force",),
    "fesolver.fem.recovery": ("recover_fields",),
    "fesolver.meshing.ct_density": ("ct_density",),
    "fesolver.meshing.structured": ("mesh_column",),
    "fesolver.meshing.structured_tissue": ("structured_tissue",),
    "fesolver.outcomes.convergence": ("convergence_study",),
    "fesolver.outcomes.error_estimate": ("estimate_error",),
    "fesolver.outcomes.shapes": ("compare_shapes",),
    "fesolver.report.html": ("write_report",),
    "fesolver.report.results": ("read_results",),
    "fesolver.solvers.prepare": ("prepare",),
    "fesolver.solvers.voxels": ("Fixed", "Pad", "VoxelSolution", "VoxelSystem", "prepare_voxels", "solve_voxels"),
    "fesolver.study.config": ("StudyConfig", "load_study", "study_from_dict"),
    "fesolver.study.demo": ("demo_study",),
    "fesolver.study.design.plan": ("plan_study",),
    "fesolver.study.explain.compare": ("compare_results",),
    "fesolver.study.refinement": ("study_convergence",),
    "fesolver.study.results_table": ("long_table", "paired", "results_table"),
    "fesolver.study.runner": ("RunOptions", "RunSummary", "run_study"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ConvergenceError",
    "Elasticity",
    "FesolverError",
    "Fixed",
    "FluidCavity",
    "Fracture",
    "InputError",
    "LinearTie",
    "Loads",
    "Members",
    "MissingDependencyError",
    "Pad",
    "Problem",
    "RigidBody",
    "RigidLoad",
    "RunOptions",
    "RunSummary",
    "SpineRecipe",
    "StudyConfig",
    "VoxelSolution",
    "VoxelSystem",
    "__version__",
    "body_force",
    "build_column",
    "compare_results",
    "compare_shapes",
    "convergence_study",
    "ct_density",
    "demo_study",
    "estimate_error",
    "load_study",
    "long_table",
    "mesh_column",
    "outer_facets",
    "paired",
    "plan_study",
    "prepare",
    "prepare_voxels",
    "pressure_force",
    "random_cohort",
    "read_results",
    "recover_fields",
    "results_table",
    "run_study",
    "solve_voxels",
    "springs",
    "structured_tissue",
    "study_convergence",
    "study_from_dict",
    "traction_force",
    "trusses",
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
