"""The Python examples of the user guide run as they stand."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from meshing.tet_cases import require_gmsh

from fesolver.study.config import study_from_dict
from fesolver.study.model import check_tables

GUIDE = Path(__file__).parents[1] / "docs" / "user"


PAGES = ["unstructured.md", "parametric.md", "surfaces.md", "foreign_meshes.md"]


@pytest.mark.parametrize("page", [*PAGES, pytest.param("tetrahedra.md", marks=pytest.mark.tet)])
def test_examples_of_a_page_run_one_after_the_other(page):
    if page == "tetrahedra.md":
        require_gmsh()
    blocks = re.findall(r"```python\n(.*?)```", (GUIDE / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}

    for block in blocks:
        exec(compile(block, page, "exec"), names)

    assert len(blocks) >= 1


@pytest.mark.parametrize("page", ["surfaces.md", "foreign_meshes.md", "tetrahedra.md", "connections.md"])
def test_study_files_of_a_page_are_studies(page):
    blocks = re.findall(r"```toml\n(.*?)```", (GUIDE / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    whole = [tomllib.loads(block) for block in blocks if "[input]" in block]

    for data in whole:
        check_tables(study_from_dict(data))
    assert whole
