"""A parametric spine segment as one value: levels, sizes, fractures, discs, density and posture, with every source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import TypeAlias

from fesolver.anatomy.column import Column, build_column
from fesolver.anatomy.density_fields import DensityField, PatternedDensity
from fesolver.anatomy.dimensions import DiscDimensions, VertebraDimensions, disc_dimensions, vertebra_dimensions
from fesolver.anatomy.disc_shape import DiscShape, check_gaps
from fesolver.anatomy.fractures import FRACTURE_SOURCE, Fracture, FracturedBody, apply_fracture
from fesolver.anatomy.levels import disc_name
from fesolver.anatomy.scaling import SEX_SOURCE, Sex, degenerated, scaled
from fesolver.anatomy.source_table import SourceRow, dimension_rows, numbers_of
from fesolver.anatomy.t_score import density_from_t_score
from fesolver.bone.degeneration import disc_geometry
from fesolver.errors import InputError

__all__ = ["SpineRecipe"]

_Numbers: TypeAlias = Mapping[str, Mapping[str, float]]
_DEFAULT_T_SCORE = -3.0


@dataclass(frozen=True)
class SpineRecipe:
    """Everything that makes a parametric segment.

    Parameters
    ----------
    levels : tuple of str
        Consecutive levels, T10 to L5.
    sex : {"female", "male"}, optional
        Makes the published means those of one sex.
    size : float, optional
        Length over the published length.
    dimensions, discs : mapping of str to mapping, optional
        Level or disc name to dimensions that replace the published ones, after sex and size: `{"L1": {"waist_fraction":
        0.1}}`.
    fractures : mapping of str to Fracture, optional
        By level; they act on what the above give.
    degeneration : mapping of str to str, optional
        Disc name to grade; it acts on what the above give.
    density : DensityField or mapping of str to DensityField, optional
        Density of every body before its fracture, or by level; the published pattern with the mean of
        T-score -3 by default.
    sagittal_tilt_deg, coronal_tilt_deg : float, optional
        Lean of the whole segment, degrees: forward, then to the patient's left.
    seed : int, optional
        Of whatever is random downstream; the shape has nothing random.

    Raises
    ------
    InputError
        From `column`: if a name fits nothing, a value is implausible, or bodies touch. One message, with the place.

    Examples
    --------
    >>> recipe = SpineRecipe(("T12", "L1", "L2"), fractures={"L1": Fracture(kind="wedge", grade=2)})
    >>> round(recipe.column()["L1"].dimensions.wedge_deg, 1)
    13.6
    >>> round(recipe.density_factor("L1"), 2)
    1.2
    """

    levels: tuple[str, ...]
    sex: Sex | None = None
    size: float = 1.0
    dimensions: _Numbers = field(default_factory=lambda: MappingProxyType({}))
    discs: _Numbers = field(default_factory=lambda: MappingProxyType({}))
    fractures: Mapping[str, Fracture] = field(default_factory=lambda: MappingProxyType({}))
    degeneration: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    density: DensityField | Mapping[str, DensityField] = field(
        default_factory=lambda: PatternedDensity(density_from_t_score(_DEFAULT_T_SCORE))
    )
    sagittal_tilt_deg: float = 0.0
    coronal_tilt_deg: float = 0.0
    seed: int = 0

    def column(self) -> Column:
        """Vertebrae and discs in place.

        Returns
        -------
        Column
            With scaled, replaced, fractured and degenerated dimensions.

        Raises
        ------
        InputError
            If the recipe makes no segment: the message says what, where and what to do.
        """
        return self._column

    def disc_shapes(self) -> tuple[DiscShape, ...]:
        """Shapes of the discs between the placed bodies, cranial first."""
        placed = self._column.vertebrae
        return tuple(
            DiscShape(upper, lower, disc)
            for (upper, lower), disc in zip(pairwise(placed), self._column.discs, strict=True)
        )

    def density_factor(self, level: str) -> float:
        """Density of a level after its fracture over that before, dimensionless; 1 without one."""
        self._column[level]
        return self._broken[level].density_factor if level in self._broken else 1.0

    def density_field(self, level: str) -> DensityField:
        """Density of a level in its own body, after its fracture.

        Raises
        ------
        InputError
            If the level is not in the segment, or has no density.
        """
        factor = self.density_factor(level)
        given = self.density
        if isinstance(given, Mapping):
            if level not in given:
                raise InputError(f"no density is given for {level}", fix="give one field for all, or one per level")
            given = given[level]
        return given.scaled(factor) if factor != 1.0 else given

    def source_table(self) -> tuple[SourceRow, ...]:
        """Every dimension of the segment with its source: levels cranial first, then discs."""
        column = self._column
        rows: list[SourceRow] = []
        for vertebra in column.vertebrae:
            level = vertebra.level
            rows += dimension_rows(
                vertebra.dimensions,
                before=self._bodies[level],
                published=vertebra_dimensions(level),
                given=self.dimensions.get(level, {}),
                owner=level,
                scaled_by=self._scaled_by,
                edit=f"fracture ({FRACTURE_SOURCE.citation})",
            )
        for disc in column.discs:
            grade = self.degeneration.get(disc.name, "none")
            rows += dimension_rows(
                disc,
                before=self._gaps[disc.name],
                published=disc_dimensions(disc.upper, disc.lower),
                given=self.discs.get(disc.name, {}),
                owner=disc.name,
                scaled_by=self._scaled_by,
                edit=f"degeneration {grade} ({disc_geometry(grade).source})",
            )
        return tuple(rows)

    @property
    def _scaled_by(self) -> str:
        """Why a number is not the published one, in words."""
        return f"size {self.size:g}" + (f" and sex {self.sex} ({SEX_SOURCE.citation})" if self.sex else "")

    @cached_property
    def _levels(self) -> tuple[str, ...]:
        """Levels cranial first, after every name in the recipe has been checked against them."""
        column = build_column(self.levels)  # refuses what is missing, repeated or unknown
        names = [disc.name for disc in column.discs]
        for what, given, known in (
            ("dimensions", self.dimensions, column.levels),
            ("fractures", self.fractures, column.levels),
            ("density", self.density if isinstance(self.density, Mapping) else {}, column.levels),
            ("discs", self.discs, names),
            ("degeneration", self.degeneration, names),
        ):
            unknown = sorted(set(given) - set(known))
            if unknown:
                raise InputError(
                    f"{what} names {', '.join(unknown)}, which is not in the segment",
                    fix=f"use {', '.join(known)}" if known else "a single level has no disc",
                )
        return column.levels

    @cached_property
    def _bodies(self) -> dict[str, VertebraDimensions]:
        """Dimensions before fractures."""
        out = {}
        for level in self._levels:
            body = scaled(vertebra_dimensions(level), size=self.size, sex=self.sex)
            out[level] = vertebra_dimensions(level, **(numbers_of(body) | dict(self.dimensions.get(level, {}))))
        return out

    @cached_property
    def _broken(self) -> dict[str, FracturedBody]:
        """Fractured bodies."""
        return {level: apply_fracture(self._bodies[level], fracture) for level, fracture in self.fractures.items()}

    @cached_property
    def _gaps(self) -> dict[str, DiscDimensions]:
        """Dimensions of discs before degeneration."""
        out = {}
        for upper, lower in pairwise(self._levels):
            name = disc_name(upper, lower)
            disc = scaled(disc_dimensions(upper, lower), size=self.size, sex=self.sex)
            out[name] = disc_dimensions(upper, lower, **(numbers_of(disc) | dict(self.discs.get(name, {}))))
        return out

    @cached_property
    def _column(self) -> Column:
        """The column, built once."""
        bodies = self._bodies | {level: broken.dimensions for level, broken in self._broken.items()}
        gaps = {name: degenerated(gap, self.degeneration.get(name, "none")) for name, gap in self._gaps.items()}
        column = build_column(
            self._levels,
            dimensions={level: numbers_of(body) for level, body in bodies.items()},
            discs={name: numbers_of(gap) for name, gap in gaps.items()},
            sagittal_tilt_deg=self.sagittal_tilt_deg,
            coronal_tilt_deg=self.coronal_tilt_deg,
        )
        check_gaps(column)
        return column
