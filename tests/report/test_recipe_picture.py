"""The picture of a mesh recipe: every number on it is the recipe's, nothing is cut off and no two texts overlap."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.text import Text

from fesolver.report.recipe_picture import recipe_figure, region_kinds, write_recipe_picture
from fesolver.report.style import figure_style
from fesolver.study.mesh_recipe import find_recipe, make_recipe_mesh, with_options

NAMES = ("T10", "L5", "T10-T11", "T12-L2", "T10-L2", "L1-L5", "crush_fracture", "degenerated_disc", "small_female")


def made(name, **options):
    table, source = find_recipe(name)
    return make_recipe_mesh(with_options(table, **({"refinement": 0.5} | options)), source=source)


def drawn_texts(figure) -> list[Text]:
    """Texts that are seen, the ticks' and the arrows' left out."""
    ticks = {label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in ticks]


@pytest.fixture(scope="module", params=NAMES)
def figure(request):
    recipe = made(request.param)
    with figure_style():
        out = recipe_figure(recipe)
        out.canvas.draw()
        yield recipe, out


def test_no_text_is_cut_off_and_no_two_texts_overlap(figure):
    _, drawn = figure
    renderer = drawn.canvas.get_renderer()
    boxes = {text: text.get_window_extent(renderer) for text in drawn_texts(drawn)}
    width, height = drawn.canvas.get_width_height()

    for text, box in boxes.items():
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
        assert box.x1 <= width + 0.5, text
        assert box.y1 <= height + 0.5, text
    for (a, box), (b, other) in combinations(boxes.items(), 2):
        assert not box.overlaps(other), (a.get_text(), b.get_text())


def test_every_dimension_written_in_is_the_recipe_s(figure):
    recipe, drawn = figure
    sagittal, coronal = ([t.get_text() for t in axes.texts if t.get_text()] for axes in drawn.axes[:2])
    column = recipe.structured.column

    for vertebra in column.vertebrae:
        d = vertebra.dimensions
        assert f"{d.anterior_height_mm:.1f}" in sagittal
        assert f"{d.posterior_height_mm:.1f}" in sagittal
        assert f"{d.superior_width_mm:.1f}" in coronal
        assert f"{d.inferior_width_mm:.1f}" in coronal
        word = "kyphotic" if d.wedge_deg > 0 else "lordotic"
        assert f"{vertebra.level}\n{abs(d.wedge_deg):.1f}° {word}" in sagittal
    for disc in column.discs:
        label = next(text for text in sagittal if text.startswith(disc.name))
        assert f"{disc.height_mm:.1f} mm" in label
        assert ("lordotic" in label) == (disc.wedge_deg > 0.05)  # a disc higher in front opens the lordosis


def test_every_arrow_is_as_long_as_the_number_beside_it_says(figure):
    recipe, drawn = figure
    n_levels = len(recipe.structured.mesh.levels)

    for axes in drawn.axes[:2]:
        arrows = [at for at, text in enumerate(axes.texts) if hasattr(text, "xyann")]
        assert len(arrows) == 2 * n_levels
        for at in arrows:
            arrow, number = axes.texts[at : at + 2]
            length = np.hypot(*(np.array(arrow.xy) - np.array(arrow.xyann)))
            # Heights are along the axis: a wall between unlike depths leans by up to 8 degrees (cosine 0.99).
            assert length == pytest.approx(float(number.get_text()), rel=0.01, abs=0.05)


def test_everything_written_into_a_section_stays_inside_its_axes(figure):
    _, drawn = figure
    renderer = drawn.canvas.get_renderer()

    for axes in drawn.axes[:2]:
        frame = axes.get_window_extent(renderer)
        for text in axes.texts:
            if text.get_text():
                box = text.get_window_extent(renderer)
                assert box.x0 > frame.x0, text
                assert box.x1 < frame.x1, text


def test_the_histogram_shows_all_cells_of_every_kind(figure):
    recipe, drawn = figure
    kinds = np.unique(region_kinds(recipe.structured.mesh))
    shares = [patch.get_xy() for patch in drawn.axes[-1].patches]

    assert len(shares) == len(kinds)
    for outline in shares:
        # A step outline visits every bin's height at both of its edges.
        assert np.sum(outline[1:-1:2, 1]) == pytest.approx(100.0, rel=1e-9)


def test_every_cell_has_the_kind_of_its_region():
    mesh = made("L1-L2").structured.mesh
    names = ("cortical", "endplate", "nucleus", "annulus", "trabecular")
    kinds = region_kinds(mesh)

    for region, content in mesh.regions.items():
        assert {names[k] for k in kinds[content.cells]} == {next(n for n in names if region.endswith(n))}


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_quadratic_cells_are_drawn_in_every_picture_format(tmp_path, suffix):
    path = write_recipe_picture(made("L1-L2", element="hex20"), tmp_path / f"picture{suffix}")

    assert path.stat().st_size > 10_000
