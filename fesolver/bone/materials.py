"""Materials of bone, disc, cement and posterior elements, with the sources of the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.bone.conversions import Conversion
from fesolver.bone.law import DEFAULT_FLOOR_MPA, BoneLaw
from fesolver.bone.laws import bone_law
from fesolver.errors import InputError
from fesolver.fem.hooke import orthotropic_elasticity
from fesolver.fem.voigt import strain_tensor

__all__ = [
    "ANNULUS_FIBRE_LAYERS",
    "DEFAULT_ANNULUS",
    "DEFAULT_NUCLEUS",
    "BoneMaterial",
    "FibreReinforced",
    "Isotropic",
    "LayeredFibres",
    "Material",
    "TransverselyIsotropic",
    "default_materials",
    "fibre_strains",
    "mean_fibre_modulus",
]

ANNULUS_FIBRE_LAYERS: tuple[tuple[float, float], ...] = ((550.0, 0.50), (495.0, 0.39), (413.0, 0.31), (358.0, 0.24))
"""Fibre modulus (MPa) and cross-section (mm2) of the annulus layer pairs, outer to inner [BMC Musculoskelet Disord
2013;14:220, table 1, after Shirazi-Adl]."""


def _check_poisson(name: str, poisson: float) -> None:
    """Refuse a ratio without a positive definite elasticity matrix."""
    if not -1.0 < poisson < 0.5:
        raise InputError(
            f"Poisson's ratio of {name} must lie in (-1, 0.5), got {poisson}",
            fix="nearly incompressible tissue takes up to 0.4999",
        )


@dataclass(frozen=True)
class Isotropic:
    """One modulus and one Poisson's ratio.

    Parameters
    ----------
    young : float
        MPa, positive.
    poisson : float
        Dimensionless, in (-1, 0.5).

    Raises
    ------
    InputError
        If a constant is outside its range.
    """

    young: float
    poisson: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.young) and self.young > 0.0):
            raise InputError(f"Young's modulus must be positive and finite, got {self.young} MPa")
        _check_poisson("an isotropic material", self.poisson)


@dataclass(frozen=True)
class TransverselyIsotropic:
    """Isotropic in the x-y plane of its axes, different along z; z is that of the mesh, or of the region's own axes.

    Parameters
    ----------
    young_axial, young_transverse : float
        E_z and E_x = E_y, MPa.
    shear_axial : float
        G_xz = G_yz, MPa. G_xy follows as E_x / (2 (1 + nu_xy)).
    poisson_transverse : float
        nu_xy.
    poisson_transverse_axial : float
        nu_xz = nu_yz: minus the strain along z over that along x under stress along x.

    Raises
    ------
    InputError
        If the constants are not admissible (compliance not positive definite).
    """

    young_axial: float
    young_transverse: float
    shear_axial: float
    poisson_transverse: float
    poisson_transverse_axial: float

    def __post_init__(self) -> None:
        for name, value in (
            ("axial modulus", self.young_axial),
            ("transverse modulus", self.young_transverse),
            ("axial shear modulus", self.shear_axial),
        ):
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"{name} of a transversely isotropic material must be positive, got {value} MPa")
        if not -1.0 < self.poisson_transverse < 1.0:
            raise InputError(f"nu_xy must lie in (-1, 1), got {self.poisson_transverse}")
        self.matrix()

    def matrix(self) -> NDArray[np.float64]:
        """Elasticity matrix (6, 6) in MPa in its own axes; raises `InputError` when not positive definite."""
        shear_transverse = self.young_transverse / (2.0 * (1.0 + self.poisson_transverse))
        return orthotropic_elasticity(
            young=[self.young_transverse, self.young_transverse, self.young_axial],
            shear=[self.shear_axial, self.shear_axial, shear_transverse],
            poisson_yz=self.poisson_transverse_axial,
            poisson_xz=self.poisson_transverse_axial,
            poisson_xy=self.poisson_transverse,
        )


@dataclass(frozen=True)
class FibreReinforced:
    """An isotropic ground substance with two criss-cross families of fibres, homogenised.

    Parameters
    ----------
    ground : Isotropic
        Ground substance; it fills the whole volume, as with the rebar elements its constants come from.
    fibre_young_mpa : float
        Modulus of a fibre, MPa, not negative.
    volume_fraction : float
        Fibre volume over annulus volume, both families together, in [0, 1].
    angle_deg : float
        Angle of the families to the circumferential direction, + and -, degrees in [0, 90].

    Raises
    ------
    InputError
        If a constant is outside its range.

    Notes
    -----
    C = C_ground + (v_f / 2) E_f sum over both families of a (x) a (x) a (x) a, with a = (cos, 0, +-sin) in the
    (circumferential, radial, axial) axes of the cell. The fibres stay linear: they carry compression as they carry
    tension, which real ones do not. `fibre_strains` shows where a solved model makes use of that.
    """

    ground: Isotropic
    fibre_young_mpa: float
    volume_fraction: float
    angle_deg: float = 30.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fibre_young_mpa) and self.fibre_young_mpa >= 0.0):
            raise InputError(f"fibre modulus must be finite and not negative, got {self.fibre_young_mpa} MPa")
        if not 0.0 <= self.volume_fraction <= 1.0:
            raise InputError(f"fibre volume fraction must lie in [0, 1], got {self.volume_fraction}")
        if not 0.0 <= self.angle_deg <= 90.0:
            raise InputError(f"fibre angle must lie in [0, 90] degrees, got {self.angle_deg}")

    def directions(self) -> NDArray[np.float64]:
        """Unit vectors of the two families in (circumferential, radial, axial) components, (2, 3)."""
        c, s = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        return np.array([[c, 0.0, s], [c, 0.0, -s]])

    def fibre_matrix(self) -> NDArray[np.float64]:
        """What the fibres add to the ground, (6, 6) in MPa, in (circumferential, radial, axial) axes."""
        D = np.zeros((6, 6))
        for x, y, z in self.directions():
            v = np.array([x * x, y * y, z * z, y * z, x * z, x * y])  # stress of a unit fibre tension
            D += 0.5 * self.volume_fraction * self.fibre_young_mpa * np.outer(v, v)
        return D


@dataclass(frozen=True)
class LayeredFibres:
    """An annulus in layers of equal thickness, each with criss-cross fibres of its own stiffness and angle.

    Parameters
    ----------
    ground : Isotropic
        Ground substance of all layers.
    layers : tuple of (float, float)
        Fibre modulus, MPa, and relative fibre cross-section of each layer, outermost first.
    volume_fraction : float
        Fibre volume over annulus volume, both families and all layers together, in [0, 1].
    angle_outer_deg, angle_inner_deg : float
        Angle of the families to the circumferential direction in the outermost and the innermost layer, degrees in
        [0, 90]; linear between.

    Raises
    ------
    InputError
        If there is no layer, or a constant is outside its range.

    Notes
    -----
    A layer is a `FibreReinforced` whose fibre fraction is the mean one times its cross-section over the mean
    cross-section, so that the mean of fraction times modulus over layers of equal volume is that of the homogeneous
    annulus with `mean_fibre_modulus`. Published angles: +-30 degrees, 24 to 46 towards the inside (known with high
    confidence, not re-read).

    Examples
    --------
    >>> annulus = LayeredFibres(Isotropic(4.2, 0.45))
    >>> [round(annulus.at(depth).volume_fraction, 3) for depth in (0.1, 0.9)]
    [0.107, 0.222]
    """

    ground: Isotropic
    layers: tuple[tuple[float, float], ...] = ANNULUS_FIBRE_LAYERS
    volume_fraction: float = 0.16
    angle_outer_deg: float = 30.0
    angle_inner_deg: float = 30.0

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError("a layered annulus needs at least one layer", fix="give (modulus in MPa, cross-section)")
        for young, area in self.layers:
            if not (np.isfinite(young) and young >= 0.0 and np.isfinite(area) and area > 0.0):
                raise InputError(f"fibre layer ({young}, {area}) needs a modulus >= 0 MPa and a cross-section > 0")
        for number in range(len(self.layers)):
            self.layer(number)

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return len(self.layers)

    def layer_of(self, depth: ArrayLike) -> NDArray[np.int64]:
        """Layer, 0 for the outermost, of places from 0 (inside) to 1 (outside), (k,)."""
        place = np.asarray(depth, dtype=np.float64)
        return np.clip(np.floor((1.0 - place) * self.n_layers), 0, self.n_layers - 1).astype(np.int64)

    def layer(self, number: int) -> FibreReinforced:
        """One layer, 0 for the outermost."""
        young, area = self.layers[number]
        mean_area = sum(a for _, a in self.layers) / self.n_layers
        inward = number / max(self.n_layers - 1, 1)
        return FibreReinforced(
            self.ground,
            young,
            self.volume_fraction * area / mean_area,
            self.angle_outer_deg + inward * (self.angle_inner_deg - self.angle_outer_deg),
        )

    def at(self, depth: float) -> FibreReinforced:
        """The layer at a place from 0 (inside) to 1 (outside)."""
        return self.layer(int(self.layer_of(depth)))


@dataclass(frozen=True)
class BoneMaterial:
    """Trabecular bone whose modulus follows its density.

    Parameters
    ----------
    law : BoneLaw
        Density to modulus.
    poisson : float
        Poisson's ratio, in (-1, 0.5); a law with anisotropy brings its own ratios instead.
    floor_mpa : float
        Smallest modulus, MPa.
    conversions : tuple of Conversion
        Named steps from the tissue's density kind to the law's, in order.

    Raises
    ------
    InputError
        If a constant is outside its range or the law's ratios are not admissible.
    """

    law: BoneLaw = field(default_factory=bone_law)
    poisson: float = 0.3
    floor_mpa: float = DEFAULT_FLOOR_MPA
    conversions: tuple[Conversion, ...] = ()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.floor_mpa) and self.floor_mpa >= 0.0):
            raise InputError(f"the modulus floor must be finite and not negative, got {self.floor_mpa} MPa")
        _check_poisson("bone", self.poisson)
        if self.law.anisotropy is not None:
            self.unit_matrix()

    def unit_matrix(self) -> NDArray[np.float64]:
        """Elasticity matrix (6, 6) of the anisotropic law for E_z = 1 MPa, z along the body axis."""
        ratios = self.law.anisotropy
        if ratios is None:
            raise InputError(f"bone law {self.law.name} is isotropic")
        return TransverselyIsotropic(
            1.0,
            ratios.young_transverse,
            ratios.shear_axial,
            ratios.poisson_transverse,
            ratios.poisson_transverse_axial,
        ).matrix()


Material: TypeAlias = Isotropic | TransverselyIsotropic | FibreReinforced | LayeredFibres | BoneMaterial
"""Anything a region can be made of."""


def mean_fibre_modulus(layers: tuple[tuple[float, float], ...] = ANNULUS_FIBRE_LAYERS) -> float:
    """Mean modulus of layers of (modulus, cross-section), weighted by cross-section, in the modulus' unit.

    Examples
    --------
    >>> round(mean_fibre_modulus(), 1)
    473.6
    """
    return sum(young * area for young, area in layers) / sum(area for _, area in layers)


DEFAULT_NUCLEUS = Isotropic(1.0, 0.499)
DEFAULT_ANNULUS = FibreReinforced(Isotropic(4.2, 0.45), mean_fibre_modulus(), 0.16, 30.0)


def default_materials(law: BoneLaw | None = None) -> dict[str, Material]:
    """Materials by region kind; override single ones with `{**default_materials(), "L1-L2/nucleus": Isotropic(...)}`.

    Parameters
    ----------
    law : BoneLaw, optional
        Law of trabecular bone, `kopperdahl2002_power` by default.

    Returns
    -------
    dict
        Keys `trabecular`, `cortical`, `endplate`, `posterior`, `cement`, `nucleus`, `annulus`.

    Notes
    -----
    - cortical shell 8040 MPa: 12000 less 33 % for osteoporosis [1]_ [2]_; endplate 670 and posterior elements 2345 MPa
      (nu 0.25): 1000 and 3500 less 33 %, the reduction known from the papers, not re-read; nu of bone 0.3.
    - PMMA 2000 MPa, nu 0.3: within 1937 +- 478 MPa of ISO 5833 specimens [3]_ and the 2.0 to 2.7 GPa of
      vertebroplasty preparations [4]_. In bone it is porous and its stiffness is governed by that porosity and not by
      the bone between, so it replaces bone instead of adding to it [5]_.
    - annulus ground 4.2 MPa, nu 0.45 and nucleus 1.0 MPa, nu 0.499 [1]_ [2]_.
    - annulus fibres: 473.6 MPa, the mean of the four layer pairs of [1]_ weighted by their fibre cross-sections, at
      +-30 degrees, 16 % of the annulus volume: the lower end of the 16 to 19 % in the literature (known with high
      confidence, not re-read), chosen because linear fibres are too stiff where real ones would go slack.

    References
    ----------
    .. [1] BMC Musculoskelet Disord 2013;14:220, table 1.
    .. [2] Sci Rep 2025, s41598-025-03377-x, table 1.
    .. [3] Low-stiffness cement study, PMC3698342: standard cement 1937 +- 478 MPa.
    .. [4] Jasper et al. 2002 (2.0 to 2.7 GPa).
    .. [5] Kinzl et al. 2012.
    """
    return {
        "trabecular": BoneMaterial(law or bone_law()),
        "cortical": Isotropic(8040.0, 0.3),
        "endplate": Isotropic(670.0, 0.3),
        "posterior": Isotropic(2345.0, 0.25),
        "cement": Isotropic(2000.0, 0.3),
        "nucleus": DEFAULT_NUCLEUS,
        "annulus": DEFAULT_ANNULUS,
    }


def fibre_strains(material: FibreReinforced, strain: ArrayLike, axes: ArrayLike) -> NDArray[np.float64]:
    """Strain along both fibre families; where it is negative, linear fibres carry compression that real ones do not.

    Parameters
    ----------
    material : FibreReinforced
        Gives the angle.
    strain : (k, 6) array_like
        Voigt strain in the mesh frame, engineering shear.
    axes : (k, 3, 3) array_like
        Rows: circumferential, radial and axial unit vectors per cell, as in `Tissue.axes`.

    Returns
    -------
    (k, 2) ndarray
        Dimensionless, positive in tension.
    """
    directions = np.einsum("fi,kij->kfj", material.directions(), np.asarray(axes, dtype=np.float64))
    return np.asarray(np.einsum("kfi,kij,kfj->kf", directions, strain_tensor(strain), directions))
