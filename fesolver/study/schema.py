"""The tables of a study file: every key with its unit, default and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

from fesolver.anatomy.dimensions import LEVELS_WITH_DIMENSIONS
from fesolver.anatomy.levels import LEVELS, sort_levels
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError

__all__ = [
    "SCHEMA",
    "BoneConfig",
    "CalibrationConfig",
    "CtInput",
    "DiscConfig",
    "FractureConfig",
    "LoadConfig",
    "MaterialsConfig",
    "MeshRecipe",
    "OutcomesConfig",
    "OutputConfig",
    "ParametricInput",
    "RecipeTable",
    "SegmentConfig",
    "SolverConfig",
    "StudyConfig",
    "SyntheticInput",
    "TissueConfig",
    "TreatmentConfig",
]

SCHEMA = 1
"""Version of the study file and of results; a newer one is refused."""

Number = Annotated[float, Strict()]  # a text is no number, and true is not 1
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Number, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[Number, Field(allow_inf_nan=False)]
Poisson = Annotated[Number, Field(gt=-1, lt=0.5)]
Fraction = Annotated[Number, Field(gt=0, lt=1)]
Flag = Annotated[bool, Strict()]


class _Table(BaseModel):
    """A table of the study file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _ordered_levels(levels: tuple[str, ...]) -> tuple[str, ...]:
    """Levels cranial first; refuses what is unknown, listed twice or not consecutive."""
    ordered = sort_levels(levels)
    if len(set(ordered)) != len(ordered):
        raise InputError("a level is listed twice", fix="name each level once")
    at = [LEVELS.index(level) for level in ordered]
    if at != list(range(at[0], at[0] + len(at))):
        raise InputError(
            f"levels must follow one another, got {', '.join(ordered)}",
            fix=f"use all of {', '.join(LEVELS[at[0] : at[-1] + 1])}",
        )
    return ordered


class CtInput(_Table):
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


class SyntheticInput(_Table):
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


class FractureConfig(_Table):
    """A fractured body: a kind and a Genant grade, or height losses."""

    kind: Literal["wedge", "biconcave", "crush"] | None = None
    grade: Annotated[int, Field(ge=1, le=3)] | None = None
    anterior_loss_percent: NotNegative | None = None
    middle_loss_percent: NotNegative | None = None
    posterior_loss_percent: NotNegative | None = None
    density_change: Literal["mass_kept", "none"] | Positive = "mass_kept"


class RecipeTable(_Table):
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


class ParametricInput(RecipeTable):
    """A parametric segment on a structured mesh."""

    kind: Literal["parametric"]

    @model_validator(mode="after")
    def _some_density(self) -> ParametricInput:
        if self.t_score is None and self.density_g_cm3 is None and not self.compartments_g_cm3:
            raise InputError("the segment has no density", fix="give t_score, density_g_cm3 or compartments_g_cm3")
        return self


class MeshRecipe(RecipeTable):
    """A mesh recipe file: a segment and how finely it is meshed."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: str = ""
    levels: tuple[str, ...] = Field(min_length=1)
    refinement: Annotated[Number, Field(gt=0, le=16, allow_inf_nan=False)] = 1.0
    element: Literal["hex8", "hex20"] = "hex8"
    layer_cells: Annotated[int, Field(ge=1, le=8)] = 1
    degeneration: dict[str, str] = Field(default_factory=dict)

    @field_validator("levels")
    @classmethod
    def _known_and_contiguous(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [level for level in levels if level not in LEVELS_WITH_DIMENSIONS]
        if unknown:
            raise InputError(
                f"there are no dimensions for {', '.join(map(repr, unknown))}",
                fix=f"use {', '.join(LEVELS_WITH_DIMENSIONS)}",
            )
        return _ordered_levels(levels)


class TissueConfig(_Table):
    """One internal tissue of known density: a box in mm, or values of the label volume."""

    tissue: str
    box_mm: tuple[tuple[Finite, Finite, Finite], tuple[Finite, Finite, Finite]] | None = None
    label_values: tuple[int, ...] = ()
    density_g_cm3: Finite | None = None
    source: str = ""


class CalibrationConfig(_Table):
    """From HU to density."""

    method: Literal["slope", "phantom", "tissues", "calibrated"]
    density_kind: DensityKind = "rho_qct"
    slope_g_cm3_per_hu: Positive | None = None
    intercept_g_cm3: Finite = 0.0
    slope_factor: Positive = 1.0
    assumed: Flag = False
    source: str = ""
    rods_hu: tuple[Finite, ...] | None = None
    rods_g_cm3: tuple[Finite, ...] | None = None
    tissues: tuple[TissueConfig, ...] | None = None
    unit: Literal["g/cm3", "mg/cm3"] = "g/cm3"

    @model_validator(mode="after")
    def _complete(self) -> CalibrationConfig:
        needed = {
            "slope": ("slope_g_cm3_per_hu",),
            "phantom": ("rods_hu", "rods_g_cm3"),
            "tissues": ("tissues",),
            "calibrated": (),
        }[self.method]
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            raise InputError(f"method {self.method!r} needs {' and '.join(missing)}", fix="add to [calibration]")
        return self


class SegmentConfig(_Table):
    """Which levels, on which cells.

    Spacing, posterior elements and shell are of voxel meshes; refinement, element and layer cells of structured ones.
    Thicknesses and nucleus are of both: 0.35 mm and 40 % by default, or the recipe's own.
    """

    levels: tuple[str, ...] = Field(min_length=1)
    spacing_mm: Annotated[Number, Field(ge=0.05, le=5.0)] = 1.0
    posterior_elements: Flag = False
    shell: Literal["layers", "from_ct"] = "layers"
    cortical_thickness_mm: Positive | None = None
    endplate_thickness_mm: Positive | None = None
    nucleus_area_fraction: Fraction | None = None
    refinement: Annotated[Number, Field(gt=0, le=16)] = 1.0
    element: Literal["hex8", "hex20"] = "hex8"
    layer_cells: Annotated[int, Field(ge=1, le=8)] = 1

    @field_validator("levels")
    @classmethod
    def _known_and_contiguous(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        return _ordered_levels(levels)


class BoneConfig(_Table):
    """From density to stiffness."""

    law: str = "kopperdahl2002_power"
    poisson: Poisson = 0.3
    density_scale: Positive = 1.0
    density_offset_g_cm3: Finite = 0.0
    convert: tuple[str, ...] = ()
    strain_rate_per_s: Positive = 0.01
    floor_mpa: Positive | None = None
    custom_intercept_mpa: Finite = 0.0
    custom_coefficient_mpa: Positive | None = None
    custom_exponent: Positive | None = None
    custom_kind: DensityKind = "rho_qct"


class MaterialsConfig(_Table):
    """Isotropic materials apart from trabecular bone and discs."""

    cortical_young_mpa: Positive = 8040.0
    cortical_poisson: Poisson = 0.3
    endplate_young_mpa: Positive = 670.0
    endplate_poisson: Poisson = 0.3
    cement_young_mpa: Positive = 2000.0
    cement_poisson: Poisson = 0.3
    implant_young_mpa: Positive = 110000.0
    implant_poisson: Poisson = 0.3


class DiscConfig(_Table):
    """Intervertebral discs."""

    annulus_young_mpa: Positive = 4.2
    annulus_poisson: Poisson = 0.45
    nucleus_young_mpa: Positive = 1.0
    nucleus_poisson: Poisson = 0.499
    nucleus: Literal["solid", "fluid"] = "solid"
    nucleus_bulk_modulus_mpa: Positive = 1666.7
    fibres: Flag = True
    fibre_layers: Flag | None = None
    degeneration: dict[str, str] = Field(default_factory=dict)


class TreatmentConfig(_Table):
    """Cement augmentation of one vertebra."""

    kind: Literal["vertebroplasty"] = "vertebroplasty"
    level: str
    volume_ml: NotNegative = 6.0
    approach: Literal["bipedicular", "unipedicular_left", "unipedicular_right", "point"] = "bipedicular"
    center_mm: tuple[Finite, Finite, Finite] | None = None
    center_frame: Literal["body", "segment", "scanner"] = "body"
    lateral_fraction: Fraction = 0.25
    depth_fraction: Fraction = 1.0 / 3.0
    axial_stretch: Positive = 1.0


class LoadConfig(_Table):
    """Compression between pads."""

    control: Literal["force", "displacement"] = "force"
    force_n: Positive = 500.0
    displacement_mm: Positive | None = None
    top: Literal["fixed", "tilt", "free"] = "tilt"
    offset_anterior_mm: Finite = 0.0

    @model_validator(mode="after")
    def _displacement(self) -> LoadConfig:
        if self.control == "displacement" and self.displacement_mm is None:
            raise InputError("control = 'displacement' needs displacement_mm", fix="add it to [load]")
        return self


class OutcomesConfig(_Table):
    """Depths, strains and fractions that outcomes are defined by."""

    endplate_depth_mm: Positive = 2.0
    bulge_center_area_fraction: Fraction = 0.10
    bulge_rim_mm: Positive = 3.0
    yield_strain_compression: Fraction = 0.0077
    yield_strain_tension: Fraction = 0.0070
    yielded_volume_fraction: Fraction = 0.02
    strength_coefficient: Positive = 0.0068


class SolverConfig(_Table):
    """How tightly to solve, and against what a change is judged."""

    method: Literal["auto", "voxel-multigrid", "amg", "pyamg", "direct"] = "auto"
    rtol: Annotated[Number, Field(ge=1e-13, le=1e-4)] = 1e-8
    floor: Literal["solver", "spacing"] = "solver"
    floor_spacing_factor: Annotated[Number, Field(gt=1, le=3)] = 1.5


class OutputConfig(_Table):
    """What to keep."""

    fields: Literal["all", "first", "none"] = "first"


class StudyConfig(_Table):
    """A whole study: one base model and, with `sweep`, a full grid of cases."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: str = ""
    input: Annotated[CtInput | SyntheticInput | ParametricInput, Field(discriminator="kind")]
    calibration: CalibrationConfig | None = None
    segment: SegmentConfig
    bone: BoneConfig = BoneConfig()
    materials: MaterialsConfig = MaterialsConfig()
    disc: DiscConfig = DiscConfig()
    treatment: TreatmentConfig | None = None
    load: LoadConfig = LoadConfig()
    outcomes: OutcomesConfig = OutcomesConfig()
    solver: SolverConfig = SolverConfig()
    output: OutputConfig = OutputConfig()
    sweep: dict[str, tuple[Finite, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> StudyConfig:
        if self.treatment is not None and self.treatment.level not in self.segment.levels:
            known = ", ".join(self.segment.levels)
            raise InputError(
                f"treatment.level {self.treatment.level!r} is not one of segment.levels: {known}",
                fix="treat one of them, or add the level to segment.levels",
            )
        if self.disc.nucleus == "fluid" and not isinstance(self.input, ParametricInput):
            raise InputError(
                "a fluid nucleus needs a mesh whose cells follow it", where="disc.nucleus",
                fix="use input.kind = 'parametric', or nucleus = 'solid'",
            )  # fmt: skip
        if self.disc.fibre_layers and not isinstance(self.input, ParametricInput):
            raise InputError(
                "fibre layers need a mesh whose cells follow them", where="disc.fibre_layers",
                fix="use input.kind = 'parametric', or leave it out",
            )  # fmt: skip
        discs = [f"{a}-{b}" for a, b in zip(self.segment.levels, self.segment.levels[1:], strict=False)]
        for name in self.disc.degeneration:
            if name not in discs:
                raise InputError(
                    f"disc.degeneration names {name!r}; the discs are {', '.join(discs) or 'none'}",
                    fix="name a disc of this segment, upper level first",
                )
        return self
