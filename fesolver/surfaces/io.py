"""Surface files read into LPS+ millimetres, and written."""

from __future__ import annotations

import lzma
import os
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.surfaces.axes import MM_PER_UNIT, Unit, axes_matrix, check_extents
from fesolver.surfaces.formats import (
    Polygons,
    format_obj,
    format_ply,
    format_stl,
    parse_obj,
    parse_ply,
    parse_stl,
)
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.topology import merge_points, merge_tolerance
from fesolver.surfaces.vtp import format_vtp, parse_vtp

__all__ = ["SURFACE_FORMATS", "read_surface", "write_surface"]

_PARSE: Mapping[str, Callable[[bytes], Polygons]] = {
    ".stl": parse_stl,
    ".ply": parse_ply,
    ".obj": parse_obj,
    ".vtp": parse_vtp,
}
_FORMAT: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.int64]], bytes]] = {
    ".stl": format_stl,
    ".ply": format_ply,
    ".obj": format_obj,
    ".vtp": format_vtp,
}

SURFACE_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        ".stl": "STL, binary or ASCII; written binary, in float32",
        ".ply": "PLY, ASCII or binary; written binary, in float64",
        ".obj": "Wavefront OBJ",
        ".vtp": "VTK's XML polygons, for ParaView; written in base64",
    }
)
"""File endings that are read and written."""


def read_surface(path: Path | str, *, axes: str, unit: Unit) -> TriangleSurface:
    """Read the surface of one vertebra and bring it to LPS+ millimetres.

    Parameters
    ----------
    path : Path or str
        STL, PLY, OBJ or VTP file; its ending says which.
    axes : str
        What the file's x, y and z point to: three letters, see `fesolver.surfaces.axes.axes_matrix`.
    unit : {"mm", "cm", "m"}
        Of its coordinates.

    Returns
    -------
    TriangleSurface
        In LPS+ mm, triangles as the file orders them; not checked (`fesolver.surfaces.repair.require_valid`).

    Raises
    ------
    InputError
        If the file is missing, damaged, of another format, or holds no faces; if the axes are no right-handed frame; if
        the extents in the stated unit are not those of a vertebra.

    Notes
    -----
    Quadrilaterals are cut along their shorter diagonal, larger polygons into fans. Points of an STL file, which has
    three for every triangle, are merged within `topology.merge_tolerance`. No file says which way its axes
    point, or its unit: both must be known from whoever wrote it.
    """
    path = Path(path)
    matrix = axes_matrix(axes, where=f"axes of {path}")
    polygons = _parsed(path)
    try:
        triangles = polygons.triangles()
        surface = TriangleSurface(polygons.points, triangles)
    except InputError as error:
        raise InputError(error.what, where=str(path), fix="check the file in a viewer, and write it again") from error
    check_extents(surface.points[np.unique(triangles)], unit, where=str(path))
    points = surface.points * MM_PER_UNIT[unit] @ matrix
    if path.suffix.lower() == ".stl":
        points, number = merge_points(points, merge_tolerance(points))
        triangles = number[triangles]
    return TriangleSurface(points, triangles)


def write_surface(surface: TriangleSurface, path: Path | str) -> None:
    """Write a surface as it is, in LPS+ millimetres; the file is there when it is whole.

    Parameters
    ----------
    surface : TriangleSurface
        In LPS+ mm: read it again with `axes="LPS", unit="mm"`.
    path : Path or str
        Its ending says the format, one of `SURFACE_FORMATS`; an existing file is replaced.

    Raises
    ------
    InputError
        If the ending is no format that is written, or the file cannot be written.
    """
    path = Path(path)
    content = _FORMAT[_known_suffix(path)](surface.points, surface.triangles)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"the surface cannot be written: {error.strerror}", where=str(path)) from error


def _parsed(path: Path) -> Polygons:
    """Polygons of a file, with every kind of damage as one message."""
    parse = _PARSE[_known_suffix(path)]
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise InputError(f"the surface cannot be read: {error.strerror}", where=str(path)) from error
    except InputError as error:
        fix = error.fix or "copy or export it again, and check that its ending tells its format"
        raise InputError(f"the surface cannot be read: {error.what}", where=str(path), fix=fix) from error
    except (
        ValueError,
        KeyError,
        IndexError,
        struct.error,
        zlib.error,
        lzma.LZMAError,
        ElementTree.ParseError,
    ) as error:
        raise InputError(
            f"the surface cannot be read: its content is not {path.suffix}, or is damaged ({error})",
            where=str(path),
            fix="copy or export it again, and check that its ending tells its format",
        ) from error


def _known_suffix(path: Path) -> str:
    """Ending of a file name, refused if it is none of the formats."""
    suffix = path.suffix.lower()
    if suffix not in SURFACE_FORMATS:
        raise InputError(
            f"{suffix or 'a name without an ending'} is no surface format",
            where=str(path),
            fix=f"use {', '.join(SURFACE_FORMATS)}",
        )
    return suffix
