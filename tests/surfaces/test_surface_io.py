"""Surface files: every format read and written, frames and units that cannot be meant refused."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from surface_shapes import bumpy_torus

from fesolver.errors import InputError
from fesolver.surfaces.axes import axes_matrix
from fesolver.surfaces.formats import Polygons
from fesolver.surfaces.io import SURFACE_FORMATS, read_surface, write_surface
from fesolver.surfaces.surface import TriangleSurface

SQUARE = np.array([[0, 0, 0], [30, 0, 1], [28, 38, 16], [0, 40, 17]], float)  # the diagonal 0-2 is the shorter
TWO = [[0, 1, 2], [0, 2, 3]]


def corners_of(surface: TriangleSurface) -> np.ndarray:
    """Coordinates of every triangle's corners."""
    return surface.points[surface.triangles]


@pytest.mark.parametrize("suffix", SURFACE_FORMATS)
def test_a_surface_written_and_read_again_is_the_same(tmp_path, suffix):
    surface = bumpy_torus()
    path = tmp_path / f"L1{suffix}"

    write_surface(surface, path)
    again = read_surface(path, axes="LPS", unit="mm")

    # STL holds float32: half a unit in the last place of 28 mm.
    assert_allclose(corners_of(again), corners_of(surface), rtol=0, atol=1e-6 if suffix == ".stl" else 0)
    assert len(again.points) == len(surface.points)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SURFACE_FORMATS)
def test_the_same_surface_is_the_same_file(tmp_path, suffix):
    write_surface(bumpy_torus(), tmp_path / f"a{suffix}")
    write_surface(bumpy_torus(), tmp_path / f"b{suffix}")

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("axes", "left", "posterior", "superior"),
    [("LPS", (1, 0, 0), (0, 1, 0), (0, 0, 1)), ("RAS", (-1, 0, 0), (0, -1, 0), (0, 0, 1)),
     ("ALS", (0, 1, 0), (-1, 0, 0), (0, 0, 1)), ("SLP", (0, 1, 0), (0, 0, 1), (1, 0, 0)),
     ("PIR", (0, 0, -1), (1, 0, 0), (0, -1, 0))],
)  # fmt: skip
def test_what_points_left_in_the_file_points_left_in_the_package(axes, left, posterior, superior):
    assert_array_equal(np.array([left, posterior, superior], float) @ axes_matrix(axes), np.eye(3))


def test_reading_in_other_axes_and_units_turns_and_scales_and_keeps_the_outside_outside(tmp_path):
    surface = bumpy_torus()
    in_cm = TriangleSurface(surface.points @ axes_matrix("PIR").T / 10.0, surface.triangles)
    write_surface(in_cm, tmp_path / "L1.ply")

    again = read_surface(tmp_path / "L1.ply", axes="PIR", unit="cm")

    assert_allclose(again.points, surface.points, atol=1e-14)  # one division and one product of 28
    assert_allclose(again.volume, surface.volume, rtol=1e-13)
    assert again.volume > 0


@pytest.mark.parametrize(
    ("axes", "words"),
    [("ARS", ["left-handed", "PRS", "ALS", "ARI"]), ("LAS", ["left-handed", "RAS"]), ("LPX", ["three letters"]),
     ("LRS", ["twice"]), ("", ["three letters"]), ("LPSL", ["three letters"])],
)  # fmt: skip
def test_axes_that_are_no_right_handed_frame_are_refused(tmp_path, axes, words):
    write_surface(bumpy_torus(), tmp_path / "L1.ply")

    with pytest.raises(InputError) as refused:
        read_surface(tmp_path / "L1.ply", axes=axes, unit="mm")

    assert "L1.ply" in refused.value.where
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("scale", "unit", "fitting"), [(1e-3, "mm", '"m"'), (0.1, "mm", '"cm"'), (1.0, "cm", '"mm"'), (1.0, "m", '"mm"')]
)
def test_a_unit_that_makes_no_vertebra_is_refused_and_the_fitting_one_named(tmp_path, scale, unit, fitting):
    surface = bumpy_torus()
    write_surface(TriangleSurface(surface.points * scale, surface.triangles), tmp_path / "L1.ply")

    with pytest.raises(InputError, match=f"write unit = {fitting}"):
        read_surface(tmp_path / "L1.ply", axes="LPS", unit=unit)


def test_a_unit_that_is_not_known_is_refused(tmp_path):
    write_surface(bumpy_torus(), tmp_path / "L1.ply")

    with pytest.raises(InputError, match="'inch' is not known"):
        read_surface(tmp_path / "L1.ply", axes="LPS", unit="inch")


def test_quadrilaterals_are_cut_along_the_shorter_diagonal_and_polygons_into_fans():
    kite = np.array([[0, 0, 0], [1, -1, 0], [9, 0, 0], [1, 1, 0], [0, 5, 0]], float)

    quads = Polygons(kite, np.array([0, 1, 2, 3]), np.array([4])).triangles()
    turned = Polygons(kite, np.array([1, 2, 3, 0]), np.array([4])).triangles()
    both = Polygons(kite, np.array([0, 1, 2, 0, 1, 2, 3, 4]), np.array([3, 5])).triangles()

    for cut in (quads, turned):  # both keep the diagonal from 1 to 3, and the direction
        assert {tuple(np.roll(t, -int(np.argmin(t)))) for t in cut} == {(1, 2, 3), (0, 1, 3)}
    assert both.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4]]


def vtp(points: str, connectivity: str, offsets: str, *, head: str = "", tail: str = "") -> bytes:
    """A VTP file of four points; arrays as given."""
    return (
        f'<?xml version="1.0"?><VTKFile type="PolyData" version="0.1" byte_order="LittleEndian" {head}><PolyData>'
        '<Piece NumberOfPoints="4" NumberOfPolys="2" NumberOfStrips="0"><PointData/>'
        f'<Points><DataArray type="Float32" NumberOfComponents="3" {points}</DataArray></Points><Polys>'
        f'<DataArray type="Int32" Name="connectivity" {connectivity}</DataArray>'
        f'<DataArray type="Int32" Name="offsets" {offsets}</DataArray></Polys></Piece></PolyData>{tail}</VTKFile>'
    ).encode("latin-1")


RAW = [SQUARE.astype("<f4").tobytes(), np.array(TWO, "<i4").tobytes(), np.array([3, 6], "<i4").tobytes()]


def plain(raw: bytes) -> bytes:
    """An array behind its length, as VTK stores it."""
    return struct.pack("<I", len(raw)) + raw


def packed(raw: bytes, size: int = 16) -> tuple[bytes, bytes]:
    """Header and body of an array in zlib blocks."""
    blocks = [zlib.compress(raw[k : k + size]) for k in range(0, len(raw), size)]
    header = struct.pack(f"<{3 + len(blocks)}I", len(blocks), size, len(raw) % size, *map(len, blocks))
    return header, b"".join(blocks)


def appended(parts: list[bytes], encoding: str, head: str = "") -> bytes:
    """A VTP file with its arrays at the end."""
    starts = np.cumsum([0, *map(len, parts)])
    block = b"".join(parts).decode("latin-1")
    tail = f'<AppendedData encoding="{encoding}">\n _{block}\n</AppendedData>'
    return vtp(*(f'format="appended" offset="{k}">' for k in starts[:3]), head=head, tail=tail)


ZLIB = 'compressor="vtkZLibDataCompressor"'
VTP_FILES = {
    "ascii": vtp(
        f'format="ascii">{" ".join(map(str, SQUARE.ravel()))}', 'format="ascii">0 1 2\n0 2 3', 'format="ascii">3 6'
    ),
    "binary": vtp(*(f'format="binary">\n{base64.b64encode(plain(raw)).decode()}\n' for raw in RAW)),
    "binary, header apart": vtp(
        *(f'format="binary">{(base64.b64encode(plain(r)[:4]) + base64.b64encode(r)).decode()}' for r in RAW)
    ),
    "binary, zlib": vtp(
        *(f'format="binary">{"".join(base64.b64encode(part).decode() for part in packed(raw))}' for raw in RAW),
        head=ZLIB,
    ),
    "appended, raw": appended([plain(raw) for raw in RAW], "raw"),
    "appended, raw, zlib": appended([b"".join(packed(raw)) for raw in RAW], "raw", ZLIB),
    "appended, base64": appended([base64.b64encode(plain(raw)) for raw in RAW], "base64"),
    "appended, base64, zlib": appended(
        [b"".join(map(base64.b64encode, packed(raw))) for raw in RAW], "base64", ZLIB
    ),
}  # fmt: skip
POINT_ROWS = "\n".join(f"{x} {y} {z}" for x, y, z in SQUARE)
PLY_HEAD = "ply\nformat {} 1.0\ncomment made by hand\nobj_info none\nelement vertex 4\n"
OTHER_FILES = {
    "ascii.stl": "solid L1\n"
    + "".join(
        "facet normal 0 0 0\n outer loop\n" + "".join("  vertex {} {} {}\n".format(*SQUARE[k]) for k in t)
        + " endloop\nendfacet\n"
        for t in TWO
    )
    + "endsolid L1\n",
    "quad.ply": PLY_HEAD.format("ascii")
    + "property float x\nproperty float y\nproperty float z\nproperty uchar red\nelement face 1\n"
    "property list uchar int vertex_index\nproperty uchar flag\nend_header\n"
    + "".join("{} {} {} 200\n".format(*row) for row in SQUARE) + "4 0 1 2 3 7\n",
    "quad.obj": f"# by hand\nmtllib x\ng one\n{'v ' + POINT_ROWS.replace(chr(10), chr(10) + 'v ')} 0.5 0.5 0.5\n"
    "vn 0 0 1\nvt 0 0\ns off\nf 1/1/1 2/1/1 3//1 4\n",
    "negative.obj": f"{'v ' + POINT_ROWS.replace(chr(10), chr(10) + 'v ')}\nf -4 -3 -2\nf -4 -2 \\\n-1\n",
}  # fmt: skip


def big_endian_ply() -> bytes:
    """Binary PLY with an attribute before the list, and lists of several lengths."""
    head = PLY_HEAD.format("binary_big_endian") + (
        "property double x\nproperty double y\nproperty double z\nelement face 2\nproperty float area\n"
        "property list ushort uint vertex_indices\nelement edge 1\nproperty int a\nend_header\n"
    )
    faces = struct.pack(">fH3I", 1.0, 3, 0, 1, 2) + struct.pack(">fH4I", 2.0, 4, 0, 2, 3, 3)
    return head.encode() + SQUARE.astype(">f8").tobytes() + faces + struct.pack(">i", 5)


def solid_binary_stl() -> bytes:
    """Binary STL that starts with the word of the ASCII ones."""
    body = b"".join(struct.pack("<12fH", 0, 0, 0, *SQUARE[t].ravel(), 0) for t in TWO)
    return b"solid made by a scanner".ljust(80) + struct.pack("<I", 2) + body


FILES: dict[str, bytes] = {f"{name}.vtp": data for name, data in VTP_FILES.items()}
FILES |= {name: text.encode() for name, text in OTHER_FILES.items()} | {"solid.stl": solid_binary_stl()}


@pytest.mark.parametrize("name", FILES)
def test_every_dialect_of_every_format_gives_the_same_two_triangles(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FILES[name])

    surface = read_surface(path, axes="LPS", unit="mm")

    assert len(surface.points) == 4
    assert_array_equal(
        corners_of(surface)[np.lexsort(surface.centers.T)], SQUARE[TWO][np.lexsort(SQUARE[TWO].mean(1).T)]
    )


def test_a_binary_ply_with_attributes_and_lists_of_several_lengths_is_read(tmp_path):
    (tmp_path / "a.ply").write_bytes(big_endian_ply())

    surface = read_surface(tmp_path / "a.ply", axes="LPS", unit="mm")

    assert_array_equal(surface.points, SQUARE)
    assert surface.triangles[0].tolist() == [0, 1, 2]
    assert len(surface.triangles) == 3


def test_pieces_of_a_vtp_are_joined(tmp_path):
    whole = FILES["ascii.vtp"].decode()
    start, end = whole.index("<Piece"), whole.index("</PolyData>")
    (tmp_path / "a.vtp").write_text(whole[:end] + whole[start:end].replace("30.0", "33.0") + whole[end:])

    surface = read_surface(tmp_path / "a.vtp", axes="LPS", unit="mm")

    moved = np.where(SQUARE == 30, 33, SQUARE)
    assert_array_equal(surface.points, np.concatenate([SQUARE, moved]))
    assert_array_equal(corners_of(surface), np.concatenate([SQUARE[TWO], moved[TWO]]))


@pytest.mark.parametrize("name", [*FILES, "big.ply"])
def test_a_file_that_ends_early_is_refused_with_its_name(tmp_path, name):
    whole = FILES.get(name) or big_endian_ply()
    (tmp_path / name).write_bytes(whole[: int(0.93 * len(whole))])

    with pytest.raises(InputError) as refused:
        read_surface(tmp_path / name, axes="LPS", unit="mm")

    assert name in refused.value.where


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("a.vtp", b"<VTKFile type='UnstructuredGrid'/>", "UnstructuredGrid, not VTK's PolyData"),
     ("a.vtp", FILES["binary.vtp"].replace(b"byte_order", b'compressor="vtkLZ4DataCompressor" byte_order'), "LZ4"),
     ("a.vtp", FILES["ascii.vtp"].replace(b'Strips="0"', b'Strips="1"'), "strips"),
     ("a.ply", b"solid x", "no PLY header"), ("a.obj", b"v 0 0 0\n", "no faces"), ("a.obj", b"", "no faces"),
     ("a.obj", b"v 0 0 0\nf 1 1 9\n", "names point 8, there are 1"), ("a.obj", b"v 0 0 0\nf 0 1 1\n", "counts from 1"),
     ("a.stl", b"x" * 200, "announces"), ("a.obj", b"v 0 0 nan\nf 1 1 1\n", "finite"),
     ("a.step", b"", "no surface format"), ("a", b"", "without an ending")],
)  # fmt: skip
def test_what_is_no_surface_is_refused_in_one_message(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=words) as refused:
        read_surface(tmp_path / name, axes="LPS", unit="mm")

    assert str(tmp_path / name) in refused.value.where
    assert refused.value.fix


def test_a_missing_file_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_surface(tmp_path / "L9.stl", axes="LPS", unit="mm")
    with pytest.raises(InputError, match="cannot be written"):
        write_surface(bumpy_torus(), tmp_path / "none" / "L9.stl")


def test_points_of_an_stl_that_differ_by_its_round_off_are_one(tmp_path):
    surface = bumpy_torus()
    corners = corners_of(surface).astype(np.float32)
    corners += np.random.default_rng(0).choice([-1, 0, 1], corners.shape) * np.spacing(corners)
    body = b"".join(struct.pack("<12fH", 0, 0, 0, *c.ravel(), 0) for c in corners)
    (tmp_path / "L1.stl").write_bytes(bytes(80) + struct.pack("<I", len(corners)) + body)

    assert len(read_surface(tmp_path / "L1.stl", axes="LPS", unit="mm").points) == len(surface.points)
