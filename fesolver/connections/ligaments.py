"""The ligaments of a column as connections on any mesh of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.levels import disc_name
from fesolver.anatomy.ligament_sites import SitePairs
from fesolver.bone.ligaments import LIGAMENTS, BilinearLigament, SpringLigament, ligaments
from fesolver.connections.posterior_links import PedicleFootprint, posterior_attachments
from fesolver.connections.sites import ColumnSites
from fesolver.connections.strands import StrandLaw, spring_law, strand_law, strand_lengths, strands
from fesolver.errors import InputError
from fesolver.fem.attachments import Attachment, embed
from fesolver.fem.problem import Connections
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["connect_ligaments"]

_BODY_PARTS = ("trabecular", "cortical", "superior_endplate", "inferior_endplate", "cement")


def connect_ligaments(
    mesh: SpineMesh,
    sites: ColumnSites,
    *,
    table: Mapping[str, BilinearLigament | SpringLigament] | None = None,
    names: Sequence[str] | None = None,
    prestrain: float | Mapping[str, float] = 0.0,
    footprints: Mapping[str, PedicleFootprint] | None = None,
    tolerance_mm: float = 4.0,
) -> tuple[Connections, ...]:
    """Connect neighbouring vertebrae by their ligaments.

    Parameters
    ----------
    mesh : SpineMesh
        Of any kind.
    sites : mapping of str to mapping of str to SitePairs
        From `fesolver.connections.sites`, in the mesh's frame.
    table : mapping of str to BilinearLigament or SpringLigament, optional
        Laws by ligament; by default `fesolver.bone.ligaments.ligaments()`.
    names : sequence of str, optional
        Which ligaments; by default all that table and sites have.
    prestrain : float or mapping of str to float, optional
        Of all ligaments, or by ligament (0 for the others), in (-1, 1).
    footprints : mapping of str to PedicleFootprint, optional
        See `fesolver.connections.posterior_links.pedicle_patch`.
    tolerance_mm : float, optional
        How far a site may lie outside the cells of its bone, mm: stairs of voxels, sites from a few landmarks.

    Returns
    -------
    tuple of Connections
        One per disc and ligament, `L1-L2/anterior_longitudinal`, cranial first.

    Raises
    ------
    InputError
        If a ligament is attached to nothing, has no law or no sites, or a number is outside its range.

    Notes
    -----
    All strands of a ligament have the same share of its cross-section. Sites on a body are embedded in its cells; sites
    on posterior elements in theirs, or, where there are none near, follow the wall behind the pedicles rigidly.

    Examples
    --------
    >>> from fesolver.anatomy.column import build_column
    >>> from fesolver.connections.sites import column_sites
    >>> from fesolver.meshing.structured import mesh_column
    >>> column = build_column(["L1", "L2"])
    >>> mesh = mesh_column(column, refinement=0.5).mesh
    >>> found = connect_ligaments(mesh, column_sites(column, mesh.frame), names=["anterior_longitudinal"])
    >>> found[0].name, found[0].count
    ('L1-L2/anterior_longitudinal', 5)
    """
    laws = ligaments() if table is None else table
    wanted = _wanted(laws, names, prestrain)
    discs = [disc_name(*pair) for pair in pairwise(mesh.levels)]
    absent = [name for name in discs if name not in sites]
    if absent:
        raise InputError(f"there are no ligament sites for {', '.join(absent)}", where=absent[0])
    attached = _Attached(mesh, footprints, tolerance_mm)
    out = []
    for disc, (upper, lower) in zip(discs, pairwise(mesh.levels), strict=True):
        for ligament in wanted:
            pair = sites[disc].get(ligament)
            where = f"{disc}/{ligament}"
            if pair is None and names is not None:
                raise InputError("a ligament is attached to nothing: it has no sites", where=where)
            if pair is None:
                continue
            starts = attached.on(upper, ligament, pair.upper, pair)
            ends = attached.on(lower, ligament, pair.lower, pair)
            strain = prestrain.get(ligament, 0.0) if isinstance(prestrain, Mapping) else prestrain
            out.append(strands(where, starts, ends, _law(laws[ligament], strand_lengths(starts, ends), strain, where)))
    return tuple(out)


def _wanted(
    laws: Mapping[str, BilinearLigament | SpringLigament],
    names: Sequence[str] | None,
    prestrain: float | Mapping[str, float],
) -> list[str]:
    """Ligaments to connect, in their usual order."""
    asked = list(laws) if names is None else list(names)
    given = list(prestrain) if isinstance(prestrain, Mapping) else []
    unknown = sorted({*asked, *given} - set(LIGAMENTS))
    if unknown:
        raise InputError(f"unknown ligament {unknown[0]!r}", fix=f"use one of {', '.join(LIGAMENTS)}")
    lawless = [name for name in asked if name not in laws]
    if lawless:
        raise InputError(
            f"the table has no law for {', '.join(lawless)}", where=lawless[0], fix=f"it has {', '.join(laws)}"
        )
    return [name for name in LIGAMENTS if name in asked]


def _law(
    ligament: BilinearLigament | SpringLigament, lengths: NDArray[np.float64], prestrain: float, where: str
) -> StrandLaw:
    """Law of the strands of one ligament, each with its share of the whole."""
    if isinstance(ligament, SpringLigament):
        return spring_law(lengths, ligament.stiffness_n_per_mm / len(lengths), prestrain=prestrain, where=where)
    return strand_law(
        lengths,
        ligament.area_mm2 / len(lengths),
        young_mpa=ligament.young_mpa,
        switch_strain=ligament.switch_strain,
        prestrain=prestrain,
        where=where,
    )


class _Attached:
    """Attachments on one mesh."""

    def __init__(self, mesh: SpineMesh, footprints: Mapping[str, PedicleFootprint] | None, tolerance_mm: float) -> None:
        if not tolerance_mm >= 0.0:
            raise InputError(f"tolerance_mm must be 0 or more, not {tolerance_mm}")
        self.mesh, self.footprints, self.tolerance_mm = mesh, footprints, tolerance_mm

    def on(self, level: str, ligament: str, places: NDArray[np.float64], pair: SitePairs) -> tuple[Attachment, ...]:
        """Attachments (k,) on one vertebra."""
        try:
            if pair.part == "posterior":
                return posterior_attachments(
                    self.mesh, level, places, footprints=self.footprints, tolerance_mm=self.tolerance_mm
                )
            mesh, cells = self.mesh, self._body(level)
            return embed(mesh.points, mesh.cells, mesh.element, places, cells_of=cells, tolerance_mm=self.tolerance_mm)
        except InputError as error:
            where = f"{ligament} on {level}" + (f", {error.where}" if error.where else "")
            raise InputError(error.what, where=where, fix=error.fix) from error

    def _body(self, level: str) -> NDArray[np.int64]:
        """Cells of a vertebral body."""
        regions = self.mesh.regions
        found = [regions[f"{level}/{part}"].cells for part in _BODY_PARTS if f"{level}/{part}" in regions]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
