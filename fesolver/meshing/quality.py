"""Shape of cells: scaled Jacobian, edge ratio, volume; measured, shown, and refused below a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS, quadrature, shape_gradients
from fesolver.fem.problem import ElementName
from fesolver.meshing.regions import determinants, jacobians, nodes_last
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["MeshQuality", "RegionQuality", "check_quality", "mesh_quality", "quality_table", "region_quality"]

_IDEAL = {"hexahedron": 1.0, "tetrahedron": np.sqrt(2.0), "wedge": 2.0 / np.sqrt(3.0)}
"""What makes a corner of the regular cell 1."""


@dataclass(frozen=True)
class MeshQuality:
    """Shape of every cell.

    Parameters
    ----------
    scaled_jacobian : (n_cells,) ndarray
        1 for a cube, a regular tetrahedron or wedge; 0 or less where the cell folds, and then only the sign counts.
    aspect_ratio : (n_cells,) ndarray
        Longest over shortest edge between corners, dimensionless.
    volume : (n_cells,) ndarray
        mm3.
    least_det_jacobian : (n_cells,) ndarray
        Least Jacobian at the element's quadrature points and corners over its mean, dimensionless: negative where a
        cell of any order is inverted inside.
    """

    scaled_jacobian: NDArray[np.float64]
    aspect_ratio: NDArray[np.float64]
    volume: NDArray[np.float64]
    least_det_jacobian: NDArray[np.float64]


@dataclass(frozen=True)
class RegionQuality:
    """Quality of the cells of one region.

    Parameters
    ----------
    name : str
        Region.
    n_cells : int
        Cells that hold some of it.
    scaled_jacobian : (3,) ndarray
        Least, 5th percentile, median.
    aspect_ratio : (3,) ndarray
        Median, 95th percentile, largest.
    least_volume_mm3 : float
        Of a cell.
    """

    name: str
    n_cells: int
    scaled_jacobian: NDArray[np.float64]
    aspect_ratio: NDArray[np.float64]
    least_volume_mm3: float


def mesh_quality(points: NDArray[np.float64], cells: NDArray[np.int64], element: ElementName = "hex8") -> MeshQuality:
    """Measures of shape of every cell.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm.
    cells : (n_cells, k) ndarray of int64
        Cells of one kind, VTK order.
    element : ElementName
        What the cells are.

    Returns
    -------
    MeshQuality

    Raises
    ------
    InputError
        If `cells` do not have the element's number of nodes.

    Notes
    -----
    At every corner the Jacobian of the three edge tangents over the product of their lengths, times 1 for hexahedra,
    sqrt 2 for tetrahedra, 2 / sqrt 3 for wedges; for hexahedra also at the centre, of the principal axes. The scaled
    Jacobian is the least of them [1]_ [2]_. In cells of order 2 tangents are those of the curved edges, mid-side nodes
    included. The ratio of longest to shortest edge is Verdict's edge ratio [1]_.

    References
    ----------
    .. [1] C. J. Stimpson et al., The Verdict Geometric Quality Library, Sandia report SAND2007-1751, 2007.
    .. [2] P. M. Knupp, SIAM J. Sci. Comput. 23:193, 2001.

    Examples
    --------
    >>> cube = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
    >>> mesh_quality(cube * [1, 1, 0.25], np.arange(8)[None]).aspect_ratio
    array([4.])
    """
    kind = ELEMENTS[element]
    if cells.ndim != 2 or cells.shape[1] != kind.n_nodes:
        raise InputError(f"cells of shape {cells.shape} are not {element} cells of {kind.n_nodes} nodes")
    nodes, corners = nodes_last(points, cells), kind.nodes[: kind.n_corners]
    worst = np.full(len(cells), np.inf)
    least = np.full(len(cells), np.inf)
    for corner, gradient in enumerate(shape_gradients(element, corners)):
        jacobian = jacobians(nodes, gradient)
        least = np.minimum(least, determinants(jacobian))
        worst = np.minimum(worst, _scaled(_corner_tangents(element, corner, jacobian)))
    worst *= _IDEAL[kind.shape]
    if kind.shape == "hexahedron":
        worst = np.minimum(worst, _scaled(jacobians(nodes, shape_gradients(element, np.zeros((1, 3)))[0])))
    volume = np.zeros(len(cells))
    xi, weights = quadrature(element)
    for gradient, weight in zip(shape_gradients(element, xi), weights, strict=True):
        det_jacobian = determinants(jacobians(nodes, gradient))
        least = np.minimum(least, det_jacobian)
        volume += weight * det_jacobian
    ends = np.array(kind.edges)
    length = np.sqrt(np.sum((nodes[ends[:, 1]] - nodes[ends[:, 0]]) ** 2, axis=1))
    shortest = np.maximum(length.min(axis=0), 1e-300)
    mean = np.maximum(np.abs(volume) / weights.sum(), 1e-300)
    return MeshQuality(worst, length.max(axis=0) / shortest, volume, least / mean)


def _corner_tangents(element: ElementName, corner: int, jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tangents (3, 3, n) of the edges at a corner, right-handed in the reference cell."""
    kind = ELEMENTS[element]
    ends = [set(edge) - {corner} for edge in kind.edges if corner in edge]
    directions = np.array([kind.nodes[end.pop()] - kind.nodes[corner] for end in ends])
    if np.linalg.det(directions) < 0:
        directions = directions[[1, 0, 2]]
    return np.stack([sum(d * row for d, row in zip(direction, jacobian, strict=True)) for direction in directions])


def _scaled(tangents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Determinant of three vectors (3, 3, n) over the product of their lengths; 0 where one has none."""
    size = np.prod(np.sqrt(np.sum(tangents**2, axis=1)), axis=0)
    return np.asarray(determinants(tangents) / np.maximum(size, 1e-300))


def check_quality(mesh: SpineMesh, *, min_scaled_jacobian: float = 0.1) -> MeshQuality:
    """Refuse a mesh with folded or badly skewed cells.

    Parameters
    ----------
    mesh : SpineMesh
        Any mesh.
    min_scaled_jacobian : float
        Least scaled Jacobian that is accepted, in (0, 1]. At the default, 0.1, the three edges of the worst corner are
        within 6 degrees of one plane (sin 6 = 0.1), an order of magnitude from a cube. Cells of everyday meshes have
        0.5 and more, the acceptable range of [1]_; crushed bodies and deep hollows do not reach it everywhere.

    Returns
    -------
    MeshQuality

    Raises
    ------
    InputError
        If a cell has a scaled Jacobian below the limit, or an inverted point inside: the worst cells with their places
        in mm, region and level. Thin layers have large aspect ratios by design: they are measured and not refused.

    References
    ----------
    .. [1] C. J. Stimpson et al., The Verdict Geometric Quality Library, Sandia report SAND2007-1751, 2007.
    """
    if not 0.0 < min_scaled_jacobian <= 1.0:
        raise InputError(f"min_scaled_jacobian must lie in (0, 1], not {min_scaled_jacobian:g}")
    quality = mesh_quality(mesh.points, mesh.cells, mesh.element)
    bad = np.flatnonzero((quality.scaled_jacobian < min_scaled_jacobian) | (quality.least_det_jacobian <= 0.0))
    if len(bad) == 0:
        return quality
    worst = bad[np.argsort(quality.scaled_jacobian[bad], kind="stable")[:3]]
    n_inverted = int((quality.least_det_jacobian <= 0.0).sum())
    raise InputError(
        f"{len(bad)} of {len(mesh.cells)} cells have a scaled Jacobian under {min_scaled_jacobian:g}"
        + (f", {n_inverted} of them are inverted" if n_inverted else ""),
        where="; ".join(
            f"cell {cell} of {_region_of(mesh, int(cell))}: {quality.scaled_jacobian[cell]:.3f} at "
            "({:.1f}, {:.1f}, {:.1f}) mm".format(*mesh.points[mesh.cells[cell]].mean(axis=0))
            for cell in worst
        ),
        fix="the shape is too extreme there: reduce concavity, wedge or layer thickness, or raise the disc",
    )


def _region_of(mesh: SpineMesh, cell: int) -> str:
    """The region that fills most of a cell."""
    found = {name: float(r.fraction[r.cells == cell].sum()) for name, r in mesh.regions.items()}
    best = max(found, key=lambda name: found[name], default="")
    return best if found and found[best] > 0.0 else "no region"


def region_quality(mesh: SpineMesh, quality: MeshQuality | None = None) -> tuple[RegionQuality, ...]:
    """Quality of every region, in the order of the mesh's regions.

    Parameters
    ----------
    mesh : SpineMesh
        Any mesh.
    quality : MeshQuality, optional
        Of its cells, if it is known already.
    """
    quality = mesh_quality(mesh.points, mesh.cells, mesh.element) if quality is None else quality
    return tuple(
        RegionQuality(
            name=name,
            n_cells=len(region.cells),
            scaled_jacobian=np.percentile(quality.scaled_jacobian[region.cells], [0.0, 5.0, 50.0]),
            aspect_ratio=np.percentile(quality.aspect_ratio[region.cells], [50.0, 95.0, 100.0]),
            least_volume_mm3=float(quality.volume[region.cells].min()),
        )
        for name, region in mesh.regions.items()
        if len(region.cells)
    )


def quality_table(mesh: SpineMesh, quality: MeshQuality | None = None) -> str:
    """Quality of every region as lines of text, for reports and the command line."""
    rows = [
        f"{'region':<24}{'cells':>8}{'scaled Jacobian':>24}{'aspect ratio':>24}{'volume':>10}",
        f"{'':<24}{'':>8}{'min':>8}{'5 %':>8}{'median':>8}{'median':>8}{'95 %':>8}{'max':>8}{'min mm3':>10}",
    ]
    for r in region_quality(mesh, quality):
        jacobian = "".join(f"{v:8.3f}" for v in r.scaled_jacobian)
        aspect = "".join(f"{v:8.1f}" for v in r.aspect_ratio)
        rows.append(f"{r.name:<24}{r.n_cells:>8}{jacobian}{aspect}{r.least_volume_mm3:>10.2g}")
    return "\n".join(rows)
