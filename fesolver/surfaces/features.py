"""Feature lines of a surface: edges that remeshing keeps as lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from fesolver.errors import InputError
from fesolver.surfaces.half_edges import HalfEdges
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["FeatureLines", "edge_marks", "kept_edges", "with_lines"]

_CORNER_TURN_DEG = 45.0
"""A line along sharp or kept edges has a corner where it turns by more; a choice. Borders of tags follow the triangles
they were painted on, zigzag, and have corners only where lines meet."""


@dataclass(frozen=True)
class FeatureLines:
    """Where the feature lines of a surface run.

    Parameters
    ----------
    starts : (n_lines + 1,) ndarray of int64
        First segment of every line.
    segments : (s, 2, 3) ndarray
        Ends of every segment, mm.
    """

    starts: NDArray[np.int64]
    segments: NDArray[np.float64]


def edge_marks(mesh: HalfEdges, feature_deg: float | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Half-edges (3 m,) on the border of two tags, and those where normals differ by more than `feature_deg`."""
    owner = np.arange(len(mesh.twin)) // 3
    is_border = np.asarray(mesh.tags[owner] != mesh.tags[owner[mesh.twin]])
    if feature_deg is None:
        return is_border, np.zeros(len(mesh.twin), dtype=bool)
    normals = TriangleSurface(mesh.points, mesh.triangles).normals
    cosine = np.einsum("hi,hi->h", normals[owner], normals[owner[mesh.twin]])
    return is_border, np.asarray(cosine < np.cos(np.deg2rad(feature_deg)))


def kept_edges(surface: TriangleSurface, keep: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Half-edges (3 m,) of a surface that run along the edges (k, 2) asked for.

    Raises
    ------
    InputError
        If a pair of `keep` is no edge.
    """
    n = len(surface.points)
    keep = np.asarray(keep, dtype=np.int64)
    if keep.ndim != 2 or keep.shape[1] != 2:
        raise InputError(f"edges to keep have shape {keep.shape}, not (k, 2)")
    ends = np.stack([surface.triangles.ravel(), np.roll(surface.triangles, -1, axis=1).ravel()], axis=1)
    keys, wanted = (np.sort(pairs, axis=1) @ np.array([n, 1]) for pairs in (ends, keep))
    missing = ~np.isin(wanted, keys)
    if missing.any():
        raise InputError(
            f"{int(missing.sum())} of the {len(wanted)} edges to keep are no edges of the surface",
            where=f"the first joins points {keep[missing][0].tolist()}",
        )
    return np.isin(keys, wanted)


def with_lines(
    mesh: HalfEdges, is_border: NDArray[np.bool_], is_sharp: NDArray[np.bool_]
) -> tuple[HalfEdges, FeatureLines]:
    """The surface with its feature lines numbered and their corners fixed, and where the lines run.

    Notes
    -----
    Lines end at points with one or more than two marked edges, and turn a corner as `_CORNER_TURN_DEG` says.
    """
    marked = np.flatnonzero(is_border | is_sharp)
    ends = mesh.ends[marked]
    count = np.bincount(ends[:, 0], minlength=len(mesh.points))
    along = mesh.points[ends[:, 1]] - mesh.points[ends[:, 0]]
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
    leaving = np.zeros((len(mesh.points), 3))
    np.add.at(leaving, ends[:, 0], along)
    has_sharp = np.zeros(len(mesh.points), dtype=bool)
    has_sharp[mesh.ends[is_sharp, 0]] = True
    # Two unit vectors that leave a point with a turn of w between them add up to 2 sin(w / 2).
    turns = np.linalg.norm(leaving, axis=1) > 2.0 * np.sin(0.5 * np.deg2rad(_CORNER_TURN_DEG))
    is_fixed = (count > 0) & ((count != 2) | (has_sharp & turns))

    # Marked half-edges are one line when they are twins, or meet at a point that is no corner.
    position = np.full(len(mesh.twin), -1)
    position[marked] = np.arange(len(marked))
    order = np.argsort(ends[:, 0], kind="stable")
    first, second = order[:-1], order[1:]
    is_joined = (ends[first, 0] == ends[second, 0]) & ~is_fixed[ends[first, 0]]
    rows = np.concatenate([np.arange(len(marked)), first[is_joined]])
    columns = np.concatenate([position[mesh.twin[marked]], second[is_joined]])
    graph = csr_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(len(marked), len(marked)))
    lines = connected_components(graph, directed=False)[1] if len(marked) else np.empty(0, dtype=np.int64)

    curve = np.full(len(mesh.twin), -1, dtype=np.int64)
    curve[marked] = lines
    once = marked < mesh.twin[marked]
    by_line = np.argsort(lines[once], kind="stable")
    segments = mesh.points[ends[once][by_line]]
    n_lines = int(lines.max(initial=-1)) + 1
    starts = np.searchsorted(lines[once][by_line], np.arange(n_lines + 1)).astype(np.int64)
    return replace(mesh, curve=curve, is_fixed=is_fixed), FeatureLines(starts, np.ascontiguousarray(segments))
