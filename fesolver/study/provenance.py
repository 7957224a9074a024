"""Where and with what a run was made: versions, commit, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

__all__ = ["git_commit", "host", "versions"]

PACKAGES = (
    "fesolver",
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "pyamg",
    "SimpleITK",
    "meshio",
    "matplotlib",
    "pandas",
    "pydantic",
    "pyarrow",
    "gmsh",
    "SALib",
    "distributed",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    out = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            out[name] = "not installed"
    return out


def git_commit() -> str | None:
    """Commit of the checkout this package runs from, with `+` where files differ from it; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    """Output of one git command."""
    run = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    return run.stdout.strip()


def host() -> dict[str, str | int | None]:
    """The machine: system, processor, cores."""
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
