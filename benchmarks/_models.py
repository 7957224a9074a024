"""Voxel models that benchmarks solve: arrays of moduli between held ends, the same numbers for every code.

A peer takes moduli in GPa and displacements in mm, both in float32. Models are rounded to these once, so that every
code solves the same equations. All have one Poisson's ratio and cubic cells; the lowest points are held, the highest
are held sideways and moved down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

POISSON = 0.3
AIR_MPA = 1e-4
PMMA_MPA = 2500.0


@dataclass(frozen=True)
class VoxelModel:
    """A block of cubic cells between held ends.

    Parameters
    ----------
    name : str
        In tables.
    young_gpa : (nx, ny, nz) float32 ndarray
        Young's modulus, GPa; 0 where there is no material.
    spacing_mm : float
        Cell edge, mm.
    poisson : float
        Poisson's ratio of every cell.
    shortening : float
        Movement of the top, as a fraction of the height.
    """

    name: str
    young_gpa: NDArray[np.float32]
    spacing_mm: float = 1.0
    poisson: float = POISSON
    shortening: float = 0.01

    @property
    def young_mpa(self) -> NDArray[np.float64]:
        """Young's modulus, MPa, (nx, ny, nz)."""
        return 1000.0 * self.young_gpa.astype(np.float64)

    @property
    def top_mm(self) -> float:
        """Displacement of the highest points along z, mm, as float32 holds it."""
        return float(np.float32(-self.shortening * self.young_gpa.shape[2] * self.spacing_mm))

    @property
    def grid(self) -> tuple[int, int, int]:
        """Points along each axis."""
        nx, ny, nz = self.young_gpa.shape
        return nx + 1, ny + 1, nz + 1

    def material_points(self) -> NDArray[np.bool_]:
        """Points of the grid that belong to material."""
        points = np.zeros(self.grid, dtype=bool)
        active = self.young_gpa > 0
        nx, ny, nz = active.shape
        for i, j, k in np.ndindex(2, 2, 2):
            points[i : nx + i, j : ny + j, k : nz + k] |= active
        return points

    def describe(self) -> dict[str, object]:
        """Sizes for the record."""
        material = self.young_gpa[self.young_gpa > 0]
        return {
            "name": self.name,
            "shape": list(self.young_gpa.shape),
            "spacing_mm": self.spacing_mm,
            "poisson": self.poisson,
            "n_cells": len(material),
            "n_dof": 3 * int(self.material_points().sum()),
            "filled": len(material) / self.young_gpa.size,
            "contrast": float(material.max()) / float(material.min()),
        }

    def save(self, path: Path) -> None:
        """Write as `.npz`."""
        np.savez(
            path, name=self.name, young_gpa=self.young_gpa, spacing_mm=self.spacing_mm, poisson=self.poisson,
            shortening=self.shortening,
        )  # fmt: skip

    @staticmethod
    def load(path: Path) -> VoxelModel:
        """Read what `save` wrote."""
        with np.load(path) as data:
            return VoxelModel(
                str(data["name"]), data["young_gpa"], float(data["spacing_mm"]), float(data["poisson"]),
                float(data["shortening"]),
            )  # fmt: skip


def uniform_block(n: int) -> VoxelModel:
    """A cube of n^3 cells of 1000 MPa."""
    return VoxelModel(f"uniform block, {n}^3", np.ones((n, n, n), dtype=np.float32))


def heterogeneous_block(n: int, seed: int = 0) -> VoxelModel:
    """A cube of n^3 cells of 300 MPa times e^g in a shell of 8000 MPa.

    Notes
    -----
    g is unit normal noise, Gaussian-filtered with sigma 1.5 cells and rescaled to unit standard deviation; the shell is
    the two outer layers of the four lateral sides.
    """
    g = np.random.default_rng(seed).standard_normal((n, n, n), dtype=np.float32)
    g = ndimage.gaussian_filter(g, 1.5)
    g /= g.std(dtype=np.float64)
    young = np.exp(g, out=g)
    young *= np.float32(0.3)
    for side in (np.s_[:2], np.s_[-2:], np.s_[:, :2], np.s_[:, -2:]):
        young[side] = 8.0
    return VoxelModel(f"heterogeneous block, {n}^3", young)


def _wave_field(shape: tuple[int, int, int], wavelength: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Periodic Gaussian random field of unit variance, its spectrum a band about one wavelength (in cells)."""
    frequency = np.sqrt(sum(f**2 for f in np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij", sparse=True)))
    band = np.exp(-0.5 * ((frequency * wavelength - 1.0) / 0.3) ** 2)
    field = np.fft.ifftn(np.fft.fftn(generator.standard_normal(shape)) * band).real
    return np.asarray((field - field.mean()) / field.std())


def trabecular_network(n: int = 110, *, wavelength: float = 18.0, radius: float = 0.55, seed: int = 1) -> VoxelModel:
    """Rods and small plates like those of trabecular bone, 10 GPa, in an otherwise empty cube of n^3 cells.

    Parameters
    ----------
    n : int
        Cells along each edge.
    wavelength : float
        Mean distance between struts, in cells.
    radius : float
        Of the level set; the filled share is 1 - exp(-radius^2 / 2).
    seed : int
        Of the two fields.

    Notes
    -----
    Two independent Gaussian random fields g, h with a narrow band of wavelengths; material is where g^2 + h^2 <
    radius^2, tubes about the lines on which both vanish. Where the gradients are nearly parallel the tubes widen to
    plates and join. Of that the largest face-connected piece is kept. With the defaults: 13.8 % filled, 184 thousand
    cells, struts 3.3 cells thick on average (4 volume / surface, the surface that of the stairs times 2/3).
    """
    generator = np.random.default_rng(seed)
    shape = (n, n, n)
    solid = _wave_field(shape, wavelength, generator) ** 2 + _wave_field(shape, wavelength, generator) ** 2 < radius**2
    parts, _ = ndimage.label(solid)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    if not (largest[:, :, 0].any() and largest[:, :, -1].any()):
        raise ValueError(f"the network of {n}^3 cells does not reach from bottom to top: use a larger n")
    return VoxelModel("trabecular network", np.where(largest, np.float32(10.0), np.float32(0.0)))


def vertebra_between_pads(spacing_mm: float = 1.0) -> VoxelModel:
    """The body of the synthetic L1 (T-score -3) between blocks of PMMA, in a box whose other cells are 0.0001 MPa.

    Notes
    -----
    Bone takes the demo's law on the mean density of each cell. The blocks cover the body's outline and two cells around
    it and meet each endplate as deep as 4 mm under its highest point.
    """
    from fesolver.bone.density import Density
    from fesolver.bone.laws import DEFAULT_LAW, bone_law
    from fesolver.imaging.phantom import synthetic_segment
    from fesolver.imaging.resample import build_segment_image

    segment = synthetic_segment(levels=["L1"], t_score=-3.0, voxel_mm=1.0, seed=1)
    image = build_segment_image(
        segment.density, segment.kind, segment.labels, levels=("L1",), spacing_mm=spacing_mm,
        subregions=segment.subregions, keep_posterior=False,
    )  # fmt: skip
    heights = np.flatnonzero((image.body > 0).any(axis=(0, 1)))
    pad, depth = round(9.0 / spacing_mm), round(4.0 / spacing_mm)
    kept = np.s_[:, :, heights[0] : heights[-1] + 1]
    body = np.pad(image.body[kept] > 0, ((0, 0), (0, 0), (pad, pad)))
    density = np.pad(image.density[kept], ((0, 0), (0, 0), (pad, pad)))
    young = np.full(body.shape, AIR_MPA)
    young[body] = bone_law(DEFAULT_LAW).evaluate(Density(density[body], segment.kind))[0]
    outline = ndimage.binary_dilation(np.asarray(body.any(axis=2)), np.ones((5, 5), dtype=bool))[:, :, None]
    z = np.arange(body.shape[2])
    above = np.logical_and.accumulate(~body[:, :, ::-1], axis=2)[:, :, ::-1] & (z > pad + len(heights) - 1 - depth)
    below = np.logical_and.accumulate(~body, axis=2) & (z < pad + depth)
    young[outline & (above | below)] = PMMA_MPA
    return VoxelModel("synthetic L1 between pads", (young / 1000.0).astype(np.float32), spacing_mm)
