"""The study file: what it takes, and the one message it gives for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from fesolver.errors import InputError
from fesolver.study.config import load_study, study_from_dict, with_value
from fesolver.study.shipped import shipped_folder

MINIMAL = {
    "name": "a",
    "input": {"kind": "synthetic", "t_score": -2.5},
    "segment": {"levels": ["L1", "L2"]},
    "treatment": {"level": "L1"},
}


def test_defaults_are_those_of_the_design():
    study = study_from_dict(MINIMAL)

    assert study.load.force_n == 500.0
    assert study.load.top == "tilt"
    assert study.treatment.volume_ml == 6.0
    assert study.materials.cement_young_mpa == 2000.0
    assert (study.materials.cortical_young_mpa, study.materials.endplate_young_mpa) == (8040.0, 670.0)
    assert (study.segment.cortical_thickness_mm, study.segment.endplate_thickness_mm) == (None, None)
    assert (study.disc.annulus_young_mpa, study.disc.annulus_poisson) == (4.2, 0.45)
    assert (study.disc.nucleus_young_mpa, study.disc.nucleus_poisson) == (1.0, 0.499)
    assert study.bone.law == "kopperdahl2002_power"
    assert study.solver.rtol == 1e-8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"load": {"force_kn": 0.5}}, ["load.force_kn", "force_n"]),
        ({"load": {"force_n": -500}}, ["force_n", "-500"]),
        ({"load": {"force_n": float("nan")}}, ["force_n"]),
        ({"segment": {"levels": ["L1", "L9"]}}, ["L9"]),
        ({"segment": {"levels": ["L1", "L3"]}}, ["follow one another"]),
        ({"segment": {"levels": []}}, ["levels"]),
        ({"treatment": {"level": "L5"}}, ["L5", "L1, L2"]),
        ({"treatment": {"level": "L1", "volume_ml": -1}}, ["volume_ml", "-1"]),
        ({"schema": 2}, ["schema", "newer", "update"]),
        ({"name": "../evil"}, ["name"]),
        ({"input": {"kind": "mri"}}, ["input"]),
        ({"input": {"kind": "synthetic"}}, ["t_score", "density_g_cm3"]),
        ({"sweep": {"load": {"farce_n": [1.0]}}}, ["load.farce_n", "load.force_n"]),
        ({"sweep": {"load.force_n": [100.0, -1.0]}}, ["force_n", "-1"]),
        ({"sweep": {"load.top": [1.0]}}, ["load.top", "not a number"]),
        ({"sweep": {"load.force_n": []}}, ["no values"]),
        ({"disc": {"degeneration": {"L4-L5": "moderate"}}}, ["L4-L5", "L1-L2"]),
        ({"solver": {"rtol": 0.5}}, ["rtol"]),
        ({"calibration": {"method": "slope"}}, ["slope_g_cm3_per_hu"]),
        ({"load": {"control": "displacement"}}, ["displacement_mm"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_to_do(change, words):
    with pytest.raises(InputError) as caught:
        study_from_dict({**MINIMAL, **change}, source="study.toml")

    for word in [*words, "study.toml"]:
        assert word in str(caught.value)


def test_a_missing_file_and_a_file_that_is_no_toml_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        load_study(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("name = [")
    with pytest.raises(InputError, match="not a TOML file"):
        load_study(bad)


def test_paths_are_relative_to_the_file_and_variables_expand(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SCANS", "there")
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\n[input]\nkind = "ct"\nct = "${SCANS}/ct.nii.gz"\nlabels = "l.nii.gz"\n'
        '[segment]\nlevels = ["L1"]\n[sweep]\nload.force_n = [1, 2]\n'
    )

    config = load_study(study)

    assert config.input.ct == tmp_path / "there" / "ct.nii.gz"
    assert config.input.labels == tmp_path / "l.nii.gz"
    assert config.sweep == {"load.force_n": (1.0, 2.0)}


def test_an_unset_data_variable_says_where_the_data_is_published(monkeypatch):
    monkeypatch.delenv("FESOLVER_DATA", raising=False)

    with pytest.raises(InputError, match=r"FESOLVER_DATA is not set(.|\n)*TotalSegmentator"):
        load_study(shipped_folder("studies") / "ct_lumbar_vertebroplasty.toml")


def test_with_value_sets_a_nested_key_and_leaves_the_study_alone():
    study = study_from_dict(MINIMAL)

    other = with_value(study, {"load.force_n": 700.0})

    assert (study.load.force_n, other.load.force_n) == (500.0, 700.0)
