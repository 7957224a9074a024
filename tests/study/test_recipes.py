"""Mesh recipes: the catalogue, what a recipe becomes, and what its mistakes say."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.spatial import cKDTree

from fesolver.anatomy.dimensions import DIMENSION_UNITS
from fesolver.anatomy.levels import LEVELS
from fesolver.anatomy.t_score import density_from_t_score
from fesolver.errors import InputError
from fesolver.study.mesh_recipe import (
    REFINEMENTS,
    RecipeMesh,
    find_recipe,
    make_recipe_mesh,
    shipped_recipes,
    with_options,
)
from fesolver.study.recipe import density_text, load_recipe, recipe_from_dict
from fesolver.study.schema import FractureConfig, MeshRecipe

BODIES = LEVELS[LEVELS.index("T10") : LEVELS.index("L5") + 1]
UNITS = [f"{upper}-{lower}" for upper, lower in pairwise(BODIES)]
COARSE = 0.4


def made_from(refinement: float = COARSE, **keys: Any) -> RecipeMesh:
    """A mesh of a recipe of two levels, keys added or replaced."""
    data = {"name": "two", "levels": ["L1", "L2"], "refinement": refinement} | keys
    return make_recipe_mesh(recipe_from_dict(data, source="two.toml"), source="two.toml")


def test_the_catalogue_holds_every_level_every_unit_and_the_longer_segments():
    names = set(shipped_recipes())

    assert {*BODIES, *UNITS, "T10-L2", "T12-L2", "L1-L5"} <= names
    assert len(REFINEMENTS) == 3


def test_the_guide_names_every_key_and_every_dimension_with_its_range():
    guide = (Path(__file__).parents[2] / "docs" / "user" / "meshes.md").read_text(encoding="utf-8")
    keys = {field.alias or name for name, field in MeshRecipe.model_fields.items()} | set(FractureConfig.model_fields)

    for key in (*keys, *DIMENSION_UNITS):
        assert re.search(rf"`{key}[`.]", guide), key


def test_the_table_of_the_catalogue_has_every_recipe_at_every_refinement():
    readme = (Path(__file__).parents[2] / "meshes" / "README.md").read_text(encoding="utf-8")

    for name in shipped_recipes():
        for word, refinement in REFINEMENTS.items():
            assert f"| {name} | {refinement:g} ({word}) |" in readme


def test_meshes_at_doubled_refinement_are_nested():
    coarse, fine = (made_from(r).structured.mesh for r in (1.0, 2.0))
    # In the recipe's own frame: that of the mesh stands on centroids over facets, which move by micrometres.
    distance, _ = cKDTree(fine.frame.to_parent(fine.points)).query(coarse.frame.to_parent(coarse.points))

    assert distance.max() < 1e-12  # round-off of 50 mm


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_says_its_name_and_makes_a_sound_mesh(name):
    table, source = find_recipe(name)
    made = make_recipe_mesh(with_options(table, refinement=REFINEMENTS["coarse"]), source=source)

    assert table.name == name
    assert table.description
    assert made.quality.scaled_jacobian.min() > 0.5  # the acceptable range of the Verdict library
    for part in made.volumes:
        if part.shape_ml is not None:
            # A ring of n chords has sin(2 pi / n) / (2 pi / n) of the circle's area: 2.6 % less at 16 around.
            assert part.mesh_ml == pytest.approx(part.shape_ml, rel=0.03)


def test_recipes_named_by_levels_hold_those_levels_and_nothing_replaced():
    for name in (*BODIES, *UNITS, "T10-L2", "T12-L2", "L1-L5"):
        table, _ = find_recipe(name)
        first, _, last = name.partition("-")
        assert table.levels == BODIES[BODIES.index(first) : BODIES.index(last or first) + 1]
        assert not any(row.is_overridden for row in make_source_rows(table))


def make_source_rows(table):
    """Source rows of a recipe."""
    from fesolver.study.mesh_recipe import spine_of

    return spine_of(table).source_table()


def test_bodies_reach_the_parametric_volume_by_the_square_of_the_cell_size():
    missing = []
    for refinement in (1.0, 2.0):
        made = made_from(refinement, levels=["L1"])
        missing.append(1.0 - made.volumes[0].mesh_ml / made.volumes[0].shape_ml)

    assert missing[1] > 0.0  # chords lie inside
    assert missing[0] / missing[1] == pytest.approx(4.0, rel=0.05)


def test_layers_have_the_thickness_that_was_asked_for():
    given = {"shell_thickness_mm": 0.5, "superior_endplate_thickness_mm": 0.8, "inferior_endplate_thickness_mm": 0.3}
    made = made_from(1.0, levels=["L1"], dimensions={"L1": given})

    assert [layer.asked_mm for layer in made.layers] == [0.5, 0.8, 0.3]
    for layer in made.layers:
        # Volume over outer area: a curved wall loses half its thickness over its radius, 0.5 of 2 x 17 mm.
        assert layer.measured_mm == pytest.approx(layer.asked_mm, rel=0.02)


def test_layer_cells_are_counted_through_shell_and_endplates():
    assert {layer.n_cells for layer in made_from(1.0, levels=["L1"], layer_cells=2).layers} == {2}


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_a_fracture_and_a_degenerated_disc_move_points_and_keep_cells_and_names(element):
    intact = made_from(element=element).structured.mesh
    changed = made_from(
        element=element, fractures={"L1": {"kind": "wedge", "grade": 2}}, degeneration={"L1-L2": "moderate"}
    ).structured.mesh

    assert_array_equal(intact.cells, changed.cells)
    assert list(intact.regions) == list(changed.regions)
    for name, region in intact.regions.items():
        assert_array_equal(region.cells, changed.regions[name].cells)
    assert np.abs(intact.points - changed.points).max() > 1.0


def test_a_recipe_without_density_takes_t_score_minus_three_and_says_so():
    made = made_from(1.0, levels=["L1"])
    cells = made.structured.mesh.level_cells("L1")
    mean = np.average(made.tissue.density[cells], weights=made.quality.volume[cells])

    assert "T-score of -3 (none is given)" in density_text(made.table)
    # The pattern keeps the mean over the shape; the mesh is 0.3 % smaller, at the wall.
    assert mean == pytest.approx(density_from_t_score(-3.0), rel=0.005)


def test_a_given_density_is_the_mean_and_stands_in_the_text():
    made = made_from(1.0, levels=["L1"], density_g_cm3=0.12, density_pattern="uniform")

    assert made.tissue.density.max() == pytest.approx(0.12, rel=1e-12)
    assert density_text(made.table) == "mean density 120 mg/cm3 (rho_qct), uniform"


def test_options_of_the_command_line_replace_those_of_the_recipe():
    table, _ = find_recipe("L1")

    assert with_options(table) == table
    assert with_options(table, refinement=2.0).refinement == 2.0
    assert with_options(table, element="hex20").element == "hex20"


@pytest.mark.parametrize(
    ("options", "where"),
    [({"refinement": 0.0}, "--refinement"), ({"refinement": float("nan")}, "--refinement"),
     ({"refinement": 100.0}, "--refinement"), ({"element": "tet4"}, "--element")],
)  # fmt: skip
def test_a_bad_option_is_named_as_the_option(options, where):
    with pytest.raises(InputError) as caught:
        with_options(find_recipe("L1")[0], **options)

    assert caught.value.where == where
    assert caught.value.fix


def test_a_file_comes_before_a_shipped_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("L1").write_text('name = "mine"\nlevels = ["T10"]\n')

    assert find_recipe("L1")[0].name == "mine"


def test_a_misspelt_name_gets_the_one_that_was_meant():
    with pytest.raises(InputError, match="no recipe of that name") as caught:
        find_recipe("t12-l2")

    assert caught.value.fix == "did you mean T12-L2?"


@pytest.mark.parametrize(
    ("keys", "what", "where", "fix"),
    [
        ({"refinment": 2.0}, "unknown key 'refinment'", "two.toml: refinment", "did you mean 'refinement'"),
        ({"levels": ["L1", "L6"]}, "no dimensions for 'L6'", "two.toml: levels", "use T10"),
        ({"levels": ["L1", "L3"]}, "must follow one another", "two.toml: levels", "use all of L1, L2, L3"),
        ({"levels": ["L1", "L1"]}, "listed twice", "two.toml: levels", "name each level once"),
        ({"levels": []}, "levels cannot be", "two.toml: levels", "a list of 1 or more"),
        ({"refinement": 0.0}, "refinement cannot be 0", "two.toml: refinement", "greater than 0"),
        ({"refinement": 100.0}, "refinement cannot be 100", "two.toml: refinement", "16 or less"),
        ({"refinement": 16.0, "levels": list(BODIES)}, "would make", "two.toml", "stays under"),
        ({"element": "tet4"}, "element cannot be 'tet4'", "two.toml: element", "'hex8' or 'hex20'"),
        ({"layer_cells": 0}, "layer_cells cannot be 0", "two.toml: layer_cells", "1 or more"),
        ({"dimensions": {"L1": {"width_mm": 40.0}}}, "unknown dimension 'width_mm'", "two.toml: L1", "use superior"),
        ({"dimensions": {"L3": {}}}, "dimensions names L3", "two.toml", "use L1, L2"),
        ({"dimensions": {"L1": {"superior_width_mm": 0.041}}}, "0.041 mm is outside", "two.toml: L1", "metres"),
        ({"dimensions": {"L1": {"waist_fraction": "slim"}}}, "cannot be 'slim'", "two.toml: dimensions.L1", "number"),
        ({"dimensions": {"L1": {"superior_concavity_mm": 11.0, "inferior_concavity_mm": 11.0}}},
         "22 mm hollow in a body only 23 mm high", "two.toml", "keep superior_concavity_mm"),
        ({"dimensions": {"L1": {"anterior_height_mm": 8.0, "posterior_height_mm": 50.0, "superior_depth_mm": 60.0,
                                "inferior_depth_mm": 15.0}}}, "rims of L1 meet",
         "two.toml: y = ", "closer together"),
        ({"discs": {"L1-L2": {"height_mm": 0.0}}}, "height_mm = 0 mm", "two.toml: L1-L2", "in that range"),
        ({"discs": {"L2-L3": {"height_mm": 5.0}}}, "discs names L2-L3", "two.toml", "use L1-L2"),
        ({"discs": {"L1-L2": {"height_mm": 1.0, "wedge_deg": 10.0}}}, "overlap by", "two.toml: L1-L2",
         "give height_mm of"),
        ({"discs": {"L1-L2": {"nucleus_area_fraction": 0.8, "nucleus_posterior_mm": 8.0}}}, "does not fit",
         "two.toml: L1-L2", "smaller nucleus"),
        ({"fractures": {"L1": {"kind": "wedge"}}}, "fracture grade", "two.toml: fractures.L1", "use 1, 2 or 3"),
        ({"fractures": {"L1": {"kind": "wedge", "grade": 4}}}, "cannot be 4", "two.toml: fractures.L1.grade", "3 or"),
        ({"fractures": {"L1": {"anterior_loss_percent": 90.0}}}, "90 % is outside", "two.toml: fractures.L1", "range"),
        ({"fractures": {"T12": {"kind": "crush", "grade": 1}}}, "fractures names T12", "two.toml", "use L1, L2"),
        ({"degeneration": {"L1-L2": "awful"}}, "grade 'awful'", "two.toml: degeneration.L1-L2", "use one of none"),
        ({"density_g_cm3": 120.0}, "120 g/cm3 is outside", "two.toml: density_g_cm3", "mg/cm3"),
        ({"density_g_cm3": 0.1, "t_score": -2.0}, "either t_score or density", "two.toml", "not both"),
        ({"size": 2.0}, "size = 2 is outside", "two.toml", "in that range"),
        ({"sagittal_tilt_deg": 120.0}, "not under 90", "two.toml", ""),
        ({"input": {"kind": "synthetic"}}, "a study, not a mesh recipe", "two.toml", "fesolver run"),
        ({"schema": 2}, "schema = 2", "two.toml", "write schema = 1"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_recipe_says_what_where_and_what_to_do(keys, what, where, fix):
    with pytest.raises(InputError) as caught:
        made_from(**keys)

    assert what in caught.value.what
    assert (caught.value.where or "").startswith(where)
    assert not (caught.value.where or "").endswith(":")
    assert fix in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_text("levels = ["), "not a TOML file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a TOML file"),
        (lambda path: path.write_text(""), "key 'name' is missing"),
    ],
)
def test_a_recipe_file_that_is_none_is_refused_with_its_name(tmp_path, make, what):
    path = tmp_path / "mine.toml"
    make(path)
    with pytest.raises(InputError, match=re.escape(what)) as caught:
        load_recipe(path)

    assert str(path) in (caught.value.where or "")
