"""Lamellae of a mesh that does not say how they run follow the annulus' ellipse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.column import build_column
from fesolver.errors import InputError
from fesolver.meshing.annulus_axes import annulus_axes
from fesolver.meshing.structured import mesh_column


def test_axes_are_right_handed_and_near_those_of_the_structured_mesh():
    made = mesh_column(build_column(["L1", "L2"]), refinement=0.5)
    axes = annulus_axes(made.mesh, "L1-L2")
    assert_allclose(np.linalg.det(axes), 1.0, atol=1e-12)
    assert_allclose(np.einsum("kij,klj->kil", axes, axes), np.tile(np.eye(3), (len(axes), 1, 1)), atol=1e-12)
    known = made.annulus_axes["L1-L2/annulus"]
    # The disc is a flattened ellipse with an indented back: some cells there are off by tens of degrees.
    agreement = np.abs(np.einsum("kij,kij->ki", axes, known))
    assert np.all(np.median(agreement, axis=0) > np.cos(np.deg2rad(12.0)))
    assert np.median(np.einsum("kj,kj->k", axes[:, 1], known[:, 1])) > 0.97, "radial points outward"


def test_a_disc_that_is_not_there_is_refused():
    mesh = mesh_column(build_column(["L1", "L2"]), refinement=0.4).mesh
    with pytest.raises(InputError, match="no annulus of L2-L3"):
        annulus_axes(mesh, "L2-L3")
