"""The tasks of a study: its cases, each with a hash of everything its numbers depend on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from typing import Any

from fesolver.study.cohort_input import cohort_covariates
from fesolver.study.config import StudyConfig
from fesolver.study.design.plan import StudyPlan
from fesolver.study.engine.task import Task
from fesolver.study.input_hashes import input_hashes
from fesolver.study.kept import geometry_key, intact_key
from fesolver.study.roots import root_digest, shares_meshes

__all__ = ["base_study", "study_tasks"]

RESULTS = 2
"""Counts up when the same study gives other numbers in the same version of the package."""


def base_study(plan: StudyPlan) -> StudyConfig | None:
    """The study with nothing varied, from which the intact states of its cases begin; None where all begin at rest.

    Notes
    -----
    It follows from the factors alone: with one that gives every case a mesh of its own, nothing is shared.
    """
    if len(plan) < 2:
        return None
    base = plan.config.model_copy(update={"sweep": {}, "factors": {}, "design": None, "cluster": None})
    return base if shares_meshes(base, plan) else None


def study_tasks(plan: StudyPlan) -> tuple[Task, ...]:
    """Every case of a plan once, in the order of its design."""
    base, output = base_study(plan), plan.config.output
    tasks = []
    for place, case in enumerate(plan.cases):
        of_files = input_hashes(case.config, plan.file_hashes)
        parts = [case.digest, root_digest(base, case.config, of_files), *of_files.values(), str(RESULTS), _version()]
        parts += sorted(output.outcomes or ())
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        payload: dict[str, Any] = {
            "config": case.config,
            "with_record": output.records == "all" or (output.records == "first" and place == 0),
            "with_fields": output.fields == "all" or (output.fields == "first" and place == 0),
        }
        groups = (geometry_key(case.config), intact_key(case.config))
        keys = {**case.keys, **cohort_covariates(case.config)}
        tasks.append(Task(digest, case.id, case.index, keys, payload, groups))
    return tuple(tasks)


def _version() -> str:
    """Of this package."""
    try:
        return importlib.metadata.version("fesolver")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
