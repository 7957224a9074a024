"""Soft connections and rotations in the report: what is said, side by side, and drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fesolver.report.connection_figure import connection_figure
from fesolver.report.figures import write_figures
from fesolver.report.html import write_report
from fesolver.report.quantities import main_outcomes
from fesolver.report.results import read_results

FORCES = {
    ("T12-L1", "anterior_longitudinal_tension_n"): (7.5, 8.25),
    ("T12-L1", "anterior_longitudinal_pulling_fraction"): (1.0, 0.5),
    ("T12-L1", "interspinous_tension_n"): (0.0, 0.0),
    ("T12-L1", "interspinous_pulling_fraction"): (0.0, 0.0),
    ("T12-L1", "facet_force_left_n"): (20.0, 26.0),
    ("T12-L1", "facet_contact_left_fraction"): (0.25, 0.5),
    ("T12-L1", "fibres_pulling_fraction"): (0.53, 0.54),
    ("T12-L1", "flexion_rotation_deg"): (-6.25, -5.5),
    ("T12", "flexion_rotation_deg"): (-6.5, -5.75),
}
RECORD = {
    "source": "published places on the parametric column",
    "fibres": "elements",
    "groups": [
        {"name": "T12-L1/anterior_longitudinal", "elements": 4},
        {"name": "T12-L1/interspinous", "elements": 2},
        {"name": "T12-L1/facet_left", "elements": 16},
        {"name": "T12-L1/fibres", "elements": 768},
    ],
    "active_set": [
        {"state": "intact", "outer": 2, "linear_iterations": [40, 38], "changes": [31, 0], "set_ups": 1},
    ],
    "warnings": ["T12-L1 turns by <6.2> degrees"],
}  # fmt: skip


@pytest.fixture
def soft(make_results) -> Path:
    """A result folder whose case has connections."""
    return with_connections(make_results(fields=False), RECORD, {"flexion_nm": -7.5, "force_n": 0.0, "top": "free"})


def with_connections(out: Path, record: dict[str, Any] | None, load: dict[str, Any]) -> Path:
    """Add forces to the summary of a result folder, and a record and a load to its case."""
    path = out / "cases" / "case_0000" / "case.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"connections": record, "load": content["load"] | load}))
    summary = pd.read_csv(out / "summary.csv")
    for (level, quantity), values in FORCES.items():
        for state, value in zip(("intact", "treated"), values, strict=True):
            at = (summary["level"] == level) & (summary["state"] == state)
            summary.loc[at, quantity] = value
    summary.to_csv(out / "summary.csv", index=False)
    return out


def section(out: Path, anchor: str) -> str:
    """Text of one section; empty where there is none."""
    page = write_report(out).read_text(encoding="utf-8")
    found = re.search(rf'<section id="{anchor}">.*?</section>', page, re.S)
    return re.sub(r"<[^>]+>", "|", found.group()) if found else ""


def row(text: str, name: str) -> list[str]:
    """Cells of the table row that starts with a name."""
    cells = [cell for cell in text.split("|") if cell.strip()]
    at = cells.index(name)
    return cells[at + 1 : at + 6]


def test_forces_and_active_parts_stand_side_by_side(soft):
    text = section(soft, "connections")

    assert row(text, "anterior longitudinal ligament") == ["7.50", "8.25", "+0.750", "100", "50"]
    assert row(text, "left facet joint") == ["20.0", "26.0", "+6.00", "25", "50"]
    assert row(text, "annulus fibres") == ["–", "–", "–", "53", "54"]
    assert "4 groups: 6 strands, 16 facet contact points, 768 fibres." in text
    assert "Annulus fibres are elements inside the cells." in text
    assert "31, 0" in text


def test_rotations_are_shown_with_the_warning_of_the_run_as_text(soft):
    text = section(soft, "rotations")

    assert row(text, "T12-L1")[:2] == ["−6.25", "−5.50"]
    assert "T12-L1 turns by &lt;6.2&gt; degrees" in text


def test_a_moment_without_connections_warns_by_itself_above_five_degrees(make_results):
    out = with_connections(make_results(fields=False), None, {"flexion_nm": -15.0, "force_n": 0.0, "top": "free"})

    assert section(out, "connections") == ""
    assert section(out, "rotations").count("turns by 6.25° (flexion, intact)") == 1
    assert section(out, "rotations").count("turns by 5.50° (flexion, treated)") == 1
    assert "T12 turns" not in section(out, "rotations")  # a body's own turn is not one against its neighbour


def test_a_compression_has_neither_section(make_results):
    out = with_connections(make_results(fields=False), None, {"force_n": 500.0})

    assert section(out, "connections") == section(out, "rotations") == ""


def test_bars_show_what_carries_and_the_table_beside_them_all(soft):
    results = read_results(soft)
    caption, figure, data = connection_figure(results, results.done[0])

    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["anterior longitudinal ligament", "left facet joint"]
    assert "not shown: interspinous ligament." in caption
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == [7.5, 20.0, 8.25, 26.0]
    assert list(data["quantity"]) == ["anterior_longitudinal_tension_n", "interspinous_tension_n", "facet_force_left_n"]


def test_the_figure_is_written_and_embedded(soft):
    written = {figure.name: figure for figure in write_figures(soft)}

    assert written["connections"].kind == "connection"
    assert np.allclose(pd.read_csv(soft / "figures" / "connections.csv")["intact"], [7.5, 0.0, 20.0])
    assert 'alt="Tension of the ligaments' in write_report(soft).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"flexion_nm": -7.5, "force_n": 0.0}, "bent backward by 7.5 N m"),
        ({"axial_rotation_nm": 2.0, "follower_n": 600.0, "force_n": 0.0},
         "under a follower load of 600 N and turned to the left by 2 N m"),
        ({"lateral_bending_nm": -1.0}, "compressed by 500 N and bent to the right by 1 N m"),
    ],
)  # fmt: skip
def test_the_load_is_said_in_words(make_results, load, words):
    out = with_connections(make_results(fields=False), None, load)

    assert words in write_report(out).read_text(encoding="utf-8")


def test_only_the_rotation_that_is_driven_is_a_main_outcome():
    names = ["flexion_rotation_deg", "left_axial_rotation_deg", "nucleus_pressure_mpa"]

    assert main_outcomes(names) == ("nucleus_pressure_mpa",)
    assert main_outcomes(names, {"axial_rotation_nm": -3.0, "flexion_nm": 0.0}) == (
        "left_axial_rotation_deg",
        "nucleus_pressure_mpa",
    )
