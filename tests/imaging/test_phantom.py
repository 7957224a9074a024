"""The synthetic segment: sizes and densities measured back from its voxels, sameness, orientation, wrong uses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.anatomy.shape import body_coordinates, body_volume
from fesolver.errors import InputError
from fesolver.imaging.phantom import synthetic_segment
from fesolver.imaging.phantom_tissue import PhantomTissue, density_from_t_score, inner_fraction

LEVELS = ("T12", "L1", "L2")


@pytest.fixture(scope="module")
def segment():
    return synthetic_segment()


@pytest.fixture(scope="module")
def upright():
    return synthetic_segment(tilt_deg=0.0, voxel_mm=0.8)


def voxel_points(volume, mask):
    return volume.to_mm(np.argwhere(mask))


def body_mask(segment, level):
    parts = segment.subregions
    return segment.labels.mask(level) & (parts.mask("body") | parts.mask("body_border"))


@pytest.mark.parametrize("level", LEVELS)
def test_labelled_volume_of_the_body_is_that_of_the_shape(segment, level):
    volume = np.count_nonzero(body_mask(segment, level)) * np.prod(segment.labels.spacing)

    # Counting 1 mm voxels of a tilted smooth body: under 0.2 % seen, 0.5 % allowed.
    assert volume == pytest.approx(body_volume(segment.column[level].dimensions), rel=5e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_endplate_width_depth_and_heights_are_found_in_the_labels_within_a_voxel(upright, level):
    vertebra = upright.column[level]
    d, h = vertebra.dimensions, 0.8
    local = vertebra.frame.to_local(voxel_points(upright.labels, body_mask(upright, level)))
    rim = 0.5 * d.mid_height_mm + d.rim_slope * local[:, 1]
    middle = np.abs(local[:, 0]) < h
    anterior, posterior = (middle & (side * local[:, 1] > 0.42 * d.superior_depth_mm) for side in (-1.0, 1.0))
    for sign, width, depth in (
        (1.0, d.superior_width_mm, d.superior_depth_mm),
        (-1.0, d.inferior_width_mm, d.inferior_depth_mm),
    ):
        layer = sign * local[:, 2] > rim - 2 * h
        assert np.ptp(local[layer, 0]) + h == pytest.approx(width, abs=2 * 0.5 * h + 0.3)
        assert np.ptp(local[layer & middle, 1]) + h == pytest.approx(depth, abs=2 * 0.5 * h + 0.3)
    assert np.ptp(local[anterior, 2]) + h == pytest.approx(d.anterior_height_mm, abs=h + 0.3)
    assert np.ptp(local[posterior, 2]) + h == pytest.approx(d.posterior_height_mm, abs=h + 0.3)


@pytest.mark.parametrize(("above", "below", "height"), [("T12", "L1", 6.5), ("L1", "L2", 7.75)])
def test_disc_heights_are_found_in_the_labels_within_a_voxel(upright, above, below, height):
    upper, lower = upright.column[above], upright.column[below]
    axis = upper.inferior_rim_centre - lower.superior_rim_centre
    axis /= np.linalg.norm(axis)
    # A column of points beside the axis, on the flat rim, where no concavity adds to the height.
    start = 0.5 * (upper.inferior_rim_centre + lower.superior_rim_centre) + [18.0, 0.0, 0.0]
    points = start + np.linspace(-15, 15, 3001)[:, None] * axis
    index = np.rint(upright.labels.to_index(points)).astype(int)
    gap = np.count_nonzero(upright.labels.values[tuple(index.T)] == 0) * 0.01

    assert gap == pytest.approx(height, abs=0.8)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("arguments", [{}, {"density_g_cm3": 0.12, "seed": 3}, {"t_score": -1.0, "voxel_mm": 1.5}])
def test_mean_trabecular_density_is_the_one_asked_for(level, arguments):
    segment = synthetic_segment(**arguments)
    core = segment.labels.mask(level) & segment.subregions.mask("body")
    asked = arguments.get("density_g_cm3", density_from_t_score(arguments.get("t_score", -3.0)))

    assert segment.density.values[core].mean() == pytest.approx(asked, rel=1e-12)
    assert segment.trabecular_density_g_cm3 == asked
    assert segment.kind == "rho_qct"


def test_t_scores_match_the_clinical_thresholds_of_density():
    # ACR: 120 mg/cm3 bounds osteopenia (T = -1), 80 mg/cm3 osteoporosis (T = -2.5); slope rounded to 26.7.
    assert density_from_t_score(-1.0) == pytest.approx(0.120, abs=1e-4)
    assert density_from_t_score(-2.5) == pytest.approx(0.080, abs=1e-4)


def test_the_periphery_is_denser_than_the_centre_by_the_ratio():
    flat = PhantomTissue(texture_sd=0.0, inferior_superior_ratio=1.0)
    segment = synthetic_segment(levels=["L1"], tissue=flat)
    core = segment.subregions.mask("body")
    at = body_coordinates(
        segment.column["L1"].frame.to_local(voxel_points(segment.density, core)), segment.column["L1"].dimensions
    )
    density = segment.density.values[core]

    ratio = density[at.radius > 0.8].mean() / density[at.radius < 0.6].mean()

    # Segami (308 endplates): attenuation of the periphery 32.5 % over that of the centre.
    assert ratio == pytest.approx(1.325, rel=1e-12)


def test_the_inferior_end_is_denser_than_the_superior_one():
    flat = PhantomTissue(texture_sd=0.0, rim_density_ratio=1.0, inferior_superior_ratio=1.2)
    segment = synthetic_segment(levels=["L1"], tissue=flat)
    core = segment.subregions.mask("body")
    at = body_coordinates(
        segment.column["L1"].frame.to_local(voxel_points(segment.density, core)), segment.column["L1"].dimensions
    )

    slope, middle = np.polyfit(at.height, segment.density.values[core], 1)

    # Linear from 1.2 at the inferior to 1 at the superior end.
    assert (middle - slope) / (middle + slope) == pytest.approx(1.2, rel=1e-9)


def test_texture_has_the_asked_variation_and_length():
    tissue = PhantomTissue(rim_density_ratio=1.0, inferior_superior_ratio=1.0, texture_sd=0.2, texture_length_mm=2.0)
    spreads, correlations = [], []
    for seed in range(6):
        segment = synthetic_segment(levels=["T10"], tissue=tissue, seed=seed, tilt_deg=0.0)
        core = segment.subregions.mask("body")
        values = np.where(core, segment.density.values, np.nan)
        spreads.append(np.nanstd(values) / np.nanmean(values))
        pairs = np.stack([values[2:], values[:-2]])[:, core[2:] & core[:-2]]
        correlations.append(np.corrcoef(np.log(pairs))[0, 1])

    # Six bodies of some 600 correlation volumes each: the mean spread is known to about 3 %.
    assert np.mean(spreads) == pytest.approx(0.2, rel=0.06)
    # At one correlation length (2 mm) a Gaussian covariance has fallen to exp(-1/2).
    assert np.mean(correlations) == pytest.approx(np.exp(-0.5), abs=0.05)


def test_the_same_arguments_give_the_same_bits(segment):
    again = synthetic_segment()

    assert_array_equal(again.density.values, segment.density.values)
    assert_array_equal(again.labels.values, segment.labels.values)


def test_the_seed_changes_values_and_not_the_shape():
    segment = synthetic_segment(voxel_mm=1.5)
    other = synthetic_segment(voxel_mm=1.5, seed=1)

    core = segment.subregions.mask("body")
    assert_array_equal(other.labels.values, segment.labels.values)
    assert_array_equal(other.subregions.values, segment.subregions.values)
    assert not np.any(other.density.values[core] == segment.density.values[core])


def test_the_texture_of_a_level_does_not_depend_on_the_other_levels():
    alone = synthetic_segment(levels=["L1"], tilt_deg=0.0)
    triple = synthetic_segment(levels=["T12", "L1"], tilt_deg=0.0)
    points = triple.column["L1"].frame.to_parent([[0, 0, 0], [5.0, 2.0, 3.0], [-4.0, -6.0, -2.0], [8.0, 4.0, -5.0]])
    local = triple.column["L1"].frame.to_local(points)

    def sample(segment, where):
        index = np.rint(segment.density.to_index(where)).astype(int)
        return segment.density.values[tuple(index.T)]

    # Nearest voxels are up to 0.87 mm apart, in a texture of 3 mm: values agree to a few per cent, not by chance.
    assert_allclose(sample(alone, alone.column["L1"].frame.to_parent(local)), sample(triple, points), rtol=0.12)


def test_the_wall_appears_by_its_share_of_the_voxel(segment):
    # A plane wall 0.35 mm thick in 1 mm voxels: the voxel with the whole wall in it holds 0.35 of it.
    depth = np.array([-0.6, -0.25, 0.0, 0.175, 0.5, 0.9])
    share = inner_fraction(depth, 1.0) - inner_fraction(depth - 0.35, 1.0)

    assert_allclose(share, [0.0, 0.25, 0.35, 0.35, 0.35, 0.0], atol=1e-12)
    border = segment.density.values[segment.subregions.mask("body_border")]
    assert border.max() < 0.35 * 0.8 + 0.65 * 0.4  # nowhere more than wall and arch together can make


def test_the_side_wall_holds_the_published_share_of_the_mass():
    # Eswaran 2006: shell mass fraction 0.21 to 0.39, endplates not counted.
    bare = synthetic_segment(
        levels=["L1"], tissue=PhantomTissue(shell_density_g_cm3=0.0, arch_density_g_cm3=0.0), voxel_mm=1.25
    )
    full = synthetic_segment(levels=["L1"], tissue=PhantomTissue(arch_density_g_cm3=0.0), voxel_mm=1.25)
    vertebra = full.column["L1"]
    near = np.argwhere(np.ones(full.labels.values.shape, dtype=bool))
    at = body_coordinates(vertebra.frame.to_local(full.labels.to_mm(near)), vertebra.dimensions)
    wall = full.density.values.ravel() - bare.density.values.ravel()
    bone = np.where(at.depth_mm > -1.0, bare.density.values.ravel(), 0.0)

    side = np.abs(at.height) < 0.8
    share = wall[side].sum() / (wall.sum() + bone.sum())

    # The ends of the side wall behind |height| = 0.8 are counted with the endplates.
    assert 0.18 <= share <= 0.39


def test_outside_bone_the_image_holds_soft_tissue(segment):
    outside = segment.labels.values == 0
    assert np.median(segment.density.values[outside]) == 0.02
    corner = segment.density.values[0, 0, 0]
    assert corner == 0.02


def test_the_arch_never_touches_a_neighbour(segment):
    from scipy import ndimage

    for level in LEVELS:
        grown = ndimage.binary_dilation(segment.labels.mask(level), iterations=1)
        others = (segment.labels.values > 0) & ~segment.labels.mask(level)
        assert not np.any(grown & others)


def test_no_label_reaches_the_edge_of_the_volume(segment):
    inner = np.zeros(segment.labels.values.shape, dtype=bool)
    inner[2:-2, 2:-2, 2:-2] = True

    assert not np.any(segment.labels.values[~inner])


def test_the_marked_side_is_the_patients_left():
    segment = synthetic_segment(levels=["L1"], mark_left=True)

    x = voxel_points(segment.labels, segment.labels.mask("L1"))[:, 0]

    # LPS: x grows to the patient's left; the transverse processes end at 35 mm, the left one 8 mm further.
    assert x.max() == pytest.approx(43.0, abs=1.0)
    assert x.min() == pytest.approx(-35.0, abs=1.0)


def test_the_spinous_process_points_backwards_and_l1_lies_under_t12(segment):
    spine = {level: voxel_points(segment.labels, segment.labels.mask(level)) for level in ("T12", "L1")}
    arch = voxel_points(segment.subregions, segment.labels.mask("L1") & segment.subregions.mask("arch"))
    body = voxel_points(segment.subregions, body_mask(segment, "L1"))

    assert arch[:, 1].mean() > body[:, 1].mean() + 20
    assert spine["T12"][:, 2].mean() > spine["L1"][:, 2].mean() + 20
    assert segment.labels.names == {19: "T12", 20: "L1", 21: "L2"}


def test_a_fracture_and_a_narrow_disc_can_be_asked_for():
    segment = synthetic_segment(
        dimensions={"L1": {"anterior_height_mm": 16.0}}, discs={"L1-L2": {"height_mm": 4.0}}, voxel_mm=1.2
    )

    volume = np.count_nonzero(body_mask(segment, "L1")) * 1.2**3
    assert volume == pytest.approx(body_volume(segment.column["L1"].dimensions), rel=0.01)
    assert segment.column["L1"].dimensions.wedge_deg > 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": ["T12", "L2"]}, "L1 is missing"),
        ({"levels": ["C6", "C7"]}, "no published dimensions for C6"),
        ({"levels": ["L7"]}, "unknown vertebral level"),
        ({"t_score": -3.0, "density_g_cm3": 0.07}, "both t_score = -3 and density_g_cm3 = 0.07"),
        ({"t_score": -6.0}, "gives a density of -13.5 mg/cm3"),
        ({"t_score": 70.0}, "t_score = 70 is over 5"),
        ({"t_score": float("nan")}, "not a finite number"),
        ({"density_g_cm3": 80.0}, "it looks like mg/cm3: give g/cm3"),
        ({"density_g_cm3": -0.1}, "outside 0.001 to 1"),
        ({"voxel_mm": 0.001}, "it looks like metres: give mm"),
        ({"voxel_mm": 5.0}, "outside 0.1 to 3"),
        ({"voxel_mm": 3.0, "levels": ["T11", "T12"]}, "too coarse: the disc T11-T12 is 5.5 mm"),
        ({"voxel_mm": 0.1}, "million voxels"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"tilt_deg": 120.0}, "not under 90 degrees"),
        ({"discs": {"L1-L2": {"height_mm": 1.5, "wedge_deg": 20.0}}}, "more height_mm or less wedge_deg"),
        (
            {"levels": ["L4", "L5"], "discs": {"L4-L5": {"height_mm": 11.5, "wedge_deg": 25.0}}, "voxel_mm": 1.5},
            "L4 and L5 overlap in",
        ),
    ],
)
def test_a_wrong_use_is_refused_with_what_to_do(arguments, message):
    with pytest.raises(InputError, match=message):
        synthetic_segment(**arguments)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rim_density_ratio": 32.5}, "rim_density_ratio = 32.5 is outside 0.5 to 3"),
        ({"shell_density_g_cm3": 800.0}, "it looks like mg/cm3"),
        ({"texture_sd": -0.1}, "texture_sd"),
        ({"texture_length_mm": 0.003}, "it looks like metres"),
    ],
)
def test_an_implausible_tissue_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        PhantomTissue(**values)
