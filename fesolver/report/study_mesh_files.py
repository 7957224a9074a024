"""The mesh of a study as files: the mesh and what its numbers mean; all of them or none."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fesolver.errors import InputError
from fesolver.meshing.io import check_mesh_path, staged, write_mesh
from fesolver.meshing.quality import quality_table
from fesolver.meshing.regions import region_volume
from fesolver.study.geometry_record import mesh_text

if TYPE_CHECKING:
    from fesolver.study.study_mesh import StudyMesh

__all__ = ["study_mesh_lines", "study_mesh_paths", "write_study_mesh"]


def study_mesh_paths(out: Path, *, overwrite: bool = False) -> tuple[Path, Path]:
    """Mesh file and the JSON beside it, checked before anything is computed.

    Raises
    ------
    InputError
        If the ending is no known format, a file exists, or a name is that of a folder.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder", where="--out", fix="give the name of a file in it")
    check_mesh_path(out)
    paths = out, out.with_suffix(".json")
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder", where="--out", fix="give the name of a file")
        if path.exists() and not overwrite:
            raise InputError(
                f"{path} exists already", where="--out", fix="give another name, or --overwrite to replace it"
            )
    return paths


def write_study_mesh(made: StudyMesh, paths: tuple[Path, Path]) -> None:
    """Write mesh and legend under hidden names, and rename them when both are whole.

    Raises
    ------
    InputError
        If the place cannot be written to.
    """
    about = {
        "study": made.config.model_dump(mode="json", by_alias=True, exclude_none=True),
        "density": made.calibration,
        "versions": {"fesolver": version("fesolver")},
    }
    mesh, tissue = made.segment.mesh, made.segment.tissue
    try:
        with staged(*paths) as (file, legend):
            write_mesh(file, legend, mesh, tissue, scaled_jacobian=made.quality.scaled_jacobian, about=about)
    except OSError as error:
        raise InputError(
            f"cannot write {paths[0]}: {error.strerror or error}", where="--out",
            fix="give a place you may write to, with room on it",
        ) from error  # fmt: skip


def study_mesh_lines(made: StudyMesh, paths: tuple[Path, Path]) -> list[str]:
    """Sizes, volumes and quality of a study's mesh, what was found in the input, and the files."""
    mesh = made.segment.mesh
    lines = [
        f"{made.config.name}: {mesh_text(made.config)}",
        f"levels:   {', '.join(mesh.levels)}",
        f"mesh:     {len(mesh.cells)} {mesh.element} cells, {len(mesh.points)} points, {mesh.points.size} unknowns",
        f"density:  {made.calibration}",
        *(f"found:    {line}" for line in made.findings),
        "",
        f"{'volume (ml)':<32}{'mesh':>10}",
        *(f"{name:<32}{region_volume(mesh, name) / 1000:>10.3f}" for name in mesh.regions),
        "",
        *quality_table(mesh, made.quality).splitlines(),
        "",
        f"mesh:     {paths[0]}",
        f"legend:   {paths[1]} (names of regions, units, frame, study)",
    ]
    return lines
