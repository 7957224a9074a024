"""LaTeX tables with booktabs: escaped text, numbers rounded to what their spread supports."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fesolver.errors import InputError

__all__ = ["latex_interval", "latex_number", "latex_p_value", "latex_table", "latex_text"]

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    # A row that begins with one of these would be read as an argument of the line break before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "²": "$^2$",
    "³": "$^3$",
    "°": r"$^\circ$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "→": r"$\to$",
}

_LONG = 40
"""Rows above which a table may break over pages."""


def latex_text(value: object) -> str:
    r"""Any value as text that LaTeX prints as it is, on one line.

    Examples
    --------
    >>> latex_text("50% of L1_a (N/mm²)")
    '50\\% of L1\\_a (N/mm$^2$)'
    """
    return "".join(_ESCAPED.get(sign, sign) for sign in " ".join(str(value).split()) if sign.isprintable())


def latex_number(value: float, sd: float | None = None, *, sign: bool = False) -> str:
    r"""A number in math mode, to the digit at which its SD has its second figure.

    Parameters
    ----------
    value : float
        NaN becomes a dash.
    sd : float, optional
        Spread of what the number describes; without one, or where it is 0 or unknown, four figures.
    sign : bool
        Whether a plus is shown.

    Examples
    --------
    >>> latex_number(12.34567, 0.213), latex_number(-3.21e-7, 4.4e-9), latex_number(1234.6)
    ('$12.35$', '$-3.210\\times10^{-7}$', '$1235$')
    """
    if math.isnan(value):
        return "--"
    mark = "-" if value < 0 else "+" if sign and value > 0 else ""
    if math.isinf(value):
        return rf"${mark}\infty$"
    has_spread = sd is not None and math.isfinite(sd) and sd > 0.0
    last = _exponent(sd, 2) - 1 if has_spread and sd is not None else _exponent(value, 4) - 3
    size = max(abs(value), abs(sd) if has_spread and sd is not None else 0.0)
    scale = 0 if size == 0.0 or 1e-3 <= size < 1e6 else _exponent(size, 4)
    rounded = round(abs(value) / 10.0**scale, max(scale - last, -15))
    if rounded == 0.0 and value != 0.0:
        mark = ""
    digits = f"{rounded:.{max(scale - last, 0)}f}"
    power = rf"\times10^{{{scale}}}" if scale else ""
    return f"${mark}{digits}{power}$"


def latex_interval(low: float, high: float, sd: float | None = None) -> str:
    """Two ends of an interval, rounded as `latex_number`; a dash where there is none."""
    if math.isnan(low) or math.isnan(high):
        return "--"
    return f"{latex_number(low, sd)} to {latex_number(high, sd)}"


def latex_p_value(value: float) -> str:
    """A p value with three decimals.

    Examples
    --------
    >>> latex_p_value(0.0312), latex_p_value(1e-9)
    ('$0.031$', '$<0.001$')
    """
    return "--" if math.isnan(value) else "$<0.001$" if value < 0.001 else f"${value:.3f}$"


def latex_table(
    head: Sequence[str],
    blocks: Sequence[tuple[str, Sequence[Sequence[str]]]],
    *,
    caption: str,
    label: str,
    columns: str,
) -> str:
    r"""A table with horizontal rules only.

    Parameters
    ----------
    head : sequence of str
        Titles of the columns, as LaTeX.
    blocks : sequence of (str, rows)
        A title over the width of the table, empty for none, and the rows under it: cells as LaTeX.
    caption : str
        As LaTeX.
    label : str
        For `\ref`.
    columns : str
        One of `l`, `c`, `r` per column.

    Returns
    -------
    str
        A `table`, or beyond 40 rows a `longtable`; the packages it needs stand in a comment above it.

    Raises
    ------
    InputError
        If a row has another number of cells than the head.
    """
    width = len(head)
    bad = [row for _, rows in blocks for row in rows if len(row) != width]
    if bad or len(columns) != width:
        raise InputError(f"a table of {width} columns, given {len(bad[0]) if bad else len(columns)}", where=label)
    lines = []
    for at, (title, rows) in enumerate(blocks):
        lines += [r"\addlinespace"] if at else []
        lines += [rf"\multicolumn{{{width}}}{{l}}{{{title}}} \\"] if title else []
        lines += [" & ".join(row) + r" \\" for row in rows]
    is_long = sum(len(rows) for _, rows in blocks) > _LONG
    top = [r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    named = [rf"\caption{{{caption}}}", rf"\label{{{label}}}"]
    if is_long:
        page = [rf"\begin{{longtable}}{{{columns}}}", *named[:1], named[1] + r" \\", *top, r"\endfirsthead"]
        page += [*top, r"\endhead", r"\bottomrule", r"\endlastfoot", *lines, r"\end{longtable}"]
    else:
        page = [r"\begin{table}", r"\centering", *named, rf"\begin{{tabular}}{{{columns}}}", *top, *lines]
        page += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    packages = r"\usepackage{booktabs}" + (r"\usepackage{longtable}" if is_long else "")
    return "\n".join([f"% needs {packages}", *page]) + "\n"


def _exponent(value: float, figures: int) -> int:
    """Power of ten of a number's first figure, once it is rounded to some figures; 0 of 0."""
    return int(f"{abs(value):.{figures - 1}e}".split("e")[1]) if value else 0
