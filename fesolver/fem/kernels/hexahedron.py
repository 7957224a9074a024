"""Eight-node hexahedra of any shape: stiffness, internal force, strain, by 2 x 2 x 2 Gauss quadrature.

Mean dilatation (B-bar) replaces the dilatation at each quadrature point by its volume mean [1]_.

References
----------
.. [1] T. J. R. Hughes, *The Finite Element Method*, Dover, 2000, section 4.5.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel

# Corner signs in VTK order.
CORNERS = np.array(
    [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
    dtype=np.float64,
)
GAUSS = CORNERS / np.sqrt(3.0)


@kernel
def shape_gradients(corners, xi, gradients):
    """Spatial gradients (8, 3) at one point; returns det_jacobian (not positive: the cell is inverted)."""
    J = np.zeros((3, 3))
    dN = np.empty((8, 3))
    for a in range(8):
        sx, sy, sz = CORNERS[a, 0], CORNERS[a, 1], CORNERS[a, 2]
        fx, fy, fz = 1.0 + sx * xi[0], 1.0 + sy * xi[1], 1.0 + sz * xi[2]
        dN[a, 0] = 0.125 * sx * fy * fz
        dN[a, 1] = 0.125 * sy * fx * fz
        dN[a, 2] = 0.125 * sz * fx * fy
        for i in range(3):
            for j in range(3):
                J[i, j] += dN[a, i] * corners[a, j]
    c00 = J[1, 1] * J[2, 2] - J[1, 2] * J[2, 1]
    c01 = J[1, 2] * J[2, 0] - J[1, 0] * J[2, 2]
    c02 = J[1, 0] * J[2, 1] - J[1, 1] * J[2, 0]
    det = J[0, 0] * c00 + J[0, 1] * c01 + J[0, 2] * c02
    if det <= 0.0:
        return det
    inv = np.empty((3, 3))
    inv[0, 0] = c00 / det
    inv[1, 0] = c01 / det
    inv[2, 0] = c02 / det
    inv[0, 1] = (J[0, 2] * J[2, 1] - J[0, 1] * J[2, 2]) / det
    inv[1, 1] = (J[0, 0] * J[2, 2] - J[0, 2] * J[2, 0]) / det
    inv[2, 1] = (J[0, 1] * J[2, 0] - J[0, 0] * J[2, 1]) / det
    inv[0, 2] = (J[0, 1] * J[1, 2] - J[0, 2] * J[1, 1]) / det
    inv[1, 2] = (J[0, 2] * J[1, 0] - J[0, 0] * J[1, 2]) / det
    inv[2, 2] = (J[0, 0] * J[1, 1] - J[0, 1] * J[1, 0]) / det
    for a in range(8):
        for i in range(3):
            gradients[a, i] = inv[i, 0] * dN[a, 0] + inv[i, 1] * dN[a, 1] + inv[i, 2] * dN[a, 2]
    return det


@kernel
def strain_operators(corners, mean_dilatation, B, weights):
    """B (8 points, 6, 24) and weights (8,) of one cell; returns the smallest det_jacobian."""
    g = np.empty((8, 8, 3))
    mean = np.zeros((8, 3))
    volume = 0.0
    smallest = 1e300
    for q in range(8):
        det = shape_gradients(corners, GAUSS[q], g[q])
        smallest = min(smallest, det)
        if det <= 0.0:
            return smallest
        weights[q] = det
        volume += det
        for a in range(8):
            for i in range(3):
                mean[a, i] += det * g[q, a, i]
    for q in range(8):
        for a in range(8):
            gx, gy, gz = g[q, a, 0], g[q, a, 1], g[q, a, 2]
            for r in range(6):
                for c in range(3):
                    B[q, r, 3 * a + c] = 0.0
            B[q, 0, 3 * a] = gx
            B[q, 1, 3 * a + 1] = gy
            B[q, 2, 3 * a + 2] = gz
            B[q, 3, 3 * a + 1] = gz
            B[q, 3, 3 * a + 2] = gy
            B[q, 4, 3 * a] = gz
            B[q, 4, 3 * a + 2] = gx
            B[q, 5, 3 * a] = gy
            B[q, 5, 3 * a + 1] = gx
            if mean_dilatation:
                for c in range(3):
                    shift = (mean[a, c] / volume - g[q, a, c]) / 3.0
                    for r in range(3):
                        B[q, r, 3 * a + c] += shift
    return smallest


@kernel
def stiffness_matrix(corners, D, mean_dilatation, K):
    """Stiffness (24, 24) of one cell; returns the smallest det_jacobian."""
    B = np.empty((8, 6, 24))
    weights = np.empty(8)
    smallest = strain_operators(corners, mean_dilatation, B, weights)
    K[:] = 0.0
    if smallest <= 0.0:
        return smallest
    DB = np.empty((6, 24))
    for q in range(8):
        for r in range(6):
            for c in range(24):
                total = 0.0
                for s in range(6):
                    total += D[r, s] * B[q, s, c]
                DB[r, c] = total * weights[q]
        for r in range(24):
            for s in range(6):
                b = B[q, s, r]
                if b != 0.0:
                    for c in range(24):
                        K[r, c] += b * DB[s, c]
    return smallest


@kernel(parallel=True)
def stiffness_matrices(points, cells, D, mean_dilatation, K, det):
    """Stiffness (n, 24, 24) of cells (n, 8) with elasticity (n, 6, 6); det (n,) is the smallest det_jacobian."""
    for e in prange(cells.shape[0]):
        corners = np.empty((8, 3))
        for a in range(8):
            corners[a] = points[cells[e, a]]
        det[e] = stiffness_matrix(corners, D[e], mean_dilatation, K[e])


@kernel(parallel=True)
def cell_forces(points, cells, D, mean_dilatation, u, force, strain, stress, energy, volume):
    """Nodal force (n, 8, 3), mean strain and stress (n, 6), mean energy density (n,) and volume (n,) of each cell."""
    for e in prange(cells.shape[0]):
        corners = np.empty((8, 3))
        local = np.empty(24)
        for a in range(8):
            corners[a] = points[cells[e, a]]
            for i in range(3):
                local[3 * a + i] = u[cells[e, a], i]
                force[e, a, i] = 0.0
        B = np.empty((8, 6, 24))
        weights = np.empty(8)
        strain_operators(corners, mean_dilatation, B, weights)
        eps = np.empty(6)
        sig = np.empty(6)
        strain[e] = 0.0
        stress[e] = 0.0
        total_energy = 0.0
        total_volume = 0.0
        for q in range(8):
            for r in range(6):
                value = 0.0
                for c in range(24):
                    value += B[q, r, c] * local[c]
                eps[r] = value
            for r in range(6):
                value = 0.0
                for s in range(6):
                    value += D[e, r, s] * eps[s]
                sig[r] = value
                strain[e, r] += weights[q] * eps[r]
                stress[e, r] += weights[q] * value
                total_energy += 0.5 * weights[q] * value * eps[r]
            total_volume += weights[q]
            for a in range(8):
                for i in range(3):
                    value = 0.0
                    for r in range(6):
                        value += B[q, r, 3 * a + i] * sig[r]
                    force[e, a, i] += weights[q] * value
        volume[e] = total_volume
        energy[e] = total_energy / total_volume
        for r in range(6):
            strain[e, r] /= total_volume
            stress[e, r] /= total_volume


@kernel
def sum_to_points(cells, force, out):
    """Add nodal forces (n, 8, 3) of the cells to points (n_points, 3), in the order of the cells."""
    for e in range(cells.shape[0]):
        for a in range(8):
            for i in range(3):
                out[cells[e, a], i] += force[e, a, i]
