"""Tetrahedra as the third path of the study of one parametric segment, at coarse sizes, and what it recorded."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.fem.hooke import isotropic_elasticity
from fesolver.fem.problem import Elasticity
from fesolver.loading.pads import TOP

STUDY = Path(__file__).resolve().parents[2] / "studies" / "structured_vs_voxel"
sys.path.insert(0, str(STUDY))

from compared_models import BARE, BODY, SEGMENT, structured  # noqa: E402
from compared_quantities import quantities, region_volumes  # noqa: E402
from tet_models import from_hexahedra, from_surfaces, tetrahedra  # noqa: E402
from tet_report import straight_limit, tet_rows_of  # noqa: E402

needs_gmsh = pytest.mark.skipif(importlib.util.find_spec("pygmsh") is None, reason="needs pygmsh")
DISPLACEMENT_GRADIENT = np.array([[1.1, 0.2, -0.4], [0.7, -0.6, 0.3], [-0.2, 0.5, -2.3]]) * 1e-3
"""Not symmetric: nothing can cancel."""


@pytest.fixture(scope="module")
def hexahedra():
    return structured(BODY, 0.5)


@pytest.fixture(scope="module")
def cut_up():
    return from_hexahedra(BODY, 0.5)


@pytest.fixture(scope="module")
def coarse_tets():
    return tetrahedra(BODY, 4.0, "tet10")


def _uniformly_strained(solved):
    """The same model of one isotropic material under a uniform strain, and its stress."""
    n, young, poisson = len(solved.mesh.cells), 300.0, 0.3
    strain = 0.5 * (DISPLACEMENT_GRADIENT + DISPLACEMENT_GRADIENT.T)
    x, y, z = np.diag(strain)
    stress = isotropic_elasticity(young, poisson) @ [x, y, z, 2 * strain[1, 2], 2 * strain[0, 2], 2 * strain[0, 1]]
    changed = replace(
        solved,
        problem=replace(solved.problem, elasticity=Elasticity(np.full(n, young), np.full(n, poisson))),
        solution=replace(solved.solution, u=solved.mesh.points @ DISPLACEMENT_GRADIENT.T),
        region_young={name: np.full(len(r.cells), young) for name, r in solved.mesh.regions.items()},
    )
    return changed, stress


def _stiffness(solved):
    """N/mm."""
    return solved.force_n / -float(solved.solution.rigid_motion[TOP][2])


@pytest.mark.long
@needs_gmsh
@pytest.mark.tet
def test_uniform_stress_on_tetrahedra_gives_its_own_area_and_von_mises(coarse_tets):
    solved, (xx, yy, zz, yz, xz, xy) = _uniformly_strained(coarse_tets)
    found = quantities(solved)

    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    deviator = tensor - np.trace(tensor) / 3.0 * np.eye(3)
    equivalent = np.sqrt(1.5 * np.sum(deviator**2))
    for side in ("superior", "inferior"):
        normal = solved.mesh.frame.vectors_to_local(getattr(solved.shape.bodies[0].vertebra, f"{side}_normal"))
        plate = solved.mesh.surfaces[f"L1/{side}_endplate"]
        seen = (plate.areas[:, None] * plate.normals).sum(axis=0)
        assert found[f"L1/{side}_endplate area_mm2"] == pytest.approx(seen @ normal, rel=1e-9)
        for depth in (2, 3):
            assert found[f"L1/{side}_endplate von_mises_{depth}mm_mpa"] == pytest.approx(equivalent, rel=1e-9)
            mean = found[f"L1/{side}_endplate normal_stress_{depth}mm_mpa"]
            assert mean == pytest.approx(normal @ tensor @ normal, rel=1e-9)


@pytest.mark.long
@needs_gmsh
@pytest.mark.tet
def test_uniform_pressure_on_tetrahedra_is_its_own_traction_off_the_rim(coarse_tets):
    solved, _ = _uniformly_strained(coarse_tets)
    found = quantities(replace(solved, solution=replace(solved.solution, u=-1e-3 * solved.mesh.points)))

    for side in ("superior", "inferior"):
        # 3 K times the strain; K = 300 / (3 (1 - 0.6)) MPa.
        assert found[f"L1/{side}_endplate centre traction_mpa"] == pytest.approx(-0.75, rel=1e-9)


@pytest.mark.long
@needs_gmsh
@pytest.mark.tet
def test_layers_under_endplates_hold_the_same_bone_in_tetrahedra(coarse_tets):
    found = quantities(coarse_tets)
    expected = json.loads((STUDY / "results.json").read_text())["L1 hex8 0.25 0/1"]["values"]

    for side in ("superior", "inferior"):
        for depth, thickness in ((2, 1.0), (3, 2.0)):
            name = f"L1/{side}_endplate layer_{depth}mm_mm3"
            # Chords of 4 mm over a hollow of 30 mm radius stand off by 4^2 / 16 / 30 = 0.03 mm on the mean, and
            # middles of 64 parts of cells tell 0.05 mm; both of the thickness of the layer.
            assert found[name] == pytest.approx(expected[name], rel=0.08 / thickness), name


def test_hexahedra_cut_into_tetrahedra_keep_their_regions(cut_up, hexahedra):
    cut, whole = region_volumes(cut_up.mesh), region_volumes(hexahedra.mesh)

    assert sorted(cut) == sorted(whole)
    # Faces of hexahedra are not flat: cut, they stand on one side or the other.
    assert_allclose([cut[name] for name in whole], list(whole.values()), rtol=0.01)
    assert sum(cut.values()) == pytest.approx(sum(whole.values()), rel=2e-3)


def test_tetrahedra_that_conform_to_the_layers_have_the_stiffness_of_hexahedra(cut_up, hexahedra):
    # The study's own steps from refinement 1/2 to the limit: tet10 -0.3 %, hex8 +1.5 %.
    assert _stiffness(cut_up) == pytest.approx(_stiffness(hexahedra), rel=0.025)


@pytest.mark.long
@needs_gmsh
@pytest.mark.tet
def test_without_layers_coarse_tetrahedra_have_the_stiffness_of_hexahedra():
    # In the study refinement 1 is 0.1 % and tetrahedra of 4 mm 0.2 % under the limit of 16,905 N/mm.
    assert _stiffness(tetrahedra(BARE, 4.0, "tet10")) == pytest.approx(_stiffness(structured(BARE, 1.0)), rel=0.005)


@pytest.mark.long
@needs_gmsh
@pytest.mark.tet
def test_cells_that_straddle_layers_make_coarse_tetrahedra_too_stiff(coarse_tets, hexahedra):
    # Mixed cells take the mean of the moduli, an upper bound: in the study 11 % over the limit at 4 mm;
    # hexahedra of refinement 1/2 are 1.5 % over it.
    assert 1.05 < _stiffness(coarse_tets) / _stiffness(hexahedra) < 1.15


def test_a_straight_line_through_resolved_sizes_finds_its_end():
    limit, residual = straight_limit({3.0: 99.0, 1.4: 7.0 + 2.8, 1.0: 7.0 + 2.0, 0.5: 7.0 + 1.0})

    assert (limit, residual) == (pytest.approx(7.0), pytest.approx(0.0, abs=1e-12))
    assert np.isnan(straight_limit({3.0: 99.0, 1.4: 9.8, 1.0: 9.0})[0])


@pytest.mark.parametrize("case", [BODY.name, SEGMENT.name])
def test_recorded_tetrahedra_that_conform_to_the_layers_hold_every_limit(case):
    rows = tet_rows_of(json.loads((STUDY / "results.json").read_text()), case)

    held = [row for row in rows if row.allowed_percent is not None]
    assert len(held) >= 9
    assert [row.name for row in held if not row.is_met("cut")] == []


@pytest.mark.parametrize("case", [BODY.name, SEGMENT.name])
def test_recorded_tetrahedra_of_surfaces_with_layers_of_their_own_hold_every_limit(case):
    rows = tet_rows_of(json.loads((STUDY / "results.json").read_text()), case)

    held = [row for row in rows if row.allowed_percent is not None]
    assert len(held) >= 9
    assert [row.name for row in held if not row.is_met("conform")] == []


def test_recorded_discs_with_nuclei_of_their_own_cells_are_as_stiff_as_those_of_hexahedra():
    rows = {row.name: row for row in tet_rows_of(json.loads((STUDY / "results.json").read_text()), SEGMENT.name)}

    for name in ("T12-L1 stiffness_n_per_mm", "L1-L2 stiffness_n_per_mm", "stiffness_n_per_mm"):
        values, limit = rows[name].values["conform"], rows[name].limits["hex8"].value
        # What discs are off falls with the size. At 3 mm cells that hold nucleus and annulus make them 8 to 10 % too
        # stiff (fractions on the same surfaces), and hexahedra of refinement 1/2 are 7 % off.
        off = [values[size] / limit - 1.0 for size in (3.0, 2.0, 1.5)]
        assert 0.03 > off[0] > off[1] > off[2] > 0.0
        assert off[2] < 0.015


@pytest.mark.long
@needs_gmsh
@pytest.mark.tet
def test_coarse_tetrahedra_of_surfaces_with_layers_of_their_own_are_near_the_limits_of_hexahedra():
    rows = {row.name: row for row in tet_rows_of(json.loads((STUDY / "results.json").read_text()), BODY.name)}
    solved = from_surfaces(BODY, 3.0, layers="conforming")
    found = quantities(solved)

    # In the study 3 mm is 1.3 % and 3 % off, where layers by fractions of cells of 2 mm are 11 % and 38 % off.
    assert _stiffness(solved) == pytest.approx(rows["stiffness_n_per_mm"].limits["hex8"].value, rel=0.02)
    for side in ("superior", "inferior"):
        name = f"L1/{side}_endplate von_mises_2mm_mpa"
        assert found[name] == pytest.approx(rows[name].limits["hex8"].value, rel=0.06)
    volumes = json.loads((STUDY / "results.json").read_text())["L1 hex8 0.25 0/1"]["volumes_mm3"]
    for name, volume in region_volumes(solved.mesh).items():
        assert volume == pytest.approx(volumes[name], rel=0.005), name  # chords of 3 mm


@pytest.mark.long
@pytest.mark.timeout(1200)
@needs_gmsh
@pytest.mark.tet
def test_tetrahedra_of_t12_l2_have_the_stiffness_of_hexahedra():
    limit = tet_rows_of(json.loads((STUDY / "results.json").read_text()), SEGMENT.name)[0].limits["hex8"].value

    # Discs are softer than bodies, so that mixed cells of bodies count for little: 1.9 % over the limit at 3 mm, 1.2 %
    # at 2 mm in the study. Tetrahedra cut from hexahedra have no mixed cells.
    assert 1.0 < _stiffness(tetrahedra(SEGMENT, 3.0, "tet10")) / limit < 1.03
    assert _stiffness(from_hexahedra(SEGMENT, 1.0)) == pytest.approx(limit, rel=0.01)
