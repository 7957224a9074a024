"""Solid cells of any kind: gradients, stiffness, strain and nodal forces from tables of shape functions.

One code for all elements: sizes are the tables'. A cell has k nodes and n >= k "nodes" with shape functions: those of
`INCOMPATIBLE` have three more, condensed statically. Gradients stand in rows (3 n,), node by node.

With M_ab = sum_q dV_q grad N_a (x) grad N_b, the stiffness of constant elasticity C is K_ab[i, k] = C_ijkl M_ab[j, l]:
one product of gradients serves every material. Mean dilatation (B-bar) replaces the dilatation at a quadrature point by
its volume mean [1]_; with m_a the mean of grad N_a, V the volume, S_ab = (V m_a (x) m_b - M_ab) / 3, P_ij = C_ijmm and
p = P_mm it adds S P + P S - p S / 3.
Incompatible modes 1 - xi_i^2 take the Jacobian of the cell's centre, scaled by det J(0) / det J, so that their
gradients have mean zero and the patch test holds on any mesh [2]_.

References
----------
.. [1] T. J. R. Hughes, *The Finite Element Method*, Dover, 2000, section 4.5.
.. [2] R. L. Taylor, P. J. Beresford, E. L. Wilson, "A non-conforming element for stress analysis", *Int. J. Numer.
   Meth. Eng.* 10, 1976, 1211-1219.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel

PLAIN, MEAN_DILATATION, INCOMPATIBLE = 0, 1, 2
"""Formulations of a cell."""

VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
"""Place of a tensor's component in Voigt order."""


@kernel
def invert_jacobian(X, dN, inverse):
    """Inverse (3, 3) of J[d, i] = dx_i / dxi_d from nodes (k, 3) and derivatives (3, k); returns its determinant."""
    J00 = J01 = J02 = J10 = J11 = J12 = J20 = J21 = J22 = 0.0
    for a in range(X.shape[0]):
        x, y, z = X[a, 0], X[a, 1], X[a, 2]
        d0, d1, d2 = dN[0, a], dN[1, a], dN[2, a]
        J00 += d0 * x
        J01 += d0 * y
        J02 += d0 * z
        J10 += d1 * x
        J11 += d1 * y
        J12 += d1 * z
        J20 += d2 * x
        J21 += d2 * y
        J22 += d2 * z
    c00 = J11 * J22 - J12 * J21
    c01 = J12 * J20 - J10 * J22
    c02 = J10 * J21 - J11 * J20
    det = J00 * c00 + J01 * c01 + J02 * c02
    if not det > 0.0:
        return det
    scale = 1.0 / det
    inverse[0, 0] = c00 * scale
    inverse[1, 0] = c01 * scale
    inverse[2, 0] = c02 * scale
    inverse[0, 1] = (J02 * J21 - J01 * J22) * scale
    inverse[1, 1] = (J00 * J22 - J02 * J20) * scale
    inverse[2, 1] = (J01 * J20 - J00 * J21) * scale
    inverse[0, 2] = (J01 * J12 - J02 * J11) * scale
    inverse[1, 2] = (J02 * J10 - J00 * J12) * scale
    inverse[2, 2] = (J00 * J11 - J01 * J10) * scale
    return det


@kernel
def cell_gradients(X, dN, weights, xi, centre, formulation, G, dV, mean):
    """Gradients (q, 3 n), volumes (q,) and, for mean dilatation, mean gradients (3 k,); returns the least det_jacobian.

    Tables: derivatives dN (q, 3, k) and those at the centre (3, k), weights (q,), places xi (q, 3).
    """
    k = X.shape[0]
    inverse = np.empty((3, 3))
    least = np.inf
    for q in range(weights.size):
        det = invert_jacobian(X, dN[q], inverse)
        if not det > 0.0:
            return det
        least = min(least, det)
        dV[q] = det * weights[q]
        for i in range(3):
            r0, r1, r2 = inverse[i, 0], inverse[i, 1], inverse[i, 2]
            for a in range(k):
                G[q, 3 * a + i] = r0 * dN[q, 0, a] + r1 * dN[q, 1, a] + r2 * dN[q, 2, a]
    if formulation == MEAN_DILATATION:
        volume = 0.0
        mean[:] = 0.0
        for q in range(weights.size):
            volume += dV[q]
            for c in range(3 * k):
                mean[c] += dV[q] * G[q, c]
        for c in range(3 * k):
            mean[c] /= volume
    elif formulation == INCOMPATIBLE:
        det = invert_jacobian(X, centre, inverse)
        if not det > 0.0:
            return det
        for q in range(weights.size):
            for d in range(3):
                slope = -2.0 * xi[q, d] * det * weights[q] / dV[q]
                for i in range(3):
                    G[q, 3 * (k + d) + i] = inverse[i, d] * slope
    return least


@kernel
def multiply_gradients(G, dV, M):
    """M (3 n, 3 n) = G^T diag(dV) G, blocks (3, 3) on and right of the diagonal only."""
    size, n_q = G.shape[1], dV.size
    for r in range(size):
        first = r - r % 3
        for c in range(first, size):
            M[r, c] = 0.0
        q = 0
        while q + 2 <= n_q:
            s, t = dV[q] * G[q, r], dV[q + 1] * G[q + 1, r]
            for c in range(first, size):
                M[r, c] += s * G[q, c] + t * G[q + 1, c]
            q += 2
        if q < n_q:
            s = dV[q] * G[q, r]
            for c in range(first, size):
                M[r, c] += s * G[q, c]


@kernel
def isotropic_blocks(lam, mu, mean, volume, is_mean, K):
    """Blocks of K from those of M in its place: lam M + mu M^T + mu tr M, in B-bar with the bulk part from means."""
    n = K.shape[0] // 3
    bulk = lam + 2.0 * mu / 3.0
    if is_mean:
        lam = -2.0 * mu / 3.0
    for a in range(n):
        r = 3 * a
        for b in range(a, n):
            c = 3 * b
            m00, m01, m02 = K[r, c], K[r, c + 1], K[r, c + 2]
            m10, m11, m12 = K[r + 1, c], K[r + 1, c + 1], K[r + 1, c + 2]
            m20, m21, m22 = K[r + 2, c], K[r + 2, c + 1], K[r + 2, c + 2]
            trace = mu * (m00 + m11 + m22)
            both = lam + mu
            K[r, c] = both * m00 + trace
            K[r, c + 1] = lam * m01 + mu * m10
            K[r, c + 2] = lam * m02 + mu * m20
            K[r + 1, c] = lam * m10 + mu * m01
            K[r + 1, c + 1] = both * m11 + trace
            K[r + 1, c + 2] = lam * m12 + mu * m21
            K[r + 2, c] = lam * m20 + mu * m02
            K[r + 2, c + 1] = lam * m21 + mu * m12
            K[r + 2, c + 2] = both * m22 + trace
            if is_mean:
                for i in range(3):
                    s = bulk * volume * mean[r + i]
                    for j in range(3):
                        K[r + i, c + j] += s * mean[c + j]


@kernel
def general_blocks(D, mean, volume, is_mean, K):
    """The same for an elasticity matrix (6, 6)."""
    n = K.shape[0] // 3
    C = np.empty((9, 9))
    P = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for m in range(3):
                P[i, j] += D[m, VOIGT[i, j]]
                for l in range(3):
                    C[3 * i + m, 3 * j + l] = D[VOIGT[i, j], VOIGT[m, l]]
    p = P[0, 0] + P[1, 1] + P[2, 2]
    M, S = np.empty(9), np.empty((3, 3))
    for a in range(n):
        r = 3 * a
        for b in range(a, n):
            c = 3 * b
            for i in range(3):
                for j in range(3):
                    M[3 * i + j] = K[r + i, c + j]
                    if is_mean:
                        S[i, j] = (volume * mean[r + i] * mean[c + j] - K[r + i, c + j]) / 3.0
            for i in range(3):
                for m in range(3):
                    value = 0.0
                    for j in range(9):
                        value += C[3 * i + m, j] * M[j]
                    if is_mean:
                        for j in range(3):
                            value += S[i, j] * P[j, m] + P[i, j] * S[j, m]
                        value -= p / 3.0 * S[i, m]
                    K[r + i, c + m] = value


@kernel
def factor_modes(K, n3, R):
    """Cholesky factor R^T R of the last 9 rows and columns of K, from `n3` on; upper part."""
    for i in range(9):
        for j in range(i, 9):
            value = K[n3 + i, n3 + j]
            for l in range(i):
                value -= R[l, i] * R[l, j]
            R[i, j] = np.sqrt(value) if i == j else value / R[i, i]


@kernel
def condense_modes(K, n3):
    """Take the incompatible modes out of K: the rows and columns from `n3` on."""
    R, Y = np.empty((9, 9)), np.empty((9, n3))
    factor_modes(K, n3, R)
    for i in range(9):
        for c in range(n3):
            Y[i, c] = K[c, n3 + i]
        for l in range(i):
            for c in range(n3):
                Y[i, c] -= R[l, i] * Y[l, c]
        for c in range(n3):
            Y[i, c] /= R[i, i]
    for r in range(n3):
        for i in range(9):
            for c in range(r - r % 3, n3):
                K[r, c] -= Y[i, r] * Y[i, c]


@kernel
def solve_modes(K, n3, local):
    """Amplitudes local[n3:] of the incompatible modes that go with the displacement local[:n3]."""
    R = np.empty((9, 9))
    factor_modes(K, n3, R)
    y = local[n3:]
    for i in range(9):
        value = 0.0
        for r in range(n3):
            value -= K[r, n3 + i] * local[r]
        for l in range(i):
            value -= R[l, i] * y[l]
        y[i] = value / R[i, i]
    for i in range(8, -1, -1):
        value = y[i]
        for l in range(i + 1, 9):
            value -= R[i, l] * y[l]
        y[i] = value / R[i, i]


@kernel
def full_stiffness(G, dV, mean, formulation, lam, mu, D, is_general, K):
    """Stiffness (3 n, 3 n) before condensation; blocks on and right of the diagonal only."""
    volume = 0.0
    for q in range(dV.size):
        volume += dV[q]
    multiply_gradients(G, dV, K)
    if is_general:
        general_blocks(D, mean, volume, formulation == MEAN_DILATATION, K)
    else:
        isotropic_blocks(lam, mu, mean, volume, formulation == MEAN_DILATATION, K)


@kernel
def cell_stress(eps, lam, mu, D, is_general, sig):
    """Stress (6,) of an elastic strain (6,)."""
    if is_general:
        for r in range(6):
            value = 0.0
            for s in range(6):
                value += D[r, s] * eps[s]
            sig[r] = value
    else:
        pressure = lam * (eps[0] + eps[1] + eps[2])
        for r in range(3):
            sig[r] = pressure + 2.0 * mu * eps[r]
            sig[r + 3] = mu * eps[r + 3]


@kernel
def cell_strains(G, dV, formulation, local, strain):
    """Strains (q, 6) of displacements (3 n,), node by node."""
    mean, volume = 0.0, 0.0
    for q in range(dV.size):
        for r in range(6):
            strain[q, r] = 0.0
        for c in range(0, local.size, 3):
            x, y, z = G[q, c], G[q, c + 1], G[q, c + 2]
            u, v, w = local[c], local[c + 1], local[c + 2]
            strain[q, 0] += x * u
            strain[q, 1] += y * v
            strain[q, 2] += z * w
            strain[q, 3] += z * v + y * w
            strain[q, 4] += z * u + x * w
            strain[q, 5] += y * u + x * v
        mean += dV[q] * (strain[q, 0] + strain[q, 1] + strain[q, 2])
        volume += dV[q]
    if formulation == MEAN_DILATATION:
        for q in range(dV.size):
            shift = (mean / volume - (strain[q, 0] + strain[q, 1] + strain[q, 2])) / 3.0
            for r in range(3):
                strain[q, r] += shift


@kernel
def cell_forces(G, dV, formulation, stress, force):
    """Nodal forces (k, 3) of stresses (q, 6): in B-bar their mean stress counts by its volume mean."""
    mean, volume = 0.0, 0.0
    for q in range(dV.size):
        mean += dV[q] * (stress[q, 0] + stress[q, 1] + stress[q, 2]) / 3.0
        volume += dV[q]
    force[:] = 0.0
    for q in range(dV.size):
        shift = 0.0
        if formulation == MEAN_DILATATION:
            shift = mean / volume - (stress[q, 0] + stress[q, 1] + stress[q, 2]) / 3.0
        xx, yy, zz = stress[q, 0] + shift, stress[q, 1] + shift, stress[q, 2] + shift
        yz, xz, xy = stress[q, 3], stress[q, 4], stress[q, 5]
        for a in range(force.shape[0]):
            x, y, z = dV[q] * G[q, 3 * a], dV[q] * G[q, 3 * a + 1], dV[q] * G[q, 3 * a + 2]
            force[a, 0] += xx * x + xy * y + xz * z
            force[a, 1] += xy * x + yy * y + yz * z
            force[a, 2] += xz * x + yz * y + zz * z


@kernel
def cell_state(
    X, local, dN, weights, xi, centre, formulation, lam, mu, D, is_general, initial, G, dV, mean, K, strain, stress
):  # fmt: skip
    """Strain and stress (q, 6) of one cell; `local` (3 n,) has the amplitudes of its modes after it."""
    least = cell_gradients(X, dN, weights, xi, centre, formulation, G, dV, mean)
    if not least > 0.0:
        return least
    if formulation == INCOMPATIBLE:
        full_stiffness(G, dV, mean, formulation, lam, mu, D, is_general, K)
        solve_modes(K, 3 * X.shape[0], local)
    cell_strains(G, dV, formulation, local, strain)
    elastic = np.empty(6)
    for q in range(dV.size):
        for r in range(6):
            elastic[r] = strain[q, r] - initial[r]
        cell_stress(elastic, lam, mu, D, is_general, stress[q])
    return least


@kernel(parallel=True)
def evaluate_cells(
    points, cells, u, dN, weights, xi, centre, formulation, lam, mu, row, general, initial,
    force, strain, stress, energy, volume, q_strain, q_stress, q_volume, det,
):  # fmt: skip
    """Nodal force (m, k, 3), means of strain and stress (m, 6) and of elastic energy (m,), volume and least det (m,).

    Where `q_volume` (m, q) is not empty, also strain and stress (m, q, 6) and volume of each quadrature point. `row`
    (m,) is the place of a cell's matrix in `general` (.., 6, 6), -1 for an isotropic one; `initial` is (m, 6) or empty.
    """
    k, n_q = cells.shape[1], weights.size
    n = k + 3 if formulation == INCOMPATIBLE else k
    chunk = 64
    for part in prange((cells.shape[0] + chunk - 1) // chunk):
        X, local = np.empty((k, 3)), np.empty(3 * n)
        G, dV, mean = np.empty((n_q, 3 * n)), np.empty(n_q), np.zeros(3 * k)
        K = np.empty((3 * n, 3 * n) if formulation == INCOMPATIBLE else (0, 0))
        eps, sig, zero = np.empty((n_q, 6)), np.empty((n_q, 6)), np.zeros(6)
        for e in range(part * chunk, min(cells.shape[0], (part + 1) * chunk)):
            for a in range(k):
                for i in range(3):
                    X[a, i] = points[cells[e, a], i]
                    local[3 * a + i] = u[cells[e, a], i]
            before = initial[e] if initial.size else zero
            det[e] = cell_state(
                X, local, dN, weights, xi, centre, formulation, lam[e], mu[e], general[max(row[e], 0)], row[e] >= 0,
                before, G, dV, mean, K, eps, sig,
            )  # fmt: skip
            if not det[e] > 0.0:
                continue
            cell_forces(G, dV, formulation, sig, force[e])
            total, work = 0.0, 0.0
            strain[e] = 0.0
            stress[e] = 0.0
            for q in range(n_q):
                total += dV[q]
                for r in range(6):
                    strain[e, r] += dV[q] * eps[q, r]
                    stress[e, r] += dV[q] * sig[q, r]
                    work += 0.5 * dV[q] * sig[q, r] * (eps[q, r] - before[r])
                    if q_volume.size:
                        q_strain[e, q, r], q_stress[e, q, r] = eps[q, r], sig[q, r]
                if q_volume.size:
                    q_volume[e, q] = dV[q]
            for r in range(6):
                strain[e, r] /= total
                stress[e, r] /= total
            volume[e], energy[e] = total, work / total


@kernel
def sum_to_points(cells, force, out):
    """Add nodal forces (n, k, 3) of the cells to points (n_points, 3), in the order of the cells."""
    for e in range(cells.shape[0]):
        for a in range(cells.shape[1]):
            for i in range(3):
                out[cells[e, a], i] += force[e, a, i]
