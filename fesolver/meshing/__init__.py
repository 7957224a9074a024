"""Meshing: from a segment image (or, later, parameters and surfaces) to points, cells and named regions and surfaces.

Belongs here: grids, structured hexahedra, tetrahedra, discs and layers between and on the bodies, regions, mesh
quality and mesh files. What the regions are made of belongs to `fesolver.bone`, what is done to them to
`fesolver.treatment`.
"""
