"""The meshes of the verification problems fill their bodies, fit together, and are closed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from verification_meshes import KINDS, ball_octant, boundary_facets, cylinder_quarter, disc_quarter, shell_octant
from verification_rows import cell_quadrature, press

BODIES = {
    "cylinder": (lambda kind: cylinder_quarter(kind, (4, 4, 2), inner=1.0, outer=2.0, height=0.5), 0.375 * np.pi),
    "shell": (lambda kind: shell_octant(kind, 4, 4, inner=1.0, outer=2.0, grading=2.0), 7 * np.pi / 6),
    "ball": (lambda kind: ball_octant(kind, 4, 2, radius=1.0), np.pi / 6),
    "disc": (lambda kind: disc_quarter(kind, 4, 3, 2, radius=2.0, height=1.0, grading=0.5), np.pi),
}


# Wedges do not conform with the core of a ball.
PAIRS = [(kind, body) for kind in KINDS for body in BODIES if not (kind.startswith("wedge") and body == "ball")]


@pytest.mark.parametrize(("kind", "body"), PAIRS)
def test_cells_fill_the_body_and_its_surface_is_closed(kind, body):
    make, exact = BODIES[body]

    mesh = make(kind)

    volume = cell_quadrature(mesh).volume
    assert volume.min() > 0
    # Flat cells of x = 22.5 degrees: a polygon's 1 - sin(x) / x = 2.6 %; of the second order: its square.
    assert volume.sum() == pytest.approx(exact, rel=0.026 if KINDS[kind].order == 1 else 0.026**2)
    everywhere = np.ones(len(mesh.points), dtype=bool)
    facets = [f[:, : 3 if f.shape[1] in (3, 6) else 4] for f in boundary_facets(mesh, everywhere)]
    edges = np.concatenate([np.stack([f, np.roll(f, -1, axis=1)], axis=2).reshape(-1, 2) for f in facets])
    assert set(map(tuple, edges)) == set(map(tuple, edges[:, ::-1]))  # each edge once in either sense
    assert_allclose(press(mesh, everywhere, 1.0).sum(axis=0), 0.0, atol=1e-12)
