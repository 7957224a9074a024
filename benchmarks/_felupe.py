"""FElupe on a saved `SolidModel`: assembly. Run by the interpreter of the peers' environment.

Its points are the model's points, its quadrature that of the element by default: 2 x 2 x 2 points (hex8), 4 (tet10), 1
(tet4). The four points of its tet10 are written with eight digits, which moves v.K u by 3e-10: here they have all. It
keeps the sparsity of a matrix, so only its first assembly makes one.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _common import Record, answer_child, peak_mb
from _solid_models import SolidModel, smooth_fields

KINDS = {
    "hex8": ("hexahedron", "RegionHexahedron"),
    "tet4": ("tetra", "RegionTetra"),
    "tet10": ("tetra10", "RegionQuadraticTetra"),
}
"""Name of the cells, and class of the region."""


def exact_rule() -> Any:
    """The four-point rule of degree 2 on the unit tetrahedron, in full precision."""
    from felupe.quadrature import Scheme

    a, b = (5.0 - np.sqrt(5.0)) / 20.0, (5.0 + 3.0 * np.sqrt(5.0)) / 20.0
    return Scheme(np.array([[a, a, a], [b, a, a], [a, b, a], [a, a, b]]), np.ones(4) / 24.0)


def assemble(path: str, threads: int, repeats: int) -> Record:
    """Seconds of set-up, first assembly and re-assembly, and the products that are compared."""
    import felupe

    model = SolidModel.load(path)
    kind, region = KINDS[model.element]
    options = {"quadrature": exact_rule()} if model.element == "tet10" else {}
    start = time.perf_counter()
    mesh = felupe.Mesh(model.points, model.cells, kind)
    field = felupe.FieldContainer([felupe.Field(getattr(felupe, region)(mesh, **options), dim=3)])
    material = felupe.LinearElastic(E=float(model.young[0]), nu=float(model.poisson[0]))
    solid = felupe.SolidBody(material, field)
    clock = [time.perf_counter()]
    for _ in range(repeats + 1):
        K = solid.assemble.matrix(parallel=threads > 1)
        clock.append(time.perf_counter())
    peak = peak_mb()
    u, v = (values.ravel() for values in smooth_fields(model.points))
    spans = np.diff(clock).tolist()
    return {
        "setup_s": clock[0] - start, "first_s": spans[0], "again_s": min(spans[1:]), "again_runs": spans[1:],
        "peak_mb": peak, "v_k_u": float(v @ (K @ u)), "u_k_u": float(u @ (K @ u)), "n_dof": int(K.shape[0]),
        "version": felupe.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    answer_child(assemble)
