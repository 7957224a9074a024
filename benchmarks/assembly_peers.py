"""Assembly of the stiffness matrix beside scikit-fem, FElupe and NGSolve, on the same meshes.

    python benchmarks/assembly_peers.py [--quick] [--large] [--runs N] [--cases NAME ...] [--peers CHOICE]

Every code gets the same points and cells in a process of its own, two threads, the same quadrature (hexahedra fully
integrated everywhere). Before any time is shown, v.K u and u.K u of two fixed smooth fields must agree within 1e-10.
Timed: set-up (mesh and spaces from arrays), the first assembly, which for ours has the sparsity pattern in it, and
assembly again with what is kept (best of three). Compiling and loading of kernels is apart. FElupe and scikit-fem give
CSR; NGSolve CSR or blocks, as `_ngsolve.py` says, "half" the lower triangle only; ours blocks of 3 x 3, both triangles,
and the conversion to CSR is given apart. scikit-fem keeps nothing between assemblies and runs once.
"""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _common import (
    THREADS,
    ChildFailedError,
    Record,
    answer_child,
    compile_seconds,
    markdown,
    parser,
    peak_mb,
    run_child,
    write_results,
)
from _ngsolve import SPACES
from _solid_peers import PeerFailedError, add_peers_option, reason_without_peers, run_peer

if TYPE_CHECKING:
    from _solid_models import SolidModel
    from matplotlib.figure import Figure

    from fesolver.fem.problem import Problem

RUNS = 3
LIMIT_S = 300.0
AGREEMENT = 1e-10
"""Relative; round-off in these sums is some 1e-14."""
WANTED_AGAIN, WANTED_FIRST = 3.0, 1.0
"""How many times faster than the best peer: with the pattern kept, and from nothing."""

CASES: dict[str, dict[str, Any]] = {
    "tet10": {"maker": "cylinder", "full": ("tet10", 10, 5, 21), "quick": ("tet10", 2, 1, 3)},
    "tet4": {"maker": "cylinder", "full": ("tet4", 16, 8, 40), "quick": ("tet4", 3, 2, 5)},
    "hex8": {"maker": "block", "full": (40,), "quick": (6,)},
    "tet10-large": {"maker": "cylinder", "full": ("tet10", 18, 9, 41)},
    "hex8-large": {"maker": "block", "full": (68,)},
}
"""How each model is made; the large ones, of a million unknowns, are left out unless asked for."""


def make(maker: str, arguments: list[Any], path: str) -> Record:
    """In a child: make a model and save it."""
    import _solid_models

    model = getattr(_solid_models, maker)(*arguments)
    model.save(Path(path))
    return dict(model.describe())


def problem_of(model: SolidModel, integration: Any = "full") -> Problem:
    """A model as the package takes it; `integration` is that of hex8."""
    from fesolver.fem.problem import Elasticity, Problem

    elasticity = Elasticity(model.young, model.poisson)
    element: Any = model.element
    given = {"integration": integration} if element == "hex8" else {}
    return Problem(model.points, model.cells, elasticity, model.fixed_dofs, element=element, **given)


def ours(path: str, small: str, repeats: int) -> Record:
    """In a child: pattern, first assembly, assembly again, conversion to CSR, and the products that are compared."""
    from _solid_models import SolidModel, smooth_fields

    from fesolver.fem.assembly import assemble_stiffness, stiffness_pattern

    with compile_seconds() as before:
        start = time.perf_counter()
        assemble_stiffness(problem_of(SolidModel.load(small)))
        loading = time.perf_counter() - start
    model = SolidModel.load(path)
    with compile_seconds() as inside:
        start = time.perf_counter()
        problem = problem_of(model)
        clock = [time.perf_counter()]
        pattern = stiffness_pattern(problem)
        clock.append(time.perf_counter())
        for _ in range(repeats + 1):
            K = assemble_stiffness(problem, pattern)
            clock.append(time.perf_counter())
    peak = peak_mb()
    spans = [after - first for first, after in pairwise(clock)]
    csr_start = time.perf_counter()
    K.tocsr()
    csr_s = time.perf_counter() - csr_start
    u, v = (values.ravel() for values in smooth_fields(model.points))
    return {
        "setup_s": clock[0] - start, "pattern_s": spans[0], "first_s": spans[0] + spans[1], "again_s": min(spans[2:]),
        "again_runs": spans[2:], "csr_s": csr_s, "compile_before_s": before[0], "load_s": loading,
        "compile_inside_s": inside[0], "peak_mb": peak, "v_k_u": float(v @ (K @ u)), "u_k_u": float(u @ (K @ u)),
        "n_dof": int(K.shape[0]),
    }  # fmt: skip


def run_case(name: str, *, is_quick: bool, runs: int, has_peers: bool) -> Record:
    """All codes on one model, one after the other, products compared."""
    case = CASES[name]
    codes: dict[str, Record] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "model.npz", Path(folder) / "small.npz"
        sizes = case["quick" if is_quick else "full"]
        model = run_child(
            __file__, "make", {"maker": case["maker"], "arguments": sizes, "path": str(path)}, threads=1
        ).result
        tiny = CASES[name.removesuffix("-large")]["quick"]
        run_child(__file__, "make", {"maker": case["maker"], "arguments": tiny, "path": str(small)}, threads=1)
        given: Record = {"path": str(path), "repeats": runs}
        codes["fesolver"] = run_child(__file__, "ours", given | {"small": str(small)}, threads=THREADS).result
        if has_peers:
            given["threads"] = THREADS
            ways: list[tuple[str, str, Record]] = [("scikit-fem", "_skfem.py", given | {"repeats": 0})]
            ways.append(("FElupe", "_felupe.py", given))
            ways += [(f"NGSolve {way}", "_ngsolve.py", given | {"way": way}) for way in SPACES]
            for code, script, arguments in ways:
                print(f"{name}: {code}", flush=True)
                try:
                    codes[code] = run_peer(script, "assemble", arguments, threads=THREADS, limit_s=LIMIT_S)
                except PeerFailedError as error:
                    codes[code] = {"failed": str(error)}
    compare(name, codes)
    return {"model": model, "codes": codes} | faster(codes)


def compare(name: str, codes: dict[str, Record]) -> None:
    """Print how far products are from ours; stop where the matrices are not the same."""
    mine = codes["fesolver"]
    worst = 0.0
    for code, record in codes.items():
        if "failed" in record:
            print(f"{name}: {code} gave no answer: {record['failed']}", flush=True)
            continue
        if record["n_dof"] != mine["n_dof"]:
            raise SystemExit(f"{name}: {code} has {record['n_dof']} unknowns, ours {mine['n_dof']}")
        record["difference"] = max(abs(record[key] / mine[key] - 1.0) for key in ("v_k_u", "u_k_u"))
        worst = max(worst, record["difference"])
        if record["difference"] > AGREEMENT:
            raise SystemExit(f"{name}: v.K u of {code} differs by {record['difference']:.1e}: no times are compared")
    print(f"{name}: v.K u and u.K u of {len(codes)} codes agree within {worst:.1e}", flush=True)


def faster(codes: dict[str, Record]) -> Record:
    """Best peer over ours: again, first, and first with set-up, among whole matrices and among all."""
    out: Record = {}
    peers = {code: record for code, record in codes.items() if code != "fesolver" and "failed" not in record}
    for record in codes.values():
        if "failed" not in record:
            record["start_s"] = record["setup_s"] + record["first_s"]
    for key in ("again_s", "first_s", "start_s"):
        for kind, chosen in (("whole", [c for c in peers if "half" not in c]), ("any", list(peers))):
            if chosen:
                best = min(chosen, key=lambda code: float(peers[code][key]))
                out[f"{key[:-2]}_{kind}"] = {"best": best, "times": peers[best][key] / codes["fesolver"][key]}
    return out


def table(cases: dict[str, Record], reason: str) -> str:
    """One line per case and code, then how many times faster."""
    rows, notes = [], []
    for name, case in cases.items():
        size = f"{name}, {case['model']['n_cells']:,} cells, {case['model']['n_dof']:,} unknowns"
        for code, record in case["codes"].items():
            if "failed" in record:
                rows.append((size, code, record["failed"], "", "", "", ""))
                continue
            numbers = [f"{record[key]:.3f}" for key in ("setup_s", "first_s", "again_s")]
            rows.append((size, code, *numbers, f"{record['peak_mb']:.0f}", f"{record['difference']:.0e}"))
        mine = case["codes"]["fesolver"]
        notes.append(
            f"{name}: pattern {mine['pattern_s']:.3f} s of the first; to CSR {mine['csr_s']:.3f} s more; compiled for "
            f"{mine['compile_before_s']:.1f} s before, {mine['compile_inside_s']:.1f} s inside"
        )
        for key, wanted in (("again", WANTED_AGAIN), ("first", WANTED_FIRST), ("start", WANTED_FIRST)):
            for kind in ("whole", "any"):
                if found := case.get(f"{key}_{kind}"):
                    matrices = "whole matrices" if kind == "whole" else "halves too"
                    what = "set-up and first" if key == "start" else key
                    text = f"{name}, {what}, {matrices}: {found['times']:.2f} times the best peer's speed"
                    notes.append(f"{text} ({found['best']}; wanted {wanted:.0f})")
    header = ("case", "code", "set-up s", "first s", "again s", "peak MB", "v.K u differs by")
    lines = [markdown(header, rows), "", *(f"- {note}" for note in notes)]
    if reason:
        lines.append(f"- peers left out: {reason}")
    return "\n".join(lines)


def plot(cases: dict[str, Record]) -> Figure:
    """Seconds of assembly again (filled) and first (open) of every code, a row of dots per case."""
    from fesolver.report.style import COLOURS, figure_style, new_figure

    with figure_style():
        codes = list(dict.fromkeys(code for case in cases.values() for code in case["codes"]))
        figure = new_figure(7.0, 1.0 + 0.28 * (len(codes) + 1) * len(cases))
        axes = figure.add_subplot()
        at, ticks = 0, []
        for name, case in cases.items():
            for code, record in case["codes"].items():
                if "failed" not in record:
                    colour = COLOURS["intact" if code == "fesolver" else "treated"]
                    axes.plot(record["first_s"], at, "o", markerfacecolor="none", color=colour)
                    axes.plot(record["again_s"], at, "o", color=colour)
                ticks.append((at, f"{name}: {code}"))
                at += 1
            at += 1
        axes.set_yticks(*zip(*ticks, strict=True))
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("s (filled: again; open: first)")
        axes.set_title(f"Assembly of the stiffness matrix, {THREADS} threads")
    return figure


def main() -> None:
    if answer_child(make, ours):
        return
    options = parser(__doc__)
    options.add_argument("--large", action="store_true", help="the models of a million unknowns too")
    options.add_argument("--cases", nargs="+", choices=sorted(CASES))
    add_peers_option(options)
    given = options.parse_args()
    reason = reason_without_peers(given.peers, is_quick=given.quick)
    names = given.cases or [name for name in CASES if "large" not in name or (given.large and not given.quick)]
    cases: dict[str, Record] = {}
    for name in names:
        try:
            cases[name] = run_case(name, is_quick=given.quick, runs=given.runs or RUNS, has_peers=not reason)
        except ChildFailedError as error:
            raise SystemExit(f"{name}: {error}") from None
    record = {"threads": THREADS, "peers_left_out": reason, "cases": cases}
    write_results("assembly_peers", record, table(cases, reason), plot(cases), is_quick=given.quick)


if __name__ == "__main__":
    main()
