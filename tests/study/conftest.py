"""A study small enough to run whole in a test."""

from __future__ import annotations

from typing import Any

import pytest

from fesolver.study.config import StudyConfig, study_from_dict


def small_study(**tables: Any) -> StudyConfig:
    """Two synthetic levels on 3 mm cells; tables replace or add."""
    data: dict[str, Any] = {
        "schema": 1,
        "name": "small",
        "input": {"kind": "synthetic", "t_score": -3.0, "voxel_mm": 1.5},
        "segment": {"levels": ["L1", "L2"], "spacing_mm": 3.0},
        "treatment": {"level": "L1", "volume_ml": 3.0},
    }
    return study_from_dict({**data, **tables})


@pytest.fixture(scope="session")
def make_study() -> Any:
    """`small_study`, for tests that cannot import from here."""
    return small_study
