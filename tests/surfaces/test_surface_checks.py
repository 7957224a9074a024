"""What checks of surfaces find: every kind of fault, with its number and place, and nothing on sound surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from surface_shapes import blocks, box, bumpy_torus, joined, moved, torus, turned, without

from fesolver.surfaces.checks import check_surface
from fesolver.surfaces.intersections import self_intersections
from fesolver.surfaces.io import read_surface
from fesolver.surfaces.measures import is_inside_shell, triangle_quality
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.topology import boundary_loops, edges_of, merge_points


def kinds(surface: TriangleSurface) -> set[str]:
    """Kinds of what is found."""
    return {finding.kind for finding in check_surface(surface, name="x").findings}


def found(surface: TriangleSurface, kind: str):
    """The finding of a kind, which must be there."""
    finding = check_surface(surface, name="x").finding(kind)
    assert finding is not None
    return finding


def test_a_box_has_its_volume_area_and_no_handle():
    report = check_surface(box(4, 6.0), name="box")

    assert report.findings == ()
    assert report.is_valid
    assert (report.genus, report.n_shells, report.n_points, report.n_triangles) == (0, 1, 98, 192)
    assert_allclose([report.volume_mm3, report.area_mm2], [24.0**3, 6 * 24.0**2], rtol=1e-14)
    assert_allclose(report.edge_mm, [6.0, 6.0, 6.0 * np.sqrt(2)], rtol=1e-15)


def test_a_torus_has_one_handle_and_a_figure_of_eight_two():
    eight = np.ones((5, 3, 1))
    eight[[1, 3], 1] = 0

    assert check_surface(bumpy_torus(), name="ring").findings == ()
    assert check_surface(bumpy_torus(), name="ring").genus == 1
    assert check_surface(blocks(eight), name="eight").genus == 2
    assert found(blocks(eight), "handles").count == 2
    assert check_surface(blocks(eight), name="eight").is_valid


def test_openings_are_counted_with_the_length_and_place_of_the_longest():
    surface = box(4, 6.0)
    away = [k for k, c in enumerate(surface.centers) if np.allclose(c[2], 24) and np.all((c[:2] > 6) & (c[:2] < 18))]
    below = [k for k, c in enumerate(surface.centers) if np.allclose(c[2], 0) and np.all((c[:2] > 6) & (c[:2] < 12))]
    finding = found(without(surface, *away, *below), "open")

    assert (len(away), len(below)) == (8, 2)
    assert finding.count == 2
    assert_allclose(finding.place_mm, [12, 12, 24])
    assert "12 edges in all, the longest 48.0 mm around" in finding.message
    assert check_surface(without(surface, *away), name="x").genus is None


def test_two_openings_that_meet_in_a_point_are_two_loops():
    surface = box(4, 6.0)
    squares = [
        k for k, c in enumerate(surface.centers)
        if np.allclose(c[2], 24) and (np.all((c[:2] > 6) & (c[:2] < 12)) or np.all((c[:2] > 12) & (c[:2] < 18)))
    ]  # fmt: skip
    loops = boundary_loops(without(surface, *squares).triangles)

    assert sorted(len(loop) for loop in loops) == [4, 4]
    assert all(len(np.unique(loop)) == 4 for loop in loops)


def test_loops_run_in_the_direction_of_the_triangles_taken_out():
    surface = bumpy_torus()
    (loop,) = boundary_loops(without(surface, 7).triangles)

    at = int(np.flatnonzero(loop == surface.triangles[7, 0])[0])
    assert_array_equal(np.roll(loop, -at), surface.triangles[7])


def test_an_edge_of_four_triangles_and_an_edge_of_three_are_found():
    along_an_edge = blocks(np.array([[[1], [0]], [[0], [1]]]))
    surface = bumpy_torus()
    a, b = surface.triangles[0, :2]
    fin = TriangleSurface(
        np.vstack([surface.points, surface.points[[a, b]].mean(axis=0) * 1.2]),
        np.vstack([surface.triangles, [a, b, len(surface.points)]]),
    )

    assert found(along_an_edge, "non_manifold").count == 1
    assert_allclose(found(along_an_edge, "non_manifold").place_mm, [6, 6, 3])
    assert found(fin, "non_manifold").count == 1
    assert_allclose(found(fin, "non_manifold").place_mm, surface.points[[a, b]].mean(axis=0))


def test_parts_that_touch_in_a_point_are_found_there():
    corner_to_corner = np.zeros((2, 2, 2))
    corner_to_corner[0, 0, 0] = corner_to_corner[1, 1, 1] = 1
    finding = found(blocks(corner_to_corner), "pinched")

    assert finding.count == 1
    assert_allclose(finding.place_mm, [6, 6, 6])


def test_triangles_that_face_the_other_way_are_counted_and_those_that_all_do_face_inward():
    surface = bumpy_torus()

    assert found(turned(surface, [3, 4, 90]), "orientation").count == 3
    assert_allclose(found(turned(surface, [3, 4, 90]), "orientation").place_mm, surface.centers[3])
    assert kinds(turned(surface)) == {"inward"}
    assert kinds(turned(surface, [3, 4, 90])) == {"orientation"}


def test_a_strip_with_one_side_is_called_that():
    n = 9
    ids = np.arange(2 * n).reshape(n, 2)
    following = np.vstack([ids[1:], ids[:1, ::-1]])
    strip = np.concatenate([np.stack([ids[:, 0], following[:, 0], ids[:, 1]], 1),
                            np.stack([ids[:, 1], following[:, 0], following[:, 1]], 1)])  # fmt: skip
    angle = 2 * np.pi * np.arange(n) / n
    middle = 20 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    half = 4 * np.stack([np.cos(angle / 2) * np.cos(angle), np.cos(angle / 2) * np.sin(angle), np.sin(angle / 2)], 1)
    points = np.stack([middle - half, middle + half], axis=1).reshape(-1, 3)

    assert found(TriangleSurface(points, strip), "one_sided").count == 2 * n


def test_flat_copied_and_unused_things_are_counted():
    surface = bumpy_torus()
    a, b, c = surface.triangles[0]
    middle = surface.points[[a, b]].mean(axis=0)
    n = len(surface.points)
    points = np.vstack([surface.points, middle, surface.points[c], [[0, 0, 0]]])
    triangles = np.vstack([surface.triangles[1:], [a, n, c], [n, b, n + 1], [a, b, n], surface.triangles[5]])
    odd = TriangleSurface(points, triangles)

    assert found(odd, "degenerate").count == 1
    assert found(odd, "duplicate_triangle").count == 1
    assert_allclose(found(odd, "duplicate_triangle").place_mm, surface.centers[5])
    assert found(odd, "duplicate_point").count == 1
    assert found(odd, "unreferenced_point").count == 1


def test_small_pieces_hollows_and_second_bodies_are_told_apart():
    surface = box(4, 6.0)
    crumb = moved(box(1, 3.0), [40, 0, 0])
    inner = turned(moved(box(2, 5.0), [6.5, 7, 7.5]))
    other = moved(box(2, 6.0), [40, 0, 0])

    assert kinds(joined(surface, crumb)) == {"crumb"}
    assert_allclose(found(joined(surface, crumb), "crumb").place_mm, [41.5, 1.5, 1.5])
    assert kinds(joined(surface, inner)) == {"cavity"}
    assert "1000 mm3" in found(joined(surface, inner), "cavity").message
    assert kinds(joined(surface, other)) == {"shells"}
    assert check_surface(joined(surface, inner, other), name="x").n_shells == 3
    assert "27 mm3" not in found(joined(surface, crumb), "crumb").message  # two decimals
    assert "27.00 mm3" in found(joined(surface, crumb), "crumb").message


def test_crumbs_are_told_by_size_whichever_way_triangles_face():
    surface = joined(turned(box(4, 6.0), np.arange(0, 192, 2)), moved(box(1, 3.0), [40, 0, 0]))

    assert kinds(surface) == {"orientation", "crumb"}


def test_the_inside_of_a_torus_is_its_tube_and_not_its_canal():
    surface = bumpy_torus()
    every = np.ones(len(surface.triangles), bool)

    assert is_inside_shell(surface, every, np.array([20.0, 0, 0]))
    assert not is_inside_shell(surface, every, np.zeros(3))
    assert not is_inside_shell(surface, every, np.array([20.0, 0, 9]))


def test_quality_is_one_of_an_equilateral_triangle_and_known_of_others():
    points = np.array([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 1, 0], [2, 0, 0]])
    surface = TriangleSurface(points, np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))

    # Right and isosceles: 4 sqrt(3) 0.5 / (1 + 1 + 2).
    assert_allclose(triangle_quality(surface), [1.0, np.sqrt(3) / 2, 0.0], atol=1e-15)


def test_a_sliver_is_listed_and_no_fault():
    surface = box(2, 12.0)
    top = np.flatnonzero(np.isclose(surface.points, [12, 12, 24]).all(axis=1))
    points = surface.points.copy()
    points[top, 0] = 23.99
    report = check_surface(TriangleSurface(points, surface.triangles), name="x")

    assert {f.kind for f in report.findings} == {"quality"}
    assert report.is_valid


def separated(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether pairs of convex triangles (k, 3, 3) have a plane between them; every candidate tried, in integers."""
    e, f = np.roll(first, -1, 1) - first, np.roll(second, -1, 1) - second
    n, m = np.cross(e[:, 0], e[:, 1])[:, None], np.cross(f[:, 0], f[:, 1])[:, None]
    across = np.cross(e[:, :, None], f[:, None]).reshape(len(e), 9, 3)
    axes = np.concatenate([n, m, across, np.cross(n, e), np.cross(m, f), np.cross(n, f), np.cross(m, e)], axis=1)
    a, b = np.einsum("kij,klj->kil", axes, first), np.einsum("kij,klj->kil", axes, second)
    return np.any((a.max(2) < b.min(2)) | (b.max(2) < a.min(2)), axis=1)


def expected_meetings(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Pairs of triangles with areas that meet beyond what they have in common, by separating planes."""
    x = points[triangles]
    solid = np.any(np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]) != 0, axis=1)
    pairs = np.argwhere(np.triu(solid[:, None] & solid, 1))
    common = np.any(triangles[pairs[:, 0], :, None] == triangles[pairs[:, 1], None], axis=2)
    n = common.sum(axis=1)
    meet = (n == 0) & ~separated(x[pairs[:, 0]], x[pairs[:, 1]])
    for k in np.flatnonzero((n == 1) | (n == 2)):
        s, t = pairs[k]
        shared = points[triangles[s][common[k]]]
        free = [points[np.setdiff1d(triangles[u], triangles[v])] for u, v in ((s, t), (t, s))]
        if n[k] == 2:
            f, g = (np.cross(shared[1] - shared[0], side[0] - shared[0]) for side in free)
            meet[k] = not np.any(np.cross(f, g)) and f @ g > 0
        else:
            f, g = (side[[0, 1, 1]][None] for side in free)
            meet[k] = not (separated(f, x[[t]])[0] and separated(g, x[[s]])[0])
    return pairs[meet]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_meeting_triangles_are_those_without_a_plane_between_them(seed):
    """On a lattice of 4 x 4 x 4 places nearly every pair is a special case: common corners, edges, planes, touching."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 4, (120, 3))
    places[:2] = [0, 0, 0], [3, 3, 3]  # the lattice falls on the kernel's own: 2^20 - 1 is a multiple of 3
    triangles = rng.integers(0, 120, (70, 3))
    triangles[0] = 0, 1, 2
    unique, number = np.unique(places, axis=0, return_inverse=True)
    expected = expected_meetings(unique, number.reshape(-1)[triangles])

    pairs = self_intersections(TriangleSurface(places.astype(float), triangles))

    assert len(expected) > 100
    assert_array_equal(pairs, expected)


def test_neighbours_on_flat_and_bent_surfaces_do_not_count_as_meeting():
    for surface in (box(5, 4.0), box(1, 20.0), torus(), blocks(np.ones((5, 3, 1)))):
        assert len(self_intersections(surface)) == 0


def test_a_fold_a_touch_and_a_crossing_are_each_found_and_a_gap_is_not():
    flat = np.array([[0, 0, 0], [30, 0, 0], [0, 30, 0], [9, 9, 0]], float)
    fold = TriangleSurface(flat, np.array([[0, 1, 2], [1, 0, 3]]))
    bent = TriangleSurface(np.vstack([flat[:3], [9, 9, 0.01]]), fold.triangles)
    far = np.array([[9, 9, 0], [9, 9, 20], [12, 9, 20]], float)

    def against(lift: float) -> TriangleSurface:
        return TriangleSurface(np.vstack([flat[:3], far + np.array([0, 0, lift])]), np.array([[0, 1, 2], [3, 4, 5]]))

    assert len(self_intersections(fold)) == 1
    assert len(self_intersections(bent)) == 0
    assert len(self_intersections(against(0.0))) == 1
    assert len(self_intersections(against(-1.0))) == 1
    assert len(self_intersections(against(1e-3))) == 0


def test_boxes_that_overlap_are_found_at_their_overlap():
    surface = joined(box(2, 10.0), moved(box(2, 10.0), [13, 14, 15.5]))
    finding = found(surface, "self_intersection")

    assert "shells" in kinds(surface)
    assert np.all(np.array(finding.place_mm) > 5)
    assert np.all(np.array(finding.place_mm) < 30)


def test_points_within_the_tolerance_become_the_first_of_them():
    points = np.array([[0, 0, 0], [5, 0, 0], [0, 0, 0.9], [9, 0, 0], [0, 0, 1.8]], float)
    merged, number = merge_points(points, 1.0)

    assert_array_equal(merged, points[[0, 1, 3]])  # the last hangs on by the third
    assert number.tolist() == [0, 1, 0, 2, 0]


def test_edges_know_their_triangles_and_directions():
    edges = edges_of(np.array([[0, 1, 2], [2, 1, 3], [1, 2, 4]]))
    shared = int(np.flatnonzero((edges.points == [1, 2]).all(axis=1))[0])

    assert edges.n_triangles[shared] == 3
    assert len(edges.pairs().edge) == 0
    assert edges_of(np.array([[0, 1, 2], [2, 1, 3]])).pairs().is_consistent.tolist() == [True]
    assert edges_of(np.array([[0, 1, 2], [1, 2, 3]])).pairs().is_consistent.tolist() == [False]


def test_a_surface_without_triangles_is_called_empty():
    assert kinds(TriangleSurface(np.zeros((0, 3)), np.zeros((0, 3), np.int64))) == {"empty"}


@pytest.mark.data
@pytest.mark.parametrize("level", ["L1", "L2", "L3", "L4", "L5"])
def test_the_shared_surfaces_are_closed_rings_that_meet_themselves_nowhere(data_dir, level):
    surface = read_surface(data_dir / "surfaces_L1_L5" / f"{level}.ply", axes="ALS", unit="mm")
    report = check_surface(surface, name=level)

    assert report.findings == ()
    assert report.genus == 1
    # A lumbar vertebra with its processes; LPS: processes behind, at larger y.
    assert 60e3 < report.volume_mm3 < 90e3
    widths = np.ptp(surface.points, axis=0)
    assert widths[1] > widths[2]
