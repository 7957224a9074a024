"""The tables of a study file: every key with its unit, default and limits."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from fesolver.anatomy.dimensions import LEVELS_WITH_DIMENSIONS
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.study.schema_design import ClusterTable, DesignTable, FactorTable
from fesolver.study.schema_inputs import (
    CohortTable,
    CtInput,
    FractureConfig,
    Input,
    MeshInput,
    ParametricInput,
    RecipeTable,
    SurfacesInput,
    SyntheticInput,
)
from fesolver.study.tables_base import (
    Finite,
    Flag,
    Fraction,
    NotNegative,
    Number,
    Poisson,
    Positive,
    Table,
    ordered_levels,
)

__all__ = [
    "SCHEMA",
    "BoneConfig",
    "CalibrationConfig",
    "CohortTable",
    "ConnectionsConfig",
    "CtInput",
    "DiscConfig",
    "FractureConfig",
    "LoadConfig",
    "MaterialsConfig",
    "MeshInput",
    "MeshKind",
    "MeshRecipe",
    "OutcomesConfig",
    "OutputConfig",
    "ParametricInput",
    "RecipeTable",
    "SegmentConfig",
    "SolverConfig",
    "StudyConfig",
    "SurfacesInput",
    "SyntheticInput",
    "TissueConfig",
    "TreatmentConfig",
]

SCHEMA = 1
"""Version of the study file and of results; a newer one is refused."""


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
        return ordered_levels(levels)


class TissueConfig(Table):
    """One internal tissue of known density: a box in mm, or values of the label volume."""

    tissue: str
    box_mm: tuple[tuple[Finite, Finite, Finite], tuple[Finite, Finite, Finite]] | None = None
    label_values: tuple[int, ...] = ()
    density_g_cm3: Finite | None = None
    source: str = ""


class CalibrationConfig(Table):
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


class SegmentConfig(Table):
    """Which levels, on which cells.

    Spacing and shell are of voxel meshes; refinement and layer cells of structured ones; sizes of tetrahedra, half as
    large again inside by default. Element is hex8 or hex20 on structured meshes, tet10 or tet4 on tetrahedra; there
    shell and endplates are fractions of cells, or layers of cells of their own.
    Thicknesses and nucleus are of all: 0.35 mm and 40 % by default, or the recipe's own.
    """

    levels: tuple[str, ...] = Field(min_length=1)
    cells: Literal["voxels", "hexahedra", "tetrahedra"] | None = None
    size_mm: Annotated[Number, Field(ge=0.3, le=6.0)] = 2.0
    size_inside_mm: Annotated[Number, Field(ge=0.3, le=10.0)] = 3.0
    spacing_mm: Annotated[Number, Field(ge=0.05, le=5.0)] = 1.0
    posterior_elements: Flag | None = None
    shell: Literal["layers", "from_ct"] = "layers"
    cortical_thickness_mm: Positive | None = None
    endplate_thickness_mm: Positive | None = None
    nucleus_area_fraction: Fraction | None = None
    refinement: Annotated[Number, Field(gt=0, le=16)] = 1.0
    element: Literal["hex8", "hex20", "tet4", "tet10"] | None = None
    layer_cells: Annotated[int, Field(ge=1, le=8)] = 1
    layers: Literal["conforming", "fractions"] = "conforming"

    @field_validator("levels")
    @classmethod
    def _known_and_contiguous(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        return ordered_levels(levels)

    @model_validator(mode="before")
    @classmethod
    def _larger_inside(cls, table: Any) -> Any:
        size = table.get("size_mm") if isinstance(table, dict) else None
        if isinstance(size, int | float) and "size_inside_mm" not in table and math.isfinite(size):
            return {**table, "size_inside_mm": min(max(1.5 * size, 0.3), 10.0)}  # size_mm has its own, narrower, limits
        return table

    @model_validator(mode="after")
    def _not_smaller_inside(self) -> SegmentConfig:
        if self.size_inside_mm < self.size_mm:
            raise InputError(
                f"size_inside_mm = {self.size_inside_mm:g} is smaller than size_mm = {self.size_mm:g}",
                fix="give as much or more inside, or leave size_inside_mm out: it is then 1.5 times size_mm",
            )
        return self


class BoneConfig(Table):
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


class MaterialsConfig(Table):
    """Isotropic materials apart from trabecular bone and discs."""

    cortical_young_mpa: Positive = 8040.0
    cortical_poisson: Poisson = 0.3
    endplate_young_mpa: Positive = 670.0
    endplate_poisson: Poisson = 0.3
    cement_young_mpa: Positive = 2000.0
    cement_poisson: Poisson = 0.3
    implant_young_mpa: Positive = 110000.0
    implant_poisson: Poisson = 0.3


class DiscConfig(Table):
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
    unpublished_grades: Literal["refuse", "interpolate", "healthy"] = "refuse"


class TreatmentConfig(Table):
    """Cement augmentation of one vertebra: so many ml, 6 by default, or a fraction of the body's volume."""

    kind: Literal["vertebroplasty"] = "vertebroplasty"
    level: str
    volume_ml: NotNegative | None = None
    fill_fraction: Annotated[Number, Field(ge=0, lt=1)] | None = None
    approach: Literal["bipedicular", "unipedicular_left", "unipedicular_right", "point"] = "bipedicular"
    center_mm: tuple[Finite, Finite, Finite] | None = None
    center_frame: Literal["body", "segment", "scanner"] = "body"
    lateral_fraction: Fraction = 0.25
    depth_fraction: Fraction = 1.0 / 3.0
    axial_stretch: Positive = 1.0

    @model_validator(mode="before")
    @classmethod
    def _one_amount(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        given = [key for key in ("volume_ml", "fill_fraction") if table.get(key) is not None]
        if len(given) == 2:
            raise InputError("give either volume_ml or fill_fraction", fix="one of them, not both")
        return table if given else {**table, "volume_ml": 6.0}


class LoadConfig(Table):
    """Compression between pads, moments on the upper one, a follower load."""

    control: Literal["force", "displacement"] = "force"
    force_n: NotNegative = 500.0
    displacement_mm: Positive | None = None
    top: Literal["fixed", "tilt", "free"] = "tilt"
    offset_anterior_mm: Finite = 0.0
    flexion_nm: Finite = 0.0
    lateral_bending_nm: Finite = 0.0
    axial_rotation_nm: Finite = 0.0
    follower_n: NotNegative = 0.0

    @model_validator(mode="after")
    def _displacement(self) -> LoadConfig:
        if self.control == "displacement" and self.displacement_mm is None:
            raise InputError("control = 'displacement' needs displacement_mm", fix="add it to [load]")
        return self


class ConnectionsConfig(Table):
    """The soft connections of the segment: ligaments, facet joints, fibres as elements of their own."""

    ligaments: Flag | tuple[str, ...] = False
    ligament_laws: Literal["bilinear", "bilinear_larger", "springs", "springs_moduli"] = "bilinear"
    prestrain: Finite | dict[str, Finite] = 0.0
    facets: Flag = False
    facet_gap_mm: Finite | dict[str, Finite] | None = None
    facet_dimensions: dict[str, dict[str, Finite]] = Field(default_factory=dict)
    facet_cartilage_young_mpa: Positive | None = None
    facet_points: Annotated[int, Field(ge=1, le=12)] = 4
    fibres: Literal["homogenised", "elements"] = "homogenised"

    @field_validator("ligaments", mode="before")
    @classmethod
    def _flag_or_names(cls, value: Any) -> Any:
        is_list = isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(name, str) for name in value)
        if isinstance(value, bool) or is_list:
            return value
        raise InputError(
            "ligaments are all of them, none, or a list of names",
            fix='give true, false, or a list such as ["supraspinous", "interspinous"]',
        )

    @field_validator("prestrain", "facet_gap_mm", mode="before")
    @classmethod
    def _number_or_table(cls, value: Any) -> Any:
        numbers = list(value.values()) if isinstance(value, dict) else [value]
        is_number = [isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers]
        if value is None or (numbers and all(is_number)):
            return value
        raise InputError("a number, or a table of numbers by name, is needed", fix="give a number without its unit")

    @model_validator(mode="after")
    def _nothing_idle(self) -> ConnectionsConfig:
        idle = {
            "prestrain": not self.ligaments,
            "ligament_laws": not self.ligaments,
            "facet_gap_mm": not self.facets,
            "facet_cartilage_young_mpa": not self.facets,
            "facet_points": not self.facets,
            "facet_dimensions": not (self.facets or self.ligaments),
        }
        for key, is_idle in idle.items():
            given = getattr(self, key)
            if is_idle and given and given != type(self).model_fields[key].default:
                of = "ligaments" if key in ("prestrain", "ligament_laws") else "facets"
                raise InputError(
                    f"{key} means nothing without {of}", where=f"connections.{key}",
                    fix=f"set connections.{of} = true, or leave it out",
                )  # fmt: skip
        return self

    @property
    def is_used(self) -> bool:
        """Whether the problem has any connection."""
        return bool(self.ligaments) or self.facets or self.fibres == "elements"


class OutcomesConfig(Table):
    """Depths, strains and fractions that outcomes are defined by."""

    endplate_depth_mm: Positive = 2.0
    bulge_center_area_fraction: Fraction = 0.10
    bulge_rim_mm: Positive = 3.0
    yield_strain_compression: Fraction = 0.0077
    yield_strain_tension: Fraction = 0.0070
    yielded_volume_fraction: Fraction = 0.02
    strength_coefficient: Positive = 0.0068


class SolverConfig(Table):
    """How tightly to solve, and against what a change is judged."""

    method: Literal["auto", "voxel-multigrid", "amg", "pyamg", "direct"] = "auto"
    rtol: Annotated[Number, Field(ge=1e-13, le=1e-4)] = 1e-8
    floor: Literal["solver", "spacing"] = "solver"
    floor_spacing_factor: Annotated[Number, Field(gt=1, le=3)] = 1.5


class OutputConfig(Table):
    """What to keep."""

    fields: Literal["all", "first", "none"] = "first"
    records: Literal["all", "first", "none"] = "all"
    outcomes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None


MeshKind = Literal["voxel", "structured", "tetrahedral", "foreign"]

_CELLS: dict[str, tuple[str, ...]] = {
    "ct": ("voxels", "tetrahedra"),
    "synthetic": ("voxels", "tetrahedra"),
    "parametric": ("hexahedra", "tetrahedra"),
    "surfaces": ("tetrahedra",),
    "mesh": (),
}
"""Kind of input -> cells it can be meshed with, the default first."""

_KIND_OF_CELLS: dict[str, MeshKind] = {"voxels": "voxel", "hexahedra": "structured", "tetrahedra": "tetrahedral"}
_ELEMENTS: dict[MeshKind, tuple[str, ...]] = {
    "voxel": ("hex8",), "structured": ("hex8", "hex20"), "tetrahedral": ("tet10", "tet4"), "foreign": (),
}  # fmt: skip


class StudyConfig(Table):
    """A whole study: one base model and, with `sweep`, a full grid of cases."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: str = ""
    input: Input
    calibration: CalibrationConfig | None = None
    segment: SegmentConfig
    bone: BoneConfig = BoneConfig()
    materials: MaterialsConfig = MaterialsConfig()
    disc: DiscConfig = DiscConfig()
    treatment: TreatmentConfig | None = None
    connections: ConnectionsConfig = ConnectionsConfig()
    load: LoadConfig = LoadConfig()
    outcomes: OutcomesConfig = OutcomesConfig()
    solver: SolverConfig = SolverConfig()
    output: OutputConfig = OutputConfig()
    sweep: dict[str, tuple[Finite, ...]] = Field(default_factory=dict)
    factors: dict[str, FactorTable] = Field(default_factory=dict)
    design: DesignTable | None = None
    cluster: ClusterTable | None = None

    @property
    def mesh_kind(self) -> MeshKind:
        """What the segment is meshed with."""
        if isinstance(self.input, MeshInput):
            return "foreign"
        return _KIND_OF_CELLS[self.segment.cells or _CELLS[self.input.kind][0]]

    @property
    def element(self) -> str:
        """Element of the mesh, that asked for or the kind's default; empty for a mesh made elsewhere."""
        return self.segment.element or (_ELEMENTS[self.mesh_kind] or ("",))[0]

    @model_validator(mode="after")
    def _fits_its_mesh(self) -> StudyConfig:
        possible = _CELLS[self.input.kind]
        if self.segment.cells is not None and self.segment.cells not in possible:
            use = f"use {' or '.join(possible)}" if possible else "leave it out: the mesh has its cells"
            raise InputError(
                f"input.kind = {self.input.kind!r} is not meshed with {self.segment.cells}", where="segment.cells",
                fix=use,
            )  # fmt: skip
        elements = _ELEMENTS[self.mesh_kind]
        if self.segment.element is not None and self.segment.element not in elements:
            raise InputError(
                f"a {self.mesh_kind} mesh has no {self.segment.element}", where="segment.element",
                fix=f"use {' or '.join(elements)}" if elements else "leave it out: the mesh has its elements",
            )  # fmt: skip
        if self.mesh_kind == "tetrahedral" and isinstance(self.input, CtInput):
            for key in ("cement_label", "implant_label"):
                if getattr(self.input, key) is not None:
                    raise InputError(
                        "cement and metal from label volumes are not mapped onto tetrahedra", where=f"input.{key}",
                        fix="use segment.cells = 'voxels', or leave the label out",
                    )  # fmt: skip
        if self.mesh_kind == "foreign" and self.solver.floor == "spacing":
            raise InputError(
                "a mesh made elsewhere has one size: there is no coarser pair to solve", where="solver.floor",
                fix="use floor = 'solver'; mesh it coarser and run a study of its own to see what the mesh does",
            )  # fmt: skip
        if self.mesh_kind == "tetrahedral" and self.segment.layers == "fractions" and self.segment.layer_cells != 1:
            raise InputError(
                "layer_cells means nothing where layers are fractions of cells", where="segment.layer_cells",
                fix="set segment.layers = 'conforming', or leave it out",
            )  # fmt: skip
        if isinstance(self.input, SurfacesInput) and set(self.input.files) != set(self.segment.levels):
            raise InputError(
                f"input.files has {', '.join(self.input.files)}, segment.levels {', '.join(self.segment.levels)}",
                fix="give one file for each level of the segment",
            )
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> StudyConfig:
        if self.treatment is not None and self.treatment.level not in self.segment.levels:
            known = ", ".join(self.segment.levels)
            raise InputError(
                f"treatment.level {self.treatment.level!r} is not one of segment.levels: {known}",
                fix="treat one of them, or add the level to segment.levels",
            )
        if self.disc.nucleus == "fluid" and self.mesh_kind != "structured":
            raise InputError(
                "a fluid nucleus needs a mesh whose cells follow it", where="disc.nucleus",
                fix="use input.kind = 'parametric' on hexahedra, or nucleus = 'solid'",
            )  # fmt: skip
        if self.disc.fibre_layers and self.mesh_kind not in ("structured", "tetrahedral"):
            raise InputError(
                "fibre layers need a mesh whose cells follow them", where="disc.fibre_layers",
                fix="use input.kind = 'parametric', or leave it out",
            )  # fmt: skip
        if self.connections.facet_dimensions and isinstance(self.input, SurfacesInput):
            raise InputError(
                "surfaces have facets of their own, where their triangles face each other",
                where="connections.facet_dimensions", fix="leave it out; connections.facet_gap_mm sets their gaps",
            )  # fmt: skip
        if self.connections.fibres == "elements" and not self.disc.fibres:
            raise InputError(
                "there are no fibres to make elements of", where="connections.fibres",
                fix="set disc.fibres = true, or leave connections.fibres out",
            )  # fmt: skip
        discs = [f"{a}-{b}" for a, b in zip(self.segment.levels, self.segment.levels[1:], strict=False)]
        for name in self.disc.degeneration:
            if name not in discs:
                raise InputError(
                    f"disc.degeneration names {name!r}; the discs are {', '.join(discs) or 'none'}",
                    fix="name a disc of this segment, upper level first",
                )
        return self
