"""What a check of a surface says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SurfaceFinding", "SurfaceFindingKind", "SurfaceReport"]

SurfaceFindingKind = Literal[
    "empty", "duplicate_point", "unreferenced_point", "degenerate", "duplicate_triangle", "open", "non_manifold",
    "pinched", "orientation", "one_sided", "inward", "crumb", "shells", "cavity", "self_intersection", "handles",
    "quality",
]  # fmt: skip

_LISTED: frozenset[SurfaceFindingKind] = frozenset({"handles", "quality"})


@dataclass(frozen=True)
class SurfaceFinding:
    """One thing that is not as it should be.

    Parameters
    ----------
    kind : str
        `empty`, `duplicate_point`, `unreferenced_point`, `degenerate` (a triangle without area), `duplicate_triangle`,
        `open` (edges with one triangle), `non_manifold` (edges with more than two), `pinched` (a point where parts
        touch), `orientation` (neighbours that face different ways), `one_sided`, `inward`, `crumb`, `shells` (several
        large pieces), `cavity` (a piece inside another), `self_intersection`, `handles` (more than one), `quality`.
    count : int
        How many edges, points, triangles, pieces or pairs.
    place_mm : tuple of float
        Where the first is (of openings: the longest), mm, in the surface's frame.
    message : str
        What was found, with the numbers.
    """

    kind: SurfaceFindingKind
    count: int
    place_mm: tuple[float, float, float]
    message: str

    @property
    def is_fault(self) -> bool:
        """Whether no volume can be meshed with it; `handles` and `quality` are listed only."""
        return self.kind not in _LISTED

    def __str__(self) -> str:
        x, y, z = self.place_mm
        return f"{self.message}, at ({x:.1f}, {y:.1f}, {z:.1f}) mm [{self.kind}]"


@dataclass(frozen=True)
class SurfaceReport:
    """A surface in numbers, and what was found in it.

    Parameters
    ----------
    name : str
        Of the surface: its file or level.
    findings : tuple of SurfaceFinding
        Empty if nothing is wrong.
    n_points, n_triangles, n_shells : int
        Points, triangles, pieces.
    genus : int or None
        Handles by Euler's number, over all pieces: 1 for a vertebra (its canal), 0 for a body alone. None if the
        surface is not closed.
    volume_mm3, area_mm2 : float
        Enclosed volume (negative where normals point inward), area.
    edge_mm : tuple of float
        Shortest, median and longest edge.
    quality : tuple of float
        Smallest and median of `triangle_quality`.
    repairs : tuple of str
        What was done before these findings (`repair.require_valid`).
    """

    name: str
    findings: tuple[SurfaceFinding, ...]
    n_points: int
    n_triangles: int
    n_shells: int
    genus: int | None
    volume_mm3: float
    area_mm2: float
    edge_mm: tuple[float, float, float]
    quality: tuple[float, float]
    repairs: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[SurfaceFinding, ...]:
        """Findings with which no volume can be meshed."""
        return tuple(finding for finding in self.findings if finding.is_fault)

    @property
    def is_valid(self) -> bool:
        """Whether the surface is closed, has one piece, faces outward and meets itself nowhere."""
        return not self.faults

    def finding(self, kind: SurfaceFindingKind) -> SurfaceFinding | None:
        """The finding of a kind, if there is one."""
        return next((finding for finding in self.findings if finding.kind == kind), None)

    def describe(self) -> str:
        """The report as text: one line of numbers, one for every repair and finding."""
        shape = "not closed" if self.genus is None else f"closed, genus {self.genus}"
        lines = [
            f"{self.name}: {self.n_points} points, {self.n_triangles} triangles, {shape}, "
            f"{self.volume_mm3 / 1000.0:.2f} ml, {self.area_mm2 / 100.0:.1f} cm2, "
            f"edges {self.edge_mm[0]:.2f} to {self.edge_mm[2]:.2f} mm, quality {self.quality[0]:.2f} and more"
        ]
        return "\n".join([*lines, *(f"  done: {text}" for text in self.repairs), *(f"  {f}" for f in self.findings)])
