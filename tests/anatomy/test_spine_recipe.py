"""Recipes: what is edited in which order, every number with its source, and one clear message for bad geometry."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import PatternedDensity, UniformDensity, mean_density
from fesolver.anatomy.dimensions import DIMENSION_UNITS
from fesolver.anatomy.fractures import Fracture
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.errors import InputError

LEVELS = ("T12", "L1", "L2")


def row(recipe, owner, name):
    (found,) = [r for r in recipe.source_table() if (r.owner, r.name) == (owner, name)]
    return found


def test_a_plain_recipe_is_the_published_column():
    recipe, column = SpineRecipe(LEVELS).column(), build_column(LEVELS)

    assert [v.dimensions for v in recipe.vertebrae] == [v.dimensions for v in column.vertebrae]
    assert recipe.discs == column.discs
    assert [tuple(v.frame.origin) for v in recipe.vertebrae] == [tuple(v.frame.origin) for v in column.vertebrae]


def test_overrides_come_after_sex_and_size_and_before_the_fracture():
    recipe = SpineRecipe(
        LEVELS,
        sex="female",
        size=1.1,
        dimensions={"L1": {"anterior_height_mm": 20.0}},
        fractures={"L1": Fracture(anterior_loss_percent=25.0)},
    )
    d = recipe.column()["L1"].dimensions

    assert d.anterior_height_mm == pytest.approx(15.0)
    assert d.superior_width_mm == pytest.approx(41.2 * 1.1 * (8.22 / 10.98) ** 0.25)


def test_degeneration_acts_on_the_given_height():
    recipe = SpineRecipe(LEVELS, discs={"L1-L2": {"height_mm": 10.0}}, degeneration={"L1-L2": "moderate"})

    (_, disc) = recipe.column().discs

    assert disc.height_mm == pytest.approx(6.0)
    assert disc.nucleus_area_fraction == pytest.approx(0.20)


def test_levels_may_be_given_in_any_order():
    assert SpineRecipe(("L2", "T12", "L1")).column().levels == LEVELS


def test_every_number_has_a_row_with_its_unit_source_and_standing():
    recipe = SpineRecipe(LEVELS)

    rows = recipe.source_table()

    assert {r.name for r in rows} == set(DIMENSION_UNITS)
    assert [r.owner for r in rows if r.name == "superior_width_mm"] == list(LEVELS)
    assert [r.owner for r in rows if r.name == "height_mm"] == ["T12-L1", "L1-L2"]
    assert all(r.source and r.standing and not r.is_overridden for r in rows)
    assert all((r.unit == "mm") == r.name.endswith("_mm") for r in rows)


def test_rows_say_what_was_given_scaled_and_changed():
    recipe = SpineRecipe(
        LEVELS,
        sex="male",
        dimensions={"L1": {"waist_fraction": 0.12}},
        fractures={"L1": Fracture(kind="wedge", grade=1)},
        degeneration={"T12-L1": "mild"},
    )

    given, broken = row(recipe, "L1", "waist_fraction"), row(recipe, "L1", "anterior_height_mm")
    assert (given.value, given.is_overridden, given.standing) == (0.12, True, "given")
    assert "times 1.01" in broken.source
    assert "Gilsanz" in broken.source
    assert "Genant" in broken.source
    assert "degeneration mild" in row(recipe, "T12-L1", "height_mm").source
    assert "changed" not in row(recipe, "L1-L2", "height_mm").source
    assert "Genant" not in row(recipe, "L2", "anterior_height_mm").source


def test_density_follows_the_fracture_of_its_level():
    recipe = SpineRecipe(LEVELS, density=PatternedDensity(0.08), fractures={"L1": Fracture(kind="crush", grade=2)})

    means = [mean_density(recipe.density_field(v.level), v.dimensions) for v in recipe.column().vertebrae]

    # Height times 0.675, so 1 / 0.675 times the density.
    assert means == pytest.approx([0.08, 0.08 / 0.675, 0.08], rel=1e-9)
    assert recipe.density_factor("L2") == 1.0


def test_levels_may_have_densities_of_their_own():
    recipe = SpineRecipe(("L1", "L2"), density={"L1": UniformDensity(0.08), "L2": UniformDensity(0.1)})

    assert recipe.density_field("L2") == UniformDensity(0.1)


def test_a_wedge_fracture_tips_the_column_forward():
    intact = SpineRecipe(LEVELS).column()
    broken = SpineRecipe(LEVELS, fractures={"L1": Fracture(kind="wedge", grade=3)}).column()

    added = broken["L1"].dimensions.wedge_deg - intact["L1"].dimensions.wedge_deg
    assert broken.kyphosis_deg - intact.kyphosis_deg == pytest.approx(added)


def test_disc_shapes_lie_between_the_placed_bodies():
    recipe = SpineRecipe(LEVELS, discs={"L1-L2": {"bulge_mm": 1.0}})

    names = [(s.upper.level, s.lower.level, s.disc.bulge_mm) for s in recipe.disc_shapes()]

    assert names == [("T12", "L1", 0.0), ("L1", "L2", 1.0)]


def test_a_recipe_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        SpineRecipe(LEVELS).size = 2.0


@pytest.mark.parametrize(
    ("arguments", "message", "where"),
    [
        ({"dimensions": {"L1": {"superior_width_mm": 0.0412}}}, "it looks like metres: give mm", "L1"),
        ({"discs": {"L1-L2": {"height_mm": 0.0}}}, "height_mm = 0 mm is outside 1 to 25", "L1-L2"),
        ({"discs": {"L1-L2": {"height_mm": 2.0, "wedge_deg": 20.0}}}, "L1 and L2 overlap by", "L1-L2"),
        ({"dimensions": {"L1": {"superior_concavity_mm": 9.0, "inferior_concavity_mm": 9.0}}}, "18 mm hollow", "L1"),
        (
            {
                "dimensions": {
                    "L1": {
                        "superior_depth_mm": 60.0,
                        "inferior_depth_mm": 15.0,
                        "posterior_height_mm": 50.0,
                        "anterior_height_mm": 5.0,
                    }
                }
            },
            "the rims of L1 meet",
            "y = -30.0 mm",
        ),
        ({"dimensions": {"L1": {"superior_apex_fraction": 0.6}}}, "at or beyond the edge of the hollow", "L1"),
        ({"dimensions": {"L1": {"width": 40.0}}}, "unknown dimension 'width'", "L1"),
        ({"dimensions": {"L3": {"waist_fraction": 0.1}}}, "dimensions names L3, which is not in the segment", ""),
        ({"fractures": {"L4": Fracture(kind="wedge", grade=1)}}, "fractures names L4", ""),
        ({"degeneration": {"L2-L3": "mild"}}, "degeneration names L2-L3", ""),
        ({"degeneration": {"L1-L2": "bad"}}, "unknown disc degeneration grade 'bad'", ""),
        ({"density": {"L5": UniformDensity(0.1)}}, "density names L5", ""),
        ({"sex": "both"}, "unknown sex 'both'", ""),
        ({"size": 41.2}, "size = 41.2 is outside 0.7 to 1.4", ""),
        ({"sagittal_tilt_deg": 120.0}, "not under 90 degrees", ""),
    ],
)
def test_bad_geometry_gives_one_clear_message(arguments, message, where):
    with pytest.raises(InputError, match=message) as caught:
        SpineRecipe(LEVELS, **arguments).column()

    assert where in str(caught.value)


def test_a_level_without_a_density_or_outside_the_segment_is_refused():
    recipe = SpineRecipe(("L1", "L2"), density={"L1": UniformDensity(0.08)})

    with pytest.raises(InputError, match="no density is given for L2"):
        recipe.density_field("L2")
    with pytest.raises(InputError, match="'L5' is not in the column"):
        recipe.density_factor("L5")
