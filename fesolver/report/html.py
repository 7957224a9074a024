"""The report of a run: one HTML file that opens anywhere, without a network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fesolver.report import html_sections as parts
from fesolver.report.answer import answer_html
from fesolver.report.figures import FIGURE_INDEX, FigureFile
from fesolver.report.html_connections import connections_html, rotations_html
from fesolver.report.html_geometry import geometry_html, mesh_words
from fesolver.report.markup import image, items, page, paragraph, section, text
from fesolver.report.quantities import format_number
from fesolver.report.results import CaseResult, Results, read_results
from fesolver.report.study_report import study_report_sections

__all__ = ["write_report"]

_WARNING = (
    "Research software. Not for the diagnosis, planning or treatment of any patient. Strength and risk come from "
    "a linear "
    "model and are estimates; read them as ratios."
)

_MOMENTS = (
    ("flexion_nm", "bent forward", "bent backward"),
    ("lateral_bending_nm", "bent to the left", "bent to the right"),
    ("axial_rotation_nm", "turned to the left", "turned to the right"),
)
"""Keys of moments, and what they do in words: positive, negative."""


def write_report(out: Path | str) -> Path:
    """Write `report.html` into a result folder.

    Parameters
    ----------
    out : path
        The result folder; figures that lie in it are embedded.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    InputError
        If there is no run in the folder, or its files cannot be read.

    Notes
    -----
    The numbers of the report are those of the nominal case; a sweep adds its spread, its figures and the list of cases.
    """
    results = read_results(out)
    body = _header(results) + _sections(results)
    path = results.folder / "report.html"
    # Whole or not at all: a reader never meets half a page.
    partial = path.with_suffix(".html.part")
    partial.write_text(page(f"{results.name}: fesolver report", body), encoding="utf-8", newline="\n")
    os.replace(partial, path)
    return path


def _header(results: Results) -> str:
    """Title, warning, the study in a sentence, and what was assumed."""
    failed = f"{len(results.failed)} of {len(results.cases)} cases failed; the reasons stand under Cases."
    assumptions = results.run.get("assumptions") or []
    return (
        f"<header>\n<h1>{text(results.name)}</h1>\n"
        + paragraph(_WARNING, kind="warning")
        + paragraph(_study_sentence(results))
        + (paragraph(failed, kind="warning") if results.failed else "")
        + (f'<div class="warning">Assumed, not measured:{items(assumptions)}</div>\n' if assumptions else "")
        + "</header>\n"
    )


def _sections(results: Results) -> str:
    """All sections of the page, the answer first, with a line of links above."""
    case = results.nominal
    assumed = _assumed(results)
    shown = [("answer", "Answer", answer_html(results) + assumed), *study_report_sections(results)]
    if case is not None:
        of_case = paragraph(f"Case {case.title}.", kind="soft") if len(results.cases) > 1 else ""
        figures = _figures(results)
        changes = parts.changes_html(results, case)
        strength = parts.strength_html(results, case)
        bands = parts.bands_html(case)
        soft = connections_html(results, case)
        balance, solves = parts.balance_html(case), parts.solves_html(case)
        shown += [
            ("sweep", "Sweep", _with(figures.get("sweep"), assumed)),
            ("changes", "Changes per level", _with(changes, of_case, assumed) + figures.get("change", "")),
            ("levels", "Values per level", _with(figures.get("state"), of_case, assumed)),
            ("rotations", "Rotations", _with(rotations_html(results, case), of_case, assumed)),
            ("connections", "Soft connections", _with(soft, of_case, assumed) + figures.get("connection", "")),
            ("strength", "Strength and risk", _with(strength, of_case, assumed)),
            ("geometry", "Geometry", _with(geometry_html(case), of_case)),
            ("sections", "Sections", _with(figures.get("section"), assumed)),
            ("bands", "Against published ranges", _with(bands, of_case, assumed)),
            ("balance", "Balance of forces", _with(balance, of_case)),
            ("solves", "Solves", _with(solves, of_case)),
            ("findings", "Findings and warnings", parts.findings_html(results, case)),
        ]
    shown += [
        ("cases", "Cases", parts.cases_html(results)),
        ("inputs", "Inputs and versions", parts.inputs_html(results)),
    ]
    present = [(anchor, title, content) for anchor, title, content in shown if content.strip()]
    links = "".join(f'<a href="#{anchor}">{text(title)}</a>' for anchor, title, _ in present)
    answer, *rest = (section(anchor, title, content) for anchor, title, content in present)
    return f"{answer}<nav>{links}</nav>\n{''.join(rest)}"


def _with(content: str | None, *notes: str) -> str:
    """Content under its notes; nothing where there is no content."""
    return "".join(notes) + content if content else ""


def _assumed(results: Results) -> str:
    """The assumptions in one line, for the head of every section with results."""
    assumptions = results.run.get("assumptions") or []
    return paragraph("Assumed: " + "; ".join(map(str, assumptions)), kind="assumed") if assumptions else ""


def _figures(results: Results) -> dict[str, str]:
    """The figures that lie in the folder, by kind."""
    index = results.folder / "figures" / FIGURE_INDEX
    if not index.is_file():
        return {}
    shown: dict[str, str] = {}
    for entry in json.loads(index.read_text(encoding="utf-8")).get("figures", []):
        figure = FigureFile(**entry)
        path = index.parent / f"{figure.name}.png"
        if path.is_file():
            shown[figure.kind] = shown.get(figure.kind, "") + image(path, figure.caption)
    return shown


def _study_sentence(results: Results) -> str:
    """The nominal case in a sentence."""
    case = results.nominal
    if case is None:
        return f"{len(results.cases)} cases, none finished."
    levels = results.levels(case)
    span = f"{levels[0]} to {levels[-1]}" if len(levels) > 1 else "".join(levels) or "One segment"
    treated = results.treated_level(case)
    volume = _cement_ml(case)
    treatment = f"{treated} augmented with {volume}" if treated else "without treatment"
    sentence = f"{span}, {treatment}, {_load_words(case.record.get('load') or {})}."
    if words := mesh_words(case):
        n_cells = f"{int(case.record.get('n_cells') or 0):,}".replace(",", " ")
        sentence += f" Mesh: {words}, {n_cells} cells."
    if len(results.cases) > 1:
        keys = ", ".join(results.swept_keys)
        sentence += f" {len(results.cases)} cases over {keys}; details are those of {case.title}."
    return sentence


def _cement_ml(case: CaseResult) -> str:
    """How much cement was placed, in words."""
    cement = case.record.get("cement")
    if not isinstance(cement, Mapping):
        return "cement"
    volume = next((cement[key] for key in ("placed_ml", "volume_ml", "asked_ml") if key in cement), None)
    return f"{format_number(float(volume), digits=3)} ml of cement" if volume is not None else "cement"


def _load_words(load: Mapping[str, Any]) -> str:
    """The load case in words."""
    words = []
    if load.get("control") == "displacement":
        words.append(f"shortened by {load.get('displacement_mm')} mm")
    elif float(load.get("force_n") or 0.0):
        words.append(f"compressed by {float(load['force_n']):g} N")
    if float(load.get("follower_n") or 0.0):
        words.append(f"under a follower load of {float(load['follower_n']):g} N")
    for key, positive, negative in _MOMENTS:
        moment = float(load.get(key) or 0.0)
        if moment:
            words.append(f"{positive if moment > 0.0 else negative} by {abs(moment):g} N m")
    how = " and ".join(words) or "not loaded"
    tops = {
        "fixed": "a top pad that only moves along the axis",
        "tilt": "a top pad free to tilt",
        "free": "a free top pad",
    }
    top = tops.get(str(load.get("top")), "")
    offset = float(load.get("offset_anterior_mm") or 0.0)
    how += f" between a fixed bottom and {top}" if top else ""
    return how + (f", load point {format_number(offset, digits=3)} mm anterior" if offset else "")
