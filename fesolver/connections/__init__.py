"""The soft connections of the spine on a mesh of any kind: ligaments, facet joints, annulus fibres, posterior links.

Each builder takes a mesh and gives `fesolver.fem.problem.Connections`: arrays that a solver takes.
"""
