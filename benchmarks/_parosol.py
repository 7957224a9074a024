"""parosol-py, the peer: its environment, and one solve of a voxel model with it.

parosol-py [1]_ wraps ParOSol [2]_, a micro-FE solver in C++ and MPI: trilinear bricks with full integration, conjugate
gradients preconditioned by a W-cycle of geometric multigrid on an octree. It is installed from the package index into
`benchmarks/.peers/parosol` and run by the interpreter there. Its wheels (Linux x86-64, macOS, Windows; Python 3.11 to
3.13) bring Open MPI along, so that no system package is needed beyond libstdc++ and zlib.

It takes moduli in GPa and given displacements from an HDF5 file, writes displacements in float64 to the same file, and
stops when the 2-norm of the residual falls below `--tol` times that of the start, whose only displacements are the
given ones: the norm that ours has. Its own clocks do not tell reading from set-up, so every line that it prints is
stamped as it comes:

- set-up: from "HDF5 ImageReader", after the file was read, to "Preconditioning done";
- solve: from there to the last "It:";
- apart: start of the processes, reading before, writing after.

The stamped solve must agree with its own "Solving".

References
----------
.. [1] https://github.com/wallematthias/parosol-py
.. [2] C. Flaig and P. Arbenz, A scalable memory efficient multigrid solver for micro-finite element analyses based on
   CT images, Parallel Computing 37 (2011) 846-854.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

VERSION = "0.1.26"
FOLDER = Path(__file__).resolve().parent / ".peers" / "parosol"
LEVELS = 6
"""Its default for the largest number of levels; blocks of more than 2^7 cells along an edge get more."""


class PeerMissingError(Exception):
    """The peer cannot be used here; the message says why and what to do."""


class PeerFailedError(Exception):
    """The peer was started and gave no answer."""


def find_interpreter(*, install: bool) -> Path:
    """Interpreter of the environment that has the peer.

    Parameters
    ----------
    install : bool
        Whether to make the environment (1.6 GB, half a minute) where it is missing.

    Raises
    ------
    PeerMissingError
        With the reason.
    """
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = FOLDER / "installed.txt"
    if not stamp.exists() or stamp.read_text() != VERSION:
        if not install:
            raise PeerMissingError("parosol-py is not installed; a run without --quick installs it")
        print(f"installing parosol-py {VERSION} into {FOLDER.relative_to(FOLDER.parents[2])}")
        for command in (
            [sys.executable, "-m", "venv", str(FOLDER)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"parosol-py=={VERSION}"],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
                errors = [line for line in lines if "error" in line.lower()] or lines
                raise PeerMissingError(f"parosol-py cannot be installed: {errors[-1]}")
        stamp.write_text(VERSION)
    return python


def add_peer_option(options: argparse.ArgumentParser) -> None:
    """The option that says whether the peer takes part."""
    text = "install it where it is missing (default), only where it is installed (default of --quick), or leave it out"
    options.add_argument("--peer", choices=("install", "existing", "none"), help=text)


def reason_without_peer(choice: str | None, *, is_quick: bool) -> str:
    """Why the peer takes no part, printed too; empty where it does."""
    reason = "not asked for"
    if choice != "none":
        try:
            find_interpreter(install=choice == "install" or (choice is None and not is_quick))
            return ""
        except PeerMissingError as error:
            reason = str(error)
    print(f"parosol-py left out: {reason}", flush=True)
    return reason


def solve_with_parosol(model: Path, displacement: Path, *, rtol: float, ranks: int, limit_s: float) -> dict[str, Any]:
    """Solve a saved `VoxelModel`; displacements go to `displacement` (.npy, (nx + 1, ny + 1, nz + 1, 3)).

    Returns
    -------
    dict
        As the record of `_ours.solve_model`, and `read_s`, `write_s`, `own_solve_s`, `levels`.

    Raises
    ------
    PeerFailedError
        With what it said last.
    """
    if ranks > len(os.sched_getaffinity(0)):
        raise PeerFailedError(f"{ranks} ranks do not fit on {len(os.sched_getaffinity(0))} core")
    arguments = json.dumps(
        {"model": str(model), "displacement": str(displacement), "rtol": rtol, "ranks": ranks, "limit_s": limit_s}
    )
    python = find_interpreter(install=False)
    # Open MPI warns about a fork in a threaded process: its interpreter must not start threads of BLAS.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(python), __file__, arguments], env=environment, capture_output=True, text=True, cwd=FOLDER
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise PeerFailedError(lines[-1])
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def _run(
    command: list[str], environment: dict[str, str], folder: str, limit_s: float
) -> tuple[list[tuple[float, str]], float]:
    """Lines that a command prints, each with the second it came, and the ranks' peak memory in the solve, MB."""
    process = subprocess.Popen(
        ["stdbuf", "--output=L", *command], env=environment, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    timer = threading.Timer(limit_s, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    lines, memory = [], 0.0
    for line in process.stdout:
        lines.append((time.perf_counter(), line.strip()))
        if lines[-1][1].startswith("It:"):
            memory = _ranks_peak_mb(folder)
    status = process.wait()
    if not timer.is_alive():
        raise SystemExit(f"parosol was ended after {limit_s:.0f} s")
    timer.cancel()
    if status:
        said = " / ".join(line for _, line in lines[-3:])
        raise SystemExit(f"parosol ended with status {status}: {said}")
    return lines, memory


def _ranks_peak_mb(folder: str) -> float:
    """Sum over the ranks that run in a folder of the most memory each has had, MB."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
            if status["Name"] == "parosol" and os.path.samefile(process / "cwd", folder):
                total += int(status["VmHWM"].split()[0]) / 1024.0
        except (OSError, KeyError, ValueError):
            continue
    return total


def _phases(lines: list[tuple[float, str]]) -> dict[str, Any]:
    """Seconds of each phase from the stamped lines."""

    def when(start: str, *, last: bool = False) -> float:
        found = [stamp for stamp, line in lines if line.startswith(start)]
        if not found:
            raise SystemExit(f"parosol did not print {start!r}; its last line: {lines[-1][1] if lines else ''}")
        return found[-1] if last else found[0]

    def own(name: str) -> float:
        text = "\n".join(line for _, line in lines)
        match = re.search(rf"#\s+{re.escape(name)}:\s+([-+0-9.eE]+)", text)
        if match is None:
            raise SystemExit(f"parosol did not print its {name!r}")
        return float(match.group(1))

    start, read, prepared = when("Parameters"), when("HDF5 ImageReader"), when("Preconditioning done")
    solved, end = when("It:", last=True), when("### Timing")
    out = {
        "setup_s": prepared - read,
        "solve_s": solved - prepared,
        "overall_s": solved - read,
        "read_s": read - start,
        "write_s": end - solved,
        "iterations": int(own("Nr of It")),
        "own_solve_s": own("Solving"),
    }
    if abs(out["solve_s"] - out["own_solve_s"]) > 0.1 + 0.05 * out["own_solve_s"]:
        raise SystemExit(f"stamped solve {out['solve_s']:.2f} s, parosol's own clock {out['own_solve_s']:.2f} s")
    return out


def main() -> None:
    """Inside the peer's environment: write its input, run it, read displacements, print the record."""
    import h5py
    import numpy as np
    from parosol_py.hdf5_io import write_parosol_input
    from parosol_py.runner import build_parosol_command, mpi_runtime_environment, packaged_executable

    given = json.loads(sys.argv[1])
    with np.load(given["model"]) as data:
        young, spacing = data["young_gpa"], float(data["spacing_mm"])
        poisson, shortening = float(data["poisson"]), float(data["shortening"])
    nz = young.shape[2]
    ends = []
    for k, value in ((0, 0.0), (nz, -shortening * nz * spacing)):
        cells = young[:, :, min(k, nz - 1)] > 0
        points = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), dtype=bool)
        for i, j in np.ndindex(2, 2):
            points[i : cells.shape[0] + i, j : cells.shape[1] + j] |= cells
        at = np.argwhere(points)
        for component in range(3):
            row = np.column_stack([at, np.full(len(at), k), np.full(len(at), component)])
            ends.append((row, np.full(len(at), value if component == 2 else 0.0)))
    levels = max(LEVELS, int(np.ceil(np.log2(max(young.shape)))))
    with tempfile.TemporaryDirectory() as folder:
        path = write_parosol_input(
            Path(folder) / "model.h5", stiffness_gpa_xyz=young, voxel_size_mm=spacing, poisson_ratio=poisson,
            fixed_displacement_coordinates=np.concatenate([row for row, _ in ends]),
            fixed_displacement_values=np.concatenate([value for _, value in ends]),
        )  # fmt: skip
        command = build_parosol_command(
            executable=packaged_executable(), input_file=path.name, outputs=("sed",), tolerance=given["rtol"],
            level=levels, mpi_processes=given["ranks"],
        )  # fmt: skip
        environment = mpi_runtime_environment(command) or dict(os.environ)
        lines, memory = _run(command, environment, folder, given["limit_s"])
        out = np.full((*(n + 1 for n in young.shape), 3), np.nan)
        with h5py.File(path) as file:
            place = np.rint(file["Mesh/Coordinates"][:] / spacing).astype(np.int64)
            out[tuple(place.T)] = file["Solution/disp"][:]
    np.save(given["displacement"], out)
    record = _phases(lines) | {
        "rtol": given["rtol"], "ranks": given["ranks"], "levels": levels, "peak_mb": memory,
        "version": VERSION,
    }  # fmt: skip
    print(json.dumps(record))


if __name__ == "__main__":
    main()
