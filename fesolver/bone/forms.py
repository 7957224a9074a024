"""The one algebraic form of all published density laws, kept as numbers so that a law can be printed and compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError

__all__ = ["PowerForm"]


@dataclass(frozen=True)
class PowerForm:
    """The curve offset + coefficient * rho ** exponent.

    Parameters
    ----------
    coefficient : float
        MPa per (g/cm3) ** exponent, positive.
    exponent : float
        Dimensionless, positive.
    offset : float
        MPa.

    Raises
    ------
    InputError
        If a number is not finite, or coefficient or exponent is not positive.

    Examples
    --------
    >>> PowerForm(3230.0, offset=-34.7)(0.08)
    array(223.7)
    >>> PowerForm(2980.0, 1.05).text("E")
    'E = 2980 rho^1.05'
    """

    coefficient: float
    exponent: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.coefficient, self.exponent, self.offset)
        if not all(np.isfinite(numbers)) or self.coefficient <= 0.0 or self.exponent <= 0.0:
            raise InputError(
                f"a density law needs a positive coefficient and exponent and a finite offset, got coefficient "
                f"{self.coefficient}, exponent {self.exponent}, offset {self.offset}"
            )

    def __call__(self, density: ArrayLike) -> NDArray[np.float64]:
        """Value in MPa at densities (...) in g/cm3; a power of a negative density is that of zero density."""
        rho = np.asarray(density, dtype=np.float64)
        base = rho if self.exponent == 1.0 else np.maximum(rho, 0.0) ** self.exponent
        return np.asarray(self.offset + self.coefficient * base)

    def text(self, symbol: str) -> str:
        """The formula as one line, MPa and g/cm3."""
        start = f"{self.offset:g} + " if self.offset else ""
        power = "" if self.exponent == 1.0 else f"^{self.exponent:g}"
        return f"{symbol} = {start}{self.coefficient:g} rho{power}"
