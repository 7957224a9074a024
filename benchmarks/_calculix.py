"""CalculiX CrunchiX: its input file for a `SolidModel`, one run, and the displacements it prints.

`ccx` is the Debian package `calculix-ccx`; it is used where it is on the PATH. A linear step with nodal forces, solved
by its own choice of a direct solver. Displacements come from `*NODE PRINT` (.dat), seven digits each; `.frd` has six.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _common import Record
from _solid_models import Floats, Ids, SolidModel

KINDS = {"hex8": ("C3D8", "C3D8I"), "hex20": ("C3D20",), "tet4": ("C3D4",), "tet10": ("C3D10",)}
"""Its elements for each of ours; the node orders are VTK's."""

PER_LINE = 8
"""Numbers on a line of its input, which may have 16."""


class CalculixMissingError(Exception):
    """There is no ccx; the message says what to do."""


class CalculixFailedError(Exception):
    """ccx was started and gave no displacements; the message is the last line it wrote."""


def find_ccx() -> str:
    """Path of `ccx`.

    Raises
    ------
    CalculixMissingError
        Where it is not on the PATH.
    """
    found = shutil.which("ccx")
    if found is None:
        raise CalculixMissingError("ccx is not on the PATH: install the Debian package calculix-ccx")
    return found


def ccx_version() -> str:
    """Version of `ccx`, as it prints it."""
    done = subprocess.run([find_ccx(), "-v"], capture_output=True, text=True)
    match = re.search(r"Version\s+(\S+)", done.stdout)
    return match.group(1) if match else "unknown"


def input_lines(model: SolidModel, kind: str) -> Iterator[str]:
    """The input file: points and cells numbered from 1, one material per pair of constants."""
    yield "*NODE, NSET=NALL"
    for number, point in enumerate(model.points, start=1):
        yield f"{number}, " + ", ".join(f"{x:.13e}" for x in point)
    yield f"*ELEMENT, TYPE={kind}, ELSET=EALL"
    for number, cell in enumerate(model.cells + 1, start=1):
        yield from _wrapped([number, *cell.tolist()])
    constants, which = np.unique(np.stack([model.young, model.poisson], axis=1), axis=0, return_inverse=True)
    for m, (E, nu) in enumerate(constants):
        yield f"*ELSET, ELSET=E{m}"
        yield from _id_lines(np.flatnonzero(which.ravel() == m))
        yield f"*MATERIAL, NAME=M{m}"
        yield "*ELASTIC"
        yield f"{E:.13e}, {nu:.13e}"
        yield f"*SOLID SECTION, ELSET=E{m}, MATERIAL=M{m}"
    yield "*NSET, NSET=HELD"
    yield from _id_lines(model.fixed_points)
    yield from ("*STEP", "*STATIC", "*BOUNDARY", "HELD, 1, 3", "*CLOAD")
    for point, component in np.argwhere(model.force != 0):
        yield f"{point + 1}, {component + 1}, {model.force[point, component]:.13e}"
    yield from ("*NODE PRINT, NSET=NALL", "U", "*END STEP")


def _wrapped(numbers: list[int]) -> Iterator[str]:
    """Numbers over as many lines as they need; a line that goes on ends with a comma."""
    for start in range(0, len(numbers), PER_LINE):
        more = "," if start + PER_LINE < len(numbers) else ""
        yield ", ".join(str(n) for n in numbers[start : start + PER_LINE]) + more


def _id_lines(ids: Ids) -> Iterator[str]:
    """Lines of a set: ids from 0 as numbers from 1."""
    for start in range(0, len(ids), PER_LINE):
        yield ", ".join(str(n + 1) for n in ids[start : start + PER_LINE].tolist())


def read_displacements(text: str, n_points: int) -> Floats:
    """Displacements (n_points, 3) in mm that a `.dat` lists, one line "number ux uy uz" per point.

    Raises
    ------
    CalculixFailedError
        If a point is missing.
    """
    rows = [line.split() for line in text.splitlines()]
    table = np.array([[float(x) for x in row] for row in rows if len(row) == 4 and row[0].isdigit()])
    out = np.full((n_points, 3), np.nan)
    if len(table):
        out[table[:, 0].astype(np.int64) - 1] = table[:, 1:]
    if np.isnan(out).any():
        raise CalculixFailedError(f"{len(table)} of {n_points} displacements were printed")
    return out


def solve_with_calculix(model: SolidModel, kind: str, *, threads: int, limit_s: float) -> tuple[Floats, Record]:
    """Displacements (n_points, 3) in mm by one of its elements, and what the run took.

    Raises
    ------
    CalculixMissingError
        Where there is no ccx.
    CalculixFailedError
        With what it said last.
    """
    ccx = find_ccx()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.inp").write_text("\n".join(input_lines(model, kind)) + "\n")
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "CCX_NPROC_RESULTS": str(threads)}
        start = time.perf_counter()
        try:
            done = subprocess.run(
                [ccx, "-i", "model"], cwd=folder, env=environment, capture_output=True, text=True, timeout=limit_s
            )
        except subprocess.TimeoutExpired:
            raise CalculixFailedError(f"ended after {limit_s:.0f} s") from None
        seconds = time.perf_counter() - start
        answer = Path(folder) / "model.dat"
        text = answer.read_text() if answer.exists() else ""
        if done.returncode or not text.strip():
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["no message"]
            raise CalculixFailedError(lines[-1].strip())
    return read_displacements(text, len(model.points)), {"run_s": seconds}
