"""Set-up plus solve of a bone-disc segment beside pyamg and NGSolve, to one tolerance.

    python benchmarks/solve_peers.py [--quick] [--large] [--runs N] [--cases NAME ...] [--peers CHOICE]

The segment of `_solid_models.bone_disc_segment`: 670 to 8040 MPa around 100 MPa, an annulus of 4.2 MPa and a nucleus of
1 MPa with nu 0.499, bottom held, pressure on the top. Hexahedra are fully integrated in every code, since NGSolve
assembles its own matrix; pyamg gets ours. Every answer must have ||f - K u|| / ||f|| of 1e-8 or less on the free
unknowns, recomputed in float64 by one function, and the shortening and v.K u must agree before times are shown.

From points, cells and moduli in memory to displacements in memory: assembly, coarsening or factorising, solving.
NGSolve's mesh is apart ("mesh_s"), in its favour. pyamg: smoothed aggregation with the six rigid-body modes on blocks
of 3 x 3, symmetric block Gauss-Seidel, strength 0.02 and LU on the coarsest level, the quickest of ten choices tried at
30 thousand unknowns, CG; its overall has our assembly in it. Two threads; pyamg runs on one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _common import (
    THREADS,
    ChildFailedError,
    Record,
    answer_child,
    markdown,
    parser,
    run_child,
    spread,
    write_results,
)
from _ngsolve import SOLVERS
from _solid_peers import PeerFailedError, add_peers_option, reason_without_peers, run_peer
from _solid_solvers import RTOL, check, ours, pyamg_solve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = 3
LIMIT_S = 150.0
AGREEMENT = 1e-6
"""Relative: a residual of 1e-8 moves the shortening by less; two different matrices by far more."""
WANTED = 1.0
DIRECT_LIMIT = 100_000
"""Unknowns up to which NGSolve's factorisation takes part: its time and memory grow much faster than the others'."""
TOO_SLOW = 3.0
"""A code that takes so many times as long as the quickest in the first round is not run again."""

CASES: dict[str, dict[str, Any]] = {
    "hex8-50k": {"full": ("hex8", 10, 8, 2), "quick": ("hex8", 4, 3, 1)},
    "hex8-200k": {"full": ("hex8", 14, 13, 4)},
    "hex8-500k": {"full": ("hex8", 20, 17, 5)},
    "tet10": {"full": ("tet10", 6, 4, 1), "quick": ("tet10", 2, 3, 1)},
}
"""Element, cells along the core, rings and fineness of each model; the one of 500 thousand unknowns is for --large."""


def make(arguments: list[Any], path: str) -> Record:
    """In a child: make a model and save it."""
    from _solid_models import bone_disc_segment

    model = bone_disc_segment(*arguments)
    model.save(Path(path))
    return dict(model.describe())


def run_case(name: str, *, is_quick: bool, runs: int, has_peers: bool) -> Record:
    """All codes in turn on one model, answers compared after the first round."""
    runs_of: dict[str, list[Record]] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path, small = folder / "model.npz", folder / "small.npz"
        model = run_child(
            __file__, "make", {"arguments": sizes_of(name, is_quick), "path": str(path)}, threads=1
        ).result
        run_child(__file__, "make", {"arguments": sizes_of(name, True), "path": str(small)}, threads=1)
        codes = ["fesolver", "pyamg"] + [f"NGSolve {solver}" for solver in SOLVERS if has_peers]
        if model["n_dof"] > DIRECT_LIMIT:
            codes = [code for code in codes if code != "NGSolve sparsecholesky"]
        for run in range(runs):
            for code in codes:
                if code in failed:
                    continue
                print(f"{name}: {code}, run {run + 1} of {runs}", flush=True)
                try:
                    record = run_code(code, path, small, folder / f"{code}.npy")
                    runs_of.setdefault(code, []).append(record)
                except (PeerFailedError, ChildFailedError) as error:
                    if code == "fesolver":
                        raise
                    failed[code] = str(error)
            if run == 0:
                answers = {code: str(folder / f"{code}.npy") for code in runs_of}
                checks = run_child(__file__, "check", {"path": str(path), "answers": answers}, threads=THREADS).result
                failed |= compare(name, checks)
                quickest = min(records[0]["overall_s"] for records in runs_of.values())
                slowest = TOO_SLOW * quickest
                codes = [code for code in codes if code in runs_of and runs_of[code][0]["overall_s"] < slowest]
    out: Record = {"model": model, "codes": {}, "failed": failed}
    for code, records in runs_of.items():
        phases = {key: spread([r[key] for r in records]) for key in ("setup_s", "solve_s", "overall_s")}
        last = {key: value for key, value in records[0].items() if key not in phases}
        out["codes"][code] = last | phases | checks[code] | {"records": records}
    peers = {code: r for code, r in out["codes"].items() if code != "fesolver" and code not in failed}
    if peers:
        best = min(peers, key=lambda code: peers[code]["overall_s"]["min"])
        times = peers[best]["overall_s"]["min"] / out["codes"]["fesolver"]["overall_s"]["min"]
        out["faster"] = {"best": best, "times": times}
    return out


def sizes_of(name: str, is_quick: bool) -> list[Any]:
    """Arguments of the model of a case; the small one of the same element where it is quick."""
    if is_quick:
        return list(next(case["quick"] for case in CASES.values() if "quick" in case and case["quick"][0] in name))
    return list(CASES[name]["full"])


def run_code(code: str, path: Path, small: Path, answer: Path) -> Record:
    """One run of one code."""
    given: Record = {"path": str(path), "answer": str(answer), "threads": THREADS}
    if code.startswith("NGSolve"):
        given |= {"rtol": RTOL, "solver": code.split()[1], "limit_s": LIMIT_S}
        return run_peer("_ngsolve.py", "solve", given, threads=THREADS, limit_s=2.0 * LIMIT_S)
    name = "ours" if code == "fesolver" else "pyamg_solve"
    return run_child(__file__, name, given | {"small": str(small)}, threads=THREADS, limit_s=2.0 * LIMIT_S).result


def compare(name: str, checks: Record) -> dict[str, str]:
    """Print residuals and answers; stop where answers differ, and name the codes that did not reach the tolerance."""
    mine, failed = checks["fesolver"], {}
    for code, found in checks.items():
        difference = max(abs(found[key] / mine[key] - 1.0) for key in ("shortening_mm", "v_k_u"))
        found["difference"] = difference
        print(
            f"{name}: {code}: shortening {found['shortening_mm']:.9g} mm, v.K u {found['v_k_u']:.9g} N mm (differ by "
            f"{difference:.1e}), ||f - K u|| / ||f|| {found['residual']:.2e}",
            flush=True,
        )
        if found["residual"] > 1.01 * RTOL:  # recomputed by another sum
            failed[code] = f"stopped at a residual of {found['residual']:.1e}"
            if code == "fesolver":
                raise SystemExit(f"{name}: ours {failed[code]}")
        elif difference > AGREEMENT:
            raise SystemExit(f"{name}: the answer of {code} differs by {difference:.1e}: no times are compared")
    return failed


def table(cases: dict[str, Record], reason: str) -> str:
    """One line per case and code, then how many times faster."""
    rows, notes = [], []
    for name, case in cases.items():
        size = f"{name}, {case['model']['n_dof']:,} unknowns"
        for code, record in case["codes"].items():
            overall = record["overall_s"]
            rows.append((
                size, code, str(record["iterations"]), f"{record['setup_s']['min']:.2f}",
                f"{record['solve_s']['min']:.2f}", f"{overall['min']:.2f} (to {overall['max']:.2f})",
                f"{record['peak_mb']:.0f}", f"{record['residual']:.1e}",
                "not solved" if code in case["failed"] else f"{record['difference']:.0e}",
            ))  # fmt: skip
        notes.append(f"{name}: shortening {case['codes']['fesolver']['shortening_mm']:.6g} mm")
        notes += [f"{name}: {code} {text}" for code, text in case["failed"].items()]
        if found := case.get("faster"):
            notes.append(
                f"{name}: {found['times']:.2f} times the best peer's speed ({found['best']}; wanted {WANTED:.0f})"
            )
        if compiled := case["codes"]["fesolver"]["compile_inside_s"]:
            notes.append(f"{name}: {compiled:.1f} s of ours were spent compiling: run again")
    header = ("case", "code", "iterations", "set-up s", "solve s", "overall s (to max)", "peak MB", "residual")
    lines = [markdown((*header, "answer differs by"), rows), "", *(f"- {note}" for note in notes)]
    if reason:
        lines.append(f"- NGSolve left out: {reason}")
    return "\n".join(lines)


def plot(cases: dict[str, Record]) -> Figure:
    """Overall seconds of every code against unknowns, a line per code and element."""
    from fesolver.report.style import COLOURS, figure_style, new_figure

    with figure_style():
        figure = new_figure(7.0, 4.2)
        axes = figure.add_subplot()
        marks = {"fesolver": "o", "pyamg": "s", "NGSolve local": "^", "NGSolve sparsecholesky": "v"}
        for code, mark in marks.items():
            for element, line in (("hex8", "-"), ("tet10", "--")):
                found = sorted(
                    (case["model"]["n_dof"], case["codes"][code]["overall_s"]["min"])
                    for name, case in cases.items()
                    if name.startswith(element) and code in case["codes"] and code not in case["failed"]
                )
                if found:
                    colour = COLOURS["intact" if code == "fesolver" else "treated"]
                    axes.plot(*zip(*found, strict=True), line, marker=mark, color=colour, label=f"{code}, {element}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("unknowns")
        axes.set_ylabel("overall, s")
        axes.set_title(f"Bone-disc segment to a relative residual of {RTOL:g}, {THREADS} threads")
        axes.legend(fontsize=7)
    return figure


def main() -> None:
    if answer_child(make, ours, pyamg_solve, check):
        return
    options = parser(__doc__)
    options.add_argument("--large", action="store_true", help="the model of 500 thousand unknowns too")
    options.add_argument("--cases", nargs="+", choices=sorted(CASES))
    add_peers_option(options)
    given = options.parse_args()
    reason = reason_without_peers(given.peers, is_quick=given.quick)
    names = given.cases or [name for name in CASES if name != "hex8-500k" or given.large]
    names = [name for name in names if "quick" in CASES[name]] if given.quick else names
    runs = given.runs or (1 if given.quick else RUNS)
    cases: dict[str, Record] = {}
    for name in names:
        try:
            cases[name] = run_case(name, is_quick=given.quick, runs=runs, has_peers=not reason)
        except ChildFailedError as error:
            raise SystemExit(f"{name}: {error}") from None
    record = {"rtol": RTOL, "threads": THREADS, "runs": runs, "peers_left_out": reason, "cases": cases}
    write_results("solve_peers", record, table(cases, reason), plot(cases), is_quick=given.quick)


if __name__ == "__main__":
    main()
