"""MacNeal and Harder's straight and curved beams with every solid element [1]_.

References
----------
.. [1] R. H. MacNeal, R. L. Harder, A proposed standard set of problems to test finite element accuracy, Finite Elem.
   Anal. Des. 1, 1985, 3-20.
.. [2] Altair OptiStruct verification problems OS-V 0710 (curved) and 0720 (straight): references of [1]_, and values
   over them of that program's elements; its HEX8 has incompatible modes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from verification_fields import curved_beam_deflection, torsion_constant
from verification_meshes import SolidMesh, block_mesh, cylinder_quarter
from verification_rows import Row, Solved, by_class, free, pull, solve

__all__ = ["SHAPES", "against_published", "curved_beam", "straight_beam"]

Array = NDArray[np.float64]
SHAPES = ("rectangular", "trapezoidal", "parallelogram")
"""Cell shapes of the straight beam: the distorted ones have sides at 45 degrees."""

LOADS = ("extension", "in-plane shear", "out-of-plane shear", "twist")
PUBLISHED_REFERENCE = {"extension": 3e-5, "in-plane shear": 0.1081, "out-of-plane shear": 0.4321, "twist": 0.03208}
PUBLISHED_HEX8 = {
    "rectangular": (0.988, 0.978, 0.973, 0.892),
    "parallelogram": (1.012, 0.624, 0.529, 0.820),
    "trapezoidal": (1.010, 0.047, 0.030, 0.563),
}
"""Values over the references of another program's hexahedron with incompatible modes, one cell over the section [2]_.

Where it was measured is not said: its extension is that of the edge of the tip that moves most, as ours shows.
"""

BENDS = ("hex8 incompatible", "hex20", "tet10", "wedge15")
"""Elements that hold a linear strain over their depth while their sides are parallel."""

EXPECTED: dict[tuple[str, str], dict[str, float]] = {
    ("rectangular", "shear"): dict.fromkeys(BENDS, 0.05),
    ("rectangular", "twist"): dict.fromkeys(("hex8 b-bar", "hex8 full", *BENDS), 0.2),
    ("trapezoidal", "shear"): {"hex20": 0.15},
    ("trapezoidal", "twist"): {"hex20": 0.2},
    ("parallelogram", "shear"): {"hex20": 0.1},
    ("parallelogram", "twist"): dict.fromkeys(("hex20", "tet10", "wedge15"), 0.2),
    ("curved", "shear"): dict.fromkeys(BENDS, 0.25),
}
"""Tolerance with one cell over the section, by cell shape and load; elements not named fail, and are shown to."""


def _rated(shape: str, load: str, kind: str, n: int) -> tuple[float, str, bool]:
    """Tolerance, its reason, and whether the element is known to fail."""
    if load == "extension":
        return 0.03, "the clamped end holds the section", False
    if n > 1:
        return (
            by_class(kind, 0.0, 0.06, 0.02),
            f"linear warping of {n} cells, 1 / n^2; second order: clamped end",
            False,
        )
    found = EXPECTED[shape, load.split()[-1]].get(kind)
    if found is None:
        return 0.15, "one cell over the section: shear or trapezoidal locking", True
    return found, "one cell over the section: no warping, no curvature along", False


def _straight_mesh(kind: str, shape: str, n: int) -> SolidMesh:
    """6 x 0.2 x 0.1 of 6 x 1 x 1 hexahedra, or as many times n in every direction."""
    slant = np.zeros(7)
    if shape != "rectangular":
        slant[1:6] = 1.0 if shape == "parallelogram" else (-1.0) ** np.arange(1, 6)

    def place(s: Array) -> Array:
        x, y = 6 * s[:, 0], 0.2 * (s[:, 1] - 0.5)
        return np.column_stack([x + np.interp(x, np.arange(7), slant) * y, y, 0.1 * (s[:, 2] - 0.5)])

    return block_mesh(kind, (6 * n, n, n), place)


def _twist(solved: Solved, tip: NDArray[np.bool_]) -> float:
    """Mean rotation of the tip about x: least squares over its points."""
    (y, z), (v, w) = solved.mesh.points[tip, 1:].T, solved.u[tip, 1:].T
    return float(np.sum(y * w - z * v) / np.sum(y * y + z * z))


def _straight_deflections(kind: str, shape: str, n: int) -> tuple[dict[str, float], int]:
    """Mean deflection or rotation of the tip under each unit load, and the number of cells."""
    mesh = _straight_mesh(kind, shape, n)
    given = free(mesh)
    given[mesh.on(0, 0.0)] = 0.0
    tip, polar = mesh.on(0, 6.0), 0.02 * (0.2**2 + 0.1**2) / 12
    twisting: Callable[[Array], Array] = lambda x: np.column_stack([0 * x[:, 0], -x[:, 2], x[:, 1]]) / polar  # noqa: E731
    tractions: list[ArrayLike | Callable[[Array], Array]] = [*np.eye(3) / 0.02, twisting]
    found = {}
    for axis, (load, traction) in enumerate(zip(LOADS, tractions, strict=True)):
        solved = solve(mesh, given, young=1e7, poisson=0.3, force=pull(mesh, tip, traction))
        found[load] = _twist(solved, tip) if load == "twist" else float(solved.u[tip, axis].mean())
        if load == "extension":
            found["largest extension"] = float(solved.u[tip, 0].max())
    return found, len(mesh.cells)


def straight_beam(kind: str, shape: str = "rectangular", n: int = 1) -> list[Row]:
    """The straight cantilever under unit loads against theory.

    St Venant's rotation is 0.03411; the published 0.03208 is 6 % below it, and no mesh of ours goes there.
    """
    shear = 6 / (5 / 6 * 1e7 / 2.6 * 0.02)
    theory = {
        "extension": (3e-5, "P L / (E A)"),
        "in-plane shear": (6**3 / (3e7 * 0.1 * 0.2**3 / 12) + shear, "Timoshenko beam; published 0.1081"),
        "out-of-plane shear": (6**3 / (3e7 * 0.2 * 0.1**3 / 12) + shear, "Timoshenko beam; published 0.4321"),
        "twist": (6 / (1e7 / 2.6 * torsion_constant(0.2, 0.1)), "St Venant; published 0.03208"),
    }
    found, n_cells = _straight_deflections(kind, shape, n)
    rows = []
    for load in LOADS:
        tolerance, reason, fails = _rated(shape, load, kind, n)
        rows.append(Row(f"MacNeal-Harder straight beam, {shape}", kind, f"{6 * n} x {n} x {n}: {n_cells}", load,
                        *theory[load], found[load], tolerance, reason, is_limit=fails))  # fmt: skip
    return rows


def against_published(shape: str) -> list[Row]:
    """Our hexahedron with incompatible modes against another program's, 6 x 1 x 1."""
    found, _ = _straight_deflections("hex8 incompatible", shape, 1)
    found["extension"] = found.pop("largest extension")
    title, mesh = "MacNeal-Harder, another program's element", f"{shape}, 6 x 1 x 1: 6"
    reason = "absolute; three digits, spread of the load over the tip not stated"
    return [
        Row(title, "hex8 incompatible", mesh, f"{load} / published", published, "OptiStruct OS-V 0720",
            found[load] / PUBLISHED_REFERENCE[load], 0.002, reason, scale=1.0)
        for load, published in zip(LOADS, PUBLISHED_HEX8[shape], strict=True)
    ]  # fmt: skip


def curved_beam(kind: str, n: int = 1) -> list[Row]:
    """A quarter ring, clamped at one end, unit loads on the other.

    In its plane against the exact solution, 0.08857; the published 0.08734 is 1.4 % below it.
    """
    mesh = cylinder_quarter(kind, (n, 6 * n, n), inner=4.12, outer=4.32, height=0.1)
    given = free(mesh)
    given[mesh.on(1, 0.0)] = 0.0
    tip, rows = mesh.on(0, 0.0), []
    exact = curved_beam_deflection(4.12, 4.32, 0.1, 1e7, 1.0)
    for load, axis, true, source in (("in-plane shear", 1, exact, "Timoshenko-Goodier; published 0.08734"),
                                     ("out-of-plane shear", 2, 0.5022, "published, OptiStruct OS-V 0710")):  # fmt: skip
        solved = solve(mesh, given, young=1e7, poisson=0.25, force=pull(mesh, tip, np.eye(3)[axis] / 0.02))
        tolerance, reason, fails = _rated("curved", load, kind, n)
        size = f"{6 * n} x {n} x {n}: {len(mesh.cells)}"
        rows.append(Row("MacNeal-Harder curved beam", kind, size, load, true, source, float(solved.u[tip, axis].mean()),
                        tolerance, reason, is_limit=fails))  # fmt: skip
    return rows
