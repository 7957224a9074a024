"""Stiffness of eight isotropic cells at once, one per lane, by the formulas of `fem.kernels.solids`.

Arrays are flat with eight lanes per number: X (24 k), gradients and weighted gradients (24 q k), volumes (8 q), means
(24 k + 8) and blocks K (72 p): the p = k (k + 1) / 2 pairs a <= b in order, each 3 x 3 by rows. What a lane holds does
not depend on the others.
"""

from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import LANES, load, splat, store


@kernel
def batch_gradients(X, dN, weights, G, W, dV, det):
    """Gradients G and W = dV G, volumes dV, and the least det_jacobian of every lane; X and tables as in `solids`."""
    k = dN.shape[2]
    zero, one = splat(0.0), splat(1.0)
    for l in range(LANES):
        det[l] = 1e300
    for q in range(weights.size):
        J00 = J01 = J02 = J10 = J11 = J12 = J20 = J21 = J22 = zero
        for a in range(k):
            x, y, z = load(X, 24 * a), load(X, 24 * a + 8), load(X, 24 * a + 16)
            d0, d1, d2 = splat(dN[q, 0, a]), splat(dN[q, 1, a]), splat(dN[q, 2, a])
            J00, J01, J02 = J00 + d0 * x, J01 + d0 * y, J02 + d0 * z
            J10, J11, J12 = J10 + d1 * x, J11 + d1 * y, J12 + d1 * z
            J20, J21, J22 = J20 + d2 * x, J21 + d2 * y, J22 + d2 * z
        c00, c01, c02 = J11 * J22 - J12 * J21, J12 * J20 - J10 * J22, J10 * J21 - J11 * J20
        value = J00 * c00 + J01 * c01 + J02 * c02
        volume = value * splat(weights[q])
        store(dV, 8 * q, value)
        for l in range(LANES):
            det[l] = min(det[l], dV[8 * q + l])
        store(dV, 8 * q, volume)
        scale = one / value
        r00, r10, r20 = c00 * scale, c01 * scale, c02 * scale
        r01, r11 = (J02 * J21 - J01 * J22) * scale, (J00 * J22 - J02 * J20) * scale
        r21, r02 = (J01 * J20 - J00 * J21) * scale, (J01 * J12 - J02 * J11) * scale
        r12, r22 = (J02 * J10 - J00 * J12) * scale, (J00 * J11 - J01 * J10) * scale
        for a in range(k):
            d0, d1, d2 = splat(dN[q, 0, a]), splat(dN[q, 1, a]), splat(dN[q, 2, a])
            at = 24 * (q * k + a)
            x, y, z = r00 * d0 + r01 * d1 + r02 * d2, r10 * d0 + r11 * d1 + r12 * d2, r20 * d0 + r21 * d1 + r22 * d2
            store(G, at, x)
            store(G, at + 8, y)
            store(G, at + 16, z)
            store(W, at, x * volume)
            store(W, at + 8, y * volume)
            store(W, at + 16, z * volume)


@kernel
def batch_means(n_q, W, dV, mean):
    """Mean gradients of every lane, and its volume in the last place."""
    k = mean.size // 24
    total = splat(0.0)
    for q in range(n_q):
        total = total + load(dV, 8 * q)
    for c in range(3 * k):
        value = splat(0.0)
        for q in range(n_q):
            value = value + load(W, 8 * (3 * k * q + c))
        store(mean, 8 * c, value / total)
    store(mean, 24 * k, total)


@kernel
def batch_blocks(n_q, lam, mu, is_mean, G, W, mean, K):
    """Blocks of the pairs a <= b: lam M + mu M^T + mu tr M, M the sum of W_a (x) G_b; B-bar's bulk part from means."""
    k = G.size // (24 * n_q)
    zero = splat(0.0)
    two_mu = load(mu, 0) * splat(2.0 / 3.0)
    shear, first, bulk = load(mu, 0), load(lam, 0), load(lam, 0) + two_mu
    if is_mean:
        first = zero - two_mu
        bulk = bulk * load(mean, 24 * k)
    both = first + shear
    at = 0
    for a in range(k):
        for b in range(a, k):
            m00 = m01 = m02 = m10 = m11 = m12 = m20 = m21 = m22 = zero
            for q in range(n_q):
                i, j = 24 * (q * k + a), 24 * (q * k + b)
                x, y, z = load(G, j), load(G, j + 8), load(G, j + 16)
                w = load(W, i)
                m00, m01, m02 = m00 + w * x, m01 + w * y, m02 + w * z
                w = load(W, i + 8)
                m10, m11, m12 = m10 + w * x, m11 + w * y, m12 + w * z
                w = load(W, i + 16)
                m20, m21, m22 = m20 + w * x, m21 + w * y, m22 + w * z
            trace = shear * (m00 + m11 + m22)
            k00, k01, k02 = both * m00 + trace, first * m01 + shear * m10, first * m02 + shear * m20
            k10, k11, k12 = first * m10 + shear * m01, both * m11 + trace, first * m12 + shear * m21
            k20, k21, k22 = first * m20 + shear * m02, first * m21 + shear * m12, both * m22 + trace
            if is_mean:
                x, y, z = load(mean, 24 * b), load(mean, 24 * b + 8), load(mean, 24 * b + 16)
                w = bulk * load(mean, 24 * a)
                k00, k01, k02 = k00 + w * x, k01 + w * y, k02 + w * z
                w = bulk * load(mean, 24 * a + 8)
                k10, k11, k12 = k10 + w * x, k11 + w * y, k12 + w * z
                w = bulk * load(mean, 24 * a + 16)
                k20, k21, k22 = k20 + w * x, k21 + w * y, k22 + w * z
            if a == b:  # round-off apart they are equal: make the sum symmetric to the bit
                k10, k20, k21 = k01, k02, k12
            store(K, at, k00)
            store(K, at + 8, k01)
            store(K, at + 16, k02)
            store(K, at + 24, k10)
            store(K, at + 32, k11)
            store(K, at + 40, k12)
            store(K, at + 48, k20)
            store(K, at + 56, k21)
            store(K, at + 64, k22)
            at += 72
