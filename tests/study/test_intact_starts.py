"""Starts of intact states: fixed by the root alone, and worth their price."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fesolver.fem.problem import Elasticity
from fesolver.study.config import study_from_dict
from fesolver.study.design.plan import plan_study
from fesolver.study.evaluator import StudyEvaluator
from fesolver.study.intact_starts import ANCHORS, intact_starts, scaled_trabecular
from fesolver.study.solving import SolveOptions
from fesolver.study.tasks import base_study, study_tasks


def densities():
    """Two parametric levels, coarse; bone density varies."""
    return study_from_dict({
        "schema": 1,
        "name": "densities",
        "input": {"kind": "parametric", "t_score": -3.0},
        "segment": {"levels": ["L1", "L2"], "refinement": 0.3},
        "solver": {"method": "amg"},
        "factors": {"bone": {"key": "bone.density_scale", "values": [0.8, 1.25]}},
        "output": {"fields": "none", "records": "none", "outcomes": ["stiffness"]},
    })  # fmt: skip


@pytest.fixture
def evaluated(monkeypatch):
    """Rows of a study's cases in an order, and the iterations of their solves."""
    import fesolver.study.evaluator as module

    run = module.run_case
    counts: list[int] = []

    def noted(*args, **keys):
        result = run(*args, **keys)
        counts.append(sum(solve["iterations"] for solve in result.pair.solves))
        return result

    monkeypatch.setattr(module, "run_case", noted)

    def evaluate(order):
        plan = plan_study(densities())
        tasks, evaluator = study_tasks(plan), StudyEvaluator(None, base_study(plan), 1)
        counts.clear()
        rows = [evaluator(tasks[n]) for n in order]
        assert all(row.status == "done" for row in rows), [row.error for row in rows]
        return [row.values for row in rows], list(counts)

    return evaluate


def test_starts_save_iterations_and_do_not_depend_on_which_case_came_first(evaluated, monkeypatch):
    rows, counts = evaluated([0, 1])
    alone, same_counts = evaluated([1])

    assert alone == rows[1:]
    assert same_counts == counts[1:]

    monkeypatch.setattr("fesolver.study.intact_starts.ANCHORS", ())
    near, more = evaluated([0, 1])
    assert all(
        count < 0.8 * other for count, other in zip(counts, more, strict=True)
    )  # 51 of 69 and 46 of 64 when written
    for row, other in zip(rows, near, strict=True):
        for name in row:
            # Both are solved to 1e-8; a floor is the difference of two such solutions.
            if "floor" not in name:
                assert row[name] == pytest.approx(other[name], rel=1e-5, abs=1e-9), name


def test_a_system_that_cannot_combine_starts_begins_at_the_displacement_of_the_root():
    u = np.zeros((4, 3))
    state = SimpleNamespace(
        solution=SimpleNamespace(u=u),
        mesh=SimpleNamespace(regions={"L1/trabecular": SimpleNamespace(cells=np.arange(2))}),
        problem=SimpleNamespace(connections=()),
    )
    solved: Any = SimpleNamespace(
        states=SimpleNamespace(of_part=lambda part: state), systems={"": SimpleNamespace(method="voxel-multigrid")}
    )

    assert intact_starts(solved, 1e-8, SolveOptions())[""] is u


def test_moduli_of_the_cells_named_are_scaled_whatever_law_they_have():
    matrices = np.stack([np.eye(6), 2.0 * np.eye(6)])
    e = Elasticity(np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 0.3), np.array([1, 3]), matrices)

    found = scaled_trabecular(e, np.array([0, 3]), 1.6)

    assert_array_equal(found.young, [1.6, 2.0, 3.0, 6.4])
    assert_array_equal(found.general_matrices, [matrices[0], 1.6 * matrices[1]])
    assert_array_equal(e.young, [1.0, 2.0, 3.0, 4.0])


def test_one_anchor_is_softer_and_one_stiffer():
    assert min(ANCHORS) < 1.0 < max(ANCHORS)
