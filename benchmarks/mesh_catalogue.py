"""Write the table in meshes/README.md: cells, unknowns and quality of every shipped recipe at three refinements.

Run from the project root: `python benchmarks/mesh_catalogue.py` (about three minutes); `--print` writes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fesolver.study.mesh_recipe import (
    REFINEMENTS,
    RecipeMesh,
    find_recipe,
    make_recipe_mesh,
    shipped_recipes,
    with_options,
)

README = Path(__file__).resolve().parents[1] / "meshes" / "README.md"
BEGIN = "<!-- catalogue: written by benchmarks/mesh_catalogue.py -->"
END = "<!-- end of catalogue -->"

HEAD = """
| recipe | refinement | cells | unknowns (hex8) | bodies (ml) | scaled Jacobian, least | 5 % | largest aspect |
|---|---|---|---|---|---|---|---|"""


def table_rows(names: list[str]) -> Iterator[str]:
    """One row per recipe and refinement."""
    for name in names:
        table, source = find_recipe(shipped_recipes()[name])
        for word, refinement in REFINEMENTS.items():
            made = make_recipe_mesh(with_options(table, refinement=refinement), source=source)
            yield row(f"{name} | {refinement:g} ({word})", made)


def row(head: str, made: RecipeMesh) -> str:
    """Numbers of one mesh."""
    jacobian, aspect = made.quality.scaled_jacobian, made.quality.aspect_ratio
    volumes = " + ".join(f"{part.mesh_ml:.2f}" for part in made.volumes if part.shape_ml is not None)
    numbers = (
        f"{len(jacobian):,} | {made.n_unknowns:,} | {volumes} | {jacobian.min():.2f} | "
        f"{np.percentile(jacobian, 5):.2f} | {aspect.max():.0f}"
    )
    return f"| {head} | {numbers.replace(',', ' ')} |"


def with_table(text: str, rows: list[str]) -> str:
    """The text with its table replaced."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{README} lacks the marks around its table")
    return "\n".join([before + BEGIN + HEAD, *rows, END]) + after


def main() -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="recipes to measure; all by default, and only then it is written")
    parser.add_argument("--print", action="store_true", dest="is_print")
    given = parser.parse_args()
    rows = []
    for line in table_rows(given.names or list(shipped_recipes())):
        print(line, flush=True)
        rows.append(line)
    if not given.is_print and not given.names:
        README.write_text(with_table(README.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
