"""Free motions of a set of bodies, against the null space of all equations at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fesolver.fem.constraints import rigid_modes
from fesolver.fem.problem import LinearTie
from fesolver.fem.rigid_motions import MotionEquations, free_motions, participation


def null_space(rows: np.ndarray) -> np.ndarray:
    """Orthonormal columns that the rows map to zero."""
    _, values, vectors = np.linalg.svd(np.vstack([rows, np.zeros((rows.shape[1],) * 2)]))
    return vectors[np.flatnonzero(values < 1e-6)].T


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 7), n_joins=st.integers(0, 14), n_holds=st.integers(0, 12),
    n_ties=st.integers(0, 5), n_fixed=st.integers(0, 2),
)  # fmt: skip
def test_free_motions_are_the_null_space_whatever_is_joined_to_what(seed, n, n_joins, n_holds, n_ties, n_fixed):
    """Joins, ties and holds at random, in rings too, where a sign can show; one to three points to a join."""
    rng = np.random.default_rng(seed)
    low, high = np.array([-3.0, 2.0, 5.0]), np.array([7.0, 6.0, 6.0])
    equations = MotionEquations(n, low, high)
    scale = np.array([1, 1, 1, 10.0, 10.0, 10.0])
    rows = []

    def on_grid(k: int) -> np.ndarray:
        return low + rng.integers(0, 2 * (high - low).astype(int) + 1, (k, 3)) / 2  # nothing is held by a hair

    def modes(points: np.ndarray) -> np.ndarray:
        return rigid_modes(points, (low + high) / 2) / scale

    def add(*entries: tuple[int, np.ndarray]) -> None:
        row = np.zeros((n, 6))
        for owner, values in entries:
            row[owner] += values
        rows.append(row.ravel())

    joins = [rng.permutation(n)[:2] for _ in range(n_joins if n > 1 else 0)]
    left, right = np.repeat(np.reshape(joins, (-1, 2)).astype(np.int64), rng.integers(1, 4, len(joins)), axis=0).T
    points = on_grid(len(left))
    equations.join(points, left, right)
    for a, b, M in zip(left, right, modes(points), strict=True):
        for component in range(3):
            add((a, M[component]), (b, -M[component]))
    points, owners, components = (
        on_grid(n_holds),
        rng.integers(0, n, n_holds),
        rng.integers(0, 3, n_holds),
    )
    equations.hold(points, owners, components)
    for owner, component, M in zip(owners, components, modes(points), strict=True):
        add((owner, M[component]))
    for owner in rng.integers(0, n, n_fixed):
        reference, is_fixed = on_grid(1)[0], rng.random(6) < 0.5
        equations.fix(owner, reference, is_fixed)
        motion = np.vstack([modes(reference[None])[0], np.eye(6)[3:]])
        for held in motion[is_fixed]:
            add((owner, held))
    ties = [
        LinearTie(int(rng.integers(99)), rng.integers(0, 99, k := int(rng.integers(1, 4))), rng.normal(size=k))
        for _ in range(n_ties)
    ]
    if ties:
        dofs = np.concatenate([[tie.dof, *tie.masters] for tie in ties])
        points, owners = on_grid(len(dofs)), rng.integers(0, n, len(dofs))
        equations.tie(ties, points, owners)
        M = modes(points)[np.arange(len(dofs)), dofs % 3]
        at = 0
        for tie in ties:
            here = slice(at, at := at + 1 + len(tie.masters))
            add(*zip(owners[here], np.concatenate([[1.0], -tie.weights])[:, None] * M[here], strict=True))

    C = np.array(rows).reshape(-1, 6 * n)
    motions = free_motions(equations)

    basis = null_space(C)
    assert motions.shape == (n, 6, basis.shape[1])
    size = np.linalg.norm(motions.reshape(6 * n, -1), axis=0)
    assert_allclose(C @ motions.reshape(6 * n, -1) / size, 0.0, atol=1e-8)
    expected = np.linalg.norm(basis.reshape(n, 6, -1), axis=(1, 2))
    assert_allclose(participation(motions), expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_a_crumb_in_a_large_box_loses_no_free_motion(seed):
    """One cell among 5000 hangs on its neighbours by hinges of length 1: held to 2e-4, not to round-off over that."""
    corner = np.random.default_rng(seed).integers(0, 5000, 3).astype(float)
    equations = MotionEquations(3, np.zeros(3), np.full(3, 5000.0))
    hinges = corner + np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]])
    equations.join(hinges, np.array([0, 0, 0, 0]), np.array([1, 1, 2, 2]))
    far = np.array([[0, 0, 0], [5000, 0, 0], [0, 5000, 0], [0, 0, 5000.0]])
    equations.hold(np.repeat(far, 3, axis=0), np.full(12, 1), np.tile(np.arange(3), 4))

    motions = free_motions(equations)

    assert motions.shape == (3, 6, 2)  # the crumb turns about one hinge, the last body about the other too
    assert_allclose(motions[1], 0.0, atol=1e-9)
