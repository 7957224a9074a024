"""What intact states begin from: the base study on the mesh of the case, fixed by the design before the first solve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fesolver.errors import InputError
from fesolver.study.config import StudyConfig
from fesolver.study.design.plan import StudyPlan
from fesolver.study.kept import DENSITY_KEYS, geometry_key, intact_key

__all__ = ["root_digest", "root_study", "shares_meshes"]


def root_study(base: StudyConfig, config: StudyConfig) -> StudyConfig | None:
    """The base study with the mesh of another one; None where there is no such study.

    Parameters
    ----------
    base : StudyConfig
        The study without its factors.
    config : StudyConfig
        One case of it.

    Notes
    -----
    Input, segment, connections and discs are the case's as far as they shape the mesh; density, laws, materials and
    loads are the base's. So cases on one mesh have one root, and a case has the same root whatever others there are.
    """
    if base.input.kind != config.input.kind:
        return None
    mine, other = (c.model_dump(mode="json", by_alias=True) for c in (base, config))
    given = {key: value for key, value in other["input"].items() if key not in DENSITY_KEYS}
    given |= {key: value for key, value in mine["input"].items() if key in DENSITY_KEYS}
    data: dict[str, Any] = mine | {key: other[key] for key in ("segment", "connections")} | {"input": given}
    data["disc"] = mine["disc"] | {key: other["disc"][key] for key in ("degeneration", "nucleus")}
    data |= {"treatment": None, "sweep": {}, "factors": {}, "design": None, "cluster": None}
    try:
        return StudyConfig.model_validate(data)
    except (InputError, ValueError):
        return None


def root_digest(base: StudyConfig | None, config: StudyConfig, files: Mapping[str, str] | None = None) -> str:
    """Hash of what a case begins from, its input files by their contents; empty where it begins at rest."""
    root = None if base is None else root_study(base, config)
    if root is None:
        return ""
    digest = intact_key(root, files)
    return "" if digest == intact_key(config, files) else digest


def shares_meshes(base: StudyConfig, plan: StudyPlan) -> bool:
    """Whether cases of a design can have one mesh: no factor that shapes it takes any value between two ends.

    Of a factor whose values stand in a file, those of the first and the last point are tried.
    """
    from fesolver.study.keys import with_value

    before = geometry_key(base)
    for factor in plan.factors:
        if factor.is_discrete:
            continue
        # Two values, since one may be the base's own.
        ends = (plan.point(0)[factor.name], plan.point(len(plan) - 1)[factor.name])
        values = ends if factor.distribution is None else (factor.at(0.3), factor.at(0.6))
        changed = [with_value(base, dict(factor.settings(value, base)), places={}) for value in values]
        if any(geometry_key(config) != before for config in changed):
            return False
    return True
