"""Numba kernels on bare arrays; imports numba and numpy only."""
