"""What a whole case hands to the outcomes: constants of the bone, a floor at every spacing, reasons for the bands."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.outcomes.band_hypotheses import BAND_HYPOTHESES
from fesolver.outcomes.phase import material_stress
from fesolver.outcomes.registry import evaluate
from fesolver.study.case import CaseResult, run_case
from fesolver.study.inputs import read_data
from fesolver.study.reuse import Reuse
from fesolver.study.stages import Stages


@pytest.fixture(scope="module")
def result(make_study) -> CaseResult:
    """Cells of 2.5 mm, and of 3 mm for the floor: both larger than the 2 mm under an endplate."""
    config = make_study(
        segment={"levels": ["L1", "L2"], "spacing_mm": 2.5}, solver={"floor": "spacing", "floor_spacing_factor": 1.2}
    )
    return run_case(config, read_data(config), stages=Stages(), threads=1)


def test_the_bone_under_every_endplate_has_a_stress_and_a_floor_where_no_cell_is_bone_alone(result):
    changes = {(change.level, change.quantity): change for change in result.changes}

    for level in ("L1", "L2"):
        for endplate in ("superior_endplate", "inferior_endplate"):
            change = changes[level, f"{endplate}_trabecular_min_principal_stress_mean_mpa"]
            assert change.intact < 0.0
            assert change.floor_spacing is not None
            assert (level, f"{endplate}_min_principal_stress_mean_mpa") not in changes


def test_bone_alone_in_its_cell_has_the_stress_of_the_cell(result):
    for states in (result.pair.intact, result.pair.treated):
        for state in (states.segment, *states.isolated.values()):
            for level in state.mesh.levels:
                region = state.mesh.regions[f"{level}/trabecular"]
                alone = region.fraction > 1.0 - 1e-12
                stress = material_stress(state, f"{level}/trabecular")
                assert alone.any()
                assert_allclose(
                    stress[alone], state.fields.stress[region.cells[alone]], rtol=0, atol=1e-9 * np.abs(stress).max()
                )


def test_every_number_outside_its_band_says_why_where_that_was_tested(result):
    outside = [band for band in result.bands if not band.is_inside and band.quantity in BAND_HYPOTHESES]

    assert outside
    assert all(band.hypothesis == BAND_HYPOTHESES[band.quantity] for band in outside)


def test_outcomes_of_an_intact_state_are_worked_out_once_for_all_treatments_of_it(make_study, monkeypatch):
    """Six millilitres after three cost the treated state's outcomes alone, and give the numbers of a case by itself."""
    configs = [
        make_study(
            segment={"levels": ["L1", "L2"], "spacing_mm": 4.0}, treatment={"level": "L1", "volume_ml": volume_ml}
        )
        for volume_ml in (3.0, 6.0)
    ]
    evaluated, reuse = [], Reuse()

    def counted(outcomes, segment, *rest):
        evaluated.append(segment.name)
        return evaluate(outcomes, segment, *rest)

    monkeypatch.setattr("fesolver.study.case.evaluate", counted)
    first, second = (run_case(c, read_data(c), stages=Stages(), threads=1, reuse=reuse) for c in configs)
    alone = run_case(configs[1], read_data(configs[1]), stages=Stages(), threads=1)

    assert evaluated == ["intact", "treated"] * 2 + ["treated"] * 2 + ["intact", "treated"] * 2  # two tolerances each
    assert second.intact == alone.intact == first.intact
    assert second.changes == alone.changes
    assert second.changes != first.changes
