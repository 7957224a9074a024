"""From a mesh recipe to a mesh with its tissue, its quality and its numbers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import ValidationError

from fesolver.anatomy.levels import LEVELS
from fesolver.anatomy.quadrature import body_quadrature
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.meshing.quality import MeshQuality, mesh_quality
from fesolver.meshing.structured import StructuredMesh, mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.study.messages import as_input_error
from fesolver.study.recipe import build_recipe, load_recipe
from fesolver.study.schema import MeshRecipe
from fesolver.study.shipped import shipped_folder

__all__ = [
    "REFINEMENTS",
    "Layer",
    "PartVolume",
    "RecipeMesh",
    "find_recipe",
    "make_recipe_mesh",
    "shipped_recipes",
    "spine_of",
    "with_options",
]

REFINEMENTS: Mapping[str, float] = MappingProxyType({"coarse": 0.5, "medium": 1.0, "fine": 2.0})
"""Refinements that the catalogue is measured at; any other number does as well."""


@dataclass(frozen=True)
class PartVolume:
    """Volume of a vertebral body or a disc.

    Parameters
    ----------
    name : str
        Level or disc.
    mesh_ml : float
        Of the cells.
    shape_ml : float or None
        Of the parametric body, by quadrature; None for a disc.
    """

    name: str
    mesh_ml: float
    shape_ml: float | None


@dataclass(frozen=True)
class Layer:
    """A thin layer of one level.

    Parameters
    ----------
    name : str
        Region, `L1/cortical`.
    asked_mm, measured_mm : float
        Thickness in the recipe, and volume of the cells over the area of their outer facets.
    n_cells : int
        Cells through it.
    """

    name: str
    asked_mm: float
    measured_mm: float
    n_cells: int


@dataclass(frozen=True)
class RecipeMesh:
    """A mesh made from a recipe.

    Parameters
    ----------
    table : MeshRecipe
        What was asked for.
    spine : SpineRecipe
        The segment that it describes.
    structured : StructuredMesh
        Points, cells, names, axes.
    tissue : Tissue
        Density of the cells and what fills them.
    quality : MeshQuality
        Shape of the cells.
    """

    table: MeshRecipe
    spine: SpineRecipe
    structured: StructuredMesh
    tissue: Tissue
    quality: MeshQuality

    @property
    def n_unknowns(self) -> int:
        """Displacement components."""
        return 3 * len(self.structured.mesh.points)

    @property
    def volumes(self) -> tuple[PartVolume, ...]:
        """Volumes of bodies and discs, cranial first."""
        column, mesh = self.structured.column, self.structured.mesh
        shape = {v.level: 1e-3 * float(body_quadrature(v.dimensions)[2].sum()) for v in column.vertebrae}
        discs = [disc.name for disc in column.discs]
        names = [name for pair in zip(mesh.levels, [*discs, ""], strict=True) for name in pair if name]
        return tuple(
            PartVolume(name, 1e-3 * float(self.quality.volume[mesh.level_cells(name)].sum()), shape.get(name))
            for name in names
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Shell and endplates of every level, cranial first."""
        mesh, counts = self.structured.mesh, self.structured.counts
        out = []
        for vertebra in self.structured.column.vertebrae:
            d, level = vertebra.dimensions, vertebra.level
            for kind, surface, asked, through in (
                ("cortical", "outer", d.shell_thickness_mm, counts.section.shell),
                *(
                    (f"{side}_endplate", f"{side}_endplate", getattr(d, f"{side}_endplate_thickness_mm"),
                     counts.endplate)
                    for side in ("superior", "inferior")
                ),
            ):  # fmt: skip
                cells, outside = mesh.regions[f"{level}/{kind}"].cells, mesh.surfaces[f"{level}/{surface}"]
                area = float(outside.areas[np.isin(outside.cells, cells)].sum())
                measured = float(self.quality.volume[cells].sum()) / area
                out.append(Layer(f"{level}/{kind}", asked, measured, through))
        return tuple(out)


def make_recipe_mesh(table: MeshRecipe, *, source: str = "recipe") -> RecipeMesh:
    """Mesh a recipe.

    Parameters
    ----------
    table : MeshRecipe
        From `fesolver.study.recipe.load_recipe`.
    source : str
        The file, for messages.

    Returns
    -------
    RecipeMesh

    Raises
    ------
    InputError
        If the recipe makes no segment, or its cells are too distorted: what, where (file, level, mm), what to do.
    """
    spine = spine_of(table, source=source)
    try:
        structured = mesh_column(
            spine.column(), refinement=table.refinement, element=table.element, layer_cells=table.layer_cells
        )
        fields = {level: spine.density_field(level) for level in structured.mesh.levels}
        tissue = structured_tissue(structured, fields)
    except InputError as error:
        raise _placed(error, source) from error
    mesh = structured.mesh
    return RecipeMesh(table, spine, structured, tissue, mesh_quality(mesh.points, mesh.cells, mesh.element))


def spine_of(table: MeshRecipe, *, source: str = "recipe") -> SpineRecipe:
    """The segment of a recipe, without a mesh.

    Raises
    ------
    InputError
        If the recipe makes no segment.
    """
    return build_recipe(table, table.levels, table.degeneration, where=f"{source}:")


def with_options(table: MeshRecipe, *, refinement: float | None = None, element: str | None = None) -> MeshRecipe:
    """A recipe with what the command line says in place of its own.

    Raises
    ------
    InputError
        If a value is out of range; with the option.
    """
    given: dict[str, Any] = {"refinement": refinement, "element": element}
    given = {key: value for key, value in given.items() if value is not None}
    try:
        return MeshRecipe.model_validate(table.model_dump(by_alias=True) | given)
    except ValidationError as error:
        first = as_input_error(error, "command line", MeshRecipe)
        raise InputError(first.what, where=f"--{error.errors()[0]['loc'][0]!s}", fix=first.fix) from None


def shipped_recipes() -> dict[str, Path]:
    """Recipes of the catalogue by name: single levels, functional units, longer segments, then examples."""
    paths = {path.stem: path for path in shipped_folder("meshes").glob("*.toml")}

    def place(name: str) -> tuple[bool, int, int, str]:
        ends = name.split("-")
        if not all(end in LEVELS for end in ends):
            return True, 0, 0, name
        return False, LEVELS.index(ends[-1]) - LEVELS.index(ends[0]), LEVELS.index(ends[0]), name

    return {name: paths[name] for name in sorted(paths, key=place)}


def find_recipe(given: str | Path) -> tuple[MeshRecipe, str]:
    """A recipe file, or a recipe of the catalogue by its name.

    Parameters
    ----------
    given : str or Path
        A path, or a name such as `T12-L2`. A file of that name comes first.

    Returns
    -------
    table : MeshRecipe
    source : str
        The file as given, or the name, for messages.

    Raises
    ------
    InputError
        If there is no such file and no such name, or the file is no recipe.
    """
    path = Path(given)
    if path.is_file():
        return load_recipe(path), str(path)
    shipped = shipped_recipes()
    if str(given) in shipped:
        return load_recipe(shipped[str(given)]), str(given)
    if path.is_dir() or path.suffix:
        load_recipe(path)  # says that it is a folder, or missing
    close = difflib.get_close_matches(str(given).upper(), [name.upper() for name in shipped], n=1)
    meant = [name for name in shipped if name.upper() in close]
    raise InputError(
        f"there is no file {given} here and no recipe of that name", where=str(given),
        fix=f"did you mean {meant[0]}?" if meant else f"give a .toml file, or one of {', '.join(shipped)}",
    )  # fmt: skip


def _placed(error: InputError, source: str) -> InputError:
    """A message with the file in front of its place."""
    return InputError(error.what, where=f"{source}: {error.where}" if error.where else source, fix=error.fix)
