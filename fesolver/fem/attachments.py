"""Places that connections pull at: inside a cell by its shape functions, or beside a patch of points followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS, quadrature, shape_functions, shape_gradients
from fesolver.fem.places import locate

__all__ = ["Attachment", "couple", "embed"]

_THINNEST_PATCH = 1e-3
"""Width over length of a patch below which its turn about its own line is not known."""


@dataclass(frozen=True)
class Attachment:
    """A place whose displacement is a fixed combination of points' displacements.

    Parameters
    ----------
    at : (3,) ndarray
        mm.
    points : (k,) ndarray of int64
        Point ids.
    weights : (k, 3, 3) ndarray
        Displacement of the place = sum of weights @ u[points]; reproduces rigid motions.
    owners : (k,) ndarray of int64
        A cell that holds each point, on the body the place belongs to.
    """

    at: NDArray[np.float64]
    points: NDArray[np.int64]
    weights: NDArray[np.float64]
    owners: NDArray[np.int64]


def embed(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    element: str,
    places: ArrayLike,
    *,
    cells_of: NDArray[np.int64] | None = None,
    tolerance_mm: float = 0.0,
) -> tuple[Attachment, ...]:
    """Fix places to the cells that hold them.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm.
    cells : (n_cells, k) ndarray of int64
        VTK order.
    element : str
        Key of `fesolver.fem.elements.ELEMENTS`.
    places : (n, 3) array_like
        mm.
    cells_of : (m,) ndarray of int64, optional
        Cells that may hold them, as those of one bone; all by default.
    tolerance_mm : float, optional
        How far outside these cells a place may lie.

    Returns
    -------
    tuple of Attachment
        One per place, in their order.

    Raises
    ------
    InputError
        If a place lies farther from the cells than the tolerance, or there are no cells: it is attached to nothing.

    Notes
    -----
    Inside a cell u = sum N_a u_a: exact for every field that the cell can have. A place outside moves rigidly with the
    nearest point x of the cells: u = u(x) + omega x (place - x), omega = 1/2 mean of curl u over that cell, which is
    exact for rigid motions and, unlike shape functions extrapolated, takes no strain of the cell outside it. Where
    cells meet, the one with the lowest number is taken.

    Examples
    --------
    >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    >>> embed(corners, np.array([[0, 1, 2, 3]]), "tet4", [[0.1, 0.2, 0.3]])[0].weights[:, 0, 0]
    array([0.4, 0.1, 0.2, 0.3])
    """
    at = np.atleast_2d(np.asarray(places, dtype=np.float64))
    if at.shape[1:] != (3,) or not np.all(np.isfinite(at)):
        raise InputError(f"places must be finite and of shape (n, 3), got {at.shape}")
    _check_cells(cells, element)
    found = locate(points, cells, element, at, cells_of=cells_of, tolerance_mm=tolerance_mm)
    N = shape_functions(element, found.xi)
    weights = N[:, :, None, None] * np.eye(3)
    for i in np.flatnonzero(found.distance > 0.0):
        nodes = cells[found.cells[i]]
        weights[i] += _turned(_mean_gradients(points[nodes], element), at[i] - N[i] @ points[nodes])
    return tuple(
        Attachment(p, cells[c].astype(np.int64), w, np.full(cells.shape[1], c, dtype=np.int64))
        for p, c, w in zip(at, found.cells, weights, strict=True)
    )


def couple(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    element: str,
    patch: ArrayLike,
    place: ArrayLike,
    owners: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
) -> Attachment:
    """Let a place follow a patch of points: a distributing coupling.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm.
    cells : (n_cells, k) ndarray of int64
        VTK order.
    element : str
        Key of `fesolver.fem.elements.ELEMENTS`.
    patch : (m,) array_like of int
        Point ids, not all on one line.
    place : (3,) array_like
        mm, anywhere.
    owners : (m,) array_like of int, optional
        A cell that holds each point; by default the lowest one.
    weights : (m,) array_like, optional
        Share of each point, positive, e.g. the area about it; equal by default.

    Returns
    -------
    Attachment

    Raises
    ------
    InputError
        If the patch lies on a line, repeats a point, or names points or owners that do not belong together.

    Notes
    -----
    u = u_mean + omega x (place - c), with c and u_mean the weighted means of the patch, and omega the turn that fits
    the patch best: T omega = sum w_i r_i x u_i, T = sum w_i (|r_i|^2 I - r_i r_i^T), r_i = p_i - c. Rigid motions are
    exact, and a force at the place is handed to the patch with the same resultant and moment and the least weighted sum
    of squares [1]_. The patch may strain: the coupling adds no stiffness.

    References
    ----------
    .. [1] Least-squares rigid motion of weighted points, as interpolation elements of the RBE3 kind and distributing
       couplings of finite element codes state it; derived here.

    Examples
    --------
    >>> cube = np.array([[x, y, z] for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))], dtype=float)
    >>> top = couple(cube, np.arange(8)[None], "hex8", [4, 5, 6, 7], [0.5, 0.5, 3.0])
    >>> top.weights.sum(axis=0).round(12)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    _check_cells(cells, element)
    ids = np.asarray(patch, dtype=np.int64).ravel()
    w = np.ones(len(ids)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != ids.shape or not np.all(w > 0.0) or len(np.unique(ids)) != len(ids):
        raise InputError(f"a patch needs points named once and one positive weight for each; it has {len(ids)} points")
    owner = _owners(cells, ids) if owners is None else np.asarray(owners, dtype=np.int64).ravel()
    if owner.shape != ids.shape or not np.all((cells[owner] == ids[:, None]).any(axis=1)):
        raise InputError("owners of a patch must be cells that hold its points, one for each")
    w = w / w.sum()
    centre = w @ points[ids]
    r = points[ids] - centre
    spread = np.linalg.eigvalsh((w[:, None] * r).T @ r)
    if len(ids) < 3 or spread[1] <= _THINNEST_PATCH**2 * spread[2]:
        raise InputError(
            f"a patch of {len(ids)} points lies on a line: its turn about that line is not known",
            where="about ({:.1f}, {:.1f}, {:.1f}) mm".format(*centre),
            fix="take points in a plane or around a solid, or a finer mesh",
        )
    inertia = spread.sum() * np.eye(3) - (w[:, None] * r).T @ r
    at = np.asarray(place, dtype=np.float64)
    turn = _cross(at - centre) @ np.linalg.solve(inertia, _cross(r).transpose(1, 0, 2).reshape(3, -1))
    follows = w[:, None, None] * (np.eye(3) - turn.reshape(3, -1, 3).transpose(1, 0, 2))
    return Attachment(at, ids, follows, owner)


def _check_cells(cells: NDArray[np.int64], element: str) -> None:
    """Refuse an unknown element, or cells of another one."""
    if element not in ELEMENTS:
        raise InputError(f"unknown element {element!r}", fix=f"use one of {', '.join(ELEMENTS)}")
    if cells.ndim != 2 or cells.shape[1] != ELEMENTS[element].n_nodes:
        raise InputError(
            f"cells of {element} must have shape (n_cells, {ELEMENTS[element].n_nodes}), got {cells.shape}"
        )


def _owners(cells: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lowest cell that holds each point."""
    rows = np.flatnonzero(np.isin(cells, ids).any(axis=1))
    held = cells[rows]
    found, first = np.unique(held.ravel(), return_index=True)
    at = np.minimum(np.searchsorted(found, ids), max(len(found) - 1, 0))
    if not len(found) or not np.array_equal(found[at], ids):
        raise InputError("a point of a patch belongs to no cell")
    return np.asarray(rows[first[at] // cells.shape[1]])


def _cross(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (..., 3, 3) that take b to vectors x b."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([np.stack(row, axis=-1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], axis=-2)


def _mean_gradients(nodes: NDArray[np.float64], element: str) -> NDArray[np.float64]:
    """Volume means (k, 3) of the shape functions' gradients in a cell with nodes (k, 3), per mm."""
    xi, weights = quadrature(element)
    slopes = shape_gradients(element, xi)
    jacobian = np.einsum("qag,ac->qgc", slopes, nodes)
    volume = weights * np.linalg.det(jacobian)
    return np.asarray(np.einsum("q,qgc,qac->ag", volume, np.linalg.inv(jacobian), slopes) / volume.sum())


def _turned(gradients: NDArray[np.float64], arm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (k, 3, 3) of omega x arm, omega half the curl with these gradients (k, 3)."""
    # (g x u) x d = u (g . d) - g (u . d)
    along = (gradients @ arm)[:, None, None] * np.eye(3)
    return np.asarray(0.5 * (along - gradients[:, :, None] * arm[None, None, :]))
