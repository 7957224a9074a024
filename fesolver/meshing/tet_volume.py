"""Tetrahedra inside a closed triangle surface, by gmsh; the surface's own triangles stay the boundary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.interrupts import ignore_broken_pipes
from fesolver.meshing.optional import load_gmsh
from fesolver.surfaces.intersections import self_intersections
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["GMSH_OPTIONS", "boundary_facets", "check_closed", "fill_surface", "gmsh_session"]

_TRIANGLE, _TETRAHEDRON = 2, 4
"""Element types of gmsh: 3-node triangle, 4-node tetrahedron."""

GMSH_OPTIONS: Mapping[str, float] = MappingProxyType(
    {
        "General.Terminal": 0,
        "General.NumThreads": 1,
        "Mesh.Algorithm3D": 1,  # Delaunay
        "Mesh.MeshSizeExtendFromBoundary": 0,
        "Mesh.MeshSizeFromPoints": 0,
        "Mesh.MeshSizeFromCurvature": 0,
        "Mesh.Optimize": 1,
        "Mesh.OptimizeNetgen": 0,
        "Mesh.OptimizeThreshold": 0.3,
        "Mesh.ElementOrder": 1,
    }
)
_LARGEST = 20_000_000
"""Cells over which a mesh is refused before it is begun."""

Sizes = Callable[[int, int, float, float, float, float], float]


@contextmanager
def gmsh_session(options: Mapping[str, float] = GMSH_OPTIONS) -> Iterator[ModuleType]:
    """A model of gmsh's own, silent and on one thread, that leaves nothing behind.

    Parameters
    ----------
    options : mapping of str to float
        gmsh's numbers for this session.

    Yields
    ------
    module
        `gmsh`, with a new current model.

    Notes
    -----
    Where the caller has gmsh initialised, its models, options and current model are as before afterwards; otherwise
    gmsh is finalised, after an error too. gmsh's signal handler is not installed, and a broken pipe stays an error.
    """
    gmsh = load_gmsh()
    is_ours = not gmsh.isInitialized()
    if is_ours:
        gmsh.initialize(readConfigFiles=False, interruptible=False)
        ignore_broken_pipes()
    before = {name: gmsh.option.getNumber(name) for name in options}
    current = gmsh.model.getCurrent()
    try:
        for name, value in options.items():
            gmsh.option.setNumber(name, value)
        gmsh.model.add("fesolver")
        gmsh.logger.start()
        yield gmsh
    finally:
        gmsh.logger.stop()
        gmsh.model.mesh.removeSizeCallback()
        gmsh.model.remove()
        if is_ours:
            gmsh.finalize()
        else:
            gmsh.model.setCurrent(current)
            for name, value in before.items():
                gmsh.option.setNumber(name, value)


def check_closed(surface: TriangleSurface, *, name: str) -> None:
    """Refuse a surface that does not bound a volume.

    Parameters
    ----------
    surface : TriangleSurface
        mm.
    name : str
        What the message calls it.

    Raises
    ------
    InputError
        If an edge does not belong to two triangles of opposite sense (the message says where), or normals point inward.
    """
    t = surface.triangles
    n = len(surface.points)
    edges = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
    low, is_ahead = np.sort(edges, axis=1) @ np.array([n, 1]), edges[:, 0] < edges[:, 1]
    keys, which = np.unique(low, return_inverse=True)
    counts = [np.bincount(which[side], minlength=len(keys)) for side in (is_ahead, ~is_ahead)]
    bad = keys[(counts[0] != 1) | (counts[1] != 1)]
    if len(t) == 0 or len(bad):
        at = surface.points[np.stack(np.divmod(bad[0], n))].mean(axis=0) if len(bad) else np.zeros(3)
        raise InputError(
            f"the surface of {name} is not closed: {len(bad)} of its edges do not join two triangles of one sense",
            where="first at ({:.1f}, {:.1f}, {:.1f}) mm".format(*at),
            fix="close and orient it before it is filled",
        )
    if surface.volume <= 0.0:
        raise InputError(
            f"the normals of {name} point inward (volume {surface.volume:.0f} mm3)", fix="turn its triangles round"
        )


def fill_surface(
    surface: TriangleSurface,
    *,
    size_mm: float,
    size_inside_mm: float,
    grading: float = 0.3,
    name: str = "the surface",
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Tetrahedra that fill a closed surface.

    Parameters
    ----------
    surface : TriangleSurface
        Closed, normals outward, mm. Its triangles should be about as large as the cells wanted at it.
    size_mm : float
        Edge length at the surface, mm.
    size_inside_mm : float
        Largest edge length in the core, mm.
    grading : float
        Growth of the edge length with the distance from the surface, mm per mm.
    name : str
        What messages call it, e.g. `L1`.

    Returns
    -------
    points : (n, 3) ndarray
        mm; the surface's points come first, in their order and unchanged to the bit. Points that no triangle uses stay,
        without a cell.
    cells : (m, 4) ndarray of int64
        VTK order. Their boundary is the surface's triangles exactly, so that parts filled one by one fit together
        where they share triangles.

    Raises
    ------
    InputError
        If the surface is open or turned inside out, a size is out of range, or gmsh cannot fill it.
    MissingDependencyError
        Without gmsh or a system library it needs.

    Notes
    -----
    gmsh's Delaunay algorithm with boundary recovery [1]_ [2]_, sizes min(size + grading d, size inside) at distance d
    from the surface's points and triangle centres, then Netgen's optimiser. On one thread, the same mesh every time.

    References
    ----------
    .. [1] C. Geuzaine, J.-F. Remacle, Int. J. Numer. Meth. Eng. 79:1309, 2009.
    .. [2] H. Si, TetGen, ACM Trans. Math. Softw. 41:11, 2015 (boundary recovery).
    """
    _check_sizes(surface, size_mm, size_inside_mm, grading, name)
    check_closed(surface, name=name)
    used, triangles = np.unique(surface.triangles, return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    points = surface.points[used]
    with gmsh_session() as gmsh:
        try:
            added, cells = _fill(gmsh, points, triangles, _sizes(surface, size_mm, size_inside_mm, grading))
        except Exception as error:  # gmsh raises Exception itself
            raise _failure(str(error), gmsh.logger.get(), name, surface) from error
    faces = boundary_facets(cells)[0]
    if len(cells) == 0 or not np.array_equal(_sorted_rows(faces), _sorted_rows(triangles)):
        raise _failure("its boundary was not kept", [], name, surface)
    n = len(surface.points)
    ids = np.concatenate([used, n + np.arange(len(added))])
    return np.concatenate([surface.points, added]), ids[cells]


def boundary_facets(cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Faces of linear tetrahedra that belong to one cell only.

    Parameters
    ----------
    cells : (m, 4) ndarray of int64
        VTK order.

    Returns
    -------
    facets : (k, 3) ndarray of int64
        Counter-clockwise seen from outside.
    owners : (k,) ndarray of int64
        The cell behind each.

    Examples
    --------
    >>> boundary_facets(np.array([[0, 1, 2, 3], [1, 2, 3, 4]]))[1]
    array([0, 0, 0, 1, 1, 1])
    """
    faces = cells[:, np.array(ELEMENTS["tet4"].faces)].reshape(-1, 3)
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    alone = np.sort(first[count == 1])
    return faces[alone], alone // 4


def _fill(
    gmsh: ModuleType, points: NDArray[np.float64], triangles: NDArray[np.int64], sizes: Sizes
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points added inside, and cells by position: the surface's points, then the added ones."""
    n = len(points)
    patch = gmsh.model.addDiscreteEntity(2)
    gmsh.model.mesh.addNodes(2, patch, np.arange(1, n + 1), points.ravel())
    gmsh.model.mesh.addElementsByType(patch, _TRIANGLE, [], (triangles + 1).ravel())
    loop = gmsh.model.geo.addSurfaceLoop([patch])
    gmsh.model.geo.addVolume([loop])
    gmsh.model.geo.synchronize()
    gmsh.model.mesh.setSizeCallback(sizes)
    gmsh.model.mesh.generate(3)
    gmsh.model.mesh.optimize("Netgen")
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    nodes = np.asarray(gmsh.model.mesh.getElementsByType(_TETRAHEDRON)[1], dtype=np.int64)
    tags = np.asarray(tags, dtype=np.int64)
    inside = np.flatnonzero(tags > n)
    position = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    position[1 : n + 1] = np.arange(n)
    position[tags[inside]] = n + np.arange(len(inside))
    return np.array(coordinates).reshape(-1, 3)[inside], position[nodes].reshape(-1, 4)


def _sizes(surface: TriangleSurface, at_surface: float, inside: float, grading: float) -> Sizes:
    """Edge length wanted at a place, as gmsh asks for it."""
    tree = cKDTree(np.concatenate([surface.points[np.unique(surface.triangles)], surface.centers]))

    def size(dimension: int, tag: int, x: float, y: float, z: float, given: float) -> float:
        return float(min(at_surface + grading * tree.query((x, y, z))[0], inside))

    return size


def _sorted_rows(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles turned so that the smallest id leads, in lexical order: equal for equal oriented surfaces."""
    start = np.argmin(triangles, axis=1)
    turned = triangles[np.arange(len(triangles))[:, None], (start[:, None] + np.arange(3)) % 3]
    return np.asarray(turned[np.lexsort(turned.T[::-1])])


def _check_sizes(surface: TriangleSurface, size: float, inside: float, grading: float, name: str) -> None:
    """Sizes in range, and not so small that the mesh could never be held."""
    if not (np.isfinite(size) and np.isfinite(inside) and 0.0 < size <= inside):
        raise InputError(
            f"size_mm = {size:g} and size_inside_mm = {inside:g} are no cell sizes",
            fix="give 0 < size_mm <= size_inside_mm",
        )
    if not (np.isfinite(grading) and grading >= 0.0):
        raise InputError(f"grading must be 0 or positive, not {grading:g}")
    # A regular tetrahedron of edge h has a volume of 0.118 h3.
    core = abs(surface.volume) / (0.118 * inside**3)
    if core > _LARGEST:
        raise InputError(
            f"size_inside_mm = {inside:g} would make about {core:.1e} cells of {name}",
            fix=f"give a size that stays under {_LARGEST:,} cells",
        )


def _failure(problem: str, log: list[str], name: str, surface: TriangleSurface) -> InputError:
    """Failure of gmsh in our words, with what it said itself and where the surface meets itself."""
    said = [line.split(": ", 1)[-1].strip() for line in log if line.startswith(("Error", "Warning"))]
    pairs = self_intersections(surface)
    if len(pairs):
        at = surface.centers[pairs[0]].mean(axis=0)
        where = "{}: {} pairs of triangles cross, first at ({:.1f}, {:.1f}, {:.1f}) mm".format(name, len(pairs), *at)
    else:
        low, high = (
            surface.points[surface.triangles].min(axis=(0, 1)),
            surface.points[surface.triangles].max(axis=(0, 1)),
        )
        where = "{}, between ({:.1f}, {:.1f}, {:.1f}) and ({:.1f}, {:.1f}, {:.1f}) mm".format(name, *low, *high)
    return InputError(
        f"gmsh cannot fill {name} with tetrahedra: {'; '.join(dict.fromkeys([*said[-3:], problem.strip()]))}",
        where=where,
        fix="repair the surface there, or remesh it with another edge length",
    )
