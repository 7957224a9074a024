"""Study files on small surfaces and meshes, written where a test asks for them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from surfaces.vertebra_shapes import SPACING, body_of_revolution

from fesolver.errors import InputError
from fesolver.study.cases import expand_cases
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.inputs import StudyData, read_data
from fesolver.study.model import check_tables
from fesolver.surfaces.io import write_surface
from fesolver.surfaces.surface import TriangleSurface

RADIUS, HALF_HEIGHT = 20.0, 13.0
BODY = body_of_revolution(RADIUS, HALF_HEIGHT, 2.0, around=24)
"""A vertebral body without an arch; 2 mm of rounding at its rims."""


def below(surface: TriangleSurface, distance: float) -> TriangleSurface:
    """The surface so many mm further down."""
    return TriangleSurface(surface.points - [0.0, 0.0, distance], surface.triangles)


def write_bodies(folder: Path, levels: tuple[str, ...] = ("L1", "L2"), ending: str = ".stl") -> dict[str, str]:
    """Bodies one below the other, one file each; level -> file name."""
    for number, level in enumerate(levels):
        write_surface(below(BODY, number * SPACING), folder / f"{level}{ending}")
    return {level: f"{level}{ending}" for level in levels}


def merged(base: dict[str, Any], tables: dict[str, Any]) -> dict[str, Any]:
    """The base with keys of some tables set; a key of None is taken out."""
    data = copy.deepcopy(base)
    for name, table in tables.items():
        data[name] = {k: v for k, v in {**data.get(name, {}), **table}.items() if v is not None}
    return data


def surface_tables(**tables: Any) -> dict[str, Any]:
    """L1 and L2 from `write_bodies`, on few cells, with tables merged in."""
    base = {
        "schema": 1,
        "name": "s",
        "input": {
            "kind": "surfaces", "files": {"L1": "L1.stl", "L2": "L2.stl"}, "axes": "LPS", "unit": "mm", "t_score": -3.0,
        },
        "segment": {"levels": ["L1", "L2"], "size_mm": 6.0, "element": "tet4"},
    }  # fmt: skip
    return merged(base, tables)


def study(data: dict[str, Any], folder: Path) -> StudyConfig:
    """The study of these tables, as a file in the folder would have it."""
    return study_from_dict(data, source="s.toml", base=folder)


def read(data: dict[str, Any], folder: Path) -> StudyData:
    """Everything of a study that comes before its mesh."""
    for case in expand_cases(study(data, folder)):
        check_tables(case.config)
    return read_data(expand_cases(study(data, folder))[0].config)


def refusal(data: dict[str, Any], folder: Path) -> str:
    """The one message that stops a study before its mesh; it says where, and what to do."""
    with pytest.raises(InputError) as caught:
        read(data, folder)
    assert caught.value.where
    assert caught.value.fix
    return str(caught.value)


def toml(data: dict[str, Any]) -> str:
    """The tables as a study file."""

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, dict):
            return "{" + ", ".join(f'"{key}" = {text(item)}' for key, item in value.items()) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(text, value)) + "]"
        return f'"{value}"' if isinstance(value, str) else repr(value)

    lines = [f"{key} = {text(value)}" for key, value in data.items() if not isinstance(value, dict)]
    for name, table in data.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f'"{key}" = {text(value)}' for key, value in table.items())]
    return "\n".join(lines) + "\n"


def files_in(folder: Path) -> set[str]:
    """Everything in a folder, hidden names too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def uneven(surface: TriangleSurface) -> TriangleSurface:
    """The surface leaning to the patient's left and back, so that no two directions are alike."""
    x, y, z = surface.points.T
    return TriangleSurface(np.column_stack([x + 0.10 * z, 0.85 * y + 0.05 * z, z]), surface.triangles)
