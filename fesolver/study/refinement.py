"""One study on meshes of several sizes: how far every outcome has settled."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fesolver.errors import InputError
from fesolver.outcomes.convergence import ConvergenceStudy, convergence_study
from fesolver.study.case import run_case
from fesolver.study.cases import expand_cases
from fesolver.study.config import StudyConfig, with_value
from fesolver.study.inputs import read_data
from fesolver.study.model import check_tables
from fesolver.study.progress import ProgressReporter, SilentProgress
from fesolver.study.stages import Stages

__all__ = ["study_convergence"]


def study_convergence(
    config: StudyConfig,
    sizes: Sequence[float],
    *,
    threads: int | None = None,
    progress: ProgressReporter | None = None,
) -> ConvergenceStudy:
    """Run the first case of a study on several meshes; order, limit and grid convergence index of every outcome.

    Parameters
    ----------
    config : StudyConfig
        From `fesolver.study.config.load_study`.
    sizes : sequence of float
        Two or more, coarse to fine: cell sizes in mm of a voxel mesh (`segment.spacing_mm`); of a structured mesh,
        whose cells have many sizes, multiples of those at refinement 1. Halves (2, 1, 0.5, refinements 0.5, 1, 2) are
        nested; others round the counts of cells, and their values may oscillate.
    threads : int, optional
        For the solver.
    progress : ProgressReporter, optional
        Told of stages; silent by default.

    Returns
    -------
    ConvergenceStudy
        Quantities are named `intact L1 vertebra_stiffness_n_per_mm`, `treated ...`, and `change ...` for treated minus
        intact. What is not a finite number on every mesh is left out.

    Raises
    ------
    InputError
        If sizes are fewer than two, not positive or not descending, or the study cannot be run on one of them.
    ConvergenceError
        If a solve does not converge.

    Notes
    -----
    Stress extremes (`..._max_mesh_dependent_mpa`) are listed as well, and show why they are called so.
    """
    if len(sizes) < 2:
        raise InputError(f"a convergence study needs two sizes or more, got {len(sizes)}", fix="three show an order")
    first = expand_cases(config)[0].config
    found = {size: _values(_with_size(first, size), threads, progress) for size in sizes}
    shared = set.intersection(*(set(values) for values in found.values()))
    names = [name for name in next(iter(found.values())) if name in shared]
    return convergence_study(lambda size: {name: found[size][name] for name in names}, list(sizes))


def _with_size(config: StudyConfig, size: float) -> StudyConfig:
    """The study on cells of a size."""
    if not (math.isfinite(size) and size > 0.0):
        raise InputError(f"a cell size must be positive and finite, got {size}")
    if config.mesh_kind == "tetrahedral":
        inside = size * config.segment.size_inside_mm / config.segment.size_mm
        sizes = {"segment.size_mm": size, "segment.size_inside_mm": inside}
        return with_value(config, sizes, source="convergence study")
    if config.mesh_kind == "foreign":
        raise InputError("a mesh made elsewhere has one size", where="input.kind", fix="refine it where it was made")
    if config.mesh_kind == "structured":
        return with_value(config, {"segment.refinement": 1.0 / size}, source="convergence study")
    return with_value(config, {"segment.spacing_mm": size}, source="convergence study")


def _values(config: StudyConfig, threads: int | None, progress: ProgressReporter | None) -> dict[str, float]:
    """Every finite outcome of one mesh by name."""
    check_tables(config)
    stages = Stages(progress or SilentProgress())
    with stages("read", "read and check the input"):
        data = read_data(config)
    result = run_case(config, data, stages=stages, threads=threads)
    named = {
        f"{state} {value.level} {value.quantity}": value.value
        for state, values in (("intact", result.intact), ("treated", result.treated))
        for value in values
    }
    named |= {f"change {change.level} {change.quantity}": change.change for change in result.changes}
    return {name: value for name, value in named.items() if math.isfinite(value)}
