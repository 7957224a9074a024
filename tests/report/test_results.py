"""A result folder read back."""

import json

import numpy as np
import pandas as pd
import pytest

from fesolver.errors import InputError
from fesolver.report.results import read_results


def test_nominal_case_is_the_one_with_the_values_of_the_study(make_results):
    results = read_results(make_results(slopes=(0.8, 1.0, 1.2), fields=False))

    assert results.nominal.keys == {"input.calibration.slope_factor": 1.0}
    assert results.swept_keys == ("input.calibration.slope_factor",)
    assert "input.calibration.slope_factor" not in results.quantities


def test_failed_cases_are_never_nominal(make_results):
    results = read_results(make_results(slopes=(1.0, 1.2), failed=1, fields=False))

    assert results.nominal.keys == {"input.calibration.slope_factor": 1.2}
    assert [case.error for case in results.failed] == ["L1: no room for <30 ml>"]


def test_regions_come_back_under_their_names(make_results):
    case = read_results(make_results()).nominal
    fields = case.read_fields()

    assert "L1/cement" in fields.regions
    total = sum(fields.regions.values())
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    assert not any(name.startswith("region_") for name in fields.cell_data)


def test_a_newer_schema_is_refused(make_results):
    out = make_results(fields=False)
    run = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(run | {"schema": 2}))

    with pytest.raises(InputError, match="schema 2"):
        read_results(out)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no run"):
        read_results(tmp_path)


def test_round_off_beside_real_numbers_is_zero_and_no_change(make_results):
    out = make_results(fields=False)
    table = pd.read_csv(out / "changes.csv")
    at = (table["quantity"] == "superior_endplate_bulge_mm") & (table["level"] == "T12")
    table.loc[at, ["intact", "treated", "change", "change_percent"]] = [-7e-17, 4e-18, 7.4e-17, 105.0]
    table.to_csv(out / "changes.csv", index=False)

    changes = read_results(out).changes
    row = changes[(changes["quantity"] == "superior_endplate_bulge_mm") & (changes["level"] == "T12")].iloc[0]

    assert row["intact"] == row["treated"] == row["change"] == 0.0
    assert np.isnan(row["change_percent"])


def test_cell_order_of_flags_does_not_depend_on_how_they_are_spelled(make_results):
    out = make_results(fields=False)
    before = read_results(out).changes["is_resolved"].tolist()
    text = (out / "changes.csv").read_text().replace("True", "true").replace("False", "false")
    (out / "changes.csv").write_text(text)

    assert read_results(out).changes["is_resolved"].tolist() == before
    assert any(before)
    assert not all(before)
