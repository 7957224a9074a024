"""What ligaments, facet joints and tension-only fibres cost beside one linear solve of the same segment.

    python benchmarks/soft_connections.py [--quick] [--runs N] [--models NAME ...] [--parts NAME ...]

T12-L2 as structured hexahedra and as the voxels of the demo, under 500 N of compression and moments of 7.5 Nm, the
top free. One prepared system per model and kind of connections serves all load cases; the linear solve beside them has
no connections, and the annulus fibres in its cells. Set-up is `prepare`, solve is `system.solve` from zero to a
residual of 1e-8. Then the cemented state: new moduli, solved from zero and from the intact displacements, which must
give one answer before any time is shown. `--quick` takes tiny models, and all connections or none.
"""

from __future__ import annotations

import time
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
    resident_mb,
    run_child,
    spread,
    write_results,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from fesolver.solvers.solution import Solution
    from fesolver.study.config import StudyConfig

RUNS = 3
RTOL = 1e-8
AGREEMENT = 1e-6
"""Of the largest displacement, between two starts: a residual of 1e-8 on a contrast of 1e4 moves it by less."""

PARTS: dict[str, dict[str, Any]] = {
    "linear": {},
    "ligaments": {"ligaments": True},
    "facets": {"facets": True},
    "fibres": {"fibres": "elements"},
    "all": {"ligaments": True, "facets": True, "fibres": "elements"},
}
"""What stands in `[connections]`."""

LOADS: dict[str, dict[str, float]] = {
    "compression": {"force_n": 500.0},
    "flexion": {"force_n": 0.0, "flexion_nm": 7.5},
    "extension": {"force_n": 0.0, "flexion_nm": -7.5},
    "rotation": {"force_n": 0.0, "axial_rotation_nm": 7.5},
}

_PARAMETRIC = {"kind": "parametric", "t_score": -3.0}
_PHANTOM = {"kind": "synthetic", "t_score": -3.0, "voxel_mm": 1.0, "seed": 1}
MODELS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "structured, refinement 0.6": (_PARAMETRIC, {"refinement": 0.6}),
    "structured, refinement 1": (_PARAMETRIC, {"refinement": 1.0}),
    "voxels, 2 mm": (_PHANTOM, {"spacing_mm": 2.0}),
    "voxels, 1.2 mm": (_PHANTOM, {"spacing_mm": 1.2}),
}
"""Tables `[input]` and `[segment]`."""

QUICK: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "structured, refinement 0.3": (_PARAMETRIC, {"refinement": 0.3}),
    "voxels, 2.5 mm": (_PHANTOM, {"spacing_mm": 2.5}),
}
"""Tiny models, which load the kernels too."""


def study(model: str, parts: str) -> StudyConfig:
    """The study whose problem is measured."""
    from fesolver.study.config import study_from_dict

    given, size = (MODELS | QUICK)[model]
    levels = ["T12", "L1", "L2"]
    return study_from_dict({
        "schema": 1, "name": "soft_connections", "input": dict(given), "segment": {"levels": levels} | size,
        "treatment": {"level": "L1"}, "load": {"top": "free"}, "connections": PARTS[parts],
    })  # fmt: skip


def measure(model: str, small: str, parts: str, runs: int) -> Record:
    """In a child: one model with one kind of connections under all load cases, kernels loaded before."""
    with compile_seconds() as before:
        if small != model:
            solve_all(small, parts, runs=1)
    with compile_seconds() as inside:
        record = solve_all(model, parts, runs=runs)
    return record | {"compile_before_s": before[0], "compile_inside_s": inside[0], "peak_mb": peak_mb()}


def solve_all(model: str, parts: str, *, runs: int) -> Record:
    """Build, prepare and solve; then the treated state."""
    from fesolver.loading.load_case import LoadCase
    from fesolver.loading.pads import pad_constraints
    from fesolver.solvers.prepare import prepare
    from fesolver.study.inputs import read_data
    from fesolver.study.model import build_models, make_problem
    from fesolver.study.stages import Stages

    config = study(model, parts)
    models = build_models(config, read_data(config), Stages())
    assert models.treated is not None
    cases = {name: LoadCase(name, top="free", **keys) for name, keys in LOADS.items()}
    loads = {name: pad_constraints(models.intact.mesh, case).loads for name, case in cases.items()}
    problem, _ = make_problem(models.intact, cases["compression"])
    resident, highest = resident_mb(), peak_mb()
    start = time.perf_counter()
    system = prepare(problem)
    setup = time.perf_counter() - start
    intact, out = {}, {}
    for name, load in loads.items():
        intact[name], out[name] = timed(lambda load=load: system.solve(load, rtol=RTOL), runs)
    start = time.perf_counter()
    system = system.with_elasticity(models.treated.elasticity)
    system.connect()
    again = time.perf_counter() - start
    for name, load in loads.items():
        cold, out[name]["treated"] = timed(lambda load=load: system.solve(load, rtol=RTOL), runs)
        warm, out[name]["treated from intact"] = timed(
            lambda load=load, u0=intact[name].u: system.solve(load, u0=u0, rtol=RTOL), runs
        )
        out[name]["difference"] = float(abs(cold.u - warm.u).max() / abs(cold.u).max())
    return {
        "model": model, "parts": parts, "n_dof": int(problem.points.size), "method": system.method,
        "elements": sum(group.count for group in problem.connections), "setup_s": setup, "setup_treated_s": again,
        "taken_mb": peak_mb() - resident if peak_mb() > highest else None, "loads": out,
    }  # fmt: skip


def timed(solve: Any, runs: int) -> tuple[Solution, Record]:
    """The last of several solves, and how they went."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        solution: Solution = solve()
        seconds.append(time.perf_counter() - start)
    record: Record = {
        "solve_s": spread(seconds), "iterations": solution.iterations, "residual": solution.residual_norms[-1],
        "outer": 1, "set_ups": 1,
    }  # fmt: skip
    if (found := solution.active_set) is not None:
        record |= {
            "outer": len(found.changes), "set_ups": found.set_ups, "changes": list(found.changes),
            "linear_iterations": list(found.linear_iterations), "steps": list(found.steps),
            "resisting": sum(int((state.force != 0.0).sum()) for state in solution.connections.values()),
        }  # fmt: skip
    return solution, record


def run_model(model: str, small: str, kinds: Sequence[str], runs: int) -> dict[str, Record]:
    """Several kinds of connections on one model; stops where two starts gave two answers."""
    out: dict[str, Record] = {}
    for parts in kinds:
        print(f"{model}: {parts}", flush=True)
        given = {"model": model, "small": small, "parts": parts, "runs": runs}
        record = run_child(__file__, "measure", given, threads=THREADS).result
        for load, found in record["loads"].items():
            if found["difference"] > AGREEMENT:
                raise SystemExit(
                    f"{model}, {parts}, {load}: solved from zero and from the intact state, displacements differ by "
                    f"{found['difference']:.1e}: no times are compared"
                )
        out[parts] = record
    return out


def ratio(record: Record, linear: Record, load: str) -> float:
    """Seconds of a solve over those of the linear one."""
    mine, theirs = record["loads"][load], linear["loads"][load]
    return float(mine["solve_s"]["min"] / theirs["solve_s"]["min"])


def table(models: dict[str, dict[str, Record]]) -> str:
    """One line per model, connections and load case, then the treated state."""
    rows, notes = [], []
    for model, records in models.items():
        linear = records["linear"]
        size = f"{model}, {linear['n_dof']:,} unknowns"
        for parts, record in records.items():
            for load, found in record["loads"].items():
                cold, warm = found["treated"], found["treated from intact"]
                rows.append((
                    size, parts, str(record["elements"]), load, f"{record['setup_s']:.2f}", str(found["outer"]),
                    str(found["iterations"]), str(found["set_ups"]), f"{found['solve_s']['min']:.2f}",
                    f"{ratio(record, linear, load):.2f}",
                    f"{cold['outer']}, {cold['iterations']}, {cold['solve_s']['min']:.2f}",
                    f"{warm['outer']}, {warm['iterations']}, {warm['solve_s']['min']:.2f}", f"{record['peak_mb']:.0f}",
                ))  # fmt: skip
            if record["compile_inside_s"]:
                notes.append(f"{model}, {parts}: {record['compile_inside_s']:.1f} s went into compiling: run again")
        largest = max(found["difference"] for record in records.values() for found in record["loads"].values())
        notes.append(f"{model}, {linear['method']}: from zero and from the intact state the same within {largest:.0e}")
    header = (
        "model", "connections", "elements", "load", "set-up s", "outer", "iterations", "set-ups", "solve s",
        "over linear", "treated: outer, iterations, s", "from intact: outer, iterations, s", "peak MB",
    )  # fmt: skip
    return "\n".join([markdown(header, rows), "", *(f"- {note}" for note in notes)])


def plot(models: dict[str, dict[str, Record]]) -> Figure:
    """Seconds over those of the linear solve, a bar per load case and kind of connections."""
    from fesolver.report.style import COLOURS, figure_style, new_figure

    colours = dict(zip(PARTS, ("pad", "treated", "nucleus", "disc", "intact"), strict=True))
    with figure_style():
        figure = new_figure(7.0, 2.0 * len(models) + 0.4)
        panels = figure.subplots(len(models), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (model, records) in zip(panels, models.items(), strict=True):
            width = 0.8 / len(records)
            for n, (parts, record) in enumerate(records.items()):
                heights = [ratio(record, records["linear"], load) for load in LOADS]
                places = [k + width * (n - 0.5 * (len(records) - 1)) for k in range(len(LOADS))]
                axes.bar(places, heights, width, color=COLOURS[colours[parts]], label=parts)
            axes.set_title(model)
            axes.set_ylabel("solve / linear")
        panels[0].legend(fontsize=7, ncols=5)
        panels[-1].set_xticks(range(len(LOADS)), list(LOADS))
    return figure


def main() -> None:
    if answer_child(measure):
        return
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", choices=list(MODELS), metavar="NAME")
    options.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="NAME")
    given = options.parse_args()
    runs = given.runs or (1 if given.quick else RUNS)
    kinds = ["all"] if given.quick else given.parts
    kinds = ["linear", *(parts for parts in kinds if parts != "linear")]
    models: dict[str, dict[str, Record]] = {}
    for name in list(QUICK) if given.quick else given.models or list(MODELS):
        small = next(other for other in QUICK if other.split(",")[0] == name.split(",")[0])
        try:
            models[name] = run_model(name, small, kinds, runs)
        except ChildFailedError as error:
            raise SystemExit(f"{name}: {error}") from None
    record = {"rtol": RTOL, "threads": THREADS, "runs": runs, "models": models}
    write_results("soft_connections", record, table(models), plot(models), is_quick=given.quick)


if __name__ == "__main__":
    main()
