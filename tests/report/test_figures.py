"""Figures: what is drawn, on which axes, and what lies beside it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fesolver.report.bars import change_figure
from fesolver.report.check_picture import write_check_picture
from fesolver.report.check_text import check_lines
from fesolver.report.figures import write_figures
from fesolver.report.results import read_results
from fesolver.report.section_figures import section_figures
from fesolver.report.style import change_limit, robust_limit
from fesolver.report.sweep import sweep_figure


def test_every_figure_has_png_pdf_and_data(make_results):
    out = make_results()
    figures = write_figures(out)

    names = [figure.name for figure in figures]
    assert names[0] == "change_factor_of_risk_yielded_volume"
    assert {"section_min_principal_stress", "section_von_mises", "section_young"} <= set(names)
    for name in names:
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert len(pd.read_csv(out / "figures" / f"{name}.csv")) > 0
    assert len(json.loads((out / "figures" / "index.json").read_text())["figures"]) == len(names)


def test_section_data_hold_the_change_of_every_polygon(make_results):
    out = make_results()
    write_figures(out)
    data = pd.read_csv(out / "figures" / "section_min_principal_stress.csv")

    change = data["min_principal_stress_treated_mpa"] - data["min_principal_stress_intact_mpa"]
    np.testing.assert_allclose(data["min_principal_stress_change_mpa"], change, rtol=0, atol=1e-14)
    assert set(data["plane"]) == {"mid-sagittal", "coronal"}
    # 10 columns of 3 mm over 78 mm of height: the section of the boxes at x = 0.
    assert data.loc[data["plane"] == "mid-sagittal", "area_mm2"].sum() == pytest.approx(30.0 * 78.0)


def test_a_run_without_fields_has_bars_and_no_sections(make_results):
    names = [figure.kind for figure in write_figures(make_results(fields=False))]

    assert "section" not in names
    assert "change" in names


def test_a_run_without_treatment_shows_its_levels(make_results):
    kinds = {figure.kind for figure in write_figures(make_results(treated=False, fields=False))}

    assert kinds == {"state"}


def test_a_run_without_a_finished_case_has_no_figures(make_results):
    assert write_figures(make_results(failed=1)) == ()


def test_axis_of_change_is_never_narrower_than_one_percent(make_results):
    changes = read_results(make_results(fields=False)).changes
    table = changes[changes["quantity"] == "nucleus_pressure_mpa"].reset_index(drop=True)
    assert table["change_percent"].abs().max() < 1.0

    figure = change_figure(table, "nucleus_pressure_mpa", treated_level="L1")

    assert figure.axes[1].get_xlim() == (-1.0, 1.0)


def test_a_change_of_zero_still_has_the_axis_of_one_percent():
    assert change_limit(np.array([0.0, np.nan])) == 1.0


def test_one_hot_cell_does_not_set_the_colour_scale():
    values = np.r_[np.full(99, -1.0), -1e6]

    assert robust_limit(values, np.ones(100)) == 1.0


def test_sweep_shows_every_done_case_and_names_the_failed_ones(make_results):
    caption, figure, data = sweep_figure(read_results(make_results(slopes=(0.8, 1.0, 1.2), failed=1, fields=False)))

    assert "1 of 3 cases failed" in caption
    assert set(data["level"]) == {"T12", "L2"}
    assert len(data) == 4
    assert figure.axes[0].get_ylim() == (-1.0, 1.0)


def test_sweep_without_treatment_shows_the_values(make_results):
    out = make_results(slopes=(0.8, 1.0), treated=False, fields=False)

    assert "sweep" in [figure.kind for figure in write_figures(out)]
    assert set(pd.read_csv(out / "figures" / "sweep.csv")["level"]) == {"T12", "L1", "L2"}


def test_a_single_case_has_no_sweep(make_results):
    assert sweep_figure(read_results(make_results(fields=False))) is None


def test_check_picture_is_drawn_with_load_pads_and_cement(checked, tmp_path):
    path = write_check_picture(checked, tmp_path / "new" / "check.png")

    assert path.read_bytes().startswith(b"\x89PNG")


def test_check_lines_give_tilt_and_wedge_of_the_made_up_segment(checked):
    text = "\n".join(check_lines(checked))

    assert "20.0° off" in text
    assert "T12:      wedge +5.0°" in text
    assert "2 704 of 3 x 3 x 3 mm" in text
    assert "nothing has been solved" in text


def test_panels_of_sections_of_different_widths_stand_apart(make_results):
    # Posterior elements make the sagittal section twice as wide as the coronal one.
    fields = read_results(make_results()).done[0].read_fields()
    wide = replace(fields, points=fields.points * [0.7, 3.0, 1.0])

    for _, _, figure, _ in section_figures(wide, "L1"):
        boxes = [axes.get_position() for axes in figure.axes]
        for at, one in enumerate(boxes):
            for other in boxes[at + 1 :]:
                assert one.x1 < other.x0 or other.x1 < one.x0 or one.y1 < other.y0 or other.y1 < one.y0
        assert max(box.x1 for box in boxes) <= 1.0
