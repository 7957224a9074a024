"""Pads: which points are tied, which motions are free, where and how the load acts, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity, Lattice, Problem
from fesolver.loading.load_case import LoadCase
from fesolver.loading.pads import pad_constraints, side_force_fraction
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.solvers.prepare import prepare

SIZE = np.array([12.0, 9.0, 16.0])
SHAPE = (4, 3, 4)
ORIGIN = np.array([-2.0, 1.0, 5.0])


def column(shape: tuple[int, int, int] = SHAPE) -> SpineMesh:
    """A column of two levels, L1 over L2, in a brick of `SIZE` whose corner is at `ORIGIN`."""
    h = SIZE / shape
    grid = [np.arange(n + 1) for n in shape]
    point_index = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 3)
    cell_index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    ijk = cell_index[:, None, :] + corners
    cells = ((ijk[..., 0] * (shape[1] + 1) + ijk[..., 1]) * (shape[2] + 1) + ijk[..., 2]).astype(np.int64)

    def face(is_at: np.ndarray, order: list[int], z: float) -> Surface:
        ids = np.flatnonzero(is_at)
        return Surface(cells[ids][:, order], ids, np.tile([0.0, 0.0, z], (len(ids), 1)), np.full(len(ids), h[0] * h[1]))

    return SpineMesh(
        points=ORIGIN + point_index * h,
        cells=cells,
        regions={},
        surfaces={
            "L1/superior_endplate": face(cell_index[:, 2] == shape[2] - 1, [4, 5, 6, 7], 1.0),
            "L2/inferior_endplate": face(cell_index[:, 2] == 0, [0, 3, 2, 1], -1.0),
        },
        frames={},
        levels=("L1", "L2"),
        frame=Frame(np.zeros(3), np.eye(3)),
        lattice=Lattice(shape, h, ORIGIN, cell_index.astype(np.int32), point_index.astype(np.int32)),
    )


def body(setup, name):
    return next(each for each in setup.rigid_bodies if each.name == name)


def solve(mesh: SpineMesh, setup, poisson: float = 0.0, young: float = 100.0):
    n = len(mesh.cells)
    problem = Problem(
        points=mesh.points,
        cells=mesh.cells,
        elasticity=Elasticity(np.full(n, young), np.full(n, poisson)),
        prescribed_dofs=setup.prescribed_dofs,
        rigid_bodies=setup.rigid_bodies,
        lattice=mesh.lattice,
    )
    return prepare(problem, method="direct").solve(setup.loads)


def test_the_pads_hold_the_outer_endplates_and_nothing_else():
    mesh = column()

    setup = pad_constraints(mesh, LoadCase())

    z = mesh.points[:, 2]
    assert_array_equal(body(setup, "top").points, np.flatnonzero(z == z.max()))
    assert_array_equal(body(setup, "bottom").points, np.flatnonzero(z == z.min()))
    assert len(setup.prescribed_dofs) == 0


@pytest.mark.parametrize(
    ("top", "control", "fixed"),
    [
        ("fixed", "force", [1, 1, 0, 1, 1, 1]),
        ("tilt", "force", [1, 1, 0, 0, 0, 1]),
        ("free", "force", [0, 0, 0, 0, 0, 0]),
        ("fixed", "displacement", [1, 1, 1, 1, 1, 1]),
        ("tilt", "displacement", [1, 1, 1, 0, 0, 1]),
        ("free", "displacement", [0, 0, 1, 0, 0, 0]),
    ],
)
def test_the_top_pad_keeps_the_motions_of_its_mode_and_the_bottom_none(top, control, fixed):
    setup = pad_constraints(column(), LoadCase(control=control, top=top, displacement_mm=0.1))

    assert_array_equal(body(setup, "top").is_fixed, np.array(fixed, dtype=bool))
    assert np.all(body(setup, "bottom").is_fixed)


def test_the_force_points_down_the_axis_at_the_top_centroid_moved_to_the_front():
    setup = pad_constraints(column(), LoadCase(force_n=750.0, offset_anterior_mm=2.5))

    assert_allclose(setup.load_point, ORIGIN + np.array([6.0, 4.5 - 2.5, 16.0]), rtol=1e-12)  # anterior is -y
    assert_allclose(setup.loads.rigid["top"].force, [0.0, 0.0, -750.0])
    assert_allclose(setup.loads.rigid["top"].moment, 0.0)
    assert_array_equal(body(setup, "top").reference, setup.load_point)
    assert_array_equal(setup.axis, [0.0, 0.0, 1.0])


def test_displacement_control_prescribes_the_shortening_of_the_load_point():
    setup = pad_constraints(column(), LoadCase(control="displacement", displacement_mm=0.25))

    assert_allclose(setup.loads.rigid["top"].motion, [0, 0, -0.25, 0, 0, 0])
    assert_allclose(setup.loads.rigid["top"].force, 0.0)


def test_risers_of_voxel_stairs_do_not_move_the_load_point():
    mesh = column()
    top = mesh.surfaces["L1/superior_endplate"]
    side = mesh.cells[3][[0, 1, 5, 4]]  # a face towards -y, counted as part of the endplate
    stairs = Surface(
        np.vstack([top.facets, side]),
        np.append(top.cells, 3),
        np.vstack([top.normals, [0.0, -1.0, 0.0]]),
        np.append(top.areas, 12.0),
    )

    setup = pad_constraints(replace(mesh, surfaces={**mesh.surfaces, "L1/superior_endplate": stairs}), LoadCase())

    assert_allclose(setup.load_point, ORIGIN + np.array([6.0, 4.5, 16.0]), rtol=1e-12)


@pytest.mark.parametrize("top", ["fixed", "tilt", "free"])
def test_a_column_between_pads_has_the_stiffness_ea_over_l(top):
    mesh = column()
    setup = pad_constraints(mesh, LoadCase(force_n=500.0, top=top))

    solution = solve(mesh, setup)

    stiffness = 500.0 / -solution.rigid_motion["top"][2]
    assert_allclose(stiffness, 100.0 * 12.0 * 9.0 / 16.0, rtol=1e-9)  # E A / L, nu = 0; a direct solve's round-off
    assert_allclose(solution.rigid_reaction["bottom"], [0, 0, 500, 0, 0, 0], atol=1e-6)
    assert side_force_fraction(solution.rigid_reaction["bottom"], setup.axis) < 1e-9


def test_an_offset_to_the_front_bends_a_free_column_forward_as_a_beam():
    mesh = column((1, 12, 16))
    offset, force, young = 2.0, 500.0, 100.0
    setup = pad_constraints(mesh, LoadCase(force_n=force, offset_anterior_mm=offset, top="free"))

    solution = solve(mesh, setup, young=young)

    # Pure bending by M = F e about x: rotation M L / (E I), up to the element's own bending error:
    # cells of length 1 in a depth of 9, 12 across, shear (1/9)^2 / 2 too stiff and 1 / (3 12^2) too soft
    inertia = 12.0 * 9.0**3 / 12.0
    rotation = solution.rigid_motion["top"][3]
    assert rotation > 0.0  # the front (-y) goes down: a positive turn about x (left)
    assert_allclose(rotation, force * offset * 16.0 / (young * inertia), rtol=0.01)
    assert_allclose(solution.rigid_reaction["bottom"][3], -force * offset, rtol=1e-6)


def test_force_and_displacement_control_are_two_ways_to_the_same_state():
    mesh = column()
    pushed = solve(mesh, pad_constraints(mesh, LoadCase(force_n=500.0, offset_anterior_mm=1.0)), poisson=0.3)
    shortening = -float(pushed.rigid_motion["top"][2])
    case = LoadCase(control="displacement", displacement_mm=shortening, offset_anterior_mm=1.0)

    moved = solve(mesh, pad_constraints(mesh, case), poisson=0.3)

    assert_allclose(moved.u, pushed.u, atol=1e-9 * shortening)
    assert_allclose(moved.rigid_reaction["top"][2], -500.0, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"force_n": -500.0}, "force_n must be positive"),
        ({"force_n": 0.0}, "force_n must be positive"),
        ({"force_n": np.nan}, "force_n must be positive and finite"),
        ({"control": "displacement"}, "displacement_mm must be positive"),
        ({"control": "displacement", "displacement_mm": -1.0}, "displacement_mm must be positive"),
        ({"control": "pressure"}, "unknown control"),
        ({"top": "hinge"}, "unknown top"),
        ({"offset_anterior_mm": np.inf}, "offset_anterior_mm must be finite"),
        ({"offset_anterior_mm": 5.0}, "outside the top endplate"),
        ({"offset_anterior_mm": -5.0}, "use -4.5 to 4.5 mm"),
    ],
)
def test_a_load_case_that_cannot_be_applied_is_an_input_error(arguments, message):
    with pytest.raises(InputError, match=message):
        pad_constraints(column(), LoadCase(**arguments))


def test_a_missing_endplate_is_refused_by_name():
    mesh = replace(column(), levels=("L1", "L3"))

    with pytest.raises(InputError, match="no surface L3/inferior_endplate"):
        pad_constraints(mesh, LoadCase())


def test_an_empty_endplate_is_refused_as_no_support():
    mesh = column()
    empty = Surface(np.zeros((0, 4), np.int64), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0))

    with pytest.raises(InputError, match="without support"):
        pad_constraints(replace(mesh, surfaces={**mesh.surfaces, "L2/inferior_endplate": empty}), LoadCase())


def test_a_pad_on_a_line_of_points_is_refused_as_singular():
    mesh = column()
    line = np.flatnonzero(np.all(mesh.points[:, 1:] == mesh.points[:, 1:].min(axis=0), axis=1))[:4]
    thin = Surface(line[None, :], np.zeros(1, np.int64), np.array([[0.0, 0.0, -1.0]]), np.ones(1))

    with pytest.raises(InputError, match="singular support"):
        pad_constraints(replace(mesh, surfaces={**mesh.surfaces, "L2/inferior_endplate": thin}), LoadCase())


def test_pads_that_share_points_are_refused():
    mesh = column()
    both = {**mesh.surfaces, "L2/inferior_endplate": mesh.surfaces["L1/superior_endplate"]}

    with pytest.raises(InputError, match="share 20 points"):
        pad_constraints(replace(mesh, surfaces=both), LoadCase())


@pytest.mark.parametrize(
    ("reaction", "expected"),
    [([0, 0, -500, 1, 2, 3], 0.0), ([3, 4, 100, 0, 0, 0], 0.05), ([1, 0, 0, 0, 0, 0], np.inf), ([0] * 6, 0.0)],
)
def test_the_side_force_is_the_transverse_over_the_axial_part(reaction, expected):
    assert side_force_fraction(reaction, [0.0, 0.0, 1.0]) == expected
