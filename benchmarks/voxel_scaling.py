"""How the voxel solver scales: spine segments on finer and finer cells, and blocks of 1 to 100 million unknowns.

    python benchmarks/voxel_scaling.py [--quick] [--runs N] [--part segments|blocks] [--spacings MM ...]
                                       [--sizes N ...] [--peer install|existing|none]

Segments: the synthetic L1 to L3 with discs (nucleus of Poisson's ratio 0.499, annulus with fibres), posterior elements
and 6 ml of cement in L2, made by the stages of the study pipeline, under 500 N between pads; mean dilatation; to a
relative residual of 1e-8. Blocks: cubes of n^3 cells held at both ends, uniform and heterogeneous as in
`voxel_peers.py`, fully integrated, to 1e-6, beside parosol-py as far as its memory and time allow. Every solve is a
process of its own; bytes per unknown are what that process takes beyond the loaded libraries, model and answer
included. Kernels are compiled before.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from _common import (
    THREADS,
    ChildFailedError,
    Record,
    answer_child,
    available_mb,
    parser,
    run_child,
    spread,
    write_results,
)
from _parosol import PeerFailedError, add_peer_option, reason_without_peer, solve_with_parosol
from _residual import check_saved
from _scaling_report import KINDS, PHASES, plot, table

SEGMENT_RTOL, BLOCK_RTOL = 1e-8, 1e-6
SPACINGS_MM = (1.0, 0.5, 0.25)
WARM_SPACING_MM = 2.0
"""Of the segment that loads the kernels: large enough for parallel ones."""
SIZES = (69, 100, 147, 216, 321)
"""Cells along an edge: 1, 3, 10, 31 and 100 million unknowns."""
REPEATED_UP_TO = 12_000_000
"""Unknowns up to which a block is solved three times; larger ones once."""
LIMIT_S = 3600.0
REACTION_TOLERANCE = 1e-4


def make_segment(spacing_mm: float, path: str) -> Record:
    """In a child: the treated segment's problem and loads, pickled."""
    from fesolver.study.config import study_from_dict
    from fesolver.study.inputs import read_data
    from fesolver.study.model import build_models, make_problem, study_load_case
    from fesolver.study.progress import SilentProgress
    from fesolver.study.stages import Stages

    start = time.perf_counter()
    config = study_from_dict(
        {
            "name": "scaling",
            "input": {"kind": "synthetic", "t_score": -3.0, "voxel_mm": 1.0, "seed": 1},
            "segment": {"levels": ["L1", "L2", "L3"], "spacing_mm": spacing_mm, "posterior_elements": True},
            "treatment": {"level": "L2", "volume_ml": 6.0},
            "load": {"force_n": 500.0},
        }
    )
    treated = build_models(config, read_data(config), Stages(SilentProgress())).treated
    assert treated is not None
    problem, pads = make_problem(treated, study_load_case(config))
    with open(path, "wb") as file:
        pickle.dump((problem, pads.loads), file, protocol=5)
    young, poisson = problem.elasticity.young, problem.elasticity.poisson
    return {
        "name": f"L1 to L3, {spacing_mm:g} mm",
        "spacing_mm": spacing_mm,
        "n_cells": len(problem.cells),
        "n_dof": int(problem.points.size),
        "n_general_cells": len(problem.elasticity.general_cells),
        "contrast": float(young.max() / young.min()),
        "largest_poisson": float(poisson.max()),
        "pipeline_s": time.perf_counter() - start,
    }


def solve_segment(path: str, warm_path: str, threads: int) -> Record:
    """In a child: solve a pickled problem, after a smaller one has loaded the kernels."""
    from _common import compile_seconds
    from _ours import measure

    from fesolver.solvers.prepare import prepare

    with compile_seconds() as before:
        problem, loads = pickle.loads(Path(warm_path).read_bytes())
        prepare(problem, method="voxel-multigrid", threads=threads).solve(loads, rtol=1e-2)
    with measure(before[0]) as record:
        with open(path, "rb") as file:
            problem, loads = pickle.load(file)
        start = time.perf_counter()
        system = prepare(problem, method="voxel-multigrid", threads=threads)
        prepared = time.perf_counter()
        solution = system.solve(loads, rtol=SEGMENT_RTOL)
        record |= {"setup_s": prepared - start, "solve_s": time.perf_counter() - prepared}
    motion = solution.rigid_motion["top"]
    return record | {
        "iterations": solution.iterations,
        "residual": solution.residual_norms[-1],
        "rtol": SEGMENT_RTOL,
        "threads": threads,
        "method": solution.method,
        "top_motion": motion.tolist(),
    }


def make_block(kind: str, n: int, path: str) -> Record:
    """In a child: make a block and save it."""
    import _models

    model = {"uniform": _models.uniform_block, "heterogeneous": _models.heterogeneous_block}[kind](n)
    model.save(Path(path))
    return dict(model.describe())


def solve_block(path: str, threads: int) -> Record:
    """In a child: solve a saved block and check the answer."""
    from _ours import solve_model
    from _residual import check_answer

    answer = solve_model(Path(path), rtol=BLOCK_RTOL, threads=threads)
    return answer.record | check_answer(answer.model, answer.displacement)


def repeat(solve: Callable[[], Record], n_dof: int, runs: int) -> Record:
    """Run a solve several times; seconds with their spread, per-unknown figures of the quickest."""
    records = [solve() for _ in range(runs)]
    out = records[0] | {phase: spread([record[phase] for record in records]) for phase in PHASES}
    taken = out.get("taken_mb")
    out["us_per_unknown"] = 1e6 * out["overall_s"]["min"] / n_dof
    out["bytes_per_unknown"] = None if taken is None else taken * 2**20 / n_dof
    return out


def run_segments(spacings: list[float], runs: int) -> list[Record]:
    """Every spacing, coarsest first; one that fails keeps its reason."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        path, warm_path = str(Path(folder) / "problem.pickle"), str(Path(folder) / "warm.pickle")
        _child("make_segment", {"spacing_mm": WARM_SPACING_MM, "path": warm_path})
        for spacing in spacings:
            entry: Record = {"spacing_mm": spacing}
            try:
                made = run_child(__file__, "make_segment", {"spacing_mm": spacing, "path": path}, threads=THREADS)
                entry |= made.result | {"pipeline_peak_mb": made.peak_mb}
                names = {"path": path, "warm_path": warm_path, "threads": THREADS}
                entry |= repeat(partial(_child, "solve_segment", names), entry["n_dof"], runs)
            except ChildFailedError as error:
                entry |= {"name": f"L1 to L3, {spacing:g} mm", "failed": str(error)}
            _progress(f"segment at {spacing:g} mm", entry)
            out.append(entry)
    return out


def _child(name: str, names: Record) -> Record:
    """Result of a child with the benchmark's threads and limit."""
    return run_child(__file__, name, names, threads=THREADS, limit_s=LIMIT_S).result


def run_blocks(sizes: list[int], runs: int | None, has_peer: bool) -> list[Record]:
    """Every size and kind, ours and the peer; one that fails keeps its reason."""
    out: list[Record] = []
    for kind in KINDS:
        needs = {"mb": 0.0, "s": 0.0}  # of the peer, per unknown, in the last block
        for n in sorted(sizes):
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                path = folder / "block.npz"
                model = _child("make_block", {"kind": kind, "n": n, "path": str(path)})
                count = runs or (3 if model["n_dof"] <= REPEATED_UP_TO else 1)
                reaction = None
                for code in ("ours", "parosol") if has_peer else ("ours",):
                    entry: Record = {"kind": kind, "n": n, "code": code} | model
                    try:
                        entry |= _solve_with(code, path, folder, entry["n_dof"], count, needs)
                        reaction = reaction or entry["reaction_n"]
                        if abs(entry["reaction_n"] / reaction - 1.0) > REACTION_TOLERANCE:
                            entry["failed"] = f"another reaction: {entry['reaction_n']:.6g}, not {reaction:.6g} N"
                    except (ChildFailedError, PeerFailedError) as error:
                        entry["failed"] = str(error)
                    _progress(f"{kind} block of {n}^3, {code}", entry)
                    out.append(entry)
    return out


def _solve_with(code: str, path: Path, folder: Path, n_dof: int, runs: int, needs: dict[str, float]) -> Record:
    """One code on one block; the peer is not started where it would not fit into memory or time."""
    if code == "ours":
        return repeat(partial(_child, "solve_block", {"path": str(path), "threads": THREADS}), n_dof, runs)
    if needs["mb"] * n_dof > available_mb():
        raise PeerFailedError(f"would need about {needs['mb'] * n_dof:,.0f} MB")
    if needs["s"] * n_dof > LIMIT_S:
        raise PeerFailedError(f"would take about {needs['s'] * n_dof:,.0f} s")

    def solve() -> Record:
        displacement = folder / "peer.npy"
        record = solve_with_parosol(path, displacement, rtol=BLOCK_RTOL, ranks=THREADS, limit_s=LIMIT_S)
        record |= _child("check_saved", {"path": str(path), "displacement": str(displacement)})
        return record | {"taken_mb": record["peak_mb"]}

    out = repeat(solve, n_dof, runs)
    needs |= {"mb": 1.1 * out["peak_mb"] / n_dof, "s": out["overall_s"]["min"] / n_dof}
    return out


def _progress(what: str, entry: Record) -> None:
    """One line on a case that has ended."""
    if "failed" in entry:
        print(f"{what}: {entry['failed']}", flush=True)
    else:
        print(
            f"{what}: {entry['n_dof']:,} unknowns, {entry['iterations']} iterations, set-up "
            f"{entry['setup_s']['min']:.2f} s, solve {entry['solve_s']['min']:.2f} s, peak {entry['peak_mb']:,.0f} MB",
            flush=True,
        )


def main() -> None:
    if answer_child(make_segment, solve_segment, make_block, solve_block, check_saved):
        return
    options = parser(__doc__)
    options.add_argument("--part", choices=("segments", "blocks"), help="only one of the two")
    options.add_argument("--spacings", nargs="+", type=float, metavar="MM", help="of the segments")
    options.add_argument("--sizes", nargs="+", type=int, metavar="N", help="cells along the edge of a block")
    add_peer_option(options)
    given = options.parse_args()
    spacings = given.spacings or ([3.0, 2.0] if given.quick else list(SPACINGS_MM))
    sizes = given.sizes or ([12, 24] if given.quick else list(SIZES))
    segments, blocks, reason = [], [], ""
    if given.part != "blocks":
        segments = run_segments(sorted(spacings, reverse=True), given.runs or 1)
    if given.part != "segments":
        reason = reason_without_peer(given.peer, is_quick=given.quick)
        blocks = run_blocks(sizes, given.runs or (1 if given.quick else None), has_peer=not reason)
    record = {"threads": THREADS, "segments": segments, "blocks": blocks, "peer_left_out": reason}
    text, figure = table(segments, blocks, reason), plot(segments, blocks)
    write_results("voxel_scaling", record, text, figure, is_quick=given.quick)


if __name__ == "__main__":
    main()
