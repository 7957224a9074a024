"""How figures look: sizes, colours and colour limits, the same in every figure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "DIVERGING",
    "MIN_CHANGE_PERCENT",
    "PICTURES",
    "REGIONS",
    "SEQUENTIAL",
    "change_limit",
    "check_picture_path",
    "figure_style",
    "new_figure",
    "robust_limit",
]

COLOURS = {
    "intact": "#0072B2",
    "treated": "#E69F00",
    "floor": "#BBBBBB",
    "cement": "#D55E00",
    "bone": "#56B4E9",
    "disc": "#009E73",
    "nucleus": "#CC79A7",
    "pad": "#444444",
    "outline": "#222222",
    "unresolved": "#999999",
}
"""Okabe and Ito's palette: told apart with every common colour-vision deficiency."""

REGIONS = {
    "cement": "#D55E00",
    "shell": "#0072B2",
    "endplate": "#7E57A6",
    "nucleus": "#CC79A7",
    "annulus": "#66C2A0",
    "posterior": "#B8B08D",
    "trabecular": "#F3DDB3",
}
"""Colour of each kind of region in pictures of models."""

PICTURES = (".png", ".pdf", ".svg")
"""Endings that figures are written with."""

SEQUENTIAL = "viridis"
DIVERGING = "PuOr_r"

MIN_CHANGE_PERCENT = 1.0
"""Half-width in percent below which no axis or colour scale of a change is narrowed."""


def check_picture_path(path: Path) -> None:
    """Raise `InputError` unless a picture can be written with the ending of its name."""
    if path.suffix.lower() not in PICTURES:
        raise InputError(
            f"no picture format for {path.name}", where="--picture", fix=f"end it in {', '.join(PICTURES)}"
        )


@contextmanager
def figure_style() -> Iterator[None]:
    """The house style, for the figures drawn inside."""
    import matplotlib as mpl

    settings: Any = {
        "font.size": 9,
        "font.family": "DejaVu Sans",
        "axes.titlesize": 9.5,
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "figure.dpi": 100,
        "savefig.dpi": 160,
        "axes.axisbelow": True,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context(settings):
        yield


def new_figure(width: float, height: float, *, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """A figure (inches) that needs no display and no global state; no layout leaves every place to the caller."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def robust_limit(values: NDArray[np.float64], weights: NDArray[np.float64], *, share: float = 0.98) -> float:
    """Magnitude that `share` of the area stays below: one stair corner must not set the scale of a whole figure.

    Parameters
    ----------
    values : (k,) ndarray
        Any sign.
    weights : (k,) ndarray
        Area of each value.
    share : float
        In (0, 1].

    Returns
    -------
    float
        0 where nothing is given.

    Examples
    --------
    >>> robust_limit(np.array([-1.0, 2.0, 500.0]), np.array([10.0, 10.0, 0.1]))
    2.0
    """
    is_finite = np.isfinite(values)
    size, weight = np.abs(values[is_finite]), weights[is_finite]
    if not len(size):
        return 0.0
    order = np.argsort(size, kind="stable")
    reached = np.cumsum(weight[order])
    return float(size[order][min(np.searchsorted(reached, share * reached[-1]), len(size) - 1)])


def change_limit(changes_percent: NDArray[np.float64]) -> float:
    """Half-width of an axis of change: the largest change plus a tenth, never under `MIN_CHANGE_PERCENT`.

    Examples
    --------
    >>> change_limit(np.array([0.2, -0.1])), change_limit(np.array([5.0, -10.0]))
    (1.0, 11.0)
    """
    finite = np.abs(changes_percent[np.isfinite(changes_percent)])
    return max(MIN_CHANGE_PERCENT, 1.1 * float(finite.max(initial=0.0)))
