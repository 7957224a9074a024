"""Moments on the rigid top: which way they turn a segment, how far they bend a bar, and which pads refuse them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity, Problem
from fesolver.loading.load_case import LoadCase
from fesolver.loading.moments import top_moment
from fesolver.loading.pads import check_load_case, pad_constraints
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.solvers.prepare import prepare
from fesolver.solvers.solution import Solution

WIDTH, DEPTH, HEIGHT = 12.0, 9.0, 30.0
SHAPE = (2, 2, 5)
YOUNG = 100.0


def bar() -> SpineMesh:
    """A bar of one level, wider (x) than deep (y)."""
    grid = [np.arange(n + 1) for n in SHAPE]
    at = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 3)
    cell = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    ijk = cell[:, None] + corners
    cells = ((ijk[..., 0] * (SHAPE[1] + 1) + ijk[..., 1]) * (SHAPE[2] + 1) + ijk[..., 2]).astype(np.int64)
    points = at * np.array([WIDTH, DEPTH, HEIGHT]) / SHAPE - np.array([0.5 * WIDTH, 0.5 * DEPTH, 0.0])

    def face(is_at: np.ndarray, order: list[int], z: float) -> Surface:
        ids = np.flatnonzero(is_at)
        area = WIDTH * DEPTH / (SHAPE[0] * SHAPE[1])
        return Surface(cells[ids][:, order], ids, np.tile([0.0, 0.0, z], (len(ids), 1)), np.full(len(ids), area))

    surfaces = {
        "L1/superior_endplate": face(cell[:, 2] == SHAPE[2] - 1, [4, 5, 6, 7], 1.0),
        "L1/inferior_endplate": face(cell[:, 2] == 0, [0, 3, 2, 1], -1.0),
    }
    return SpineMesh(points, cells, {}, surfaces, {}, ("L1",), Frame(np.zeros(3), np.eye(3)))


def solve(mesh: SpineMesh, **keys: float) -> Solution:
    """The bar under moments (N m) on a free top; pure bending is exact with incompatible modes and nu = 0."""
    setup = pad_constraints(mesh, LoadCase(force_n=0.0, top="free", **keys))  # type: ignore[arg-type]
    n = len(mesh.cells)
    problem = Problem(
        mesh.points,
        mesh.cells,
        Elasticity(np.full(n, YOUNG), np.zeros(n)),
        rigid_bodies=setup.rigid_bodies,
        integration="incompatible",
    )
    return prepare(problem, method="direct").solve(setup.loads)


def edge(mesh: SpineMesh, axis: int, sign: float) -> np.ndarray:
    """Points of the top endplate on one of its edges."""
    x, z = sign * mesh.points[:, axis], mesh.points[:, 2]
    return np.flatnonzero((z == z.max()) & (x == x.max()))


FRONT, BACK, LEFT, RIGHT = (1, -1.0), (1, 1.0), (0, 1.0), (0, -1.0)


def test_flexion_takes_the_front_of_the_top_down_and_extension_its_back():
    mesh = bar()
    u = solve(mesh, flexion_nm=0.01).u
    back = solve(mesh, flexion_nm=-0.01).u

    assert u[edge(mesh, *FRONT), 2].max() < 0.0 < u[edge(mesh, *BACK), 2].min()
    assert u[edge(mesh, *FRONT), 1].max() < 0.0  # the top leans forward, towards -y
    assert back[edge(mesh, *BACK), 2].max() < 0.0 < back[edge(mesh, *FRONT), 2].min()


def test_lateral_bending_takes_the_left_of_the_top_down():
    mesh = bar()
    u = solve(mesh, lateral_bending_nm=0.01).u

    assert u[edge(mesh, *LEFT), 2].max() < 0.0 < u[edge(mesh, *RIGHT), 2].min()
    assert u[edge(mesh, *LEFT), 0].min() > 0.0  # the top leans to the left, towards +x


def test_axial_rotation_turns_the_front_of_the_top_to_the_left():
    mesh = bar()
    u = solve(mesh, axial_rotation_nm=0.01).u

    assert u[edge(mesh, *FRONT), 0].min() > 0.0 > u[edge(mesh, *BACK), 0].max()
    assert u[edge(mesh, *LEFT), 1].min() > 0.0  # the left goes backwards


def test_a_bar_bends_by_m_l_over_e_i_about_each_axis():
    mesh = bar()
    solution = solve(mesh, flexion_nm=0.02, lateral_bending_nm=-0.03)

    about_x, about_y = WIDTH * DEPTH**3 / 12.0, DEPTH * WIDTH**3 / 12.0
    rotation = solution.rigid_motion["top"][3:]
    # 1 N m is 1000 N mm; a direct solve's round-off.
    assert_allclose(rotation[0], 20.0 * HEIGHT / (YOUNG * about_x), rtol=1e-9)
    assert_allclose(rotation[1], -30.0 * HEIGHT / (YOUNG * about_y), rtol=1e-9)
    assert_allclose(solution.rigid_reaction["bottom"][3:], [-20.0, 30.0, 0.0], atol=1e-7)
    assert_allclose(solution.rigid_reaction["bottom"][:3], 0.0, atol=1e-7)


def test_moments_add_to_force_and_follower_in_one_load_case():
    loads = pad_constraints(bar(), LoadCase(force_n=250.0, top="free", axial_rotation_nm=1.5)).loads

    assert_allclose(loads.rigid["top"].force, [0.0, 0.0, -250.0])
    assert_allclose(loads.rigid["top"].moment, [0.0, 0.0, 1500.0])
    assert loads.nodal_force is None


def test_moments_stand_about_x_y_z_in_newton_millimetres():
    case = LoadCase(flexion_nm=1.0, lateral_bending_nm=2.0, axial_rotation_nm=-3.0)

    assert_allclose(top_moment(case), [1000.0, 2000.0, -3000.0])
    assert case.has_moment
    assert not LoadCase().has_moment


@pytest.mark.parametrize(
    ("top", "refused"),
    [
        ("fixed", {"flexion_nm", "lateral_bending_nm", "axial_rotation_nm"}),
        ("tilt", {"axial_rotation_nm"}),
        ("free", set()),
    ],
)
def test_a_moment_on_a_rotation_that_the_pad_holds_is_refused(top, refused):
    for key in ("flexion_nm", "lateral_bending_nm", "axial_rotation_nm"):
        case = LoadCase(force_n=0.0, top=top, **{key: 7.5})
        if key in refused:
            with pytest.raises(InputError, match=f"{key} = 7.5 on a pad that top = '{top}' keeps from turning"):
                check_load_case(case)
        else:
            check_load_case(case)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flexion_nm": np.nan}, "flexion_nm must be finite"),
        ({"axial_rotation_nm": np.inf, "top": "free"}, "axial_rotation_nm must be finite"),
        ({"control": "displacement", "displacement_mm": 0.5, "flexion_nm": 1.0}, "beside a given shortening"),
        ({"force_n": 0.0, "top": "free"}, "force_n must be positive"),
        ({"force_n": -5.0, "flexion_nm": 1.0}, "force_n must be positive"),
    ],
)
def test_a_moment_that_cannot_be_applied_is_an_input_error(arguments, message):
    with pytest.raises(InputError, match=message):
        check_load_case(LoadCase(**arguments))
