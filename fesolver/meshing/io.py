"""Meshes and fields to files that ParaView reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["VOIGT_NAMES", "write_fields"]

VOIGT_NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")


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
        [("hexahedron", mesh.cells)],
        point_data={name: values.astype(np.float32) for name, values in point_data.items()},
        cell_data=arrays,
    )
    meshio.write(path, grid, file_format="vtu", compression="zlib")
    legend = {
        **regions,
        "_voigt": list(VOIGT_NAMES),
        "_units": {"points": "mm", "displacement": "mm", "stress": "MPa", "strain": "1", "young": "MPa",
                   "density": "g/cm3", "strain_energy_density": "N mm / mm3"},
        "_frame": {"origin_mm": mesh.frame.origin.tolist(), "axes": mesh.frame.axes.tolist(),
                   "meaning": "scanner LPS mm = origin + points @ axes"},
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(legend, indent=1) + "\n", encoding="utf-8")
