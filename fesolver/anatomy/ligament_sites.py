"""Where ligaments hold on to vertebrae: from dimensions, and around facet joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.dimensions import VertebraDimensions
from fesolver.anatomy.facet_joints import FacetJoint
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.posterior import _FLAT_FRONT, canal_front
from fesolver.anatomy.section import posterior_narrowing, section_axes

__all__ = ["LigamentSites", "SitePairs", "capsular_sites", "pair_sites", "vertebra_sites"]

Part = Literal["body", "posterior"]

RIM_INSET_MM = 2.0
"""How far from the rims the longitudinal ligaments hold: they are fixed to the margins of the bodies; a choice."""
ANTERIOR_SPREAD = (-0.5, -0.25, 0.0, 0.25, 0.5)
POSTERIOR_SPREAD = (-0.2, 0.0, 0.2)
"""Strands across the wall over the half-width of the body: the anterior ligament covers about half of its width, the
posterior one is narrow; a choice."""
_LAMINA_SPREAD_DEG = (-50.0, -20.0, 20.0, 50.0)
"""Strands of the ligamentum flavum around the canal, off the midline; a choice."""
SPINOUS_SPREAD = (0.25, 0.5, 0.75)
"""Strands of the interspinous ligament along the process; a choice."""
_EDGE_MM = 1.0
"""How far within the edge of the arch a strand holds, so that it is in bone; a choice."""


@dataclass(frozen=True)
class LigamentSites:
    """Where one ligament holds on to one vertebra; both arrays are empty where it does not.

    Parameters
    ----------
    caudal : (k, 3) ndarray
        Sites, mm, of the strands to the vertebra below.
    cranial : (k, 3) ndarray
        Sites, mm, of the strands to the vertebra above, in the same order.
    part : {"body", "posterior"}
        What they are on.
    """

    caudal: NDArray[np.float64]
    cranial: NDArray[np.float64]
    part: Part

    def to_parent(self, frame: Frame) -> LigamentSites:
        """The same sites in the frame's parent."""
        return LigamentSites(frame.to_parent(self.caudal), frame.to_parent(self.cranial), self.part)

    def to_local(self, frame: Frame) -> LigamentSites:
        """The same sites in a frame instead of its parent."""
        return LigamentSites(frame.to_local(self.caudal), frame.to_local(self.cranial), self.part)


@dataclass(frozen=True)
class SitePairs:
    """The two ends of every strand of one ligament between two neighbours.

    Parameters
    ----------
    upper, lower : (k, 3) ndarray
        Sites on the upper and the lower vertebra, mm, in the segment frame.
    part : {"body", "posterior"}
        What they are on.
    """

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    part: Part


def vertebra_sites(dimensions: VertebraDimensions) -> dict[str, LigamentSites]:
    """Sites of all ligaments but the capsular one on a parametric vertebra.

    Parameters
    ----------
    dimensions : VertebraDimensions

    Returns
    -------
    dict of str to LigamentSites
        In the body frame, by the names of `fesolver.bone.ligaments.LIGAMENTS`. Longitudinal ligaments hold on the walls
        of the body, 2 mm off its rims; the others on the arch of `fesolver.anatomy.posterior`: the ligamentum flavum on
        the lower and upper edge of the lamina, the interspinous ligament on those of the spinous process, the
        supraspinous one at its tip, the intertransverse one at the tips of the transverse processes.

    Notes
    -----
    Where the strands stand within these places, and how many they are, is a choice.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> sites = vertebra_sites(vertebra_dimensions("L1"))
    >>> len(sites["anterior_longitudinal"].caudal), sites["supraspinous"].part
    (5, 'posterior')
    """
    d = dimensions
    front = canal_front(d)
    hinge = front + _FLAT_FRONT * d.canal_depth_mm
    height = min(d.pedicle_height_mm, 0.6 * d.posterior_height_mm)
    top = 0.5 * min(d.posterior_height_mm, d.mid_height_mm) - 2.5
    middle = top - 0.5 * height
    lamina = (top - 1.0 - 1.25 * height + _EDGE_MM, top - 1.0 - _EDGE_MM)
    around = np.deg2rad(_LAMINA_SPREAD_DEG)
    arch = np.stack(
        [
            (0.5 * d.canal_width_mm + _EDGE_MM) * np.sin(around),
            hinge + (d.canal_depth_mm * (1.0 - _FLAT_FRONT) + _EDGE_MM) * np.cos(around),
        ],
        axis=1,
    )
    spinous = front + d.canal_depth_mm + 0.5 * d.lamina_thickness_mm
    length = 0.5 * d.lamina_thickness_mm + d.spinous_process_mm
    edge = 0.55 * height - _EDGE_MM
    along = np.array([*SPINOUS_SPREAD, 1.0 - _EDGE_MM / length]) * length
    ridge = np.stack([0.0 * along, spinous + along], axis=1)
    falls = middle - 0.25 * height - 0.2 * along
    tip = 0.5 * d.transverse_span_mm - 4.0
    sides = np.array([[tip, hinge + 1.0], [-tip, hinge + 1.0]])
    return {
        "anterior_longitudinal": LigamentSites(*_walls(d, ANTERIOR_SPREAD, -1.0), "body"),
        "posterior_longitudinal": LigamentSites(*_walls(d, POSTERIOR_SPREAD, 1.0), "body"),
        "ligamentum_flavum": LigamentSites(_raised(arch, lamina[0]), _raised(arch, lamina[1]), "posterior"),
        "intertransverse": LigamentSites(_raised(sides, middle - 3.0), _raised(sides, middle + 3.0), "posterior"),
        "interspinous": LigamentSites(
            _raised(ridge[:-1], falls[:-1] - edge), _raised(ridge[:-1], falls[:-1] + edge), "posterior"
        ),
        "supraspinous": LigamentSites(
            _raised(ridge[-1:], falls[-1:] - edge), _raised(ridge[-1:], falls[-1:] + edge), "posterior"
        ),
    }


def capsular_sites(left: FacetJoint, right: FacetJoint) -> SitePairs:
    """Sites of the capsular ligament around both facet joints between two neighbours.

    Parameters
    ----------
    left, right : FacetJoint
        In the segment frame.

    Returns
    -------
    SitePairs
        Four strands around each joint, at the ends of the facet's axes, upright along the facet and as long as it is
        high, half of it above and half below its middle.

    Notes
    -----
    Strands that crossed the joint on the shortest way would be as long as the gap and many times stiffer than the
    fibres of a capsule, whose length is about 16 mm [1]_ (recalled, low confidence); a facet is 10 to 18 mm high. That
    they run upright, from the root of one process to the root of the other, is a choice.

    References
    ----------
    .. [1] F. A. Pintar et al., Biomechanical properties of human lumbar spine ligaments, J Biomech 25:1351, 1992.
    """
    upper, lower = [], []
    for joint in (left, right):
        width, height, _ = joint.axes
        across = 0.5 * np.array([joint.width_mm * width, -joint.width_mm * width, 0.0 * width, 0.0 * width])
        across[2:] += 0.25 * joint.height_mm * np.array([height, -height])
        upper.append(joint.center + across + 0.5 * joint.height_mm * height)
        lower.append(joint.center + across - 0.5 * joint.height_mm * height)
    return SitePairs(np.concatenate(upper), np.concatenate(lower), "posterior")


def pair_sites(upper: Mapping[str, LigamentSites], lower: Mapping[str, LigamentSites]) -> dict[str, SitePairs]:
    """Pairs of sites between two neighbours whose sites are given in one frame."""
    return {
        name: SitePairs(upper[name].caudal, lower[name].cranial, sites.part)
        for name, sites in upper.items()
        if name in lower
    }


def _walls(
    d: VertebraDimensions, spread: tuple[float, ...], back: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sites near the inferior and the superior rim on the anterior (back -1) or posterior (1) wall."""
    out = []
    xi = np.array(spread)
    for end in (-1.0, 1.0):
        t = np.full(len(xi), end * (1.0 - 2.0 * RIM_INSET_MM / d.mid_height_mm))
        a, b, c = section_axes(t, d)
        chord = b * np.sqrt(1.0 - xi**2) * (posterior_narrowing(xi, b, c) if back > 0.0 else 1.0)
        y = 0.5 * c + back * chord
        out.append(np.stack([a * xi, y, t * (0.5 * d.mid_height_mm + d.rim_slope * y)], axis=1))
    return out[0], out[1]


def _raised(plane: NDArray[np.float64], z: ArrayLike) -> NDArray[np.float64]:
    """Places (k, 3) over places (k, 2) at a height."""
    return np.column_stack([plane, np.broadcast_to(np.asarray(z, dtype=np.float64), (len(plane),))])
