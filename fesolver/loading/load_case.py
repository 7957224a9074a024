"""A load case: how the segment is held and pushed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LoadCase"]


@dataclass(frozen=True)
class LoadCase:
    """Compression between pads.

    Parameters
    ----------
    name : str
        Name in results.
    control : {"force", "displacement"}
        Which of the two numbers below is imposed.
    force_n : float
        Magnitude of the compressive force, N, acting along -z of the segment frame at the top centroid plus offset.
    displacement_mm : float
        Magnitude of the imposed shortening, mm, at the load point along the axis.
    top : {"fixed", "tilt", "free"}
        Motion of the top pad: only along the axis; also free to rotate about both transverse axes; all six free.
    offset_anterior_mm : float
        Load point anterior (towards -y) of the top endplate's centroid, mm.
    """

    name: str = "compression"
    control: Literal["force", "displacement"] = "force"
    force_n: float = 500.0
    displacement_mm: float = 0.0
    top: Literal["fixed", "tilt", "free"] = "tilt"
    offset_anterior_mm: float = 0.0
