"""Mortar ties: identity on matching sides, linear fields on flat ones, rigid motions on all, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.errors import InputError
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.elements import FACETS, shape_functions, shape_gradients
from fesolver.fem.facets import facet_points
from fesolver.fem.threads import kernel_threads
from fesolver.meshing.interface_cuts import cut_interface
from fesolver.meshing.interface_ties import tie_interface
from fesolver.meshing.interface_ties_kernels import facet_shape

KINDS = ["tri3", "quad4", "tri6", "quad8"]
GRADIENT = np.array([[0.7, -0.4, 0.9], [0.2, -1.1, 0.3], [-0.6, 0.8, 0.5]])


def square(kind: str, n: int, *, distortion: float = 0.0, seed: int = 0, looks_up: bool = True):
    """A unit square of n x n cells of facets at height 0, its inner points moved at random."""
    s = np.linspace(0.0, 1.0, n + 1)
    x, y = np.meshgrid(s, s, indexing="ij")
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    inner = np.all((points[:, :2] > 1e-9) & (points[:, :2] < 1 - 1e-9), axis=1)
    shift = np.random.default_rng(seed).uniform(-distortion, distortion, (len(points), 2)) / n
    points[:, :2] += shift * inner[:, None]
    number = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    quads = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], axis=-1).reshape(-1, 4)
    facets = quads if kind.startswith("quad") else np.vstack([quads[:, :3], quads[:, [0, 2, 3]]])
    if not looks_up:
        facets = facets[:, ::-1]
    if FACETS[kind].order == 2:
        ends = np.sort(facets[:, np.array(FACETS[kind].edges)].reshape(-1, 2), axis=1)
        pairs, inverse = np.unique(ends, axis=0, return_inverse=True)
        facets = np.hstack([facets, len(points) + inverse.reshape(len(facets), -1)])
        points = np.vstack([points, points[pairs].mean(axis=1)])
    return points, facets


def sides(slave: str, master: str, n_slave: int = 4, n_master: int = 3, *, distortion: float = 0.25, shape=None):
    """Both sides in one array of points, the masters first; `shape` moves all of them."""
    low, below = square(master, n_master, distortion=distortion, seed=1)
    up, above = square(slave, n_slave, distortion=distortion, seed=2, looks_up=False)
    points = np.vstack([low, up])
    return (points if shape is None else shape(points)), above + len(low), below


def tied(u: np.ndarray, ties) -> np.ndarray:
    """Displacement of the slaves by their ties, and what it is in u."""
    flat = u.ravel()
    return np.array([[tie.weights @ flat[tie.masters], flat[tie.dof]] for tie in ties])


@pytest.mark.parametrize("kind", KINDS)
def test_shape_functions_of_kernels_are_those_of_the_package(kind):
    k = FACETS[kind].n_nodes
    N, dN = np.empty(k), np.empty((2, k))
    for xi in ([0.3, 0.2], [0.11, 0.71], [-0.4, 0.6]):
        facet_shape(k, *xi, N, dN)

        assert_allclose(N, shape_functions(kind, [xi])[0], rtol=0, atol=1e-14)
        assert_allclose(dN, shape_gradients(kind, [xi])[0].T, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_matching_sides_are_tied_point_to_point(kind):
    low, below = square(kind, 3, distortion=0.2)
    up, above = square(kind, 3, distortion=0.2, looks_up=False)
    ties = tie_interface(np.vstack([low, up]), slave_facets=above + len(low), master_facets=below)
    partner = {tuple(np.round(p, 9)): i for i, p in enumerate(low)}

    assert len(ties) == 3 * len(up)
    for tie in ties:
        own = 3 * partner[tuple(np.round(up[tie.dof // 3 - len(low)], 9))] + tie.dof % 3
        assert_allclose(tie.weights, np.where(tie.masters == own, 1.0, 0.0), rtol=0, atol=1e-11)


@pytest.mark.parametrize("master", KINDS)
@pytest.mark.parametrize("slave", KINDS)
def test_a_linear_field_and_a_constant_traction_pass_a_flat_interface(slave, master):
    points, above, below = sides(slave, master)
    ties = tie_interface(points, slave_facets=above, master_facets=below)
    u = points @ GRADIENT.T + [0.3, -0.2, 0.1]

    got, expected = tied(u, ties).T
    assert_allclose(got, expected, rtol=0, atol=1e-12)
    # The resultants of a unit traction on the slave's points, handed on, are those on the master's.
    force = np.zeros(len(points))
    handed = np.zeros(len(points))
    for facets, out in ((above, force), (below, force)):
        found = facet_points(points, facets)
        np.add.at(out, facets, np.einsum("qk,mq->mk", found.shape, np.linalg.norm(found.areas, axis=2)))
    for tie in ties[::3]:
        handed[tie.masters // 3] += tie.weights * force[tie.dof // 3]
    masters = np.unique(below)
    # Squares cut askew are integrated by a rule of finite degree: 1e-11 of a facet's 0.1.
    assert_allclose(handed[masters], force[masters], rtol=0, atol=1e-12)


def bent(points):
    """A cylinder's quarter of radius 2 across x."""
    angle, radius = 0.5 * np.pi * points[:, 0], 2.0 + points[:, 2]
    return np.column_stack([radius * np.sin(angle), points[:, 1], radius * np.cos(angle)])


def folded_away(points):
    """Masters lowered by a tilted gap."""
    is_master = np.arange(len(points)) < np.flatnonzero(np.all(points == 0.0, axis=1))[-1]
    return points + np.outer(is_master, [0.0, 0.0, -0.03]) * (1.0 + points[:, :1])


@pytest.mark.parametrize("shape", [bent, folded_away])
@pytest.mark.parametrize(
    ("slave", "master"), [("tri3", "tri3"), ("quad4", "tri3"), ("tri6", "tri6"), ("quad8", "quad4")]
)
def test_rigid_motions_pass_curved_and_gapped_interfaces_exactly(slave, master, shape):
    points, above, below = sides(slave, master, 6, 5, shape=shape)
    ties = tie_interface(points, slave_facets=above, master_facets=below, search_mm=0.3)

    assert {tie.dof // 3 for tie in ties} == set(np.unique(above).tolist())
    for mode in np.moveaxis(rigid_modes(points, points.mean(axis=0)), 2, 0):
        got, expected = tied(mode, ties).T
        assert_allclose(got, expected, rtol=0, atol=1e-11)  # round-off times weights of a few


def test_a_slave_off_flat_masters_turns_with_them():
    # One triangle above the middle of a large one: its points hang on the large one's rotation.
    corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 0.1], [1, 2, 0.1], [2, 1, 0.1]])
    ties = tie_interface(corners, slave_facets=np.array([[3, 4, 5]]), master_facets=np.array([[0, 1, 2]]))
    u = np.zeros((6, 3))
    u[:, 2] = 0.01 * corners[:, 0]  # the large one tilts by 0.01 about y
    by_dof = {tie.dof: tie.weights @ u.ravel()[tie.masters] for tie in ties}

    assert by_dof[9] == pytest.approx(-0.001, rel=1e-12)  # 0.1 above a plane that leans
    assert by_dof[11] == pytest.approx(0.01, rel=1e-12)


def test_mortar_matrices_agree_with_a_fine_sum():
    points, above, below = sides("quad4", "tri3", 2, 2)
    cuts = cut_interface(points, above, below, 0.1)
    n = 200
    s = 2.0 * (np.arange(n) + 0.5) / n - 1.0
    xi = np.stack(np.meshgrid(s, s, indexing="ij"), axis=-1).reshape(-1, 2)
    N, dN = shape_functions("quad4", xi), shape_gradients("quad4", xi)
    for f in range(len(above)):
        x = points[above[f]]
        places = N @ x
        tangents = np.einsum("qkd,ki->qdi", dN, x)
        w = np.linalg.norm(np.cross(tangents[:, 0], tangents[:, 1]), axis=1) * (2.0 / n) ** 2
        for pair in np.flatnonzero(cuts.slave == f)[:4]:
            a, b, c = points[below[cuts.master[pair]]][:, :2]
            local = (places[:, :2] - a) @ np.linalg.inv(np.array([b - a, c - a]))
            inside = np.all(local > 0, axis=1) & (local.sum(axis=1) < 1)
            expected = np.einsum("q,qa,qb->ab", w * inside, N, shape_functions("tri3", local))
            # A cell of the sum is 1 / 200 of the facet's edge; the cut's edges are counted to half of that.
            assert_allclose(cuts.cross[pair], expected, rtol=0, atol=2.5e-3 * w.sum())
    assert_allclose(cuts.covered, 1.0, rtol=1e-12)
    assert_allclose(cuts.gap, 0.0, atol=1e-15)


def test_bits_do_not_depend_on_threads():
    points, above, below = sides("tri6", "quad8", 5, 4)
    found = []
    for n in (1, 2):
        with kernel_threads(n):
            found.append(tie_interface(points, slave_facets=above, master_facets=below))

    for one, two in zip(*found, strict=True):
        assert_array_equal(one.weights, two.weights)


def test_a_slave_side_that_sticks_out_is_refused_or_left_out():
    points, above, below = sides("tri3", "tri3", 4, 3, distortion=0.0)
    points[np.unique(above), 0] *= 1.5  # the last third of its columns has no master

    with pytest.raises(InputError, match=r"covered too little[\s\S]*the worst to 0%[\s\S]*1\.4, 0\.1, 0\.0") as caught:
        tie_interface(points, slave_facets=above, master_facets=below)
    assert "uncovered='leave'" in (caught.value.fix or "")
    ties = tie_interface(points, slave_facets=above, master_facets=below, uncovered="leave")

    tied_points = np.unique([tie.dof // 3 for tie in ties])
    expected = np.unique(above)[points[np.unique(above), 0] < 0.8]
    assert_array_equal(tied_points, expected)
    got, exact = tied(points @ GRADIENT.T, ties).T
    assert_allclose(got, exact, rtol=0, atol=1e-12)


def test_sides_that_cannot_be_tied_are_refused_by_name_and_place():
    points, above, below = sides("quad4", "quad4")
    with pytest.raises(InputError, match="covered too little") as caught:
        tie_interface(points, slave_facets=above[:, ::-1], master_facets=below)  # looks away
    assert "counter-clockwise" in (caught.value.fix or "")
    with pytest.raises(InputError, match="points are on both sides"):
        tie_interface(points, slave_facets=below, master_facets=below)
    with pytest.raises(InputError, match=r"2\.00 times"):
        tie_interface(points, slave_facets=above, master_facets=np.vstack([below, below]))
    lifted = points + np.outer(np.isin(np.arange(len(points)), above), [0, 0, 0.5])
    with pytest.raises(InputError, match=r"within 0\.01 mm"):
        tie_interface(lifted, slave_facets=above, master_facets=below, search_mm=0.01)
    with pytest.raises(InputError, match="no facets"):
        tie_interface(points, slave_facets=above, master_facets=below[:0])
    with pytest.raises(InputError, match="no area"):
        tie_interface(points, slave_facets=above[:, [0, 0, 0, 0]], master_facets=below, search_mm=0.1)
    with pytest.raises(InputError, match="search_mm"):
        tie_interface(points, slave_facets=above, master_facets=below, search_mm=0.0)
