"""The same bits on one and two threads, and in a second run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

SCRIPT = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from lattices import TILT, box_mesh, pads
from fesolver.fem.problem import Elasticity, Loads, Problem, RigidLoad
from fesolver.fem.recovery import recover_fields
from fesolver.solvers.prepare import prepare
points, cells, lattice = box_mesh((11, 9, 13), (1.5, 1.7, 1.2))
rng = np.random.default_rng(5)
problem = Problem(points, cells, Elasticity(10 ** rng.uniform(0, 4, len(cells)), rng.uniform(0.2, 0.49, len(cells))),
                  rigid_bodies=pads(points, top=TILT), lattice=lattice)
system = prepare(problem, sys.argv[2], threads=int(sys.argv[3]))
solution = system.solve(Loads(rigid={"top": RigidLoad(np.array([3.0, 0, -500.0]), np.array([100.0, 0, 0]))}))
fields = recover_fields(problem, solution.u)
digest = hashlib.sha256()
for array in (solution.u, solution.internal_force, solution.rigid_reaction["top"], fields.stress,
              fields.strain_energy_density, np.array(solution.residual_norms)):
    digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


def digest(method: str, threads: int) -> str:
    """Hash of everything a fresh process computes with that many threads for numba and for BLAS."""
    environment = dict(os.environ, NUMBA_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    environment["OMP_NUM_THREADS"] = str(threads)
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tests), method, str(threads)],
        env=environment, capture_output=True, text=True, check=True, cwd=tests.parent,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core: nothing to compare")
@pytest.mark.parametrize("method", ["direct", "amg", "pyamg", "voxel-multigrid"])
def test_bits_do_not_depend_on_threads_nor_on_the_run(method):
    one = digest(method, 1)

    assert len(one) == len(hashlib.sha256().hexdigest())
    assert digest(method, 2) == one
    assert digest(method, 1) == one
