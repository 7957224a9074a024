"""Displacements beside CalculiX on the same exported meshes.

    python benchmarks/calculix_peer.py [--quick]

The bone-disc segment of `_solid_models.py`, nu up to 0.499, with hexahedra and tetrahedra, and a bent bar of bricks.
Differences are relative to the largest displacement; CalculiX prints seven digits. Which of our integrations its
hexahedra match is found by comparing all of them: the nearest must agree within 1e-6. Incompatible modes (C3D8I) are
not one element but a family: on bricks its members coincide, on distorted cells they do not; only bricks are judged.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _solid_models
import numpy as np
from _calculix import (
    KINDS,
    CalculixFailedError,
    CalculixMissingError,
    ccx_version,
    find_ccx,
    solve_with_calculix,
)
from _common import THREADS, Record, answer_child, markdown, parser, run_child, write_results
from _solid_models import SolidModel
from assembly_peers import problem_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AGREEMENT = 1e-6
"""Of the largest displacement."""
RTOL = 1e-10
"""Of ours: above the round-off of a factorisation of these models (2e-11), far below the digits that are compared."""
LIMIT_S = 150.0
INTEGRATIONS = {"C3D8": ("full", "b-bar", "incompatible"), "C3D8I": ("incompatible",)}
"""Of ours, for each of its eight-node elements."""

SEGMENT = "bone_disc_segment"
MODELS: dict[str, dict[str, Any]] = {
    "bar of bricks": {"maker": "bent_bar", "full": (5,), "quick": (2,)},
    "segment, hex8": {"maker": SEGMENT, "full": ("hex8", 6, 5, 1), "quick": ("hex8", 2, 3, 1)},
    "segment, hex20": {"maker": SEGMENT, "full": ("hex20", 4, 3, 1), "quick": ("hex20", 2, 3, 1)},
    "segment, tet4": {"maker": SEGMENT, "full": ("tet4", 6, 5, 1), "quick": ("tet4", 2, 3, 1)},
    "segment, tet10": {"maker": SEGMENT, "full": ("tet10", 4, 3, 1), "quick": ("tet10", 2, 3, 1)},
}
"""How each model is made."""


def ours(path: str, integration: str, answer: str) -> Record:
    """In a child: displacements by the package."""
    from fesolver.fem.problem import Loads
    from fesolver.solvers.prepare import prepare

    model = SolidModel.load(path)
    system = prepare(problem_of(model, integration), method="direct", threads=THREADS)
    solution = system.solve(Loads(nodal_force=model.force), rtol=RTOL)
    np.save(answer, solution.u)
    return {"method": solution.method, "residual": solution.residual_norms[-1]}


def run_model(name: str, *, is_quick: bool) -> list[Record]:
    """One record for each pair of its element and our integration."""
    case = MODELS[name]
    model = getattr(_solid_models, case["maker"])(*case["quick" if is_quick else "full"])
    out = []
    with tempfile.TemporaryDirectory() as folder:
        path, answer = Path(folder) / "model.npz", Path(folder) / "u.npy"
        model.save(path)
        for kind in KINDS[model.element]:
            theirs, record = solve_with_calculix(model, kind, threads=THREADS, limit_s=LIMIT_S)
            for integration in INTEGRATIONS.get(kind, ("full",)):
                given = {"path": str(path), "integration": integration, "answer": str(answer)}
                run_child(__file__, "ours", given, threads=THREADS)
                difference = float(np.abs(np.load(answer) - theirs).max() / np.abs(theirs).max())
                print(
                    f"{name}: {kind} beside {model.element}, {integration}: differs by {difference:.1e} of the largest",
                    flush=True,
                )
                out.append(
                    dict(model.describe())
                    | {"case": name, "kind": kind, "integration": integration, "difference": difference} | record
                )  # fmt: skip
    return out


def _label(case: Record) -> str:
    """Our element, and its integration where there is a choice."""
    return f"hex8, {case['integration']}" if case["element"] == "hex8" else str(case["element"])


def table(cases: list[Record], version: str) -> str:
    """One line per pair."""
    rows = [
        (
            case["case"], case["kind"], _label(case),
            f"{case['n_dof']:,}", f"{case['difference']:.1e}",
            "yes" if case["difference"] <= AGREEMENT else "no",
        )
        for case in cases
    ]  # fmt: skip
    header = ("case", "CalculiX", "fesolver", "unknowns", "largest difference / largest displacement", "the same")
    return markdown(header, rows) + f"\n\nCalculiX {version}; the same: within {AGREEMENT:g}."


def plot(cases: list[Record]) -> Figure:
    """Differences of all pairs and the limit."""
    from fesolver.report.style import COLOURS, figure_style, new_figure

    with figure_style():
        figure = new_figure(6.0, 1.2 + 0.3 * len(cases))
        axes = figure.add_subplot()
        axes.plot([case["difference"] for case in cases], range(len(cases)), "o", color=COLOURS["intact"])
        axes.axvline(AGREEMENT, color=COLOURS["floor"])
        axes.set_yticks(range(len(cases)), [f"{c['case']}, {c['kind']}: {c['integration']}" for c in cases])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("difference over the largest displacement")
    return figure


def main() -> None:
    if answer_child(ours):
        return
    options = parser(__doc__)
    given = options.parse_args()
    try:
        find_ccx()
    except CalculixMissingError as error:
        print(f"skipped: {error}")
        return
    cases: list[Record] = []
    for name in MODELS:
        try:
            cases += run_model(name, is_quick=given.quick)
        except CalculixFailedError as error:
            raise SystemExit(f"{name}: {error}") from None
    version = ccx_version()
    write_results(
        "calculix_peer", {"version": version, "cases": cases}, table(cases, version), plot(cases), is_quick=given.quick
    )
    for name, kind in dict.fromkeys((case["case"], case["kind"]) for case in cases):
        found = [case["difference"] for case in cases if (case["case"], case["kind"]) == (name, kind)]
        if min(found) > AGREEMENT and (kind != "C3D8I" or name == "bar of bricks"):
            raise SystemExit(f"{name}: {kind} matches none of our elements")


if __name__ == "__main__":
    main()
