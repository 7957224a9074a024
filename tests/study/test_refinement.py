"""One study on several meshes, and two shapes of one segment."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.outcomes.shapes import compare_shapes
from fesolver.outcomes.state import SolvedState
from fesolver.solvers.prepare import prepare
from fesolver.study.config import study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.model import build_models, make_problem, study_load_case
from fesolver.study.progress import SilentProgress
from fesolver.study.refinement import study_convergence
from fesolver.study.stages import Stages
from fesolver.study.state_solver import solved_state


def parametric(*, refinement: float = 0.4, **given: Any):
    return study_from_dict(
        {
            "name": "a",
            "input": {"kind": "parametric", "density_g_cm3": 0.1, "density_pattern": "uniform", **given},
            "segment": {"levels": ["L1"], "refinement": refinement},
        }
    )


@cache
def solved(refinement: float = 0.4, loss: float = 0.0) -> SolvedState:
    fractures = {"L1": {"anterior_loss_percent": loss}} if loss else {}
    config = parametric(refinement=refinement, fractures=fractures)
    model = build_models(config, read_data(config), Stages(SilentProgress())).intact
    load_case = study_load_case(config)
    problem, pads = make_problem(model, load_case)
    return solved_state("intact", model, load_case, problem, pads, prepare(problem).solve(pads.loads))


def test_every_outcome_of_a_study_gets_an_order_and_a_limit():
    study = study_convergence(parametric(), [4.0, 2.0, 1.0])

    # Over E A / h of the same mesh, so that what the shape gains in volume drops out: displacement elements are too
    # stiff, and less so on every finer mesh.
    stiffness = study.quantities["intact L1 isolated_stiffness_over_ea_h"]
    assert study.sizes == (4.0, 2.0, 1.0)
    assert stiffness.behaviour == "monotone"
    assert stiffness.values[0] > stiffness.values[1] > stiffness.values[2] > stiffness.extrapolated
    assert len(study.quantities) > 30
    assert "GCI" in study.to_text()


def test_sizes_that_make_no_study_are_refused():
    with pytest.raises(InputError, match="two sizes"):
        study_convergence(parametric(), [1.0])
    with pytest.raises(InputError, match="positive"):
        study_convergence(parametric(), [1.0, 0.0])


def test_a_fractured_shape_is_compared_with_the_intact_one_cell_by_cell():
    before, after = solved(), solved(loss=30.0)

    change = compare_shapes(before=before, after=after)

    assert change.how == "cell by cell"
    cells = change.cells["min_principal_stress_mpa"]
    assert_allclose(cells, after.principal_stress[:, 0] - before.principal_stress[:, 0])
    bone = change.regions["L1/trabecular"]
    assert bone.volume_after_mm3 < 0.9 * bone.volume_before_mm3
    weight = before.cell_volumes[before.mesh.regions["L1/trabecular"].cells]
    mean = np.sum(weight * before.principal_stress[before.mesh.regions["L1/trabecular"].cells, 0]) / weight.sum()
    assert_allclose(bone.before["min_principal_stress_mpa"], mean, rtol=1e-12)
    assert_allclose(bone.change("min_principal_stress_mpa"), bone.after["min_principal_stress_mpa"] - mean, rtol=1e-9)


def test_meshes_of_other_counts_are_compared_by_region_and_say_so():
    change = compare_shapes(before=solved(), after=solved(refinement=0.6))

    assert change.how == "by region"
    assert "other cells" in change.reason
    assert not change.cells
    assert set(change.regions) == {"L1/trabecular", "L1/cortical", "L1/superior_endplate", "L1/inferior_endplate"}


def test_shapes_of_other_segments_are_refused():
    other = study_from_dict(
        {
            "name": "a",
            "input": {"kind": "parametric", "t_score": -1.0},
            "segment": {"levels": ["L2"], "refinement": 0.4},
        }
    )
    model = build_models(other, read_data(other), Stages(SilentProgress())).intact
    problem, pads = make_problem(model, study_load_case(other))
    state = solved_state("x", model, study_load_case(other), problem, pads, prepare(problem).solve(pads.loads))

    with pytest.raises(InputError, match="L1 and L2"):
        compare_shapes(before=solved(), after=state)
