"""Shared fixtures: where the real data lies, and what may be skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REQUIRED = {part for part in os.environ.get("FESOLVER_REQUIRE", "").split(",") if part}


def skip_or_fail(part: str, reason: str) -> None:
    """Skip with the reason, or fail where the run has declared that the part must be there."""
    if part in REQUIRED:
        pytest.fail(f"{reason} (FESOLVER_REQUIRE={os.environ['FESOLVER_REQUIRE']})")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real CT data: FESOLVER_DATA, else ../shared/data beside the project."""
    given = os.environ.get("FESOLVER_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "ct_lumbar_3mm" / "ct.nii.gz").is_file():
        skip_or_fail("data", f"real CT data not found in {folder}: set FESOLVER_DATA")
    return folder
