"""What the tables of study files and recipes share: kinds of numbers, strictness, order of levels."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

from fesolver.anatomy.levels import LEVELS, sort_levels
from fesolver.errors import InputError

__all__ = ["Finite", "Flag", "Fraction", "NotNegative", "Number", "Poisson", "Positive", "Table", "ordered_levels"]

Number = Annotated[float, Strict()]  # a text is no number, and true is not 1
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Number, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[Number, Field(allow_inf_nan=False)]
Poisson = Annotated[Number, Field(gt=-1, lt=0.5)]
Fraction = Annotated[Number, Field(gt=0, lt=1)]
Flag = Annotated[bool, Strict()]


class Table(BaseModel):
    """A table of the study file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def ordered_levels(levels: tuple[str, ...]) -> tuple[str, ...]:
    """Levels cranial first; refuses what is unknown, listed twice or not consecutive."""
    ordered = sort_levels(levels)
    if len(set(ordered)) != len(ordered):
        raise InputError("a level is listed twice", fix="name each level once")
    at = [LEVELS.index(level) for level in ordered]
    if at != list(range(at[0], at[0] + len(at))):
        raise InputError(
            f"levels must follow one another, got {', '.join(ordered)}",
            fix=f"use all of {', '.join(LEVELS[at[0] : at[-1] + 1])}",
        )
    return ordered
