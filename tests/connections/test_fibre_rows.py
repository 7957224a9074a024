"""Annulus fibres within cells: the homogenised fibres where all pull, nothing where all are slack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from solid_meshes import solid_box

from fesolver.anatomy.frames import Frame
from fesolver.bone.fibre_layers import FIBRE_LAYERS_OF_SIX, without_fibres
from fesolver.bone.materials import DEFAULT_ANNULUS, FibreReinforced, Isotropic, LayeredFibres
from fesolver.bone.mixing import mix_elasticity
from fesolver.bone.tissue import Region, Tissue
from fesolver.connections.fibres import annulus_fibres, mean_gradients
from fesolver.errors import InputError
from fesolver.fem.connections import check_connections, law_force
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import Connections, Problem
from fesolver.fem.recovery import internal_force
from fesolver.meshing.spine_mesh import SpineMesh

ANNULUS, OTHER = "L1-L2/annulus", "L1/trabecular"
LAYERED = LayeredFibres(Isotropic(4.2, 0.45), angle_outer_deg=25.0, angle_inner_deg=45.0)
# Its symmetric part is positive definite: it stretches every direction.
STRETCH = np.array([[0.05, 0.004, -0.003], [0.002, 0.02, 0.001], [-0.004, 0.003, 0.03]])


def annulus_mesh(element: str) -> tuple[SpineMesh, Tissue]:
    """A distorted box, all annulus but for a part of each cell, with axes turned from cell to cell."""
    points, cells = solid_box(element, size=(4.0, 3.0, 5.0), distortion=0.2, seed=3)
    rng = np.random.default_rng(7)
    n = len(cells)
    fraction = rng.uniform(0.3, 0.9, n)
    regions = {ANNULUS: Region(np.arange(n), fraction), OTHER: Region(np.arange(n), 1.0 - fraction)}
    frame = Frame(np.zeros(3), np.eye(3))
    mesh = SpineMesh(points, cells, regions, {}, {}, ("L1", "L2"), frame, element=element)
    axes = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    return mesh, Tissue(np.zeros(n), "rho_qct", regions, {ANNULUS: axes}, {ANNULUS: rng.uniform(0.0, 1.0, n)})


def elongation(rows: Connections, u: np.ndarray) -> np.ndarray:
    return np.add.reduceat(np.sum(rows.weights * u[rows.points], axis=1), rows.starts[:-1])


def nodal(rows: Connections, u: np.ndarray) -> np.ndarray:
    force = law_force(rows.breaks, rows.stiffness, rows.force_at_break, elongation(rows, u))
    out = np.zeros(u.shape)
    np.add.at(out, rows.points, np.repeat(force, np.diff(rows.starts))[:, None] * rows.weights)
    return out


def of(annulus) -> dict:
    return {"annulus": annulus, "trabecular": Isotropic(3.0, 0.3)}


@pytest.mark.parametrize("element", list(ELEMENTS))
@pytest.mark.parametrize("annulus", [DEFAULT_ANNULUS, LAYERED, replace(LAYERED, layers=FIBRE_LAYERS_OF_SIX)])
def test_where_all_fibres_pull_they_are_the_homogenised_ones(element, annulus):
    mesh, tissue = annulus_mesh(element)
    u = mesh.points @ STRETCH.T
    (fibres,) = annulus_fibres(mesh, tissue, of(annulus))

    whole, ground = (
        internal_force(Problem(mesh.points, mesh.cells, mix_elasticity(tissue, of(m))[0], element=element), u)
        for m in (annulus, without_fibres(annulus))
    )

    assert elongation(fibres, u).min() > 0.0
    # The nodal forces are of the order 1 N; what remains is the round-off of stiffnesses that are subtracted.
    assert_allclose(nodal(fibres, u), whole - ground, rtol=0, atol=1e-12 * np.abs(whole).max())


@pytest.mark.parametrize("element", list(ELEMENTS))
def test_fibres_of_a_linear_field_stretch_by_its_strain_along_them(element):
    mesh, tissue = annulus_mesh(element)
    gradient = np.array([[0.011, -0.007, 0.004], [0.009, 0.013, -0.002], [-0.005, 0.006, 0.008]])
    (fibres,) = annulus_fibres(mesh, tissue, of(LAYERED))

    volume = mean_gradients(mesh, np.arange(len(mesh.cells)))[1]
    found = elongation(fibres, mesh.points @ gradient.T).reshape(-1, 2) / np.cbrt(volume)[:, None]

    for i, axes in enumerate(tissue.axes[ANNULUS]):
        a = LAYERED.at(tissue.depth[ANNULUS][i]).directions() @ axes
        assert_allclose(found[i], np.einsum("fi,ij,fj->f", a, gradient, a), rtol=0, atol=1e-15)
    assert volume.sum() == pytest.approx(60.0, rel=1e-12)


@pytest.mark.parametrize("element", list(ELEMENTS))
def test_rigid_motions_do_not_stretch_fibres_and_their_forces_balance(element):
    mesh, tissue = annulus_mesh(element)
    (fibres,) = annulus_fibres(mesh, tissue, of(LAYERED))
    rng = np.random.default_rng(1)
    for _ in range(3):
        u = rng.normal(size=3) + np.cross(rng.normal(size=3), mesh.points)
        assert_allclose(elongation(fibres, u), 0.0, atol=1e-12 * np.abs(u).max())  # round-off
    moment = np.cross(mesh.points[fibres.points], fibres.weights)
    assert_allclose(np.add.reduceat(fibres.weights, fibres.starts[:-1]), 0.0, atol=1e-12)
    assert_allclose(np.add.reduceat(moment, fibres.starts[:-1]), 0.0, atol=1e-12)
    elasticity, _ = mix_elasticity(tissue, of(without_fibres(LAYERED)))
    check_connections(Problem(mesh.points, mesh.cells, elasticity, element=mesh.element, connections=(fibres,)))


def test_fibres_are_slack_in_compression_and_in_part_in_shear():
    mesh, tissue = annulus_mesh("hex8")
    tissue = replace(tissue, axes={ANNULUS: np.broadcast_to(np.eye(3), (len(mesh.cells), 3, 3))})
    (fibres,) = annulus_fibres(mesh, tissue, of(DEFAULT_ANNULUS))

    assert np.all(nodal(fibres, -mesh.points @ STRETCH.T) == 0.0)
    shear = np.zeros((3, 3))
    shear[0, 2] = 0.1  # in the plane of the families: it stretches the one and shortens the other
    force = law_force(
        fibres.breaks, fibres.stiffness, fibres.force_at_break, elongation(fibres, mesh.points @ shear.T)
    ).reshape(-1, 2)
    assert np.all(force[:, 0] > 0.0)
    assert np.all(force[:, 1] == 0.0)


def test_the_energy_of_taut_fibres_is_that_of_their_volume():
    mesh, tissue = annulus_mesh("tet10")
    material = FibreReinforced(Isotropic(4.2, 0.45), 500.0, 0.16, 0.0)  # both families along the first axis
    tissue = replace(tissue, axes={ANNULUS: np.broadcast_to(np.eye(3), (len(mesh.cells), 3, 3))})
    (fibres,) = annulus_fibres(mesh, tissue, of(material))

    u = np.zeros(mesh.points.shape)
    u[:, 0] = 0.02 * mesh.points[:, 0]
    energy = 0.5 * np.sum(fibres.stiffness[:, 1] * elongation(fibres, u) ** 2)

    volume = mean_gradients(mesh, np.arange(len(mesh.cells)))[1]
    annulus = float(volume @ tissue.regions[ANNULUS].fraction)
    assert energy == pytest.approx(0.5 * 500.0 * 0.16 * annulus * 0.02**2, rel=1e-12)


def test_a_prestrain_shifts_where_fibres_go_slack():
    mesh, tissue = annulus_mesh("hex8")
    (plain,), (taut,) = (annulus_fibres(mesh, tissue, of(DEFAULT_ANNULUS), prestrain=p) for p in (0.0, 0.01))

    force = law_force(taut.breaks, taut.stiffness, taut.force_at_break, np.zeros(taut.count))
    length = np.repeat(np.cbrt(mean_gradients(mesh, np.arange(len(mesh.cells)))[1]), 2)
    assert_allclose(force, taut.stiffness[:, 1] * 0.01 * length, rtol=1e-12)
    assert np.all(law_force(plain.breaks, plain.stiffness, plain.force_at_break, np.zeros(plain.count)) == 0.0)


def test_fibres_are_named_by_disc_and_skip_what_has_none():
    mesh, tissue = annulus_mesh("hex8")

    assert [c.name for c in annulus_fibres(mesh, tissue, of(LAYERED))] == ["L1-L2/fibres"]
    assert annulus_fibres(mesh, tissue, of(Isotropic(4.2, 0.45))) == ()
    with pytest.raises(InputError, match="no axes"):
        annulus_fibres(mesh, replace(tissue, axes={}), of(LAYERED))
    with pytest.raises(InputError, match=r"no depth[\s\S]*L1-L2/annulus"):
        annulus_fibres(mesh, replace(tissue, depth={}), of(LAYERED))
    with pytest.raises(InputError, match="pre-strain"):
        annulus_fibres(mesh, tissue, of(LAYERED), prestrain=1.0)
    with pytest.raises(InputError, match="inverted or flat"):
        annulus_fibres(replace(mesh, cells=mesh.cells[:, [4, 5, 6, 7, 0, 1, 2, 3]]), tissue, of(LAYERED))
