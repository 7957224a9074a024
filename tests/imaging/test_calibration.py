"""CT numbers become densities by a line whose origin is known, or not at all."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.imaging.calibration import (
    TissueSample,
    calibrate,
    identity_calibration,
    phantom_calibration,
    require_calibration,
    scaled,
    slope_calibration,
    tissue_calibration,
    with_density_change,
)
from fesolver.imaging.io import read_volume
from fesolver.imaging.volume import Volume

RODS_G_CM3 = np.array([0.0, 0.1, 0.2])


def soft_ct(*, fat: float = -100.0, muscle: float = 50.0, noise: float = 15.0) -> Volume:
    """Air, fat, muscle and bone in slabs of 10 voxels along x, 2 mm voxels, oblique index order."""
    hu = np.repeat([-1000.0, fat, muscle, 200.0], 10)[None, :, None] + np.zeros((8, 40, 9))
    hu += np.random.default_rng(5).normal(scale=noise, size=hu.shape)
    affine = np.eye(4)
    affine[:3, :3] = 2.0 * np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]])  # index (i, j, k) runs along z, x, -y
    affine[:3, 3] = 10.0, 20.0, 30.0
    return Volume(hu, affine)


def box(slab: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The inner part of a slab, corners in mixed order."""
    return (10.0 + 20.0 * slab + 16.0, 18.0, 32.0), (10.0 + 20.0 * slab + 2.0, 6.0, 42.0)


def test_phantom_rods_on_a_line_give_that_line():
    calibration = phantom_calibration(RODS_G_CM3 / 0.8e-3 - 6.25, RODS_G_CM3, kind="rho_ha")
    assert_allclose(calibration.slope, 0.8e-3, rtol=1e-12)
    assert_allclose(calibration.intercept, 0.005, rtol=1e-10)
    assert_allclose([point.residual_g_cm3 for point in calibration.points], 0.0, atol=1e-15)
    assert calibration.r2 == pytest.approx(1.0)
    assert not calibration.is_assumed
    assert calibration.notes == ()


def test_rods_off_the_line_show_their_residuals():
    # HU on density by hand: rods at -1, 0, 1 (tenths), HU 0, 130, 230: slope 115 HU per 0.1 g/cm3, mean 120
    calibration = phantom_calibration([0.0, 130.0, 230.0], RODS_G_CM3, kind="rho_ha", names=["low", "mid", "high"])
    assert_allclose(calibration.slope, 0.1 / 115.0)
    assert_allclose(calibration.density(120.0), 0.1)
    off = np.array([-5.0, 10.0, -5.0]) * 0.1 / 115.0
    assert_allclose([point.residual_g_cm3 for point in calibration.points], off, atol=1e-15)
    assert_allclose(calibration.r2, 1.0 - 150.0 / (120.0**2 + 10.0**2 + 110.0**2))
    assert "mid: 130.0 HU, 100.0 mg/cm3, residual +8.7 mg/cm3" in calibration.describe()


def test_a_poor_fit_is_noted_and_logged_and_two_rods_cannot_be_judged(caplog):
    with caplog.at_level(logging.WARNING, logger="fesolver"):
        calibration = phantom_calibration([0.0, 190.0, 230.0], RODS_G_CM3, kind="rho_ha")
    assert "poor fit: r2" in calibration.notes[0]
    assert "poor fit" in caplog.text
    two = phantom_calibration([0.0, 120.0], RODS_G_CM3[:2], kind="rho_ha")
    assert two.r2 is None
    assert "cannot be judged" in two.describe()


@pytest.mark.parametrize(
    ("hu", "density", "message"),
    [
        ([100.0], [0.1], "needs two phantom rods, 1 given"),
        ([0.0, 100.0, 200.0], [0.0, 0.1], "3 CT numbers and 2 densities"),
        ([100.0, 100.0], [0.0, 0.1], "span 0 HU"),
        ([0.0, 100.0], [0.1, 0.1], "0 g/cm3: no line"),
        ([200.0, 100.0], [0.0, 0.1], "falls by 1000 HU"),
        ([0.0, 100.0], [0.0, 100.0], "a density of 100 g/cm3"),
        ([0.0, np.nan], [0.0, 0.1], "NaN"),
        ([0.0, 1.5], [0.0, 0.2], "outside 0.0002 to 0.003"),
    ],
)
def test_rods_that_give_no_line_are_refused(hu, density, message):
    with pytest.raises(InputError, match=message):
        phantom_calibration(hu, density, kind="rho_ha")


def test_a_generic_slope_must_be_declared_or_have_a_source():
    with pytest.raises(InputError, match="without a measurement behind it"):
        slope_calibration(0.8e-3, kind="rho_qct")
    assumed = slope_calibration(0.8e-3, kind="rho_qct", assumed=True)
    assert assumed.is_assumed
    assert "ASSUMED" in assumed.describe()
    measured = slope_calibration(0.8e-3, 0.002, kind="rho_qct", source="Mindways 3, scanner A, 2024-03-01")
    assert not measured.is_assumed
    assert "scanner A" in measured.describe()


@pytest.mark.parametrize(("slope", "intercept"), [(0.8, 0.0), (0.0, 0.0), (-0.8e-3, 0.0), (np.nan, 0.0), (0.8e-3, 5.0)])
def test_a_slope_in_another_unit_is_refused(slope, intercept):
    with pytest.raises(InputError, match=r"per HU is outside|at 0 HU is outside"):
        slope_calibration(slope, intercept, kind="rho_qct", assumed=True)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="density kind 'bmd' is unknown"):
        slope_calibration(0.8e-3, kind="bmd", assumed=True)


def test_two_tissues_in_boxes_give_the_line_through_their_medians():
    ct = soft_ct()
    calibration = tissue_calibration(
        ct, [TissueSample("fat", box_mm=box(1)), TissueSample("muscle", box_mm=box(2))], kind="rho_ha"
    )
    # 392 voxels of 15 HU noise: a median is known to about 1 HU, 4 standard errors of each allowed
    assert_allclose([point.hu for point in calibration.points], [-100.0, 50.0], atol=4.0)
    assert_allclose(calibration.density([p.hu for p in calibration.points]), [-0.080, 0.030], atol=1e-12)
    assert calibration.is_assumed  # the published densities are not of this scan
    assert "Eggermont" in calibration.source


def test_a_box_takes_the_voxels_whose_centres_it_holds():
    ct = soft_ct(noise=0.0)
    ct.values[1:7, 11:19, 1:8] = -110.0  # the box of slab 1 covers these voxel centres, and no other
    assert_allclose(ct.to_mm([1, 11, 1]), [32.0, 18.0, 32.0])
    given = {"density_g_cm3": -0.09, "source": "own"}
    muscle = TissueSample("muscle", box_mm=box(2))
    all_of_it = TissueSample("fat", box_mm=((32.0, 18.0, 32.0), (46.0, 6.0, 42.0)), **given)
    assert tissue_calibration(ct, [all_of_it, muscle], kind="rho_ha").points[0].hu == -110.0


def test_tissues_by_label_leave_their_partial_volume_layer_out():
    ct = soft_ct(noise=0.0)
    values = np.zeros(ct.values.shape, dtype=np.int32)
    values[1:7, 12:18, 1:6] = 3
    values[1:7, 21:29, 1:8] = 4
    ct.values[(values == 3)] = -60.0  # the outer layer is mixed, and holds most of the voxels: 132 of 180
    ct.values[2:6, 13:17, 2:5] = -100.0
    samples = [
        TissueSample("fat", label_values=(3,), density_g_cm3=-0.07, source="own phantom study"),
        TissueSample("muscle", label_values=(4,), density_g_cm3=0.04, source="own phantom study"),
    ]
    calibration = tissue_calibration(ct, samples, kind="rho_qct", labels=Volume(values, ct.affine))
    assert [point.hu for point in calibration.points] == [-100.0, 50.0]
    assert not calibration.is_assumed
    with pytest.raises(InputError, match="not on the CT's grid"):
        tissue_calibration(ct, samples, kind="rho_qct", labels=Volume(values, np.eye(4)))
    with pytest.raises(InputError, match="needs a label image"):
        tissue_calibration(ct, samples, kind="rho_qct")


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (TissueSample("fat"), "neither a box and labels"),
        (TissueSample("fat", box_mm=box(1), label_values=(3,)), "both a box and labels"),
        (TissueSample("fat", box_mm=((500.0, 0.0, 0.0), (510.0, 10.0, 10.0))), "outside the CT"),
        (TissueSample("fat", box_mm=((32.0, 18.0, 32.0), (34.0, 16.0, 34.0))), "8 voxels in a tissue sample"),
        (TissueSample("fat", box_mm=box(0)), "fat at -1000 HU"),
        (TissueSample("blood", box_mm=box(3), density_g_cm3=0.05, source="own"), "blood at 200 HU .* where 20 to 75"),
        (TissueSample("blood", box_mm=box(2)), "no density is published here for 'blood'"),
        (TissueSample("spleen", box_mm=box(2)), "no density is published here for 'spleen'"),
        (TissueSample("fat", box_mm=box(1), density_g_cm3=-0.07), "has no source"),
    ],
)
def test_a_wrong_tissue_sample_is_refused(sample, message):
    with pytest.raises(InputError, match=message):
        tissue_calibration(soft_ct(noise=0.0), [sample, TissueSample("muscle", box_mm=box(2))], kind="rho_ha")


def test_published_tissues_do_not_calibrate_to_another_kind():
    samples = [TissueSample("fat", box_mm=box(1)), TissueSample("muscle", box_mm=box(2))]
    with pytest.raises(InputError, match="is rho_ha, the calibration is to be rho_qct"):
        tissue_calibration(soft_ct(), samples, kind="rho_qct")
    with pytest.raises(InputError, match=r"1 tissue sample\(s\)"):
        tissue_calibration(soft_ct(), samples[:1], kind="rho_ha")


def test_calibrated_volumes_hold_float64_densities_on_the_same_grid():
    ct = Volume(np.array([[[-1000, 0], [250, 1000]]], dtype=np.int16), np.eye(4))
    density = calibrate(ct, slope_calibration(0.8e-3, 0.01, kind="rho_qct", assumed=True))
    assert density.values.dtype == np.float64
    assert_allclose(density.values, [[[-0.79, 0.01], [0.21, 0.81]]])
    assert density.affine is ct.affine


def test_a_volume_in_another_unit_than_stated_is_refused():
    grams = Volume(np.linspace(-0.1, 1.2, 8).reshape(2, 2, 2), np.eye(4))
    milligrams = Volume(1e3 * grams.values, np.eye(4))
    assert_allclose(calibrate(grams, identity_calibration("g/cm3", kind="rho_ha")).values, grams.values)
    assert_allclose(calibrate(milligrams, identity_calibration("mg/cm3", kind="rho_ha")).values, grams.values)
    for volume, calibration, message in (
        (milligrams, identity_calibration("g/cm3", kind="rho_ha"), "no densities in g/cm3"),
        (grams, identity_calibration("mg/cm3", kind="rho_ha"), "no densities in mg/cm3"),
        (grams, slope_calibration(0.8e-3, kind="rho_ha", assumed=True), "no CT numbers"),
        (Volume(grams.values * np.nan, np.eye(4)), identity_calibration("g/cm3", kind="rho_ha"), "NaN"),
    ):
        with pytest.raises(InputError, match=message):
            calibrate(volume, calibration)
    with pytest.raises(InputError, match="'kg/m3' is unknown"):
        identity_calibration("kg/m3", kind="rho_ha")


def test_an_uncalibrated_ct_is_refused_with_every_option():
    with pytest.raises(InputError, match="not calibrated") as error:
        require_calibration(None)
    for option in ("slope", "phantom", "tissues", "holds densities"):
        assert option in error.value.fix
    calibration = identity_calibration("g/cm3", kind="rho_ha")
    assert require_calibration(calibration) is calibration


def test_a_swept_slope_turns_about_water():
    calibration = slope_calibration(0.8e-3, 0.01, kind="rho_qct", assumed=True)
    swept = scaled(calibration, 1.2)
    assert_allclose(swept.density(0.0), 0.01)
    assert_allclose(swept.density(100.0) - swept.density(0.0), 1.2 * 0.08)
    assert swept.slope_factor == 1.2
    assert "factor 1.2 about water" in swept.describe()
    assert scaled(calibration, 1.0) == calibration


def test_a_density_change_multiplies_the_density_itself_and_is_recorded():
    calibration = slope_calibration(0.8e-3, 0.01, kind="rho_qct", assumed=True)
    changed = with_density_change(calibration, scale=0.7, offset_g_cm3=-0.02)
    hu = np.array([-100.0, 0.0, 150.0])
    assert_allclose(changed.density(hu), 0.7 * calibration.density(hu) - 0.02)
    twice = with_density_change(changed, scale=0.5)
    assert_allclose(twice.density(hu), 0.5 * (0.7 * calibration.density(hu) - 0.02))
    assert_allclose((twice.density_scale, twice.density_offset), (0.35, -0.01))
    assert "density changed: times 0.7, -20 mg/cm3" in changed.describe()
    assert with_density_change(calibration) == calibration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: scaled(c, 0.0), "slope_factor 0"),
        (lambda c: scaled(with_density_change(c, 0.7), 1.2), "changed already"),
        (lambda c: scaled(identity_calibration("g/cm3", kind="rho_ha"), 1.2), "no slope to scale"),
        (lambda c: with_density_change(c, -0.5), "density_scale -0.5"),
        (lambda c: with_density_change(c, 1.0, -30.0), "density_offset -30"),
    ],
)
def test_changes_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        change(slope_calibration(0.8e-3, kind="rho_qct", assumed=True))


@pytest.mark.data
def test_fat_and_back_muscle_of_the_lumbar_scan_give_a_slope_of_the_usual_size(data_dir):
    ct = read_volume(data_dir / "ct_lumbar_3mm" / "ct.nii.gz")
    fat = TissueSample("fat", box_mm=((18.0, -51.0, 229.0), (32.0, -38.0, 241.0)))  # under the skin of the back
    muscle = TissueSample("muscle", box_mm=((-51.0, -63.0, 400.0), (-37.0, -50.0, 412.0)))  # right of T12

    calibration = tissue_calibration(ct, [fat, muscle], kind="rho_ha")

    assert_allclose(calibration.points[0].hu, -100.0, atol=10.0)  # the fat peak in the data's own description
    # 0.7 to 0.9 mg/cm3 per HU is usual at 120 kVp; fat and muscle together leave the slope open by a fifth
    assert 0.7e-3 / 1.2 < calibration.slope < 0.9e-3 * 1.2
    contrast = TissueSample(
        "blood", box_mm=((-66.0, -96.0, 222.0), (-52.0, -82.0, 236.0)), density_g_cm3=0.05, source="x"
    )
    with pytest.raises(InputError, match="contrast agent"):
        tissue_calibration(ct, [fat, contrast], kind="rho_ha")
