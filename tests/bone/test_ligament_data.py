"""Ligament and fibre tables: the published numbers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.fibre_layers import (
    FIBRE_LAYERS_OF_EIGHT,
    FIBRE_LAYERS_OF_SIX,
    fibre_families,
    without_fibres,
)
from fesolver.bone.ligaments import (
    FLAVUM_RESTING_TENSION_N,
    LIGAMENT_SETS,
    LIGAMENTS,
    BilinearLigament,
    SpringLigament,
    ligaments,
    tension_prestrain,
)
from fesolver.bone.materials import DEFAULT_ANNULUS, Isotropic, LayeredFibres
from fesolver.errors import InputError

# BMC Musculoskelet Disord 2013;14:220, table 1: E1, E2 (MPa), switch strain, area (mm2).
PUBLISHED = {
    "anterior_longitudinal": (7.8, 20.0, 0.12, 63.7),
    "posterior_longitudinal": (10.0, 20.0, 0.11, 20.0),
    "ligamentum_flavum": (15.0, 19.0, 0.062, 40.0),
    "capsular": (7.5, 33.0, 0.25, 30.0),
    "intertransverse": (10.0, 59.0, 0.18, 1.8),
    "interspinous": (10.0, 12.0, 0.14, 40.0),
    "supraspinous": (8.0, 15.0, 0.20, 30.0),
}


def test_the_default_set_is_the_published_table():
    table = ligaments()

    assert tuple(table) == LIGAMENTS == tuple(PUBLISHED)
    for name, numbers in PUBLISHED.items():
        entry = table[name]
        assert isinstance(entry, BilinearLigament)
        assert (*entry.young_mpa, entry.switch_strain, entry.area_mm2) == numbers


def test_every_set_names_its_sources_and_its_ligaments():
    for table in LIGAMENT_SETS.values():
        assert set(table) <= set(LIGAMENTS)
        for name, entry in table.items():
            assert entry.name == name
            assert entry.source
            assert entry.standing
    assert ligaments("bilinear_larger")["capsular"].area_mm2 == 60.0
    assert ligaments("springs")["supraspinous"].stiffness_n_per_mm == 3.82


def test_moduli_areas_and_lengths_make_the_stiffnesses_that_both_papers_print_for_some():
    table = ligaments("springs_moduli")
    # E A / L rounds to the printed value for these; see the notes of `ligaments` for the others.
    for name, printed in (("anterior_longitudinal", 8.74), ("posterior_longitudinal", 5.83), ("supraspinous", 3.82)):
        assert table[name].stiffness_n_per_mm == pytest.approx(printed, abs=0.005)
        assert ligaments("springs")[name].stiffness_n_per_mm == printed


def test_a_resting_tension_becomes_the_prestrain_that_carries_it():
    flavum = ligaments()["ligamentum_flavum"]
    for tension in (0.0, FLAVUM_RESTING_TENSION_N["old"], 50.0):
        eps = tension_prestrain(flavum, tension)
        carried = 40.0 * (15.0 * min(eps, 0.062) + 19.0 * max(eps - 0.062, 0.0))
        assert carried == pytest.approx(tension, rel=1e-12)
    with pytest.raises(InputError, match="cannot carry"):
        tension_prestrain(flavum, -1.0)


def test_bad_ligaments_are_refused():
    with pytest.raises(InputError, match="unknown set"):
        ligaments("bilinaer")
    with pytest.raises(InputError, match="unknown ligament"):
        SpringLigament("cruciate", 1.0)
    with pytest.raises(InputError, match="0 or more"):
        BilinearLigament("capsular", (7.5, -33.0), 0.25, 30.0)
    with pytest.raises(InputError, match="0 or more"):
        BilinearLigament("capsular", (7.5, 33.0), 0.25, -30.0)
    with pytest.raises(InputError, match="switch strain"):
        BilinearLigament("capsular", (7.5, 33.0), 0.0, 30.0)
    with pytest.raises(InputError, match="0 or more"):
        SpringLigament("capsular", -1.0)


def test_families_are_those_of_the_homogenised_layers():
    layered = LayeredFibres(Isotropic(4.2, 0.45), angle_outer_deg=25.0, angle_inner_deg=45.0)
    depth = np.array([0.99, 0.6, 0.4, 0.01])

    families = fibre_families(layered, 4, depth)

    assert families.young.tolist() == [550.0, 495.0, 413.0, 358.0]
    for i, place in enumerate(depth):
        layer, total = layered.at(place), np.zeros((6, 6))
        for x, y, z in families.directions[i]:
            v = np.array([x * x, y * y, z * z, y * z, x * z, x * y])
            total += families.young[i] * families.volume_fraction[i] * np.outer(v, v)
        assert_allclose(total, layer.fibre_matrix(), rtol=1e-13, atol=1e-13)


def test_tables_of_six_and_eight_layers_hold_the_published_moduli_outside_in():
    assert [young for young, _ in FIBRE_LAYERS_OF_EIGHT] == [550.0, 495.0, 413.0, 358.0]
    assert [young for young, _ in FIBRE_LAYERS_OF_SIX] == [550.0, 495.0, 440.0, 420.0, 385.0, 360.0]
    six = LayeredFibres(Isotropic(4.2, 0.45), layers=FIBRE_LAYERS_OF_SIX)
    mean = np.mean([six.layer(n).volume_fraction for n in range(6)])
    assert mean == pytest.approx(0.16, rel=1e-14)


def test_layers_without_a_depth_and_materials_without_fibres_are_refused():
    layered = LayeredFibres(Isotropic(4.2, 0.45))
    for depth in (None, [0.5], [0.5, 1.5]):
        with pytest.raises(InputError, match="no depth"):
            fibre_families(layered, 2, depth)
    assert without_fibres(layered) == layered.ground == DEFAULT_ANNULUS.ground == without_fibres(DEFAULT_ANNULUS)
    with pytest.raises(InputError, match="no fibres"):
        without_fibres(Isotropic(1.0, 0.3))
