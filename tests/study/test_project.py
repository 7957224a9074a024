"""`fesolver new`: a folder that is whole, that checks, and that runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fesolver.cli import app
from fesolver.errors import InputError
from fesolver.study.config import load_study
from fesolver.study.design.plan import plan_study
from fesolver.study.mesh_recipe import find_recipe
from fesolver.study.project import make_project

EXPECTED = [".gitignore", "README.md", "meshes/L1_small.toml", "studies/cement_volume.toml"]


def test_a_new_folder_holds_study_recipe_results_and_a_way_on(tmp_path):
    made = make_project(tmp_path / "spines")

    assert [path.relative_to(tmp_path / "spines").as_posix() for path in made] == EXPECTED
    assert (tmp_path / "spines" / "results").is_dir()
    assert (tmp_path / "spines" / "README.md").read_text().startswith("# spines\n")
    assert "results/" in (tmp_path / "spines" / ".gitignore").read_text().split()
    assert os.listdir(tmp_path) == ["spines"]


def test_an_empty_folder_is_taken_and_others_are_refused_untouched(tmp_path):
    (tmp_path / "empty").mkdir()
    assert len(make_project(tmp_path / "empty")) == len(EXPECTED)

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".hidden").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, message in (("mine", "is not empty"), ("file", "is a file"), ("file/below", "cannot make")):
        with pytest.raises(InputError, match=message):
            make_project(tmp_path / name)
    assert os.listdir(tmp_path / "mine") == [".hidden"]


def test_a_place_that_cannot_be_written_is_named_as_it_was_asked_for(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)  # root may write everywhere
    with pytest.raises(InputError) as caught:
        make_project(tmp_path / "new")

    assert caught.value.where == str(tmp_path / "new")
    assert ".partial" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_its_study_and_recipe_are_sound(tmp_path):
    make_project(tmp_path / "new")
    plan = plan_study(load_study(tmp_path / "new" / "studies" / "cement_volume.toml"))
    recipe, _ = find_recipe(str(tmp_path / "new" / "meshes" / "L1_small.toml"))

    assert len(plan) == 6
    assert [factor.name for factor in plan.factors] == ["volume", "modulus"]
    assert recipe.levels == ("T12", "L1", "L2")


@pytest.mark.long
def test_its_study_checks_and_runs_as_the_readme_says(tmp_path, monkeypatch):
    runner = CliRunner()
    monkeypatch.chdir(tmp_path)
    assert runner.invoke(app, ["new", "spines"]).exit_code == 0
    monkeypatch.chdir(tmp_path / "spines")
    for command in (["check"], ["run", "--workers", "2", "--threads", "1"]):
        found = runner.invoke(app, [*command, "studies/cement_volume.toml"])
        assert found.exit_code == 0, found.output
    assert (Path("results") / "cement_volume" / "report.html").is_file()
    assert runner.invoke(app, ["mesh", "meshes/L1_small.toml"]).exit_code == 0
    assert runner.invoke(app, ["bundle", "results/cement_volume"]).exit_code == 0
