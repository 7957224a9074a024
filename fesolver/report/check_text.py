"""What `fesolver check` found, in lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.imaging.volume import SegmentImage
from fesolver.meshing.regions import cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.surface import FacetSurface
from fesolver.report.factor_words import factor_words

if TYPE_CHECKING:
    from fesolver.study.check import StudyCheck

__all__ = ["check_lines", "mesh_wedge_deg", "segment_tilt_deg", "wedge_deg"]


def check_lines(check: StudyCheck) -> list[str]:
    """Sizes, memory, time, geometry and findings, one per line."""
    image, mesh = check.image, check.mesh
    made = (check.geometry or {}).get("kind", "parametric" if check.geometry else "")
    how = f", {made}" if made else ""
    if image is not None:
        how = f", {segment_tilt_deg(image):.1f}° off the scanner's axis"
    cells = f"({check.mesh_text})" if image is None else f"of {' x '.join(f'{edge:g}' for edge in image.spacing)} mm"
    return [
        f"segment:  {', '.join(mesh.levels)}{how}",
        f"cells:    {_thousands(check.n_cells)} {cells}, {_thousands(check.n_dof)} unknowns",
        f"cases:    {_thousands(check.n_cases)}{_workers(check)}",
        *(f"factor:   {f.name}: {factor_words(f).label}: {f.describe()}" for f in check.factors),
        f"memory:   {_thousands(round(check.memory_mb))} MB{' for each worker' if check.n_workers > 1 else ''}",
        f"disk:     {_thousands(max(1, round(check.disk_mb)))} MB",
        f"time:     {_duration(check.seconds_estimate)}",
        *(_image_lines(image) if image is not None else _parametric_lines(check)),
        *(f"found:    {finding}" for finding in check.findings),
    ]


def _workers(check: StudyCheck) -> str:
    """Who would compute them, where there are several."""
    if check.n_workers == 1:
        return ""
    return f", {check.n_workers} at once with {check.threads} thread{'' if check.threads == 1 else 's'} each"


def _image_lines(image: SegmentImage) -> list[str]:
    """Every level of an image: wedge, endplates, volume."""
    lines = []
    for level in image.levels:
        vertebra = image.vertebrae[level]
        change = image.volume_change.get(level)
        volume = "" if change is None else f", volume {100 * change:+.2f} % against the labels"
        lines.append(
            f"{level + ':':<9} wedge {wedge_deg(image, level):+.1f}°, endplates {vertebra.superior_area_mm2:.0f} and "
            f"{vertebra.inferior_area_mm2:.0f} mm²{volume}"
        )
    return lines


def _parametric_lines(check: StudyCheck) -> list[str]:
    """Every body as meshed: wedge, height, endplates, volume, layers, density; every disc: heights and nucleus."""
    mesh, geometry = check.mesh, check.geometry or {}
    volume = cell_volumes(mesh)
    lines = []
    for level in mesh.levels:
        upper, lower = (FacetSurface.of(mesh, f"{level}/{side}") for side in ("superior_endplate", "inferior_endplate"))
        height = float(np.linalg.norm(upper.centroid - lower.centroid))
        layers = [f"{name} {thickness:.2f}" for name, thickness in _layers(mesh, level, volume)]
        density = geometry.get("bodies", {}).get(level, {}).get("density_mean_g_cm3")
        lines.append(
            f"{level + ':':<9} wedge {mesh_wedge_deg(mesh, level):+.1f}°, height {height:.1f} mm, endplates "
            f"{upper.area:.0f} and {lower.area:.0f} mm², {1e-3 * volume[mesh.level_cells(level)].sum():.1f} ml"
            + (f", {', '.join(layers)} mm" if layers else "")
            + (f", trabecular {1e3 * density:.0f} mg/cm³" if density is not None and np.isfinite(density) else "")
        )
    return [*lines, *(_disc_line(name, disc) for name, disc in geometry.get("discs", {}).items())]


def _disc_line(name: str, disc: Mapping[str, Any]) -> str:
    """Height and wedge of a disc; nucleus and degeneration where the segment is parametric."""
    line = f"{name + ':':<9} height {disc['height_mm']:.1f} mm, wedge {disc['wedge_deg']:+.1f}°"
    if "nucleus" in disc:
        line += f", {disc['nucleus']} nucleus of {100 * disc['nucleus_area_fraction']:.0f} % of the area"
    return line + (f", degeneration {disc['degeneration']}" if disc.get("degeneration", "none") != "none" else "")


def _layers(mesh: SpineMesh, level: str, volume: NDArray[np.float64]) -> list[tuple[str, float]]:
    """Name and mean thickness, mm, of a body's layers: volume over the area of their outer facets."""
    out = []
    for kind, name, words in (
        ("cortical", "outer", "shell"),
        ("superior_endplate", "superior_endplate", "superior endplate"),
        ("inferior_endplate", "inferior_endplate", "inferior endplate"),
    ):
        region, surface = mesh.regions.get(f"{level}/{kind}"), mesh.surfaces[f"{level}/{name}"]
        if region is not None:
            area = float(surface.areas[np.isin(surface.cells, region.cells)].sum())
            out.append((words, float((volume[region.cells] * region.fraction).sum()) / area))
    return out


def mesh_wedge_deg(mesh: SpineMesh, level: str) -> float:
    """Sagittal angle between the mean planes of a body's endplates, degrees; positive where it is lower in front."""
    upper, lower = (FacetSurface.of(mesh, f"{level}/{side}") for side in ("superior_endplate", "inferior_endplate"))
    return _slope_deg(upper.normal) - _slope_deg(-lower.normal)


def segment_tilt_deg(image: SegmentImage) -> float:
    """Angle between the segment's axis and the scanner's, degrees."""
    return float(np.degrees(np.arccos(np.clip(abs(image.frame.axes[2, 2]), 0.0, 1.0))))


def wedge_deg(image: SegmentImage, level: str) -> float:
    """Sagittal angle between the endplates of a body, degrees; positive where it is lower in front."""
    vertebra = image.vertebrae[level]
    return _slope_deg(vertebra.superior_normal) - _slope_deg(-vertebra.inferior_normal)


def _slope_deg(normal: NDArray[np.float64]) -> float:
    """Rise of an endplate towards posterior, degrees, from its cranial normal."""
    return float(np.degrees(np.arctan2(-normal[1], normal[2])))


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _duration(seconds: float | None) -> str:
    """Seconds in words a person plans with."""
    if seconds is None:
        return "unknown: nothing has been solved on this machine yet"
    if seconds < 120:
        return f"about {seconds:.0f} s at this machine's last rate, without figures and report"
    return f"about {seconds / 60:.0f} min at this machine's last rate, without figures and report"
