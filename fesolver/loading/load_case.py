"""A load case: how the segment is held and pushed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["LoadCase", "isolated_load_case"]


@dataclass(frozen=True)
class LoadCase:
    """Compression between pads, a follower load, and moments on the top pad; what is not zero acts together.

    Parameters
    ----------
    name : str
        Name in results.
    control : {"force", "displacement"}
        Which of the two numbers below is imposed; moments and a follower load go with "force" only.
    force_n : float
        Magnitude of the compressive force, N, acting along -z of the segment frame at the top centroid plus offset. 0
        where a moment or a follower load acts alone.
    displacement_mm : float
        Magnitude of the imposed shortening, mm, at the load point along the axis.
    top : {"fixed", "tilt", "free"}
        Motion of the top pad: only along the axis; also free to rotate about both transverse axes; all six free.
    offset_anterior_mm : float
        Load point anterior (towards -y) of the top endplate's centroid, mm.
    flexion_nm : float
        Moment on the top pad, N m, that bends the segment forward: about +x (the patient's left). Extension is
        negative. Needs a pad that may tilt; a pure moment needs `top = "free"`.
    lateral_bending_nm : float
        Moment, N m, that bends to the patient's left: about +y. Needs a pad that may tilt.
    axial_rotation_nm : float
        Moment, N m, that turns the front to the patient's left: about +z. Needs `top = "free"`.
    follower_n : float
        Follower load, N, along the chords between the bodies' centroids, see `fesolver.loading.follower`.
    """

    name: str = "compression"
    control: Literal["force", "displacement"] = "force"
    force_n: float = 500.0
    displacement_mm: float = 0.0
    top: Literal["fixed", "tilt", "free"] = "tilt"
    offset_anterior_mm: float = 0.0
    flexion_nm: float = 0.0
    lateral_bending_nm: float = 0.0
    axial_rotation_nm: float = 0.0
    follower_n: float = 0.0

    @property
    def moments_nm(self) -> tuple[float, float, float]:
        """Flexion, lateral bending and axial rotation, N m: the moments about +x, +y and +z of the segment frame."""
        return self.flexion_nm, self.lateral_bending_nm, self.axial_rotation_nm

    @property
    def has_moment(self) -> bool:
        """Whether a moment acts on the top pad."""
        return any(moment != 0.0 for moment in self.moments_nm)


def isolated_load_case(load_case: LoadCase) -> LoadCase:
    """Compression of one body alone between rigid ends that stay parallel: what a segment's load case leaves of it.

    Parameters
    ----------
    load_case : LoadCase
        Of the segment. Its axial force, or else its follower load, is the force here; a case without either (moments,
        or a given shortening) gives the default, 500 N: the stiffness of a linear model does not depend on it.

    Examples
    --------
    >>> isolated_load_case(LoadCase(force_n=0.0, follower_n=700.0, flexion_nm=7.5, top="free")).force_n
    700.0
    """
    force = load_case.force_n or load_case.follower_n or LoadCase.force_n
    return replace(LoadCase(name="isolated", top="fixed"), force_n=force)
