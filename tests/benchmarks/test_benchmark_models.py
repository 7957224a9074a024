"""The models that benchmarks solve are those that their descriptions promise."""

from __future__ import annotations

import numpy as np
from _models import VoxelModel, heterogeneous_block, trabecular_network, vertebra_between_pads
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage


def test_block_has_a_shell_around_lognormal_moduli():
    young = heterogeneous_block(32).young_mpa
    inside = young[2:-2, 2:-2, 4:-4]  # away from the ends, where the filter's mirror raises the variance

    for side in (young[:2], young[-2:], young[:, :2], young[:, -2:]):
        assert_allclose(side, 8000.0, rtol=1e-7)
    # 28 x 28 x 24 correlated values: the mean of the logarithm within some 0.1, its deviation a little below 1
    assert_allclose(np.log(inside / 300.0).mean(), 0.0, atol=0.3)
    assert 0.7 < np.log(inside / 300.0).std() < 1.05


def test_network_is_one_piece_from_end_to_end_and_the_same_for_the_same_seed():
    model = trabecular_network(64)
    solid = model.young_gpa > 0

    assert ndimage.label(solid)[1] == 1
    assert solid[:, :, 0].any()
    assert solid[:, :, -1].any()
    assert 0.10 < solid.mean() < 0.20
    assert_allclose(model.young_gpa[solid], 10.0)
    assert_array_equal(model.young_gpa, trabecular_network(64).young_gpa)
    assert np.any(model.young_gpa != trabecular_network(64, seed=2).young_gpa)


def test_struts_of_the_network_are_three_to_four_cells_thick():
    solid = np.pad(trabecular_network(64).young_gpa > 0, 1)
    faces = sum(np.count_nonzero(np.diff(solid.astype(np.int8), axis=axis)) for axis in range(3))
    # Faces of the stairs around a smooth surface of every direction are 3/2 of its area.
    thickness = 4.0 * solid.sum() / (faces * 2.0 / 3.0)

    assert 3.0 < thickness < 4.0


def test_vertebra_stands_between_whole_pads_in_air():
    model = vertebra_between_pads(3.0)
    young = model.young_mpa
    is_pmma = np.isclose(young, 2500.0)
    is_air = np.isclose(young, 1e-4)

    assert np.all(is_pmma | is_air | ((young > 10.0) & (young < 2500.0)))
    for end in (0, -1):
        assert is_pmma[:, :, end].any()
        assert np.all(is_pmma[:, :, end] | is_air[:, :, end])
    columns = is_pmma[:, :, 0] & is_pmma[:, :, -1]
    over_bone = (~is_pmma & ~is_air).any(axis=2)
    assert np.all(columns[over_bone])
    # No hollow between pad and bone: no air in the column through the middle.
    middle = tuple(n // 2 for n in young.shape[:2])
    assert not is_air[middle].any()


def test_saved_model_comes_back_and_its_numbers_are_those_a_float32_file_holds(tmp_path):
    model = heterogeneous_block(5)
    model.save(tmp_path / "model.npz")
    back = VoxelModel.load(tmp_path / "model.npz")

    assert_array_equal(back.young_gpa, model.young_gpa)
    assert back.describe() == model.describe()
    assert float(np.float32(model.top_mm)) == model.top_mm
    assert_array_equal((model.young_mpa / 1000.0).astype(np.float32), model.young_gpa)
    assert model.describe()["n_dof"] == 3 * 6**3
