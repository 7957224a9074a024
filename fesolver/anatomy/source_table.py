"""Where every number of a recipe comes from, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from fesolver.anatomy.dimensions import DIMENSION_UNITS, DiscDimensions, VertebraDimensions
from fesolver.anatomy.published import DIMENSION_SOURCES

__all__ = ["SourceRow", "dimension_rows", "numbers_of"]


@dataclass(frozen=True)
class SourceRow:
    """One number of a recipe and where it comes from.

    Parameters
    ----------
    owner : str
        Level or disc.
    name : str
        Field of `VertebraDimensions` or `DiscDimensions`.
    value : float
        As used, in `unit`.
    unit : str
        `mm`, `degrees` or empty.
    source, standing : str
        As in `fesolver.anatomy.published.Source`, with what changed the number since.
    is_overridden : bool
        The recipe gives the number (and a fracture or degeneration may have changed it after).
    """

    owner: str
    name: str
    value: float
    unit: str
    source: str
    standing: str
    is_overridden: bool


def numbers_of(record: VertebraDimensions | DiscDimensions) -> dict[str, float]:
    """Every number of a record by name."""
    return {item.name: getattr(record, item.name) for item in fields(record) if item.name in DIMENSION_UNITS}


def dimension_rows(
    used: VertebraDimensions | DiscDimensions,
    *,
    before: VertebraDimensions | DiscDimensions,
    published: VertebraDimensions | DiscDimensions,
    given: Mapping[str, float],
    owner: str,
    scaled_by: str,
    edit: str,
) -> list[SourceRow]:
    """Rows of one level or disc.

    Parameters
    ----------
    used, before, published : VertebraDimensions or DiscDimensions
        As used, before fracture or degeneration, and as published.
    given : mapping of str to float
        What the recipe gives.
    owner : str
        Level or disc.
    scaled_by, edit : str
        In words: why `before` is not `published`, and why `used` is not `before`.

    Returns
    -------
    list of SourceRow
        In the order of the record's fields.
    """
    rows = []
    for name, value in numbers_of(used).items():
        origin = DIMENSION_SOURCES[name]
        source, standing = origin.citation, origin.standing
        start, middle = getattr(published, name), getattr(before, name)
        if name in given:
            source, standing = "the recipe", "given"
        elif start != middle:
            source += f"; times {middle / start:.4f} for {scaled_by}"
        if value != middle:
            source += f"; changed by {edit}"
        rows.append(SourceRow(owner, name, value, DIMENSION_UNITS[name], source, standing, name in given))
    return rows
