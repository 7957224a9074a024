"""`[connections]` on every kind of mesh a study has: where they attach, what they hold, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_surfaces import merged, study, surface_tables, write_bodies
from meshing.tet_cases import require_gmsh
from numpy.testing import assert_allclose
from surfaces.vertebra_shapes import FACET_GAP, SPACING, facet_normal, made_parts

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.solvers.prepare import prepare
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.model import Models, build_models, make_problem, study_load_case
from fesolver.study.progress import SilentProgress
from fesolver.study.runner import run_study
from fesolver.study.stages import Stages
from fesolver.study.surface_segment import surface_joints
from fesolver.surfaces.parts_segment import check_neighbours

STRUCTURED = {
    "name": "c",
    "input": {"kind": "parametric", "density_g_cm3": 0.1},
    "segment": {"levels": ["L1", "L2"], "refinement": 0.4},
}
BENDING = {"force_n": 0.0, "top": "free", "flexion_nm": 2.0}
EVERY = {"ligaments": True, "facets": True}


def models(config: StudyConfig) -> Models:
    return build_models(config, read_data(config), Stages(SilentProgress()))


def flexion(config: StudyConfig) -> tuple[float, int]:
    """Turn of the upper pad about the patient's left, radians, and how many connections there are."""
    case = study_load_case(config)
    problem, pads = make_problem(models(config).intact, case)
    (solution,) = prepare(problem).solve([pads.loads])
    return float(solution.rigid_motion["top"][3]), len(problem.connections)


def study_of(kind: str, folder, **tables) -> StudyConfig:
    """Two levels on structured hexahedra, tetrahedra in surfaces, or voxels."""
    if kind == "structured":
        return study_from_dict(merged(STRUCTURED, tables))
    if kind == "surfaces":
        write_bodies(folder)
        return study(surface_tables(**tables), folder)
    given = {"input": {"kind": "synthetic", "t_score": -3.0, "voxel_mm": 2.0}, "segment": {"spacing_mm": 3.0}}
    base = {"name": "v", "segment": {"levels": ["L1", "L2"]}}
    return study_from_dict(merged(merged(base, given), tables))


@pytest.fixture(scope="module")
def pair():
    """Two vertebrae of boxes and capsules one above the other, and what lies between them."""
    vertebrae = (made_parts("L1"), made_parts("L2", (0.0, 0.0, -SPACING)))
    return vertebrae, check_neighbours(vertebrae)


def test_facets_of_surfaces_stand_where_the_surfaces_face_each_other(pair):
    """Facets made of boxes: their normals, their gap and the middle between them are known."""
    joints = surface_joints(*pair, Frame(np.zeros(3), np.eye(3)))

    assert {joint.name for joint in joints.facets} == {"L1-L2/left", "L1-L2/right"}
    for joint in joints.facets:
        sign = 1.0 if joint.side == "left" else -1.0
        assert np.sign(joint.center[0]) == sign
        # Marching tetrahedra of 2 mm and patches found by their neighbours: a few degrees, part of a cell.
        assert abs(joint.normal @ facet_normal(sign)) > np.cos(np.deg2rad(8.0))
        assert joint.gap_mm == pytest.approx(FACET_GAP, abs=0.5)
    assert joints.notes == ()


def test_overlapping_facets_take_the_published_gap_and_say_so(pair):
    vertebrae, between = pair
    overlapping = tuple(
        replace(one, facets={side: replace(found, gap_mm=-0.7) for side, found in one.facets.items()})
        for one in between
    )
    joints = surface_joints(vertebrae, overlapping, Frame(np.zeros(3), np.eye(3)))

    assert all(joint.gap_mm > 0.0 for joint in joints.facets)
    assert len(joints.notes) == 2
    assert "overlap by 0.7 mm" in joints.notes[0]


def test_places_of_surfaces_follow_the_segment_into_its_frame(pair):
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    moved = Frame(np.array([3.0, -5.0, 7.0]), turn)
    plain = surface_joints(*pair, Frame(np.zeros(3), np.eye(3)))
    local = surface_joints(*pair, moved)

    for one, other in zip(plain.facets, local.facets, strict=True):
        assert_allclose(moved.to_parent(other.center), one.center, rtol=0, atol=1e-12)
        assert_allclose(moved.vectors_to_parent(other.normal), one.normal, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("structured", marks=pytest.mark.long),
        pytest.param("surfaces", marks=pytest.mark.tet),
        pytest.param("voxels", marks=pytest.mark.long),
    ],
)
def test_ligaments_hold_a_segment_back_in_flexion_on_every_kind_of_mesh(kind, tmp_path):
    if kind == "surfaces":
        require_gmsh()
    without, none = flexion(study_of(kind, tmp_path, load=BENDING))
    held, count = flexion(study_of(kind, tmp_path, load=BENDING, connections=EVERY))

    assert none == 0
    assert count == 9  # seven ligaments and two facets
    assert np.sign(held) == np.sign(without)
    assert abs(held) < 0.95 * abs(without)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"connections": {"ligaments": ["anterior"]}}, "anterior"),
        ({"connections": {"ligaments": "all"}}, "connections.ligaments"),
        ({"connections": {"facets": True, "facet_gap_mm": -0.5}}, "gap"),
        ({"connections": {"facets": True, "facet_gap_mm": {"L4-L5": 0.5}}}, "names 'L4-L5'"),
        ({"connections": {"facets": True, "facet_points": 0}}, "facet_points"),
        ({"connections": {"facets": True, "facet_cartilage_young_mpa": 0.0}}, "facet_cartilage_young_mpa"),
        ({"connections": {"fibres": "elements"}, "disc": {"fibres": False}}, "no fibres to make elements of"),
        ({"connections": {"ligament": True}}, "did you mean 'ligaments'"),
        ({"connections": {"ligaments": True}, "segment": {"levels": ["L1"]}}, "a single level has nothing to connect"),
    ],
    ids=["name", "text", "gap", "disc", "points", "cartilage", "fibres", "key", "level"],
)
def test_connections_that_cannot_be_made_are_refused(tables, words):
    with pytest.raises(InputError) as caught:
        models(study_from_dict(merged(STRUCTURED, tables)))

    assert words in str(caught.value)
    assert caught.value.fix


def test_a_run_keeps_every_elements_state_and_says_how_it_was_found(tmp_path):
    """Extension: facets press, the anterior longitudinal ligament pulls; the elements add up to the table."""
    config = study_of(
        "structured", tmp_path,
        connections={**EVERY, "fibres": "elements", "facet_dimensions": {"L1-L2": {"gap_mm": 0.0}}},
        load={"force_n": 0.0, "top": "free", "flexion_nm": -3.0, "follower_n": 200.0},
        treatment={"level": "L2", "volume_ml": 2.0},
    )  # fmt: skip

    summary = run_study(config, tmp_path / "out")

    (case,) = (summary.out / "cases").iterdir()
    elements = pd.read_csv(case / "connections.csv")
    table = pd.read_csv(summary.out / "summary.csv").query("level == 'L1-L2'").set_index("state")
    record = json.loads((case / "case.json").read_text())["connections"]
    for state in ("intact", "treated"):
        own = elements[elements["state"] == state].groupby("group")["force_n"].sum()
        for side in ("left", "right"):
            assert_allclose(table.loc[state, f"facet_force_{side}_n"], -own[f"L1-L2/facet_{side}"], rtol=1e-6)
        pulls = own["L1-L2/anterior_longitudinal"]
        assert_allclose(table.loc[state, "anterior_longitudinal_tension_n"], pulls, rtol=1e-6)
        assert pulls > 1.0
        assert table.loc[state, "facet_force_left_n"] > 1.0
        assert 0.0 < table.loc[state, "fibres_pulling_fraction"] < 1.0
    assert [solve["state"] for solve in record["active_set"]] == ["intact", "treated"]
    assert record["active_set"][0]["changes"][-1] == 0
    assert {"L1-L2/fibres", "L1-L2/facet_left", "L1-L2/supraspinous"} <= {g["name"] for g in record["groups"]}
    changes = pd.read_csv(summary.out / "changes.csv")
    assert (changes["floor_solver"] > 0.0).any(), "the two tolerances give two answers"
