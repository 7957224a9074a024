"""Sizes measured on a mesh are those it was made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.column import build_column
from fesolver.errors import InputError
from fesolver.meshing.measured_column import measured_column
from fesolver.meshing.structured import mesh_column


@pytest.fixture(scope="module")
def mesh():
    column = build_column(["L1", "L2"], dimensions={"L1": {"anterior_height_mm": 19.0, "superior_width_mm": 46.0}})
    return mesh_column(column, refinement=0.6).mesh, column


def test_sizes_and_places_are_those_of_the_column_that_was_meshed(mesh):
    meshed, column = mesh
    measured = measured_column(meshed)
    for found, made in zip(measured.vertebrae, column.vertebrae, strict=True):
        for name in ("superior_width_mm", "superior_depth_mm", "inferior_width_mm", "inferior_depth_mm"):
            # The section is a flattened ellipse; its corners lie on the published widths to 2 %.
            share = getattr(found.dimensions, name) / getattr(made.dimensions, name)
            assert 0.97 < share < 1.03, (found.level, name)
        for name in ("anterior_height_mm", "posterior_height_mm"):
            assert abs(getattr(found.dimensions, name) - getattr(made.dimensions, name)) < 1.0, "rims of 0.7 and 1.5 mm"
        in_mesh = meshed.frame.to_local(made.frame.origin)
        assert_allclose(found.frame.origin, in_mesh, atol=1.5)
        assert found.frame.axes[2] @ meshed.frame.vectors_to_local(made.frame.axes[2]) > np.cos(np.deg2rad(3.0))
    assert measured["L1"].dimensions.anterior_height_mm < measured["L1"].dimensions.posterior_height_mm - 2.0
    wide, narrow = measured["L1"].dimensions, measured["L2"].dimensions
    assert wide.canal_width_mm / narrow.canal_width_mm == pytest.approx(
        (46.0 + column["L1"].dimensions.inferior_width_mm)
        / (column["L2"].dimensions.superior_width_mm + column["L2"].dimensions.inferior_width_mm)
        * ratio_of_published(), rel=0.02,
    )  # fmt: skip


def ratio_of_published() -> float:
    """Canal width over mean body width of L1 over that of L2, as published."""
    one, two = (build_column([level])[level].dimensions for level in ("L1", "L2"))
    share = [d.canal_width_mm / (d.superior_width_mm + d.inferior_width_mm) for d in (one, two)]
    return share[0] / share[1]


def test_a_mesh_that_is_no_vertebra_is_refused(mesh):
    meshed, _ = mesh
    with pytest.raises(InputError, match="no vertebra of a plausible size"):
        measured_column(replace(meshed, points=0.1 * meshed.points))
    with pytest.raises(InputError, match="no surface L2/superior_endplate"):
        measured_column(replace(meshed, surfaces={k: v for k, v in meshed.surfaces.items() if "L2/sup" not in k}))
