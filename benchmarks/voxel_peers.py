"""The voxel solver against the fastest open one that can be installed, parosol-py, on the same three models.

    python benchmarks/voxel_peers.py [--quick] [--runs N] [--cases NAME ...] [--peer install|existing|none]

Overall is from arrays in memory to displacements in memory: start of processes, files and compiling apart, for both.
Two threads against two ranks, both with fully integrated bricks, in turn; minimum and spread of five runs, to a
relative residual of 1e-6. One function recomputes ||f - K u|| / ||f|| in float64 from the displacements of either code,
and the reactions must agree within 1e-4 before any time is shown. Nothing else should run on the machine meanwhile:
ranks of MPI wait spinning. See `_models.py` for the models and `_parosol.py` for how the peer is run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
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
from _parosol import PeerFailedError, add_peer_option, reason_without_peer, solve_with_parosol
from _residual import check_saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RTOL = 1e-6
RUNS = 5
LIMIT_S = 1800.0
REACTION_TOLERANCE = 1e-4

CASES: dict[str, dict[str, Any]] = {
    "block": {"maker": "heterogeneous_block", "full": {"n": 64}, "quick": {"n": 16}, "wanted": 5.0},
    "network": {
        "maker": "trabecular_network",
        "full": {"n": 110},
        "quick": {"n": 32, "wavelength": 12.0, "radius": 0.7},
        "wanted": 15.0,
    },
    "vertebra": {
        "maker": "vertebra_between_pads",
        "full": {"spacing_mm": 1.0},
        "quick": {"spacing_mm": 3.0},
        "wanted": 5.0,
    },
}
"""How each model is made, and how many times faster than the peer it should be solved."""


def make(maker: str, arguments: dict[str, Any], path: str) -> Record:
    """In a child: make a model and save it."""
    import _models

    model = getattr(_models, maker)(**arguments)
    model.save(Path(path))
    return dict(model.describe())


def ours(path: str, threads: int) -> Record:
    """In a child: solve a saved model with the package and check the answer."""
    from _ours import solve_model
    from _residual import check_answer

    answer = solve_model(Path(path), rtol=RTOL, threads=threads)
    return answer.record | check_answer(answer.model, answer.displacement)


def run_peer(path: Path, folder: Path) -> Record:
    """One run of the peer and the check of its answer."""
    displacement = folder / "peer.npy"
    record = solve_with_parosol(path, displacement, rtol=RTOL, ranks=THREADS, limit_s=LIMIT_S)
    names = {"path": str(path), "displacement": str(displacement)}
    return record | run_child(__file__, "check_saved", names, threads=THREADS).result


def run_case(name: str, *, is_quick: bool, runs: int, has_peer: bool) -> Record:
    """Both codes in turn on one model, answers compared."""
    case = CASES[name]
    runs_of: dict[str, list[Record]] = {"ours": [], "parosol": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "model.npz"
        arguments = {"maker": case["maker"], "arguments": case["quick" if is_quick else "full"], "path": str(path)}
        model = run_child(__file__, "make", arguments, threads=THREADS).result
        for run in range(runs):
            child = run_child(__file__, "ours", {"path": str(path), "threads": THREADS}, threads=THREADS)
            runs_of["ours"].append(child.result)
            if has_peer:
                runs_of["parosol"].append(run_peer(path, folder))
            if run == 0 and has_peer:
                compare(name, *(records[0] for records in runs_of.values()))
    out: Record = {"model": model, "wanted": case["wanted"]}
    for code, records in runs_of.items():
        if records:
            first = {key: value for key, value in records[0].items() if not key.endswith("_s")}
            phases = ("setup_s", "solve_s", "overall_s")
            first["peak_mb"] = max(record["peak_mb"] for record in records)
            out[code] = first | {key: spread([record[key] for record in records]) for key in phases}
            compiled = [record.get("compile_inside_s", 0.0) for record in records]
            out[code] |= {"records": records, "compile_inside_s": max(compiled)}
    if has_peer:
        out["faster"] = out["parosol"]["overall_s"]["min"] / out["ours"]["overall_s"]["min"]
    return out


def compare(name: str, ours: Record, peer: Record) -> None:
    """Print residuals and reactions; stop where the answers are not the same."""
    difference = abs(ours["reaction_n"] / peer["reaction_n"] - 1.0)
    print(
        f"{name}: reaction {ours['reaction_n']:.6g} N ours, {peer['reaction_n']:.6g} N parosol-py (differ by "
        f"{difference:.1e}); ||f - K u|| / ||f|| {ours['residual']:.2e} ours, {peer['residual']:.2e} parosol-py",
        flush=True,
    )
    if difference > REACTION_TOLERANCE:
        raise SystemExit(f"{name}: the answers differ by more than {REACTION_TOLERANCE:g}: no times are compared")


def table(cases: dict[str, Record], reason: str) -> str:
    """The table of all cases, one line per case and code, and what to know about it."""
    rows = []
    for name, case in cases.items():
        for code in ("ours", "parosol"):
            if code in case:
                rows.append(_row(name, code, case))
    header = ("case", "code", "cells", "unknowns", "iterations", "set-up s", "solve s", "overall s (min to max)")
    lines = [markdown((*header, "peak MB", "residual", "peer / ours"), rows), ""]
    lines += [f"{name}: reaction {case['ours']['reaction_n']:.6g} N" for name, case in cases.items()]
    if reason:
        lines.append(f"parosol-py left out: {reason}")
    compiled = {name: case["ours"]["compile_inside_s"] for name, case in cases.items()}
    for name, seconds in compiled.items():
        if seconds:
            lines.append(f"{name}: {seconds:.1f} s of ours were spent compiling: run again")
    return "\n".join(lines)


def _row(name: str, code: str, case: Record) -> Sequence[str]:
    """One line of the table."""
    entry = case[code]
    faster = f"{case['faster']:.1f} (wanted {case['wanted']:.0f})" if code == "ours" and "faster" in case else ""
    overall = entry["overall_s"]
    return (
        name, {"ours": "fesolver", "parosol": "parosol-py"}[code], f"{case['model']['n_cells']:,}",
        f"{case['model']['n_dof']:,}", str(entry["iterations"]), f"{entry['setup_s']['min']:.2f}",
        f"{entry['solve_s']['min']:.2f}", f"{overall['min']:.2f} ({overall['min']:.2f} to {overall['max']:.2f})",
        f"{entry['peak_mb']:.0f}", f"{entry['residual']:.1e}", faster,
    )  # fmt: skip


def plot(cases: dict[str, Record]) -> Figure:
    """Overall seconds of both codes per case: dots at the minimum, whiskers to the maximum."""
    from fesolver.report.style import COLOURS, figure_style, new_figure

    with figure_style():
        figure = new_figure(7.0, 1.2 + 0.75 * len(cases))
        axes = figure.add_subplot()
        for at, case in enumerate(cases.values()):
            present = [code for code in ("ours", "parosol") if code in case]
            minima = [case[code]["overall_s"]["min"] for code in present]
            axes.plot(minima, [at] * len(minima), color=COLOURS["floor"], zorder=1)
            for code, seconds in zip(present, minima, strict=True):
                name, colour = {"ours": ("fesolver", "intact"), "parosol": ("parosol-py", "treated")}[code]
                axes.hlines(at, seconds, case[code]["overall_s"]["max"], color=COLOURS[colour], linewidth=2.5)
                axes.plot(seconds, at, "o", color=COLOURS[colour], label=name if at == 0 else None)
                axes.annotate(f"{seconds:.2g} s", (seconds, at), (0, 6), textcoords="offset points", ha="center")
            if "faster" in case:
                middle, text = (
                    (minima[0] * minima[1]) ** 0.5,
                    f"{case['faster']:.1f} times (wanted {case['wanted']:.0f})",
                )
                axes.annotate(text, (middle, at), (0, -11), textcoords="offset points", ha="center", fontsize=8)
        names = [f"{name}\n{case['model']['n_dof'] / 1e6:.2f} M unknowns" for name, case in cases.items()]
        axes.set_yticks(range(len(cases)), names)
        axes.set_ylim(len(cases) - 0.5, -0.9)
        axes.set_xscale("log")
        axes.set_xlabel("overall, s")
        axes.margins(x=0.1)
        axes.set_title(f"Arrays to displacements, relative residual {RTOL:g}, {THREADS} threads or ranks")
        axes.legend(loc="upper right", ncols=2)
    return figure


def main() -> None:
    if answer_child(make, ours, check_saved):
        return
    options = parser(__doc__)
    options.add_argument("--cases", nargs="+", choices=sorted(CASES), default=list(CASES))
    add_peer_option(options)
    given = options.parse_args()
    reason = reason_without_peer(given.peer, is_quick=given.quick)
    runs = given.runs or (1 if given.quick else RUNS)
    cases: dict[str, Record] = {}
    for name in given.cases:
        try:
            cases[name] = run_case(name, is_quick=given.quick, runs=runs, has_peer=not reason)
        except (ChildFailedError, PeerFailedError) as error:
            raise SystemExit(f"{name}: {error}") from None
    record = {"rtol": RTOL, "threads": THREADS, "runs": runs, "peer_left_out": reason, "cases": cases}
    write_results("voxel_peers", record, table(cases, reason), plot(cases), is_quick=given.quick)


if __name__ == "__main__":
    main()
