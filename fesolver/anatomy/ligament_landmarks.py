"""Where ligaments hold on to a vertebra of which some landmarks are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.ligament_sites import (
    ANTERIOR_SPREAD,
    POSTERIOR_SPREAD,
    RIM_INSET_MM,
    SPINOUS_SPREAD,
    LigamentSites,
)
from fesolver.errors import InputError

__all__ = ["NEEDED_LANDMARKS", "landmark_sites"]

_POSTERIOR = ("posterior_superior", "posterior_inferior")
_CORNERS = ("anterior_superior", "anterior_inferior", *_POSTERIOR)

NEEDED_LANDMARKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "anterior_longitudinal": _CORNERS,
        "posterior_longitudinal": _CORNERS,
        "ligamentum_flavum": ("lamina", *_POSTERIOR),
        "intertransverse": ("transverse_process_left", "transverse_process_right"),
        "interspinous": ("lamina", "spinous_process_tip", *_POSTERIOR),
        "supraspinous": ("spinous_process_tip", *_POSTERIOR),
    }
)
"""Landmarks that the sites of each ligament follow from."""

_WIDTH_OVER_DEPTH = 1.3
"""Of a body, of which landmarks give the depth only: mean of the published endplates L1 to L5, 1.21 to 1.49."""
_FLAVUM_BESIDE_MM = (-8.0, -4.0, 4.0, 8.0)
"""Strands beside the midline of the lamina; a choice."""
_FLAVUM, _INTERSPINOUS, _SUPRASPINOUS = 0.35, 0.25, 0.2
"""How far above and below the landmarks, over the posterior height of the body: within 2.3 mm of the bone on the
surfaces of L1 to L5 of one man (Visible Human); a choice."""

_Places = Mapping[str, NDArray[np.float64]]


def landmark_sites(
    landmarks: Mapping[str, ArrayLike],
    *,
    left: ArrayLike,
    up: ArrayLike,
    level: str,
    missing: Literal["refuse", "leave_out"] = "refuse",
) -> dict[str, LigamentSites]:
    """Sites of all ligaments but the capsular one on a vertebra with landmarks.

    Parameters
    ----------
    landmarks : mapping of str to (3,) array_like
        mm, in any frame, by the names in `NEEDED_LANDMARKS`; others are not used.
    left, up : (3,) array_like
        Unit vectors to the patient's left and cranially, in the same frame.
    level : str
        Level, for messages.
    missing : {"refuse", "leave_out"}, optional
        What to do with a ligament whose landmarks are not there, as where the image ends before the spinous process.

    Returns
    -------
    dict of str to LigamentSites
        As `fesolver.anatomy.ligament_sites.vertebra_sites` gives them, in the frame of the landmarks.

    Raises
    ------
    InputError
        If a landmark is missing that may not be, or is not finite.

    Notes
    -----
    The walls are taken as half an ellipse through the mid-sagittal landmarks, 1.3 times as wide as deep, 2 mm off the
    rims. The flavum holds above and below the landmark of the lamina, 4 and 8 mm to both sides of it, the interspinous
    ligament above and below the line from there to the tip of the spinous process, the supraspinous one above and below
    that tip: by 0.35, 0.25 and 0.2 of the body's posterior height. The intertransverse ligament holds at its tips. Such
    sites are near the bone and not on it: they are to be taken to the nearest cells. All this is a choice.

    Examples
    --------
    >>> known = landmark_sites(
    ...     {"transverse_process_left": [40, 30, 0], "transverse_process_right": [-40, 30, 0]},
    ...     left=[1, 0, 0],
    ...     up=[0, 0, 1],
    ...     level="L1",
    ...     missing="leave_out",
    ... )
    >>> list(known)
    ['intertransverse']
    """
    lacking = {name: [key for key in keys if key not in landmarks] for name, keys in NEEDED_LANDMARKS.items()}
    if missing == "refuse" and any(lacking.values()):
        names = dict.fromkeys(key for keys in lacking.values() for key in keys)
        raise InputError(f"{level} has no landmark {', '.join(names)}", where=level, fix="leave its ligaments out")
    p = {name: np.asarray(at, dtype=np.float64) for name, at in landmarks.items()}
    bad = [name for name, at in p.items() if at.shape != (3,) or not np.all(np.isfinite(at))]
    if bad:
        raise InputError(f"landmark {bad[0]} of {level} is not a place", where=level)
    x, z = np.asarray(left, dtype=np.float64), np.asarray(up, dtype=np.float64)
    wall = [p[name] for name in _POSTERIOR if name in p]
    height = float(np.linalg.norm(wall[0] - wall[1])) if len(wall) == 2 else np.nan
    made: dict[str, Callable[[], LigamentSites]] = {
        "anterior_longitudinal": lambda: _on_wall(p, "anterior", x, z),
        "posterior_longitudinal": lambda: _on_wall(p, "posterior", x, z),
        "ligamentum_flavum": lambda: _about(
            p["lamina"] + np.array(_FLAVUM_BESIDE_MM)[:, None] * x, _FLAVUM * height * z
        ),
        "intertransverse": lambda: _about(
            np.stack([p["transverse_process_left"], p["transverse_process_right"]]), 0.0 * z
        ),
        "interspinous": lambda: _about(
            p["lamina"] + np.array(SPINOUS_SPREAD)[:, None] * (p["spinous_process_tip"] - p["lamina"]),
            _INTERSPINOUS * height * z,
        ),
        "supraspinous": lambda: _about(p["spinous_process_tip"][None], _SUPRASPINOUS * height * z),
    }
    return {name: make() for name, make in made.items() if not lacking[name]}


def _about(places: NDArray[np.float64], off: NDArray[np.float64]) -> LigamentSites:
    """Sites below and above places on posterior elements."""
    return LigamentSites(places - off, places + off, "posterior")


def _on_wall(p: _Places, side: str, x: NDArray[np.float64], z: NDArray[np.float64]) -> LigamentSites:
    """Sites across the anterior or the posterior wall, inside both rims."""
    s = np.array(ANTERIOR_SPREAD if side == "anterior" else POSTERIOR_SPREAD)[:, None]
    out = []
    for end, inwards in (("inferior", z), ("superior", -z)):
        depth = p[f"posterior_{end}"] - p[f"anterior_{end}"]
        half_width = 0.5 * _WIDTH_OVER_DEPTH * float(np.linalg.norm(depth))
        back = 0.5 * depth * (1.0 - np.sqrt(1.0 - s**2)) if side == "anterior" else 0.0
        out.append(p[f"{side}_{end}"] + RIM_INSET_MM * inwards + half_width * s * x + back)
    return LigamentSites(out[0], out[1], "body")
