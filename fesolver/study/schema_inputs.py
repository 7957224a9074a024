"""Tables of a study file that say what a segment is made from: CT, phantom, parameters, surfaces, a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.study.tables_base import Finite, Flag, NotNegative, Positive, Table, ordered_levels

__all__ = [
    "CohortTable",
    "CtInput",
    "FractureConfig",
    "Input",
    "MeshInput",
    "ParametricInput",
    "RecipeTable",
    "SurfacesInput",
    "SyntheticInput",
]


class CtInput(Table):
    """A CT or density volume and its labels."""

    kind: Literal["ct"]
    ct: Path
    labels: Path
    label_scheme: str = "totalsegmentator"
    dicom_series: str | None = None
    accept_findings: tuple[str, ...] = ()
    label_table: dict[str, str] | None = None
    subregions: Path | None = None
    subregion_table: dict[str, str] | None = None
    cement_label: Path | None = None
    implant_label: Path | None = None


class SyntheticInput(Table):
    """The package's own phantom, from published dimensions."""

    kind: Literal["synthetic"]
    t_score: Finite | None = None
    density_g_cm3: Positive | None = None
    voxel_mm: Positive = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    tilt_deg: Finite = 10.0

    @model_validator(mode="after")
    def _one_density(self) -> SyntheticInput:
        if (self.t_score is None) == (self.density_g_cm3 is None):
            raise InputError("give either t_score or density_g_cm3", fix="one of them, not both and not none")
        return self


class FractureConfig(Table):
    """A fractured body: a kind and a Genant grade, or height losses."""

    kind: Literal["wedge", "biconcave", "crush"] | None = None
    grade: Annotated[int, Field(ge=1, le=3)] | None = None
    anterior_loss_percent: NotNegative | None = None
    middle_loss_percent: NotNegative | None = None
    posterior_loss_percent: NotNegative | None = None
    density_change: Literal["mass_kept", "none"] | Positive = "mass_kept"


class RecipeTable(Table):
    """A segment from published dimensions, any of them replaced."""

    t_score: Finite | None = None
    density_g_cm3: Positive | None = None
    density_kind: DensityKind = "rho_qct"
    density_pattern: Literal["published", "uniform", "compartments"] = "published"
    rim_density_ratio: Positive | None = None
    inferior_superior_ratio: Positive | None = None
    compartments_g_cm3: dict[str, Positive] = Field(default_factory=dict)
    sex: Literal["female", "male"] | None = None
    size: Positive = 1.0
    dimensions: dict[str, dict[str, Finite]] = Field(default_factory=dict)
    discs: dict[str, dict[str, Finite]] = Field(default_factory=dict)
    fractures: dict[str, FractureConfig] = Field(default_factory=dict)
    sagittal_tilt_deg: Finite = 0.0
    coronal_tilt_deg: Finite = 0.0

    @model_validator(mode="after")
    def _one_density(self) -> RecipeTable:
        by_compartment = self.density_pattern == "compartments"
        if by_compartment != bool(self.compartments_g_cm3):
            raise InputError(
                "density_pattern = 'compartments' and compartments_g_cm3 belong together",
                fix="give both, as in compartments_g_cm3 = {core = 0.07, rim = 0.10}, or neither",
            )
        if self.t_score is not None and self.density_g_cm3 is not None:
            raise InputError("give either t_score or density_g_cm3", fix="one of them, not both")
        if self.t_score is not None and self.density_kind != "rho_qct":
            raise InputError("a t_score gives a density of kind rho_qct", fix="leave density_kind out")
        ratios = self.rim_density_ratio is not None or self.inferior_superior_ratio is not None
        if ratios and self.density_pattern != "published":
            raise InputError("rim_density_ratio and inferior_superior_ratio belong to density_pattern = 'published'")
        return self


class CohortTable(Table):
    """One member of a seeded random cohort; of one sex and of some ages, where asked for."""

    seed: Annotated[int, Field(ge=0)] = 0
    member: Annotated[int, Field(ge=0)]
    sex: Literal["female", "male"] | None = None
    age_years: tuple[Finite, Finite] | None = None


class ParametricInput(RecipeTable):
    """A parametric segment on a structured mesh: published sizes, or those of a member of a random cohort."""

    kind: Literal["parametric"]
    cohort: CohortTable | None = None

    @model_validator(mode="after")
    def _some_density(self) -> ParametricInput:
        has_density = self.t_score is not None or self.density_g_cm3 is not None or bool(self.compartments_g_cm3)
        if self.cohort is None and not has_density:
            raise InputError(
                "the segment has no density", fix="give t_score, density_g_cm3, compartments_g_cm3 or a cohort"
            )
        return self

    @model_validator(mode="after")
    def _nothing_drawn_twice(self) -> ParametricInput:
        keys = ("t_score", "density_g_cm3", "compartments_g_cm3", "sex")
        given = [] if self.cohort is None else [key for key in keys if getattr(self, key) not in (None, {})]
        if self.cohort is not None and self.size != 1.0:
            given.append("size")
        if given:
            raise InputError(
                f"{given[0]} of a cohort's member is drawn, and given too",
                fix=f"leave out input.{given[0]}, or the cohort; single dimensions may be given",
            )
        return self


class _BodyDensity(Table):
    """Density of bodies that no CT gives, or a CT."""

    t_score: Finite | None = None
    density_g_cm3: Positive | None = None
    density_kind: DensityKind = "rho_qct"
    density_pattern: Literal["published", "uniform"] = "published"
    ct: Path | None = None
    dicom_series: str | None = None

    @model_validator(mode="after")
    def _one_density(self) -> _BodyDensity:
        keys = [key for key in ("t_score", "density_g_cm3", "ct", "density_key") if key in type(self).model_fields]
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            raise InputError(
                f"the segment needs one density, got {' and '.join(given) or 'none'}",
                fix=f"give one of {', '.join(keys[:-1])} and {keys[-1]}",
            )
        if self.ct is not None and (self.density_kind, self.density_pattern) != ("rho_qct", "published"):
            raise InputError(
                "a CT has its own pattern, and [calibration] says the kind of its density",
                fix="leave density_kind and density_pattern out; set calibration.density_kind",
            )
        if self.t_score is not None and self.density_kind != "rho_qct":
            raise InputError("a t_score gives a density of kind rho_qct", fix="leave density_kind out")
        return self


class SurfacesInput(_BodyDensity):
    """Closed triangle surfaces of vertebrae, one file a level, meshed with tetrahedra."""

    kind: Literal["surfaces"]
    files: dict[str, Path]
    axes: str
    unit: Literal["mm", "cm", "m"]
    repair: Flag = True

    @field_validator("files")
    @classmethod
    def _known_levels(cls, files: dict[str, Path]) -> dict[str, Path]:
        if not files:
            raise InputError("there is no surface", fix='name one file for each level, like {L1 = "L1.stl"}')
        ordered_levels(tuple(files))
        owner: dict[Path, str] = {}
        for level, path in files.items():
            if owner.setdefault(path, level) != level:
                raise InputError(
                    f"{owner[path]} and {level} are the same file, {path.name}",
                    fix="give one file for each level, one vertebra in each",
                )
        return files


class MeshInput(_BodyDensity):
    """A volume mesh made elsewhere, its cell data as regions and density."""

    kind: Literal["mesh"]
    file: Path
    axes: str
    unit: Literal["mm", "cm", "m"]
    region_key: str | None = None
    regions: dict[str, int | str | tuple[int | str, ...]] = Field(default_factory=dict)
    density_key: str | None = None
    density_unit: Literal["g/cm3", "mg/cm3"] = "g/cm3"

    @model_validator(mode="after")
    def _regions_of_the_key(self) -> MeshInput:
        if self.region_key is not None and not self.regions:
            raise InputError(
                f"region_key = {self.region_key!r} names an array, and nothing says what its numbers mean",
                fix='give regions, like {"L1/trabecular" = 1, "L1-L2/annulus" = [5, 6]}, or leave region_key out',
            )
        return self


Input = Annotated[CtInput | SyntheticInput | ParametricInput | SurfacesInput | MeshInput, Field(discriminator="kind")]
"""Whatever `[input]` may be."""
