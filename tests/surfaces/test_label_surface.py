"""Surfaces of labelled voxels against the solids that were labelled."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.testing import assert_allclose
from surface_samples import TURN, euler, is_closed, n_crossings, sphere

from fesolver.errors import InputError
from fesolver.imaging.io import read_labels
from fesolver.imaging.schemes import label_scheme
from fesolver.imaging.volume import LabelVolume, Volume
from fesolver.surfaces.from_labels import keep_largest_part, level_surface, surface_from_labels, surface_from_mask

CENTER = np.array([30.0, -40.0, 55.0])
MIRROR = np.diag([-1.0, 1.0, 1.0])


def grid(spacing, half, axes):
    """Empty volume around the centre, and the place of every voxel from there."""
    n = np.ceil(2 * np.asarray(half) / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes @ np.diag(spacing)
    affine[:3, 3] = CENTER - affine[:3, :3] @ ((n - 1) / 2)
    volume = Volume(np.zeros(n), affine)
    return volume, volume.to_mm(np.stack(np.meshgrid(*[np.arange(k) for k in n], indexing="ij"), axis=-1)) - CENTER


def ellipsoid(spacing, axes, semi=(20.0, 15.0, 12.0)):
    volume, p = grid(spacing, np.full(3, max(semi) + 4.0), axes)
    return Volume((p**2 / np.square(semi)).sum(axis=-1) < 1.0, volume.affine)


@pytest.mark.parametrize(
    ("axes", "spacing"),
    [(np.eye(3), (1.5, 1.5, 1.5)), (TURN, (1.0, 1.0, 2.5)), (TURN @ MIRROR, (2.0, 1.5, 1.0))],
    ids=["straight cubes", "oblique slices", "flipped bricks"],
)
def test_a_labelled_ellipsoid_has_its_volume_area_and_place(axes, spacing):
    semi = np.array([20.0, 15.0, 12.0])
    mask = ellipsoid(np.array(spacing), axes, semi)

    surface = surface_from_mask(mask, edge_mm=2.0)

    assert is_closed(surface)
    assert euler(surface) == 2
    assert n_crossings(surface) == 0
    assert surface.volume == pytest.approx(np.count_nonzero(mask.values) * np.prod(spacing), rel=1e-3)
    assert surface.areas.sum() == pytest.approx(sphere(1.0, 120, semi).areas.sum(), rel=0.03)  # stairs left standing
    # Voxels decide by their centre: of 13 000 on the surface's scale the centroid is off by a hundredth of one.
    assert_allclose(surface.centroid, CENTER, atol=0.03)
    off = np.linalg.norm((surface.points - CENTER) / semi, axis=1) - 1.0
    assert np.sqrt(np.mean((off * 12.0) ** 2)) < 0.2 * max(spacing)


def test_finer_voxels_bring_the_area_nearer_to_the_exact_one():
    exact = sphere(1.0, 120, (20.0, 15.0, 12.0)).areas.sum()

    errors = [
        abs(surface_from_mask(ellipsoid(np.full(3, h), TURN), edge_mm=2.0).areas.sum() / exact - 1.0)
        for h in (3.0, 1.5)
    ]

    assert errors[1] < 0.6 * errors[0]
    assert errors[1] < 0.01


def test_a_label_with_a_horn_on_the_left_keeps_it_there_and_on_its_end():
    volume, p = grid(np.array([1.5, 2.0, 1.5]), [26.0, 20.0, 20.0], MIRROR)
    ball = (p**2).sum(axis=-1) < 12.0**2
    horn = (np.abs(p[..., 1]) < 4) & (np.abs(p[..., 2] - 5.0) < 4) & (p[..., 0] > 0) & (p[..., 0] < 20)

    surface = surface_from_mask(Volume(ball | horn, volume.affine), edge_mm=2.0)

    reach = surface.points - CENTER
    assert reach[:, 0].max() > 18.0
    assert reach[:, 0].min() > -13.0
    tip = reach[reach[:, 0] > 15.0].mean(axis=0)
    assert_allclose(tip[1:], [0.0, 5.0], atol=1.0)
    assert surface.volume > 0


def test_a_ring_two_voxels_thick_keeps_its_hole():
    volume, p = grid(np.full(3, 3.0), [26.0, 26.0, 14.0], TURN)
    ring = 4.0 - np.hypot(np.hypot(p[..., 0], p[..., 1]) - 15.0, p[..., 2]) > 0

    surface = surface_from_mask(Volume(ring, volume.affine), edge_mm=2.0)

    assert euler(surface) == 0
    assert surface.volume == pytest.approx(np.count_nonzero(ring) * 27.0, rel=1e-3)


def test_a_mask_that_fills_its_image_is_closed_at_the_border():
    surface = surface_from_mask(Volume(np.ones((6, 5, 4)), np.diag([2.0, 2.0, 3.0, 1.0])), edge_mm=1.5)

    assert is_closed(surface)
    assert surface.volume == pytest.approx(12.0 * 10.0 * 12.0, rel=1e-3)
    assert_allclose(surface.centroid, [5.0, 4.0, 4.5], atol=0.02)  # the middle of the voxels' own box


def test_crumbs_are_dropped_cavities_filled_and_both_are_told(caplog):
    values = np.zeros((20, 20, 20), dtype=bool)
    values[2:14, 2:14, 2:14] = True
    values[7, 7, 7] = False
    values[17:19, 17, 17] = True
    mask = Volume(values, np.eye(4))

    part = keep_largest_part(mask)
    with caplog.at_level(logging.WARNING, "fesolver"):
        surface = surface_from_mask(mask, edge_mm=2.0, where="L3")

    assert (part.dropped_parts, part.dropped_voxels, part.filled_voxels) == (1, 2, 1)
    assert surface.volume == pytest.approx(12.0**3, rel=1e-3)
    assert "L3: 2 voxels in 1 smaller parts dropped, 1 voxels of cavities filled" in caplog.text


def test_more_smoothing_makes_less_area_of_the_same_volume():
    values = np.zeros((16, 16, 16), dtype=bool)
    values[3:13, 3:13, 3:13] = True
    mask = Volume(values, np.eye(4))

    little, much = (surface_from_mask(mask, edge_mm=1.0, smoothing_mm=s) for s in (0.6, 2.0))

    assert much.areas.sum() < 0.95 * little.areas.sum()
    assert much.volume == pytest.approx(little.volume, rel=2e-3)


def test_the_level_surface_of_random_values_closes_and_faces_the_lower_ones():
    values = np.full((10, 11, 12), -1.0)
    values[1:-1, 1:-1, 1:-1] = np.random.default_rng(5).standard_normal((8, 9, 10))

    for flip in (1.0, -1.0):
        surface = level_surface(Volume(values, np.diag([flip, 1.0, 1.0, 1.0])), 0.0)
        assert is_closed(surface)
        assert surface.volume > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"edge_mm": -1.0}, "edge_mm"),
        ({"edge_mm": 1.0, "smoothing_mm": 0.0}, "smoothing_mm"),
        ({"edge_mm": 0.002}, "lattice"),
    ],
)
def test_lengths_that_make_no_surface_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        surface_from_mask(Volume(np.ones((4, 4, 4)), np.eye(4)), **arguments)


def test_a_level_without_voxels_is_named():
    labels = LabelVolume(np.zeros((4, 4, 4), int), np.eye(4), {1: "L2"})

    with pytest.raises(InputError, match="L2 has no voxel"):
        surface_from_labels(labels, "L2", edge_mm=2.0)


def test_parts_that_smoothing_takes_apart_are_refused():
    volume, p = grid(np.full(3, 1.0), [22.0, 12.0, 12.0], np.eye(3))
    balls = np.minimum(*(((p - [x, 0.0, 0.0]) ** 2).sum(axis=-1) for x in (-11.5, 11.5))) < 7.0**2
    thread = (np.abs(p[..., 1:]) < 1.0).all(axis=-1) & (np.abs(p[..., 0]) < 10.0)

    with pytest.raises(InputError, match="do not hang together"):
        surface_from_mask(Volume(balls | thread, volume.affine), edge_mm=2.0, smoothing_mm=2.0, where="L2")


@pytest.mark.data
@pytest.mark.parametrize(("level", "smoothing"), [("L3", None), pytest.param("L1", 2.0, marks=pytest.mark.long)])
def test_a_real_label_becomes_a_closed_surface_with_one_hole_and_its_volume(data_dir, level, smoothing):
    labels = read_labels(data_dir / "ct_lumbar_3mm" / "labels.nii.gz", label_scheme("totalsegmentator"))

    surface = surface_from_labels(labels, level, edge_mm=2.5, smoothing_mm=smoothing)

    assert is_closed(surface)
    assert euler(surface) == 0
    assert n_crossings(surface) == 0
    assert surface.volume == pytest.approx(np.count_nonzero(labels.mask(level)) * 27.0, rel=1e-3)
    voxels = labels.to_mm(np.argwhere(labels.mask(level)))
    # Thin posterior parts give volume to the body: a fifth of a voxel.
    assert_allclose(surface.centroid, voxels.mean(axis=0), atol=0.6)
