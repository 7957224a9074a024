"""The study file: every key with its unit, default and limits, and one clear message for each mistake."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fesolver.anatomy.levels import LEVELS, sort_levels
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError

__all__ = [
    "SCHEMA",
    "BoneConfig",
    "CalibrationConfig",
    "CtInput",
    "DiscConfig",
    "LoadConfig",
    "MaterialsConfig",
    "OutcomesConfig",
    "OutputConfig",
    "SegmentConfig",
    "SolverConfig",
    "StudyConfig",
    "SyntheticInput",
    "TreatmentConfig",
    "config_hash",
    "load_study",
    "study_from_dict",
]

SCHEMA = 1
"""Version of the study file and of results; a newer one is refused."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Poisson = Annotated[float, Field(gt=-1, lt=0.5)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class _Table(BaseModel):
    """A table of the study file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


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
            raise ValueError("give either t_score or density_g_cm3")
        return self


class TissueConfig(_Table):
    """One internal tissue of known density: a box in mm, or values of the label volume."""

    tissue: str
    box_mm: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
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
    assumed: bool = False
    source: str = ""
    rods_hu: tuple[float, ...] | None = None
    rods_g_cm3: tuple[float, ...] | None = None
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
            raise ValueError(f"method {self.method!r} needs {' and '.join(missing)}")
        return self


class SegmentConfig(_Table):
    """Which levels, on which cells."""

    levels: tuple[str, ...] = Field(min_length=1)
    spacing_mm: Annotated[float, Field(ge=0.05, le=5.0)] = 1.0
    posterior_elements: bool = False
    shell: Literal["layers", "from_ct"] = "layers"
    cortical_thickness_mm: Positive = 0.35
    endplate_thickness_mm: Positive = 0.35
    nucleus_area_fraction: Fraction = 0.40

    @field_validator("levels")
    @classmethod
    def _known_and_contiguous(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        ordered = sort_levels(levels)
        if len(set(ordered)) != len(ordered):
            raise ValueError("a level is listed twice")
        at = [LEVELS.index(level) for level in ordered]
        if at != list(range(at[0], at[0] + len(at))):
            raise ValueError(f"levels must follow one another, got {', '.join(ordered)}")
        return ordered


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
    fibres: bool = True
    degeneration: dict[str, str] = Field(default_factory=dict)


class TreatmentConfig(_Table):
    """Cement augmentation of one vertebra."""

    kind: Literal["vertebroplasty"] = "vertebroplasty"
    level: str
    volume_ml: NotNegative = 6.0
    approach: Literal["bipedicular", "unipedicular_left", "unipedicular_right", "point"] = "bipedicular"
    center_mm: tuple[float, float, float] | None = None
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
            raise ValueError("control = 'displacement' needs displacement_mm")
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

    method: Literal["auto", "voxel-multigrid", "amg", "direct"] = "auto"
    rtol: Annotated[float, Field(gt=0, le=1e-4)] = 1e-8
    floor: Literal["solver", "spacing"] = "solver"
    floor_spacing_factor: Annotated[float, Field(gt=1, le=3)] = 1.5


class OutputConfig(_Table):
    """What to keep."""

    fields: Literal["all", "first", "none"] = "first"


class StudyConfig(_Table):
    """A whole study: one base model and, with `sweep`, a full grid of cases."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: str = ""
    input: Annotated[CtInput | SyntheticInput, Field(discriminator="kind")]
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
    sweep: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> StudyConfig:
        if self.treatment is not None and self.treatment.level not in self.segment.levels:
            known = ", ".join(self.segment.levels)
            raise ValueError(f"treatment.level {self.treatment.level!r} is not one of segment.levels: {known}")
        discs = [f"{a}-{b}" for a, b in zip(self.segment.levels, self.segment.levels[1:], strict=False)]
        for name in self.disc.degeneration:
            if name not in discs:
                raise ValueError(f"disc.degeneration names {name!r}; the discs are {', '.join(discs) or 'none'}")
        return self


def config_hash(config: StudyConfig, *, without: tuple[str, ...] = ()) -> str:
    """SHA-256 of the resolved configuration as canonical JSON, top-level tables in `without` left out."""
    data = config.model_dump(mode="json", by_alias=True)
    for key in without:
        data.pop(key, None)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def load_study(path: str | Path) -> StudyConfig:
    """Read and check a study file.

    Parameters
    ----------
    path : path
        TOML file; relative paths in it are relative to it, `${NAME}` expands from the environment.

    Returns
    -------
    StudyConfig

    Raises
    ------
    InputError
        If the file is missing, is not TOML, is of a newer schema, or a key is unknown, missing or out of range.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"study file {path} does not exist", fix="give the path of a .toml study file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}", where=str(path)) from None
    return study_from_dict(data, source=str(path), base=path.resolve().parent)


def study_from_dict(data: dict[str, Any], *, source: str = "study", base: Path | None = None) -> StudyConfig:
    """Check a study given as nested dictionaries, as `load_study` does for a file."""
    version = data.get("schema", SCHEMA)
    if not isinstance(version, int) or version > SCHEMA:
        raise InputError(
            f"schema = {version!r} is newer than this version reads (schema {SCHEMA})",
            where=source, fix="update fesolver",
        )  # fmt: skip
    data = _expand(data, source, base or Path.cwd(), ())
    if isinstance(data.get("sweep"), dict):
        data["sweep"] = _flatten(data["sweep"], source)
    try:
        config = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise _translated(error, source, data) from None
    except InputError as error:
        raise InputError(
            error.what, where=f"{source}: {error.where}" if error.where else source, fix=error.fix
        ) from None
    for key, values in config.sweep.items():
        if not values:
            raise InputError(f"sweep key {key!r} has no values", where=source)
        for value in values:
            with_value(config, {key: value}, source=source)
    return config


def with_value(config: StudyConfig, values: dict[str, float], *, source: str = "sweep") -> StudyConfig:
    """The same study with some numeric keys (dotted) set; raises `InputError` where one does not exist."""
    data = config.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        *tables, leaf = key.split(".")
        node: Any = data
        for table in tables:
            node = node.get(table) if isinstance(node, dict) else None
        if not isinstance(node, dict) or leaf not in node:
            known = list(_numeric_keys(data))
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"numeric keys: {', '.join(known)}"
            raise InputError(f"sweep key {key!r} is not a key of this study", where=f"{source}: [sweep]", fix=hint)
        if isinstance(node[leaf], bool | str | list | dict):
            raise InputError(f"sweep key {key!r} is not a number", where=f"{source}: [sweep]")
        node[leaf] = value
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise _translated(error, f"{source}: [sweep] {values}", data) from None


def _numeric_keys(data: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the keys that hold a number."""
    out: list[str] = []
    for key, value in data.items():
        if key in ("sweep", "schema"):
            continue
        if isinstance(value, dict):
            out += _numeric_keys(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            out.append(prefix + key)
    return out


def _expand(node: Any, source: str, base: Path, keys: tuple[str, ...]) -> Any:
    """Expand ${NAME} in strings and make the known path keys absolute."""
    if isinstance(node, dict):
        return {key: _expand(value, source, base, (*keys, key)) for key, value in node.items()}
    if not isinstance(node, str):
        return node

    def replace(match: re.Match[str]) -> str:
        value = os.environ.get(match.group(1))
        if value is None:
            raise InputError(
                f"environment variable {match.group(1)} is not set",
                where=f"{source}: {'.'.join(keys)}",
                fix=_missing_variable_hint(match.group(1)),
            )
        return value

    text = re.sub(r"\$\{(\w+)\}", replace, node)
    is_path = keys[:1] == ("input",) and keys[-1] in ("ct", "labels", "subregions", "cement_label", "implant_label")
    return str((base / text).absolute()) if is_path else text


def _missing_variable_hint(name: str) -> str:
    """What to do about an environment variable; for the data folder, where the data is published."""
    if name != "FESOLVER_DATA":
        return f"set {name}"
    return (
        "set FESOLVER_DATA to a folder with ct_lumbar_3mm/ and ct_L3_1p5mm/; the scans are published with "
        "wasserth/TotalSegmentator (tests/reference_files/example_ct.nii.gz and its labels) and Hendrik-code/TPTBox "
        "(TPTBox/tests/sample_ct) on GitHub; studies/README.md says how to lay them out"
    )


def _flatten(node: dict[str, Any], source: str, prefix: str = "") -> dict[str, Any]:
    """Nested sweep tables to dotted keys."""
    out: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            out |= _flatten(value, source, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out


def _translated(error: ValidationError, source: str, data: dict[str, Any]) -> InputError:
    """The first mistake of a pydantic report as one message: what, where, what to do; the rest are counted."""
    first = error.errors()[0]
    keys = [str(k) for k in first["loc"] if k not in ("ct", "synthetic") or first["loc"][0] != "input"]
    if first["loc"] and first["loc"][-1] in ("ct", "synthetic") and len(first["loc"]) > 2:
        keys.append(str(first["loc"][-1]))
    key = ".".join(keys)
    what, fix = first["msg"].removeprefix("Value error, "), None
    if first["type"] == "extra_forbidden":
        what = f"unknown key {key!r}"
        known = _known_keys(first["loc"][:-1])
        close = difflib.get_close_matches(str(keys[-1]), known, n=1, cutoff=0.5)
        fix = f"did you mean {close[0]!r}? (units are part of the name)" if close else f"known keys: {', '.join(known)}"
    elif first["type"] == "missing":
        what, fix = f"key {key!r} is missing", "add it"
    elif "input" in first and not isinstance(first["input"], dict):
        what = f"{key} = {first['input']!r}: {what}"
    more = error.error_count() - 1
    where = f"{source}: {key}" if key else source
    return InputError(what + (f" (and {more} more)" if more else ""), where=where, fix=fix)


def _known_keys(loc: tuple[Any, ...]) -> list[str]:
    """Keys of the table at a location of the model."""
    model: Any = StudyConfig
    for step in loc:
        if model is StudyConfig and step == "input":
            model = None
        elif model is None:
            model = CtInput if step == "ct" else SyntheticInput
        elif isinstance(step, int):
            model = TissueConfig
        else:
            annotation = model.model_fields[step].annotation
            options = [a for a in getattr(annotation, "__args__", (annotation,)) if isinstance(a, type)]
            model = next((a for a in options if issubclass(a, BaseModel)), StudyConfig)
    fields = (model or StudyConfig).model_fields
    return [field.alias or name for name, field in fields.items()]
