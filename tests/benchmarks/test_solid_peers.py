"""Models of the solid benchmarks against geometry and theory, maps and files of the peers, and the peers themselves."""

from __future__ import annotations

import numpy as np
import pytest
from _calculix import (
    CalculixFailedError,
    CalculixMissingError,
    find_ccx,
    input_lines,
    read_displacements,
    solve_with_calculix,
)
from _ngsolve import NodalMap
from _solid_models import (
    HEX_EDGES,
    PRESSURE_MPA,
    TET_EDGES,
    SolidModel,
    bent_bar,
    block,
    bone_disc_segment,
    cylinder,
    disc_section,
    smooth_fields,
)
from _solid_peers import PeersMissingError, find_interpreter, run_peer
from _solid_solvers import RTOL, pyamg_solve, rigid_modes
from _solid_solvers import check as check_answers
from assembly_peers import compare, faster, ours, problem_of
from numpy.testing import assert_allclose
from solve_peers import compare as compare_answers

from fesolver.fem.assembly import assemble_stiffness

SMALL = {
    "tet4": ("tet4", 2, 1, 3),
    "tet10": ("tet10", 2, 1, 3),
    "hex8": ("hex8", 3, 2, 3),
    "hex20": ("hex20", 2, 1, 3),
}
SEGMENTS = {element: (element, 2, 3, 1) for element in SMALL}


def section_area(core: int, radii: np.ndarray) -> float:
    xy, quads, _ = disc_section(core, radii)
    x, y = xy[quads].transpose(2, 0, 1)
    return float(0.5 * np.sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)))


@pytest.mark.parametrize("core", [2, 3, 6])
def test_section_is_the_polygon_inscribed_in_its_circle(core):
    radii = np.array([9.0, 12.0, 18.0, 20.0])
    xy, quads, ring = disc_section(core, radii)
    angle = np.sort(np.arctan2(*xy[-4 * core :].T))
    steps = np.diff(np.concatenate([angle, [angle[0] + 2.0 * np.pi]]))

    assert_allclose(np.hypot(*xy[-4 * core :].T), 20.0, rtol=1e-14)
    assert section_area(core, radii) == pytest.approx(0.5 * 400.0 * np.sin(steps).sum(), rel=1e-13)
    assert np.bincount(ring).tolist() == [core**2, 4 * core, 4 * core, 4 * core]
    assert len(np.unique(quads)) == len(xy)


def test_section_has_no_folded_quad():
    xy, quads, _ = disc_section(7, np.linspace(8.0, 20.0, 5))
    p = xy[quads]
    for i in range(4):
        a, b = p[:, (i + 1) % 4] - p[:, i], p[:, (i + 3) % 4] - p[:, i]
        assert np.all(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0)


def test_tetrahedra_fill_the_section_and_fit_together():
    model = cylinder("tet4", 3, 2, 4)
    p = model.points[model.cells]
    volume = np.linalg.det(p[:, 1:] - p[:, :1]) / 6.0
    faces = np.sort(model.cells[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]], axis=2).reshape(-1, 3)
    unique, count = np.unique(faces, axis=0, return_counts=True)
    outer = model.points[unique[count == 1]]
    at_end = np.any([np.all(outer[:, :, 2] == z, axis=1) for z in (0.0, 40.0)], axis=0)
    on_side = np.all(np.hypot(outer[:, :, 0], outer[:, :, 1]) > 20.0 - 1e-12, axis=1)

    assert volume.min() > 0
    assert volume.sum() == pytest.approx(section_area(3, np.linspace(11.0, 20.0, 3)) * 40.0, rel=1e-13)
    assert set(count.tolist()) == {1, 2}
    assert np.all(at_end | on_side)  # no face inside that only one cell has


@pytest.mark.parametrize(("element", "edges"), [("tet10", TET_EDGES), ("hex20", HEX_EDGES)])
def test_mid_nodes_lie_in_the_middle_and_are_shared(element, edges):
    model = cylinder(*SMALL[element])
    n_corners = model.cells.shape[1] - len(edges)
    middles = model.points[model.cells[:, edges]].mean(axis=2)

    assert_allclose(model.points[model.cells[:, n_corners:]], middles, atol=1e-13)  # round-off of 40 mm
    assert len(np.unique(np.round(model.points, 9), axis=0)) == len(model.points)


@pytest.mark.parametrize("element", sorted(SEGMENTS))
def test_pressure_on_the_top_has_the_right_force_and_no_moment(element):
    model = bone_disc_segment(*SEGMENTS[element])
    top = model.points[:, 2] == 60.0
    arm = model.points - model.points.mean(axis=0)
    parts = np.array([0.65 * 12.0, 12.0, 18.0, 20.0])

    assert_allclose(model.force.sum(axis=0), [0, 0, -PRESSURE_MPA * section_area(2, parts)], rtol=1e-12, atol=0)
    assert np.all(model.force[~top] == 0)
    assert_allclose(np.cross(arm, model.force).sum(axis=0)[:2], 0.0, atol=1e-9)  # of about 3000 N mm in each half


def test_segment_has_the_moduli_it_is_described_with():
    model = bone_disc_segment("hex8", 4, 5, 2)
    x, y, z = model.points[model.cells].mean(axis=1).T
    radius = np.hypot(x, y)
    is_disc = (z > 25.0) & (z < 35.0)

    assert set(model.young[is_disc & (radius < 11.0)]) == {1.0}
    assert set(model.poisson[is_disc & (radius < 11.0)]) == {0.499}
    assert set(zip(model.young[is_disc & (radius > 13.0)], model.poisson[is_disc & (radius > 13.0)], strict=True)) == {
        (4.2, 0.45)
    }
    assert set(model.young[~is_disc & (radius > 18.2)]) == {8040.0}
    assert set(model.young[((z < 2.0) | ((z > 23.0) & (z < 25.0)) | (z > 58.0)) & (radius < 17.0)]) == {670.0}
    assert model.young[~is_disc].min() >= 100.0


def test_saved_model_is_read_back_unchanged(tmp_path):
    model = bone_disc_segment(*SEGMENTS["tet10"])
    model.save(tmp_path / "model.npz")
    again = SolidModel.load(tmp_path / "model.npz")

    assert (again.name, again.element) == (model.name, model.element)
    for key in ("points", "cells", "young", "poisson", "fixed_points", "force"):
        assert np.array_equal(getattr(again, key), getattr(model, key))


def test_block_has_distorted_cells_and_none_inverted():
    model = block(4)
    p = model.points[model.cells]
    triple = np.einsum("ci,ci->c", np.cross(p[:, 1] - p[:, 0], p[:, 3] - p[:, 0]), p[:, 4] - p[:, 0])
    edges = p[:, [1, 2, 5, 6]] - p[:, [0, 3, 4, 7]]
    twist = np.ptp(edges, axis=1).max(axis=1)  # 0 in a parallelepiped

    assert triple.min() > 0
    assert twist.min() > 0.1  # mm, of cells of 10 mm


def test_nodal_map_of_an_edge_is_undone_by_its_inverse_and_keeps_work():
    ends, mid = np.array([[0, 1], [1, 2], [2, 0]]), np.array([3, 5, 4])
    nodal = NodalMap(6, np.arange(3), ends, mid, np.array([4, 3, 5]), -0.125)
    u, f = np.random.default_rng(0).standard_normal((2, 6, 3))

    c, g = nodal.coefficients(u), nodal.functional(f)

    assert_allclose(nodal.field(c), u, atol=1e-14)
    assert_allclose(nodal.forces(g), f, atol=1e-14)
    assert np.sum(g * c) == pytest.approx(np.sum(f * u), rel=1e-13)
    assert nodal.coefficients(np.ones((6, 3)))[3:].max() == 0.0  # a constant has no bubbles


def test_rigid_modes_need_no_force():
    model = bone_disc_segment(*SEGMENTS["hex8"])
    K = assemble_stiffness(problem_of(model))
    modes = rigid_modes(model.points)

    assert np.linalg.matrix_rank(modes) == 6
    assert np.abs(K @ modes).max() < 1e-12 * abs(K).max() * 10  # round-off of sums of 81 terms


def test_matrices_that_differ_stop_the_comparison():
    mine = {"v_k_u": 2.0, "u_k_u": 3.0, "n_dof": 6}

    compare("case", {"fesolver": dict(mine), "peer": mine | {"v_k_u": 2.0 + 1e-13}})
    with pytest.raises(SystemExit, match=r"v\.K u of peer differs by 1\.0e-09"):
        compare("case", {"fesolver": dict(mine), "peer": mine | {"u_k_u": 3.0 * (1.0 + 1e-9)}})
    with pytest.raises(SystemExit, match="has 9 unknowns, ours 6"):
        compare("case", {"fesolver": dict(mine), "peer": mine | {"n_dof": 9}})


def test_best_peer_is_named_with_and_without_half_matrices():
    seconds = {"fesolver": (0.4, 0.2), "A": (1.2, 0.6), "B": (0.8, 0.9), "B, half": (0.6, 0.5)}
    found = faster(
        {code: {"setup_s": 1.0, "first_s": first, "again_s": again} for code, (first, again) in seconds.items()}
    )

    assert found["again_whole"] == {"best": "A", "times": pytest.approx(3.0)}
    assert found["again_any"] == {"best": "B, half", "times": pytest.approx(2.5)}
    assert found["first_whole"] == {"best": "B", "times": pytest.approx(2.0)}
    assert found["start_whole"] == {"best": "B", "times": pytest.approx(1.8 / 1.4)}


def test_answers_that_differ_stop_the_comparison_and_loose_ones_are_named():
    mine = {"shortening_mm": 0.5, "v_k_u": 7.0, "residual": 0.9 * RTOL}

    failed = compare_answers("case", {"fesolver": dict(mine), "loose": mine | {"residual": 3.0 * RTOL}})
    assert list(failed) == ["loose"]
    with pytest.raises(SystemExit, match="answer of other differs"):
        compare_answers("case", {"fesolver": dict(mine), "other": mine | {"shortening_mm": 0.5 + 1e-5}})


def test_pyamg_and_the_check_agree_that_it_is_solved(tmp_path):
    model = bone_disc_segment(*SEGMENTS["hex8"])
    path, answer = tmp_path / "model.npz", tmp_path / "u.npy"
    model.save(path)

    record = pyamg_solve(str(path), str(path), str(answer), 1)
    found = check_answers(str(path), {"pyamg": str(answer)})["pyamg"]

    assert record["own_residual"] <= RTOL
    assert found["residual"] == pytest.approx(record["own_residual"], rel=1e-3)
    assert found["held_error_mm"] == 0.0
    np.save(answer, 1.001 * np.load(answer))
    assert check_answers(str(path), {"pyamg": str(answer)})["pyamg"]["residual"] == pytest.approx(1e-3, rel=1e-3)


@pytest.fixture(scope="module")
def peers() -> None:
    try:
        find_interpreter(install=False)
    except PeersMissingError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize("element", ["hex8", "tet4", "tet10"])
@pytest.mark.parametrize(
    ("script", "way"), [("_skfem.py", None), ("_felupe.py", None), ("_ngsolve.py", "H1 of dim 3, half")]
)
def test_peer_assembles_the_same_matrix(tmp_path, element, script, way):
    model = cylinder(*SMALL[element])
    model.save(tmp_path / "model.npz")
    u, v = (field.ravel() for field in smooth_fields(model.points))
    K = assemble_stiffness(problem_of(model))

    given = {"path": str(tmp_path / "model.npz"), "threads": 1, "repeats": 1} | ({"way": way} if way else {})
    found = run_peer(script, "assemble", given, threads=1, limit_s=100.0)

    assert found["n_dof"] == K.shape[0]
    assert found["v_k_u"] == pytest.approx(v @ (K @ u), rel=1e-12)  # sums of up to 10^4 terms
    assert found["u_k_u"] == pytest.approx(u @ (K @ u), rel=1e-12)


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize("element", ["hex8", "tet10"])
def test_ngsolve_reaches_the_residual_at_the_nodes(tmp_path, element):
    model = bone_disc_segment(*SEGMENTS[element])
    path, answer = tmp_path / "model.npz", tmp_path / "u.npy"
    model.save(path)

    given = {"path": str(path), "answer": str(answer), "threads": 1, "rtol": RTOL, "solver": "sparsecholesky"}
    run_peer("_ngsolve.py", "solve", given | {"limit_s": 60.0}, threads=1, limit_s=100.0)

    found = check_answers(str(path), {"NGSolve": str(answer)})["NGSolve"]
    assert found["residual"] <= RTOL
    assert found["held_error_mm"] == 0.0


def test_our_record_has_the_products_of_our_matrix(tmp_path):
    model = cylinder(*SMALL["tet4"])
    model.save(tmp_path / "model.npz")
    u, v = (field.ravel() for field in smooth_fields(model.points))
    K = assemble_stiffness(problem_of(model))

    found = ours(str(tmp_path / "model.npz"), str(tmp_path / "model.npz"), 1)

    assert found["v_k_u"] == v @ (K @ u)
    assert found["first_s"] >= found["pattern_s"] > 0


def test_input_file_lists_every_cell_and_force_once():
    model = bent_bar(1)
    lines = list(input_lines(model, "C3D8"))
    forces = lines[lines.index("*CLOAD") + 1 : lines.index("*NODE PRINT, NSET=NALL")]

    assert lines[1] == "1, " + ", ".join(["0.0000000000000e+00"] * 3)
    assert lines.count("1, 1, 2, 4, 3, 5, 6, 8,") == 1
    assert len(forces) == np.count_nonzero(model.force)
    numbers = [number.strip() for line in lines if not line.startswith("*") for number in line.split(",")]
    assert max(len(number) for number in numbers) <= 20  # ccx reads twenty characters


def test_displacement_that_was_not_printed_is_missed():
    text = "\n displacements (vx,vy,vz) for set NALL\n\n  1  1.0E-03 -2.000000E+00  0.0\n"

    assert read_displacements(text, 1).tolist() == [[1e-3, -2.0, 0.0]]
    with pytest.raises(CalculixFailedError, match="1 of 2"):
        read_displacements(text, 2)


def test_missing_ccx_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(CalculixMissingError, match="calculix-ccx"):
        find_ccx()


@pytest.mark.parametrize(
    ("kind", "integration"), [("C3D8", "full"), ("C3D8I", "incompatible"), ("C3D20", "full"), ("C3D10", "full")]
)
def test_calculix_prints_our_displacements(kind, integration):
    from fesolver.fem.problem import Loads
    from fesolver.solvers.prepare import prepare

    try:
        find_ccx()
    except CalculixMissingError as error:
        pytest.skip(str(error))
    segment = {"C3D20": "hex20", "C3D10": "tet10"}.get(kind)
    model = bone_disc_segment(*SEGMENTS[segment]) if segment else bent_bar(2)

    theirs, _ = solve_with_calculix(model, kind, threads=1, limit_s=60.0)
    u = prepare(problem_of(model, integration), method="direct").solve(Loads(nodal_force=model.force), rtol=1e-10).u

    assert np.abs(u - theirs).max() <= 1e-6 * np.abs(theirs).max()  # seven digits are printed


def test_absent_peers_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("_solid_peers.FOLDER", tmp_path / "solid")

    with pytest.raises(PeersMissingError, match="not installed"):
        find_interpreter(install=False)
