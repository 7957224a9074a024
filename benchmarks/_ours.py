"""The package's voxel solver as the benchmarks call it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from _common import Record, compile_seconds, peak_mb, resident_mb
from _models import VoxelModel, heterogeneous_block, trabecular_network
from numpy.typing import NDArray

Integration = Literal["full", "b-bar"]


@dataclass(frozen=True)
class Answer:
    """A model, its displacements (nx + 1, ny + 1, nz + 1, 3), mm, NaN outside the material, how they came about."""

    model: VoxelModel
    displacement: NDArray[np.float64]
    record: Record


def arguments(model: VoxelModel, *, integration: Integration, threads: int) -> dict[str, Any]:
    """What `prepare_voxels` takes: the arrays in memory that the clock starts from."""
    from fesolver.solvers.voxels import Fixed

    bottom, top = np.zeros((2, *model.grid), dtype=bool)
    bottom[:, :, 0] = top[:, :, -1] = True
    return {
        "young_mpa": model.young_mpa,
        "poisson": model.poisson,
        "spacing_mm": model.spacing_mm,
        "fixed": [Fixed(bottom, "xyz"), Fixed(top, "xy"), Fixed(top, "z", model.top_mm)],
        "integration": integration,
        "threads": threads,
    }


def solve_model(path: Path, *, rtol: float, threads: int, integration: Integration = "full") -> Answer:
    """Solve a saved model from arrays in memory to displacements in memory, kernels loaded before.

    Returns
    -------
    Answer
        With the model; its record is that of `measure`.
    """
    from fesolver.solvers.voxels import prepare_voxels

    with compile_seconds() as before:
        for small in (heterogeneous_block(24), trabecular_network(40)):
            prepare_voxels(**arguments(small, integration=integration, threads=threads)).solve(rtol=1e-2)
    with measure(before[0]) as record:
        model = VoxelModel.load(path)
        given = arguments(model, integration=integration, threads=threads)
        start = time.perf_counter()
        system = prepare_voxels(**given)
        prepared = time.perf_counter()
        result = system.solve(rtol=rtol)
        displacement = result.displacement
        record |= {"setup_s": prepared - start, "solve_s": time.perf_counter() - prepared}
    record |= {"iterations": result.iterations, "rtol": rtol, "threads": threads, "integration": integration}
    return Answer(model, displacement, record)


@contextmanager
def measure(compile_before_s: float) -> Iterator[Record]:
    """Fill a record with what a solve inside takes; `setup_s` and `solve_s` are put in by the caller.

    Yields
    ------
    dict
        `overall_s` is the sum of the two; `compile_inside_s` what of it went into compiling; `peak_mb` the most memory
        the process has had; `taken_mb` that minus what it had before, model and answer included, or None where an
        earlier peak hides it.
    """
    resident, peak_before = resident_mb(), peak_mb()
    record: Record = {}
    with compile_seconds() as inside:
        yield record
    peak = peak_mb()
    record |= {
        "overall_s": record["setup_s"] + record["solve_s"],
        "compile_before_s": compile_before_s,
        "compile_inside_s": inside[0],
        "peak_mb": peak,
        "taken_mb": peak - resident if peak > peak_before else None,
    }
