"""The demo: vertebroplasty of L1 in a synthetic T12-L2 segment; needs no file and no network."""

from __future__ import annotations

from fesolver.study.config import StudyConfig, load_study
from fesolver.study.shipped import shipped_folder

__all__ = ["DEMOS", "demo_study"]

DEMOS = {"voxel": "demo.toml", "structured": "parametric_vertebroplasty.toml"}
"""Shipped study of each kind of mesh."""


def demo_study(mesh: str = "voxel") -> StudyConfig:
    """The shipped demo on one kind of mesh, a key of `DEMOS`."""
    return load_study(shipped_folder("studies") / DEMOS[mesh])
