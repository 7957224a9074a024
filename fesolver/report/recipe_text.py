"""What a mesh recipe became, in lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fesolver.anatomy.source_table import SourceRow
from fesolver.meshing.quality import quality_table
from fesolver.study.recipe import density_text

if TYPE_CHECKING:
    from fesolver.study.mesh_recipe import RecipeMesh
    from fesolver.study.schema import MeshRecipe

__all__ = ["catalogue_lines", "curvature_text", "recipe_lines", "source_lines"]


def recipe_lines(made: RecipeMesh) -> list[str]:
    """Sizes, volumes, layers and quality of a mesh."""
    mesh, table = made.structured.mesh, made.table
    lines = [
        f"{table.name}: {table.description}" if table.description else table.name,
        f"levels:   {', '.join(mesh.levels)}{curvature_text(made)}",
        f"mesh:     {_thousands(len(mesh.cells))} {mesh.element} cells, {_thousands(len(mesh.points))} points, "
        f"{_thousands(made.n_unknowns)} unknowns; refinement {table.refinement:g}",
        f"density:  {density_text(table)}",
    ]
    for level, fracture in made.spine.fractures.items():
        lost = ", ".join(f"{place} {loss:g} %" for place, loss in fracture.losses().items())
        lines.append(f"fracture: {level}, height loss {lost}; density times {made.spine.density_factor(level):.3f}")
    lines += [f"disc:     {name}, degeneration {grade}" for name, grade in made.spine.degeneration.items()]
    lines += ["", f"{'volume (ml)':<24}{'mesh':>10}{'shape':>10}{'mesh less shape':>18}"]
    for part in made.volumes:
        compared = (
            ""
            if part.shape_ml is None
            else f"{part.shape_ml:>10.3f}{100 * (part.mesh_ml / part.shape_ml - 1):>16.2f} %"
        )
        lines.append(f"{part.name:<24}{part.mesh_ml:>10.3f}{compared}")
    lines += ["", f"{'layer (mm)':<24}{'asked':>10}{'measured':>10}{'cells through':>18}"]
    lines += [
        f"{layer.name:<24}{layer.asked_mm:>10.3f}{layer.measured_mm:>10.3f}{layer.n_cells:>18}" for layer in made.layers
    ]
    return [*lines, "", *quality_table(mesh, made.quality).splitlines()]


def curvature_text(made: RecipeMesh) -> str:
    """Kyphosis or lordosis of the whole segment, after a semicolon."""
    angle = made.structured.column.kyphosis_deg
    if abs(angle) < 0.05:
        return "; the highest and the lowest endplate are parallel"
    name = "lordosis" if angle < 0.0 else "kyphosis"
    return f"; {name} {abs(angle):.1f}° from the highest to the lowest endplate"


def source_lines(rows: Sequence[SourceRow]) -> list[str]:
    """Every dimension with its unit, source and standing, one per line, under its level or disc."""
    lines: list[str] = []
    width = max(len(row.name) for row in rows)
    owner = ""
    for row in rows:
        if row.owner != owner:
            owner = row.owner
            lines += [*([""] if lines else []), owner]
        value = f"{row.value:.4g} {row.unit}".rstrip()
        lines.append(f"  {row.name:<{width}}  {value:<14}  [{row.standing}] {row.source}")
    return lines


def catalogue_lines(recipes: Sequence[MeshRecipe]) -> list[str]:
    """Names and descriptions of recipes."""
    width = max((len(recipe.name) for recipe in recipes), default=0)
    return [f"{recipe.name:<{width}}  {recipe.description}".rstrip() for recipe in recipes]


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")
