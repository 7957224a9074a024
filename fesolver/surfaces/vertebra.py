"""A vertebra's surface with its parts named: endplates, side wall, posterior elements; its frame and landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import sort_levels
from fesolver.errors import InputError
from fesolver.imaging.frames import oriented_frame
from fesolver.imaging.volume import VertebraGeometry
from fesolver.surfaces.endplates import endplate_patches
from fesolver.surfaces.landmarks import find_landmarks
from fesolver.surfaces.parts_cut import BodyCut, find_body_cut, lattice_inside, solid_in_front
from fesolver.surfaces.parts_topology import triangle_neighbours
from fesolver.surfaces.surface import TriangleSurface

__all__ = [
    "INFERIOR_ENDPLATE",
    "OUTER",
    "POSTERIOR",
    "SUPERIOR_ENDPLATE",
    "VertebraSurface",
    "vertebra_parts",
]

SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE, OUTER, POSTERIOR = 0, 1, 2, 3

_CRANIAL = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class VertebraSurface:
    """One vertebra's closed surface, taken apart; everything in the surface's own frame, mm.

    Parameters
    ----------
    surface : TriangleSurface
        The surface.
    level : str
        Vertebral level.
    frame : Frame
        Body frame: origin at the centroid of the body's volume (posterior elements cut off), z along the line of
        endplate centroids, x to the patient's left.
    kind : (m,) ndarray of int8
        Of every triangle: `SUPERIOR_ENDPLATE`, `INFERIOR_ENDPLATE`, `OUTER` (side wall of the body) or `POSTERIOR`.
    geometry : VertebraGeometry
        Endplate centroids, normals and footprints, as the CT path gives them.
    landmarks : mapping of str to (3,) ndarray
        Places found, mm; `fesolver.surfaces.landmarks` names them.
    missing : mapping of str to str
        Landmarks that were not found or are not plausible, and why.
    body_volume_mm3 : float
        Volume of the body.
    cut : BodyCut or None
        The plane through the pedicles; None for a body alone.
    """

    surface: TriangleSurface
    level: str
    frame: Frame
    kind: NDArray[np.int8]
    geometry: VertebraGeometry
    landmarks: Mapping[str, NDArray[np.float64]]
    body_volume_mm3: float
    cut: BodyCut | None = None
    missing: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def is_posterior(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether places (k, 3) inside the solid, mm, belong to the arch and processes; (k,)."""
        places = np.asarray(points, dtype=np.float64)
        if self.cut is None:
            return np.zeros(len(places), dtype=np.bool_)
        return self.cut.is_behind(places)

    def landmark(self, name: str) -> NDArray[np.float64]:
        """Place of a landmark, mm, (3,); raises `InputError` with the reason where there is none."""
        if name in self.landmarks:
            return self.landmarks[name]
        raise InputError(
            f"{self.level} has no landmark {name!r}: {self.missing.get(name, 'there is none of this name')}",
            fix=f"it has {', '.join(self.landmarks)}",
        )


def vertebra_parts(surface: TriangleSurface, level: str) -> VertebraSurface:
    """Tell the parts of a vertebra's closed surface apart.

    Parameters
    ----------
    surface : TriangleSurface
        One closed vertebra, or a vertebral body alone; mm, normals outward; x to the patient's left, y posterior, z
        superior within about 30 degrees.
    level : str
        Vertebral level, `"L1"`.

    Returns
    -------
    VertebraSurface
        Every triangle has one kind; each endplate is one patch without holes.

    Raises
    ------
    InputError
        If the level is unknown, the surface is open, inside out or no vertebra (no canal and no body's shape), its axes
        contradict its shape, or an endplate cannot be found.

    Notes
    -----
    The canal is found as the largest hole that can be seen through (the CT path's own search, on a lattice of 1 mm
    inside the surface); the body ends at the plane along its front wall. Endplates: `fesolver.surfaces.endplates`.
    The patient's left comes from the surface's axes: a symmetric shape cannot tell.
    """
    sort_levels([level])
    neighbours = triangle_neighbours(surface)
    if surface.volume <= 0:
        raise InputError(
            f"{level}: normals of the surface point inward (volume {surface.volume / 1000:.1f} cm3)",
            fix="turn its triangles over, or check the handedness of its axes",
        )
    inside = lattice_inside(surface)
    cut = find_body_cut(surface, level, inside)
    of_body = np.ones(len(neighbours), dtype=np.bool_) if cut is None else ~cut.is_behind(surface.centers)
    volume, centroid = solid_in_front(surface, cut)
    superior, inferior, axis = endplate_patches(
        surface,
        neighbours,
        of_body=of_body,
        middle=centroid,
        axis=_CRANIAL if cut is None else cut.canal.axis,
        where=level,
    )
    kind = np.where(of_body, OUTER, POSTERIOR).astype(np.int8)
    kind[superior.triangles] = SUPERIOR_ENDPLATE
    kind[inferior.triangles] = INFERIOR_ENDPLATE
    frame = oriented_frame(centroid, axis)
    geometry = VertebraGeometry(
        level=level,
        frame=frame,
        superior_centroid=superior.centroid,
        superior_normal=superior.normal,
        inferior_centroid=inferior.centroid,
        inferior_normal=inferior.normal,
        superior_area_mm2=superior.area_mm2,
        inferior_area_mm2=inferior.area_mm2,
        canal_area_mm2=0.0 if cut is None else cut.canal.area_mm2,
    )
    landmarks, missing = find_landmarks(surface, neighbours, geometry, superior, inferior, cut, inside)
    return VertebraSurface(surface, level, frame, kind, geometry, landmarks, volume, cut, missing)
