"""The mixing rule against sums written out by hand, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.bone.conversions import les1994_qct_to_ash, schileo2008_ash_to_app
from fesolver.bone.laws import bone_law
from fesolver.bone.materials import BoneMaterial, FibreReinforced, Isotropic, TransverselyIsotropic, default_materials
from fesolver.bone.mixing import mix_elasticity
from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.fem.hooke import elasticity_matrices, isotropic_elasticity, rotate_elasticity

STEEL, RUBBER = Isotropic(8040.0, 0.3), Isotropic(1.0, 0.499)


def region(cells: list[int], fraction: list[float]) -> Region:
    return Region(np.array(cells, dtype=np.int64), np.array(fraction))


def tissue_of(density: list[float], **regions: Region) -> Tissue:
    named = {name.replace("__", "/"): value for name, value in regions.items()}
    return Tissue(np.array(density), "rho_qct", named)


def test_a_pure_cell_keeps_the_constants_of_its_material_bit_for_bit():
    tissue = tissue_of([0, 0], L1__cortical=region([0], [1.0]), L1__nucleus=region([1], [1.0]))

    elasticity, _ = mix_elasticity(tissue, {"cortical": STEEL, "nucleus": RUBBER})

    assert_array_equal(elasticity.young, [8040.0, 1.0])
    assert_array_equal(elasticity.poisson, [0.3, 0.499])
    assert len(elasticity.general_cells) == 0


def test_a_layer_thinner_than_a_cell_adds_its_thickness_over_the_cell():
    thickness, height, rho = 0.35, 1.5, 0.12
    f = thickness / height
    tissue = tissue_of([rho], L1__cortical=region([0], [f]), L1__trabecular=region([0], [1 - f]))

    elasticity, report = mix_elasticity(tissue, default_materials())

    assert_allclose(elasticity.young, f * 8040 + (1 - f) * 2980 * rho**1.05, rtol=1e-14)
    assert elasticity.poisson[0] == 0.3
    assert report.fraction_mixed == 1.0


def test_isotropic_materials_of_different_poisson_ratio_mix_as_matrices():
    tissue = tissue_of([0], L1__cortical=region([0], [0.3]), L1__nucleus=region([0], [0.7]))
    expected = 0.3 * isotropic_elasticity(8040.0, 0.3) + 0.7 * isotropic_elasticity(1.0, 0.499)

    elasticity, _ = mix_elasticity(tissue, {"cortical": STEEL, "nucleus": RUBBER})

    assert_allclose(elasticity_matrices(elasticity)[0], expected, rtol=1e-12)


def test_the_mix_lies_between_the_bounds_of_voigt_and_reuss_in_every_direction():
    tissue = tissue_of([0], L1__cortical=region([0], [0.3]), L1__nucleus=region([0], [0.7]))
    elasticity, _ = mix_elasticity(tissue, {"cortical": STEEL, "nucleus": RUBBER})
    reuss = np.linalg.inv(
        0.3 * np.linalg.inv(isotropic_elasticity(8040.0, 0.3)) + 0.7 * np.linalg.inv(isotropic_elasticity(1.0, 0.499))
    )

    assert np.linalg.eigvalsh(elasticity_matrices(elasticity)[0] - reuss).min() > 0.0


def test_fibres_enter_in_the_axes_of_their_cell():
    fibres = FibreReinforced(Isotropic(4.2, 0.45), 473.6, 0.16, 30.0)
    turn = np.linalg.qr(np.array([[1.0, 2, 0.5], [-1, 1, 3], [0.3, -2, 1]]))[0]
    turn *= np.sign(np.linalg.det(turn))
    tissue = replace(
        tissue_of([0, 0], **{"L1-L2__annulus": region([0, 1], [1.0, 1.0])}),
        axes={"L1-L2/annulus": np.array([np.eye(3), turn])},
    )
    ground = isotropic_elasticity(4.2, 0.45)

    elasticity, report = mix_elasticity(tissue, {"annulus": fibres})

    assert_array_equal(elasticity.general_cells, [0, 1])
    assert_allclose(elasticity.general_matrices[0], ground + fibres.fibre_matrix(), rtol=1e-12)
    expected = ground + rotate_elasticity(fibres.fibre_matrix(), turn)
    assert_allclose(elasticity.general_matrices[1], expected, atol=1e-12 * np.abs(expected).max())
    assert any("fibres" in note for note in report.notes)


def test_an_anisotropic_part_shares_a_cell_with_an_isotropic_one():
    rho = 0.1
    tissue = tissue_of([rho], L1__trabecular=region([0], [0.75]), L1__cortical=region([0], [0.25]))
    bone = BoneMaterial(bone_law("crawford2003"))
    young_z = -34.7 + 3230 * rho

    elasticity, _ = mix_elasticity(tissue, {"trabecular": bone, "cortical": STEEL})

    expected = 0.75 * young_z * bone.unit_matrix() + 0.25 * isotropic_elasticity(8040.0, 0.3)
    assert_allclose(elasticity.general_matrices[0], expected, rtol=1e-12)
    assert_allclose(elasticity.young, 1 / np.linalg.inv(expected)[2, 2], rtol=1e-12)


def test_transversely_isotropic_bone_without_axes_stands_along_z():
    material = TransverselyIsotropic(300.0, 100.0, 47.1, 0.381, 0.104)
    elasticity, _ = mix_elasticity(tissue_of([0], L1__trabecular=region([0], [1.0])), {"trabecular": material})

    compliance = np.linalg.inv(elasticity.general_matrices[0])
    assert_allclose([1 / compliance[0, 0], 1 / compliance[2, 2]], [100.0, 300.0], rtol=1e-12)


def test_a_full_region_name_wins_over_its_kind():
    tissue = tissue_of([0, 0], **{"L1-L2__nucleus": region([0], [1.0]), "L2-L3__nucleus": region([1], [1.0])})

    elasticity, report = mix_elasticity(tissue, {"nucleus": RUBBER, "L1-L2/nucleus": Isotropic(2.0, 0.49)})

    assert_array_equal(elasticity.young, [2.0, 1.0])
    assert report.materials["L1-L2/nucleus"] == Isotropic(2.0, 0.49)


def test_the_order_of_a_mapping_does_not_change_a_bit():
    rng = np.random.default_rng(0)
    f = rng.dirichlet(np.ones(4), size=50)
    names = ["L1/trabecular", "L1/cortical", "L1/superior_endplate", "L1/cement"]
    cells = np.arange(50)
    regions = {name: Region(cells, f[:, i]) for i, name in enumerate(names)}
    density = rng.uniform(0, 0.3, 50)
    forward = mix_elasticity(Tissue(density, "rho_qct", regions), default_materials())[0]
    backward = mix_elasticity(
        Tissue(density, "rho_qct", dict(reversed(regions.items()))), dict(reversed(default_materials().items()))
    )[0]

    assert_array_equal(forward.young, backward.young)


def test_the_report_gives_mass_and_volume_shares_of_what_was_floored_and_extrapolated():
    tissue = tissue_of(
        [-0.02, 0.1, 0.4, 0.5],
        L1__trabecular=region([0, 1, 2, 3], [1.0, 1.0, 1.0, 0.5]),
        L1__cortical=region([3], [0.5]),
    )
    volumes = np.array([1.0, 2.0, 3.0, 4.0])

    elasticity, report = mix_elasticity(tissue, default_materials(), volumes=volumes)

    assert_allclose(report.bone_mass_g, (-0.02 * 1 + 0.1 * 2 + 0.4 * 3 + 0.5 * 4) / 1000, rtol=1e-14)
    assert_allclose(report.bone_volume_mm3, 8.0)
    assert_allclose(report.fraction_floored, 1 / 8)
    assert_allclose(report.fraction_above, 3 / 8)  # the cell beside the shell is capped, not extrapolated
    assert_allclose(report.fraction_capped, 2 / 8)
    assert_allclose(elasticity.young[3], 0.5 * 8040 + 0.5 * 2980 * 0.30**1.05, rtol=1e-14)
    assert_allclose(elasticity.young[2], 2980 * 0.4**1.05, rtol=1e-14)
    assert any("extrapolated" in note for note in report.notes)
    assert_allclose(report.region_young["L1/trabecular"][1], 2980 * 0.1**1.05, rtol=1e-14)


def test_named_conversions_stand_between_the_tissue_and_its_law():
    tissue = tissue_of([0.08], L1__trabecular=region([0], [1.0]))
    bone = BoneMaterial(bone_law("morgan2003"), conversions=(les1994_qct_to_ash, schileo2008_ash_to_app))

    elasticity, _ = mix_elasticity(tissue, {"trabecular": bone})

    assert_allclose(elasticity.young, 543, atol=0.5)  # the published chain, rounded to 1 MPa


def test_a_law_of_another_kind_is_refused_with_its_converters():
    tissue = tissue_of([0.08], L1__trabecular=region([0], [1.0]))

    with pytest.raises(InputError, match="convert explicitly: les1994"):
        mix_elasticity(tissue, {"trabecular": BoneMaterial(bone_law("morgan2003"))})


def test_fractions_that_leave_a_gap_are_refused_with_the_place():
    tissue = tissue_of([0, 0], L1__cortical=region([0, 1], [1.0, 0.4]))

    with pytest.raises(InputError, match=r"do not sum to 1.*\n.*cell 1 at \(4\.0, 5\.0, 6\.0\) mm in L1/cortical"):
        mix_elasticity(tissue, {"cortical": STEEL}, centroids=np.array([[1.0, 2, 3], [4, 5, 6]]))


def test_a_density_that_is_not_finite_is_refused_with_the_place():
    tissue = tissue_of([0.1, np.nan], L1__trabecular=region([0, 1], [1.0, 1.0]))

    with pytest.raises(InputError, match=r"not finite\n.*cell 1 in L1/trabecular"):
        mix_elasticity(tissue, default_materials())


def test_bone_without_stiffness_and_without_floor_is_refused_with_the_place():
    tissue = tissue_of([0.1, 0.0], L1__trabecular=region([0, 1], [1.0, 1.0]))

    with pytest.raises(InputError, match=r"no stiffness.*\n.*cell 1"):
        mix_elasticity(tissue, {"trabecular": BoneMaterial(floor_mpa=0.0)})


def test_fibres_without_axes_are_refused():
    tissue = tissue_of([0], **{"L1-L2__annulus": region([0], [1.0])})

    with pytest.raises(InputError, match="no axes"):
        mix_elasticity(tissue, default_materials())


def test_a_region_without_a_material_is_refused_by_name():
    tissue = tissue_of([0], L1__implant=region([0], [1.0]))

    with pytest.raises(InputError, match="L1/implant has no material"):
        mix_elasticity(tissue, default_materials())


def test_axes_that_are_not_orthonormal_are_refused():
    tissue = replace(
        tissue_of([0], **{"L1-L2__annulus": region([0], [1.0])}), axes={"L1-L2/annulus": 2.0 * np.eye(3)[None]}
    )

    with pytest.raises(InputError, match="not orthonormal"):
        mix_elasticity(tissue, default_materials())
