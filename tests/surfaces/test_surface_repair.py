"""Repair of surfaces: what is mended gives the sound surface back, the rest is refused with its place."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from surface_shapes import blocks, box, bumpy_torus, joined, moved, turned, without

from fesolver.errors import InputError
from fesolver.surfaces.checks import check_surface
from fesolver.surfaces.holes import fill_loop
from fesolver.surfaces.io import read_surface
from fesolver.surfaces.measures import loop_length, triangle_quality
from fesolver.surfaces.repair import MAX_MOVE_MM, repair_surface, require_valid
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.topology import boundary_loops
from fesolver.surfaces.untangle import relax_intersections

SOUND = bumpy_torus(n=60, m=30)
"""Edges of 1 to 3 mm, as scanner surfaces have them."""


def with_copies_of_points(surface: TriangleSurface) -> TriangleSurface:
    """Three points of its own for every triangle, as STL files have."""
    points = surface.points[surface.triangles].reshape(-1, 3)
    return TriangleSurface(points, np.arange(len(points)).reshape(-1, 3))


def with_flat_triangle(surface: TriangleSurface) -> TriangleSurface:
    """A point in the middle of a side, known to one of its triangles only; a flat triangle between the two."""
    a, b, c = surface.triangles[0]
    n = len(surface.points)
    points = np.vstack([surface.points, surface.points[[a, b]].mean(axis=0)])
    return TriangleSurface(points, np.vstack([surface.triangles[1:], [a, n, c], [n, b, c], [a, b, n]]))


def with_flap(surface: TriangleSurface) -> TriangleSurface:
    """Two copies of one new triangle, back to back, on one edge."""
    a, b, _ = surface.triangles[0]
    n = len(surface.points)
    points = np.vstack([surface.points, surface.points[a] * 1.1])
    return TriangleSurface(points, np.vstack([surface.triangles, [a, b, n], [b, a, n]]))


def with_fin(surface: TriangleSurface) -> TriangleSurface:
    """One new triangle standing on an edge."""
    return without(with_flap(surface), len(surface.triangles))


FAULTS = {
    "points in one place": (with_copies_of_points(SOUND), "merged"),
    "a flat triangle": (with_flat_triangle(SOUND), "1 triangles without area removed"),
    "a triangle with a corner twice": (
        TriangleSurface(SOUND.points, np.vstack([SOUND.triangles, [5, 5, 6]])), "1 triangles without area removed"),
    "a triangle twice": (
        TriangleSurface(SOUND.points, np.vstack([SOUND.triangles, SOUND.triangles[9]])), "in the place of"),
    "a triangle and its back": (
        TriangleSurface(SOUND.points, np.vstack([SOUND.triangles, SOUND.triangles[[9], ::-1]])), "in the place of"),
    "a flap": (with_flap(SOUND), "removed"),
    "a fin": (with_fin(SOUND), "1 pieces under 1 %"),
    "some turned over": (turned(SOUND, [1, 2, 30]), "3 triangles turned over to agree"),
    "all turned over": (turned(SOUND), "normals pointed inward"),
    "crumbs": (joined(moved(box(1, 2.0), [40, 0, 0]), SOUND, moved(box(1, 1.0), [0, 0, 20])), "2 pieces under 1 %"),
    "a small hollow": (joined(SOUND, turned(moved(box(1, 2.0), [19, 0, 0]))), "1 pieces under 1 %"),
    "free points": (TriangleSurface(np.vstack([[[0, 0, 90.0]], SOUND.points]), SOUND.triangles + 1), "1 points of no"),
    "an opening": (without(SOUND, 400), "1 openings filled"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mended_fault_leaves_the_sound_surface(fault):
    surface, words = FAULTS[fault]
    assert not check_surface(surface, name="L1").is_valid

    mended, report = require_valid(surface, "L1")

    assert report.is_valid
    assert any(words in text for text in report.repairs)
    assert report.genus == 1
    assert mended.volume == pytest.approx(SOUND.volume, rel=1e-12)
    assert mended.areas.sum() == pytest.approx(SOUND.areas.sum(), rel=1e-12)
    assert_array_equal(repair_surface(mended)[0].triangles, mended.triangles)
    assert repair_surface(mended)[1] == ()


def test_many_faults_at_once_are_mended_and_each_is_told():
    surface = with_fin(with_flat_triangle(turned(without(SOUND, 400, 900), [1, 2, 30])))
    surface = with_copies_of_points(turned(joined(surface, moved(box(1, 2.0), [40, 0, 0]))))

    mended, report = require_valid(surface, "L1")

    assert mended.volume == pytest.approx(SOUND.volume, rel=1e-12)
    told = " ".join(report.repairs)
    for words in ("merged", "without area", "agree", "2 pieces under", "2 openings", "pointed inward"):
        assert words in told
    assert report.describe().count("done:") == len(report.repairs)


def test_a_sound_surface_comes_back_as_it_is():
    surface, report = require_valid(SOUND, "L1")

    assert surface is SOUND
    assert report.repairs == ()
    assert report.findings == ()


def test_a_chain_of_points_on_one_edge_becomes_corners_of_what_lies_across():
    surface = box(1, 24.0)
    a, b = 0, int(np.flatnonzero((surface.points == [24, 0, 0]).all(axis=1))[0])
    first = next(k for k, t in enumerate(surface.triangles) if {a, b} <= set(t.tolist()))
    t = surface.triangles[first]
    k = next(k for k in range(3) if {t[k], t[(k + 1) % 3]} == {a, b})
    p, q, tip = np.roll(t, -k)
    n = len(surface.points)
    steps = np.linspace(surface.points[p], surface.points[q], 5)[1:-1]
    fan = [[u, v, tip] for u, v in zip([p, n, n + 1, n + 2], [n, n + 1, n + 2, q], strict=True)]
    flat = [[p, q, n], [n, q, n + 1], [n + 1, q, n + 2]]
    triangles = np.vstack([np.delete(surface.triangles, first, axis=0), fan, flat])
    odd = TriangleSurface(np.vstack([surface.points, steps]), triangles)

    mended, report = require_valid(odd, "box")

    assert "3 triangles without area removed" in report.repairs
    assert mended.volume == pytest.approx(24.0**3, rel=1e-14)
    assert report.n_triangles == 18  # 12, and two more for each of three points


def test_a_doubled_wall_inside_goes_whole():
    points = np.array([[0, 0, 0], [20, 0, 0], [0, 20, 0], [5, 5, 18], [5, 5, -18]], float)
    outside = [[0, 1, 3], [1, 2, 3], [2, 0, 3], [1, 0, 4], [2, 1, 4], [0, 2, 4]]
    wall = [[0, 1, 2], [0, 2, 1]]

    mended, report = require_valid(TriangleSurface(points, np.array(outside + wall)), "two tetrahedra")

    assert report.repairs == ("2 triangles in the place of others removed",)
    assert mended.triangles.tolist() == outside
    assert mended.volume == pytest.approx(200.0 * 36.0 / 3.0, rel=1e-14)


def test_a_flat_opening_is_filled_flat_and_well_shaped():
    surface = box(8, 3.0)
    middle = np.array([12, 12, 24])
    gone = np.flatnonzero(np.linalg.norm(surface.centers - middle, axis=1) < 2.5)
    open_one = without(surface, *gone)
    (loop,) = boundary_loops(open_one.triangles)

    mended, report = require_valid(open_one, "box", max_hole_mm=loop_length(surface.points, loop) + 0.01)

    assert len(gone) == 6 or len(gone) == 8
    assert mended.volume == pytest.approx(24.0**3, rel=1e-13)
    assert_allclose(mended.normals[-len(gone) + 2 :], [[0, 0, 1]] * (len(gone) - 2), atol=1e-15)
    assert report.quality[0] > 0.3


def test_an_opening_is_filled_up_to_the_length_stated_and_refused_beyond_with_place_and_length():
    (loop,) = boundary_loops(without(SOUND, 400, 401, 402, 403).triangles)
    length = loop_length(SOUND.points, loop)
    place = SOUND.points[loop].mean(axis=0)

    filled, _ = require_valid(without(SOUND, 400, 401, 402, 403), "L1.ply", max_hole_mm=length + 1e-9)
    with pytest.raises(InputError, match=f"1 opening of 6 edges in all, the longest {length:.1f} mm around") as refused:
        require_valid(without(SOUND, 400, 401, 402, 403), "L1.ply", max_hole_mm=length - 1e-9)

    assert abs(filled.volume - SOUND.volume) < 4.0
    assert "L1.ply" in refused.value.where
    found = [float(x) for x in re.findall(r"-?\d+\.\d", refused.value.where)]
    assert_allclose(found, place, atol=0.051)
    assert "openings up to" in refused.value.fix


def test_a_loop_is_not_filled_along_an_edge_that_has_its_triangles():
    corners = np.array([[0, 0, 0], [1, 0, 0], [1.1, 1, 0], [0, 1, 0]])
    loop = np.arange(4)

    free = fill_loop(corners, loop, np.zeros((0, 2), np.int64))
    other = fill_loop(corners, loop, np.array([[1, 3]]))
    none = fill_loop(corners, loop, np.array([[0, 2], [1, 3]]))

    def diagonal(cover):
        return set(cover[0].tolist()) & set(cover[1].tolist())

    assert diagonal(free) == {1, 3}  # the shorter
    assert diagonal(other) == {0, 2}
    assert none is None


def every_filling(loop: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    """All ways to cut a polygon into triangles."""
    if len(loop) < 3:
        return [[]]
    return [
        [*left, (loop[0], loop[k], loop[-1]), *right]
        for k in range(1, len(loop) - 1)
        for left in every_filling(loop[: k + 1])
        for right in every_filling(loop[k:])
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_loop_is_filled_with_the_least_area_over_quality_squared_of_all_ways(seed):
    angle = 2 * np.pi * np.arange(7) / 7
    points = np.stack([3 * np.cos(angle), 2 * np.sin(angle), 0 * angle], 1)
    points += np.random.default_rng(seed).uniform(-1.2, 1.2, points.shape)
    fillings = every_filling(tuple(range(7)))

    def weight(triangles) -> float:
        surface = TriangleSurface(points, np.array(triangles))
        return float(np.sum(surface.areas / triangle_quality(surface) ** 2))

    assert len(fillings) == 42  # the fifth Catalan number
    cover = fill_loop(points, np.arange(7), np.zeros((0, 2), np.int64))
    assert weight(cover) == pytest.approx(min(map(weight, fillings)), rel=1e-12)


def test_with_repair_off_what_is_wrong_is_refused_and_repair_is_named():
    with pytest.raises(InputError, match="normals point inward") as refused:
        require_valid(turned(SOUND), "L1.ply", repair=False)
    assert "repair = true" in refused.value.fix

    assert require_valid(SOUND, "L1.ply", repair=False)[0] is SOUND


@pytest.mark.parametrize(
    ("surface", "words"),
    [(joined(SOUND, moved(SOUND, [80, 0, 0])), "1 large piece apart"),
     (joined(box(4, 6.0), turned(moved(box(2, 5.0), [6.5, 7, 7.5]))), "1 closed piece inside the surface"),
     (joined(box(2, 12.0), moved(box(2, 12.0), [13, 14, 15.5])), "run through each other"),
     (blocks(np.array([[[1], [0]], [[0], [1]]])), "1 edge with more than two triangles"),
     (TriangleSurface(np.zeros((3, 3)), np.zeros((0, 3), np.int64)), "no triangles"),
     (blocks(np.kron(np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]]), np.ones((2, 2, 2)))), "1 point where parts")],
)  # fmt: skip
def test_what_needs_a_decision_is_refused_with_its_place(surface, words):
    with pytest.raises(InputError, match=words) as refused:
        require_valid(surface, "L1.ply")

    assert re.search(r"L1\.ply, at \(.*\) mm in LPS", refused.value.where)
    assert refused.value.fix


def test_all_faults_that_are_left_come_in_one_message():
    surface = joined(without(box(4, 6.0), *range(40)), moved(box(3, 6.0), [50, 0, 0]))

    with pytest.raises(InputError, match="opening") as refused:
        require_valid(surface, "L1.ply")

    assert "[shells]" in str(refused.value)


def folded(share: float) -> TriangleSurface:
    """The sound surface with one point pushed over its nearest neighbour, by a share of the way to it."""
    points = SOUND.points.copy()
    ring = np.setdiff1d(SOUND.triangles[(SOUND.triangles == 700).any(axis=1)], 700)
    nearest = ring[np.argmin(np.linalg.norm(points[ring] - points[700], axis=1))]
    points[700] += share * (points[nearest] - points[700])
    return TriangleSurface(points, SOUND.triangles)


def test_a_small_fold_is_smoothed_away_and_the_move_is_told():
    surface = folded(1.25)
    before = check_surface(surface, name="L1").finding("self_intersection")

    mended, report = require_valid(surface, "L1")
    moves = np.linalg.norm(mended.points - surface.points, axis=1)

    assert before is not None
    assert np.linalg.norm(np.array(before.place_mm) - SOUND.points[700]) < 4.0
    assert report.is_valid
    assert 0 < moves.max() <= MAX_MOVE_MM
    # The point is back where it came from, as far as the mean of its neighbours is there: bumps of 0.3 mm.
    assert np.linalg.norm(mended.points - SOUND.points, axis=1).max() < 0.6
    assert report.repairs == (f"self-intersections smoothed away, points moved by up to {moves.max():.2f} mm",)
    assert np.count_nonzero(moves) <= 10
    assert mended.volume == pytest.approx(SOUND.volume, rel=5e-4)  # 12 mm3 of 25 000


def test_a_fold_that_would_move_points_too_far_is_refused_with_its_place():
    assert relax_intersections(folded(1.5), max_move_mm=0.1) is None
    with pytest.raises(InputError, match="of triangles that run through each other") as refused:
        require_valid(folded(4.0), "L1.ply")
    assert "2.0 mm at most" in refused.value.fix


@pytest.mark.data
@pytest.mark.parametrize("level", ["L1", "L2", "L3", "L4", "L5"])
def test_the_shared_surfaces_are_valid_as_they_are(data_dir, level):
    surface = read_surface(data_dir / "surfaces_L1_L5" / f"{level}.ply", axes="ALS", unit="mm")

    assert require_valid(surface, level)[0] is surface


@pytest.mark.data
def test_a_damaged_shared_surface_is_mended_within_a_thousandth_of_its_volume(data_dir):
    surface = read_surface(data_dir / "surfaces_L1_L5" / "L3.ply", axes="ALS", unit="mm")
    around = np.any(surface.triangles == 2000, axis=1)
    damaged = with_copies_of_points(turned(without(turned(surface, [9, 10]), *np.flatnonzero(around)[:2])))

    mended, report = require_valid(damaged, "L3")

    assert report.genus == 1
    assert len(report.repairs) == 4
    assert mended.volume == pytest.approx(surface.volume, rel=1e-3)
