"""Annulus fibres as reinforcement within cells: tension only, two families in every cell."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.levels import disc_name
from fesolver.bone.fibre_layers import fibre_families
from fesolver.bone.materials import FibreReinforced, LayeredFibres, Material
from fesolver.bone.mixing import material_of
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.fem.elements import quadrature, shape_gradients
from fesolver.fem.problem import Connections
from fesolver.meshing.regions import determinants, jacobians, nodes_last
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["annulus_fibres", "mean_gradients"]


def annulus_fibres(
    mesh: SpineMesh, tissue: Tissue, materials: Mapping[str, Material], *, prestrain: float = 0.0
) -> tuple[Connections, ...]:
    """Fibres of every annulus that has some, as elements of their own.

    Parameters
    ----------
    mesh : SpineMesh
        Of any kind.
    tissue : Tissue
        Regions, axes and (for layers) depth of the annuli.
    materials : mapping of str to Material
        As for `fesolver.bone.mixing.mix_elasticity`: the annulus with its fibres, `FibreReinforced` or `LayeredFibres`.
        Beside these connections the elasticity must be mixed with the ground alone:
        `fesolver.bone.fibre_layers.without_fibres`.
    prestrain : float, optional
        Strain of the fibres in the reference shape, in (-1, 1): positive pulls there, negative is slack.

    Returns
    -------
    tuple of Connections
        One per annulus with fibres, `L1-L2/fibres`: the two families of its first cell, then of the next, in the order
        of the region's cells. Families whose modulus or fraction is 0 stay, without stiffness.

    Raises
    ------
    InputError
        If an annulus has fibres and no axes, layers and no depth, or the pre-strain is out of range.

    Notes
    -----
    One element per family and cell: its elongation is e = L a . <eps> a, <eps> the volume mean of the strain that the
    cell's shape functions have, a the fibre's direction, L = V^(1/3). With stiffness k = E v phi V / L^2 it holds the
    energy 1/2 E v phi V (a . <eps> a)^2, E the modulus, v the volume fraction of the family, phi the part of the cell
    that the annulus fills: that of the homogenised fibres in a uniform strain. Within a cell the fibres see the mean
    strain only, as under reduced integration; the ground keeps its full integration. Layers, moduli, angles and
    fractions are those of the homogenised material.
    """
    if not -1.0 < prestrain < 1.0:
        raise InputError(f"the pre-strain of fibres is {prestrain:g}, outside (-1, 1)")
    out = []
    for disc in [disc_name(*pair) for pair in pairwise(mesh.levels)]:
        name = f"{disc}/annulus"
        if name not in tissue.regions:
            continue
        material = material_of(name, materials)
        if isinstance(material, FibreReinforced | LayeredFibres) and len(tissue.regions[name].cells):
            out.append(_connected(mesh, tissue, name, material, prestrain))
    return tuple(out)


def mean_gradients(mesh: SpineMesh, cells: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volume means of the shape functions' gradients, and the volumes.

    Parameters
    ----------
    mesh : SpineMesh
    cells : (m,) ndarray of int64
        Which cells.

    Returns
    -------
    gradients : (m, k, 3) ndarray
        Per mm, by the usual quadrature of the element.
    volume : (m,) ndarray
        mm3, by the same.

    Raises
    ------
    InputError
        If a cell is inverted or flat.
    """
    nodes = nodes_last(mesh.points, mesh.cells[cells])
    xi, weights = quadrature(mesh.element)
    total, volume = np.zeros_like(nodes), np.zeros(len(cells))
    for slopes, weight in zip(shape_gradients(mesh.element, xi), weights, strict=True):
        rows = jacobians(nodes, slopes)
        part = weight * determinants(rows)
        if not np.all(part > 0.0):
            bad = int(np.argmin(part))
            at = mesh.points[mesh.cells[cells[bad]]].mean(axis=0)
            raise InputError(
                "a cell is inverted or flat", where="cell {} at ({:.1f}, {:.1f}, {:.1f}) mm".format(cells[bad], *at)
            )
        inverse = np.linalg.inv(np.moveaxis(rows, -1, 0))  # (m, 3, 3): column g by reference coordinate g
        total += np.einsum("m,mcg,ag->acm", part, inverse, slopes)
        volume += part
    return np.ascontiguousarray(np.moveaxis(total / volume, -1, 0)), volume


def _connected(
    mesh: SpineMesh, tissue: Tissue, name: str, material: FibreReinforced | LayeredFibres, prestrain: float
) -> Connections:
    """Fibres of one annulus."""
    region = tissue.regions[name]
    count = len(region.cells)
    if name not in tissue.axes:
        raise InputError("fibres, but the tissue gives the region no axes", where=name, fix="give Tissue.axes")
    axes = np.asarray(tissue.axes[name], dtype=np.float64)
    if axes.shape != (count, 3, 3):
        raise InputError(f"axes must have shape ({count}, 3, 3), got {axes.shape}", where=name)
    try:
        families = fibre_families(material, count, tissue.depth.get(name))
    except InputError as error:
        raise InputError(error.what, where=name, fix=error.fix) from error
    gradients, volume = mean_gradients(mesh, region.cells)
    length = np.cbrt(volume)
    a = np.einsum("mfi,mij->mfj", families.directions, axes)
    # e = L sum over nodes of (a . g) (a . u): the strain's components along a.
    weights = length[:, None, None, None] * np.einsum("mfi,mki->mfk", a, gradients)[..., None] * a[:, :, None, :]
    k = families.young * families.volume_fraction * region.fraction * volume / length**2
    m, n_nodes = 2 * count, mesh.cells.shape[1]
    return Connections(
        name=f"{name.split('/')[0]}/fibres",
        starts=n_nodes * np.arange(m + 1, dtype=np.int64),
        points=np.repeat(mesh.cells[region.cells], 2, axis=0).ravel(),
        weights=weights.reshape(-1, 3),
        owners=np.repeat(region.cells, 2 * n_nodes),
        breaks=np.repeat(-prestrain * length, 2)[:, None],
        stiffness=np.stack([np.zeros(m), np.repeat(k, 2)], axis=1),
        force_at_break=np.zeros(m),
    )
