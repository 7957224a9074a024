"""The figures of a study of many cases on the page of its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fesolver.report.markup import details, image, text
from fesolver.report.study_figures import StudyFigureFile, read_study_index

__all__ = ["study_figures_html"]

_TITLES = {
    "pairs": "Before and after",
    "response": "Responses",
    "map": "Maps of two factors",
    "tornado": "What moves the outcome",
    "scatter": "Case by case",
    "spread": "Spread by level",
    "indices": "Sensitivity",
    "settling": "Whether the sensitivities have settled",
    "mesh": "Mesh convergence",
}

_OPEN = 2
"""Figures of a kind that are shown; further ones open on a click."""


def study_figures_html(folder: Path, kinds: Sequence[str] | None = None) -> str:
    """The figures in a result folder, by kind, for `report.markup.section`.

    Parameters
    ----------
    folder : Path
        The result folder, after `fesolver.report.study_figures.write_study_figures`.
    kinds : sequence of str, optional
        Only these kinds (`fesolver.report.study_choice.FigureKind`).

    Returns
    -------
    str
        HTML with the pictures inside and links to their numbers; empty where there are none.

    Raises
    ------
    InputError
        If the index of the figures is damaged.
    """
    present = [entry for entry in read_study_index(folder) if (folder / "figures" / f"{entry.name}.png").is_file()]
    out = ""
    for kind, title in _TITLES.items():
        own = [entry for entry in present if entry.kind == kind and (kinds is None or kind in kinds)]
        if not own:
            continue
        out += f"<h3>{text(title)}</h3>\n" + "".join(_figure(folder, entry) for entry in own[:_OPEN])
        if more := own[_OPEN:]:
            out += details(f"{len(more)} more", "".join(_figure(folder, entry) for entry in more))
        links = ", ".join(f'<a href="figures/{text(e.name)}.csv">{text(e.name)}.csv</a>' for e in own)
        out += f'<p class="soft">Numbers: {links}</p>\n'
    return out


def _figure(folder: Path, entry: StudyFigureFile) -> str:
    """A picture over its caption."""
    return image(folder / "figures" / f"{entry.name}.png", entry.caption)
