"""Strands: laws at and between their breaks, rows that rigid motions do not stretch, forces in balance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from solid_meshes import solid_box

from fesolver.connections.strands import StrandLaw, spring_law, strand_law, strand_lengths, strands
from fesolver.errors import InputError
from fesolver.fem.attachments import Attachment, couple, embed
from fesolver.fem.connections import check_connections, law_force
from fesolver.fem.problem import Connections, Elasticity, Problem

SIZE = (4.0, 3.0, 5.0)
GRADIENT = np.array([[0.011, -0.007, 0.004], [0.009, 0.013, -0.002], [-0.005, 0.006, 0.008]])  # not symmetric


def force(law: StrandLaw, elongation: float) -> float:
    return float(law_force(law.breaks, law.stiffness, law.force_at_break, np.array([elongation]))[0])


def elongation(rows: Connections, u: np.ndarray) -> np.ndarray:
    return np.add.reduceat(np.sum(rows.weights * u[rows.points], axis=1), rows.starts[:-1])


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, Connections, np.ndarray]:
    """Three strands in a distorted box: across cells, within one cell, and from a cell to a place behind a patch."""
    points, cells = solid_box("hex20", size=SIZE, distortion=0.2, curved=0.05, seed=3)
    inside = embed(points, cells, "hex20", [[0.3, 0.4, 0.5], [0.2, 0.3, 0.4], [3.5, 2.5, 4.5], [0.9, 0.7, 0.6]])
    patch = np.flatnonzero(points[:, 2] == 0.0)
    behind = couple(points, cells, "hex20", patch, [1.0, 2.0, -4.0])
    starts, ends = [inside[0], inside[1], inside[2]], [inside[2], inside[3], behind]
    law = strand_law(strand_lengths(starts, ends), 2.0, young_mpa=(10.0, 20.0), switch_strain=0.1)
    ends_at = np.array([[a.at, b.at] for a, b in zip(starts, ends, strict=True)])
    return points, cells, strands("L1-L2/test", starts, ends, law), ends_at


@pytest.mark.parametrize("prestrain", [0.0, 0.03, -0.02])
def test_the_law_is_the_bilinear_one_at_between_and_beyond_its_breaks(prestrain):
    L, A, E1, E2, switch = 20.0, 40.0, 15.0, 19.0, 0.062
    law = strand_law(L, A, young_mpa=(E1, E2), switch_strain=switch, prestrain=prestrain)

    for strain in (-0.05, 0.0, 0.01, 0.03, switch, 0.07, 0.2):
        exact = A * (E1 * min(strain, switch) + E2 * max(strain - switch, 0.0)) if strain > 0.0 else 0.0
        assert force(law, (strain - prestrain) * L) == pytest.approx(exact, rel=1e-12, abs=1e-10)


def test_a_prestrained_strand_pulls_in_the_reference_shape_and_a_slack_one_does_not():
    taut, slack = (
        strand_law(20.0, 40.0, young_mpa=(15.0, 19.0), switch_strain=0.062, prestrain=p) for p in (0.03, -0.03)
    )

    assert force(taut, 0.0) == pytest.approx(18.0)  # 40 mm2 * 15 MPa * 0.03
    assert force(slack, 0.0) == 0.0
    assert force(slack, 0.6) == pytest.approx(0.0, abs=1e-12)
    assert force(slack, 0.61) > 0.0


def test_a_spring_has_its_stiffness_whatever_its_length():
    for length in (5.0, 50.0):
        law = spring_law(length, 8.74, prestrain=0.01)
        assert force(law, 1.0) - force(law, 0.0) == pytest.approx(8.74)
        assert force(law, 0.0) == pytest.approx(8.74 * 0.01 * length)
        assert force(law, -0.011 * length) == 0.0


def test_rigid_motions_do_not_stretch_a_strand(rows):
    points, _, connections, _ = rows
    rng = np.random.default_rng(1)
    for _ in range(6):
        u = rng.normal(size=3) + np.cross(rng.normal(size=3), points)
        # 1e-12: round-off of displacements of about 10 mm by weights of about 1
        assert_allclose(elongation(connections, u), 0.0, atol=1e-12 * np.abs(u).max())


def test_a_linear_field_stretches_strands_between_cells_by_the_distance_it_adds(rows):
    points, _, connections, ends = rows
    u = points @ GRADIENT.T

    along = ends[:, 1] - ends[:, 0]
    exact = np.einsum("mi,ij,mj->m", along, GRADIENT, along) / np.linalg.norm(along, axis=1)
    assert_allclose(elongation(connections, u)[:2], exact[:2], rtol=0, atol=1e-13)


def test_the_forces_of_a_strand_balance_and_pull_its_ends_together(rows):
    points, cells, connections, ends = rows

    for i in range(connections.count):
        own = slice(*connections.starts[i : i + 2])
        f, at = connections.weights[own], points[connections.points[own]]
        assert_allclose(f.sum(axis=0), 0.0, atol=1e-13)
        assert_allclose(np.cross(at, f).sum(axis=0), 0.0, atol=1e-12)
    # Tension is positive: the elongation grows as the end moves away from the start.
    own = slice(*connections.starts[:2])
    away = ends[0, 1] - ends[0, 0]
    (end,) = embed(points, cells, "hex20", ends[0, 1])
    at_end = connections.owners[own] == end.owners[0]
    assert_allclose(connections.weights[own][at_end].sum(axis=0), away / np.linalg.norm(away), atol=1e-13)


def test_entries_of_one_point_and_owner_are_one(rows):
    _, cells, connections, _ = rows
    for i in range(connections.count):
        own = slice(*connections.starts[i : i + 2])
        pairs = np.stack([connections.points[own], connections.owners[own]], axis=1)
        assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert connections.starts[2] - connections.starts[1] == cells.shape[1]  # the strand within one cell


def test_a_problem_takes_strands(rows):
    points, cells, connections, _ = rows
    elasticity = Elasticity(np.full(len(cells), 1.0), np.full(len(cells), 0.3))
    check_connections(Problem(points, cells, elasticity, element="hex20", connections=(connections,)))


def test_bad_strands_are_refused_with_one_clear_message(rows):
    points, cells, _, _ = rows
    (a,) = embed(points, cells, "hex20", [1.0, 1.0, 1.0])
    nothing = Attachment(np.array([5.0, 0.0, 0.0]), np.zeros(0, np.int64), np.zeros((0, 3, 3)), np.zeros(0, np.int64))
    good = {"young_mpa": (10.0, 20.0), "switch_strain": 0.1}
    law = strand_law(1.0, 2.0, **good)

    with pytest.raises(InputError, match="no length"):
        strands("L1-L2/capsular", [a], [a], law)
    with pytest.raises(InputError, match=r"attached to nothing[\s\S]*L1-L2/capsular"):
        strands("L1-L2/capsular", [a], [nothing], law)
    with pytest.raises(InputError, match="do not make strands"):
        strands("L1-L2/capsular", [], [], law)
    for change in (
        {"young_mpa": (-1.0, 20.0)}, {"young_mpa": (1.0, np.nan)}, {"switch_strain": 0.0}, {"switch_strain": -0.1},
        {"prestrain": 1.0}, {"prestrain": -1.0}, {"prestrain": np.nan},
    ):  # fmt: skip
        with pytest.raises(InputError, match="of a strand"):
            strand_law(1.0, 2.0, **{**good, **change})
    with pytest.raises(InputError, match="an area of a strand is -2 mm2"):
        strand_law(1.0, -2.0, **good)
    with pytest.raises(InputError, match="no length"):
        strand_law(0.0, 2.0, **good)
    with pytest.raises(InputError, match="stiffness of a strand"):
        spring_law(1.0, -2.0)
