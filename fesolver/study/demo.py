"""The demo: vertebroplasty of L1 in a synthetic T12-L2 segment; needs no file and no network."""

from __future__ import annotations

from fesolver.study.config import StudyConfig, load_study
from fesolver.study.shipped import shipped_folder

__all__ = ["demo_study"]


def demo_study() -> StudyConfig:
    """The shipped `studies/demo.toml`."""
    return load_study(shipped_folder("studies") / "demo.toml")
