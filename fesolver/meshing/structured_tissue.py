"""What the cells of a structured mesh are made of: density fields averaged over cells, and the annulus' axes."""

from __future__ import annotations

from collections.abc import Mapping

from fesolver.anatomy.density_fields import DensityField
from fesolver.bone.tissue import Tissue
from fesolver.meshing.field_density import field_density
from fesolver.meshing.structured import StructuredMesh

__all__ = ["structured_tissue"]


def structured_tissue(structured: StructuredMesh, density: DensityField | Mapping[str, DensityField]) -> Tissue:
    """Tissue of a structured mesh from density fields.

    Parameters
    ----------
    structured : StructuredMesh
        From `fesolver.meshing.structured.mesh_column`.
    density : DensityField or mapping of str to DensityField
        Of every level, or by level; fields take points (n, 3) in the body frame, mm, and the body's dimensions, and
        give g/cm3.

    Returns
    -------
    Tissue
        Density is the mean over each cell, by quadrature; 0 in discs. Regions are the mesh's; the annulus has its axes
        and depth.

    Raises
    ------
    InputError
        If levels are missing or unknown, the kinds of the fields differ, or a field returns another number of values, a
        negative one or a NaN.

    Examples
    --------
    >>> from fesolver.anatomy.column import build_column
    >>> from fesolver.anatomy.density_fields import UniformDensity
    >>> from fesolver.meshing.structured import mesh_column
    >>> structured = mesh_column(build_column(["L1"]), refinement=0.4)
    >>> round(float(structured_tissue(structured, UniformDensity(0.1)).density.max()), 6)
    0.1
    """
    mesh = structured.mesh
    values, kind = field_density(mesh, {v.level: v for v in structured.column.vertebrae}, density)
    return Tissue(values, kind, mesh.regions, dict(structured.annulus_axes), dict(structured.annulus_depth))
