"""A label as a smooth field: its surface lies between voxels, not on their stairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fesolver.errors import InputError

__all__ = ["Indicator", "filled_points", "smooth_indicator"]

_PAD = 5
"""Voxels of background around the crop: further than the filter and the spline reach."""

_SIGMA_VOXELS = 0.6


@dataclass(frozen=True)
class Indicator:
    """Smoothed 0/1 indicator of a label, evaluated anywhere by its cubic spline.

    Parameters
    ----------
    coefficients : (ni, nj, nk) ndarray
        Cubic B-spline coefficients of the smoothed indicator on the cropped and padded grid.
    affine : (4, 4) ndarray
        Index of the crop to LPS+ mm.
    mask : (ni, nj, nk) ndarray of bool
        The label's voxels on the same crop.
    """

    coefficients: NDArray[np.float64]
    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]

    @property
    def voxel_volume(self) -> float:
        """Volume of one source voxel, mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_index(self, points: ArrayLike) -> NDArray[np.float64]:
        """LPS+ mm (..., 3) to indices of the crop."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return (np.asarray(points, dtype=np.float64) - self.affine[:3, 3]) @ inverse.T

    def to_mm(self, index: ArrayLike) -> NDArray[np.float64]:
        """Indices of the crop (..., 3) to LPS+ mm."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Indicator at LPS+ mm points (..., 3), about 0 outside and 1 inside; the surface is its half level."""
        index = self.to_index(points)
        values: NDArray[np.float64] = ndimage.map_coordinates(
            self.coefficients, index.reshape(-1, 3).T, order=3, prefilter=False, mode="constant", cval=0.0
        )
        return values.reshape(index.shape[:-1])


def smooth_indicator(mask: NDArray[np.bool_], affine: NDArray[np.float64], *, where: str = "label") -> Indicator:
    """Smooth a label's 0/1 indicator and prepare it for evaluation anywhere.

    Parameters
    ----------
    mask : (ni, nj, nk) ndarray of bool
        Voxels of the label.
    affine : (4, 4) ndarray
        Index to LPS+ mm.
    where : str
        Name of the label for the message.

    Returns
    -------
    Indicator

    Raises
    ------
    InputError
        If the label has no voxel.

    Notes
    -----
    One Gaussian of 0.6 voxel along each index axis, then a cubic spline: enough to turn a voxel's corner into
    a slope, little enough to leave pedicles and laminae two voxels thick standing. Volume is kept by the level at which
    the field is cut, not by the filter.
    """
    if not mask.any():
        raise InputError(f"{where} has no voxel", fix="check the label file and the label scheme")
    box = ndimage.find_objects(mask.astype(np.int8))[0]
    crop = np.pad(mask[box], _PAD)
    start = np.array([part.start for part in box], dtype=np.float64) - _PAD
    local = np.array(affine, dtype=np.float64)
    local[:3, 3] = affine[:3, :3] @ start + affine[:3, 3]
    field = crop.astype(np.float64)
    field = ndimage.gaussian_filter(field, _SIGMA_VOXELS, mode="constant", truncate=4.0)
    return Indicator(ndimage.spline_filter(field, order=3), local, crop)


def _spline_weights(at: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Cubic B-spline of each of n coefficients at the given indices, (len(at), n)."""
    t = np.abs(at[:, None] - np.arange(n))
    near, far = 2.0 / 3.0 - t**2 + t**3 / 2.0, (2.0 - t) ** 3 / 6.0
    return np.where(t < 1.0, near, np.where(t < 2.0, far, 0.0))


def filled_points(indicator: Indicator, step_mm: float, level: float = 0.5) -> tuple[NDArray[np.float64], float]:
    """Lattice points at which the indicator is above a level.

    Parameters
    ----------
    indicator : Indicator
        The label.
    step_mm : float
        Largest distance between points; each voxel edge is divided into whole parts (or voxels are skipped).
    level : float
        Where the surface lies.

    Returns
    -------
    points : (n, 3) ndarray
        LPS+ mm.
    volume : float
        mm3 that each point stands for.
    """
    spacing = np.linalg.norm(indicator.affine[:3, :3], axis=0)
    values = indicator.coefficients
    axes = []
    for axis, edge in enumerate(spacing):
        n = values.shape[axis]
        parts = int(np.ceil(edge / step_mm - 1e-9))
        stride = max(1, int(np.floor(step_mm / edge + 1e-9)))
        at = (np.arange(n * parts) + 0.5) / parts - 0.5 if parts > 1 else np.arange(0.0, n, stride)
        # The lattice is a tensor product, and so is the spline: one axis at a time.
        values = np.moveaxis(np.tensordot(_spline_weights(at, n), values, axes=(1, axis)), 0, axis)
        axes.append(at)
    inside = np.argwhere(values > level)
    index = np.stack([at[inside[:, axis]] for axis, at in enumerate(axes)], axis=-1)
    step = np.prod([at[1] - at[0] for at in axes])
    return indicator.to_mm(index), indicator.voxel_volume * float(step)
