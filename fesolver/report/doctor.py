"""What this machine has: versions, cores, memory, threads, caches and optional parts."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fesolver.errors import MissingDependencyError

__all__ = ["Diagnosis", "Finding", "diagnose", "diagnosis_text"]

REQUIRED = (
    *("numpy", "scipy", "numba", "meshio", "matplotlib", "SimpleITK", "pydantic"),
    *("typer", "rich", "pandas", "pyamg", "threadpoolctl"),
)


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Parameters
    ----------
    group, name, value : str
        Under which heading, what, and how it stands.
    is_fine : bool
        False only where something that fesolver needs is missing or does not work.
    advice : str
        What to do about it; may also advise on something optional.
    """

    group: str
    name: str
    value: str
    is_fine: bool = True
    advice: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings."""

    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether everything needed is there; optional parts may be absent."""
        return all(finding.is_fine for finding in self.findings)


def diagnose(*, threads: int | None = None) -> Diagnosis:
    """Look at everything `fesolver doctor` shows.

    Parameters
    ----------
    threads : int, optional
        Threads asked for; all cores by default.
    """
    return Diagnosis((*_versions(), *_machine(threads), *_numba_cache(), *_optional(), *_data()))


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """The diagnosis as plain lines, one group after the other."""
    lines: list[str] = []
    width = max(len(finding.name) for finding in diagnosis.findings)
    group = ""
    for finding in diagnosis.findings:
        if finding.group != group:
            group = finding.group
            lines += ([""] if lines else []) + [group]
        mark = " " if finding.is_fine else "!"
        lines.append(f"{mark} {finding.name:<{width}}  {finding.value}")
        if finding.advice:
            lines.append(f"  {'':<{width}}  to do: {finding.advice}")
    lines += [
        "",
        "all that is needed is there" if diagnosis.is_healthy else "something that is needed is missing: see !",
    ]
    return "\n".join(lines)


def _versions() -> list[Finding]:
    """fesolver, Python and the packages it needs."""
    group = "versions"
    python_is_fine = sys.version_info >= (3, 11)
    found = [
        Finding(group, "fesolver", _version("fesolver") or "not installed (running from source)"),
        Finding(
            group,
            "python",
            f"{platform.python_version()} ({sys.executable})",
            python_is_fine,
            "" if python_is_fine else "use Python 3.11 or newer",
        ),
        Finding(group, "system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    for name in REQUIRED:
        version = _version(name)
        advice = "" if version else f"pip install {name}"
        found.append(Finding(group, name, version or "missing", version is not None, advice))
    return found


def _machine(threads: int | None) -> list[Finding]:
    """Cores, memory, threads and how numba runs them."""
    group = "machine"
    cores = _usable_cores()
    asked = "asked for" if threads else "all usable cores"
    found = [
        Finding(group, "cores", f"{cores} usable of {os.cpu_count()}"),
        Finding(group, "memory", _memory()),
        Finding(group, "threads", f"{threads or cores} ({asked}; --threads or FESOLVER_NUM_THREADS)"),
    ]
    try:
        found.append(Finding(group, "numba layer", _threading_layer()))
    except Exception as error:  # whatever stops numba is what the reader needs to see
        found.append(
            Finding(group, "numba layer", f"does not work: {error}", False, "pip install --force-reinstall numba")
        )
    return found


def _threading_layer() -> str:
    """Run one small parallel loop and ask numba which layer ran it."""
    import numpy as np

    numba: Any = importlib.import_module("numba")  # its modules are not typed

    @numba.njit(parallel=True)
    def fill(out):  # type: ignore[no-untyped-def]
        for i in numba.prange(out.size):
            out[i] = i

    fill(np.empty(8))
    return f"{numba.threading_layer()}, up to {numba.config.NUMBA_NUM_THREADS} threads"


def _numba_cache() -> list[Finding]:
    """Whether compiled kernels can be kept."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    beside = Path(__file__).resolve().parents[1] / "fem" / "kernels" / "__pycache__"
    folder = Path(given) if given else beside
    named = "NUMBA_CACHE_DIR" if given else "beside the package"
    if _is_writable(folder):
        return [Finding("caches", "compiled kernels", f"{folder} ({named})")]
    if not given and _is_writable(Path.home() / ".cache"):
        return [Finding("caches", "compiled kernels", "numba's folder in your home: the package's own is read-only")]
    advice = "set NUMBA_CACHE_DIR to a folder that can be written; without it every run compiles anew"
    return [Finding("caches", "compiled kernels", f"{folder} cannot be written", advice=advice)]


def _optional() -> list[Finding]:
    """Parts that only tetrahedral meshes and clusters need."""
    from fesolver.meshing.optional import load_gmsh

    group = "optional: tetrahedral meshes"
    pygmsh = _version("pygmsh")
    found = [Finding(group, "pygmsh", pygmsh or "absent", advice="" if pygmsh else "pip install 'fesolver[tet]'")]
    try:
        load_gmsh()
        found.append(Finding(group, "gmsh", f"{_version('gmsh') or 'present'}, loads"))
    except MissingDependencyError as error:
        found.append(Finding(group, "gmsh", f"absent: {error.what}", advice=error.fix or ""))
    for name in ("dask", "distributed", "dask-jobqueue"):
        version = _version(name)
        advice = "" if version else "pip install 'fesolver[cluster]'"
        found.append(Finding("optional: clusters", name, version or "absent", advice=advice))
    return found


def _data() -> list[Finding]:
    """Where the CT data of the shipped studies lies."""
    given = os.environ.get("FESOLVER_DATA")
    if not given:
        advice = "set it to the folder of the CT data to run the shipped CT studies; the demo needs none"
        return [Finding("data", "FESOLVER_DATA", "not set", advice=advice)]
    is_there = (Path(given) / "ct_lumbar_3mm" / "ct.nii.gz").is_file()
    value = given if is_there else f"{given} does not hold ct_lumbar_3mm/ct.nii.gz"
    return [Finding("data", "FESOLVER_DATA", value, advice="" if is_there else "point it at the folder of the CT data")]


def _version(name: str) -> str | None:
    """Installed version of a package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    """Total and available memory, where the system says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {line.split(":")[0]: float(line.split()[1]) / 1024**2 for line in lines}
        return f"{sizes['MemTotal']:.1f} GB, {sizes['MemAvailable']:.1f} GB available"
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1024**3:.1f} GB"
    except (AttributeError, ValueError, OSError):
        return "unknown"


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the closest parent that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)
