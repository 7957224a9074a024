"""Two meshes tied on a flat interface carry a constant stress exactly, in every element; curved ones converge."""

from __future__ import annotations

import numpy as np
import pytest
from lattices import GRADIENT, uniform
from numpy.testing import assert_allclose
from solid_meshes import cut, grid_cells

from fesolver.fem.constraints import rigid_modes
from fesolver.fem.distributed import pressure_force
from fesolver.fem.facets import facet_points, outer_facets
from fesolver.fem.hooke import isotropic_elasticity
from fesolver.fem.problem import LinearTie, Loads, Problem
from fesolver.fem.recovery import recover_fields
from fesolver.meshing.interface_ties import tie_interface
from fesolver.solvers.prepare import prepare

YOUNG, POISSON = 500.0, 0.3
TURN = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
TURN *= np.linalg.det(TURN)
"""No interface along a coordinate plane."""


def block(element: str, n: int, low: float, warp: float):
    """A unit cube from height `low`, with points moved within each plane and inside, its faces plane."""
    s = np.linspace(0.0, 1.0, n + 1)
    points = np.stack(np.meshgrid(s, s, s, indexing="ij"), axis=-1).reshape(-1, 3)
    x, y, _ = points.T
    bump = np.sin(np.pi * points)
    points = points + warp * bump * np.column_stack([0.3 + y, -x, x - y])
    points, cells = cut(points, grid_cells((n, n, n)), element)
    return points + np.array([0.0, 0.0, low]), cells


class Blocks:
    """Two blocks of one element, the upper one the slave unless `swapped`, `gap` apart, turned at random."""

    def __init__(self, element: str, n_slave: int, n_master: int, *, warp=0.1, swapped=False, gap=0.0):
        n_low, n_up = (n_slave, n_master) if swapped else (n_master, n_slave)
        lower, cells_low = block(element, n_low, 0.0, -warp)
        upper, cells_up = block(element, n_up, 1.0, warp)
        self.element = element
        self.flat = np.vstack([lower, upper])
        self.cells = np.vstack([cells_low, cells_up + len(lower)])
        (found,) = outer_facets(self.cells, element).values()
        is_tied = np.all(np.abs(self.flat[found.facets][:, :, 2] - 1.0) < 1e-9, axis=1)
        is_upper = found.cells >= len(cells_low)
        sides = found.facets[is_tied & (is_upper != swapped)], found.facets[is_tied & (is_upper == swapped)]
        self.slave, self.master, self.outside = *sides, found.facets[~is_tied]
        self.points = (self.flat + np.outer(np.arange(len(self.flat)) >= len(lower), [0.0, 0.0, gap])) @ TURN.T

    @property
    def ties(self):
        return tie_interface(self.points, slave_facets=self.slave, master_facets=self.master)

    def problem(self, ties, dofs) -> Problem:
        """The blocks of one material."""
        elasticity = uniform(len(self.cells), YOUNG, POISSON)
        return Problem(self.points, self.cells, elasticity, dofs, ties=tuple(ties), element=self.element)


def statically_held(points, ids):
    """Six degrees of freedom of three points that hold all rigid motions and no more."""
    modes = rigid_modes(points[ids], points[ids[0]]).reshape(-1, 6)
    chosen: list[int] = []
    for row in range(9):
        if np.linalg.matrix_rank(modes[[*chosen, row]], tol=1e-3) > len(chosen):
            chosen.append(row)
    return np.sort([3 * ids[row // 3] + row % 3 for row in chosen])


def corners_below(blocks: Blocks):
    """Three corners of the lower block's untied end."""
    return [int(np.argmin(np.linalg.norm(blocks.flat - c, axis=1))) for c in ([0, 0, 0], [1, 0, 0], [0, 1, 0])]


def stress_force(points, facets, tensor):
    """Consistent nodal forces of a constant stress on flat facets: the stress times the outward vector area."""
    found = facet_points(points, facets)
    out = np.zeros_like(points)
    np.add.at(out, facets, np.einsum("qk,mqi,ij->mkj", found.shape, found.areas, tensor))
    return out


def patch_error(blocks: Blocks, ties) -> tuple[float, float]:
    """Largest errors of displacement and stress, relative, under a constant stress with six dofs held."""
    strain = GRADIENT + GRADIENT.T
    s = isotropic_elasticity(YOUNG, POISSON) @ [*np.diag(GRADIENT), strain[1, 2], strain[0, 2], strain[0, 1]]
    force = stress_force(blocks.points, blocks.outside, s[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]])
    exact = blocks.points @ GRADIENT.T
    dofs = statically_held(blocks.points, corners_below(blocks))
    problem = blocks.problem(ties, dofs)
    found = prepare(problem, "direct").solve(Loads(nodal_force=force, prescribed=exact.ravel()[dofs])).u
    error = np.abs(recover_fields(problem, found).stress - s).max() / np.abs(s).max()
    return float(np.abs(found - exact).max() / np.abs(exact).max()), float(error)


CASES = [
    ("hex8", 4, 3, False),
    ("hex8", 3, 4, False),
    ("hex8", 3, 4, True),
    ("tet4", 4, 3, False),
    ("tet4", 2, 5, True),
    ("tet10", 3, 2, False),
    ("tet10", 2, 3, True),
    ("hex20", 3, 2, False),
    ("hex20", 2, 3, True),
]


@pytest.mark.parametrize(("element", "n_slave", "n_master", "swapped"), CASES)
def test_a_constant_stress_passes_a_flat_interface_exactly(element, n_slave, n_master, swapped):
    blocks = Blocks(element, n_slave, n_master, swapped=swapped)

    displacement, stress = patch_error(blocks, blocks.ties)

    # Round-off of the factorisation with only six degrees of freedom held; strains magnify it by n.
    assert displacement < 1e-10
    assert stress < 1e-9


def test_points_tied_to_the_facet_below_them_fail_the_patch_test():
    blocks = Blocks("hex8", 4, 3, warp=0.0)
    bottom = {tuple(np.rint(3 * blocks.flat[p, :2]).astype(int)): int(p) for p in np.unique(blocks.master)}
    ties = []
    for point in np.unique(blocks.slave).tolist():
        at = 3.0 * blocks.flat[point, :2]
        low = np.minimum(at.astype(int), 2)
        t = at - low
        masters = np.array([bottom[tuple(low + np.array([i, j]))] for i in (0, 1) for j in (0, 1)])
        weights = np.array([abs(1 - i - t[0]) * abs(1 - j - t[1]) for i in (0, 1) for j in (0, 1)])
        ties += [LinearTie(3 * point + d, 3 * masters + d, weights) for d in range(3)]

    assert patch_error(blocks, ties)[1] > 0.01  # collocation: percents of the stress
    assert patch_error(blocks, blocks.ties)[1] < 1e-9


@pytest.mark.parametrize("element", ["hex8", "tet10"])
def test_a_gap_passes_force_and_moment_whole(element):
    blocks = Blocks(element, 3, 2, gap=0.04)
    end = np.flatnonzero(np.abs(blocks.flat[:, 2]) < 1e-9)
    dofs = (3 * end[:, None] + np.arange(3)).ravel()
    force = np.zeros_like(blocks.points)
    rng = np.random.default_rng(1)
    force[np.abs(blocks.flat[:, 2] - 2.0) < 1e-9] = rng.standard_normal(3) + rng.standard_normal((1, 3))
    force[int(np.argmax(blocks.flat.sum(axis=1)))] += [3.0, -1.0, 2.0]

    solution = prepare(blocks.problem(blocks.ties, dofs), "direct").solve(Loads(nodal_force=force))

    arms = rigid_modes(blocks.points, np.zeros(3))
    applied = np.einsum("nid,ni->d", arms, force)
    reaction = np.einsum("nid,ni->d", arms[end], solution.internal_force[end])
    assert_allclose(reaction, -applied, rtol=0, atol=1e-10 * np.abs(applied).max())  # round-off of the solve


def test_algebraic_multigrid_takes_the_ties():
    blocks = Blocks("hex8", 7, 5)
    end = np.flatnonzero(np.abs(blocks.flat[:, 2]) < 1e-9)
    problem = blocks.problem(blocks.ties, (3 * end[:, None] + np.arange(3)).ravel())
    force = np.zeros_like(blocks.points)
    force[np.abs(blocks.flat[:, 2] - 2.0) < 1e-9] = [1.0, -2.0, 0.5]
    loads = Loads(nodal_force=force)

    found = prepare(problem, "amg").solve(loads, rtol=1e-11)
    expected = prepare(problem, "direct").solve(loads)

    assert_allclose(found.u, expected.u, rtol=0, atol=1e-8 * np.abs(expected.u).max())  # 1e-11 times the condition
    assert found.iterations < 60  # as many as a mesh in one piece takes, and some


INNER, MIDDLE, OUTER, HEIGHT = 1.0, 1.5, 2.0, 0.5


def ring(n_around: int, n_across: int, n_along: int, inner: float, outer: float, turn: float, first: int):
    """A closed ring of hexahedra, its points numbered from `first`, and its facets across the radius."""
    shape = (n_across, n_around, n_along)
    r, theta, z = np.meshgrid(
        np.linspace(inner, outer, n_across + 1), turn + 2 * np.pi * np.arange(n_around) / n_around,
        np.linspace(0.0, HEIGHT, n_along + 1), indexing="ij",
    )  # fmt: skip
    points = np.stack([r * np.cos(theta), r * np.sin(theta), z], axis=-1).reshape(-1, 3)
    number = np.arange(len(points)).reshape(r.shape)
    closed = np.concatenate([number, number[:, :1]], axis=1)
    cells = first + closed.ravel()[grid_cells(shape)]
    at_inner, at_outer = cells[: n_around * n_along][:, [0, 4, 7, 3]], cells[-n_around * n_along :][:, [1, 2, 6, 5]]
    return points, cells, at_inner, at_outer


def ring_energy_error(n: int, *, tied: bool) -> float:
    """Relative error of the energy of a thick ring under inner pressure, in one piece or of two tied ones."""
    along = n // 3  # nothing varies along the axis
    kinds = [(4 * n, n, along, INNER, MIDDLE, 0.0), (6 * n, n, along + 1, MIDDLE, OUTER, 0.3)]
    if not tied:
        kinds[1] = (4 * n, n, along, MIDDLE, OUTER, 0.0)
    points, cells, wall, touching = ring(*kinds[0], 0)
    more, others, facing, _ = ring(*kinds[1], len(points))
    points, cells = np.vstack([points, more]), np.vstack([cells, others])
    if tied:
        ties = tie_interface(points, slave_facets=facing, master_facets=touching)
    else:
        pairs = zip(np.unique(facing).tolist(), np.unique(touching).tolist(), strict=True)
        ties = tuple(LinearTie(3 * s + d, np.array([3 * m + d]), np.ones(1)) for s, m in pairs for d in range(3))
    dofs = statically_held(points, wall[[0, len(wall) // 3, 2 * len(wall) // 3], 0].tolist())
    problem = Problem(points, cells, uniform(len(cells), YOUNG, POISSON), dofs, ties=ties)
    force = pressure_force(points, wall, 1.0)
    u = prepare(problem, "direct").solve(Loads(nodal_force=force)).u
    widening = INNER / YOUNG * ((INNER**2 + OUTER**2) / (OUTER**2 - INNER**2) + POISSON)
    return float(np.sum(force * u) / (2 * np.pi * INNER * HEIGHT * widening)) - 1.0


def test_a_curved_interface_converges_like_a_mesh_in_one_piece():
    # Lame's thick ring, ends free; the pressure's work is twice the energy, which no rigid motion changes.
    tied = np.array([ring_energy_error(n, tied=True) for n in (3, 6)])
    whole = np.array([ring_energy_error(n, tied=False) for n in (3, 6)])

    order = np.log2(tied[0] / tied[1])
    assert order == pytest.approx(2.0, abs=0.2)  # theory, not yet asymptotic
    assert np.log2(whole[0] / whole[1]) == pytest.approx(2.0, abs=0.2)
    assert np.all(np.abs(tied) < 1.2 * np.abs(whole))  # 1.06 and 1.03 when written
