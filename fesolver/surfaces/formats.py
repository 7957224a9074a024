"""STL, PLY and OBJ: bytes to polygons, and triangles to bytes.

Own readers, since meshio's lose what scanners and modelling programs write: PLY faces under the name `vertex_index` or
with attributes beside them, OBJ with negative ids or colours.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError

__all__ = ["Polygons", "format_obj", "format_ply", "format_stl", "parse_obj", "parse_ply", "parse_stl"]

_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "int64": "i8", "uint64": "u8",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True)
class Polygons:
    """Polygons between points, as files hold them.

    Parameters
    ----------
    points : (n, 3) ndarray
        Coordinates in the file's frame and unit.
    corners : (k,) ndarray of int64
        Point ids of all polygons, one after the other.
    sizes : (p,) ndarray of int64
        Corners of each polygon.
    """

    points: NDArray[np.float64]
    corners: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def triangles(self) -> NDArray[np.int64]:
        """Triangles, (m, 3): quadrilaterals cut along the shorter diagonal, larger polygons as fans.

        Raises
        ------
        InputError
            If a polygon has fewer than three corners, or a corner is no point.
        """
        if len(self.sizes) == 0:
            raise InputError("the file holds no faces")
        if self.sizes.min() < 3:
            raise InputError(f"a face has {self.sizes.min()} corners")
        if self.sizes.sum() != len(self.corners):
            raise InputError(f"the faces have {self.sizes.sum()} corners in all, the file names {len(self.corners)}")
        if self.corners.min() < 0 or self.corners.max() >= len(self.points):
            wrong = self.corners[(self.corners < 0) | (self.corners >= len(self.points))][0]
            raise InputError(f"a face names point {wrong}, there are {len(self.points)}")
        starts = np.cumsum(self.sizes) - self.sizes
        first = np.zeros_like(starts)
        quads = np.flatnonzero(self.sizes == 4)
        x = self.points[self.corners[starts[quads][:, None] + np.arange(4)]]
        first[quads] = np.linalg.norm(x[:, 3] - x[:, 1], axis=1) < np.linalg.norm(x[:, 2] - x[:, 0], axis=1)
        of = np.repeat(np.arange(len(starts)), self.sizes - 2)
        step = np.arange(len(of)) - np.repeat(np.cumsum(self.sizes - 2) - (self.sizes - 2), self.sizes - 2)
        turns = (np.stack([0 * step, step + 1, step + 2], axis=1) + first[of][:, None]) % self.sizes[of][:, None]
        return np.asarray(self.corners[starts[of][:, None] + turns], np.int64)


def parse_stl(data: bytes) -> Polygons:
    """Triangles of a binary or ASCII STL file; every triangle has its own three points.

    Parameters
    ----------
    data : bytes
        The file.

    Raises
    ------
    InputError
        If the file is neither, or ends early.

    Notes
    -----
    Many binary files start with the word "solid" too, so the size decides: 84 bytes and 50 per triangle.
    """
    count = struct.unpack("<I", data[80:84])[0] if len(data) >= 84 else -1
    if len(data) != 84 + 50 * count and data.lstrip()[:5].lower() == b"solid":
        number = rb"\s+([^\s]+)"
        found = re.findall(rb"vertex" + number * 3, data, flags=re.IGNORECASE)
        if b"endsolid" not in data.lower() or len(found) % 3:
            raise InputError(f"the file ends early: {len(found)} corners and no 'endsolid' behind whole triangles")
        corners = np.array(found, dtype=bytes).astype(np.float64) if found else np.zeros((0, 3))
    elif count >= 0 and len(data) >= 84 + 50 * count:
        rows = np.frombuffer(data, [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")], count, 84)
        corners = rows["corners"].reshape(-1, 3).astype(np.float64)
    else:
        raise InputError(
            f"the file announces {count} triangles, which take {84 + 50 * count} bytes, and has {len(data)}"
        )
    return Polygons(corners, np.arange(len(corners)), np.full(len(corners) // 3, 3))


def format_stl(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> bytes:
    """Binary STL; coordinates become float32, as the format has it."""
    corners = points[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
    rows = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    rows["normal"], rows["corners"] = normals, corners
    return b"fesolver, LPS mm".ljust(80) + struct.pack("<I", len(triangles)) + rows.tobytes()


def parse_obj(data: bytes) -> Polygons:
    """Faces of a Wavefront OBJ file; texture, normals, colours and groups are passed over.

    Parameters
    ----------
    data : bytes
        The file. Negative ids count backwards from the points read so far, as the format has it.
    """
    points: list[list[float]] = []
    corners: list[int] = []
    sizes: list[int] = []
    for line in data.decode("utf-8", errors="replace").replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if words[0] == "v":
            points.append([float(word) for word in words[1:4]])
        elif words[0] == "f":
            ids = [int(word.split("/", 1)[0]) for word in words[1:]]
            if 0 in ids:
                raise InputError("a face names point 0; OBJ counts from 1")
            corners += [i - 1 if i > 0 else len(points) + i for i in ids]
            sizes.append(len(ids))
    return Polygons(np.array(points, float).reshape(-1, 3), np.array(corners, np.int64), np.array(sizes, np.int64))


def format_obj(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> bytes:
    """Wavefront OBJ; numbers read back bit by bit."""
    lines = ["# fesolver, LPS mm"]
    lines += [f"v {x!r} {y!r} {z!r}" for x, y, z in points.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (triangles + 1).tolist()]
    return ("\n".join(lines) + "\n").encode("ascii")


def parse_ply(data: bytes) -> Polygons:
    """Faces of a PLY file, ASCII or binary; what else points and faces carry is passed over.

    Parameters
    ----------
    data : bytes
        The file.

    Raises
    ------
    InputError
        If the header is no PLY header, or there are no vertices with x, y, z and no faces with a list of ids.
    """
    end = re.search(rb"end_header[ \t]*\r?\n", data)
    if not data.startswith(b"ply") or end is None:
        raise InputError("the file has no PLY header")
    kind, elements = _ply_header(data[: end.start()].decode("ascii", errors="replace"))
    reader = _ply_ascii if kind == "ascii" else _ply_binary
    order = ">" if kind == "binary_big_endian" else "<"
    tables: dict[str, dict[str, list[NDArray[np.float64]]]] = reader(data[end.end() :], elements, order)
    vertices, faces = tables.get("vertex", {}), tables.get("face", {})
    lists = next((faces[name] for name in ("vertex_indices", "vertex_index") if name in faces), None)
    if lists is None or not {"x", "y", "z"} <= vertices.keys():
        raise InputError("the file has no vertices with x, y, z, or no faces with a list of vertex ids")
    points = np.column_stack([np.concatenate([*vertices[axis], np.zeros(0)]) for axis in "xyz"]).astype(np.float64)
    corners = np.concatenate([*(ids.ravel() for ids in lists), np.zeros(0)]).astype(np.int64)
    sizes = np.concatenate([*(np.full(len(ids), ids.shape[1]) for ids in lists), np.zeros(0)]).astype(np.int64)
    return Polygons(points, corners, sizes)


def format_ply(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> bytes:
    """Binary PLY with double coordinates."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment fesolver, LPS mm\n"
        f"element vertex {len(points)}\nproperty double x\nproperty double y\nproperty double z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.zeros(len(triangles), [("n", "u1"), ("ids", "<i4", 3)])
    rows["n"], rows["ids"] = 3, triangles
    return header.encode("ascii") + points.astype("<f8").tobytes() + rows.tobytes()


_PlyElement = tuple[str, int, list[tuple[str, str, str]]]
"""Name, count, and per property its name, type, and for a list the type of its count (else empty)."""


def _ply_header(text: str) -> tuple[str, list[_PlyElement]]:
    """Format and elements of a PLY header."""
    kind, elements = "", list[_PlyElement]()
    for words in (line.split() for line in text.splitlines()):
        if words[:1] == ["format"]:
            kind = words[1]
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:2] == ["property", "list"]:
            elements[-1][2].append((words[4], _PLY_TYPES[words[3]], _PLY_TYPES[words[2]]))
        elif words[:1] == ["property"]:
            elements[-1][2].append((words[2], _PLY_TYPES[words[1]], ""))
    if kind not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise InputError(f"PLY format {kind!r} is not known")
    return kind, elements


def _ply_binary(
    data: bytes, elements: list[_PlyElement], order: str
) -> dict[str, dict[str, list[NDArray[np.float64]]]]:
    """Every property of every element, in blocks of rows whose lists are equally long."""
    out: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    at = 0
    for element, count, properties in elements:
        columns: dict[str, list[NDArray[np.float64]]] = {name: [] for name, _, _ in properties}
        done = 0
        while done < count:
            lists, reach = list[tuple[str, int]](), at
            fields: list[Any] = []
            for name, kind, counted in properties:
                n = 1
                if counted:
                    n = int(np.frombuffer(data, order + counted, 1, reach)[0])
                    fields.append((f"n {name}", order + counted))
                    lists.append((f"n {name}", n))
                    reach += np.dtype(counted).itemsize
                fields.append((name, order + kind, (n,)) if counted else (name, order + kind))
                reach += n * np.dtype(kind).itemsize
            row = np.dtype(fields)
            if row.itemsize == 0:
                raise InputError(f"the rows of {element!r} hold nothing")
            rows = np.frombuffer(data, row, min(count - done, (len(data) - at) // row.itemsize), at)
            other = np.zeros(len(rows), bool)
            for name, n in lists:
                other |= rows[name] != n
            same = int(np.argmax(other)) if other.any() else len(rows)
            if same == 0:
                raise InputError(f"the file ends early: {done} of {count} rows of {element!r}")
            for name, _, _ in properties:
                columns[name].append(rows[name][:same])
            done, at = done + same, at + same * row.itemsize
        out[element] = columns
    return out


def _ply_ascii(data: bytes, elements: list[_PlyElement], order: str) -> dict[str, dict[str, list[NDArray[np.float64]]]]:
    """Every property of every element; `order` is not used."""
    words = np.array(data.split(), dtype=bytes).astype(np.float64) if data.strip() else np.zeros(0)
    out: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    at = 0
    for element, count, properties in elements:
        columns: dict[str, list[NDArray[np.float64]]] = {name: [] for name, _, _ in properties}
        if not any(counted for _, _, counted in properties):
            block = words[at : at + count * len(properties)].reshape(count, len(properties))
            columns = {name: [block[:, k]] for k, (name, _, _) in enumerate(properties)}
            at += block.size
        else:
            for _ in range(count):
                for name, _, counted in properties:
                    n = int(words[at]) if counted else 1
                    at += bool(counted)
                    if at + n > len(words):
                        raise InputError(f"the file ends early, among the {count} rows of {element!r}")
                    columns[name].append(words[at : at + n][None] if counted else words[at : at + n])
                    at += n
        out[element] = columns
    return out
