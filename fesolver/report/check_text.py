"""What `fesolver check` found, in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.imaging.volume import SegmentImage

if TYPE_CHECKING:
    from fesolver.study.check import StudyCheck

__all__ = ["check_lines", "segment_tilt_deg", "wedge_deg"]


def check_lines(check: StudyCheck) -> list[str]:
    """Sizes, memory, time, geometry and findings, one per line."""
    image = check.image
    spacing = " x ".join(f"{edge:g}" for edge in image.spacing)
    lines = [
        f"segment:  {', '.join(image.levels)}, {segment_tilt_deg(image):.1f}° off the scanner's axis",
        f"cells:    {_thousands(check.n_cells)} of {spacing} mm, {_thousands(check.n_dof)} unknowns",
        f"cases:    {check.n_cases}",
        f"memory:   {_thousands(round(check.memory_mb))} MB",
        f"time:     {_duration(check.seconds_estimate)}",
    ]
    for level in image.levels:
        vertebra = image.vertebrae[level]
        change = image.volume_change.get(level)
        volume = "" if change is None else f", volume {100 * change:+.2f} % against the labels"
        lines.append(
            f"{level + ':':<9} wedge {wedge_deg(image, level):+.1f}°, endplates {vertebra.superior_area_mm2:.0f} and "
            f"{vertebra.inferior_area_mm2:.0f} mm²{volume}"
        )
    return [*lines, *(f"found:    {finding}" for finding in check.findings)]


def segment_tilt_deg(image: SegmentImage) -> float:
    """Angle between the segment's axis and the scanner's, degrees."""
    return float(np.degrees(np.arccos(np.clip(abs(image.frame.axes[2, 2]), 0.0, 1.0))))


def wedge_deg(image: SegmentImage, level: str) -> float:
    """Sagittal angle between the endplates of a body, degrees; positive where it is lower in front."""
    vertebra = image.vertebrae[level]

    def slope(normal: NDArray[np.float64]) -> float:
        """Rise of the endplate towards posterior."""
        return float(np.degrees(np.arctan2(-normal[1], normal[2])))

    return slope(vertebra.superior_normal) - slope(-vertebra.inferior_normal)


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _duration(seconds: float | None) -> str:
    """Seconds in words a person plans with."""
    if seconds is None:
        return "unknown: nothing has been solved on this machine yet"
    if seconds < 120:
        return f"about {seconds:.0f} s at this machine's last rate"
    return f"about {seconds / 60:.0f} min at this machine's last rate"
