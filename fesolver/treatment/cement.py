"""Vertebroplasty: bone cement in place of trabecular bone, a stated volume grown from the needle tips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.meshing.regions import cell_centroids, cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.treatment.approach import APPROACHES, Approach, check_tip_fractions, needle_tips
from fesolver.treatment.cement_report import MM3_PER_ML, CementReport, report_cement

__all__ = ["CementPlan", "CementReport", "inject_cement"]


@dataclass(frozen=True)
class CementPlan:
    """How much cement goes where.

    Parameters
    ----------
    level : str
        Vertebral level.
    volume_ml : float
        Cement volume, ml, not negative; 0 changes nothing.
    approach : {"bipedicular", "unipedicular_left", "unipedicular_right", "point"}
        Needle tips by the axes of the body, or one point.
    center_mm : tuple of float, optional
        The point of approach `point`, mm, in `center_frame`.
    center_frame : {"body", "segment", "scanner"}
        Body: x left, y posterior, z cranial from the body's centroid. Segment: the frame of the mesh. Scanner: LPS+ of
        the image.
    lateral_fraction : float
        Needle tip's distance from the middle over the width of the body.
    depth_fraction : float
        Needle tip's distance from the anterior wall over the depth of the body.
    axial_stretch : float
        Height over width of the cloud that grows around each tip; 1 is a ball.

    Raises
    ------
    InputError
        If a number is outside its range or the point does not match the approach.
    """

    level: str
    volume_ml: float
    approach: Approach = "bipedicular"
    center_mm: tuple[float, float, float] | None = None
    center_frame: Literal["body", "segment", "scanner"] = "body"
    lateral_fraction: float = 0.25
    depth_fraction: float = 1.0 / 3.0
    axial_stretch: float = 1.0

    def __post_init__(self) -> None:
        where = f"cement of {self.level}"
        if not (np.isfinite(self.volume_ml) and self.volume_ml >= 0.0):
            raise InputError(f"volume_ml must be finite and not negative, got {self.volume_ml}", where=where)
        if self.approach not in APPROACHES:
            raise InputError(
                f"unknown approach {self.approach!r}", where=where, fix=f"use one of {', '.join(APPROACHES)}"
            )
        if (self.approach == "point") != (self.center_mm is not None):
            raise InputError(
                f"approach {self.approach!r} {'needs' if self.approach == 'point' else 'does not take'} center_mm",
                where=where,
                fix="give center_mm with approach = 'point' only",
            )
        if self.center_mm is not None and not (len(self.center_mm) == 3 and np.all(np.isfinite(self.center_mm))):
            raise InputError(f"center_mm must be three finite numbers, got {self.center_mm}", where=where)
        if self.center_frame not in ("body", "segment", "scanner"):
            raise InputError(
                f"unknown center_frame {self.center_frame!r}", where=where, fix="use body, segment or scanner"
            )
        check_tip_fractions(self.lateral_fraction, self.depth_fraction)
        if not (np.isfinite(self.axial_stretch) and self.axial_stretch > 0.0):
            raise InputError(f"axial_stretch must be positive, got {self.axial_stretch}", where=where)


def inject_cement(mesh: SpineMesh, tissue: Tissue, plan: CementPlan) -> tuple[SpineMesh, Tissue, CementReport]:
    """Replace trabecular bone of one level by cement.

    Parameters
    ----------
    mesh : SpineMesh
    tissue : Tissue
        Of that mesh.
    plan : CementPlan

    Returns
    -------
    mesh, tissue
        With the region `<level>/cement`, and that much less `<level>/trabecular`; for 0 ml the very same objects.
    report : CementReport

    Raises
    ------
    InputError
        If the level is not in the mesh or has no trabecular bone, a point lies outside trabecular bone, or the volume
        does not fit: then the largest that would is named.

    Notes
    -----
    The cloud is the set of points within a radius of a tip, in a metric stretched along the body axis. Across its
    front, one cell deep, the filled part of a cell's trabecular bone falls linearly from 1 to 0: fill = clip(1/2 +
    (R - d)/h, 0, 1), d the distance of the cell's centre from the nearest tip, h its size. The volume grows steadily
    with R, so that bisection meets it to round-off. Only the trabecular fraction is replaced: shell, endplates and
    cement that was there stay. The bone's density is kept, for the trabecular part that is left.

    The shape is a choice: a real cloud follows cracks and veins. It is what a study varies, not what it predicts.
    """
    volumes, centroids = cell_volumes(mesh), cell_centroids(mesh)
    if plan.level not in mesh.levels:
        raise InputError(
            f"level {plan.level} is not in the mesh", where="cement", fix=f"use one of {', '.join(mesh.levels)}"
        )
    bone = tissue.regions.get(f"{plan.level}/trabecular")
    if plan.volume_ml == 0.0:
        return mesh, tissue, report_cement(mesh, tissue, plan.level, volumes, centroids)
    if bone is None or not len(bone.cells):
        raise InputError(
            f"{plan.level} has no trabecular bone to put cement in",
            where=f"cement of {plan.level}",
            fix="shell, endplates or labels fill the whole body: make them thinner, or treat another level",
        )

    available = bone.fraction * volumes[bone.cells]
    target = plan.volume_ml * MM3_PER_ML
    if target > float(available.sum()):
        raise InputError(
            f"{plan.volume_ml:g} ml of cement do not fit into {plan.level}",
            where=f"trabecular bone of {plan.level}",
            fix=f"use at most {np.floor(float(available.sum())) / MM3_PER_ML:.3f} ml",
        )
    tips = _tips(mesh, bone, plan, centroids)
    distance = _distance(centroids[bone.cells], tips, mesh, plan)
    size = np.cbrt(volumes[bone.cells])
    radius = _radius(distance, size, available, target)
    fill = _fill(radius, distance, size)
    placed = Region(bone.cells[fill > 0.0], (fill * bone.fraction)[fill > 0.0])
    treated_mesh = replace(mesh, regions=_with_cement(mesh.regions, plan.level, bone, fill))
    treated = replace(
        tissue,
        regions=_with_cement(tissue.regions, plan.level, bone, fill),
        axes=_axes_left(tissue, plan.level, bone, fill),
    )
    report = report_cement(
        treated_mesh,
        treated,
        plan.level,
        volumes,
        centroids,
        placed=placed,
        asked_ml=plan.volume_ml,
        tips=tips,
        radius=radius,
    )
    return treated_mesh, treated, report


def _tips(mesh: SpineMesh, bone: Region, plan: CementPlan, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the cement starts, mesh frame, (n, 3)."""
    frame = mesh.frames[plan.level]
    if plan.center_mm is None:
        return needle_tips(
            centroids[bone.cells],
            frame,
            plan.approach,
            lateral_fraction=plan.lateral_fraction,
            depth_fraction=plan.depth_fraction,
        )
    given = np.array(plan.center_mm, dtype=np.float64)
    point = given
    if plan.center_frame == "body":
        point = frame.to_parent(given)
    elif plan.center_frame == "scanner":
        point = mesh.frame.to_local(given)
    corners = mesh.points[mesh.cells[bone.cells]]
    is_inside = np.all((point >= corners.min(axis=1) - 1e-9) & (point <= corners.max(axis=1) + 1e-9), axis=1)
    if not np.any(is_inside):
        away = np.linalg.norm(centroids[bone.cells] - point, axis=1)
        nearest = centroids[bone.cells[np.argmin(away)]]
        raise InputError(
            f"the cement point lies outside the trabecular bone of {plan.level}, {away.min():.1f} mm from the nearest "
            "cell of it",
            where="({:.1f}, {:.1f}, {:.1f}) mm".format(*given) + f" in the {plan.center_frame} frame",
            fix="bone is nearest at ({:.1f}, {:.1f}, {:.1f}) mm in the body frame".format(*frame.to_local(nearest)),
        )
    return point[None, :]


def _distance(
    points: NDArray[np.float64], tips: NDArray[np.float64], mesh: SpineMesh, plan: CementPlan
) -> NDArray[np.float64]:
    """Distance of each point to its nearest tip, the body's height shrunk by the stretch, mm, (k,)."""
    frame = mesh.frames[plan.level]
    scale = np.array([1.0, 1.0, 1.0 / plan.axial_stretch])
    local, seeds = frame.to_local(points) * scale, frame.to_local(tips) * scale
    return np.asarray(np.min([np.sqrt(np.sum((local - seed) ** 2, axis=1)) for seed in seeds], axis=0))


def _fill(radius: float, distance: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filled part of each cell's trabecular bone, 0 to 1, (k,); slivers below 1e-6 are rounded away."""
    fill = np.clip(0.5 + (radius - distance) / size, 0.0, 1.0)
    return np.where(fill < 1e-6, 0.0, np.where(fill > 1.0 - 1e-6, 1.0, fill))


def _radius(
    distance: NDArray[np.float64], size: NDArray[np.float64], available: NDArray[np.float64], target: float
) -> float:
    """Radius at which the filled volume is the target, by bisection."""
    low, high = float((distance - 0.5 * size).min()), float((distance + 0.5 * size).max())
    for _ in range(100):
        middle = 0.5 * (low + high)
        if float(np.sum(_fill(middle, distance, size) * available)) < target:
            low = middle
        else:
            high = middle
    return high


def _with_cement(
    regions: Mapping[str, Region], level: str, bone: Region, fill: NDArray[np.float64]
) -> dict[str, Region]:
    """Regions with the filled part moved from trabecular bone to cement."""
    out = dict(regions)
    bone_name, cement_name = f"{level}/trabecular", f"{level}/cement"
    is_left, is_filled = fill < 1.0, fill > 0.0
    if np.any(is_left):
        out[bone_name] = Region(bone.cells[is_left], (bone.fraction * (1.0 - fill))[is_left])
    else:
        del out[bone_name]
    cells, fraction = bone.cells[is_filled], (bone.fraction * fill)[is_filled]
    before = regions.get(cement_name)
    if before is not None:
        both = np.union1d(before.cells, cells)
        total = np.zeros(len(both))
        total[np.searchsorted(both, before.cells)] += before.fraction
        total[np.searchsorted(both, cells)] += fraction
        cells, fraction = both, total
    out[cement_name] = Region(cells, fraction)
    return out


def _axes_left(
    tissue: Tissue, level: str, bone: Region, fill: NDArray[np.float64]
) -> Mapping[str, NDArray[np.float64]]:
    """Axes of the regions, those of trabecular bone cut to the cells that are left."""
    name = f"{level}/trabecular"
    if name not in tissue.axes:
        return tissue.axes
    return {**tissue.axes, name: tissue.axes[name][fill < 1.0]}
