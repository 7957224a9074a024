"""Annulus layers: their mean, their order, their angles, and what the mixing rule makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.materials import ANNULUS_FIBRE_LAYERS, Isotropic, LayeredFibres, mean_fibre_modulus
from fesolver.bone.mixing import mix_elasticity
from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.fem.hooke import elasticity_matrices, isotropic_elasticity, rotate_elasticity

ANNULUS = LayeredFibres(Isotropic(4.2, 0.45), angle_outer_deg=25.0, angle_inner_deg=45.0)


def annulus_tissue(depth: list[float]) -> Tissue:
    k = len(depth)
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return Tissue(
        np.zeros(k),
        "rho_qct",
        {"L1-L2/annulus": Region(np.arange(k), np.ones(k))},
        {"L1-L2/annulus": np.broadcast_to(turn, (k, 3, 3))},
        {"L1-L2/annulus": np.array(depth)},
    )


def test_layers_of_equal_volume_hold_the_mean_fibre_stiffness():
    layers = [ANNULUS.layer(n) for n in range(ANNULUS.n_layers)]

    mean = np.mean([layer.volume_fraction * layer.fibre_young_mpa for layer in layers])

    assert_allclose(mean, 0.16 * mean_fibre_modulus(), rtol=1e-14)
    assert_allclose(np.mean([layer.volume_fraction for layer in layers]), 0.16, rtol=1e-14)


def test_the_outermost_layer_is_the_first_and_angles_change_inwards():
    assert ANNULUS.at(1.0).fibre_young_mpa == ANNULUS_FIBRE_LAYERS[0][0] == 550.0
    assert ANNULUS.at(0.0).fibre_young_mpa == ANNULUS_FIBRE_LAYERS[-1][0] == 358.0
    assert [ANNULUS.at(depth).angle_deg for depth in (1.0, 0.0)] == [25.0, 45.0]
    assert ANNULUS.layer_of([0.0, 0.24, 0.26, 0.74, 0.76, 1.0]).tolist() == [3, 3, 2, 1, 0, 0]


def test_each_cell_takes_the_stiffness_of_its_own_layer_in_its_own_axes():
    tissue = annulus_tissue([0.9, 0.1])

    elasticity, _ = mix_elasticity(tissue, {"annulus": ANNULUS})

    for cell, number in ((0, 0), (1, 3)):
        fibres = rotate_elasticity(ANNULUS.layer(number).fibre_matrix(), tissue.axes["L1-L2/annulus"][cell])
        assert_allclose(elasticity_matrices(elasticity)[cell], isotropic_elasticity(4.2, 0.45) + fibres, rtol=1e-12)


@pytest.mark.parametrize("depth", [{}, {"L1-L2/annulus": np.array([0.5])}, {"L1-L2/annulus": np.array([0.5, 1.5])}])
def test_a_tissue_that_does_not_say_which_layer_is_refused(depth):
    tissue = replace(annulus_tissue([0.9, 0.1]), depth=depth)

    with pytest.raises(InputError, match=r"fibre layers, but the tissue does not say"):
        mix_elasticity(tissue, {"annulus": ANNULUS})


@pytest.mark.parametrize("layers", [(), ((-1.0, 0.5),), ((500.0, 0.0),), ((float("nan"), 1.0),)])
def test_layers_without_a_modulus_or_a_cross_section_are_refused(layers):
    with pytest.raises(InputError):
        LayeredFibres(Isotropic(4.2, 0.45), layers=layers)
