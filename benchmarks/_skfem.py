"""scikit-fem on a saved `SolidModel`: assembly. Run by the interpreter of the peers' environment.

Its mesh has the model's corners; the space's own places tell where a field is evaluated. Quadrature is lowered from its
default to what the others use: degree 2 for tet10, 3 (2 x 2 x 2 points) for hex8, 1 for tet4. It keeps nothing between
two assemblies.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _common import Record, answer_child, peak_mb
from _solid_models import SolidModel, smooth_fields

DEGREE = {"hex8": 3, "tet4": 1, "tet10": 2}
HEX_NODES = [0, 4, 3, 1, 7, 5, 2, 6]
"""VTK's corners of a hexahedron in its order, as its own reader of meshes has them
(`skfem.io.meshio.INV_HEX_MAPPING`)."""


def build_basis(model: SolidModel) -> Any:
    """Mesh and vector space of a model."""
    import skfem

    if model.element == "hex8":
        mesh: Any = skfem.MeshHex(model.points.T, model.cells[:, HEX_NODES].T)
        element: Any = skfem.ElementHex1()
    else:
        corners = model.cells[:, :4]
        mesh = skfem.MeshTet(model.points[: int(corners.max()) + 1].T.copy(), corners.T.copy())
        element = skfem.ElementTetP2() if model.element == "tet10" else skfem.ElementTetP1()
    return skfem.Basis(mesh, skfem.ElementVector(element), intorder=DEGREE[model.element])


def components(basis: Any) -> np.ndarray:
    """Component (n_dof,) of every unknown."""
    out = np.empty(basis.N, dtype=np.int64)
    for rows in (basis.nodal_dofs, basis.edge_dofs):
        for component, row in enumerate(rows):
            out[row] = component
    return out


def assemble(path: str, threads: int, repeats: int) -> Record:
    """Seconds of set-up, first assembly and re-assembly, and the products that are compared."""
    import skfem
    from skfem.models.elasticity import lame_parameters, linear_elasticity

    model = SolidModel.load(path)
    start = time.perf_counter()
    basis = build_basis(model)
    form = linear_elasticity(*lame_parameters(float(model.young[0]), float(model.poisson[0])))
    form = skfem.BilinearForm(form.form, nthreads=threads)
    clock = [time.perf_counter()]
    for _ in range(repeats + 1):
        K = form.assemble(basis)
        clock.append(time.perf_counter())
    peak = peak_mb()
    u, v = (
        values[np.arange(basis.N), components(basis)] for values in smooth_fields(np.ascontiguousarray(basis.doflocs.T))
    )
    spans = np.diff(clock).tolist()
    return {
        "setup_s": clock[0] - start, "first_s": spans[0], "again_s": min(spans), "again_runs": spans[1:],
        "peak_mb": peak, "v_k_u": float(v @ (K @ u)), "u_k_u": float(u @ (K @ u)), "n_dof": int(K.shape[0]),
        "version": skfem.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    answer_child(assemble)
