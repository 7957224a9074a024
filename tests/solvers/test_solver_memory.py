"""Memory is estimated before it is taken, and refused with numbers."""

from __future__ import annotations

import numpy as np
import pytest

from fesolver.errors import InputError
from fesolver.solvers import memory
from fesolver.solvers.voxels import Fixed, prepare_voxels

# What `benchmarks/voxel_scaling.py` measured for blocks (n^3 cells, peak MB, libraries of 180 MB included).
PEAKS = {149: 1292.0, 255: 5264.0, 321: 10297.0}


@pytest.mark.parametrize("n", PEAKS)
def test_estimate_covers_the_measured_peak_and_not_much_more(n):
    estimate = 180.0 + memory.solver_memory_mb(n**3, (n + 1) ** 3, (n, n, n), n_rigid=0)

    assert PEAKS[n] <= estimate <= 1.25 * PEAKS[n]


def test_a_model_that_does_not_fit_is_refused_with_numbers(monkeypatch):
    monkeypatch.setattr(memory, "available_mb", lambda: 1.0)
    held = np.ones((21, 21, 21), dtype=bool)
    held[:, :, 1:] = False

    with pytest.raises(
        InputError, match=r"8,000 cells with 27,783 unknowns need about \d MB (.|\n)*1 MB are available"
    ):
        prepare_voxels(np.full((20, 20, 20), 100.0), 0.3, 1.0, fixed=[Fixed(held)])


def test_where_the_system_does_not_say_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_mb", lambda: None)

    memory.check_solver_memory(10**9, 10**9, (1000, 1000, 1000))
