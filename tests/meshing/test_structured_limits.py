"""Structured segments at the edge of what is legal, and beyond: meshed well, or refused with one clear message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fesolver.anatomy.column import Column, build_column
from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.structured import mesh_column

THREE = ("T12", "L1", "L2")

EXTREMES = {
    "wedge fracture": ({"L1": {"anterior_height_mm": 12.0}}, {}),
    "biconcave fracture": ({"L1": {"superior_concavity_mm": 8.0, "inferior_concavity_mm": 6.0}}, {}),
    "crush fracture": ({"L1": {"anterior_height_mm": 12.0, "posterior_height_mm": 13.0}}, {}),
    "flat disc": ({}, {"L1-L2": {"height_mm": 3.0}}),
    "small nucleus": ({}, {"L1-L2": {"nucleus_area_fraction": 0.1}}),
    "large nucleus": ({}, {"L1-L2": {"nucleus_area_fraction": 0.7}}),
    "bulge": ({}, {"L1-L2": {"bulge_mm": 3.0, "nucleus_posterior_mm": 2.0}}),
    "far apex": ({"L1": {"superior_apex_fraction": 0.5, "superior_concavity_mm": 5.0}}, {}),
    "waist and kidney": ({"L1": {"posterior_indentation_mm": 8.0, "waist_fraction": 0.3}}, {}),
    "thick layers": ({"L1": {"shell_thickness_mm": 3.0, "superior_endplate_thickness_mm": 3.0}}, {}),
    "thin shell": ({"L1": {"shell_thickness_mm": 0.1}}, {}),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_extreme_but_legal_shapes_are_meshed(name, element):
    dimensions, discs = EXTREMES[name]
    column = build_column(THREE, dimensions=dimensions, discs=discs)
    mesh = mesh_column(column, refinement=0.6 if element == "hex20" else 1.0, element=element).mesh
    quality = mesh_quality(mesh.points, mesh.cells, element)

    assert quality.scaled_jacobian.min() > 0.2
    assert quality.least_det_jacobian.min() > 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refinement": 0.0}, "refinement must be positive"),
        ({"refinement": -1.0}, "refinement must be positive"),
        ({"refinement": float("nan")}, "not a finite number"),
        ({"refinement": 12.0}, r"would make 50,872,320 cells(.|\n)*20,000,000"),
        ({"refinement": 1e12}, "would make over"),
        ({"layer_cells": 0}, "layer_cells is 0"),
        ({"element": "tet4"}, "'tet4' is unknown"),
        ({"cortical_thickness_mm": -0.1}, "must be 0 or positive"),
        ({"endplate_thickness_mm": 0.001}, "thinner than any bone"),
        (
            {"endplate_thickness_mm": 9.0},
            r"endplates of (T12|L1|L2), 9 and 9 mm thick, leave under(.|\n)*mm in the body",
        ),
        ({"cortical_thickness_mm": 6.5}, r"shell of (T12|L1|L2), 6.5 mm thick, leaves under(.|\n)*mm in the body"),
        ({"nucleus_area_fraction": 1.2}, "nucleus_area_fraction must lie in"),
        ({"min_scaled_jacobian": 0.95}, r"scaled Jacobian under 0.95(.|\n)*cell \d+ of .*/.*: 0\.\d+ at \(.*\) mm"),
    ],
)
def test_a_parameter_out_of_range_gives_one_clear_message(options, message):
    with pytest.raises(InputError, match=message):
        mesh_column(build_column(THREE), **options)


def test_bodies_that_overlap_are_refused_with_their_names_and_what_to_do():
    column = build_column(THREE)
    low = [
        replace(v, frame=Frame(v.frame.origin + np.array([0.0, 0.0, 8.0]), v.frame.axes)) if v.level == "L2" else v
        for v in column.vertebrae
    ]
    with pytest.raises(InputError, match=r"L1 and L2 overlap(.|\n)*L1-L2(.|\n)*height_mm"):
        mesh_column(Column(tuple(low), column.discs))


def test_a_disc_wedged_more_than_its_height_allows_is_refused():
    with pytest.raises(InputError, match="overlap"):
        mesh_column(build_column(THREE, discs={"L1-L2": {"height_mm": 4.0, "wedge_deg": 20.0}}))
