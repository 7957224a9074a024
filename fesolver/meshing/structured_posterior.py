"""Posterior elements added to a structured mesh: hexahedra of their own, tied to the posterior wall by mortar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import PlacedVertebra
from fesolver.anatomy.facet_dimensions import Side
from fesolver.anatomy.facet_joints import FacetJoint, facet_joints
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.posterior_hexahedra import PosteriorBlocks, posterior_blocks
from fesolver.bone.cartilage import CARTILAGE_LAYERS_MM
from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.fem.problem import LinearTie
from fesolver.meshing.interface_ties import tie_interface
from fesolver.meshing.quality import check_quality
from fesolver.meshing.regions import facet_surface
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import StructuredMesh

__all__ = ["PosteriorMesh", "add_posterior", "extend_tissue"]

_SEARCH_MM = 3.0
"""How far a root's flat facets may stand off the curved wall: about 0.5 mm on published bodies."""


@dataclass(frozen=True)
class PosteriorMesh:
    """A structured mesh with posterior elements.

    Parameters
    ----------
    structured : StructuredMesh
        Regions `L1/posterior`, ... added; what was there keeps its numbers.
    ties : tuple of LinearTie
        Pedicles to bodies, for `Problem.ties`.
    joints : tuple of FacetJoint
        The facet joints that the articular processes end on, in the mesh frame.
    articular : mapping of str to (q, k) ndarray of int64
        `L1/superior_left`, ...: facets of bone that face the joint.
    """

    structured: StructuredMesh
    ties: tuple[LinearTie, ...]
    joints: tuple[FacetJoint, ...]
    articular: Mapping[str, NDArray[np.int64]]

    @property
    def mesh(self) -> SpineMesh:
        """The mesh itself."""
        return self.structured.mesh


def add_posterior(
    structured: StructuredMesh,
    joints: Sequence[FacetJoint] | None = None,
    *,
    cartilage_mm: float = CARTILAGE_LAYERS_MM,
    subdivision: int = 1,
    min_scaled_jacobian: float = 0.1,
) -> PosteriorMesh:
    """Give every level its arch and processes.

    Parameters
    ----------
    structured : StructuredMesh
        From `fesolver.meshing.structured.mesh_column`.
    joints : sequence of FacetJoint, optional
        In the mesh frame, left and right of every disc; published ones by default.
    cartilage_mm : float
        Both layers of a joint together.
    subdivision : int
        Of the blocks, see `fesolver.anatomy.posterior_hexahedra.posterior_blocks`.
    min_scaled_jacobian : float
        Cells below it are refused.

    Returns
    -------
    PosteriorMesh

    Raises
    ------
    InputError
        If the mesh has posterior elements already, a disc lacks one of its joints, a pedicle does not stand on the wall
        of its body, or cells are below the quality limit.

    Notes
    -----
    Pedicles end on the posterior wall and are tied to it (`fesolver.meshing.interface_ties.tie_interface`), the arch as
    slave: its meshes match the body's nowhere. Levels at the ends of a column have no processes towards neighbours
    that are not there. Levels are not welded across their facets: contact is that of
    `fesolver.connections.facet_joints.connect_facets`.

    Examples
    --------
    >>> from fesolver.anatomy.column import build_column
    >>> from fesolver.meshing.structured import mesh_column
    >>> with_arch = add_posterior(mesh_column(build_column(["L1"]), refinement=0.6))
    >>> "L1/posterior" in with_arch.mesh.regions
    True
    """
    mesh, column = structured.mesh, structured.column
    if any(name.endswith("/posterior") for name in mesh.regions):
        raise InputError("the mesh has posterior elements already", fix="add them once, to a mesh without")
    joints = tuple(facet_joints(column, frame=mesh.frame) if joints is None else joints)
    _check_joints(joints, structured)
    ties: list[LinearTie] = []
    articular: dict[str, NDArray[np.int64]] = {}
    out = mesh
    for vertebra in column.vertebrae:
        wall = _Wall(mesh, vertebra)
        blocks = posterior_blocks(
            vertebra.dimensions,
            wall,
            superior=_ends(joints, vertebra, mesh.frame, "lower"),
            inferior=_ends(joints, vertebra, mesh.frame, "upper"),
            cartilage_mm=cartilage_mm,
            subdivision=subdivision,
        )
        out, facets = _appended(out, vertebra, blocks)
        articular.update({f"{vertebra.level}/{name}": f for name, f in facets.items() if name != "roots"})
        ties += tie_interface(
            out.points,
            slave_facets=facets["roots"],
            master_facets=mesh.surfaces[f"{vertebra.level}/outer"].facets,
            search_mm=_SEARCH_MM,
        )
    check_quality(out, min_scaled_jacobian=min_scaled_jacobian)
    return PosteriorMesh(replace(structured, mesh=out), tuple(ties), joints, articular)


def extend_tissue(tissue: Tissue, mesh: SpineMesh, density: float = 0.0) -> Tissue:
    """The tissue of a mesh before posterior elements were added, for the mesh with them.

    Parameters
    ----------
    tissue : Tissue
        From `fesolver.meshing.structured_tissue.structured_tissue`.
    mesh : SpineMesh
        With posterior elements behind its other cells.
    density : float
        Of the posterior cells, g/cm3; the default material of posterior bone does not depend on it.

    Raises
    ------
    InputError
        If the mesh has fewer cells than the tissue.
    """
    added = len(mesh.cells) - len(tissue.density)
    if added < 0:
        raise InputError(f"the mesh has {len(mesh.cells)} cells, the tissue {len(tissue.density)}")
    return replace(tissue, density=np.append(tissue.density, np.full(added, density)), regions=mesh.regions)


def _check_joints(joints: Sequence[FacetJoint], structured: StructuredMesh) -> None:
    """Both joints of every disc, and no others."""
    wanted = {f"{disc.name}/{side}" for disc in structured.column.discs for side in ("left", "right")}
    given = [joint.name for joint in joints]
    if set(given) != wanted or len(given) != len(wanted):
        raise InputError(
            f"facet joints are given for {', '.join(given) or 'no disc'}",
            fix=f"give one each for {', '.join(sorted(wanted)) or 'no disc'}",
        )


def _ends(
    joints: Sequence[FacetJoint], vertebra: PlacedVertebra, frame: Frame, as_level: str
) -> dict[Side, FacetJoint] | None:
    """Joints in which a vertebra is the `upper` or `lower` one, by side, in its body frame."""
    own = [joint for joint in joints if getattr(joint, as_level) == vertebra.level]
    if not own:
        return None
    body = vertebra.frame
    return {
        joint.side: replace(
            joint,
            center=body.to_local(frame.to_parent(joint.center)),
            normal=body.vectors_to_local(frame.vectors_to_parent(joint.normal)),
        )
        for joint in own
    }


def _appended(
    mesh: SpineMesh, vertebra: PlacedVertebra, blocks: PosteriorBlocks
) -> tuple[SpineMesh, dict[str, NDArray[np.int64]]]:
    """A mesh with one level's blocks behind it, and their named facets, in the mesh's kind of cells."""
    patches = {"roots": blocks.roots, **blocks.facets}
    surfaces = {name: facet_surface(blocks.points, f, np.zeros(len(f), np.int64)) for name, f in patches.items()}
    own = SpineMesh(blocks.points, blocks.cells, {}, surfaces, {}, (vertebra.level,), mesh.frame)
    if mesh.element == "hex20":
        own = second_order(own)
    points = mesh.frame.to_local(vertebra.frame.to_parent(own.points))
    region = Region(len(mesh.cells) + np.arange(len(own.cells)), np.ones(len(own.cells)))
    grown = replace(
        mesh,
        points=np.concatenate([mesh.points, points]),
        cells=np.concatenate([mesh.cells, own.cells + len(mesh.points)]),
        regions={**mesh.regions, f"{vertebra.level}/posterior": region},
    )
    return grown, {name: s.facets + len(mesh.points) for name, s in own.surfaces.items()}


class _Wall:
    """Posterior wall of a body: y over x and z in the body frame, where the mesh's facets are."""

    def __init__(self, mesh: SpineMesh, vertebra: PlacedVertebra) -> None:
        facets = mesh.surfaces[f"{vertebra.level}/outer"].facets[:, :4]
        p = vertebra.frame.to_local(mesh.frame.to_parent(mesh.points))
        # Four triangles about the middle: no diagonal favours a side.
        ahead, middle = p[np.roll(facets, -1, axis=1)], p[facets].mean(axis=1, keepdims=True)
        triangles = np.stack([np.broadcast_to(middle, ahead.shape), p[facets], ahead], axis=2).reshape(-1, 3, 3)
        self.level = vertebra.level
        self.triangles = triangles[triangles[:, :, 1].min(axis=1) > 0.0]

    def __call__(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """The hindmost y (k,) of the wall at (x, z) (k, 2)."""
        a, b, c = (self.triangles[:, i] for i in range(3))
        to_b, to_c = (b - a)[:, [0, 2]], (c - a)[:, [0, 2]]
        area = to_b[:, 0] * to_c[:, 1] - to_b[:, 1] * to_c[:, 0]
        area = np.where(np.abs(area) < 1e-12, np.inf, area)
        away = places[:, None] - a[:, [0, 2]]
        u = (away[..., 0] * to_c[:, 1] - away[..., 1] * to_c[:, 0]) / area
        v = (to_b[:, 0] * away[..., 1] - to_b[:, 1] * away[..., 0]) / area
        inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1.0 + 1e-9) & np.isfinite(area)
        y = np.where(inside, a[:, 1] + u * (b - a)[:, 1] + v * (c - a)[:, 1], -np.inf).max(axis=1)
        if not np.all(np.isfinite(y)):
            x, z = places[np.argmin(y)]
            raise InputError(
                f"a pedicle of {self.level} does not stand on the posterior wall of its body",
                where=f"x = {x:.1f} mm, z = {z:.1f} mm in the body frame",
                fix="make pedicle_width_mm, pedicle_height_mm or canal_width_mm smaller",
            )
        return np.asarray(y)
