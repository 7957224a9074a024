"""The isolated L3 of one CT on voxels and on tetrahedra, through the study pipeline, and what is measured on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesolver.bone.mixing import mix_elasticity
from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.problem import Problem
from fesolver.imaging.cell_averages import cell_averages
from fesolver.imaging.volume import Volume
from fesolver.loading.load_case import LoadCase
from fesolver.loading.pads import TOP, pad_constraints
from fesolver.meshing.regions import cell_centroids, cell_volumes, region_volume
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.outcomes.surface import FacetSurface
from fesolver.solvers.prepare import prepare
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.inputs import SegmentData, read_data
from fesolver.study.materials import study_materials
from fesolver.study.segments import mesh_segment_of
from fesolver.study.stages import Stages

__all__ = ["LEVEL", "Model", "solve"]

Array = NDArray[np.float64]

LEVEL = "L3"
FORCE_N = 500.0
UNIFORM_G_CM3 = 0.12
RTOL = 1e-8
_SIDES = ("superior", "inferior")
_LAYERS = {"default": "conforming", "thick": "conforming", "fractions": "fractions", "none": "fractions"}


@dataclass(frozen=True)
class Model:
    """One model of the vertebra.

    Parameters
    ----------
    cells : {"voxels", "tet10", "tet4"}
    size_mm : float
        Spacing of voxels; edge length of tetrahedra at the surface, 1.5 times that inside.
    density : {"ct", "uniform"}
        The exact mean of the CT's voxels over each cell, as both paths take it; or 0.12 g/cm3 everywhere, which leaves
        shape, layers and pads as what differs.
    layers : {"default", "fractions", "thick", "none"}
        Shell and endplates of 0.35 mm, in tetrahedra as cells of their own; there as volume fractions, as voxels have
        them anyway; of 1 mm, which voxels can resolve; or bone alone.
    pads : {"own", "other"}
        The mesh's own endplates, or, on tetrahedra, the facets nearest to endplates of voxels of 0.75 mm.
    """

    cells: Literal["voxels", "tet10", "tet4"]
    size_mm: float
    density: Literal["ct", "uniform"] = "ct"
    layers: Literal["default", "fractions", "thick", "none"] = "default"
    pads: Literal["own", "other"] = "own"

    @property
    def key(self) -> str:
        """Name in results.json."""
        return (
            f"{self.cells} {self.size_mm:g} {self.density} {self.layers}{'' if self.pads == 'own' else ' other pads'}"
        )

    @property
    def config(self) -> StudyConfig:
        """The study that makes its mesh; calibration as in studies/ct_l3_compression.toml."""
        folder = "${FESOLVER_DATA}/ct_L3_1p5mm"
        segment: dict[str, Any] = {"levels": [LEVEL]}
        if self.cells == "voxels":
            segment |= {"spacing_mm": self.size_mm, "posterior_elements": False}
        else:
            segment |= {"cells": "tetrahedra", "element": self.cells, "posterior_elements": False}
            segment |= {"size_mm": self.size_mm, "size_inside_mm": 1.5 * self.size_mm}
            segment |= {"layers": _LAYERS[self.layers]}
        if self.layers == "thick":
            segment |= {"cortical_thickness_mm": 1.0, "endplate_thickness_mm": 1.0}
        return study_from_dict({
            "schema": 1,
            "name": "ct_voxel_vs_tet",
            "input": {
                "kind": "ct", "ct": f"{folder}/ct.nii.gz", "labels": f"{folder}/labels_vertebra.nii.gz",
                "label_scheme": "verse", "subregions": f"{folder}/labels_subregion.nii.gz",
            },
            "calibration": {
                "method": "slope", "slope_g_cm3_per_hu": 0.0008, "intercept_g_cm3": 0.0, "density_kind": "rho_qct",
                "assumed": True, "source": "generic 120 kVp slope; the scan carries no phantom",
            },
            "segment": segment,
            "load": {"force_n": FORCE_N, "top": "fixed"},
        })  # fmt: skip


def solve(model: Model) -> dict[str, float]:
    """Mesh and solve one model; every number that is compared."""
    config = model.config
    data = read_data(config)
    assert isinstance(data, SegmentData)
    segment = mesh_segment_of(config, data, Stages(), 1.0)
    mesh, tissue = segment.mesh, segment.tissue
    if model.density == "uniform":
        tissue = replace(tissue, density=np.full(len(mesh.cells), UNIFORM_G_CM3))
    if model.layers == "none":
        whole = Region(np.arange(len(mesh.cells)), np.ones(len(mesh.cells)))
        tissue = replace(tissue, regions={f"{LEVEL}/trabecular": whole})
    volumes = cell_volumes(mesh)
    elasticity, mix = mix_elasticity(
        tissue, study_materials(config), volumes=volumes, centroids=cell_centroids(mesh)
    )  # fmt: skip
    if model.pads == "other":
        other = mesh_segment_of(replace(model, cells="voxels", size_mm=0.75).config, data, Stages(), 1.0).mesh
        mesh = with_pads_of(mesh, other)
    pads = pad_constraints(mesh, LoadCase(force_n=FORCE_N, top="fixed"))
    problem = Problem(
        points=mesh.points, cells=mesh.cells, elasticity=elasticity, rigid_bodies=pads.rigid_bodies,
        lattice=mesh.lattice, element=mesh.element,
    )  # fmt: skip
    solution = prepare(problem).solve(pads.loads, rtol=RTOL)
    out = {
        "shell_mm3": _shell_volume(tissue, volumes),
        "cells": float(len(mesh.cells)),
        "unknowns": float(mesh.points.size),
        "iterations": float(solution.iterations),
        "stiffness_n_per_mm": FORCE_N / -float(solution.rigid_motion[TOP][2]),
    }
    out |= _shape(mesh) | _bone(mesh, tissue.density, data, volumes)
    return out | _moduli(tissue, volumes, elasticity.young, mix.region_young)


def with_pads_of(mesh: SpineMesh, other: SpineMesh) -> SpineMesh:
    """The same mesh, each facet of its outside of the kind of the nearest facet of another mesh."""
    kinds = [f"{LEVEL}/{name}" for name in ("superior_endplate", "inferior_endplate", "outer")]
    far = [other.frame.to_parent(other.points[other.surfaces[name].facets].mean(axis=1)) for name in kinds]
    number = np.repeat(np.arange(3), [len(centers) for centers in far])
    own = [mesh.surfaces[name] for name in kinds]
    facets, cells, normals, areas = (
        np.concatenate([getattr(surface, what) for surface in own]) for what in ("facets", "cells", "normals", "areas")
    )
    centers = mesh.frame.to_parent(mesh.points[facets[:, :3]].mean(axis=1))
    kind = number[cKDTree(np.concatenate(far)).query(centers)[1]]
    surfaces = {
        name: Surface(facets[kind == i], cells[kind == i], normals[kind == i], areas[kind == i])
        for i, name in enumerate(kinds)
    }
    return replace(mesh, surfaces=surfaces)


def _shape(mesh: SpineMesh) -> dict[str, float]:
    """Volume, pads and height."""
    plates = {side: FacetSurface.of(mesh, f"{LEVEL}/{side}_endplate") for side in _SIDES}
    axis = np.array([0.0, 0.0, 1.0])
    out = {f"{side}_pad_mm2": float(np.maximum(p.areas * (p.facet_normals @ axis * s), 0.0).sum())
           for (side, p), s in zip(plates.items(), (1.0, -1.0), strict=True)}  # fmt: skip
    out["outer_mm2"] = float(mesh.surfaces[f"{LEVEL}/outer"].areas.sum())
    out |= {f"axis_{name}": float(value) for name, value in zip("xyz", mesh.frame.axes[2], strict=True)}
    out["height_mm"] = float((plates["superior"].centroid - plates["inferior"].centroid) @ axis)
    names = [name for name in mesh.regions if name.startswith(f"{LEVEL}/")]
    out |= {f"{name} mm3": region_volume(mesh, name) for name in names}
    out["body_mm3"] = float(sum(out[f"{name} mm3"] for name in names))
    return out


def _exact(mesh: SpineMesh, data: SegmentData) -> Array:
    """Exact means of the CT's voxels over the cells, g/cm3."""
    return cell_averages(mesh.frame.to_parent(mesh.points), mesh.cells, mesh.element, data.density).mean


def _bone(mesh: SpineMesh, density: Array, data: SegmentData, volumes: Array) -> dict[str, float]:
    """Bone mass of the mesh's densities, of the exact CT over the same cells, and of the CT over the label."""
    on_edge = np.zeros(len(mesh.cells), dtype=bool)
    for surface in mesh.surfaces.values():
        on_edge[surface.cells] = True
    label = Volume(data.labels.mask(LEVEL), data.labels.affine)
    voxel = float(abs(np.linalg.det(label.affine[:3, :3])))
    return {
        "mass_mg": float(density @ volumes),
        "mass_of_ct_in_cells_mg": float(_exact(mesh, data) @ volumes),
        "density_mean_g_cm3": float(density @ volumes / volumes.sum()),
        "edge_cells_share": float(volumes[on_edge].sum() / volumes.sum()),
        "density_of_edge_cells_g_cm3": float(density[on_edge] @ volumes[on_edge] / volumes[on_edge].sum()),
        "density_of_inner_cells_g_cm3": float(density[~on_edge] @ volumes[~on_edge] / volumes[~on_edge].sum()),
        "label_mm3": float(np.count_nonzero(label.values)) * voxel,
    }


def _shell_volume(tissue: Tissue, volumes: Array) -> float:
    """Volume of the cortical shell, mm3."""
    region = tissue.regions.get(f"{LEVEL}/cortical")
    return 0.0 if region is None else float(np.sum(volumes[region.cells] * region.fraction))


def _moduli(tissue: Tissue, volumes: Array, young: Array, by_region: Any) -> dict[str, float]:
    """Mean moduli of cells and of trabecular bone."""
    region = tissue.regions[f"{LEVEL}/trabecular"]
    weight = volumes[region.cells] * np.broadcast_to(region.fraction, region.cells.shape)
    bone = np.broadcast_to(by_region[f"{LEVEL}/trabecular"], region.cells.shape)
    return {
        "young_mean_mpa": float(young @ volumes / volumes.sum()),
        "trabecular_young_mean_mpa": float(bone @ weight / weight.sum()),
    }
