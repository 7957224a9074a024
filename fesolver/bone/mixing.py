"""One rule from tissue to elasticity: the volume-weighted mean of the elasticity matrices of a cell's materials."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.conversions import convert
from fesolver.bone.density import Density
from fesolver.bone.law import LawReport
from fesolver.bone.materials import (
    BoneMaterial,
    FibreReinforced,
    Isotropic,
    LayeredFibres,
    Material,
    TransverselyIsotropic,
)
from fesolver.bone.mix_report import MixReport, mix_notes
from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.fem.hooke import isotropic_elasticity, lame_parameters, rotate_elasticity
from fesolver.fem.problem import Elasticity

__all__ = ["MixReport", "material_of", "mix_elasticity"]

FRACTION_TOLERANCE = 1e-9
"""How far the fractions of a cell may be from 1: round-off of a handful of sums, far below any real gap."""

_LAYERS = ("cortical", "superior_endplate", "inferior_endplate", "cement", "implant")
"""Parts that are in the CT mean of the cells they share with trabecular bone."""


def material_of(region: str, materials: Mapping[str, Material]) -> Material:
    """The material of a region: by its full name, else its part, else `endplate` for both endplates.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> from fesolver.bone.materials import default_materials
    >>> material_of("L1/inferior_endplate", default_materials())
    Isotropic(young=670.0, poisson=0.3)
    """
    part = region.rsplit("/", 1)[-1]
    for key in (region, part, "endplate" if part.endswith("_endplate") else part):
        if key in materials:
            return materials[key]
    raise InputError(
        f"region {region} has no material",
        fix=f"give one for {region!r} or {part!r}; there are materials for {', '.join(sorted(materials)) or 'nothing'}",
    )


def mix_elasticity(
    tissue: Tissue,
    materials: Mapping[str, Material],
    *,
    volumes: NDArray[np.float64] | None = None,
    centroids: NDArray[np.float64] | None = None,
) -> tuple[Elasticity, MixReport]:
    """Elasticity of every cell from what fills it.

    Parameters
    ----------
    tissue : Tissue
        Fractions of each material and the density per cell.
    materials : mapping of str to Material
        By full region name (`L1-L2/nucleus`) or by kind (`trabecular`, `cortical`, `endplate`, `posterior`, `cement`,
        `nucleus`, `annulus`); the full name wins.
    volumes : (n_cells,) ndarray, optional
        Cell volumes in mm3, for mass and volume fractions in the report; equal by default.
    centroids : (n_cells, 3) ndarray, optional
        Cell centres in mm, so that an error can say where.

    Returns
    -------
    elasticity : Elasticity
    report : MixReport

    Raises
    ------
    InputError
        If a region has no material, fractions do not sum to 1 in every cell, a density is not finite, a density kind
        does not fit its law, a region with fibres has no axes, or a cell's matrix is not positive definite.

    Notes
    -----
    C = sum over materials of f C_m, the Voigt (iso-strain) mean: an upper bound on the stiffness of the mix [1]_. For
    isotropic materials this is a sum of Lame constants, so the cell stays isotropic; at one Poisson's ratio it is the
    mean of the moduli, and for a layer of thickness t in a cell of height h, t/h E_layer + (1 - t/h) E_trabecular:
    exact for a layer loaded along its plane, too stiff for one loaded through its thickness.

    The CT mean of a cell that holds a layer, or cement, counts that part's mineral too. Its trabecular part is
    therefore taken at no more than the upper end of the law's density range: a stated choice that bounds, and does not
    remove, the double counting. Cells without a layer use the density they have; what lies above the range is reported.

    Regions are added in the order of their names, so the bits do not depend on the order of a mapping.

    References
    ----------
    .. [1] R. Hill, Proc. Phys. Soc. A 65 (1952) 349.

    Examples
    --------
    >>> half = Region(np.array([0]), np.array([0.5]))
    >>> tissue = Tissue(np.zeros(1), "rho_qct", {"L1/cortical": half, "L1/superior_endplate": half})
    >>> elasticity, _ = mix_elasticity(
    ...     tissue, {"cortical": Isotropic(8000.0, 0.3), "endplate": Isotropic(1000.0, 0.3)}
    ... )
    >>> elasticity.young
    array([4500.])
    """
    mix = _Mix(tissue, volumes, centroids)
    chosen = {name: material_of(name, materials) for name in sorted(tissue.regions)}
    for name, material in chosen.items():
        mix.add(name, tissue.regions[name], material)
    return mix.elasticity(), mix.report(chosen)


class _Mix:
    """Sums over the regions of one tissue; the mean of matrices as sums of Lame constants plus general parts."""

    def __init__(
        self, tissue: Tissue, volumes: NDArray[np.float64] | None, centroids: NDArray[np.float64] | None
    ) -> None:
        n = len(tissue.density)
        self.tissue, self.volumes, self.centroids = tissue, volumes, centroids
        self.weight = np.ones(n) if volumes is None else np.asarray(volumes, dtype=np.float64)
        for name, given, shape in (("volumes", volumes, (n,)), ("centroids", centroids, (n, 3))):
            if given is not None and given.shape != shape:
                raise InputError(f"{name} must have shape {shape}, got {given.shape}")
        self.lam, self.mu, self.young_sum = np.zeros(n), np.zeros(n), np.zeros(n)
        self.poisson_low, self.poisson_high = np.full(n, np.inf), np.full(n, -np.inf)
        self.general: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self.region_young: dict[str, NDArray[np.float64]] = {}
        self.law_sums = np.zeros(4)  # floored, below, above, capped; times bone volume
        self.bone_volume = 0.0
        self._check_fractions()

    def place(self, cell: int) -> str:
        """Where a cell is, for an error."""
        names = [name for name, region in self.tissue.regions.items() if np.any(region.cells == cell)]
        at = "" if self.centroids is None else " at ({:.1f}, {:.1f}, {:.1f}) mm".format(*self.centroids[cell])
        return f"cell {cell}{at} in {', '.join(names) or 'no region'}"

    def _check_fractions(self) -> None:
        """Every cell is filled exactly once."""
        total = np.zeros(len(self.tissue.density))
        for name, region in self.tissue.regions.items():
            if len(region.cells) != len(region.fraction):
                raise InputError(f"region {name} has {len(region.cells)} cells and {len(region.fraction)} fractions")
            is_in = (region.fraction > 0.0) & (region.fraction <= 1.0 + FRACTION_TOLERANCE)
            if not np.all(is_in):
                first = int(np.argmin(is_in))
                raise InputError(
                    f"a fraction of region {name} is not in (0, 1]: {region.fraction[first]:.6g}",
                    where=self.place(int(region.cells[first])),
                )
            total[region.cells] += region.fraction
        off = ~(np.abs(total - 1.0) <= FRACTION_TOLERANCE)
        if np.any(off):
            cell = int(np.argmax(off))
            raise InputError(
                f"material fractions of {np.count_nonzero(off)} cells do not sum to 1, the first to {total[cell]:.6g}",
                where=self.place(cell),
            )

    def add(self, name: str, region: Region, material: Material) -> None:
        """Add one region to the mean."""
        k = len(region.cells)
        if isinstance(material, Isotropic):
            self.region_young[name] = np.full(k, material.young)
            self._add_isotropic(region, self.region_young[name], material.poisson)
        elif isinstance(material, FibreReinforced | LayeredFibres):
            self._add_isotropic(region, np.full(k, material.ground.young), material.ground.poisson)
            matrices = rotate_elasticity(self._fibre_matrix(name, k, material), self._axes(name, k))
            self.general.append((region.cells, region.fraction[:, None, None] * matrices))
            whole = isotropic_elasticity(material.ground.young, material.ground.poisson) + matrices
            self.region_young[name] = _axial_young(whole)
        elif isinstance(material, TransverselyIsotropic):
            axes = self._axes(name, k) if name in self.tissue.axes else np.eye(3)
            matrices = np.broadcast_to(rotate_elasticity(material.matrix(), axes), (k, 6, 6))
            self.general.append((region.cells, region.fraction[:, None, None] * matrices))
            self.region_young[name] = _axial_young(matrices)
        else:
            young = self._bone_young(name, region, material)
            self.region_young[name] = young
            if material.law.anisotropy is None:
                self._add_isotropic(region, young, material.poisson)
            else:
                self.general.append((region.cells, (region.fraction * young)[:, None, None] * material.unit_matrix()))

    def _fibre_matrix(self, name: str, k: int, material: FibreReinforced | LayeredFibres) -> NDArray[np.float64]:
        """What the fibres add in the axes of the cells: (6, 6), or (k, 6, 6) where they differ by layer."""
        if name not in self.tissue.axes:
            raise InputError(
                f"region {name} has fibres but the tissue gives it no axes",
                fix="give Tissue.axes for it, or an isotropic material",
            )
        if isinstance(material, FibreReinforced):
            return material.fibre_matrix()
        depth = np.asarray(self.tissue.depth.get(name, np.zeros(0)), dtype=np.float64)
        if depth.shape != (k,) or not np.all((depth >= 0.0) & (depth <= 1.0)):
            raise InputError(
                f"region {name} has fibre layers, but the tissue does not say in which of them its {k} cells are",
                fix="give Tissue.depth for it, from 0 (inside) to 1 (outside), or one fibre modulus for all",
            )
        matrices = np.array([material.layer(number).fibre_matrix() for number in range(material.n_layers)])
        return np.asarray(matrices[material.layer_of(depth)])

    def _axes(self, name: str, k: int) -> NDArray[np.float64]:
        """Axes of a region's cells, checked."""
        axes = np.asarray(self.tissue.axes[name], dtype=np.float64)
        if axes.shape != (k, 3, 3):
            raise InputError(f"axes of region {name} must have shape ({k}, 3, 3), got {axes.shape}")
        error = np.abs(axes @ np.swapaxes(axes, -1, -2) - np.eye(3)).max(axis=(1, 2)) if k else np.zeros(0)
        if not np.all(error < 1e-6):
            cell = int(self.tissue.regions[name].cells[np.argmin(error < 1e-6)])
            raise InputError(f"axes of region {name} are not orthonormal", where=self.place(cell))
        return axes

    def _add_isotropic(self, region: Region, young: NDArray[np.float64], poisson: float) -> None:
        """Add f lambda and f mu; keep the plain mean of moduli for cells with one Poisson's ratio."""
        c = region.cells
        lam, mu = lame_parameters(young, poisson)
        self.lam[c] += region.fraction * lam
        self.mu[c] += region.fraction * mu
        self.young_sum[c] += region.fraction * young
        self.poisson_low[c] = np.minimum(self.poisson_low[c], poisson)
        self.poisson_high[c] = np.maximum(self.poisson_high[c], poisson)

    def _bone_young(self, name: str, region: Region, material: BoneMaterial) -> NDArray[np.float64]:
        """Modulus of density-driven bone in the region's cells, capped beside layers."""
        values = self.tissue.density[region.cells]
        bad = ~np.isfinite(values)
        if np.any(bad):
            raise InputError(
                f"the density of {np.count_nonzero(bad)} cells of {name} is not finite",
                where=self.place(int(region.cells[np.argmax(bad)])),
            )
        density = convert(Density(values, self.tissue.kind), material.conversions)
        high = material.law.density_range_g_cm3[1]
        is_capped = self._beside_layer(name, region) & (density.values > high)
        density = Density(np.where(is_capped, high, density.values), density.kind)
        weights = region.fraction * self.weight[region.cells]
        young, law_report = material.law.evaluate(density, floor_mpa=material.floor_mpa, weights=weights)
        if not np.all(young > 0.0):
            raise InputError(
                f"bone of {name} has no stiffness: law {material.law.name} gives {float(young.min()):g} MPa",
                where=self.place(int(region.cells[np.argmin(young)])),
                fix="use a positive floor_mpa",
            )
        volume = float(weights.sum())
        self.bone_volume += volume
        self.law_sums += volume * _as_array(law_report)
        self.law_sums[3] += float(weights[is_capped].sum())
        return young

    def _beside_layer(self, name: str, region: Region) -> NDArray[np.bool_]:
        """Cells of the region that also hold a shell, endplate or cement of the same level, (k,)."""
        level = name.rsplit("/", 1)[0]
        is_beside = np.zeros(len(self.tissue.density), dtype=bool)
        for part in _LAYERS:
            layer = self.tissue.regions.get(f"{level}/{part}")
            if layer is not None:
                is_beside[layer.cells] = True
        return is_beside[region.cells]

    def elasticity(self) -> Elasticity:
        """The mean as isotropic constants and general matrices."""
        n = len(self.lam)
        is_general = np.zeros(n, dtype=bool)
        for cells, _ in self.general:
            is_general[cells] = True
        ids = np.flatnonzero(is_general)
        matrices = np.zeros((len(ids), 6, 6))
        matrices[:, :3, :3] = self.lam[ids, None, None]
        diagonal = np.arange(6)
        matrices[:, diagonal, diagonal] += np.where(diagonal < 3, 2.0, 1.0) * self.mu[ids, None]
        for cells, part in self.general:
            matrices[np.searchsorted(ids, cells)] += part
        if len(ids):
            least = np.linalg.eigvalsh(matrices)[:, 0]
            if not np.all(least > 0.0):
                worst = int(np.argmin(np.where(np.isfinite(least), least, -np.inf)))
                raise InputError(
                    f"the elasticity of a cell is not positive definite (smallest eigenvalue {least[worst]:g} MPa)",
                    where=self.place(int(ids[worst])),
                )
        # The mean modulus is exact, and free of the round-off of lambda near nu = 0.5, where the ratio is the same.
        is_single = (self.poisson_low == self.poisson_high) & ~is_general
        with np.errstate(divide="ignore", invalid="ignore"):
            young = self.mu * (3.0 * self.lam + 2.0 * self.mu) / (self.lam + self.mu)
            poisson = self.lam / (2.0 * (self.lam + self.mu))
        young[is_single], poisson[is_single] = self.young_sum[is_single], self.poisson_low[is_single]
        young[ids] = _axial_young(matrices)
        poisson[ids] = _lateral_poisson(matrices)
        if not (np.all(young > 0.0) and np.all(np.isfinite(young))):
            raise InputError(
                "a cell has no finite positive modulus",
                where=self.place(int(np.argmin(np.nan_to_num(young, nan=-1.0)))),
            )
        self._young = young
        return Elasticity(young, poisson, ids, matrices)

    def report(self, chosen: Mapping[str, Material]) -> MixReport:
        """Sums over the regions, as fractions and sentences."""
        count = np.zeros(len(self.lam), dtype=int)
        for region in self.tissue.regions.values():
            count[region.cells] += 1
        floored, below, above, capped = self.law_sums / self.bone_volume if self.bone_volume > 0.0 else np.zeros(4)
        has_volumes = self.volumes is not None
        return MixReport(
            fraction_floored=float(floored),
            fraction_below=float(below),
            fraction_above=float(above),
            fraction_capped=float(capped),
            bone_mass_g=float(np.sum(self.tissue.density * self.weight)) * 1e-3 if has_volumes else None,
            bone_volume_mm3=self.bone_volume if has_volumes else None,
            fraction_mixed=float(self.weight[count > 1].sum() / self.weight.sum()) if len(count) else 0.0,
            young_range_mpa=(float(self._young.min()), float(self._young.max())) if len(count) else (0.0, 0.0),
            materials=dict(chosen),
            region_young=self.region_young,
            notes=mix_notes(chosen, floored, above, capped),
        )


def _as_array(report: LawReport) -> NDArray[np.float64]:
    """Fractions of a law report in the order of the sums; the last place is the caller's."""
    return np.array([report.fraction_floored, report.fraction_below, report.fraction_above, 0.0])


def _axial_young(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Young's modulus along z of elasticity matrices (k, 6, 6), MPa."""
    return np.asarray(1.0 / np.linalg.inv(matrices)[..., 2, 2]) if len(matrices) else np.zeros(0)


def _lateral_poisson(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Representative Poisson's ratio of (k, 6, 6): mean lateral contraction under stress along z, inside (-1, 0.5)."""
    if not len(matrices):
        return np.zeros(0)
    S = np.linalg.inv(matrices)
    return np.asarray(np.clip(-0.5 * (S[:, 0, 2] + S[:, 1, 2]) / S[:, 2, 2], -0.99, 0.4999))
