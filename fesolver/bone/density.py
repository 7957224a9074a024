"""Bone density with its kind: a number without its kind has no meaning here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError

__all__ = ["DENSITY_KINDS", "Density", "DensityKind"]

DensityKind = Literal["rho_qct", "rho_ha", "rho_ash", "rho_app"]
"""`rho_qct`: K2HPO4 equivalent; `rho_ha`: hydroxyapatite equivalent; `rho_ash`: ash; `rho_app`: wet apparent."""

DENSITY_KINDS: tuple[str, ...] = get_args(DensityKind)


@dataclass(frozen=True)
class Density:
    """Density values and their kind.

    Parameters
    ----------
    values : (...) ndarray
        Density in g/cm3; may be negative before flooring (marrow, noise).
    kind : {"rho_qct", "rho_ha", "rho_ash", "rho_app"}
        What the numbers are equivalent to.

    Raises
    ------
    InputError
        If `kind` is unknown.
    """

    values: NDArray[np.float64]
    kind: DensityKind

    def __post_init__(self) -> None:
        if self.kind not in DENSITY_KINDS:
            raise InputError(f"density kind {self.kind!r} is unknown", fix=f"use one of {', '.join(DENSITY_KINDS)}")
