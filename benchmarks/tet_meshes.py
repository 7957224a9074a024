"""Seconds and memory of tetrahedral meshes: parametric bodies and, where FESOLVER_DATA is set, scanner surfaces.

    python benchmarks/tet_meshes.py [--quick]

Reading and telling parts apart, then the mesh (remeshing, filling, discs, layers); for one surface also remeshing and
filling apart. gmsh meshes on one thread. Each case in a process of its own, kernels warm: a small mesh comes first.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _common import Record, answer_child, markdown, parser, run_child, write_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fesolver.surfaces.vertebra import VertebraSurface

CASES: dict[str, dict[str, Any]] = {
    "parametric L1, 2 mm": {"levels": ["L1"], "size": 2.0, "inside": 3.0},
    "parametric L1, 1 mm": {"levels": ["L1"], "size": 1.0, "inside": 1.5},
    "surface L3, 2 mm": {"levels": ["L3"], "size": 2.0, "inside": 3.0, "is_scan": True},
    "surface L3, 1 mm": {"levels": ["L3"], "size": 1.0, "inside": 2.2, "is_scan": True},
    "surfaces L1-L3 with discs, 2 mm": {"levels": ["L1", "L2", "L3"], "size": 2.0, "inside": 3.0, "is_scan": True},
    "surfaces L1-L3 with discs, 1.8 mm": {"levels": ["L1", "L2", "L3"], "size": 1.8, "inside": 2.8, "is_scan": True},
}


def mesh(levels: list[str], size: float, inside: float, is_scan: bool = False) -> Record:
    """Mesh one case; seconds by stage, cells, quality."""
    from fesolver.meshing.quality import mesh_quality
    from fesolver.meshing.tet_volume import fill_surface
    from fesolver.meshing.tetrahedra import mesh_surfaces
    from fesolver.surfaces.remesh import remesh_surface

    warm = vertebrae(["L1"], 6.0, is_scan=False)
    mesh_surfaces(warm, size_mm=6.0, size_inside_mm=8.0)
    begin = time.perf_counter()
    given = vertebrae(levels, size, is_scan=is_scan)
    read = time.perf_counter()
    made = mesh_surfaces(given, size_mm=size, size_inside_mm=inside, element="tet10").mesh
    end = time.perf_counter()
    quality = mesh_quality(made.points, made.cells, made.element).scaled_jacobian
    out: Record = {
        "cells": len(made.cells),
        "points": len(made.points),
        "seconds_read": read - begin,
        "seconds_mesh": end - read,
        "least_scaled_jacobian": float(quality.min()),
        "cells_below_0.2": int((quality < 0.2).sum()),
    }
    if len(levels) == 1:
        start = time.perf_counter()
        surface = remesh_surface(given[0].surface, size, tags=given[0].kind)[0]
        between = time.perf_counter()
        fill_surface(surface, size_mm=size, size_inside_mm=inside, name=levels[0])
        out |= {"seconds_remesh": between - start, "seconds_fill": time.perf_counter() - between}
    return out


def vertebrae(levels: list[str], size: float, *, is_scan: bool) -> list[VertebraSurface]:
    """Vertebrae with their parts: parametric bodies, or the shared surfaces."""
    from fesolver.anatomy.column import build_column
    from fesolver.surfaces.from_column import body_surface
    from fesolver.surfaces.io import read_surface
    from fesolver.surfaces.repair import require_valid
    from fesolver.surfaces.vertebra import vertebra_parts

    if not is_scan:
        return [vertebra_parts(body_surface(v, edge_mm=size)[0], v.level) for v in build_column(levels).vertebrae]
    folder = Path(os.environ["FESOLVER_DATA"]) / "surfaces_L1_L5"
    out = []
    for level in levels:
        surface, _ = require_valid(read_surface(folder / f"{level}.ply", axes="ALS", unit="mm"), level)
        out.append(vertebra_parts(surface, level))
    return out


def draw(rows: list[Record]) -> Figure:
    """Seconds over cells."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
    for row in rows:
        axes.plot(row["cells"] / 1e3, row["seconds_mesh"], "o", color="#0072B2")
        left = row["cells"] > 0.6 * max(other["cells"] for other in rows)
        axes.annotate(
            row["case"], (row["cells"] / 1e3, row["seconds_mesh"]), xytext=(-5 if left else 5, 4),
            textcoords="offset points", ha="right" if left else "left",
        )  # fmt: skip
    axes.axhline(30.0, color="0.6", linestyle="--")
    axes.axvline(100.0, color="0.6", linestyle="--")
    axes.set(xlabel="Cells (thousands)", ylabel="Seconds of the mesh", xlim=(0, None), ylim=(0, None))
    axes.margins(x=0.35)
    return figure


def main() -> None:
    """Run all cases."""
    given = parser(__doc__).parse_args()
    rows: list[Record] = []
    for name, case in CASES.items():
        if case.get("is_scan") and "FESOLVER_DATA" not in os.environ:
            print(f"{name}: left out, FESOLVER_DATA is not set")
            continue
        if given.quick and case["size"] < 2.0:
            continue
        child = run_child(__file__, "mesh", case, threads=1)
        rows.append({"case": name, "peak_mb": child.peak_mb, **child.result})
        print(f"{name}: {rows[-1]['cells']} cells, {rows[-1]['seconds_mesh']:.1f} s", flush=True)
    header = ["case", "tet10 cells", "read and parts (s)", "mesh (s)", "remesh (s)", "fill (s)"]
    header += ["least scaled Jacobian", "cells below 0.2", "peak (MB)"]
    cells = [
        [
            row["case"], f"{row['cells']:,}".replace(",", " "),
            *(f"{row[key]:.1f}" for key in ("seconds_read", "seconds_mesh")),
            *(f"{row[key]:.1f}" if key in row else "-" for key in ("seconds_remesh", "seconds_fill")),
            f"{row['least_scaled_jacobian']:.2f}", str(row["cells_below_0.2"]), f"{row['peak_mb']:.0f}",
        ]
        for row in rows
    ]  # fmt: skip
    write_results("tet_meshes", {"cases": rows}, markdown(header, cells), draw(rows), is_quick=given.quick)


if __name__ == "__main__" and not answer_child(mesh):
    main()
