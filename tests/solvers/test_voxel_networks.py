"""Networks of struts: pieces, their Galerkin matrices, aggregation below them, and what that does to convergence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattices import largest_part, material_of, plane_order
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter, label
from test_voxel_hierarchy import apply_cycle, dense_cycle, dense_system, random_problem, reference_grids

from fesolver.fem import threads
from fesolver.fem.constraints import rigid_maps
from fesolver.fem.kernels import aggregation as aggregation_kernels
from fesolver.fem.kernels import block_product, block_sparse
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads
from fesolver.fem.voxel_runs import number_nodes
from fesolver.solvers import aggregation, voxel_hierarchy
from fesolver.solvers.block_levels import PADDING, BlockLevel, Blocks
from fesolver.solvers.voxel_core import RigidPart, VoxelCore
from fesolver.solvers.voxel_grids import Topology, finest_grid, finish_grid
from fesolver.solvers.voxel_pieces import Coarsening, Pieces, assemble_pieces, find_pieces, is_network
from fesolver.solvers.voxels import Fixed, Pad, VoxelSystem, prepare_voxels

F32 = np.float32


@pytest.fixture
def many_levels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Aggregate down to a few nodes, so that small problems have several levels."""
    monkeypatch.setattr(aggregation, "MAX_DENSE", 40)
    with kernel_threads(1):
        yield


def pieces_of(active: NDArray[np.bool_], n_threads: int = 1) -> Pieces:
    """Pieces of cells (nz, ny, nx)."""
    nodes, number = number_nodes(active)
    return find_pieces(active, number, nodes.count, n_threads)


def network_core(problem: Problem, n_threads: int = 1, coarsening: Coarsening = "aggregation") -> VoxelCore:
    """The core of a problem whose points are in plane order."""
    lattice = problem.lattice
    assert lattice is not None
    active = np.zeros(lattice.shape[::-1], dtype=bool)
    i, j, k = lattice.cell_index.T
    active[k, j, i] = True
    rigid = tuple(RigidPart(r.body.points, r.matrix) for r in rigid_maps(problem))
    material = material_of(problem.elasticity, plane_order(lattice.cell_index))
    return VoxelCore(
        active, material, lattice.spacing, problem.prescribed_dofs, rigid, is_bbar=problem.integration == "b-bar",
        n_threads=n_threads, coarsening=coarsening,
    )  # fmt: skip


def prolongation(made: Pieces, n_fine: int) -> NDArray[np.float64]:
    """Trilinear weights (n_fine, n_nodes) from the owners of the fine nodes."""
    P = np.zeros((n_fine, made.nodes.count))
    parent, place = made.owner >> 5, made.owner & 31
    at = np.stack([place % 3, place // 3 % 3, place // 9], axis=1)
    for corner in range(8):
        bits = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
        np.add.at(P, (np.arange(n_fine), made.corners[parent, corner]), np.prod(1 - np.abs(at / 2 - bits), axis=1))
    return P


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**16),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7)),
    density=st.sampled_from([0.05, 0.15, 0.3, 0.6]),
)
def test_a_coarse_node_has_a_copy_for_every_connected_part_of_the_cells_around_it(seed, shape, density):
    rng = np.random.default_rng(seed)
    active = rng.random(shape) < density
    active[tuple(rng.integers(0, shape))] = True
    made = pieces_of(active)

    box = np.pad(active, [(2, 4)] * 3)
    copies = {}
    for node, (x, y, z) in enumerate(made.places):
        copies.setdefault((z, y, x), []).append(node)
    for place in np.ndindex(*(n // 2 + 2 for n in shape)):
        window = tuple(slice(2 * p, 2 * p + 4) for p in place)
        parts, count = label(box[window], np.ones((3, 3, 3)))
        nodes = copies.get(place, [])
        assert len(nodes) == count
        of_part = {}
        for cell in np.argwhere(parts):
            at = (cell // 2 + place - 1).tolist()
            parent = int(np.flatnonzero((made.where == at).all(axis=1))[0])
            corner = 7 - int(np.array([4, 2, 1]) @ (cell // 2))
            assert of_part.setdefault(parts[tuple(cell)], made.corners[parent, corner]) == made.corners[parent, corner]
        assert sorted(of_part.values()) == nodes
    assert made.n_positions == len(copies)
    assert_array_equal(plane_order(made.places), np.arange(made.nodes.count))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), n_threads=st.sampled_from([1, 3]))
def test_pieces_restrict_and_prolong_with_the_trilinear_weights_of_every_cell_at_a_node(seed, n_threads):
    rng = np.random.default_rng(seed)
    active = rng.random(rng.integers(1, 8, 3)) < rng.choice([0.2, 0.5, 0.9])
    active[0, 0, 0] = True
    nodes, number = number_nodes(active)
    made = pieces_of(active)
    made = replace(made, slabs=np.unique(np.linspace(0, len(made.layers), n_threads + 1).astype(np.int64)))
    P = prolongation(made, nodes.count)
    # From any cell that holds the node, not only its owner.
    for cell in np.argwhere(active):
        parent = int(np.flatnonzero((made.where == cell // 2).all(axis=1))[0])
        for a in np.ndindex(2, 2, 2):
            f = number[tuple(cell + a)]
            row = np.zeros(made.nodes.count)
            for corner in range(8):
                bits = np.array([corner >> 2, corner >> 1 & 1, corner & 1])
                row[made.corners[parent, corner]] += np.prod(1 - np.abs((cell % 2 + a) / 2 - bits))
            assert_array_equal(P[f], row)
    r, e = np.zeros((3, nodes.stride), F32), rng.standard_normal((made.nodes.count, 3)).astype(F32)
    r[:, : nodes.count] = rng.standard_normal((3, nodes.count))
    b = np.full(3 * made.nodes.count, np.nan, F32)
    w = np.zeros((3, nodes.stride), F32)
    w[:, : nodes.count] = rng.integers(0, 2, (3, nodes.count))
    x = np.zeros(3 * nodes.stride, F32)

    made.restrict(nodes, r.ravel(), b)
    made.prolong(e.ravel(), w.ravel(), x)

    assert_allclose(b.reshape(-1, 3), P.T @ r[:, : nodes.count].T, rtol=0, atol=1e-5)  # float32
    assert_allclose(x.reshape(3, -1)[:, : nodes.count], w[:, : nodes.count] * (P @ e).T, rtol=0, atol=2e-6)


def dense(full: Blocks) -> NDArray[np.float64]:
    """A block matrix in full."""
    n = full.m * (len(full.starts) - 1)
    out = np.zeros((n, n))
    block_sparse.to_dense(full.m, full.starts, full.columns, full.values, out)
    return out


def rigid_block(core: VoxelCore) -> NDArray[np.float64]:
    """The rigid motions' own stiffness."""
    return core._rigid_columns(core.hierarchy.grids[0].fixed.reshape(3, -1))[2]


def first_level(problem: Problem, n_threads: int = 1) -> tuple[VoxelCore, Pieces, BlockLevel, Blocks]:
    """A core with aggregation, its pieces, the first level, and that level's matrix."""
    core = network_core(problem, n_threads)
    made = core.hierarchy.pieces
    assert made is not None
    lattice = problem.lattice
    assert lattice is not None
    active = np.zeros(lattice.shape[::-1], dtype=bool)
    i, j, k = lattice.cell_index.T
    active[k, j, i] = True
    finest = core.hierarchy.grids[0]
    top: Topology = finest_grid(core.operator, active, number_nodes(active)[1], finest.fixed, 1)[1]
    finish_grid(finest)
    return core, made, *assemble_pieces(made, finest, top, rigid_block(core), n_threads)


@pytest.mark.usefixtures("many_levels")
@pytest.mark.parametrize("integration", ["b-bar", "full"])
@pytest.mark.parametrize("seed", range(6))
def test_the_first_level_is_the_galerkin_product_on_the_pieces(seed, integration):
    """With cells of every kind, held components, and rigid bodies."""
    problem = random_problem(seed, (7, 4, 5), integration)
    ((A, C),), _ = reference_grids(problem, 1)

    _, made, level, full = first_level(problem)

    P = np.kron(prolongation(made, len(problem.points)), np.eye(3))
    expected = P.T @ A @ P
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.all(np.abs(dense(full) - expected) <= 3e-6 * scale)  # float32, sums of 64 terms
    columns = np.zeros((made.nodes.count, 3, C.shape[1]))
    columns[level.rigid_nodes] = level.rigid_columns
    assert_allclose(columns.reshape(-1, C.shape[1]), P.T @ C, rtol=0, atol=1e-13 * np.abs(C).max(initial=1.0))


def product(level: BlockLevel, x: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a sweep makes of x."""
    given, out = np.zeros_like(level.x), np.zeros_like(level.x)
    given[: level.count] = x
    level.sweep(block_sparse.PRODUCT, given, out)
    return out[: level.count].copy()


@pytest.mark.usefixtures("many_levels")
@pytest.mark.parametrize("seed", range(3))
def test_every_level_of_aggregation_is_the_galerkin_product_of_the_one_above(seed):
    problem = random_problem(seed, (12, 6, 7), "b-bar")
    core, _, _, full = first_level(problem)
    blocks = core.hierarchy.blocks
    assert blocks is not None
    assert len(blocks.levels) >= 3
    rng = np.random.default_rng(seed)

    for level, below in zip(blocks.levels[:-1], blocks.levels[1:], strict=True):
        A = dense(full)
        n, m = len(level.starts) - 1, level.m
        P = np.zeros((level.count, below.count))
        for i in range(n):
            for at in range(level.p_starts[i], level.p_starts[i + 1]):
                c = 6 * level.p_columns[at]
                P[m * i : m * i + m, c : c + 6] = level.prolongation[6 * m * at : 6 * m * (at + 1)].reshape(m, 6)
        group = np.empty(n, np.int32)
        strength = np.empty(len(full.columns), F32)
        aggregation_kernels.strengths(m, full.starts, full.columns, full.values, strength)
        aggregation_kernels.aggregate(full.starts, full.columns, strength, aggregation.STRONG, group)
        D = np.zeros_like(A)
        for i in range(n):
            at = slice(m * i, m * i + m)
            D[at, at] = level.inverses[m * m * i : m * m * (i + 1)].reshape(m, m)
        rigid = np.zeros_like(P)
        for i, g in enumerate(group):
            d = (level.places[i] - below.places[g]) / below.size
            cross = np.array([[0, d[2], -d[1]], [-d[2], 0, d[0]], [d[1], -d[0], 0]])
            rigid[m * i : m * i + 3, 6 * g : 6 * g + 6] = np.hstack([np.eye(3), cross])
            if m == 6:
                rigid[m * i + 3 : m * i + 6, 6 * g + 3 : 6 * g + 6] = np.eye(3) * level.size / below.size
        rigid[np.diag(D) == 0] = 0
        smoothed = rigid - 4 / 3 / (1.05 * level.largest) * D @ A @ rigid
        assert_allclose(P, smoothed, rtol=0, atol=1e-3)  # inverses of thin nodes' blocks, rounded to float32
        full = aggregation._galerkin(full, level, *transposed(level, below))
        expected = P.T @ A @ P
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected))) + 1e-12 * np.diag(expected).max()
        assert np.all(np.abs(dense(full) - expected) <= 1e-11 * scale)
        assert_array_equal(dense(full), dense(full).T)
        x = rng.standard_normal(below.count)
        assert_allclose(product(below, x), expected @ x, rtol=0, atol=3e-6 * np.diag(expected).max() * 10)


def transposed(level: BlockLevel, below: BlockLevel) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Fine nodes of every aggregate."""
    n = len(below.starts) - 1
    starts, rows = np.empty(n + 1, np.int64), np.empty(len(level.p_columns), np.int32)
    block_product.transpose_pattern(level.p_starts, level.p_columns, n, starts, rows)
    return starts, rows


@pytest.mark.parametrize("m", [3, 6])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_sweep_with_half_of_a_symmetric_matrix_is_that_with_all_of_it(m, n_threads):
    rng = np.random.default_rng(m)
    n = 60
    A = np.zeros((m * n, m * n))
    for i in range(n):
        for j in rng.integers(i, min(i + 9, n), 5):
            A[m * i : m * i + m, m * j : m * j + m] = rng.standard_normal((m, m))
        A[m * i : m * i + m, m * i : m * i + m] = np.eye(m)
    A = np.triu(A) + np.triu(A, 1).T
    blocks = A.reshape(n, m, n, m).transpose(0, 2, 3, 1)
    used = np.abs(blocks).max(axis=(2, 3)) > 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    full = Blocks(
        m, starts, np.nonzero(used)[1].astype(np.int32), np.concatenate([blocks[used].ravel(), np.zeros(PADDING)])
    )
    level = BlockLevel.make(full, np.zeros((n, 3)), 1.0, 1)
    level.inverses = np.concatenate([np.tile(np.eye(m).ravel(), n), np.zeros(PADDING)]).astype(F32)
    ends = np.linspace(0, n, n_threads + 1).astype(int)
    level.slabs = np.array([(a, b, min(a, full.columns[starts[a:b]].min())) for a, b in pairwise(ends)])
    x, b, old = rng.standard_normal((3, m * n)).astype(F32)
    given, out = np.zeros_like(level.x), np.zeros_like(level.x)

    assert_allclose(product(level, x), A @ x, rtol=0, atol=3e-5)
    level.b[: m * n], given[: m * n], out[: m * n] = b, x, old
    level.sweep(block_sparse.SMOOTH, given, out, (0.5, -0.25, 2.0))
    assert_allclose(out[: m * n], 0.5 * x - 0.25 * old + 2.0 * (b - A @ x), rtol=0, atol=6e-5)
    level.sweep(block_sparse.RESIDUAL, given, out)
    assert_allclose(out[: m * n], b - A @ x, rtol=0, atol=3e-5)


@pytest.mark.usefixtures("many_levels")
@pytest.mark.parametrize("seed", range(4))
def test_cycle_is_symmetric_positive_and_never_overshoots(seed):
    """As for geometric grids: the eigenvalues of M A lie in (0, 1] if every coarse operator is P^T A P."""
    problem = random_problem(seed, (8, 4, 5), ("b-bar", "full")[seed % 2])
    young = 10 ** np.random.default_rng(seed).uniform(1, 3, len(problem.cells))
    problem = replace(problem, elasticity=replace(problem.elasticity, young=young, poisson=np.full(len(young), 0.3)))
    core = network_core(problem)
    assert core.hierarchy.blocks is not None
    assert len(core.hierarchy.blocks.levels) >= 2

    M, is_free = dense_cycle(core)

    use = np.concatenate([is_free, np.ones(core.hierarchy.n_rigid, dtype=bool)])
    A = dense_system(problem)[np.ix_(use, use)]
    scale = np.sqrt(np.outer(np.diag(M), np.diag(M)))
    assert_allclose(M / scale, (M / scale).T, rtol=0, atol=1e-5)  # float32
    values = eigh(A, np.linalg.inv(0.5 * (M + M.T)), eigvals_only=True)
    assert values[0] > 0.005
    assert values[-1] < 1 + 1e-4


@pytest.mark.usefixtures("many_levels")
@pytest.mark.parametrize("seed", range(3))
def test_other_moduli_give_the_bits_of_a_new_hierarchy(seed):
    problem = random_problem(seed, (9, 5, 7))
    young = problem.elasticity.young.copy()
    young[::3] *= 7.0
    other = replace(problem, elasticity=replace(problem.elasticity, young=young))
    lattice = problem.lattice
    assert lattice is not None
    core = network_core(problem)
    b = np.random.default_rng(seed).standard_normal(problem.points.size)
    before = apply_cycle(core, b, np.ones(core.hierarchy.n_rigid))

    updated = core.with_material(material_of(other.elasticity, plane_order(lattice.cell_index)))

    m = np.ones(core.hierarchy.n_rigid)
    assert_array_equal(apply_cycle(updated, b, m), apply_cycle(network_core(other), b, m))
    assert_array_equal(apply_cycle(core, b, m), before)


@pytest.mark.usefixtures("many_levels")
def test_parts_too_many_to_aggregate_have_geometric_grids(monkeypatch):
    problem = random_problem(2, (9, 5, 7))
    lattice = problem.lattice
    assert lattice is not None
    core = network_core(problem)
    monkeypatch.setattr(aggregation, "TOO_DENSE", 5)

    assert network_core(problem).hierarchy.blocks is None
    other = core.with_material(material_of(problem.elasticity, plane_order(lattice.cell_index)))
    assert other.hierarchy.blocks is None
    b, m = np.random.default_rng(1).standard_normal(problem.points.size), np.ones(core.hierarchy.n_rigid)
    assert_array_equal(apply_cycle(other, b, m), apply_cycle(network_core(problem, coarsening="geometric"), b, m))


@pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2, reason="one core: nothing to compare")
def test_network_has_the_same_bits_on_one_and_two_threads(monkeypatch):
    monkeypatch.setattr(aggregation, "MAX_DENSE", 40)
    monkeypatch.setattr(threads, "SERIAL_LIMIT", 0)
    problem = random_problem(2, (14, 9, 11))
    b = np.random.default_rng(3).standard_normal(problem.points.size)
    results, slabs = [], []
    for n_threads in (1, 2):
        with kernel_threads(n_threads):
            core = network_core(problem, n_threads)
            assert core.hierarchy.blocks is not None
            slabs.append([len(level.slabs) for level in core.hierarchy.blocks.levels[:2]])
            results.append(apply_cycle(core, b, np.ones(core.hierarchy.n_rigid)))

    assert slabs == [[1, 1], [2, 2]]
    assert_array_equal(*results)


def strut_network(n: int = 48, fill: float = 0.17, seed: int = 3) -> NDArray[np.bool_]:
    """Struts along the lines where two smooth random fields vanish, some four cells thick."""
    rng = np.random.default_rng(seed)
    a, b = (gaussian_filter(rng.standard_normal((n, n, n)), 3.5, mode="wrap") for _ in range(2))
    g = (a / a.std()) ** 2 + (b / b.std()) ** 2
    return largest_part(g < np.quantile(g, fill))


def compressed(active: NDArray[np.bool_]) -> VoxelSystem:
    """10 GPa, both ends held, shortened by 1 %."""
    grid = tuple(n + 1 for n in active.shape)
    ends = np.zeros((2, *grid), dtype=bool)
    ends[0, :, :, 0] = ends[1, :, :, -1] = True
    height = 0.01 * active.shape[2]
    fixed = [Fixed(ends[0]), Fixed(ends[1], "xy"), Fixed(ends[1], "z", -height)]
    return prepare_voxels(1e4 * active, 0.3, 1.0, fixed=fixed, integration="full", threads=1)


def between_pads(active: NDArray[np.bool_]) -> VoxelSystem:
    """The same network under a tilting pad with a force."""
    grid = tuple(n + 1 for n in active.shape)
    ends = np.zeros((2, *grid), dtype=bool)
    ends[0, :, :, 0] = ends[1, :, :, -1] = True
    pads = [
        Pad("bottom", ends[0]),
        Pad("top", ends[1], fixed=("ux", "uy", "rz"), force_n=(0, 0, -100.0), moment_nmm=(500.0, 0, 0)),
    ]
    return prepare_voxels(1e4 * active, 0.3, 1.0, pads=pads, threads=1)


@pytest.mark.parametrize(("make", "limit"), [(compressed, 24), (between_pads, 36)])
def test_a_network_converges_in_less_than_half_of_the_geometric_iterations(monkeypatch, make, limit):
    """18 and 29 iterations when this was written; geometric coarse grids take 94 and 128."""
    active = strut_network()
    assert 15_000 < active.sum() < 25_000

    system = make(active)
    solution = system.solve(rtol=1e-6)

    assert system._core.hierarchy.blocks is not None
    assert solution.iterations <= limit
    monkeypatch.setattr(voxel_hierarchy, "is_network", lambda *_: False)
    other = make(active).solve(rtol=1e-6)
    assert 2 * solution.iterations < other.iterations
    # At 1e-6 loose ends of struts still differ by 2e-3 of the largest displacement.
    u, v = system.solve(rtol=1e-9).displacement, make(active).solve(rtol=1e-9).displacement
    assert_allclose(u, v, rtol=0, atol=1e-5 * np.nanmax(np.abs(v)))


def n_nodes(active: NDArray[np.bool_]) -> int:
    """Nodes of the cells."""
    return number_nodes(active)[0].count


def test_networks_are_told_from_solids():
    network, block = strut_network(), np.ones((20, 21, 22), dtype=bool)
    x, y, z = np.indices((40, 40, 30)) - np.array([19.5, 19.5, 14.5])[:, None, None, None]
    vertebra = (x / 19) ** 2 + (y / 15) ** 2 + (z / 40) ** 2 < 1
    assert is_network(network, n_nodes(network))
    assert not is_network(network[:10, :10, :10], n_nodes(network[:10, :10, :10]))  # too small to matter
    for solid in (block, vertebra):
        assert not is_network(solid, n_nodes(solid))
