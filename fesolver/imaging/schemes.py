"""What label numbers mean: vertebral levels and parts of a vertebra, by the name of a scheme or from a table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fesolver.anatomy.levels import LEVELS
from fesolver.errors import InputError

__all__ = [
    "LABEL_SCHEMES",
    "SUBREGION_SCHEMES",
    "TRANSITIONAL_LEVELS",
    "label_scheme",
    "spine_rank",
    "subregion_scheme",
]

TRANSITIONAL_LEVELS: tuple[str, ...] = ("T13", "L6", "sacrum", "coccyx")
"""Names a label may carry that no model can be made of; they are read so that the checks can point at them."""

LABEL_SCHEMES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "totalsegmentator": MappingProxyType(
            {25: "sacrum", 26: "S1"} | {27 + i: level for i, level in enumerate(reversed(LEVELS[:-1]))}
        ),
        "totalsegmentator_v1": MappingProxyType(
            {92: "sacrum"} | {18 + i: level for i, level in enumerate(reversed(LEVELS[:-1]))}
        ),
        "verse": MappingProxyType(
            {1 + i: level for i, level in enumerate(LEVELS[:7])}
            | {8 + i: level for i, level in enumerate(LEVELS[7:19])}
            | {20 + i: level for i, level in enumerate(LEVELS[19:24])}
            | {25: "L6", 26: "sacrum", 27: "coccyx", 28: "T13"}
        ),
    }
)

SUBREGION_SCHEMES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "spineps": MappingProxyType(
            {
                41: "arch",
                42: "spinous_process",
                43: "costal_process_left",
                44: "costal_process_right",
                45: "superior_articular_left",
                46: "superior_articular_right",
                47: "inferior_articular_left",
                48: "inferior_articular_right",
                49: "body_border",
                50: "body",
            }
        )
    }
)

_SPINE_ORDER = (*LEVELS[:19], "T13", *LEVELS[19:24], "L6", "S1", "sacrum", "coccyx")


def spine_rank(name: str) -> int:
    """Place of a level along the spine, cranial first; transitional levels have theirs (`T13` between `T12` and `L1`).

    Raises
    ------
    InputError
        If `name` is neither a level nor a transitional level.

    Examples
    --------
    >>> spine_rank("T12") < spine_rank("T13") < spine_rank("L1")
    True
    """
    if name not in _SPINE_ORDER:
        raise InputError(f"{name!r} is not a vertebral level", fix=f"use one of {', '.join(_SPINE_ORDER)}")
    return _SPINE_ORDER.index(name)


def label_scheme(scheme: str | Mapping[int, str] | Mapping[str, str]) -> dict[int, str]:
    """Label numbers of the vertebrae and their levels.

    Parameters
    ----------
    scheme : {"totalsegmentator", "totalsegmentator_v1", "verse"} or mapping
        The name of a scheme, or a table from label number to level. Keys may be numbers written as text, as TOML
        has them.

    Returns
    -------
    dict of int to str
        Label number to level (`C1` .. `L5`, `S1`) or transitional level (`T13`, `L6`, `sacrum`, `coccyx`).

    Raises
    ------
    InputError
        If the scheme is unknown, or the table is empty, has a number that is not a positive integer, an unknown level,
        or one level twice.

    Notes
    -----
    `totalsegmentator` is the task `total` of version 2 (27 = L5), `totalsegmentator_v1` that of version 1 (18 = L5)
    [1]_. Both count upwards, so a file of one read as the other keeps a plausible order: only its origin tells.
    `verse` is the numbering of the VerSe challenges [2]_; its 26 and 27 are reserved there and used by tools that
    follow it.

    References
    ----------
    .. [1] J. Wasserthal et al., "TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images",
       Radiology: AI 5(5):e230024, 2023; numbers from the project's class maps.
    .. [2] A. Sekuboyina et al., "VerSe: A Vertebrae labelling and segmentation benchmark for multi-detector CT images",
       Medical Image Analysis 73:102166, 2021; numbers from the data set's description.

    Examples
    --------
    >>> label_scheme("totalsegmentator")[31], label_scheme("verse")[20]
    ('L1', 'L1')
    >>> label_scheme({"1": "L4", "2": "L5"})
    {1: 'L4', 2: 'L5'}
    """
    if isinstance(scheme, str):
        return dict(_named_scheme(scheme, LABEL_SCHEMES, "label scheme"))
    return _checked_table(scheme, allowed=_SPINE_ORDER, what="label table")


def subregion_scheme(scheme: str | Mapping[int, str] | Mapping[str, str] = "spineps") -> dict[int, str]:
    """Label numbers of the parts of a vertebra.

    Parameters
    ----------
    scheme : {"spineps"} or mapping
        The name of a scheme, or a table from label number to part. Several numbers may name one part.

    Returns
    -------
    dict of int to str
        Label number to part: `body`, `body_border`, `arch`, `spinous_process`, and left and right
        `costal_process_*`, `superior_articular_*`, `inferior_articular_*`.

    Raises
    ------
    InputError
        If the scheme is unknown, or the table is empty or has a wrong number or part, or names no `body`.

    Notes
    -----
    The part numbers repeat at every level: intersect a part with its vertebra's label. SPINEPS [1]_ and TPTBox share
    the numbers; which of 49 and 50 a model writes for the inside of the body has changed between its releases, so the
    vertebral body is the union of `body` and `body_border`.

    References
    ----------
    .. [1] H. Moeller et al., "SPINEPS - automatic whole spine segmentation of T2-weighted MR images using a two-phase
       approach to multi-class semantic and instance segmentation", European Radiology 35:1178-1189, 2025; numbers from
       the public source of TPTBox.
    """
    if isinstance(scheme, str):
        return dict(_named_scheme(scheme, SUBREGION_SCHEMES, "subregion scheme"))
    parts = tuple(dict.fromkeys(part for table in SUBREGION_SCHEMES.values() for part in table.values()))
    table = _checked_table(scheme, allowed=parts, what="subregion table", is_repeat_allowed=True)
    if "body" not in table.values():
        raise InputError("the subregion table names no vertebral body", fix='give one label the name "body"')
    return table


def _named_scheme(name: str, schemes: Mapping[str, Mapping[int, str]], what: str) -> Mapping[int, str]:
    """A scheme by its name."""
    if name not in schemes:
        known = ", ".join(map(repr, schemes))
        raise InputError(f"{what} {name!r} is unknown", fix=f"use {known}, or a table of label number to name")
    return schemes[name]


def _checked_table(
    table: Mapping[int, str] | Mapping[str, str],
    *,
    allowed: tuple[str, ...],
    what: str,
    is_repeat_allowed: bool = False,
) -> dict[int, str]:
    """A user's table with integer keys and known names."""
    if not table:
        raise InputError(f"the {what} is empty", fix='write rows like 20 = "L1"')
    out: dict[int, str] = {}
    for key, name in table.items():
        if isinstance(key, str) and key.strip().isdecimal():
            number = int(key)
        elif isinstance(key, int) and not isinstance(key, bool):
            number = key
        else:
            raise InputError(f"{key!r} in the {what} is not a label number", fix="use whole numbers from 1")
        if number < 1:
            raise InputError(f"label {number} in the {what} is not positive", fix="0 is background; use numbers from 1")
        if name not in allowed:
            raise InputError(f"label {number} in the {what} is named {name!r}", fix=f"use one of {', '.join(allowed)}")
        if number in out:
            raise InputError(f"label {number} is in the {what} twice")
        if not is_repeat_allowed and name in out.values():
            other = next(value for value, known in out.items() if known == name)
            raise InputError(f"labels {other} and {number} in the {what} are both {name}", fix="name each level once")
        out[number] = name
    return out
