"""Every shipped study: it loads, its points can be made, and the small ones run without a failed case."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from fesolver.study.config import load_study
from fesolver.study.design.plan import plan_study
from fesolver.study.results_table import results_table
from fesolver.study.runner import run_study
from fesolver.study.shipped import shipped_folder

ROOT = shipped_folder("studies")
STUDIES = sorted(path for path in ROOT.rglob("*.toml") if "input" in tomllib.loads(path.read_text(encoding="utf-8")))
SMALL = sorted(ROOT.glob("*/study.toml"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", STUDIES, ids=name_of)
def test_every_shipped_study_loads_and_plans(path, monkeypatch):
    # Studies of scans name their files without reading them.
    monkeypatch.setenv("FESOLVER_DATA", os.environ.get("FESOLVER_DATA", "scans"))
    config = load_study(path)
    plan = plan_study(config)

    assert len(plan) >= 1
    for index in {0, len(plan) // 2, len(plan) - 1}:
        assert plan.case(index).config.design is None
    assert len({case.id for case in map(plan.case, range(min(len(plan), 50)))}) == min(len(plan), 50)


@pytest.mark.parametrize("path", SMALL, ids=name_of)
def test_a_study_in_a_folder_has_a_larger_form_a_readme_and_sources(path):
    small, large = load_study(path), load_study(path.with_name("large.toml"))

    assert len(plan_study(large)) > len(plan_study(small))
    assert (path.parent / "README.md").is_file()
    assert f"{path.parent.name}/" in (ROOT / "README.md").read_text(encoding="utf-8")
    for factor in (*small.factors.values(), *large.factors.values()):
        assert factor.source


@pytest.mark.long
@pytest.mark.parametrize("path", SMALL, ids=name_of)
def test_small_studies_run_without_a_failed_case(path, tmp_path):
    if "FESOLVER_DATA}" in path.read_text(encoding="utf-8") and "FESOLVER_DATA" not in os.environ:
        pytest.skip("needs FESOLVER_DATA")
    summary = run_study(load_study(path), tmp_path / "out", threads=1, workers=2)

    table = results_table(tmp_path / "out")
    assert (summary.n_failed, len(table)) == (0, summary.n_total)
    assert table["status"].eq("done").all()
