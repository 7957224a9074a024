"""From tables of a study or a recipe file to a parametric segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fesolver.anatomy.density_fields import CompartmentDensity, DensityField, PatternedDensity, UniformDensity
from fesolver.anatomy.fractures import Fracture
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.anatomy.t_score import density_from_t_score, t_score_density
from fesolver.bone.degeneration import disc_geometry
from fesolver.errors import InputError
from fesolver.study.messages import as_input_error
from fesolver.study.schema import SCHEMA, FractureConfig, MeshRecipe, RecipeTable
from fesolver.study.toml_file import read_toml

__all__ = ["build_recipe", "density_text", "load_recipe", "recipe_from_dict"]

_DEFAULT_T_SCORE = -3.0
"""Of a mesh recipe that gives no density."""


def build_recipe(
    table: RecipeTable, levels: tuple[str, ...], degeneration: Mapping[str, str], *, where: str = "[input]"
) -> SpineRecipe:
    """The segment that a table describes.

    Raises
    ------
    InputError
        If it makes no segment; with the table.
    """
    try:
        for name, grade in degeneration.items():
            with _at(f"degeneration.{name}"):
                disc_geometry(grade)
        recipe = SpineRecipe(
            levels,
            sex=table.sex,
            size=table.size,
            dimensions=table.dimensions,
            discs=table.discs,
            fractures={level: _fracture(level, given) for level, given in table.fractures.items()},
            degeneration=degeneration,
            density=_density(table),
            sagittal_tilt_deg=table.sagittal_tilt_deg,
            coronal_tilt_deg=table.coronal_tilt_deg,
        )
        recipe.column()
    except InputError as error:
        place = f"{where} {error.where}" if error.where else where.removesuffix(":")
        raise InputError(error.what, where=place, fix=error.fix) from error
    return recipe


def density_text(table: RecipeTable) -> str:
    """How the density came about, in words."""
    if table.compartments_g_cm3:
        return "density by compartment"
    pattern = "rim and inferior end denser" if table.density_pattern == "published" else "uniform"
    if table.density_g_cm3 is not None:
        return f"mean density {1e3 * table.density_g_cm3:.0f} mg/cm3 ({table.density_kind}), {pattern}"
    t_score, taken = (_DEFAULT_T_SCORE, " (none is given)") if table.t_score is None else (table.t_score, "")
    known = t_score_density(t_score)
    return (
        f"mean density {1e3 * known.mean:.0f} mg/cm3 from a T-score of {t_score:g}{taken}, an equivalence of clinical "
        f"cut-offs with a standard uncertainty of {1e3 * known.standard_uncertainty:.0f} mg/cm3; {pattern}"
    )


def load_recipe(path: str | Path) -> MeshRecipe:
    """Read and check a mesh recipe file.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, is of a newer schema, or a key is unknown, missing or out of range.
    """
    path = Path(path)
    return recipe_from_dict(read_toml(path, "recipe"), source=str(path))


def recipe_from_dict(data: dict[str, Any], *, source: str = "recipe") -> MeshRecipe:
    """Check a recipe given as nested dictionaries, as `load_recipe` does for a file."""
    version = data.get("schema", SCHEMA)
    if type(version) is not int or version < 1 or version > SCHEMA:
        raise InputError(f"schema = {version!r} is not read", where=source, fix=f"write schema = {SCHEMA}")
    if "input" in data or "segment" in data:
        raise InputError(
            "this is a study, not a mesh recipe", where=source, fix="use `fesolver run` or `fesolver check`"
        )
    try:
        return MeshRecipe.model_validate(data)
    except ValidationError as error:
        raise as_input_error(error, source, MeshRecipe) from None
    except InputError as error:
        raise InputError(
            error.what, where=f"{source}: {error.where}" if error.where else source, fix=error.fix
        ) from None


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Say which key a mistake is in, in an error that does not."""
    try:
        yield
    except InputError as error:
        raise InputError(error.what, where=error.where or key, fix=error.fix) from error


def _fracture(level: str, given: FractureConfig) -> Fracture:
    """A fracture of a table, or a message that names its level."""
    with _at(f"fractures.{level}"):
        return Fracture(**given.model_dump())


def _density(table: RecipeTable) -> DensityField:
    """The density field of a table; the published default where it gives none."""
    keys = ("compartments_g_cm3", "density_g_cm3", "t_score")
    with _at(next((key for key in keys if getattr(table, key)), "t_score")):
        return _density_field(table)


def _density_field(table: RecipeTable) -> DensityField:
    """The density field of a table, its mistakes without a place."""
    if table.compartments_g_cm3:
        mean = table.density_g_cm3
        if table.t_score is not None:
            mean = density_from_t_score(table.t_score)
        return CompartmentDensity(table.compartments_g_cm3, mean_g_cm3=mean, kind=table.density_kind)
    mean = table.density_g_cm3 or density_from_t_score(_DEFAULT_T_SCORE if table.t_score is None else table.t_score)
    if table.density_pattern == "uniform":
        return UniformDensity(mean, table.density_kind)
    ratios = {
        name: value
        for name in ("rim_density_ratio", "inferior_superior_ratio")
        if (value := getattr(table, name)) is not None
    }
    return PatternedDensity(mean, kind=table.density_kind, **ratios)
