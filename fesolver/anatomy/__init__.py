"""Names, frames and published dimensions of vertebrae, and shapes built from them.

What belongs here knows the spine and nothing of images, meshes or mechanics: vertebral levels and their order, frames,
tables of published dimensions with their sources, and parametric bodies, arches and columns as functions of points.
"""
