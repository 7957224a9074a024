"""What the cells of a tetrahedral mesh are made of: density fields or a CT, and the directions of the annulus."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import PlacedVertebra
from fesolver.anatomy.density_fields import DensityField, UniformDensity
from fesolver.anatomy.dimensions import VertebraDimensions, vertebra_dimensions
from fesolver.bone.density import DensityKind
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.imaging.cell_averages import cell_averages
from fesolver.imaging.frames import oriented_frame
from fesolver.imaging.volume import Volume
from fesolver.meshing.field_density import field_density
from fesolver.meshing.tetrahedra import TetMesh
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, SUPERIOR_ENDPLATE, VertebraSurface

__all__ = ["placed_vertebra", "tet_tissue", "tet_tissue_from_ct"]

_MIDDLE_MM = 4.0
"""Half-width of the strip that counts as mid-sagittal."""
_CENTRAL = 0.7
"""Part of the endplate's radius in which its deepest point is looked for, the central part of `VertebraDimensions`."""


def tet_tissue(tet_mesh: TetMesh, density: DensityField | Mapping[str, DensityField]) -> Tissue:
    """Tissue of a tetrahedral mesh from density fields.

    Parameters
    ----------
    tet_mesh : TetMesh
        From `fesolver.meshing.tetrahedra.mesh_surfaces` or `fesolver.meshing.pygmsh_column.mesh_with_pygmsh`.
    density : DensityField or mapping of str to DensityField
        Of every level, or by level; fields take points (n, 3) in the body frame, mm, and the body's dimensions, and
        give g/cm3. `fesolver.anatomy.density_fields.UniformDensity` is the same everywhere.

    Returns
    -------
    Tissue
        Density is the mean over each cell, by quadrature; 0 in discs. Posterior elements have what the field gives at
        their places. Regions are the mesh's; the annulus has its axes and depth.

    Raises
    ------
    InputError
        If levels are missing or unknown, the kinds of the fields differ, the body of a surface has implausible
        dimensions, or a field returns another number of values, a negative one or a NaN.
    """
    bodies = {level: _placed(body, density) for level, body in tet_mesh.bodies.items()}
    return _tissue(tet_mesh, *field_density(tet_mesh.mesh, bodies, density))


def tet_tissue_from_ct(tet_mesh: TetMesh, density: Volume, kind: DensityKind) -> Tissue:
    """Tissue of a tetrahedral mesh from the CT of the same patient.

    Parameters
    ----------
    tet_mesh : TetMesh
        Its mesh frame's parent is the scanner's space.
    density : Volume
        Calibrated CT, g/cm3, not floored, in scanner space.
    kind : {"rho_qct", "rho_ha", "rho_ash", "rho_app"}
        What the density is equivalent to.

    Returns
    -------
    Tissue
        Density is the exact mean of the voxels over each cell of bone, posterior elements included; 0 in discs.

    Raises
    ------
    InputError
        If a cell of bone lies outside the CT.
    """
    mesh = tet_mesh.mesh
    own = np.unique(np.concatenate([mesh.level_cells(level) for level in mesh.levels]))
    out = np.zeros(len(mesh.cells))
    out[own] = cell_averages(mesh.frame.to_parent(mesh.points), mesh.cells[own], mesh.element, density).mean
    return _tissue(tet_mesh, out, kind)


def _placed(
    body: VertebraSurface | PlacedVertebra, density: DensityField | Mapping[str, DensityField]
) -> PlacedVertebra:
    """What a field is evaluated on; a uniform one does not need a surface's dimensions."""
    if isinstance(body, PlacedVertebra):
        return body
    field = density[body.level] if isinstance(density, Mapping) and body.level in density else density
    if isinstance(field, UniformDensity):
        return PlacedVertebra(vertebra_dimensions(body.level), body.frame)
    return placed_vertebra(body)


def placed_vertebra(vertebra: VertebraSurface) -> PlacedVertebra:
    """Dimensions of a vertebral body's surface, and the frame they are measured in: for density patterns.

    Parameters
    ----------
    vertebra : VertebraSurface
        With its parts.

    Returns
    -------
    PlacedVertebra
        Frame in the surface's own; dimensions are the surface's, and published ones where it does not tell (layers,
        posterior indentation, posterior elements).

    Raises
    ------
    InputError
        If a dimension is outside its plausible range.

    Notes
    -----
    z bisects the endplates' normals. Widths and mid-sagittal depths are extents of the endplate patches; heights are
    between planes fitted to their borders, at half the depth in front and behind; concavities are the deepest points
    below these planes; the waist is the narrowest width of the wall over the middle third.
    """
    surface, geometry = vertebra.surface, vertebra.geometry
    axis = geometry.superior_normal - geometry.inferior_normal
    frame = oriented_frame(vertebra.frame.origin, axis, vertebra.frame.axes[0])
    local = frame.to_local(surface.points)
    plates = [local[np.unique(surface.triangles[vertebra.kind == k])] for k in (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE)]
    spans = [_spans(plate) for plate in plates]
    middle = 0.5 * (spans[0].mean(axis=0) + spans[1].mean(axis=0))
    planes = [_rim_plane(plate, span.mean(axis=0)) for plate, span in zip(plates, spans, strict=True)]
    half = 0.25 * sum(float(span[1, 1] - span[0, 1]) for span in spans)
    behind, front = (planes[0] - planes[1]) @ np.array([[1.0, 1.0], [half, -half]])
    centre = np.array([*middle, 0.5 * float((planes[0] + planes[1])[0])])
    hollows = [
        _hollow(plate, plane, span, sign)
        for plate, plane, span, sign in zip(plates, planes, spans, (1.0, -1.0), strict=True)
    ]
    widths = [float(span[1, 0] - span[0, 0]) for span in spans]
    dimensions = _dimensions(
        vertebra,
        superior_width_mm=widths[0],
        inferior_width_mm=widths[1],
        superior_depth_mm=float(spans[0][1, 1] - spans[0][0, 1]),
        inferior_depth_mm=float(spans[1][1, 1] - spans[1][0, 1]),
        posterior_height_mm=float(behind),
        anterior_height_mm=float(front),
        superior_concavity_mm=hollows[0],
        inferior_concavity_mm=hollows[1],
        waist_fraction=_waist(local[np.unique(surface.triangles[vertebra.kind == OUTER])], planes, widths),
    )
    return PlacedVertebra(dimensions, type(frame)(frame.to_parent(centre), frame.axes))


def _dimensions(vertebra: VertebraSurface, **measured: float) -> VertebraDimensions:
    """Published dimensions with the measured ones in their place, or an error that names the surface."""
    try:
        return vertebra_dimensions(vertebra.level, **measured)
    except InputError as error:
        raise InputError(
            f"the surface of {vertebra.level} is no plausible body: {error.what}",
            where=vertebra.level,
            fix="check its unit, axes and parts, or give a uniform density or a CT",
        ) from error


def _spans(plate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ends of an endplate, (2, 2): of its width, and of its depth in the mid-sagittal strip."""
    left, right = plate[:, 0].min(), plate[:, 0].max()
    strip = plate[np.abs(plate[:, 0] - 0.5 * (left + right)) < _MIDDLE_MM, 1]
    return np.array([[left, strip.min()], [right, strip.max()]])


def _rim_plane(plate: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height at y = 0 and slope in y, (2,), of the plane through the outer part of an endplate."""
    place = plate[:, :2] - middle
    reach = np.hypot(*(place / np.abs(place).max(axis=0)).T)
    rim = plate[reach > np.quantile(reach, 0.75)]
    return np.asarray(np.linalg.lstsq(np.stack([np.ones(len(rim)), rim[:, 1]], axis=1), rim[:, 2], rcond=None)[0])


def _hollow(plate: NDArray[np.float64], plane: NDArray[np.float64], span: NDArray[np.float64], sign: float) -> float:
    """Depth of an endplate's deepest central point below its rim's plane, mm, 0 where it is domed."""
    place = 2.0 * (plate[:, :2] - span.mean(axis=0)) / (span[1] - span[0])
    central = plate[np.hypot(*place.T) < _CENTRAL]
    return max(0.0, float((sign * (plane[0] + plane[1] * central[:, 1] - central[:, 2])).max(initial=0.0)))


def _waist(wall: NDArray[np.float64], planes: list[NDArray[np.float64]], widths: list[float]) -> float:
    """Narrowing of the wall's middle third against both endplates, 0 to 0.3."""
    top, bottom = (plane[0] + plane[1] * wall[:, 1] for plane in planes)
    height = (wall[:, 2] - bottom) / np.maximum(top - bottom, 1e-9)
    narrow = [
        np.ptp(wall[np.abs(height - at) < 0.06, 0]) for at in (0.4, 0.5, 0.6) if np.any(np.abs(height - at) < 0.06)
    ]
    return float(np.clip(1.0 - min(narrow, default=np.mean(widths)) / np.mean(widths), 0.0, 0.3))


def _tissue(tet_mesh: TetMesh, density: NDArray[np.float64], kind: DensityKind) -> Tissue:
    """Tissue with the mesh's regions and the annulus' directions."""
    return Tissue(
        density, kind, tet_mesh.mesh.regions, dict(tet_mesh.annulus_axes), dict(tet_mesh.annulus_depth)
    )  # fmt: skip
