"""Published ranges that a believable segment falls into, and where ours falls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fesolver.errors import InputError
from fesolver.outcomes.change import Change
from fesolver.outcomes.state import Value

__all__ = ["BANDS", "Band", "BandCheck", "check_bands"]

Fibres = Literal["any", "with", "without"]


@dataclass(frozen=True)
class Band:
    """A range of one quantity, how well it is known, and who says so.

    Parameters
    ----------
    quantity : str
        Quantity of `Value`; with `of_change`, the percent change of that quantity.
    low, high : float
        Ends of the range, in the unit of the quantity (percent with `of_change`).
    standing : str
        `P`: read in the source's abstract or table; `M-H`, `M-M`, `M-L`: known from the paper with high, medium or low
        confidence, not read again; `calc`: follows from a formula; `trial`: seen in a trial model, no published
        standing.
    source : str
        Where it comes from, and what it was measured on.
    fibres : {"any", "with", "without"}
        Annulus the band speaks about.
    of_change : bool
        Whether it is a range of the change with cement, in percent.
    beside_treated : bool
        Whether it speaks about the discs next to the treated vertebra only.
    """

    quantity: str
    low: float
    high: float
    standing: str
    source: str
    fibres: Fibres = "any"
    of_change: bool = False
    beside_treated: bool = False


@dataclass(frozen=True)
class BandCheck:
    """One number of ours beside its range.

    Parameters
    ----------
    quantity, level : str
        The number; a change carries `_change_percent`.
    low, high, standing, source
        As in `Band`.
    ours : float
        Our number.
    is_inside : bool
        Whether it lies in the closed range.
    hypothesis : str
        Why it lies outside, and how that was tested; empty until somebody has.
    """

    quantity: str
    level: str
    low: float
    high: float
    standing: str
    source: str
    ours: float
    is_inside: bool
    hypothesis: str


BANDS: tuple[Band, ...] = (
    Band(
        "isolated_stiffness_n_per_mm",
        8000.0,
        35000.0,
        "M-L",
        "isolated lumbar bodies between PMMA, wide spread (as Dall'Ara 2010)",
    ),
    Band(
        "isolated_stiffness_over_ea_h",
        0.0,
        1.211,
        "calc",
        "k over sum(E dV)/h^2: 1 for one uniform axial strain; 1.211 for a disc of radius 20, height 10 mm, nu 0.3 "
        "bonded to rigid plates, held more than a body is; less where soft layers lie in series",
    ),
    Band(
        "strength_isolated_n",
        2470.0,
        5470.0,
        "M-H",
        "lumbar compressive strength of women, 3.97 +- 1.50 kN (Jager and Luttmann): mean and one standard deviation",
    ),
    Band(
        "nucleus_pressure_over_mean_pressure",
        1.0,
        1.35,
        "trial",
        "nucleus pressure over F/A, annulus without fibres: trial model, no published standing",
        fibres="without",
    ),
    Band(
        "nucleus_pressure_over_mean_pressure",
        1.15,
        1.45,
        "trial",
        "nucleus pressure over F/A, annulus with fibres: trial model, no published standing",
        fibres="with",
    ),
    Band(
        "nucleus_pressure_over_mean_pressure",
        1.3,
        1.6,
        "M-H",
        "nucleus pressure over F/A in vivo, 1.3 to 1.6 (Nachemson: 1.5), swelling discs under muscle load",
    ),
    Band(
        "shell_load_share_mid",
        0.38,
        0.54,
        "P",
        "largest shell load fraction, at the narrowest section, 13 elderly bodies, micro-FE (Eswaran 2006)",
    ),
    Band(
        "shell_load_share_mid",
        0.339,
        0.487,
        "P",
        "shell load fraction at mid-height in compression, 41.3 +- 7.4 %, 22 T9, micro-FE with homogenised discs "
        "(Yang 2012): mean and one standard deviation",
    ),
    Band(
        "core_load_share_near_superior_endplate",
        0.76,
        0.89,
        "P",
        "largest trabecular load fraction, near the endplates, 13 elderly bodies, micro-FE (Eswaran 2006)",
    ),
    Band(
        "core_load_share_near_inferior_endplate",
        0.76,
        0.89,
        "P",
        "largest trabecular load fraction, near the endplates, 13 elderly bodies, micro-FE (Eswaran 2006)",
    ),
    Band(
        "disc_stiffness_n_per_mm",
        500.0,
        2500.0,
        "M-M",
        "axial disc stiffness across the literature (Virgin 1951, Hirsch and Nachemson, Brown, Markolf, Schultz 1979)",
    ),
    Band(
        "nucleus_pressure_mpa",
        2.4,
        19.0,
        "P",
        "disc pressure with cement beside it: +2.4 % (Rohlmann 2006, cement alone) to +19 % (Baroud 2003, rigid pillar "
        "up to the endplate)",
        of_change=True,
        beside_treated=True,
    ),
    Band(
        "segment_stiffness_n_per_mm",
        0.0,
        11.0,
        "P",
        "segment stiffness with cement in one body: at most the +11 % of a rigid pillar (Baroud 2003)",
        of_change=True,
    ),
)
"""Ranges from the literature, in the order of a report. Nothing in the model is tuned to them."""


def check_bands(
    values: Iterable[Value],
    changes: Iterable[Change] = (),
    *,
    has_fibres: bool,
    treated_level: str | None = None,
    hypotheses: Mapping[str, str] | None = None,
) -> tuple[BandCheck, ...]:
    """Our numbers beside the published ranges.

    Parameters
    ----------
    values : iterable of Value
        Numbers of the intact segment.
    changes : iterable of Change
        Changes with cement; none for a study without treatment.
    has_fibres : bool
        Whether the annulus carries the stiffness of its fibres: chooses between the trial model's bands.
    treated_level : str, optional
        The vertebra with cement; bands of the discs beside it are checked on those only, and on none without it.
    hypotheses : mapping of str to str, optional
        Quantity to the tested reason why a number lies outside; shown beside every number of that quantity outside its
        range. Changes go by `<quantity>_change_percent`.

    Returns
    -------
    tuple of BandCheck
        One per band and level that has the quantity, bands in the order of `BANDS`.

    Raises
    ------
    InputError
        If a hypothesis names a quantity that has no band.
    """
    reasons = {} if hypotheses is None else hypotheses
    numbers = [(value.quantity, value.level, value.value) for value in values]
    numbers += [
        (f"{change.quantity}_change_percent", change.level, change.change_percent)
        for change in changes
        if change.change_percent is not None
    ]
    unknown = set(reasons) - {_name(band) for band in BANDS}
    if unknown:
        raise InputError(f"no band has the quantity {', '.join(sorted(map(repr, unknown)))}")
    wanted = "with" if has_fibres else "without"
    checks = []
    for band in BANDS:
        if band.fibres not in ("any", wanted):
            continue
        for quantity, level, ours in numbers:
            if quantity == _name(band) and (not band.beside_treated or treated_level in level.split("-")):
                is_inside = band.low <= ours <= band.high
                reason = "" if is_inside else reasons.get(quantity, "")
                checks.append(
                    BandCheck(quantity, level, band.low, band.high, band.standing, band.source, ours, is_inside, reason)
                )
    return tuple(checks)


def _name(band: Band) -> str:
    """Quantity the band is checked against."""
    return f"{band.quantity}_change_percent" if band.of_change else band.quantity
