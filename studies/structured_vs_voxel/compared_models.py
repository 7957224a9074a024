"""The same parametric segment on three meshes: structured, voxels of the shapes, voxels of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from compared_quantities import Solved
from segment_shapes import OUTSIDE, ZONES, SegmentShape
from shape_voxels import voxel_model

from fesolver.anatomy.column import Column, build_column
from fesolver.anatomy.density_fields import UniformDensity
from fesolver.bone.materials import default_materials
from fesolver.bone.mixing import mix_elasticity
from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.problem import Problem
from fesolver.imaging.phantom import synthetic_segment
from fesolver.imaging.resample import build_segment_image
from fesolver.loading.load_case import LoadCase
from fesolver.loading.pads import pad_constraints
from fesolver.meshing.regions import cell_centroids, cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.voxel import mesh_segment, tissue_from_image
from fesolver.solvers.prepare import prepare

__all__ = [
    "BARE",
    "BODY",
    "DENSITY_G_CM3",
    "LAYER_CELLS",
    "SEGMENT",
    "Case",
    "from_labels",
    "segment_shape",
    "solved_model",
    "structured",
    "voxels",
]

DENSITY_G_CM3 = 0.12
LAYER_MM = 1.0
LAYER_CELLS = 2
RTOL = 1e-8


@dataclass(frozen=True)
class Case:
    """What is modelled.

    Parameters
    ----------
    name : str
    levels : tuple of str
        Cranial first.
    top : {"fixed", "tilt"}
        Motion of the top pad.
    layer_mm : float
        Thickness of shell and endplates; 0 for none.
    """

    name: str
    levels: tuple[str, ...]
    top: Literal["fixed", "tilt"]
    layer_mm: float = LAYER_MM

    @property
    def load_case(self) -> LoadCase:
        """500 N between rigid pads."""
        return LoadCase(force_n=500.0, top=self.top)

    @property
    def column(self) -> Column:
        """Published dimensions."""
        return build_column(self.levels)


BODY = Case("L1", ("L1",), "fixed")
BARE = Case("L1 bare", ("L1",), "fixed", 0.0)
SEGMENT = Case("T12-L2", ("T12", "L1", "L2"), "tilt")


@cache
def segment_shape(case: Case) -> SegmentShape:
    """The segment, with its tables."""
    return SegmentShape(case.column, case.layer_mm)


def structured(
    case: Case, refinement: float, element: Literal["hex8", "hex20"] = "hex8", *, layer_cells: int = LAYER_CELLS
) -> Solved:
    """Structured hexahedra, solved."""
    made = mesh_column(
        case.column,
        refinement=refinement,
        element=element,
        layer_cells=layer_cells,
        cortical_thickness_mm=case.layer_mm,
        endplate_thickness_mm=case.layer_mm,
    )
    tissue = structured_tissue(made, UniformDensity(DENSITY_G_CM3))
    return solved_model(case, segment_shape(case), made.mesh, tissue, None)


def voxels(case: Case, spacing_mm: float, shift: tuple[float, float, float], *, samples: int = 3) -> Solved:
    """Voxels whose regions come from the shapes, solved; on the axes of the structured mesh."""
    shape = segment_shape(case)
    guide = mesh_column(case.column, cortical_thickness_mm=LAYER_MM, endplate_thickness_mm=LAYER_MM).mesh
    made = voxel_model(
        shape,
        guide.frame,
        guide.frames,
        spacing_mm=spacing_mm,
        density_g_cm3=DENSITY_G_CM3,
        shift=shift,
        samples=samples,
    )
    return solved_model(case, shape, made.mesh, made.tissue, made.zones)


def from_labels(case: Case, spacing_mm: float, *, label_mm: float = 0.5) -> Solved:
    """The package's own path from labels (of voxels of `label_mm`) to voxels, solved; density made uniform."""
    segment = synthetic_segment(levels=case.levels, density_g_cm3=DENSITY_G_CM3, voxel_mm=label_mm)
    image = build_segment_image(
        segment.density,
        segment.kind,
        segment.labels,
        levels=case.levels,
        spacing_mm=spacing_mm,
        subregions=segment.subregions,
    )
    mesh = mesh_segment(image, cortical_thickness_mm=LAYER_MM, endplate_thickness_mm=LAYER_MM)
    tissue = tissue_from_image(mesh, image)
    in_disc = np.zeros(len(mesh.cells), dtype=bool)
    for name, region in mesh.regions.items():
        if "-" in name:
            in_disc[region.cells] = True
    tissue = replace(tissue, density=np.where(in_disc, 0.0, DENSITY_G_CM3))
    shape = SegmentShape(segment.column, LAYER_MM)
    return solved_model(case, shape, mesh, tissue, _zones(shape, mesh))


def _zones(shape: SegmentShape, mesh: SpineMesh, samples: int = 3) -> dict[str, Region]:
    """Fractions of trabecular cells in the zones of the true shape."""
    assert mesh.lattice is not None
    sub = (np.stack(np.meshgrid(*[np.arange(samples)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) + 0.5) / samples
    out: dict[str, Region] = {}
    for i, level in enumerate(shape.column.levels):
        cells = mesh.regions[f"{level}/trabecular"].cells
        low = mesh.lattice.cell_index[cells]
        counts = np.zeros((len(cells), 5))
        for k in range(0, len(cells), 20_000):
            at = mesh.lattice.origin + mesh.lattice.spacing * (low[k : k + 20_000, None] + sub)
            code = shape.codes(mesh.frame.to_parent(at.reshape(-1, 3))).reshape(-1, len(sub))
            zone = np.where(code == OUTSIDE, OUTSIDE, code - len(ZONES) * i)
            counts[k : k + 20_000] = np.stack([(zone == number).mean(axis=1) for number in range(5)], axis=1)
        for number in range(1, 5):
            held = counts[:, number] > 0.0
            out[f"{level}/{ZONES[number]}"] = Region(cells[held], counts[held, number])
    return out


def solved_model(
    case: Case, shape: SegmentShape, mesh: SpineMesh, tissue: Tissue, zones: Mapping[str, Region] | None
) -> Solved:
    """Give a mesh its constants and pads, and solve it."""
    materials = default_materials()
    elasticity, mix = mix_elasticity(tissue, materials, volumes=cell_volumes(mesh), centroids=cell_centroids(mesh))
    pads = pad_constraints(mesh, case.load_case)
    problem = Problem(
        points=mesh.points,
        cells=mesh.cells,
        elasticity=elasticity,
        rigid_bodies=pads.rigid_bodies,
        lattice=mesh.lattice,
        element=mesh.element,
    )
    solution = prepare(problem).solve(pads.loads, rtol=RTOL)
    return Solved(shape, mesh, problem, solution, mix.region_young, materials, case.load_case.force_n, zones)
