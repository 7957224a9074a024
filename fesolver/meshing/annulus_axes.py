"""Directions of an annulus on a mesh that does not say how its lamellae run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.meshing.regions import cell_centroids, cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["annulus_axes"]


def annulus_axes(mesh: SpineMesh, disc: str) -> NDArray[np.float64]:
    """Circumferential, radial and axial unit vectors of the cells of an annulus.

    Parameters
    ----------
    mesh : SpineMesh
        With the disc's frame.
    disc : str
        `L1-L2`.

    Returns
    -------
    (k, 3, 3) ndarray
        Rows as in `Tissue.axes`, in the order of the region's cells.

    Raises
    ------
    InputError
        If the mesh has no such annulus or no frame of the disc.

    Notes
    -----
    Lamellae are taken as ellipses about the disc's axis with the widths of the whole annulus (twice the root mean
    square of its place along x and along y): radial is normal to the ellipse through a cell's centre. Axial is the axis
    of the disc.
    """
    region = mesh.regions.get(f"{disc}/annulus")
    if region is None or disc not in mesh.frames:
        raise InputError(f"the mesh has no annulus of {disc} with a frame", fix="name its cells and its vertebrae's")
    frame = mesh.frames[disc]
    weight = cell_volumes(mesh)[region.cells] * region.fraction
    at = frame.to_local(cell_centroids(mesh)[region.cells])[:, :2]
    at = at - np.average(at, axis=0, weights=weight)
    size = np.sqrt(np.average(at**2, axis=0, weights=weight))
    radial = at / size**2
    radial /= np.maximum(np.linalg.norm(radial, axis=1), 1e-300)[:, None]
    local = np.zeros((len(at), 3, 3))
    local[:, 0, 0], local[:, 0, 1] = -radial[:, 1], radial[:, 0]
    local[:, 1, :2] = radial
    local[:, 2, 2] = 1.0
    # Right-handed: circumferential x radial = axial asks for the circumferential direction to run clockwise.
    local[:, 0] *= -1.0
    return np.asarray(local @ frame.axes)
