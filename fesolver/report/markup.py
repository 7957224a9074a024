"""Small pieces of HTML: every text that comes from outside passes through `text`."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

__all__ = ["STYLE", "details", "image", "items", "page", "paragraph", "section", "table", "text"]

STYLE = """
:root { --ink: #1d2429; --soft: #5c6870; --line: #d9dfe3; --back: #f5f7f8;
  --warn: #8a4b00; --warnback: #fff4e0; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink); background: white;
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .3rem 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; padding-top: .7rem; border-top: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0 .7rem; max-width: 52rem; }
nav { font-size: .87rem; margin: .8rem 0; } nav a { margin-right: 1rem; }
a { color: #0061a1; }
.warning, .assumed { background: var(--warnback); border-left: 4px solid #e69f00; padding: .5rem .9rem;
  margin: .8rem 0; max-width: none; overflow-wrap: anywhere; }
.assumed { font-size: .85rem; padding: .3rem .9rem; color: var(--warn); }
.soft { color: var(--soft); font-size: .87rem; }
.cards { display: flex; flex-wrap: wrap; gap: .9rem; margin: .8rem 0; }
.card { flex: 1 1 20rem; border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem;
  background: var(--back); }
.card .big { font-size: 1.9rem; font-weight: 650; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card .verdict { font-weight: 600; }
.verdict.open { color: var(--warn); }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { padding: .22rem .65rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { border-bottom: 2px solid #9aa5ac; font-weight: 600; vertical-align: bottom; }
td.t, th.t { text-align: left; } td.n, th.n { white-space: nowrap; }
tr.open td { color: var(--soft); } tr.out td { background: #fdeee4; }
figure { margin: 1.1rem 0; } figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .85rem; max-width: 52rem; margin-top: .2rem; }
details { margin: .6rem 0; } summary { cursor: pointer; color: #0061a1; }
pre { background: var(--back); border: 1px solid var(--line); padding: .7rem; font-size: .8rem; overflow-x: auto; }
code { font-size: .85em; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; } nav { display: none; } figure, .card { break-inside: avoid; } }
"""


def text(value: object) -> str:
    """Any value as text that HTML leaves alone; None becomes a dash.

    Examples
    --------
    >>> text("<b>L1 & L2</b>")
    '&lt;b&gt;L1 &amp; L2&lt;/b&gt;'
    """
    return "–" if value is None else escape(str(value), quote=True)


def paragraph(content: object, *, kind: str = "") -> str:
    """A paragraph of plain text."""
    opening = f'<p class="{kind}">' if kind else "<p>"
    return f"{opening}{text(content)}</p>\n"


def items(entries: Iterable[object]) -> str:
    """A list of plain texts."""
    return "<ul>" + "".join(f"<li>{text(entry)}</li>" for entry in entries) + "</ul>\n"


def section(anchor: str, title: str, *content: str) -> str:
    """A titled section; empty where nothing is in it."""
    body = "".join(content)
    return f'<section id="{text(anchor)}">\n<h2>{text(title)}</h2>\n{body}</section>\n' if body.strip() else ""


def details(title: str, content: str) -> str:
    """Content that opens on a click."""
    return f"<details><summary>{text(title)}</summary>\n{content}</details>\n"


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    text_columns: Iterable[int] = (0,),
    row_kinds: Sequence[str] = (),
) -> str:
    """A table of plain texts.

    Parameters
    ----------
    header : sequence of str
        Column titles, units included.
    rows : iterable of sequences
        Cells; numbers are formatted by the caller.
    caption : str
        Above the table.
    text_columns : iterable of int
        Columns aligned left.
    row_kinds : sequence of str
        `open` (a change that is not resolved), `out` (outside its band) or empty, per row.

    Returns
    -------
    str
        Empty where there are no rows.
    """
    left = set(text_columns)
    cells = [list(row) for row in rows]
    if not cells:
        return ""
    kinds = [*row_kinds, *[""] * (len(cells) - len(row_kinds))]

    def cell(tag: str, column: int, content: object) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        shown = text(content)
        # A level such as T12-L1 is one word.
        kind = f"{'t' if column in left else ''}{' n' if ' ' not in shown and len(shown) <= 16 else ''}".strip()
        return f"<{tag}{scope}{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{shown}</{tag}>"

    head = "".join(cell("th", column, title) for column, title in enumerate(header))
    body = "".join(
        f"<tr{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>"
        + "".join(cell("td", column, content) for column, content in enumerate(row))
        + "</tr>\n"
        for row, kind in zip(cells, kinds, strict=True)
    )
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'


def image(path: Path, caption: str) -> str:
    """A PNG, held inside the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{text(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text(caption)}</figcaption></figure>\n"
    )


def page(title: str, body: str) -> str:
    """A whole page that loads nothing from anywhere."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
