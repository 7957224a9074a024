"""NGSolve on a saved `SolidModel`: assembly, and set-up plus solve. Run by the interpreter of the peers' environment.

Its mesh is built from the same points and corners, in the same order. The space of order 2 has no basis function that
belongs to a mid-side node: on the straight edge (a, b) it has s lambda_a lambda_b, s read from the space. So a nodal
field has the coefficient (u_mid - (u_a + u_b) / 2) / (s / 4) there, and nodal forces and residuals follow by the
transposed map (`NodalMap`). Order 1 has the nodal basis itself.

The form is 2 mu eps(u) : grad v + lambda div u div v, the fastest of four ways to write it that were tried.

Solving: of what the wheel brings for elasticity, `SOLVERS` lists what gives an answer. On the bone-disc segment "h1amg"
(on the vector space, or on each component's Laplacian) does not converge in 200 to 400 iterations, "bddc" and
"multigrid" have no coarser level on one mesh of order 1 or 2 and factorise the whole matrix, and Pardiso needs MKL.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from _common import Record, answer_child, peak_mb
from _solid_models import TET_EDGES, Floats, Ids, SolidModel, smooth_fields

HEAP_BYTES = 100_000_000
SPACES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "VectorH1": ("VectorH1", {}, {}),
    "VectorH1, half": ("VectorH1", {}, {"symmetric_storage": True}),
    "H1 of dim 3": ("H1", {"dim": 3}, {}),
    "H1 of dim 3, half": ("H1", {"dim": 3}, {"symmetric_storage": True}),
}
"""Space and options of each way to assemble; "half" stores the lower triangle only.

`interleaved=True` of VectorH1 is left out: in version 6.2.2608 its matrix gives another v.K u than all others."""

SOLVERS = {"local": (False, "local"), "sparsecholesky": (True, "sparsecholesky")}
"""Whether it is a factorisation, and NGSolve's name of it: Jacobi (3 x 3 blocks) with CG, or block Cholesky."""

FACES = {8: ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
         4: ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))}  # fmt: skip
"""Corners of each face of a hexahedron and of a tetrahedron."""


def corner_count(model: SolidModel) -> int:
    """Corners of a cell."""
    return 8 if model.element == "hex8" else 4


def build_mesh(model: SolidModel) -> Any:
    """NGSolve's mesh of the corners, the held faces its only boundary elements."""
    import netgen.meshing as netgen
    import ngsolve

    corners = np.ascontiguousarray(model.cells[:, : corner_count(model)].astype(np.int32))
    is_held = np.zeros(len(model.points), dtype=bool)
    is_held[model.fixed_points] = True
    faces = np.concatenate([corners[:, face] for face in FACES[corners.shape[1]]])
    mesh = netgen.Mesh(3)
    mesh.AddPoints(np.ascontiguousarray(model.points[: int(corners.max()) + 1]))
    mesh.Add(netgen.FaceDescriptor(surfnr=1, domin=1, domout=0, bc=1))
    mesh.AddElements(3, 1, corners, 0)
    mesh.AddElements(2, 1, np.ascontiguousarray(faces[is_held[faces].all(axis=1)]), 0)
    return ngsolve.Mesh(mesh)


@dataclass(frozen=True)
class NodalMap:
    """Between values at points and coefficients of a space.

    Parameters
    ----------
    n_points : int
        Points of the model.
    corner_points : (n,) ndarray of int64
        Points that are vertices: 0 to n - 1.
    ends, mid, dof : (m, 2), (m,), (m,) ndarray of int64
        Of every edge: its corners, its mid-side point, its coefficient (of one component).
    value : float
        Of an edge's basis function at its middle.
    """

    n_points: int
    corner_points: Ids
    ends: Ids
    mid: Ids
    dof: Ids
    value: float

    def coefficients(self, u: Floats) -> Floats:
        """Coefficients (n_points, 3), in the order of the space, of a field (n_points, 3)."""
        out = np.zeros_like(u)
        out[self.corner_points] = u[self.corner_points]
        if len(self.mid):
            out[self.dof] = (u[self.mid] - 0.5 * (u[self.ends[:, 0]] + u[self.ends[:, 1]])) / self.value
        return out

    def field(self, c: Floats) -> Floats:
        """The inverse of `coefficients`."""
        out = np.zeros_like(c)
        out[self.corner_points] = c[self.corner_points]
        if len(self.mid):
            out[self.mid] = c[self.dof] * self.value + 0.5 * (c[self.ends[:, 0]] + c[self.ends[:, 1]])
        return out

    def functional(self, f: Floats) -> Floats:
        """What forces (n_points, 3) at points do to coefficients: the transpose of `field`."""
        out = np.zeros_like(f)
        out[self.corner_points] = f[self.corner_points]
        if len(self.mid):
            out[self.dof] = f[self.mid] * self.value
            for end in self.ends.T:
                np.add.at(out, end, 0.5 * f[self.mid])
        return out

    def forces(self, g: Floats) -> Floats:
        """The inverse of `functional`: the transpose of `coefficients`."""
        out = np.zeros_like(g)
        out[self.corner_points] = g[self.corner_points]
        if len(self.mid):
            at_mid = g[self.dof] / self.value
            out[self.mid] = at_mid
            for component in range(3):
                for end in self.ends.T:
                    out[:, component] -= 0.5 * np.bincount(end, at_mid[:, component], minlength=len(out))
        return out


def nodal_map(model: SolidModel, mesh: Any) -> NodalMap:
    """The map of a model's points to the coefficients of a space of its order."""
    from ngsolve import H1, GridFunction

    none = np.zeros(0, np.int64)
    n_corners = int(model.cells[:, : corner_count(model)].max()) + 1
    if model.element != "tet10":
        return NodalMap(len(model.points), np.arange(n_corners), np.zeros((0, 2), np.int64), none, none, 1.0)
    space = H1(mesh, order=2)
    edges = list(mesh.edges)
    ends = np.array([[vertex.nr for vertex in edge.vertices] for edge in edges])
    dof = np.array([space.GetDofNrs(edge)[0] for edge in edges])
    pairs = np.sort(model.cells[:, TET_EDGES], axis=2).reshape(-1, 2)
    key, first = np.unique(pairs[:, 0] * n_corners + pairs[:, 1], return_index=True)
    ordered = np.sort(ends, axis=1)
    at = np.searchsorted(key, ordered[:, 0] * n_corners + ordered[:, 1])
    mid = model.cells[:, 4:].ravel()[first][at]
    bubble = GridFunction(space)
    bubble.vec[int(dof[0])] = 1.0
    value = float(bubble(mesh(*model.points[mid[0]])))
    return NodalMap(len(model.points), np.arange(n_corners), ends, mid, dof, value)


def as_vector(array: Floats, vector: Any, *, by_point: bool) -> None:
    """Put (n, 3) values into a vector whose entries run point by point, or component by component."""
    vector.FV().NumPy()[:] = (array if by_point else array.T).ravel()


def as_array(vector: Any, *, by_point: bool) -> Floats:
    """Values (n, 3) of such a vector."""
    flat = np.array(vector.FV().NumPy())
    return flat.reshape(-1, 3) if by_point else np.ascontiguousarray(flat.reshape(3, -1).T)


def bilinear_form(space: Any, lam: Any, mu: Any, **options: Any) -> Any:
    """The form of linear elasticity, not assembled yet."""
    from ngsolve import BilinearForm, Grad, InnerProduct, Trace, dx

    u, v = space.TnT()
    strain = 0.5 * (Grad(u) + Grad(u).trans)
    form = BilinearForm(space, **options)
    form += InnerProduct(2.0 * mu * strain, Grad(v)) * dx + lam * Trace(Grad(u)) * Trace(Grad(v)) * dx
    return form


def moduli(model: SolidModel, mesh: Any) -> tuple[Any, Any]:
    """Lame's constants as functions on a mesh: numbers of a uniform model, else one value per cell."""
    from ngsolve import L2, GridFunction

    E, nu = model.young, model.poisson
    lam, mu = E * nu / ((1.0 + nu) * (1.0 - 2.0 * nu)), E / (2.0 * (1.0 + nu))
    if np.ptp(E) == 0 and np.ptp(nu) == 0:
        return float(lam[0]), float(mu[0])
    out = []
    for values in (lam, mu):
        function = GridFunction(L2(mesh, order=0))
        function.vec.FV().NumPy()[:] = values
        out.append(function)
    return out[0], out[1]


def assemble(path: str, threads: int, repeats: int, way: str) -> Record:
    """Seconds of set-up, first assembly and re-assembly of one of `SPACES`, and the products that are compared."""
    import ngsolve

    ngsolve.SetNumThreads(threads)
    ngsolve.SetHeapSize(HEAP_BYTES)
    model = SolidModel.load(path)
    kind, of_space, of_form = SPACES[way]
    with ngsolve.TaskManager():
        start = time.perf_counter()
        mesh = build_mesh(model)
        space = getattr(ngsolve, kind)(mesh, order=2 if model.element == "tet10" else 1, **of_space)
        form = bilinear_form(space, *moduli(model, mesh), **of_form)
        clock = [time.perf_counter()]
        for _ in range(repeats + 1):
            form.Assemble()
            clock.append(time.perf_counter())
        peak = peak_mb()
        nodal = nodal_map(model, mesh)
        by_point = bool(of_space)
        fields = []
        for field in smooth_fields(model.points):
            vector = ngsolve.GridFunction(space).vec
            as_vector(nodal.coefficients(field), vector, by_point=by_point)
            fields.append(vector)
        product = form.mat.CreateColVector()
        product.data = form.mat * fields[0]
        v_k_u, u_k_u = (float(ngsolve.InnerProduct(field, product)) for field in reversed(fields))
    spans = np.diff(clock).tolist()
    return {
        "setup_s": clock[0] - start, "first_s": spans[0], "again_s": min(spans[1:]), "again_runs": spans[1:],
        "peak_mb": peak, "v_k_u": v_k_u, "u_k_u": u_k_u, "n_dof": int(space.ndof) * (3 if kind == "H1" else 1),
        "version": ngsolve.__version__,
    }  # fmt: skip


def conjugate_gradients(A: Any, pre: Any, b: Any, free: Any, rtol: float, limit_s: float, norm: Any) -> Record:
    """Preconditioned conjugate gradients until `norm` of the residual is below `rtol`, on the free unknowns.

    Returns
    -------
    dict
        `x`, `iterations`, `residual` (relative, by `norm`) and `seconds`.
    """
    from ngsolve import InnerProduct, Norm, Projector

    start = time.perf_counter()
    keep = Projector(free, True)
    x, r, z, p, q = (b.CreateVector() for _ in range(5))
    x[:] = 0.0
    r.data = keep * b
    first, target = norm(r), rtol
    z.data = pre * r
    p.data = z
    rz, size, own, iterations = InnerProduct(r, z), 1.0, Norm(r), 0
    while size > rtol and time.perf_counter() - start < limit_s:
        q.data = A * p
        keep.Project(q)
        alpha = rz / InnerProduct(p, q)
        x.data += alpha * p
        r.data -= alpha * q
        iterations += 1
        if Norm(r) <= target * own:  # the norm in the space's own basis is quick; the other is asked for only then
            r.data = keep * (b - A * x)
            size = norm(r) / first
            target *= 0.5
        z.data = pre * r
        rz, before = InnerProduct(r, z), rz
        p *= rz / before
        p.data += z
    return {"x": x, "iterations": iterations, "residual": size, "seconds": time.perf_counter() - start}


def solve(path: str, answer: str, threads: int, rtol: float, solver: str, limit_s: float) -> Record:
    """Solve a model with one of `SOLVERS`; displacements (n_points, 3) go to `answer` (.npy)."""
    import ngsolve

    ngsolve.SetNumThreads(threads)
    ngsolve.SetHeapSize(HEAP_BYTES)
    model = SolidModel.load(path)
    is_direct, name = SOLVERS[solver]
    with ngsolve.TaskManager():
        start = time.perf_counter()
        mesh = build_mesh(model)
        meshed = time.perf_counter()
        order = 2 if model.element == "tet10" else 1
        space = ngsolve.H1(mesh, order=order, dim=3, dirichlet=".*")
        form = bilinear_form(space, *moduli(model, mesh))
        pre = None if is_direct else ngsolve.Preconditioner(form, name)
        form.Assemble()
        assembled = time.perf_counter()
        if is_direct:
            pre = form.mat.Inverse(space.FreeDofs(), inverse=name)
        prepared = time.perf_counter()
        nodal = nodal_map(model, mesh)
        b = form.mat.CreateColVector()
        as_vector(nodal.functional(model.force), b, by_point=True)

        def norm(r: Any) -> float:
            return float(np.linalg.norm(nodal.forces(as_array(r, by_point=True))))

        found = conjugate_gradients(form.mat, pre, b, space.FreeDofs(), rtol, limit_s, norm)
        np.save(answer, nodal.field(as_array(found["x"], by_point=True)))
    return {
        "mesh_s": meshed - start, "assembly_s": assembled - meshed, "setup_s": prepared - meshed,
        "solve_s": found["seconds"], "overall_s": prepared - meshed + found["seconds"],
        "iterations": found["iterations"], "own_residual": found["residual"], "peak_mb": peak_mb(),
        "version": ngsolve.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    answer_child(assemble, solve)
