"""Cement: the volume asked for, where it goes, what it replaces, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.bone.materials import default_materials
from fesolver.bone.mixing import mix_elasticity
from fesolver.bone.tissue import Region
from fesolver.errors import InputError
from fesolver.meshing.regions import cell_centroids, cell_volumes, region_volume
from fesolver.treatment.cement import CementPlan, inject_cement

TRABECULAR_ML = (40 * 30 * 24 - 2 * 0.35 * 40 * 30) / 1000.0  # the fixture's brick less its two endplates


def local_cement(mesh):
    region = mesh.regions["L1/cement"]
    return mesh.frames["L1"].to_local(cell_centroids(mesh)[region.cells]), region.fraction


def total_fraction(regions, n_cells):
    return np.sum([region.dense(n_cells) for region in regions.values()], axis=0)


@pytest.mark.parametrize("approach", ["bipedicular", "unipedicular_left", "unipedicular_right"])
@pytest.mark.parametrize("volume_ml", [0.004, 0.5, 3.5, 6.0, 20.0])
def test_the_volume_asked_for_is_placed_within_one_percent(body, approach, volume_ml):
    mesh, tissue = body

    treated, changed, report = inject_cement(mesh, tissue, CementPlan("L1", volume_ml, approach))

    volume = region_volume(treated, "L1/cement") / 1000.0
    assert_allclose(volume, volume_ml, rtol=1e-4)  # only slivers below 1e-6 of a cell are lost
    assert_allclose(report.placed_ml, volume, rtol=1e-12)
    assert changed.regions.keys() == treated.regions.keys()


def test_cement_replaces_trabecular_bone_and_nothing_else(body):
    mesh, tissue = body
    n = len(mesh.cells)

    treated, changed, _ = inject_cement(mesh, tissue, CementPlan("L1", 12.0))

    for regions in (treated.regions, changed.regions):
        assert_allclose(total_fraction(regions, n), 1.0, atol=1e-12)
        before = tissue.regions["L1/trabecular"].dense(n)
        left, cement = regions["L1/trabecular"].dense(n), regions["L1/cement"].dense(n)
        assert_allclose(left + cement, before, atol=1e-12)
        for name in ("L1/superior_endplate", "L1/inferior_endplate"):
            assert regions[name] is tissue.regions[name]
    assert changed.density is tissue.density
    assert np.all(np.diff(changed.regions["L1/cement"].cells) > 0)


def test_the_input_is_left_as_it_was(body):
    mesh, tissue = body
    fractions = {name: region.fraction.copy() for name, region in tissue.regions.items()}

    inject_cement(mesh, tissue, CementPlan("L1", 6.0))

    assert set(tissue.regions) == set(fractions)
    assert set(mesh.regions) == set(fractions)
    for name, fraction in fractions.items():
        assert_array_equal(tissue.regions[name].fraction, fraction)


def test_zero_ml_gives_back_the_very_same_objects(body):
    mesh, tissue = body

    same_mesh, same_tissue, report = inject_cement(mesh, tissue, CementPlan("L1", 0.0))

    assert same_mesh is mesh
    assert same_tissue is tissue
    assert report.placed_ml == 0.0
    assert report.fill_fraction == 0.0
    assert not report.touches_superior


def test_a_small_amount_at_a_point_is_a_ball_of_its_volume_around_it(body):
    mesh, tissue = body
    plan = CementPlan("L1", 2.0, "point", center_mm=(3.0, -2.0, 1.0))

    treated, _, report = inject_cement(mesh, tissue, plan)

    local, fraction = local_cement(treated)
    assert_allclose((fraction[:, None] * local).sum(axis=0) / fraction.sum(), plan.center_mm, atol=0.05)  # h / 40
    assert_allclose(report.centroid_mm, plan.center_mm, atol=0.05)
    radius = (3 * 2000.0 / (4 * np.pi)) ** (1 / 3)  # 7.8 mm
    assert_allclose(report.radius_mm, radius, atol=0.2)  # h / 10: the linear front against a sphere's
    full = np.linalg.norm(local[fraction == 1.0] - plan.center_mm, axis=1)
    assert full.max() <= radius + 0.1


def test_a_stretched_cloud_is_higher_than_wide(body):
    mesh, tissue = body
    plan = CementPlan("L1", 2.0, "point", center_mm=(0.0, 0.0, 0.0), axial_stretch=1.5)

    treated, _, _ = inject_cement(mesh, tissue, plan)

    local, fraction = local_cement(treated)
    spread = np.sqrt((fraction[:, None] * local**2).sum(axis=0) / fraction.sum())
    assert_allclose(spread[2] / spread[0], 1.5, rtol=0.05)  # second moments of an ellipsoid; 10 cells across
    assert_allclose(spread[1], spread[0], rtol=0.05)


def test_bipedicular_cement_is_symmetric_and_anterior(body):
    mesh, tissue = body

    treated, _, report = inject_cement(mesh, tissue, CementPlan("L1", 4.0))

    n = len(mesh.cells)
    cement = treated.regions["L1/cement"].dense(n).reshape(20, 15, 12)
    assert_allclose(cement, cement[::-1], atol=1e-9)
    assert report.tips_mm.shape == (2, 3)
    tips = mesh.frames["L1"].to_local(report.tips_mm)
    # 38 mm and 28 mm between outermost cell centres: a quarter of the width, a third of the depth from the front
    assert_allclose(tips, [[9.5, -14 + 28 / 3, 0.0], [-9.5, -14 + 28 / 3, 0.0]], atol=1e-9)
    assert_allclose(report.centroid_mm[[0, 2]], 0.0, atol=1e-6)
    assert report.centroid_mm[1] < -3.0


@pytest.mark.parametrize(("approach", "sign"), [("unipedicular_left", 1.0), ("unipedicular_right", -1.0)])
def test_one_needle_fills_the_named_side_of_the_patient(body, approach, sign):
    mesh, tissue = body

    _, _, report = inject_cement(mesh, tissue, CementPlan("L1", 2.0, approach))

    assert sign * report.centroid_mm[0] > 5.0  # x is the patient's left
    assert len(report.tips_mm) == 1


def test_the_side_follows_the_body_frame_and_not_the_mesh_axes(body):
    mesh, tissue = body
    turned = mesh.frames["L1"].axes[[1, 0, 2]] * np.array([[1.0], [-1.0], [1.0]])  # left is +y, posterior is -x
    mesh = replace(mesh, frames={"L1": replace(mesh.frames["L1"], axes=turned)})

    treated, _, report = inject_cement(mesh, tissue, CementPlan("L1", 1.0, "unipedicular_left"))

    tips = mesh.frames["L1"].to_local(report.tips_mm)
    assert_allclose(tips, [[28 / 4, -19 + 38 / 3, 0.0]], atol=1e-9)  # now 28 mm wide and 38 mm deep
    region = treated.regions["L1/cement"]
    centroid = np.average(cell_centroids(mesh)[region.cells], axis=0, weights=region.fraction) - [20.0, 15.0, 12.0]
    assert centroid[1] > 3.0  # left
    assert centroid[0] > 1.0  # anterior is -posterior = +x


def test_a_scanner_point_and_the_same_body_point_are_one_plan(body):
    mesh, tissue = body
    point = np.array([4.0, 3.0, -2.0])
    scanner = tuple(mesh.frame.to_parent(mesh.frames["L1"].to_parent(point)))

    one = inject_cement(mesh, tissue, CementPlan("L1", 1.0, "point", center_mm=tuple(point)))[0]
    two = inject_cement(mesh, tissue, CementPlan("L1", 1.0, "point", center_mm=scanner, center_frame="scanner"))[0]

    assert_array_equal(one.regions["L1/cement"].cells, two.regions["L1/cement"].cells)
    assert_allclose(one.regions["L1/cement"].fraction, two.regions["L1/cement"].fraction, atol=1e-9)


def test_a_mesh_without_a_lattice_is_filled_the_same(body):
    mesh, tissue = body

    one = inject_cement(mesh, tissue, CementPlan("L1", 3.0))[0].regions["L1/cement"]
    two = inject_cement(replace(mesh, lattice=None), tissue, CementPlan("L1", 3.0))[0].regions["L1/cement"]

    assert_array_equal(one.cells, two.cells)
    assert_allclose(one.fraction, two.fraction, atol=1e-9)


def test_more_cement_never_takes_cement_away_from_a_cell(body):
    mesh, tissue = body
    n = len(mesh.cells)
    fills = [
        inject_cement(mesh, tissue, CementPlan("L1", ml))[0].regions["L1/cement"].dense(n) for ml in (2.0, 4.0, 8.0)
    ]

    assert np.all(fills[1] >= fills[0] - 1e-12)
    assert np.all(fills[2] >= fills[1] - 1e-12)


def test_a_volume_that_does_not_fit_is_refused_with_the_largest_that_would(body):
    mesh, tissue = body

    with pytest.raises(InputError, match=f"at most {np.floor(1000 * TRABECULAR_ML) / 1000:.3f} ml"):
        inject_cement(mesh, tissue, CementPlan("L1", TRABECULAR_ML + 0.01))


def test_the_largest_volume_that_fits_takes_all_trabecular_bone(body):
    mesh, tissue = body

    treated, _, report = inject_cement(mesh, tissue, CementPlan("L1", TRABECULAR_ML - 1e-6))

    assert_allclose(report.placed_ml, TRABECULAR_ML, rtol=1e-4)
    assert_allclose(report.fill_fraction, TRABECULAR_ML / 28.8, rtol=1e-4)  # 40 x 30 x 24 mm are 28.8 ml
    assert report.touches_superior
    assert report.touches_inferior
    assert "L1/superior_endplate" in treated.regions


def test_the_distance_to_the_endplates_is_reported_and_closes_with_volume(body):
    mesh, tissue = body
    small = inject_cement(mesh, tissue, CementPlan("L1", 1.0, "point", center_mm=(0.0, 0.0, 4.0)))[2]
    radius = (3 * 1000.0 / (4 * np.pi)) ** (1 / 3)  # 6.2 mm: 1.8 mm of bone and endplate are left above it

    assert_allclose(small.distance_superior_mm, 12 - 4 - radius, atol=0.5)  # a quarter of a cell
    assert_allclose(small.distance_inferior_mm, 12 + 4 - radius, atol=0.5)
    assert not small.touches_superior

    large = inject_cement(mesh, tissue, CementPlan("L1", 4.0, "point", center_mm=(0.0, 0.0, 4.0)))[2]

    assert large.touches_superior
    assert_allclose(large.distance_superior_mm, 0.35, atol=1e-6)  # only the endplate itself is between
    assert not large.touches_inferior


def test_cement_that_was_there_stays_and_is_not_counted_as_placed(body):
    mesh, tissue = body
    mesh, tissue, first = inject_cement(mesh, tissue, CementPlan("L1", 2.0, "unipedicular_left"))

    mesh, tissue, second = inject_cement(mesh, tissue, CementPlan("L1", 3.0, "unipedicular_right"))

    assert_allclose(second.existing_ml, first.placed_ml, rtol=1e-9)
    assert_allclose(second.placed_ml, 3.0, rtol=1e-4)
    assert_allclose(region_volume(mesh, "L1/cement"), 5000.0, rtol=1e-4)
    assert_allclose(total_fraction(tissue.regions, len(mesh.cells)), 1.0, atol=1e-12)


def test_cement_enters_the_elasticity_with_its_fraction(body):
    mesh, tissue = body
    treated, changed, _ = inject_cement(mesh, tissue, CementPlan("L1", 6.0))
    before = mix_elasticity(tissue, default_materials())[0].young
    after = mix_elasticity(changed, default_materials())[0].young
    cement = treated.regions["L1/cement"].dense(len(mesh.cells))
    bone = 2980 * 0.1**1.05

    assert_allclose(after - before, cement * (2000.0 - bone), rtol=1e-9, atol=1e-9)


def test_axes_of_trabecular_bone_follow_the_cells_that_are_left(body):
    mesh, tissue = body
    axes = np.random.default_rng(1).normal(size=(len(mesh.cells), 3, 3))
    tissue = replace(tissue, axes={"L1/trabecular": axes})

    _, changed, _ = inject_cement(mesh, tissue, CementPlan("L1", 6.0))

    left = changed.regions["L1/trabecular"].cells
    assert len(left) < len(mesh.cells)
    assert_array_equal(changed.axes["L1/trabecular"], axes[left])


def test_a_point_outside_bone_is_refused_with_its_place(body):
    mesh, tissue = body

    with pytest.raises(InputError, match=r"outside the trabecular bone of L1.*\n.*\(0\.0, 25\.0, 0\.0\) mm"):
        inject_cement(mesh, tissue, CementPlan("L1", 1.0, "point", center_mm=(0.0, 25.0, 0.0)))


def test_a_level_that_is_not_in_the_mesh_is_refused(body):
    with pytest.raises(InputError, match="level L3 is not in the mesh"):
        inject_cement(*body, CementPlan("L3", 1.0))


def test_a_level_without_trabecular_bone_is_refused(body):
    mesh, tissue = body
    bone = tissue.regions["L1/trabecular"]
    regions = {
        **{name: region for name, region in tissue.regions.items() if name != "L1/trabecular"},
        "L1/cortical": Region(bone.cells, bone.fraction),
    }

    with pytest.raises(InputError, match="no trabecular bone"):
        inject_cement(replace(mesh, regions=regions), replace(tissue, regions=regions), CementPlan("L1", 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"volume_ml": -1.0}, "not negative"),
        ({"volume_ml": np.nan}, "finite"),
        ({"volume_ml": 1.0, "approach": "transoral"}, "unknown approach"),
        ({"volume_ml": 1.0, "approach": "point"}, "needs center_mm"),
        ({"volume_ml": 1.0, "center_mm": (0.0, 0.0, 0.0)}, "does not take center_mm"),
        ({"volume_ml": 1.0, "approach": "point", "center_mm": (0.0, 0.0)}, "three finite"),
        ({"volume_ml": 1.0, "center_frame": "mesh"}, "center_frame"),
        ({"volume_ml": 1.0, "axial_stretch": 0.0}, "axial_stretch"),
        ({"volume_ml": 1.0, "lateral_fraction": 0.5}, "lateral_fraction"),
        ({"volume_ml": 1.0, "depth_fraction": 1.0}, "depth_fraction"),
    ],
)
def test_a_plan_that_makes_no_sense_is_an_input_error(body, arguments, message):
    with pytest.raises(InputError, match=message):
        inject_cement(*body, CementPlan("L1", **arguments))


def test_the_brick_has_the_volume_the_expected_values_are_based_on(body):
    mesh, tissue = body

    assert_allclose(
        cell_volumes(mesh)[tissue.regions["L1/trabecular"].cells] @ tissue.regions["L1/trabecular"].fraction,
        TRABECULAR_ML * 1000.0,
        rtol=1e-12,
    )


def test_cement_beside_an_endplate_that_has_cells_of_its_own_touches_it():
    from fesolver.anatomy.column import build_column
    from fesolver.anatomy.density_fields import UniformDensity
    from fesolver.meshing.structured import mesh_column
    from fesolver.meshing.structured_tissue import structured_tissue

    made = mesh_column(build_column(["L1"]), refinement=0.5)
    tissue = structured_tissue(made, UniformDensity(0.1))
    bone = tissue.regions["L1/trabecular"]
    most = float(np.sum(bone.fraction * cell_volumes(made.mesh)[bone.cells])) / 1000.0

    small = inject_cement(made.mesh, tissue, CementPlan("L1", 1.0))[2]
    large = inject_cement(made.mesh, tissue, CementPlan("L1", most - 1e-3))[2]

    assert (small.touches_superior, small.touches_inferior) == (False, False)
    assert (large.touches_superior, large.touches_inferior) == (True, True)
