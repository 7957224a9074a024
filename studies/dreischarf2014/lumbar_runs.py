"""The lumbar spine L1-L5 with its soft connections, and its load cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from fesolver.anatomy.column import Column
from fesolver.anatomy.facet_joints import facet_joints
from fesolver.connections.facet_joints import connect_facets
from fesolver.connections.fibres import annulus_fibres
from fesolver.connections.ligaments import connect_ligaments
from fesolver.connections.posterior_links import pedicle_footprint, posterior_attachments
from fesolver.connections.sites import column_sites
from fesolver.fem.problem import Connections, Loads
from fesolver.loading.follower import body_points, follower_load
from fesolver.loading.load_case import LoadCase
from fesolver.outcomes.connections import connection_values
from fesolver.outcomes.disc import nucleus_pressure
from fesolver.outcomes.equilibrium import IMBALANCE_TOLERANCE, check_equilibrium
from fesolver.outcomes.parts import discs
from fesolver.outcomes.rotation import rotation_values, rotation_warnings
from fesolver.outcomes.state import OutcomeSettings, Value
from fesolver.solvers.prepare import prepare
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.inputs import ParametricData, read_data
from fesolver.study.materials import study_materials
from fesolver.study.model import Model, build_models, make_problem
from fesolver.study.stages import Stages
from fesolver.study.state_solver import solved_state

LEVELS = ("L1", "L2", "L3", "L4", "L5")
PARTS = ("ligaments", "facets", "fibres")
"""Soft connections; without `fibres` the annulus has the homogenised ones, which carry compression too."""

RTOL = 1e-8

Joints = Mapping[str, Mapping[str, float]]
"""Disc to the dimensions of its facet joints that are replaced."""

NOTHING: Joints = MappingProxyType({})

Numbers = dict[str, float]
"""`L1-L2 quantity` to value; of one load case."""


def load_cases() -> tuple[LoadCase, ...]:
    """Pure moments, compression, and both together, as Dreischarf 2014 states them (recalled, high confidence).

    Compression is a follower load here, as in the combined cases: an axial force on the top of a curved spine that is
    free there would bend it.
    """
    moment = partial(LoadCase, force_n=0.0, top="free")
    return (
        moment("flexion", flexion_nm=7.5),
        moment("extension", flexion_nm=-7.5),
        moment("bending_left", lateral_bending_nm=7.5),
        moment("bending_right", lateral_bending_nm=-7.5),
        moment("rotation_left", axial_rotation_nm=7.5),
        moment("rotation_right", axial_rotation_nm=-7.5),
        *(moment(f"follower_{force}", follower_n=float(force)) for force in (300, 400, 500, 1000)),
        moment("combined_flexion", flexion_nm=7.5, follower_n=1175.0),
        moment("combined_extension", flexion_nm=-7.5, follower_n=500.0),
        moment("combined_bending", lateral_bending_nm=7.8, follower_n=700.0),
        moment("combined_rotation", axial_rotation_nm=5.5, follower_n=720.0),
    )


@dataclass(frozen=True)
class Lumbar:
    """A lumbar spine before it is loaded.

    Parameters
    ----------
    model : Model
        Mesh, tissue, stiffness; the annulus without fibres where they are connections.
    connections : tuple of Connections
        Ligaments, facets, fibres.
    """

    model: Model
    connections: tuple[Connections, ...]


def build_lumbar(
    *, refinement: float, parts: Sequence[str] = PARTS, nucleus: str = "solid", joints: Joints = NOTHING
) -> Lumbar:
    """The parametric L1-L5 of the package's defaults, T = -1, with the soft connections asked for.

    `joints` replaces dimensions of facet joints, by disc.
    """
    config = _config(refinement, nucleus, fibres="fibres" not in parts)
    data = read_data(config)
    assert isinstance(data, ParametricData)
    model = build_models(config, data, Stages()).intact
    found: list[Connections] = list(_posterior(model, data.recipe.column(), parts, joints))
    if "fibres" in parts:
        with_fibres = study_materials(_config(refinement, nucleus, fibres=True))
        found += annulus_fibres(model.mesh, model.tissue, with_fibres)
    return Lumbar(model, tuple(found))


def _config(refinement: float, nucleus: str, *, fibres: bool) -> StudyConfig:
    """The study without its connections."""
    tables: dict[str, Any] = {
        "schema": 1,
        "name": "dreischarf2014",
        "input": {"kind": "parametric", "t_score": -1.0},
        "segment": {"levels": list(LEVELS), "refinement": refinement},
        "disc": {"fibres": fibres, "nucleus": nucleus},
    }
    return study_from_dict(tables)


def _posterior(model: Model, column: Column, parts: Sequence[str], changed: Joints) -> Iterator[Connections]:
    """Ligaments and facets, on a rigid arch behind each body's pedicles."""
    footprints = {vertebra.level: pedicle_footprint(vertebra.dimensions) for vertebra in column.vertebrae}
    joints = facet_joints(column, frame=model.mesh.frame, overrides=changed)
    if "ligaments" in parts:
        sites = column_sites(column, model.mesh.frame, joints)
        yield from connect_ligaments(model.mesh, sites, footprints=footprints)
    if "facets" in parts:
        yield from connect_facets(model.mesh, joints, partial(posterior_attachments, footprints=footprints))


def run_cases(
    lumbar: Lumbar, names: Sequence[str] = (), *, behind_mm: float = 0.0
) -> Iterator[tuple[str, Numbers, tuple[str, ...]]]:
    """Name, numbers and warnings of every load case, or of those named.

    The follower load passes `behind_mm` behind the bodies' centroids.
    """
    model, system = lumbar.model, None
    for load_case in load_cases():
        if names and load_case.name not in names:
            continue
        problem, pads = make_problem(model, load_case)
        problem = replace(problem, connections=lumbar.connections)
        system = system or prepare(problem)  # every load case has the same supports
        pads = replace(pads, loads=_moved(pads.loads, model, load_case.follower_n, behind_mm))
        solution = system.solve(pads.loads, rtol=RTOL)
        state = solved_state(load_case.name, model, load_case, system.problem, pads, solution)
        worst = max(cut.imbalance for cut in check_equilibrium(state))
        if worst > IMBALANCE_TOLERANCE:
            raise RuntimeError(f"{load_case.name}: a cut is out of balance by {worst:.1e} of the load")
        settings = OutcomeSettings()
        rotations = rotation_values(state, {}, settings)
        values = [*rotations, *connection_values(state, {}, settings)]
        values += [Value(disc, "nucleus_pressure_mpa", nucleus_pressure(state, disc)) for disc in discs(model.mesh)]
        record = solution.active_set
        numbers = {f"{v.level} {v.quantity}": v.value for v in values}
        numbers["outer iterations"] = float(len(record.changes)) if record else 0.0
        yield load_case.name, numbers, rotation_warnings(rotations)


def _moved(loads: Loads, model: Model, follower_n: float, behind_mm: float) -> Loads:
    """Loads with the follower load moved backward."""
    if not (follower_n and behind_mm):
        return loads
    mesh = model.mesh
    points = dict(zip(mesh.levels, body_points(mesh) + np.array([0.0, behind_mm, 0.0]), strict=True))
    force = np.zeros(mesh.points.shape) if loads.nodal_force is None else loads.nodal_force
    moved = force - follower_load(mesh, follower_n) + follower_load(mesh, follower_n, points)
    return replace(loads, nodal_force=moved)
