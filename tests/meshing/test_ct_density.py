"""Densities of a CT body laid into a parametric one: uniform, graded, left and right, another size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.errors import InputError
from fesolver.imaging.phantom import synthetic_segment
from fesolver.imaging.phantom_tissue import PhantomTissue
from fesolver.imaging.resample import build_segment_image
from fesolver.meshing.ct_density import CtDensity, ct_density

PLAIN = PhantomTissue(rim_density_ratio=1.0, inferior_superior_ratio=1.0, texture_sd=0.0)


def image_of(tissue: PhantomTissue, *, tilt_deg: float = 12.0):
    segment = synthetic_segment(levels=["L1", "L2"], density_g_cm3=0.1, tissue=tissue, tilt_deg=tilt_deg, voxel_mm=1.0)
    return build_segment_image(segment.density, segment.kind, segment.labels, levels=["L1", "L2"], spacing_mm=1.0)


@pytest.fixture(scope="module")
def image():
    return image_of(PhantomTissue(rim_density_ratio=1.0, inferior_superior_ratio=1.5, texture_sd=0.0))


def test_a_uniform_body_stays_uniform_in_any_other_one():
    field = ct_density(image_of(PLAIN), "L1", core=0.8)
    points = body_points([0.0, 0.5, -0.6, 0.0], [0.0, 0.4, -0.5, 0.7], [0.0, 0.6, -0.7, 0.3], vertebra_dimensions("L4"))

    # What is left is the partial volume of the shell, inside of 0.8 of the radius and height.
    assert_allclose(field.at(points, vertebra_dimensions("L4")), 0.1, rtol=0.03)


def test_a_gradient_along_the_axis_is_found_again_at_the_same_heights(image):
    for name in ("L1", "L3"):
        dimensions = vertebra_dimensions(name)
        low, middle, high = ct_density(image, "L1").at(body_points(0.0, 0.0, [-0.6, 0.0, 0.6], dimensions), dimensions)
        # The pattern is 1 - (r - 1) / (r + 1) h at height h with r = 1.5; hollows move h by less than 0.1.
        assert_allclose(low / middle, 1.12, atol=0.03)
        assert_allclose(high / middle, 0.88, atol=0.03)


def test_left_stays_left_and_posterior_stays_posterior(image):
    marked = image.density.copy()
    body = image.body == 1
    place = image.origin + (np.argwhere(body) + 0.5) * image.spacing
    local = image.vertebrae["L1"].frame.to_local(place)
    marked[body] = 0.1 + 0.002 * local[:, 0] + 0.001 * local[:, 1]
    field, dimensions = ct_density(replace(image, density=marked), "L1"), vertebra_dimensions("L1")
    left, right, front, back = field.at(
        body_points([0.7, -0.7, 0.0, 0.0], [0.0, 0.0, -0.7, 0.7], 0.0, dimensions), dimensions
    )

    half_width = 0.7 * 0.5 * 0.5 * (41.2 + 43.3) * 0.92  # waist 8 %
    # Bins are 1.8 mm wide, and labels of 1 mm voxels give the half-width to 0.5 mm of 14.
    assert_allclose((left - right) / 2, 0.002 * half_width, rtol=0.1)
    assert back > front


def test_a_scaled_field_is_scaled_everywhere_and_sampling_is_linear_between_bins():
    ramp = np.broadcast_to(np.arange(8.0), (8, 8, 8)) * 0.01 + 0.05
    field, dimensions = CtDensity(ramp, "rho_qct", core=1.0), vertebra_dimensions("L1")
    points = body_points(0.0, 0.0, [-0.125, 0.0, 0.125], dimensions)
    values = field.at(points, dimensions)

    assert_allclose(field.scaled(2.0).at(points, dimensions), 2 * values)
    # Hollows of 0.7 and 1.5 mm make normalised height and place between the endplates differ by a few percent.
    assert_allclose(np.diff(values), values[1] - values[0], rtol=0.05)


def test_a_level_that_is_not_there_and_bins_that_are_too_many_are_refused(image):
    with pytest.raises(InputError, match="not in the image"):
        ct_density(image, "L5")
    with pytest.raises(InputError, match="too few for 64"):
        ct_density(image, "L1", bins=64)
    with pytest.raises(InputError, match="core"):
        ct_density(image, "L1", core=0.2)
