"""Shape of tetrahedra where layers have cells of their own: bulk and layers each held to their own limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fesolver.bone.tissue import Region
from fesolver.meshing.quality import check_quality
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["LEAST_LAYER_JACOBIAN", "check_layered_quality"]

LEAST_LAYER_JACOBIAN = 1e-4
"""Least scaled Jacobian of a layer's cell. They are flat by design: the median of 0.35 mm on edges of 2 mm is 0.19."""

_LAYERS = ("superior_endplate", "inferior_endplate", "cortical")


def check_layered_quality(mesh: SpineMesh, *, min_scaled_jacobian: float) -> None:
    """Refuse badly shaped cells: `min_scaled_jacobian` for those of bulk, `LEAST_LAYER_JACOBIAN` for those of layers.

    Parameters
    ----------
    mesh : SpineMesh
        With layers of their own.
    min_scaled_jacobian : float
        As for `check_quality`.

    Raises
    ------
    InputError
        As `check_quality`.
    """
    in_layer = np.zeros(len(mesh.cells), dtype=np.bool_)
    for name, region in mesh.regions.items():
        if name.split("/")[1] in _LAYERS:
            in_layer[region.cells] = True
    for chosen, limit in ((in_layer, min(min_scaled_jacobian, LEAST_LAYER_JACOBIAN)), (~in_layer, min_scaled_jacobian)):
        number = np.cumsum(chosen) - 1
        held = {name: chosen[region.cells] for name, region in mesh.regions.items()}
        regions = {
            name: Region(number[region.cells[held[name]]], region.fraction[held[name]])
            for name, region in mesh.regions.items()
        }
        check_quality(replace(mesh, cells=mesh.cells[chosen], regions=regions), min_scaled_jacobian=limit)
