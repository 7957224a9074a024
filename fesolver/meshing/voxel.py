"""A spine segment as a mesh of equal cubes."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.anatomy.levels import disc_name
from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.fem.problem import Lattice
from fesolver.fem.voxel_mesh import VTK_CORNERS
from fesolver.imaging.volume import SegmentImage
from fesolver.meshing.discs import Disc, find_disc, fit_outline
from fesolver.meshing.layers import layer_fractions
from fesolver.meshing.regions import cell_centroids
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.meshing.surfaces import BodyFaces, body_faces, surface_of

__all__ = ["mesh_segment", "tissue_from_image"]

_log = logging.getLogger("fesolver")

_AROUND = np.ones((3, 3, 3), dtype=bool)
_LEAST_FRACTION = 1e-3


def _place(image: SegmentImage, mask: NDArray[np.bool_]) -> str:
    """Mean place of cells in scanner space, for messages."""
    local = image.origin + (np.argwhere(mask).mean(axis=0) + 0.5) * image.spacing
    return f"near {np.round(image.frame.to_parent(local), 1).tolist()} mm (LPS)"


def _clean_bodies(image: SegmentImage) -> NDArray[np.int8]:
    """Largest component of each body; bodies that touch are refused."""
    body = np.zeros_like(image.body)
    for number, level in enumerate(image.levels, start=1):
        parts, count = ndimage.label(image.body == number)
        if count == 0:
            raise InputError(f"the body of {level} has no cells", fix="use a smaller spacing_mm or check the labels")
        keep = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        body[parts == keep] = number
        if count > 1:
            _log.info("%s: %d cells apart from its body removed", level, int((parts > 0).sum() - (parts == keep).sum()))
    for number in range(1, len(image.levels)):
        touching = (body > number) & ndimage.binary_dilation(body == number, _AROUND)
        if touching.any():
            raise InputError(
                f"the body of {image.levels[number - 1]} shares points with one below it ({int(touching.sum())} cells)",
                where=_place(image, touching),
                fix="bodies may be joined by discs only: make the image with build_segment_image, or separate them",
            )
    return body


def _free_posterior(image: SegmentImage, body: NDArray[np.int8], disc: NDArray[np.int8]) -> NDArray[np.int8]:
    """Posterior elements that share points with nothing but their own body, and hang on it by faces."""
    posterior = np.where((body == 0) & (disc == 0), image.posterior, 0).astype(np.int8)
    near_disc = ndimage.binary_dilation(disc > 0, _AROUND)
    for number, level in enumerate(image.levels, start=1):
        own = posterior == number
        if not own.any():
            continue
        others = (body > 0) & (body != number)
        others |= (posterior > 0) & (posterior < number)
        free = own & ~near_disc & ~ndimage.binary_dilation(others, _AROUND)
        parts, _ = ndimage.label(free)
        attached = np.unique(parts[ndimage.binary_dilation(body == number)])
        kept = free & np.isin(parts, attached[attached > 0])
        posterior[own & ~kept] = 0
        _log.info(
            "%s: %d posterior cells removed, that touch a neighbour or hang loose", level, int((own & ~kept).sum())
        )
    return posterior


def _left_out(image: SegmentImage) -> NDArray[np.int8]:
    """Posterior elements that are not meshed, as far as the image knows them."""
    return image.posterior if image.left_out is None else image.left_out


def _is_connected(occupied: NDArray[np.bool_], body: NDArray[np.int8], image: SegmentImage) -> NDArray[np.bool_]:
    """Largest face-connected component of everything; it must hold every body."""
    parts, count = ndimage.label(occupied)
    if count <= 1:
        return occupied
    keep = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    for number, level in enumerate(image.levels, start=1):
        if not (parts[body == number] == keep).any():
            raise InputError(
                f"the body of {level} hangs on no disc",
                where=_place(image, body == number),
                fix="the discs beside it are missing: inspect the labels there",
            )
    crumbs = int((occupied & (parts != keep)).sum())
    _log.info("%d cells without a face to the segment removed", crumbs)
    return np.asarray(parts == keep)


def _number(occupied: NDArray[np.bool_], image: SegmentImage) -> tuple[Lattice, NDArray[np.int64], NDArray[np.int64]]:
    """Lattice, and the mesh ids of cells and points on the grid (-1 where there is none); x runs fastest."""
    cell_index = np.argwhere(occupied.transpose(2, 1, 0))[:, ::-1].astype(np.int32)
    cell_ids = np.full(occupied.shape, -1, dtype=np.int64)
    cell_ids[tuple(cell_index.T)] = np.arange(len(cell_index))
    has_point = np.zeros(tuple(n + 1 for n in occupied.shape), dtype=bool)
    for corner in VTK_CORNERS:
        has_point[tuple((cell_index + corner).T)] = True
    point_index = np.argwhere(has_point.transpose(2, 1, 0))[:, ::-1].astype(np.int32)
    point_ids = np.full(has_point.shape, -1, dtype=np.int64)
    point_ids[tuple(point_index.T)] = np.arange(len(point_index))
    shape = (int(occupied.shape[0]), int(occupied.shape[1]), int(occupied.shape[2]))
    lattice = Lattice(
        shape,
        image.spacing.copy(),
        image.origin.copy(),
        np.ascontiguousarray(cell_index),
        np.ascontiguousarray(point_index),
    )
    return lattice, cell_ids, point_ids


def _region(values: NDArray[np.float64], cell_ids: NDArray[np.int64]) -> Region | None:
    """Region of the cells with a positive fraction, None if there are none."""
    where = (values > 0) & (cell_ids >= 0)
    if not where.any():
        return None
    ids, fraction = cell_ids[where], values[where]
    order = np.argsort(ids)
    return Region(ids[order], fraction[order])


def _body_regions(
    image: SegmentImage,
    level: str,
    is_body: NDArray[np.bool_],
    faces: BodyFaces,
    thickness: tuple[float, float],
    shell: str,
) -> dict[str, NDArray[np.float64]]:
    """Fraction per grid cell of each region of one body; they sum to 1 in its cells."""
    parts: dict[str, NDArray[np.float64]] = {}
    if shell == "layers":
        parts = layer_fractions(
            faces,
            is_body,
            image.spacing,
            cortical_thickness_mm=thickness[0],
            endplate_thickness_mm=thickness[1],
        )
    foreign = {
        name: np.where(is_body & (values > _LEAST_FRACTION), values, 0.0) for name, values in image.extra.items()
    }
    total = sum(foreign.values(), np.zeros(is_body.shape))
    over = np.maximum(total, 1.0)
    left = 1.0 - np.minimum(total, 1.0)
    parts = {name: np.where(values > 1e-9, values, 0.0) * left for name, values in parts.items()}
    parts.update({name: values / over for name, values in foreign.items()})
    rest = np.where(is_body, 1.0 - sum(parts.values(), np.zeros(is_body.shape)), 0.0)
    # What is left of a full cell is round-off, not bone.
    parts["trabecular"] = np.where(rest > 1e-9, rest, 0.0)
    order = ("trabecular", "cortical", "superior_endplate", "inferior_endplate", *foreign)
    return {f"{level}/{name}": parts[name] for name in order if name in parts}


def _normalised(regions: dict[str, Region], n_cells: int) -> dict[str, Region]:
    """Fractions divided by their sum per cell, which round-off alone keeps from 1."""
    total = np.zeros(n_cells)
    for region in regions.values():
        total[region.cells] += region.fraction
    return {name: Region(r.cells, np.minimum(r.fraction / total[r.cells], 1.0)) for name, r in regions.items()}


def mesh_segment(
    image: SegmentImage,
    *,
    cortical_thickness_mm: float = 0.35,
    endplate_thickness_mm: float = 0.35,
    shell: Literal["layers", "from_ct"] = "layers",
    nucleus_area_fraction: float = 0.40,
    keep_posterior: bool = False,
) -> SpineMesh:
    """Mesh of bodies, discs and layers on the cells of a segment image.

    Parameters
    ----------
    image : SegmentImage
        Bodies on their grid.
    cortical_thickness_mm, endplate_thickness_mm : float
        True thickness of the layers [1]_.
    shell : {"layers", "from_ct"}
        Layers by volume fraction, or none: the CT's own values alone.
    nucleus_area_fraction : float
        Area of the nucleus over the disc's; 0.3 to 0.5 in healthy discs.
    keep_posterior : bool
        Mesh the image's posterior elements.

    Returns
    -------
    SpineMesh
        One face-connected piece; bodies are joined by discs only. Cells that hang on the rest by less than a
        face are left out, and so are posterior cells that touch a disc or another level (both counted in the log).

    Raises
    ------
    InputError
        On a parameter out of range, bodies that touch, or a disc that is missing or thinner than two cells.

    References
    ----------
    .. [1] Shell and endplate of L1 measured directly: mean 0.35 mm; see source P19 of the package's reference numbers.
    """
    if not 0.0 < nucleus_area_fraction < 1.0:
        raise InputError(f"nucleus_area_fraction must lie in (0, 1), not {nucleus_area_fraction}")
    if shell not in ("layers", "from_ct"):
        raise InputError(f"shell {shell!r} is unknown", fix="use 'layers' or 'from_ct'")
    body = _clean_bodies(image)
    image = replace(image, body=body)
    disc = np.zeros_like(body)
    discs: list[Disc] = []
    for number, (upper, lower) in enumerate(zip(image.levels[:-1], image.levels[1:], strict=True), start=1):
        found = find_disc(image, upper, lower, nucleus_area_fraction=nucleus_area_fraction)
        disc[tuple(found.cells.T)] = number
        discs.append(found)
    posterior = _free_posterior(image, body, disc) if keep_posterior else np.zeros_like(body)
    roots = posterior if keep_posterior else np.where((body == 0) & (disc == 0), _left_out(image), 0).astype(np.int8)
    occupied = _is_connected((body > 0) | (disc > 0) | (posterior > 0), body, image)
    lattice, cell_ids, point_ids = _number(occupied, image)

    regions: dict[str, Region] = {}
    surfaces: dict[str, Surface] = {}

    def add(name: str, values: NDArray[np.float64]) -> None:
        region = _region(values, cell_ids)
        if region is not None:
            regions[name] = region

    for number, level in enumerate(image.levels, start=1):
        faces = body_faces(image, level, body, roots, disc)
        thickness = (cortical_thickness_mm, endplate_thickness_mm)
        for name, values in _body_regions(image, level, body == number, faces, thickness, shell).items():
            add(name, values)
        add(f"{level}/posterior", (posterior == number).astype(np.float64))
        for kind, part in enumerate(("superior_endplate", "inferior_endplate", "outer")):
            surfaces[f"{level}/{part}"] = surface_of(faces, kind, image.spacing, cell_ids, point_ids)
    for number, found in enumerate(discs, start=1):
        nucleus = np.zeros(body.shape, dtype=bool)
        nucleus[tuple(found.cells[found.is_nucleus].T)] = True
        add(f"{found.name}/nucleus", nucleus.astype(np.float64))
        add(f"{found.name}/annulus", ((disc == number) & ~nucleus).astype(np.float64))
    points = image.origin + lattice.point_index * image.spacing
    cells = point_ids[tuple(np.moveaxis(lattice.cell_index[:, None, :] + VTK_CORNERS, -1, 0))]
    frames = {level: image.vertebrae[level].frame for level in image.levels}
    frames.update({found.name: found.frame for found in discs})
    return SpineMesh(
        points=points,
        cells=np.ascontiguousarray(cells),
        regions=_normalised(regions, len(cells)),
        surfaces=surfaces,
        frames=frames,
        levels=image.levels,
        frame=image.frame,
        lattice=lattice,
    )


def _annulus_axes(mesh: SpineMesh, name: str, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Circumferential, radial (outward) and axial unit vectors in the annulus' cells, (k, 3, 3)."""
    frame = mesh.frames[name]
    annulus = mesh.regions[f"{name}/annulus"].cells
    nucleus = mesh.regions.get(f"{name}/nucleus")
    everything = annulus if nucleus is None else np.concatenate([annulus, nucleus.cells])
    assert mesh.lattice is not None
    pixel = float(mesh.lattice.spacing[0])
    flat = frame.to_local(centroids[everything])[:, :2]
    footprint = np.unique(np.floor(flat / pixel), axis=0) * pixel + pixel / 2
    outline = fit_outline(footprint, np.full(len(footprint), pixel**2))
    outward = outline.outward(frame.to_local(centroids[annulus])[:, :2])
    radial = np.column_stack([outward, np.zeros(len(outward))])
    axial = np.broadcast_to([0.0, 0.0, 1.0], radial.shape)
    local = np.stack([np.cross(radial, axial), radial, axial], axis=1)
    return np.asarray(local @ frame.axes)


def tissue_from_image(mesh: SpineMesh, image: SegmentImage) -> Tissue:
    """What the cells of a voxel mesh are made of, as the image says.

    Parameters
    ----------
    mesh : SpineMesh
        Mesh made from `image` by `mesh_segment`.
    image : SegmentImage
        Density per cell, not floored.

    Returns
    -------
    Tissue
        Density is 0 in discs. Annulus axes follow scaled copies of the disc's outline and its axis; (circumferential,
        radial, axial) is right-handed, so circumferential runs clockwise seen from above.

    Raises
    ------
    InputError
        If the mesh has no lattice or another grid than the image.
    """
    lattice = mesh.lattice
    if lattice is None or lattice.shape != image.body.shape or not np.allclose(lattice.origin, image.origin):
        raise InputError("the mesh was not made from this image", fix="use mesh_segment(image)")
    density = image.density[tuple(lattice.cell_index.T)].copy()
    discs = [disc_name(upper, lower) for upper, lower in zip(mesh.levels[:-1], mesh.levels[1:], strict=True)]
    for name in discs:
        for part in ("nucleus", "annulus"):
            if f"{name}/{part}" in mesh.regions:
                density[mesh.regions[f"{name}/{part}"].cells] = 0.0
    centroids = cell_centroids(mesh)
    axes = {f"{n}/annulus": _annulus_axes(mesh, n, centroids) for n in discs if f"{n}/annulus" in mesh.regions}
    return Tissue(density, image.kind, mesh.regions, axes)
