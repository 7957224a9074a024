"""How density varies in a synthetic bone: its level from a T-score, rim, gradient, texture, shell, partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.density_fields import rim_axial_pattern
from fesolver.anatomy.dimensions import check_between
from fesolver.anatomy.levels import LEVELS
from fesolver.anatomy.shape import BodyCoordinates
from fesolver.anatomy.t_score import density_from_t_score

__all__ = ["PhantomTissue", "density_from_t_score", "inner_fraction", "mixed_density", "trabecular_pattern"]

_TEXTURE = 1
"""Purpose number of the texture in `SeedSequence(seed, spawn_key=(level, purpose))`."""
_MODES = 96
"""Waves summed to the texture: enough for a nearly normal distribution."""


@dataclass(frozen=True)
class PhantomTissue:
    """How density varies in and around the bone; the mean of the trabecular bone is set apart from it.

    Parameters
    ----------
    rim_density_ratio : float
        Trabecular density near the wall (normalised radius over 0.8) over that around the axis (under 0.6). The
        published 1.325 is for the attenuation of lumbar endplates, periphery over centre [1]_; carried over to
        the whole height here.
    inferior_superior_ratio : float
        Trabecular density at the inferior over that at the superior endplate, linear between. Inferior endplates are
        denser [1]_; the size is a choice.
    texture_sd : float
        Standard deviation of the texture over its mean, dimensionless; a choice.
    texture_length_mm : float
        Correlation length of the texture (Gaussian covariance), mm; a choice, several trabecular spacings.
    shell_thickness_mm : float
        Thickness of shell and endplates, mm: the mean of direct measurements at L1 over 45 years [2]_.
    shell_density_g_cm3 : float
        Density inside that thickness. A choice: it gives the side wall of osteoporotic bodies 0.23 to 0.28 of the mass,
        where [3]_ measured 0.21 to 0.39. It enters the image by volume fraction of each voxel, as partial volume does.
    arch_density_g_cm3 : float
        Density of the posterior elements; a choice.
    soft_tissue_g_cm3 : float
        Density between and around the bones; a choice near that of water (0) in K2HPO4 equivalent.

    References
    ----------
    .. [1] K. Segami et al., regional CT attenuation across the lumbar endplate, PubMed 34705863 (308 endplates).
    .. [2] M. J. Silva, C. Wang, T. M. Keaveny, W. C. Hayes, direct and computed tomography thickness
       measurements of the human lumbar vertebral shell and endplate, Bone 15:409, 1994.
    .. [3] S. K. Eswaran et al., J Bone Miner Res 21:307, 2006 (13 elderly vertebrae).
    """

    rim_density_ratio: float = 1.325
    inferior_superior_ratio: float = 1.10
    texture_sd: float = 0.15
    texture_length_mm: float = 3.0
    shell_thickness_mm: float = 0.35
    shell_density_g_cm3: float = 0.80
    arch_density_g_cm3: float = 0.40
    soft_tissue_g_cm3: float = 0.02

    def __post_init__(self) -> None:
        check_between("rim_density_ratio", self.rim_density_ratio, 0.5, 3.0, "")
        check_between("inferior_superior_ratio", self.inferior_superior_ratio, 0.33, 3.0, "")
        check_between("texture_sd", self.texture_sd, 0.0, 0.5, "")
        check_between("texture_length_mm", self.texture_length_mm, 0.5, 30.0, "mm")
        check_between("shell_thickness_mm", self.shell_thickness_mm, 0.0, 2.0, "mm")
        check_between("shell_density_g_cm3", self.shell_density_g_cm3, 0.0, 2.0, "g/cm3")
        check_between("arch_density_g_cm3", self.arch_density_g_cm3, 0.0, 2.0, "g/cm3")
        check_between("soft_tissue_g_cm3", self.soft_tissue_g_cm3, -0.2, 0.2, "g/cm3")


def inner_fraction(depth_mm: NDArray[np.float64], voxel_mm: float) -> NDArray[np.float64]:
    """Share of each voxel that lies on the inner side of a surface, from the depth of its centre.

    Parameters
    ----------
    depth_mm : (n,) ndarray
        Depth of the voxel's centre inside the surface, mm.
    voxel_mm : float
        Edge of the voxel, mm.

    Returns
    -------
    (n,) ndarray
        Volume fraction in [0, 1]: exact for a plane parallel to a face of the voxel, linear in the depth for others.
    """
    return np.asarray(np.clip(0.5 + depth_mm / voxel_mm, 0.0, 1.0))


def trabecular_pattern(
    body: BodyCoordinates, local: NDArray[np.float64], level: str, *, tissue: PhantomTissue, seed: int
) -> NDArray[np.float64]:
    """Trabecular density up to a factor: rim, gradient along the axis, texture.

    Parameters
    ----------
    body : BodyCoordinates
        Coordinates of the points in the body.
    local : (n, 3) ndarray
        The same points in the body frame, mm.
    level : str
        Vertebral level: each has a texture of its own.
    tissue : PhantomTissue
        Sizes of the variation.
    seed : int
        Seed of the texture.

    Returns
    -------
    (n,) ndarray
        Positive factor, dimensionless.
    """
    pattern = rim_axial_pattern(
        body.radius,
        body.height,
        rim_density_ratio=tissue.rim_density_ratio,
        inferior_superior_ratio=tissue.inferior_superior_ratio,
    )
    if tissue.texture_sd > 0.0:
        inside = body.depth_mm > -2.0 * tissue.texture_length_mm
        texture = _texture(local[inside], level, tissue.texture_length_mm, seed)
        # exp keeps it positive; this sigma gives the asked coefficient of variation.
        pattern[inside] *= np.exp(np.sqrt(np.log1p(tissue.texture_sd**2)) * texture)
    return pattern


def _texture(points: NDArray[np.float64], level: str, length_mm: float, seed: int) -> NDArray[np.float64]:
    """Random smooth field of mean 0 and variance 1 with covariance exp(-r^2 / 2 length^2), at points (n, 3)."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(LEVELS.index(level), _TEXTURE)))
    waves = random.standard_normal((_MODES, 3)) / length_mm
    phases = random.uniform(0.0, 2.0 * np.pi, _MODES)
    x, y, z = np.ascontiguousarray(points.T)
    out = np.zeros(len(points))
    for (kx, ky, kz), phase in zip(waves, phases, strict=True):
        out += np.cos(kx * x + ky * y + kz * z + phase)
    return np.asarray(out * np.sqrt(2.0 / _MODES))


def mixed_density(
    body_depth: NDArray[np.float64],
    arch: NDArray[np.float64],
    core: NDArray[np.float64],
    trabecular: NDArray[np.float64],
    *,
    tissue: PhantomTissue,
    voxel_mm: float,
) -> NDArray[np.float64]:
    """Density of every voxel from its shares of trabecular bone, shell, posterior elements and soft tissue.

    Parameters
    ----------
    body_depth, arch : (n,) ndarray
        Depth of the voxel's centre in the body and in the posterior elements, mm.
    core : (n,) ndarray
        Volume fraction inside the shell's inner surface.
    trabecular : (n,) ndarray
        Density of the trabecular bone, g/cm3.
    tissue : PhantomTissue
        Densities of the rest.
    voxel_mm : float
        Edge of the voxel, mm.

    Returns
    -------
    (n,) ndarray
        Density in g/cm3.
    """
    in_body = inner_fraction(body_depth, voxel_mm)
    in_arch = inner_fraction(arch, voxel_mm)
    # Where a pedicle joins the body there is no shell between them.
    shell = (in_body - core) * (1.0 - in_arch)
    posterior = in_arch * (1.0 - core)
    soft = 1.0 - core - shell - posterior
    return np.asarray(
        core * trabecular
        + shell * tissue.shell_density_g_cm3
        + posterior * tissue.arch_density_g_cm3
        + soft * tissue.soft_tissue_g_cm3
    )
