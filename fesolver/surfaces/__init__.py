"""Closed triangle surfaces of vertebrae: reading, checking, repair, remeshing, making, and naming their parts.

Imports: anatomy, imaging and what lies below. What is meshed from a surface lives in `fesolver.meshing`.
"""
