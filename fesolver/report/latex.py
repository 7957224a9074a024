"""LaTeX tables with booktabs: escaped text, numbers rounded to what their spread supports."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from fesolver.errors import InputError

__all__ = ["latex_interval", "latex_number", "latex_p_value", "latex_spread", "latex_table", "latex_text"]

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
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
    "ν": r"$\nu$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "Δ": r"$\Delta$",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
}

_LONG = {True: 40, False: 20}
"""Rows above which a table may break over pages, upright or turned."""


class _Layout(NamedTuple):
    """How a table is set: widths in pt; `most` is the letters on one line of a column of words."""

    size: str
    letter: float
    space: float
    page: float
    most: int


# Widths are those of Computer Modern, and of the text of `article` on letter paper, the narrowest of the usual ones.
_LAYOUTS = (
    _Layout("", 5.0, 6.0, 345.0, 40),
    _Layout(r"\footnotesize", 4.25, 4.0, 345.0, 40),
    _Layout(r"\scriptsize", 4.0, 3.0, 345.0, 24),
    _Layout(r"\footnotesize", 4.25, 4.0, 550.0, 40),
    _Layout(r"\scriptsize", 4.0, 3.0, 550.0, 40),
    _Layout(r"\scriptsize", 4.0, 3.0, 550.0, 28),
    _Layout(r"\scriptsize", 4.0, 2.0, 550.0, 18),
    _Layout(r"\tiny", 3.4, 2.0, 550.0, 24),
)
"""The first in which a table fits is taken."""


def latex_text(value: object) -> str:
    r"""Any value as text that LaTeX prints as it is, on one line; signs that its fonts lack become a question mark.

    Examples
    --------
    >>> latex_text("50% of L1_a (N/mm²)")
    '50\\% of L1\\_a (N/mm$^2$)'
    """
    return "".join(_sign(sign) for sign in " ".join(str(value).split()) if sign.isprintable())


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
    if value == 0.0 and not (sd is not None and sd > 0.0):
        return "$0$"
    last, scale = _rounding(value, sd)
    return f"${_digits(value, last, scale, sign=sign)}{_power(scale)}$"


def latex_spread(value: float, sd: float, *, sign: bool = False) -> str:
    r"""A mean with its SD behind it, to the same digit and the same power of ten.

    Parameters
    ----------
    value, sd : float
        Mean and SD; NaN becomes a dash.
    sign : bool
        Whether a plus is shown.

    Examples
    --------
    >>> latex_spread(0.386991, 9.8e-4), latex_spread(6.3e-4, 3.2e-4, sign=True), latex_spread(0.5385, 0.0)
    ('$0.38699\\ (0.00098)$', '$+6.3\\ (3.2)\\times10^{-4}$', '$0.5385\\ (0)$')
    """
    if not math.isfinite(value) or not math.isfinite(sd):
        return f"{latex_number(value, sd, sign=sign)} ({latex_number(sd)})"
    last, scale = _rounding(value, sd)
    spread = _digits(sd, last, scale) if sd else "0"
    return rf"${_digits(value, last, scale, sign=sign)}\ ({spread}){_power(scale)}$"


def latex_interval(low: float, high: float, sd: float | None = None) -> str:
    r"""Two ends of an interval, rounded as `latex_number`, with one power of ten; a dash where there is none.

    Examples
    --------
    >>> latex_interval(-1.04, 2.06, 1.0), latex_interval(2.1e-4, 7.5e-4, 3.2e-4)
    ('$-1.0$ to $2.1$', '$(2.1$ to $7.5)\\times10^{-4}$')
    """
    if math.isnan(low) or math.isnan(high):
        return "--"
    last, scale = _rounding(max(low, high, key=abs), sd)
    ends = [_digits(end, last, scale) for end in (low, high)]
    return f"$({ends[0]}$ to ${ends[1]}){_power(scale)}$" if scale else f"${ends[0]}$ to ${ends[1]}$"


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
        A `table`, or beyond 40 rows (turned: 20) a `longtable`; the packages it needs stand in a comment above it.

    Raises
    ------
    InputError
        If a row has another number of cells than the head.

    Notes
    -----
    The size of type is the largest at which the table fits on a page of `article`, upright or turned; columns of words
    break their lines where nothing else helps.
    """
    width = len(head)
    bad = [row for _, rows in blocks for row in rows if len(row) != width]
    if bad or len(columns) != width:
        raise InputError(f"a table of {width} columns, given {len(bad[0]) if bad else len(columns)}", where=label)
    lines = []
    for at, (title, rows) in enumerate(blocks):
        lines += [r"\addlinespace"] if at else []
        # With the star no page ends under a title.
        lines += [rf"\multicolumn{{{width}}}{{l}}{{{title}}} \\*"] if title else []
        lines += [" & ".join(row) + r" \\" for row in rows]
    layout, columns = _fit([head, *(row for _, rows in blocks for row in rows)], columns)
    is_turned = layout.page > _LAYOUTS[0].page
    is_long = sum(len(rows) for _, rows in blocks) > _LONG[not is_turned]
    small = layout.size and rf"{layout.size}\setlength{{\tabcolsep}}{{{layout.space:g}pt}}"
    top = [r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    named = [rf"\caption{{{caption}}}", rf"\label{{{label}}}"]
    if is_long:
        page = [rf"\begingroup{small}\setlength{{\LTcapwidth}}{{\linewidth}}"]
        page += [rf"\begin{{longtable}}{{{columns}}}", *named[:1], named[1] + r" \\", *top, r"\endfirsthead"]
        page += [*top, r"\endhead", r"\bottomrule", r"\endlastfoot", *lines, r"\end{longtable}", r"\endgroup"]
    else:
        page = [r"\begin{table}", r"\centering", *named, *([small] if small else [])]
        page += [rf"\begin{{tabular}}{{{columns}}}", *top, *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    page = [r"\begin{landscape}", *page, r"\end{landscape}"] if is_turned else page
    needed = {"booktabs": True, "longtable": is_long, "pdflscape": is_turned, "array": "p{" in columns}
    packages = "".join(rf"\usepackage{{{name}}}" for name, is_needed in needed.items() if is_needed)
    return "\n".join([f"% needs {packages}", *page]) + "\n"


def _fit(rows: Sequence[Sequence[str]], columns: str) -> tuple[_Layout, str]:
    """Layout in which the rows fit on a page, and the columns for it."""
    longest = [max(map(_letters, column)) for column in zip(*rows, strict=True)]
    for layout in _LAYOUTS:
        shown = [min(n, layout.most) if kind == "l" else n for n, kind in zip(longest, columns, strict=True)]
        if sum(shown) * layout.letter + 2.0 * layout.space * len(shown) <= layout.page:
            break
    parts = [
        rf">{{\raggedright\arraybackslash}}p{{{layout.letter * layout.most:g}pt}}" if kind == "l" and n > layout.most
        else kind
        for n, kind in zip(longest, columns, strict=True)
    ]  # fmt: skip
    return layout, "".join(parts)


def _letters(cell: str) -> int:
    """Letters that a cell shows, a little more where it has powers."""
    return len(re.sub(r"[{}$^]", "", re.sub(r"\\[A-Za-z]+", "x", cell.replace(r"\,", "").replace("\\ ", " "))))


def _sign(sign: str) -> str:
    """One sign for LaTeX."""
    if sign in _ESCAPED:
        return _ESCAPED[sign]
    # What pdflatex sets in its default fonts: ASCII and the letters of the languages of Europe.
    if sign.isascii() or (sign.isalpha() and ord(sign) < 0x180 and sign not in _NOT_IN_OT1):
        return sign
    parts = unicodedata.normalize("NFKD", sign).replace("\u2044", "/")
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    return "".join(_ESCAPED.get(part, part) for part in plain) if plain and plain.isascii() else "?"


_NOT_IN_OT1 = "ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ"
"""Letters that the fonts which LaTeX begins with do not have."""


def _rounding(value: float, sd: float | None) -> tuple[int, int]:
    """Power of ten of the last digit shown, and the one that is taken out (0 where none is)."""
    spread = sd if sd is not None and math.isfinite(sd) and sd > 0.0 else 0.0
    last = _exponent(spread, 2) - 1 if spread else _exponent(value, 4) - 3
    size = max(abs(value), spread)
    return last, 0 if size == 0.0 or 1e-3 <= size < 1e6 or math.isinf(size) else _exponent(size, 4)


def _digits(value: float, last: int, scale: int, *, sign: bool = False) -> str:
    """The figures of a number over a power of ten, down to a last digit."""
    mark = "-" if value < 0 else "+" if sign and value > 0 else ""
    if math.isinf(value):
        return rf"{mark}\infty"
    rounded = round(abs(value) / 10.0**scale, max(scale - last, -15))
    if rounded == 0.0 and value != 0.0:
        mark = ""
    return f"{mark}{rounded:.{max(scale - last, 0)}f}"


def _power(scale: int) -> str:
    """The power of ten behind a number."""
    return rf"\times10^{{{scale}}}" if scale else ""


def _exponent(value: float, figures: int) -> int:
    """Power of ten of a number's first figure, once it is rounded to some figures; 0 of 0."""
    return int(f"{abs(value):.{figures - 1}e}".split("e")[1]) if value and math.isfinite(value) else 0
