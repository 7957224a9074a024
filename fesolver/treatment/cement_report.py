"""What a cement injection did: volumes, and how near the endplates it came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region, Tissue
from fesolver.meshing.regions import depth_below
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["MM3_PER_ML", "CementReport", "report_cement"]

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class CementReport:
    """What was placed.

    Parameters
    ----------
    level : str
    asked_ml, placed_ml : float
        Cement of this plan; cement that was there before is not counted.
    existing_ml : float
        Cement the level held before.
    largest_ml : float
        What would have filled all trabecular bone of the body.
    fill_fraction : float
        All cement over the volume of the vertebral body (posterior elements excluded), dimensionless.
    n_cells, n_full_cells : int
        Cells that took cement of this plan; those without trabecular bone left.
    tips_mm : (n, 3) ndarray
        Where it grew from, mesh frame.
    radius_mm : float
        Half-width of the cloud around each tip (half-height = `axial_stretch` times this).
    centroid_mm : (3,) ndarray
        Centroid of all cement in the body frame, mm: x left, y posterior, z cranial.
    distance_superior_mm, distance_inferior_mm : float
        Smallest distance of cement to the outside of each endplate; infinite without cement or surface.
    touches_superior, touches_inferior : bool
        Whether cement fills at least half of what it can in a cell at that endplate.
    """

    level: str
    asked_ml: float
    placed_ml: float
    existing_ml: float
    largest_ml: float
    fill_fraction: float
    n_cells: int
    n_full_cells: int
    tips_mm: NDArray[np.float64]
    radius_mm: float
    centroid_mm: NDArray[np.float64]
    distance_superior_mm: float
    distance_inferior_mm: float
    touches_superior: bool
    touches_inferior: bool


def report_cement(
    mesh: SpineMesh,
    tissue: Tissue,
    level: str,
    volumes: NDArray[np.float64],
    centroids: NDArray[np.float64],
    *,
    placed: Region | None = None,
    asked_ml: float = 0.0,
    tips: NDArray[np.float64] | None = None,
    radius: float = 0.0,
) -> CementReport:
    """Report on the cement of a level after injection.

    Parameters
    ----------
    mesh, tissue
        With the cement in them.
    level : str
    volumes : (n_cells,) ndarray
        mm3.
    centroids : (n_cells, 3) ndarray
        mm, mesh frame.
    placed : Region, optional
        What this plan added; nothing by default.
    asked_ml, tips, radius
        Of the plan and its growth.

    Returns
    -------
    CementReport
    """

    def volume(region: Region | None) -> float:
        return 0.0 if region is None else float(np.sum(region.fraction * volumes[region.cells]))

    parts = {name.split("/")[1]: region for name, region in tissue.regions.items() if name.startswith(f"{level}/")}
    bone, cement = parts.get("trabecular"), parts.get("cement")
    body = sum(volume(region) for part, region in parts.items() if part != "posterior")
    new, total = volume(placed), volume(cement)
    centroid = np.full(3, np.nan)
    if cement is not None and total > 0.0:
        weights = (cement.fraction * volumes[cement.cells])[:, None]
        centroid = mesh.frames[level].to_local((weights * centroids[cement.cells]).sum(axis=0) / total)
    left = np.zeros(len(volumes)) if bone is None else bone.dense(len(volumes))
    reach = {side: _reach(mesh, tissue, level, side, cement, left, volumes) for side in _SIDES}
    return CementReport(
        level=level,
        asked_ml=asked_ml,
        placed_ml=new / MM3_PER_ML,
        existing_ml=max(total - new, 0.0) / MM3_PER_ML,
        largest_ml=(volume(bone) + new) / MM3_PER_ML,
        fill_fraction=total / body if body > 0.0 else 0.0,
        n_cells=0 if placed is None else len(placed.cells),
        n_full_cells=0 if placed is None else int(np.count_nonzero(left[placed.cells] == 0.0)),
        tips_mm=np.zeros((0, 3)) if tips is None else tips,
        radius_mm=radius,
        centroid_mm=centroid,
        distance_superior_mm=reach["superior"][0],
        distance_inferior_mm=reach["inferior"][0],
        touches_superior=reach["superior"][1],
        touches_inferior=reach["inferior"][1],
    )


_SIDES = ("superior", "inferior")
_WHOLE = 1.0 - 1e-6


def _reach(
    mesh: SpineMesh,
    tissue: Tissue,
    level: str,
    side: str,
    cement: Region | None,
    bone_left: NDArray[np.float64],
    volumes: NDArray[np.float64],
) -> tuple[float, bool]:
    """Smallest distance of cement to the outside of an endplate in mm, and whether it touches that endplate.

    In a cell filled to the fraction f the front is taken to lie (f - 1/2) h outward of the cell's centre.
    """
    name = f"{level}/{side}_endplate"
    surface, layer = mesh.surfaces.get(name), tissue.regions.get(name)
    if cement is None or not len(cement.cells) or surface is None or not len(surface.facets):
        return float("inf"), False
    away, _ = depth_below(mesh, name, cement.cells)
    front = (cement.fraction - 0.5) * np.cbrt(volumes[cement.cells])
    near = np.isin(cement.cells, surface.cells if layer is None else np.concatenate([surface.cells, layer.cells]))
    if layer is not None:
        # A layer with cells of its own holds no cement: there a cell touches it that has a face in common with it.
        on_layer = np.zeros(len(mesh.points), dtype=bool)
        on_layer[mesh.cells[layer.cells[layer.fraction > _WHOLE]]] = True
        near |= on_layer[mesh.cells[cement.cells]].sum(axis=1) >= 3
    is_half_full = cement.fraction >= bone_left[cement.cells]
    return max(float(np.min(away - front)), 0.0), bool(np.any(is_half_full & near))
