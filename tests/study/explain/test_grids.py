"""Convergence over the meshes of a study."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.outcomes.convergence import convergence_study
from fesolver.study.explain.grids import grid_convergence

INTACT, CHANGE = "intact/L1/vertebra_stiffness_n_per_mm", "change/L1-L2/nucleus_pressure_mpa"
SIZES = np.array([2.0, 4.0, 1.0])  # as a design may order them


def made(**columns: object) -> pd.DataFrame:
    """Two volumes on three meshes: order 2 in the stiffness, order 1 in the change."""
    parts = [
        pd.DataFrame(
            {
                "case": [f"{volume}-{h}" for h in SIZES],
                "status": "done",
                "volume_ml": volume,
                "spacing_mm": SIZES,
                INTACT: 1000.0 + 3.0 * SIZES**2,
                CHANGE: 0.1 * volume + 0.05 * SIZES,
                "seconds": 64.0 / SIZES**3,
            }
        )
        for volume in (2.0, 0.2)
    ]
    return pd.concat(parts, ignore_index=True).assign(**columns)


def test_order_limit_and_index_are_those_of_the_convergence_study_of_each_combination():
    found = grid_convergence(made(), "spacing_mm", [INTACT, CHANGE], is_refinement=False)
    assert found.table["outcome"].tolist() == [INTACT, CHANGE] * 2
    assert_allclose(found.table["order"], [2.0, 1.0, 2.0, 1.0], rtol=0, atol=1e-9)
    assert_allclose(found.table["extrapolated"], [1000.0, 0.2, 1000.0, 0.02], rtol=1e-9)
    q = convergence_study(lambda h: {"k": 1000.0 + 3.0 * h**2}, [4.0, 2.0, 1.0]).quantities["k"]
    row = found.table.iloc[0]
    for name in ("behaviour", "order", "extrapolated", "uncertainty", "gci_fine", "gci_medium", "asymptotic_ratio"):
        assert row[name] == getattr(q, name), name
    assert (row["value"], row["finest_size"], row["n_sizes"]) == (1003.0, 1.0, 3)


def test_the_floor_of_a_change_is_its_difference_on_the_two_finest_meshes():
    table = grid_convergence(made(), "spacing_mm", [INTACT, CHANGE], is_refinement=False).table
    changes = table[table["outcome"] == CHANGE].set_index("volume_ml")
    assert_allclose(changes["floor"], 0.05, rtol=1e-12)  # 0.05 (2 - 1)
    assert bool(changes["is_resolved"][2.0])
    # 0.02 + 0.05 at 1 mm: above the floor, though most of it is the mesh; one mesh further it is below.
    assert bool(changes["is_resolved"][0.2])
    coarse = made()[made()["spacing_mm"] > 1.0]
    table = grid_convergence(coarse, "spacing_mm", [CHANGE], is_refinement=False).table.set_index("volume_ml")
    assert_allclose(table["floor"], 0.1, rtol=1e-12)
    assert_allclose(table["value"], [0.3, 0.12], rtol=1e-12)
    stronger = made(**{CHANGE: 0.3 * made()["spacing_mm"] - 0.4})
    table = grid_convergence(stronger, "spacing_mm", [CHANGE], is_refinement=False).table
    assert not table["is_resolved"].any()  # |-0.1| against 0.3
    intact = grid_convergence(made(), "spacing_mm", [INTACT], is_refinement=False).table
    assert intact["floor"].isna().all()
    assert intact["is_resolved"].isna().all()


def test_refinements_are_inverse_sizes():
    given = made(refinement=1.0 / made()["spacing_mm"]).drop(columns="spacing_mm")
    found = grid_convergence(given, "refinement", [INTACT], is_refinement=True)
    assert_allclose(found.table["order"], 2.0, rtol=0, atol=1e-9)
    assert found.costs["size"].tolist() == [4.0, 2.0, 1.0] * 2


def test_seconds_stand_beside_and_their_order_is_that_of_the_cells():
    found = grid_convergence(made(), "spacing_mm", [INTACT], is_refinement=False)
    assert found.table["seconds"].tolist() == [64.0, 64.0]
    assert found.costs["seconds"].tolist() == [1.0, 8.0, 64.0] * 2
    assert_allclose(found.costs["cost_order"], [np.nan, 3.0, 3.0] * 2, rtol=1e-12)


@pytest.mark.parametrize(
    "facts",
    [
        {"seconds_total": 8.0},
        {"seconds": {"mesh": 3.0, "solve": 5.0}},
        json.dumps({"seconds_total": 8.0, "seconds": {"solve": 5.0}}),
    ],
)
def test_seconds_are_found_in_the_facts(facts):
    table = made().drop(columns="seconds")
    table["facts"] = [facts] * len(table)
    assert (grid_convergence(table, "spacing_mm", [INTACT], is_refinement=False).table["seconds"] == 8.0).all()
    table["facts"] = None
    assert grid_convergence(table, "spacing_mm", [INTACT], is_refinement=False).table["seconds"].isna().all()


def test_a_failed_mesh_is_left_out_and_one_mesh_alone_shows_nothing():
    table = made()
    table.loc[(table["volume_ml"] == 2.0) & (table["spacing_mm"] == 1.0), [INTACT, CHANGE]] = np.nan
    table.loc[(table["volume_ml"] == 0.2) & (table["spacing_mm"] > 1.0), [INTACT, CHANGE]] = np.nan
    found = grid_convergence(table, "spacing_mm", [INTACT, CHANGE], is_refinement=False).table
    assert found["behaviour"].tolist() == ["two sizes", "two sizes", "missing", "missing"]
    assert found["n_sizes"].tolist() == [2, 2, 1, 1]
    assert found["finest_size"].tolist() == [2.0, 2.0, 1.0, 1.0]
    assert found["extrapolated"][0] == pytest.approx(1000.0)  # the assumed order is the true one
    assert not found["is_resolved"][3]


def test_mistakes_are_named():
    with pytest.raises(InputError, match="did you mean 'spacing_mm'"):
        grid_convergence(made(), "spacing", [INTACT], is_refinement=False)
    with pytest.raises(InputError, match="outcome"):
        grid_convergence(made(), "spacing_mm", ["intact/L1/none"], is_refinement=False)
    with pytest.raises(InputError, match="positive"):
        grid_convergence(made(spacing_mm=0.0), "spacing_mm", [INTACT], is_refinement=False)
    with pytest.raises(InputError, match="one value"):
        grid_convergence(made(spacing_mm=2.0), "spacing_mm", [INTACT], is_refinement=False)
    with pytest.raises(InputError, match="occurs twice"):
        grid_convergence(made(), "spacing_mm", [INTACT], is_refinement=False, others=())
