"""The codes of `solve_peers.py` that run in the package's environment, and the check of every code's answer."""

from __future__ import annotations

import time

import numpy as np
from _common import Record, compile_seconds, peak_mb
from assembly_peers import problem_of

RTOL = 1e-8
"""Of ||f - K u|| / ||f|| on the free unknowns, for every code."""


def ours(path: str, small: str, answer: str, threads: int) -> Record:
    """In a child: prepare and solve with the package, kernels loaded before."""
    from _solid_models import SolidModel

    from fesolver.fem.problem import Loads
    from fesolver.solvers.prepare import prepare

    with compile_seconds() as before:
        model = SolidModel.load(small)
        prepare(problem_of(model), method="amg", threads=threads).solve(Loads(nodal_force=model.force), rtol=1e-2)
    model = SolidModel.load(path)
    with compile_seconds() as inside:
        start = time.perf_counter()
        system = prepare(problem_of(model), threads=threads)
        prepared = time.perf_counter()
        solution = system.solve(Loads(nodal_force=model.force), rtol=RTOL)
        solved = time.perf_counter()
    peak = peak_mb()
    np.save(answer, solution.u)
    return {
        "setup_s": prepared - start, "solve_s": solved - prepared, "overall_s": solved - start,
        "iterations": solution.iterations, "own_residual": solution.residual_norms[-1], "peak_mb": peak,
        "method": solution.method, "compile_before_s": before[0], "compile_inside_s": inside[0],
    }  # fmt: skip


def pyamg_solve(path: str, small: str, answer: str, threads: int) -> Record:
    """In a child: pyamg on the matrix that the package assembles."""
    import pyamg
    from _solid_models import SolidModel

    from fesolver.fem.assembly import assemble_stiffness
    from fesolver.fem.threads import kernel_threads

    assemble_stiffness(problem_of(SolidModel.load(small)))
    model = SolidModel.load(path)
    start = time.perf_counter()
    with kernel_threads(threads):
        K = assemble_stiffness(problem_of(model)).tocsr()
    free = np.setdiff1d(np.arange(len(model.points)), model.fixed_points)
    dofs = (3 * free[:, None] + np.arange(3)).ravel()
    A = K[dofs][:, dofs].tobsr((3, 3))
    assembled = time.perf_counter()
    np.random.seed(0)  # noqa: NPY002 (pyamg estimates spectral radii from numpy's global generator)
    sweep = ("block_gauss_seidel", {"sweep": "symmetric", "iterations": 1})
    levels = pyamg.smoothed_aggregation_solver(
        A, B=rigid_modes(model.points[free]), strength=("symmetric", {"theta": 0.02}), presmoother=sweep,
        postsmoother=sweep, max_coarse=500, coarse_solver="splu", improve_candidates=None,
    )  # fmt: skip
    prepared = time.perf_counter()
    f = model.force.reshape(-1)[dofs]
    norms: list[float] = []
    x = levels.solve(f, tol=RTOL, accel="cg", maxiter=1000, residuals=norms)
    residual = float(np.linalg.norm(f - A @ x) / np.linalg.norm(f))
    tolerance = RTOL
    while residual > RTOL and tolerance > 1e-3 * RTOL:
        tolerance *= 0.5
        x = levels.solve(f, x0=x, tol=tolerance, accel="cg", maxiter=1000, residuals=norms)
        residual = float(np.linalg.norm(f - A @ x) / np.linalg.norm(f))
    solved = time.perf_counter()
    peak = peak_mb()
    u = np.zeros(model.points.size)
    u[dofs] = x
    np.save(answer, u.reshape(-1, 3))
    return {
        "assembly_s": assembled - start, "setup_s": prepared - start, "solve_s": solved - prepared,
        "overall_s": solved - start, "iterations": len(norms) - 1, "own_residual": residual, "peak_mb": peak,
        "version": pyamg.__version__,
    }  # fmt: skip


def rigid_modes(points: np.ndarray) -> np.ndarray:
    """Six rigid motions (3 n, 6) of points (n, 3) about their centre, of like size."""
    arm = points - points.mean(axis=0)
    arm /= np.sqrt(np.mean(np.sum(arm**2, axis=1)))
    modes = np.zeros((len(points), 3, 6))
    modes[:, :, :3] = np.eye(3)
    for axis in range(3):
        modes[:, :, 3 + axis] = np.cross(np.eye(3)[axis], arm)
    return modes.reshape(-1, 6)


def check(path: str, answers: dict[str, str]) -> Record:
    """In a child: residual, shortening (mm) and v.K u (N mm) of displacements saved by each code."""
    from _solid_models import SolidModel, smooth_fields

    from fesolver.fem.assembly import assemble_stiffness

    model = SolidModel.load(path)
    K = assemble_stiffness(problem_of(model))
    is_free = np.ones(model.points.size, dtype=bool)
    is_free[model.fixed_dofs] = False
    f, v = model.force.ravel(), smooth_fields(model.points)[1].ravel()
    top = model.points[:, 2] == model.points[:, 2].max()
    out: Record = {}
    for code, answer in answers.items():
        u = np.load(answer)
        internal = K @ u.ravel()
        out[code] = {
            "residual": float(np.linalg.norm((f - internal)[is_free]) / np.linalg.norm(f[is_free])),
            "shortening_mm": -float(u[top, 2].mean()),
            "v_k_u": float(v @ internal),
            "held_error_mm": float(np.abs(u.ravel()[~is_free]).max()),
        }
    return out
