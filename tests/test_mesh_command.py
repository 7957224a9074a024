"""`fesolver mesh`: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import meshio
import pytest
from typer.testing import CliRunner

import fesolver.report.recipe_files
from fesolver.cli import app
from fesolver.study.mesh_recipe import shipped_recipes

QUICK = ("--refinement", "0.4")


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """An empty working folder; the package's log handlers as they were."""
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("fesolver")
    before, level = list(log.handlers), log.level
    yield
    log.handlers[:], log.level = before, level


def run(*arguments: str):
    """A call that must end well."""
    result = CliRunner().invoke(app, ["mesh", *arguments])
    assert result.exit_code == 0, result.output
    return result


def files() -> list[str]:
    """What lies in the working folder."""
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def test_a_mesh_comes_with_its_legend_and_its_picture_beside_it():
    result = run("T12-L1", "--out", "made/segment.vtu", *QUICK)

    assert files() == ["made/segment.json", "made/segment.png", "made/segment.vtu"]
    legend = json.loads(Path("made/segment.json").read_text(encoding="utf-8"))
    grid = meshio.read("made/segment.vtu")
    n_cells = sum(len(block.data) for block in grid.cells)
    assert f"{n_cells:,} hex8 cells".replace(",", " ") in result.stdout
    assert f"{3 * len(grid.points):,} unknowns".replace(",", " ") in result.stdout
    assert legend["recipe"]["refinement"] == 0.4
    assert legend["recipe"]["levels"] == ["T12", "L1"]
    assert "T-score of -3" in legend["density"]
    assert sum(legend["cells_per_direction"][key] for key in ("body", "disc", "core")) > 0


def test_the_answer_shows_volumes_layers_and_quality():
    out = run("T12-L1", "--out", "a.vtu", *QUICK).stdout

    for words in ("volume (ml)", "layer (mm)", "cells through", "scaled Jacobian", "T12-L1/annulus", "T-score of -3",
                  "picture:  a.png", "legend:   a.json", "kyphosis"):  # fmt: skip
        assert words in out


def test_without_out_the_mesh_takes_the_recipe_s_name_here():
    run("T10", *QUICK)

    assert files() == ["T10.json", "T10.png", "T10.vtu"]


def test_quiet_prints_nothing_and_writes_all():
    assert run("T10", "--quiet", *QUICK).output == ""
    assert len(files()) == 3


@pytest.mark.parametrize(("suffix", "element"), [(".msh", "hex20"), (".vtk", "hex8"), (".inp", "hex20")])
def test_other_formats_and_cells_are_written(suffix, element):
    run("T10", "--out", f"a{suffix}", "--element", element, *QUICK)

    assert files() == sorted([f"a{suffix}", "a.json", "a.png"])
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["element"] == element


def test_the_picture_goes_where_it_is_asked_for():
    run("T10", "--out", "a.vtu", "--picture", "pictures/b.svg", *QUICK)

    assert files() == ["a.json", "a.vtu", "pictures/b.svg"]


def test_two_runs_write_the_same_bits():
    run("T10", "--out", "a.vtu", *QUICK)
    run("T10", "--out", "b.vtu", *QUICK)

    assert Path("a.vtu").read_bytes() == Path("b.vtu").read_bytes()
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()


def test_a_recipe_file_of_one_s_own_is_meshed():
    Path("mine.toml").write_text('name = "mine"\nlevels = ["L3"]\nrefinement = 0.4\nelement = "hex20"\n')
    run("mine.toml")

    assert json.loads(Path("mine.json").read_text(encoding="utf-8"))["levels"] == ["L3"]


def test_the_list_names_every_shipped_recipe_and_makes_nothing():
    out = run("--list").stdout

    assert [line.split()[0] for line in out.splitlines()] == list(shipped_recipes())
    assert files() == []


def test_sources_list_every_dimension_with_unit_source_and_standing():
    out = run("small_female", "--sources").stdout

    assert "Panjabi" in out
    assert "times 0.8" in out  # women's widths, at 90 % of their size
    given = next(line for line in out.splitlines() if "[given] the recipe" in line)
    assert "mm" in given
    assert {"T12", "L1", "L2", "T12-L1", "L1-L2"} <= set(out.splitlines())
    assert files() == []


def refused(*arguments: str) -> str:
    """A call that must be refused: code 2, one message with what to do, and nothing written."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    result = CliRunner().invoke(app, ["mesh", *arguments])

    assert result.exit_code == 2, result.output
    assert result.stderr.count("error:") == 1
    assert "to do: " in result.stderr
    assert "where: " in result.stderr
    assert "Traceback" not in result.stderr
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["T10", "--out", "a.stl"], (".stl is no mesh format", ".vtu, .vtk, .msh, .inp")),
        (["T10", "--out", "a"], ("a name without an ending", ".vtu")),
        (["T10", "--out", "."], ("is a folder", "name of a file")),
        (["T10", "--out", "folder.vtu"], ("folder.vtu is a folder",)),
        (["T10", "--out", "old.vtu"], ("old.vtu exists already", "--overwrite")),
        (["T10", "--out", "new.vtu", "--picture", "old.png"], ("old.png exists already", "--picture")),
        (["T10", "--out", "new.vtu", "--picture", "a.jpeg"], ("no picture format", ".png, .pdf, .svg")),
        (["T10", "--out", "old.png/a.vtu"], ("cannot write", "place you may write to")),
        (["T10", "--refinement", "0"], ("refinement cannot be 0", "--refinement")),
        (["T10", "--refinement", "100"], ("refinement cannot be 100", "16 or less")),
        (["T10", "--element", "tet4"], ("'tet4'", "'hex8' or 'hex20'")),
        (["missing.toml"], ("missing.toml does not exist", "path of a .toml recipe")),
        (["folder.vtu"], ("is a folder",)),
        (["T11-L9"], ("no recipe of that name",)),
        (["study.toml", "--element", "hex8"], ("--element belongs to recipes", "[segment]")),
        (["study.toml"], ("t_score", "study.toml")),
        (["broken.toml"], ("not a TOML file",)),
        (["metres.toml"], ("0.041 mm is outside", "metres", "metres.toml: L1")),
        (["folded.toml"], ("scaled Jacobian under", "mm", "folded.toml")),
        ([], ("which recipe", "--list")),
    ],
)
def test_misuse_says_what_where_and_what_to_do_and_writes_nothing(arguments, words):
    Path("folder.vtu").mkdir()
    for name in ("old.vtu", "old.png"):
        Path(name).write_text("kept")
    Path("study.toml").write_text('name = "a"\n[input]\nkind = "synthetic"\n[segment]\nlevels = ["L1"]\n')
    Path("broken.toml").write_text("levels = [")
    head = 'name = "a"\nlevels = ["L1"]\n[dimensions.L1]\n'
    Path("metres.toml").write_text(head + "superior_width_mm = 0.041\n")
    Path("folded.toml").write_text(head + FOLDED)
    message = refused(*arguments)

    for word in words:
        assert word in message


FOLDED = """anterior_height_mm = 17.0
superior_concavity_mm = 11.0
superior_apex_fraction = 0.5
central_endplate_fraction = 0.65
inferior_concavity_mm = 0.0
"""


def test_existing_files_are_replaced_when_asked():
    run("T10", "--out", "a.vtu", *QUICK)
    first = Path("a.vtu").read_bytes()
    run("T11", "--out", "a.vtu", "--overwrite", *QUICK)

    assert Path("a.vtu").read_bytes() != first
    assert len(files()) == 3


@pytest.mark.parametrize(("error", "code"), [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)])
def test_old_files_stay_and_no_half_ones_appear_when_the_picture_fails(monkeypatch, error, code):
    run("T10", "--out", "a.vtu", *QUICK)
    before = {name: Path(name).read_bytes() for name in files()}

    def fail(made, path):
        Path(path).write_text("half a picture")
        raise error

    monkeypatch.setattr(fesolver.report.recipe_files, "write_recipe_picture", fail)
    result = CliRunner().invoke(app, ["mesh", "T11", "--out", "a.vtu", "--overwrite", *QUICK])

    assert result.exit_code == code, result.output
    assert {name: Path(name).read_bytes() for name in files()} == before
