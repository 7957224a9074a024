"""The study of soft connections and the page about them: files load, the command takes them, tables are right."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import soft_connections as benchmark
from typer.testing import CliRunner

from fesolver.cli import app
from fesolver.study.model import check_tables
from fesolver.study.schema import ConnectionsConfig

ROOT = Path(__file__).resolve().parents[2]
STUDY = ROOT / "studies" / "soft_connections"
PAGE = (ROOT / "docs" / "user" / "connections.md").read_text(encoding="utf-8")
sys.path.insert(0, str(STUDY))

import load_shift  # noqa: E402
import soft_report  # noqa: E402

NUMBERS = {"intact": -2.0, "treated": -2.1, "change": -0.1, "floor_solver": 1e-9, "floor_spacing": 0.02}


def tables_of(variant: str) -> dict[str, object]:
    return tomllib.loads((STUDY / f"{variant}.toml").read_text(encoding="utf-8"))


def variant_with(**numbers: float) -> dict[str, object]:
    return {"quantities": {"L1 factor_of_risk_yielded_volume": NUMBERS | numbers}, "carried": {}, "elements": 0}


@pytest.mark.parametrize("load", load_shift.LOADS)
@pytest.mark.parametrize("variant", load_shift.VARIANTS)
def test_every_variant_is_a_study_under_every_load(variant, load):
    config = load_shift.study(variant, load, is_full=False)

    check_tables(config)
    assert config.connections.is_used == (variant != "none")
    assert (config.load.flexion_nm, config.load.axial_rotation_nm) == {
        "compression": (0.0, 0.0), "flexion": (7.5, 0.0), "extension": (-7.5, 0.0), "rotation": (0.0, 7.5),
    }[load]  # fmt: skip


def test_files_differ_in_their_connections_only():
    found = {variant: tables_of(variant) for variant in load_shift.VARIANTS}
    connections = {variant: tables.pop("connections", {}) for variant, tables in found.items()}
    for tables in found.values():
        del tables["name"], tables["description"]

    assert all(tables == found["none"] for tables in found.values())
    single = ("ligaments", "facets", "fibres")
    assert connections["all"] == {key: value for name in single for key, value in connections[name].items()}
    assert not connections["none"]


def test_command_accepts_all_connections_on_coarse_cells(tmp_path):
    text = (STUDY / "all.toml").read_text(encoding="utf-8").replace("refinement = 1.0", "refinement = 0.3")
    (tmp_path / "all.toml").write_text(text.replace('"T12", ', ""), encoding="utf-8")

    done = CliRunner().invoke(app, ["check", str(tmp_path / "all.toml"), "--picture", str(tmp_path / "all.png")])

    assert done.exit_code == 0, done.output
    assert (
        "connections: 250 elements" in done.output
    )  # 26 strands, 2 x 16 contacts, 2 fibres in each of 96 annulus cells


@pytest.mark.long
@pytest.mark.parametrize("variant", load_shift.VARIANTS)
def test_command_accepts_every_file(tmp_path, variant):
    picture = tmp_path / "check.png"

    done = CliRunner().invoke(app, ["check", str(STUDY / f"{variant}.toml"), "--picture", str(picture)])

    assert done.exit_code == 0, done.output


def test_change_is_in_percent_of_the_intact_magnitude_and_marked_below_a_floor():
    key = "L1 factor_of_risk_yielded_volume"

    assert soft_report.change_text(variant_with(), key) == "-5.00 (5e-08, 1.00)"
    assert soft_report.change_text(variant_with(floor_spacing=0.2), key) == "-5.00 (5e-08, 10.00) not resolved"
    assert soft_report.change_text(variant_with(intact=0.0), key) == ""


def test_tables_stand_between_their_marks_and_the_text_stays(tmp_path):
    marks = "<!-- tables: written by load_shift.py -->", "<!-- end of tables -->"
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n", encoding="utf-8")

    soft_report.write_readme(readme, {"compression": {"none": variant_with(), "all": variant_with()}})

    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{marks[0]}\n\n### Compression")
    assert text.endswith(f"{marks[1]}\nafter\n")
    assert "| factor of risk L1 | -5.00 (5e-08, 1.00) | -5.00 (5e-08, 1.00) |" in text
    assert "old" not in text


def test_page_names_every_key_of_the_table_and_no_other():
    keys = re.search(r"## Keys\n(.*?)\n## ", PAGE, flags=re.DOTALL)
    assert keys is not None

    assert re.findall(r"^\| `(\w+)` \|", keys[1], flags=re.MULTILINE) == list(ConnectionsConfig.model_fields)


def test_examples_of_the_page_are_studies():
    for block in re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL):
        tables = tables_of("none") | tomllib.loads(block)
        assert load_shift.study_from_dict(tables).connections.is_used


@pytest.mark.parametrize("parts", benchmark.PARTS)
@pytest.mark.parametrize("model", {**benchmark.MODELS, **benchmark.QUICK})
def test_benchmark_measures_what_its_tables_say(model, parts):
    config = benchmark.study(model, parts)

    assert config.connections.is_used == (parts != "linear")
    assert config.mesh_kind == ("voxel" if model.startswith("voxels") else "structured")


def test_benchmark_sets_seconds_beside_those_of_the_linear_solve():
    def record(seconds, **more):
        found = {"solve_s": benchmark.spread([seconds, 2.0 * seconds]), "outer": 5, "iterations": 90, "set_ups": 1}
        loads = dict.fromkeys(
            benchmark.LOADS, found | {"treated": found, "treated from intact": found, "difference": 0.0}
        )
        return {"loads": loads, "n_dof": 3000, "elements": 9, "setup_s": 1.0, "method": "amg", "peak_mb": 1.0} | more

    records = {"linear": record(2.0, compile_inside_s=0.0), "all": record(5.0, compile_inside_s=0.7)}

    text = benchmark.table({"structured, refinement 1": records})

    assert benchmark.ratio(records["all"], records["linear"], "flexion") == 2.5
    assert "- structured, refinement 1, all: 0.7 s went into compiling: run again" in text
