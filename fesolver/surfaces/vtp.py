"""VTP, VTK's XML file of polygons: bytes to polygons, and triangles to bytes."""

from __future__ import annotations

import base64
import lzma
import re
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.surfaces.formats import Polygons

__all__ = ["format_vtp", "parse_vtp"]

_TYPES = {
    "Int8": "i1", "UInt8": "u1", "Int16": "i2", "UInt16": "u2", "Int32": "i4", "UInt32": "u4", "Int64": "i8",
    "UInt64": "u8", "Float32": "f4", "Float64": "f8",
}  # fmt: skip
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "vtkZLibDataCompressor": zlib.decompress,
    "vtkLZMADataCompressor": lzma.decompress,
}


def parse_vtp(data: bytes) -> Polygons:
    """Polygons of a VTP file: ASCII, binary (base64), appended (raw or base64), with zlib or LZMA or neither.

    Parameters
    ----------
    data : bytes
        The file. Vertices and lines in it are passed over, pieces joined.

    Raises
    ------
    InputError
        If it is no XML file of PolyData, is packed by another method, or holds triangle strips.

    References
    ----------
    .. [1] Kitware, *VTK File Formats*, XML file formats, https://docs.vtk.org/en/latest/design_documents/VTKFileFormats.html
    """
    data, appended = _cut_appended(data)
    root = ElementTree.fromstring(data)
    if root.tag != "VTKFile" or root.get("type") != "PolyData":
        raise InputError(f"the file is a {root.get('type') or root.tag}, not VTK's PolyData")
    read = _Arrays(root, appended)
    points, corners, sizes, n_points = [], [], [], 0
    for piece in root.iter("Piece"):
        if int(piece.get("NumberOfStrips", "0")):
            raise InputError("the file holds triangle strips", fix="triangulate it before it is written")
        if not int(piece.get("NumberOfPolys", "0")):
            continue
        points.append(read(piece, "Points/DataArray").astype(np.float64).reshape(-1, 3))
        corners.append(read(piece, "Polys/DataArray[@Name='connectivity']").astype(np.int64) + n_points)
        sizes.append(np.diff(read(piece, "Polys/DataArray[@Name='offsets']").astype(np.int64), prepend=0))
        n_points += len(points[-1])
    if not points:
        raise InputError("the file holds no polygons")
    return Polygons(np.concatenate(points), np.concatenate(corners), np.concatenate(sizes))


def format_vtp(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> bytes:
    """VTP with base64 arrays: double coordinates, 64-bit ids."""
    offsets = 3 * np.arange(1, len(triangles) + 1)

    def array(values: NDArray[Any], kind: str, name: str, n: int) -> str:
        raw = values.astype("<" + _TYPES[kind]).tobytes()
        text = base64.b64encode(np.array([len(raw)], "<u8").tobytes() + raw).decode("ascii")
        return f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{n}" format="binary">{text}</DataArray>'

    return "\n".join(
        (
            '<?xml version="1.0"?>',
            '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
            "<!-- fesolver, LPS mm -->",
            f'<PolyData><Piece NumberOfPoints="{len(points)}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" '
            f'NumberOfPolys="{len(triangles)}">',
            f"<Points>{array(points, 'Float64', 'Points', 3)}</Points>",
            f"<Polys>{array(triangles, 'Int64', 'connectivity', 1)}",
            f"{array(offsets, 'Int64', 'offsets', 1)}</Polys>",
            "</Piece></PolyData></VTKFile>\n",
        )
    ).encode("ascii")


class _Arrays:
    """Reads data arrays of one file, whichever way they are stored."""

    def __init__(self, root: ElementTree.Element, appended: tuple[str, bytes]) -> None:
        order = ">" if root.get("byte_order") == "BigEndian" else "<"
        self.order = order
        self.header = np.dtype(order + _TYPES[root.get("header_type", "UInt32")])
        self.encoding, self.appended = appended
        packer = root.get("compressor")
        if packer is not None and packer not in _UNPACK:
            raise InputError(
                f"the file is packed by {packer}, which is not read", fix="write it with zlib or not packed"
            )
        self.unpack = _UNPACK[packer] if packer else None

    def __call__(self, piece: ElementTree.Element, path: str) -> NDArray[Any]:
        """Values of one array of a piece."""
        element = piece.find(path)
        if element is None:
            raise InputError(f"the file lacks the array {path}")
        kind, form = self.order + _TYPES[element.get("type", "")], element.get("format", "ascii")
        if form == "ascii":
            return np.array((element.text or "").split(), dtype=str).astype(kind)
        if form == "binary":
            return np.frombuffer(self._decoded("".join((element.text or "").split()).encode("ascii")), kind)
        block = self.appended[int(element.get("offset", "0")) :]
        return np.frombuffer(self._decoded(block) if self.encoding == "base64" else self._raw(block), kind)

    def _raw(self, block: bytes) -> bytes:
        """Bytes of an array behind its header."""
        if self.unpack is None:
            return self._whole(block[self.header.itemsize :], int(self._words(block, 1)[0]))
        n = int(self._words(block, 1)[0])
        return self._joined(self._words(block, 3 + n), block[(3 + n) * self.header.itemsize :])

    def _decoded(self, text: bytes) -> bytes:
        """Bytes of an array in base64; a packed one's header is encoded apart from the data."""
        size = self.header.itemsize
        if self.unpack is None:
            start = text[: _base64_length(size)]
            n = int(self._words(base64.b64decode(start), 1)[0])
            if start.endswith(b"="):  # the header apart here too
                return self._whole(base64.b64decode(text[len(start) :][: _base64_length(n)]), n)
            return self._whole(base64.b64decode(text[: _base64_length(size + n)])[size:], n)
        # The three words of the fixed part fill whole groups of base64.
        n = int(self._words(base64.b64decode(text[: _base64_length(3 * size)]), 1)[0])
        length = _base64_length((3 + n) * size)
        header = self._words(base64.b64decode(text[:length]), 3 + n)
        return self._joined(header, base64.b64decode(text[length:][: _base64_length(int(header[3:].sum()))]))

    def _words(self, block: bytes, n: int) -> NDArray[Any]:
        """First numbers of a header."""
        return np.frombuffer(block, self.header, n)

    def _joined(self, header: NDArray[Any], block: bytes) -> bytes:
        """Blocks unpacked one by one."""
        assert self.unpack is not None
        ends = np.cumsum(header[3:].astype(np.int64))
        return b"".join(self.unpack(block[end - n : end]) for end, n in zip(ends, header[3:].astype(int), strict=True))

    def _whole(self, block: bytes, n: int) -> bytes:
        """The first n bytes, which must be there."""
        if len(block) < n:
            raise InputError(f"the file ends early: an array of {n} bytes has {len(block)}")
        return block[:n]


def _base64_length(n: int) -> int:
    """Characters that n bytes take."""
    return 4 * -(-n // 3)


def _cut_appended(data: bytes) -> tuple[bytes, tuple[str, bytes]]:
    """The file without its appended data, which may be no XML; and their encoding and bytes."""
    start = re.search(rb"<AppendedData([^>]*)>\s*_", data)
    end = data.rfind(b"</AppendedData>")
    if start is None or end < start.end():
        return data, ("", b"")
    encoding = "raw" if b"raw" in start.group(1) else "base64"
    block = data[start.end() : end]
    return data[: start.start()] + data[end + len(b"</AppendedData>") :], (encoding, block)
