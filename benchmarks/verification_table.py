"""Write docs/verification.md: what the package computes for problems with known answers.

Run from the project root: `python benchmarks/verification_table.py` (about two minutes).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from exact_solutions import BONDED_DISC  # noqa: E402
from verification_cases import bonded_disc, spherical_inclusion  # noqa: E402
from verification_connections import sphere_on_block  # noqa: E402
from verification_meshes import KINDS  # noqa: E402
from verification_rows import Row  # noqa: E402
from verification_solids import SECTIONS  # noqa: E402

HEAD = """# Verification

Problems with exact or independently computed answers. This page is written by `benchmarks/verification_table.py`; the
same functions (`tests/verification_*.py`) are checked by `tests/verification/` on every change.

# Voxels

## A cement sphere in bone (Eshelby)

PMMA of 2500 MPa in bone of 100 MPa, Poisson's ratio 0.3 in both, remote uniaxial stress S. One octant of a cube with a
half width of four radii, the exact displacement prescribed on its outer faces; a cell takes the modulus at its centre.
Mean stress over r < 0.7 a: axial 1.8665 S, lateral -0.1450 S exactly.

| a / h | unknowns | axial / S | error | lateral / S |
|---|---|---|---|---|
"""

DISC = """
With mean moduli by volume (Voigt) in the cells the sphere cuts, the inclusion is in effect larger and the error of the
axial stress is {mixed:.1%} at a = 8 h instead of {plain:.1%}: a mixing rule is a modelling choice, not a refinement.

## A bonded disc between rigid plates

Radius 20 mm, height 10 mm; apparent over true modulus. Reference: fine axisymmetric models, converged to 2e-4. The
stair-stepped section holds the cells nearest to the axis, as many as give the area of the circle.

| Poisson's ratio | reference | {steps} |
|---|---|{rule}|
"""

TAIL = """
At 1 mm (ten cells over the height) the linear brick with mean dilatation is 2.0 to 2.1 % too stiff in the
incompressible limit, and within 2 % up to a ratio of 0.49. It does not lock: the error falls with the cell.

## Exact to the solver's tolerance

Uniaxial column with free sides, layers in series, bars in parallel, patch tests on distorted cells and on the lattice,
six rigid motions, Betti's and Clapeyron's theorems, balance of force and moment on every cut.
"""

SOLIDS = """
# Solid elements

Meshes are structured hexahedra (`n x n x n` before the colon), whole or cut into six tetrahedra or two wedges; after
the colon the number of cells. An error is over the exact value unless its reason says otherwise. "Known limit": an
element that theory says must fail there; the row shows that it does, and its allowed error is a lower bound. Stresses
are smoothed nodal stresses at the point, means over coincident lines.

Rows met, of all rows; in brackets the known limits among them.

"""

CONNECTIONS = """
# Connections and ties

## A sphere on a block (Hertz)

A rigid sphere of radius 12.5 mm pressed 0.02 mm into a block of 10 MPa, nu 0.3; one compression-only element per node
of the block's top, its gap that of the sphere, its stiffness per area 3200 and 6400 N/mm3, extrapolated: the
penalty's error is first order in its inverse. Contact radius 0.5 mm. Force over Hertz's; blocks of half-width L = 12
and 24 mm, held at their far faces, and extrapolated to none.

| cells along an edge (quarter) | L = 12 mm | L = 24 mm | extrapolated |
|---|---|---|---|
"""

EXACT_CONNECTIONS = """
## Exact to the solver's tolerance

Patches of tension-only fibres on hex8, hex20, tet4 and tet10 cells, one family pulling and one slack; a bar along its
fibres in tension and in compression; a one-sided spring on both sides of its switch point; the same state from any
start; cuts through ligaments, fibres and ties (`tests/verification/test_connections_exact.py`,
`tests/solvers/test_active_set.py`). Constant stress through mortar ties of non-matching, distorted, tilted
interfaces, tri3 to quad8, either side the slave; a cylindrical interface converges at the order of the conforming
mesh (`tests/verification/test_tie_patch.py`).
"""


COLUMNS = (
    "element",
    "mesh: cells",
    "quantity",
    "exact or published",
    "source",
    "ours",
    "error",
    "allowed",
    "reason",
    "met",
)


def voxels() -> Iterator[str]:
    """Lines of the voxel part."""
    plain = 0.0
    for n in (4, 8, 12, 16):
        r = spherical_inclusion(n)
        error = r.axial / 1.8665 - 1
        plain = error if n == 8 else plain
        yield f"| {n} | {r.n_unknowns} | {r.axial:.4f} | {error:+.2%} | {r.lateral:.4f} |\n"
    mixed = spherical_inclusion(8, is_mixed=True).axial / 1.8665 - 1
    steps = (5 / 3, 1.0, 0.5)
    yield DISC.format(mixed=mixed, plain=plain, steps=" | ".join(f"{s:.2f} mm" for s in steps), rule="---|" * 2 + "---")
    for poisson, reference in BONDED_DISC.items():
        ratios = [bonded_disc(poisson, s).ratio for s in steps]
        cells = " | ".join(f"{r:.3f} ({r / reference - 1:+.1%})" for r in ratios)
        yield f"| {poisson} | {reference} | {cells} |\n"


def connections() -> Iterator[str]:
    """Contacts against Hertz, and what is exact."""
    yield CONNECTIONS
    for n in (10, 14, 20):
        near, far, limit = sphere_on_block(n)
        yield f"| {n} | {near:.4f} | {far:.4f} | {limit:.4f} ({limit - 1.0:+.1%}) |\n"
    yield EXACT_CONNECTIONS


def verdict(row: Row) -> str:
    """Last column of a row."""
    if row.is_limit:
        return "known limit" if row.is_met else "**limit not seen**"
    return "yes" if row.is_met else "**no**"


def line(row: Row) -> str:
    """A row of a table."""
    is_absolute = row.scale == 1.0
    error = f"{row.error:+.2g}" if is_absolute else f"{row.error:+.2%}"
    allowed = f"{row.tolerance:.2g}" if is_absolute else f"{100 * row.tolerance:.3g} %"
    allowed = f"> {allowed}" if row.is_limit else allowed
    cells = (row.kind, row.mesh, row.quantity, f"{row.exact:.5g}", row.source, f"{row.ours:.5g}", error, allowed,
             row.reason, verdict(row))  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def overview(rows: list[Row]) -> Iterator[str]:
    """How many rows are met, problem by element."""
    yield f"| problem | {' | '.join(KINDS)} |\n|---|{'---|' * len(KINDS)}\n"
    for problem in dict.fromkeys(row.problem for row in rows):
        entries = []
        for kind in KINDS:
            mine = [row for row in rows if row.problem == problem and row.kind == kind]
            limits = sum(row.is_limit for row in mine)
            entry = f"{sum(row.is_met for row in mine)}/{len(mine)}" + (f" ({limits})" if limits else "")
            entries.append(entry if mine else "-")
        yield f"| {problem} | {' | '.join(entries)} |\n"


def solids() -> Iterator[str]:
    """Lines of the part on solid elements."""
    sections = [(section, list(section.rows())) for section in SECTIONS]
    yield SOLIDS
    yield from overview([row for _, rows in sections for row in rows])
    for section, rows in sections:
        yield f"\n## {section.title}\n\n{section.text}\n"
        for problem in dict.fromkeys(row.problem for row in rows):
            yield f"\n**{problem}**\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
            yield from (line(row) for row in rows if row.problem == problem)


def main() -> None:
    """Compute every case and write the page."""
    text = "".join([HEAD, *voxels(), TAIL, *solids(), *connections()])
    (ROOT / "docs" / "verification.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
