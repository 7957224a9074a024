"""Meshes and fields to files that ParaView, gmsh and other solvers read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.meshing.abaqus import abaqus_text, set_name
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["MESH_FORMATS", "VOIGT_NAMES", "check_mesh_path", "staged", "write_fields", "write_mesh"]

VOIGT_NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")

MESH_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        ".vtu": "VTK, for ParaView; regions, density and axes as cell data",
        ".vtk": "VTK's older format; the same arrays",
        ".msh": "gmsh 2.2; regions as physical groups with their names, the same arrays",
        ".inp": "Abaqus and CalculiX; a set per region and per endplate, no density and no axes",
    }
)
"""File endings that `write_mesh` knows, and what each carries."""

_UNITS = {"points": "mm", "density": "g/cm3", "scaled_jacobian": "1", "annulus_*": "unit vectors"}


def write_fields(
    path: Path,
    mesh: SpineMesh,
    *,
    point_data: Mapping[str, NDArray[np.float64]],
    cell_data: Mapping[str, NDArray[np.float64]],
) -> None:
    """Write `fields.vtu` and, beside it, `fields.json` with what the arrays mean.

    Parameters
    ----------
    path : Path
        The `.vtu` file; the JSON takes its stem.
    mesh : SpineMesh
        Points in mm, written in the segment frame; the JSON holds the transform to the scanner.
    point_data, cell_data : mapping of str to ndarray
        Arrays over points and cells; six columns are Voigt components (xx, yy, zz, yz, xz, xy), engineering shear.

    Notes
    -----
    Arrays are written in float32: meant for looking and post-processing, the tables hold float64. Regions become one
    array of fractions each (`region_0`, ...), named in the JSON, since mesh formats lose region names.
    """
    import meshio

    n_cells = len(mesh.cells)
    regions = {f"region_{i}": name for i, name in enumerate(mesh.regions)}
    arrays = {name: [values.astype(np.float32)] for name, values in cell_data.items()}
    for array, name in regions.items():
        arrays[array] = [mesh.regions[name].dense(n_cells).astype(np.float32)]
    grid = meshio.Mesh(
        mesh.points,
        [(ELEMENTS[mesh.element].meshio_name, mesh.cells)],
        point_data={name: values.astype(np.float32) for name, values in point_data.items()},
        cell_data=arrays,
    )
    meshio.write(path, grid, file_format="vtu", compression="zlib")
    legend = {
        **regions,
        "_voigt": list(VOIGT_NAMES),
        "_units": {"points": "mm", "displacement": "mm", "stress": "MPa", "strain": "1", "young": "MPa",
                   "density": "g/cm3", "strain_energy_density": "N mm / mm3"},
        "_frame": _frame(mesh, "scanner LPS mm"),
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(legend, indent=1) + "\n", encoding="utf-8")


def check_mesh_path(path: Path) -> None:
    """Refuse a file name whose ending is no mesh format that is written.

    Raises
    ------
    InputError
        With the list of formats.
    """
    if path.suffix.lower() not in MESH_FORMATS:
        known = ", ".join(MESH_FORMATS)
        raise InputError(
            f"{path.suffix or 'a name without an ending'} is no mesh format that is written",
            where=str(path),
            fix=f"end the name in {known}; `meshio convert` makes others from .vtu",
        )


def write_mesh(
    path: Path,
    legend: Path,
    mesh: SpineMesh,
    tissue: Tissue,
    *,
    scaled_jacobian: NDArray[np.float64] | None = None,
    about: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write a mesh with its regions, density and annulus axes, and a JSON that names what the numbers mean.

    Parameters
    ----------
    path, legend : Path
        The mesh and the JSON.
    mesh : SpineMesh
        Points in mm, written in the segment frame as float64.
    tissue : Tissue
        Of its cells.
    scaled_jacobian : (n_cells,) ndarray, optional
        Written beside the rest.
    about : mapping
        What else the JSON says: the recipe, versions.

    Raises
    ------
    InputError
        If the ending is no mesh format.

    Notes
    -----
    Cell data: `region`, an integer named in the JSON (the region that fills most of the cell); `density` in g/cm3;
    `annulus_circumferential`, `annulus_radial`, `annulus_axial`, unit vectors, zero outside the annulus. Point data:
    `endplate`, an integer named in the JSON, 0 off the endplates. All but `region` and `endplate` are float32.
    """
    check_mesh_path(path)
    suffix = path.suffix.lower()
    region = _main_region(mesh)
    if suffix == ".inp":
        with path.open("w", encoding="ascii", newline="\n") as file:
            for piece in abaqus_text(mesh, region, heading=f"fesolver, {', '.join(mesh.levels)}"):
                file.write(piece)
    else:
        _write_grid(path, suffix, mesh, _cell_data(mesh, tissue, region, scaled_jacobian))
    endplates = [name for name in mesh.surfaces if name.endswith("_endplate")]
    content = {
        "schema": 1,
        "region": {str(i): name for i, name in enumerate(mesh.regions, start=1)},
        "endplate": {str(i): name for i, name in enumerate(endplates, start=1)},
        "levels": list(mesh.levels),
        "element": mesh.element,
        "density_kind": tissue.kind,
        "units": _UNITS,
        "frame": _frame(mesh, "the recipe's own frame, LPS mm"),
        **about,
    }
    if suffix == ".inp":
        content["sets"] = {set_name(name): name for name in mesh.regions}
        content["sets"] |= {f"ON_{set_name(name)}": name for name in mesh.surfaces}
    legend.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def staged(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Hidden names beside the given ones, renamed to them when all went well and removed when not.

    Parameters
    ----------
    *paths : Path
        Files to be written; their folders are made, and taken away again if nothing is written.

    Yields
    ------
    tuple of Path
        `.NAME.PID.partial` with the same ending.
    """
    made = [folder for path in paths for folder in _missing_folders(path.parent)]
    partial = tuple(path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}") for path in paths)
    with ExitStack() as undo:
        for folder in reversed(made):
            undo.callback(_remove_if_empty, folder)
        for path in partial:
            undo.callback(path.unlink, missing_ok=True)
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        for path, final in zip(partial, paths, strict=True):
            os.replace(path, final)


def _missing_folders(folder: Path) -> list[Path]:
    """Folders that have to be made for a file, innermost first."""
    return [f for f in (folder, *folder.parents) if not f.exists()]


def _remove_if_empty(folder: Path) -> None:
    """Take a folder away if nothing is in it."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _main_region(mesh: SpineMesh) -> NDArray[np.int64]:
    """Position in `mesh.regions` of the region that fills most of each cell, the first of equals."""
    out, most = np.zeros(len(mesh.cells), np.int64), np.zeros(len(mesh.cells))
    for index, region in enumerate(mesh.regions.values()):
        is_more = region.fraction > most[region.cells]
        out[region.cells[is_more]] = index
        most[region.cells[is_more]] = region.fraction[is_more]
    return out


def _cell_data(
    mesh: SpineMesh, tissue: Tissue, region: NDArray[np.int64], scaled_jacobian: NDArray[np.float64] | None
) -> dict[str, NDArray[Any]]:
    """Arrays over cells."""
    out: dict[str, NDArray[Any]] = {"region": (region + 1).astype(np.int32)}
    out["density"] = tissue.density.astype(np.float32)
    if scaled_jacobian is not None:
        out["scaled_jacobian"] = scaled_jacobian.astype(np.float32)
    for row, name in enumerate(("circumferential", "radial", "axial") if tissue.axes else ()):
        vectors = np.zeros((len(mesh.cells), 3), np.float32)
        for annulus, axes in tissue.axes.items():
            vectors[mesh.regions[annulus].cells] = axes[:, row]
        out[f"annulus_{name}"] = vectors
    return out


def _write_grid(path: Path, suffix: str, mesh: SpineMesh, arrays: dict[str, NDArray[Any]]) -> None:
    """A mesh through meshio."""
    import meshio

    endplate = np.zeros(len(mesh.points), np.int32)
    plates = [surface for name, surface in mesh.surfaces.items() if name.endswith("_endplate")]
    for number, surface in enumerate(plates, start=1):
        endplate[surface.facets] = number
    cell_data = {name: [values] for name, values in arrays.items()}
    groups: dict[str, NDArray[np.int64]] = {}
    if suffix == ".msh":
        cell_data |= {"gmsh:physical": [arrays["region"]], "gmsh:geometrical": [arrays["region"]]}
        groups = {name: np.array([number, 3]) for number, name in enumerate(mesh.regions, start=1)}
    grid = meshio.Mesh(
        mesh.points,
        [(ELEMENTS[mesh.element].meshio_name, mesh.cells)],
        point_data={"endplate": endplate},
        cell_data=cell_data,
        field_data=groups,
    )
    options: dict[str, Any] = {".vtu": {"compression": "zlib"}}.get(suffix, {})
    meshio.write(path, grid, file_format={".vtu": "vtu", ".vtk": "vtk", ".msh": "gmsh22"}[suffix], **options)


def _frame(mesh: SpineMesh, parent: str) -> dict[str, Any]:
    """The segment frame in its parent."""
    return {"origin_mm": mesh.frame.origin.tolist(), "axes": mesh.frame.axes.tolist(),
            "meaning": f"{parent} = origin + points @ axes"}  # fmt: skip
