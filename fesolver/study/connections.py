"""From the study's `[connections]` table to ligaments, facet joints and fibres on its mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fesolver.anatomy.column import Column
from fesolver.anatomy.facet_joints import FacetJoint, facet_joints
from fesolver.anatomy.frames import Frame
from fesolver.bone.cartilage import DEFAULT_CARTILAGE
from fesolver.bone.fibre_layers import without_fibres
from fesolver.bone.ligaments import ligaments
from fesolver.bone.materials import FibreReinforced, LayeredFibres, Material
from fesolver.bone.tissue import Tissue
from fesolver.connections.facet_joints import connect_facets
from fesolver.connections.fibres import annulus_fibres
from fesolver.connections.ligaments import connect_ligaments
from fesolver.connections.sites import ColumnSites, column_sites
from fesolver.errors import InputError
from fesolver.fem.problem import Connections
from fesolver.meshing.measured_column import measured_column
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.rotation import rotation_values, rotation_warnings
from fesolver.outcomes.state import OutcomeSettings, SolvedState
from fesolver.study.config import StudyConfig
from fesolver.study.input_files import placed
from fesolver.study.schema import ConnectionsConfig

__all__ = ["Joints", "connection_record", "elastic_materials", "rotation_lines", "study_connections"]


LARGEST_GAP_MM = 6.0
"""Widest joint space taken, as for published dimensions: bone to bone on CT is 2 to 4 mm."""


@dataclass(frozen=True)
class Joints:
    """Where ligaments attach and facets meet, in the mesh's frame.

    Parameters
    ----------
    sites : mapping of str to mapping of str to SitePairs
        Disc to ligament to its sites.
    facets : tuple of FacetJoint
        Left and right of every disc.
    source : str
        Where they are from, in words.
    notes : tuple of str
        What a reader has to be told.
    """

    sites: ColumnSites
    facets: tuple[FacetJoint, ...]
    source: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of_column(cls, column: Column, frame: Frame, source: str, table: ConnectionsConfig) -> Joints:
        """Published places on a column, facets as the table has them; `frame` is the mesh's in the column's parent."""
        with placed("connections.facet_dimensions"):
            facets = facet_joints(column, frame=frame, overrides=table.facet_dimensions)
        return cls(column_sites(column, frame, facets), facets, source)

    @classmethod
    def of_mesh(cls, mesh: SpineMesh, table: ConnectionsConfig) -> Joints:
        """Published places on bodies of the size that the mesh has."""
        own = Frame(np.zeros(3), np.eye(3))
        return cls.of_column(measured_column(mesh), own, "published places on bodies of the mesh's size", table)


def elastic_materials(config: StudyConfig, materials: Mapping[str, Material]) -> dict[str, Material]:
    """Materials of the cells: without the fibres where these are elements of their own."""
    if config.connections.fibres == "homogenised":
        return dict(materials)
    return {
        name: without_fibres(material) if isinstance(material, FibreReinforced | LayeredFibres) else material
        for name, material in materials.items()
    }


def study_connections(
    config: StudyConfig, mesh: SpineMesh, tissue: Tissue, materials: Mapping[str, Material], joints: Joints | None
) -> tuple[tuple[Connections, ...], tuple[str, ...]]:
    """Every connection that the study asks for, and what a reader has to be told of them.

    Parameters
    ----------
    config : StudyConfig
        `[connections]` says which.
    mesh : SpineMesh
    tissue : Tissue
        For the fibres.
    materials : mapping of str to Material
        With the annulus' fibres.
    joints : Joints or None
        Where they attach; None measures the mesh.

    Raises
    ------
    InputError
        If a ligament is unknown or attached to nothing, a gap is negative, or a disc does not exist.
    """
    table = config.connections
    if not table.is_used:
        return (), ()
    if len(mesh.levels) < 2:
        raise InputError("a single level has nothing to connect", where="[connections]", fix="leave the table out")
    out: list[Connections] = []
    if table.ligaments or table.facets:
        joints = joints or Joints.of_mesh(mesh, table)
    if table.ligaments:
        assert joints is not None
        with placed("[connections]"):
            out += connect_ligaments(
                mesh,
                joints.sites,
                table=ligaments(table.ligament_laws),
                names=table.ligaments if isinstance(table.ligaments, tuple) else None,
                prestrain=table.prestrain,
            )
    if table.facets:
        assert joints is not None
        cartilage = DEFAULT_CARTILAGE
        if table.facet_cartilage_young_mpa is not None:
            cartilage = replace(cartilage, young=table.facet_cartilage_young_mpa)
        gapped = _with_gaps(joints.facets, table)
        out += connect_facets(mesh, gapped, cartilage=cartilage, points_per_side=table.facet_points)
    if table.fibres == "elements":
        out += annulus_fibres(mesh, tissue, materials)
    return tuple(out), () if joints is None else (f"ligaments and facets: {joints.source}", *joints.notes)


def _with_gaps(joints: Sequence[FacetJoint], table: ConnectionsConfig) -> tuple[FacetJoint, ...]:
    """Joints with the study's gaps."""
    gaps = table.facet_gap_mm
    if gaps is None:
        return tuple(joints)
    if isinstance(gaps, Mapping):
        known = [key for joint in joints for key in (joint.name.split("/")[0], joint.name)]
        for name in gaps:
            if name not in known:
                raise InputError(
                    f"facet_gap_mm names {name!r}", where="connections.facet_gap_mm",
                    fix=f"use {', '.join(dict.fromkeys(known)) or 'none: the segment has no facet joints'}",
                )  # fmt: skip
    out = []
    for joint in joints:
        disc = joint.name.split("/")[0]
        gap = gaps.get(joint.name, gaps.get(disc, joint.gap_mm)) if isinstance(gaps, Mapping) else gaps
        if gap > LARGEST_GAP_MM:
            raise InputError(
                f"a facet gap of {gap:g} mm is no joint", where=f"connections.facet_gap_mm, {joint.name}",
                fix=f"give 0 to {LARGEST_GAP_MM:g} mm, or leave the facets out",
            )  # fmt: skip
        out.append(replace(joint, gap_mm=gap))
    return tuple(out)


def rotation_lines(state: SolvedState) -> tuple[str, ...]:
    """Warnings of rotations that a linear model cannot describe."""
    return rotation_warnings(rotation_values(state, {}, OutcomeSettings()))


def connection_record(
    config: StudyConfig, notes: Sequence[str], states: Sequence[SolvedState], solves: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """What `case.json` says about connections: groups, where they are from, how each active set went; None without."""
    if not config.connections.is_used:
        return None
    return {
        "source": notes[0] if notes else "fibres of the annulus",
        "notes": list(notes[1:]),
        "fibres": config.connections.fibres,
        "groups": [{"name": c.name, "elements": c.count} for c in states[0].problem.connections],
        "active_set": [
            {
                "state": solve["name"],
                "outer": solve["outer_iterations"],
                "changes": solve["pieces_changed"],
                "linear_iterations": solve["linear_iterations"],
                "set_ups": solve["set_ups"],
            }
            for solve in solves
            if "outer_iterations" in solve
        ],
        "warnings": [f"{line}, {state.name}" for state in states for line in rotation_lines(state)],
    }
