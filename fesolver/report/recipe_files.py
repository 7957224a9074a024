"""The files of a mesh recipe: mesh, what its numbers mean, picture; all of them or none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.errors import InputError
from fesolver.meshing.io import check_mesh_path, staged, write_mesh
from fesolver.report.recipe_picture import write_recipe_picture
from fesolver.report.style import check_picture_path
from fesolver.study.recipe import density_text

if TYPE_CHECKING:
    from fesolver.study.mesh_recipe import RecipeMesh

__all__ = ["RecipePaths", "recipe_paths", "write_recipe_files"]


@dataclass(frozen=True)
class RecipePaths:
    """Where the files go.

    Parameters
    ----------
    mesh, legend, picture : Path
        The mesh, the JSON beside it, the picture.
    """

    mesh: Path
    legend: Path
    picture: Path

    def lines(self) -> list[str]:
        """What was written, one file per line."""
        return [
            f"mesh:     {self.mesh}",
            f"legend:   {self.legend} (names of regions, units, frame, recipe)",
            f"picture:  {self.picture}",
        ]


def recipe_paths(out: Path, picture: Path | None = None, *, overwrite: bool = False) -> RecipePaths:
    """Names of all files, checked before anything is computed.

    Parameters
    ----------
    out : Path
        The mesh.
    picture : Path, optional
        By default `NAME.png` beside the mesh.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    InputError
        If an ending is no known format, a file exists, or a name is that of a folder.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder", where="--out", fix="give the name of a file in it")
    check_mesh_path(out)
    paths = RecipePaths(out, out.with_suffix(".json"), picture or out.with_suffix(".png"))
    check_picture_path(paths.picture)
    for option, path in (("--out", paths.mesh), ("--out", paths.legend), ("--picture", paths.picture)):
        if path.is_dir():
            raise InputError(f"{path} is a folder", where=option, fix="give the name of a file")
        if path.exists() and not overwrite:
            raise InputError(
                f"{path} exists already", where=option, fix="give another name, or --overwrite to replace it"
            )
    return paths


def write_recipe_files(made: RecipeMesh, paths: RecipePaths) -> None:
    """Write mesh, legend and picture under hidden names, and rename them when all are whole.

    Raises
    ------
    InputError
        If a place cannot be written to.
    """
    mesh = made.structured.mesh
    about: dict[str, Any] = {
        "recipe": made.table.model_dump(mode="json", by_alias=True, exclude_none=True),
        "density": density_text(made.table),
        "cells_per_direction": _flat(asdict(made.structured.counts)),
        "versions": {"fesolver": version("fesolver")},
    }
    try:
        with staged(paths.mesh, paths.legend, paths.picture) as (mesh_file, legend, picture):
            write_mesh(mesh_file, legend, mesh, made.tissue, scaled_jacobian=made.quality.scaled_jacobian, about=about)
            write_recipe_picture(made, picture)
    except OSError as error:
        raise InputError(
            f"cannot write {paths.mesh} or {paths.picture}: {error.strerror or error}",
            where="--out" if paths.picture.parent == paths.mesh.parent else "--out, --picture",
            fix="give a place you may write to, with room on it",
        ) from error


def _flat(counts: dict[str, Any]) -> dict[str, int]:
    """Counts of the section and along the column in one table."""
    return {**counts["section"], **{key: value for key, value in counts.items() if key != "section"}}
