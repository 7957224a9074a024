"""Places on a vertebra by its geometry: tips of processes, facets, lamina, pedicles, canal, corners of the body."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.imaging.frames import oriented_frame
from fesolver.imaging.volume import VertebraGeometry
from fesolver.surfaces.endplates import EndplatePatch
from fesolver.surfaces.parts_cut import BodyCut
from fesolver.surfaces.parts_topology import border_loops, components
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["LANDMARKS", "find_landmarks"]

LANDMARKS = (
    "anterior_superior",
    "posterior_superior",
    "anterior_inferior",
    "posterior_inferior",
    "canal_center",
    "pedicle_left",
    "pedicle_right",
    "lamina",
    "spinous_process_tip",
    "transverse_process_left",
    "transverse_process_right",
    "superior_facet_left",
    "superior_facet_right",
    "inferior_facet_left",
    "inferior_facet_right",
)
"""Names of all landmarks; a body alone has the first four."""

_TIP_MM = 2.0
_MIDLINE_MM = 4.0
_SPINOUS_HALF_WIDTH_MM = 8.0
_PEDICLE_WIDTH_MM = 14.0
_SLAB_MM = 1.0
_FACET_HEIGHT_MM = 18.0
"""Facets lie within this distance of their process's tip; lumbar ones are about 16 mm high (Panjabi et al. 1993, Spine
18:1298; recalled, medium confidence)."""
_FACET_TURN_DEG = 50.0
"""Turn of a facet's triangles from 45 degrees between sagittal and frontal: L1's face nearly sideways, L5's nearly
to the front and back."""


class _Vertebra:
    """What landmarks are read from, in the vertebra's own frame: x along the left, y from the body to the canal."""

    def __init__(
        self,
        surface: TriangleSurface,
        neighbours: NDArray[np.int64],
        frame: Frame,
        cut: BodyCut,
        inside: NDArray[np.float64],
    ) -> None:
        self.frame, self.neighbours = frame, neighbours
        self.areas = surface.areas
        self.centers = frame.to_local(surface.centers)
        self.normals = frame.vectors_to_local(surface.normals)
        self.posterior = cut.is_behind(surface.centers)
        self.inside = frame.to_local(inside[cut.is_behind(inside)])
        self.depth = (inside[cut.is_behind(inside)] - cut.point) @ cut.normal
        outline = frame.to_local(cut.canal.outline)
        self.canal = outline.mean(axis=0)
        self.canal_axis = frame.vectors_to_local(cut.canal.axis)
        self.half_width = 0.5 * float(np.ptp(outline[:, 0]))
        self.canal_depth = 0.5 * float(np.ptp(cut.canal.outline @ cut.normal))

    def mean(self, mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        """Mean place of triangles by area, None without any."""
        if not mask.any():
            return None
        return np.asarray(np.average(self.centers[mask], axis=0, weights=self.areas[mask]))

    def extreme(self, mask: NDArray[np.bool_], direction: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Mean place of the triangles within 2 mm of the furthest one along a direction."""
        if not mask.any():
            return None
        along = self.centers @ direction
        return self.mean(mask & (along > along[mask].max() - _TIP_MM))


def _corners(
    surface: TriangleSurface, neighbours: NDArray[np.int64], patch: EndplatePatch, frame: Frame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The foremost and hindmost place of an endplate's border: means over its parts next to the midline, local mm."""
    loop = frame.to_local(surface.points[border_loops(patch.triangles, surface, neighbours)[0]])
    after = np.roll(loop, -1, axis=0)
    middles, lengths = 0.5 * (loop + after), np.linalg.norm(after - loop, axis=1)
    half = 0.5 * (loop[:, 1].min() + loop[:, 1].max())
    corners = []
    for front in (True, False):
        near = np.abs(middles[:, 0]) < max(_MIDLINE_MM, float(lengths.max()))
        near &= (middles[:, 1] < half) == front
        y, z = np.average(middles[near][:, 1:], axis=0, weights=lengths[near])
        corners.append(np.array([0.0, y, z]))
    return corners[0], corners[1]


def _pedicle(v: _Vertebra, side: float) -> NDArray[np.float64] | None:
    """Centre of the slab between cut plane and canal's middle where the bone beside the canal is thinnest."""
    lateral = side * (v.inside[:, 0] - v.canal[0]) - v.half_width
    near = (lateral > -0.3 * v.half_width) & (lateral < _PEDICLE_WIDTH_MM) & (v.depth < v.canal_depth)
    slab = np.floor(v.depth[near] / _SLAB_MM).astype(np.int64)
    if len(slab) == 0:
        return None
    # Three slabs at once: a lattice that lies askew fills single ones unevenly.
    count = np.convolve(np.bincount(slab), np.ones(3), mode="valid")
    thinnest = 1 + int(np.argmin(count)) if len(count) else 0
    return np.asarray(v.inside[near][np.abs(slab - thinnest) <= 1].mean(axis=0))


def _facet(v: _Vertebra, side: float, upper: bool) -> NDArray[np.float64] | None:
    """Centre of the patch that faces the neighbour: backward and inward above, forward and outward below."""
    lateral = side * (v.centers[:, 0] - v.canal[0])
    own = v.posterior & (lateral > _MIDLINE_MM) & (lateral < v.half_width + _PEDICLE_WIDTH_MM)
    own &= v.centers[:, 1] > v.canal[1] - v.canal_depth
    if not own.any():
        return None
    sense = 1.0 if upper else -1.0
    height = sense * v.centers[:, 2]
    direction = sense * np.array([-side, 1.0, 0.0]) / np.sqrt(2.0)
    facing = own & (height > height[own].max() - _FACET_HEIGHT_MM)
    facing &= v.normals @ direction > np.cos(np.deg2rad(_FACET_TURN_DEG))
    if not facing.any():
        return None
    label = components(facing, v.neighbours)
    return v.mean(label == np.argmax(np.bincount(label[facing], weights=v.areas[facing])))


def _guesses(v: _Vertebra) -> dict[str, NDArray[np.float64] | None]:
    """Every posterior landmark, local mm, None where there is nothing to take it from."""
    x, y = v.centers[:, 0] - v.canal[0], v.centers[:, 1]
    sides = {"left": 1.0, "right": -1.0}
    found = {f"pedicle_{name}": _pedicle(v, side) for name, side in sides.items()}
    level = [place[2] for place in found.values() if place is not None]
    rise = (float(np.mean(level)) if level else 0.0) - v.canal[2]
    found["canal_center"] = v.canal + v.canal_axis * (rise / v.canal_axis[2])
    behind = v.posterior & (y > v.canal[1])
    lamina = v.mean(behind & (np.abs(x) < _MIDLINE_MM) & (v.normals[:, 1] < -0.5))
    found["lamina"] = lamina
    back = v.canal[1] if lamina is None else lamina[1]
    spinous = v.posterior & (y > back) & (np.abs(x) < _SPINOUS_HALF_WIDTH_MM)
    found["spinous_process_tip"] = v.extreme(spinous, np.array([0.0, 1.0, 0.0]))
    for name, side in sides.items():
        beside = v.posterior & (side * x > 0)
        found[f"transverse_process_{name}"] = v.extreme(beside, np.array([side, 0.0, 0.0]))
        found[f"superior_facet_{name}"] = _facet(v, side, True)
        found[f"inferior_facet_{name}"] = _facet(v, side, False)
    return found


def _implausible(name: str, place: NDArray[np.float64], found: Mapping[str, NDArray[np.float64]], v: _Vertebra) -> str:
    """Why a place is not what its name says, or nothing."""
    side = {"left": 1.0, "right": -1.0}.get(name.rsplit("_", 1)[-1], 0.0)
    lateral = side * (place[0] - v.canal[0])
    center, lamina = found["canal_center"], found.get("lamina")
    pedicle = found.get(f"pedicle_{name.rsplit('_', 1)[-1]}")
    if name.startswith("pedicle") and lateral < 0.7 * v.half_width:
        return f"it lies {lateral:.0f} mm beside the canal's middle, within the canal"
    if name.startswith("transverse") and lateral < v.half_width + _PEDICLE_WIDTH_MM:
        return f"nothing reaches further than {lateral:.0f} mm to the side of the canal"
    if name == "spinous_process_tip" and (lamina is None or place[1] < lamina[1] + 10.0):
        return "nothing reaches 10 mm behind the lamina"
    if name.startswith("superior_facet") and pedicle is not None and place[2] < pedicle[2]:
        return f"the patch facing backward lies {pedicle[2] - place[2]:.0f} mm below the pedicle"
    if name.startswith("inferior_facet") and (
        (pedicle is not None and place[2] > pedicle[2]) or place[1] < center[1] - v.canal_depth
    ):
        return "the patch facing forward lies above the pedicle or in front of the canal"
    return ""


def find_landmarks(
    surface: TriangleSurface,
    neighbours: NDArray[np.int64],
    geometry: VertebraGeometry,
    superior: EndplatePatch,
    inferior: EndplatePatch,
    cut: BodyCut | None,
    inside: NDArray[np.float64],
) -> tuple[Mapping[str, NDArray[np.float64]], Mapping[str, str]]:
    """Landmarks of a vertebra.

    Parameters
    ----------
    surface : TriangleSurface
        Closed.
    neighbours : (m, 3) ndarray of int64
        From `fesolver.surfaces.parts_topology.triangle_neighbours`.
    geometry : VertebraGeometry
        Body frame and endplates.
    superior, inferior : EndplatePatch
        Endplates on the surface.
    cut : BodyCut or None
        The plane through the pedicles; without one there are only corners of the body.
    inside : (n, 3) ndarray
        Places of `lattice_inside`, 1 mm apart.

    Returns
    -------
    landmarks : mapping of str to (3,) ndarray
        Places in the surface's frame, mm, in the order of `LANDMARKS`.
    missing : mapping of str to str
        Names without a plausible place, and why.

    Notes
    -----
    They are read in the frame of the body turned about its z so that y points to the canal, so a vertebra that lies
    turned keeps its own sides. Corners: mean of an endplate's border within 4 mm of the mid-sagittal plane, set on it.
    Tips: mean of the surface within 2 mm of the hindmost or outermost place. Facets: the largest patch near a process's
    tip that faces backward and inward (superior) or forward and outward (inferior), within 50 degrees of the diagonal;
    with both neighbours at hand, `fesolver.surfaces.parts_facets.facet_pairs` knows better. Lamina: the middle of
    the canal's rear wall. Pedicles: centre of the thinnest slab between the cut and the canal's middle.
    """
    axis = geometry.frame.axes[2]
    left = geometry.frame.axes[0] if cut is None else np.cross(cut.normal, axis)
    frame = oriented_frame(geometry.frame.origin, axis, left / np.linalg.norm(left))
    found: dict[str, NDArray[np.float64]] = {}
    for name, patch in (("superior", superior), ("inferior", inferior)):
        found[f"anterior_{name}"], found[f"posterior_{name}"] = _corners(surface, neighbours, patch, frame)
    missing: dict[str, str] = {}
    if cut is None:
        missing = dict.fromkeys(LANDMARKS[4:], "the surface is a body alone")
    else:
        v = _Vertebra(surface, neighbours, frame, cut, inside)
        guesses = _guesses(v)
        found |= {name: place for name, place in guesses.items() if place is not None}
        missing = {name: "there is no surface to take it from" for name, place in guesses.items() if place is None}
        why = {name: _implausible(name, place, found, v) for name, place in found.items()}
        missing |= {name: reason for name, reason in why.items() if reason}
    places = {name: frame.to_parent(found[name]) for name in LANDMARKS if name in found and name not in missing}
    return MappingProxyType(places), MappingProxyType(missing)
