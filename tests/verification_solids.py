"""All verification problems of the solid elements, in the order of the table in `docs/verification.md`.

Each case is a function of the element that returns rows; `tests/verification/` asserts the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from exact_solutions import BONDED_DISC
from verification_beams import COOK_SIZES, cantilever, cook
from verification_macneal import BENDS, SHAPES, against_published, curved_beam, straight_beam
from verification_meshes import KINDS
from verification_nafems import elliptic_membrane, heated_cylinder, thick_plate
from verification_round import DISC_SIZES, bonded_disc, composite_sphere, cylinder, inclusion, plate_with_hole, sphere
from verification_rows import Row
from verification_smooth import orders, patch

__all__ = ["BALL_KINDS", "FIRST_ORDER", "POISSON_RATIOS", "SECTIONS", "Section"]

POISSON_RATIOS = (0.3, 0.499, 0.4999)
FIRST_ORDER = tuple(kind for kind in KINDS if KINDS[kind].order == 1)
BALL_KINDS = tuple(kind for kind in KINDS if not kind.startswith("wedge"))
"""Elements that fill a ball: wedges would need a way to end at its centre."""


@dataclass(frozen=True)
class Section:
    """A heading of the table, what to say under it, and its cases."""

    title: str
    text: str
    cases: Callable[[], Iterable[list[Row]]]

    def rows(self) -> Iterator[Row]:
        """Compute every row."""
        for case in self.cases():
            yield from case


SECTIONS = (
    Section(
        "Patch test",
        "A linear displacement with a gradient that is not symmetric, given on the surface of a cube whose\n"
        "inner corners are moved at random: inside, displacement and stress are exact.",
        lambda: (patch(kind) for kind in KINDS),
    ),
    Section(
        "Orders of accuracy",
        "Three plane sine waves under the body force that balances them, on smoothly distorted cubes;\n"
        "errors integrated with a rule three degrees richer than the solver's. Theory: p + 1 in L2, p in\n"
        "energy. With a modulus that varies inside the cells the body force has terms with its gradient; a\n"
        "cell has one modulus, an error of the first order in energy, so elements of the second order are\n"
        "not asked there.",
        lambda: (
            *(orders(kind) for kind in KINDS),
            *(orders(kind, slope=0.5) for kind in FIRST_ORDER),
        ),
    ),
    Section(
        "Lame's thick cylinder and sphere",
        "a = 1, b = 2, inner pressure 1 MPa, cylinder in plane strain. Full integration of hex8, and\n"
        "constant strain, lock as Poisson's ratio approaches one half; the others do not. Fully integrated\n"
        "elements of the second order have the displacement but not the mean stress at 0.4999: it oscillates\n"
        "inside the cells by many times the pressure. For the pressure in a nucleus take hex8 with mean\n"
        "dilatation.",
        lambda: (case(kind, nu) for case in (cylinder, sphere) for nu in POISSON_RATIOS for kind in KINDS),
    ),
    Section(
        "Kirsch's plate with a hole",
        "Half-width ten radii; the exact tractions on the outer edges, so that the plate counts as\ninfinite.",
        lambda: (plate_with_hole(kind) for kind in KINDS),
    ),
    Section(
        "Eshelby's inclusion and the composite sphere, conforming",
        "PMMA of 2500 MPa in bone of 100 MPa, nu 0.3. Inclusion: the exact displacement given at four\n"
        "radii. Composite sphere: R2 = 2 R1 under a pressure of 1 MPa. Mean stress of the ball.",
        lambda: (case(kind) for case in (inclusion, composite_sphere) for kind in BALL_KINDS),
    ),
    Section(
        "The bonded disc, conforming",
        "Radius 20 mm, height 10 mm between rigid plates; an O-grid, cells half as long at the rim and the\nplates.",
        lambda: (bonded_disc(kind, nu, DISC_SIZES[kind]) for nu in BONDED_DISC for kind in KINDS),
    ),
    Section(
        "Cook's membrane",
        "As a slab of plane stress. The reference point is the middle of the loaded edge, (48, 52), where\n"
        "published values are 23.91 to 23.97; at the corner (48, 60) the same solution has 25.15.",
        lambda: (cook(kind, n) for kind in KINDS for n in COOK_SIZES[kind]),
    ),
    Section(
        "Timoshenko and Goodier's cantilever",
        "L = 48, D = 12, in plane strain, the exact tractions on both ends.",
        lambda: (cantilever(kind) for kind in KINDS),
    ),
    Section(
        "MacNeal and Harder's beams",
        "Straight: 6 x 0.2 x 0.1, nu 0.3; curved: radii 4.12 and 4.32, nu 0.25; one cell over the section,\n"
        "and four. Three of the published references are beam theory that the solid does not have: the\n"
        "twist (0.03208; St Venant 0.03411), the curved beam in its plane (0.08734; exact 0.08857), and out\n"
        "of it (0.5022; meshes end at 0.498). No hexahedron with eight nodes that passes the patch test\n"
        "bends in trapezoids.",
        lambda: (
            *(straight_beam(kind, shape) for shape in SHAPES for kind in KINDS),
            *(curved_beam(kind) for kind in KINDS),
            *(case(kind, n=4) for case in (straight_beam, curved_beam) for kind in BENDS),
            *(against_published(shape) for shape in SHAPES),
        ),
    ),
    Section(
        "NAFEMS LE1, LE10 and LE11",
        "LE1 as half a slab on its plane of symmetry, mean over the thickness. LE10: D is at the inner\n"
        "ellipse. LE11 has one thermal strain per cell.",
        lambda: (case(kind) for case in (elliptic_membrane, thick_plate, heated_cylinder) for kind in KINDS),
    ),
)
"""Every problem, for every element that suits it."""
