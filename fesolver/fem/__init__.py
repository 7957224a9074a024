"""Linear elasticity on arrays: Voigt, Hooke, elements, kernels, constraints, recovery, the voxel operator.

Nothing here knows a vertebra, a file or a solver.
"""
