"""The geometry section of a report: what a segment of parameters or surfaces is made of, and its fluid nuclei."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fesolver.report.markup import items, paragraph, table, text
from fesolver.report.quantities import format_number
from fesolver.report.results import CaseResult

__all__ = ["geometry_html", "mesh_words"]

_BODY_COLUMNS = {
    "anterior_height_mm": "anterior height (mm)",
    "posterior_height_mm": "posterior height (mm)",
    "wedge_deg": "wedge (°)",
    "superior_width_mm": "superior width (mm)",
    "superior_depth_mm": "superior depth (mm)",
    "inferior_width_mm": "inferior width (mm)",
    "inferior_depth_mm": "inferior depth (mm)",
    "density_mean_g_cm3": "trabecular density (g/cm³)",
    "density_factor": "density factor of its fracture",
}
_DISC_COLUMNS = {
    "height_mm": "height (mm)",
    "wedge_deg": "wedge (°)",
    "nucleus_area_fraction": "nucleus over disc area",
    "degeneration": "degeneration",
    "nucleus": "nucleus is",
}
_SURFACE_COLUMNS = {
    "file": "file",
    "triangles": "triangles",
    "volume_ml": "volume (ml)",
    "body_volume_ml": "body alone (ml)",
    "superior_area_mm2": "superior endplate (mm²)",
    "inferior_area_mm2": "inferior endplate (mm²)",
    "wedge_deg": "wedge (°)",
    "density_mean_g_cm3": "trabecular density (g/cm³)",
}
_GAP_COLUMNS = {
    "height_mm": "height (mm)",
    "wedge_deg": "wedge (°)",
    "facet_gap_left_mm": "left facet gap (mm)",
    "facet_gap_right_mm": "right facet gap (mm)",
}
_GAPS = (
    "Gaps between neighbours, as the surfaces have them, negative where they overlap: discs are made to fill theirs."
)
_WORDS = ("degeneration", "nucleus", "file")


def mesh_words(case: CaseResult) -> str:
    """The kind of mesh and the size of its cells; empty where the results do not say."""
    return str(case.record.get("mesh_text") or "")


def geometry_html(case: CaseResult) -> str:
    """Sizes, fractures, what is not as published, fluid nuclei; surfaces as read; empty for a labelled CT."""
    geometry = case.record.get("geometry")
    if not isinstance(geometry, Mapping):
        return ""
    if geometry.get("kind") == "surfaces":
        return _surfaces_html(case, geometry) + _stress_errors_html(case)
    who = [f"{geometry.get('sex')} means"] if geometry.get("sex") else []
    if geometry.get("size") not in (None, 1.0):
        who.append(f"all lengths times {geometry['size']:g}")
    lead = f"Mesh: {mesh_words(case)}. {_sentence(str(case.record.get('calibration') or ''))}"
    if who:
        lead += f" Shape: {', '.join(who)}."
    parts = [paragraph(lead)]
    for title, entries in (
        ("Fractures", geometry.get("fractures")),
        ("Dimensions that are not the published ones", geometry.get("given")),
    ):
        if entries:
            parts.append(f"<h3>{text(title)}</h3>" + items(entries))
    if not geometry.get("given"):
        parts.append(paragraph("Every dimension is the published one, or follows from it.", kind="soft"))
    parts.append(_sizes("body", geometry.get("bodies") or {}, _BODY_COLUMNS))
    if geometry.get("discs"):
        parts.append(_sizes("disc", geometry["discs"], _DISC_COLUMNS))
    return "".join(parts) + _cavities_html(case) + _stress_errors_html(case)


def _surfaces_html(case: CaseResult, geometry: Mapping[str, Any]) -> str:
    """Surfaces as read: files, sizes, what was found in them, and the gaps between neighbours."""
    bodies = geometry.get("bodies") or {}
    found = [f"{level}: {line}" for level, body in bodies.items() for line in body.get("findings") or []]
    lead = f"Mesh: {mesh_words(case)}. {_sentence(str(case.record.get('calibration') or ''))}".strip()
    parts = [paragraph(lead), "<h3>Surfaces</h3>", _sizes("level", bodies, _present(_SURFACE_COLUMNS, bodies))]
    parts.append(
        items(found) if found else paragraph("Nothing was found in the surfaces or done to them.", kind="soft")
    )
    discs = geometry.get("discs") or {}
    if discs:
        parts.append(paragraph(_GAPS))
        parts.append(_sizes("disc", discs, _present(_GAP_COLUMNS, discs)))
    return "".join(parts)


def _present(columns: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The columns that some row has."""
    return {key: title for key, title in columns.items() if any(key in row for row in rows.values())}


def _sizes(what: str, rows: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """One row per body or disc."""
    cells = [[name, *(_cell(row.get(key)) for key in columns)] for name, row in rows.items()]
    texts = (0, *(at for at, key in enumerate(columns, 1) if key in _WORDS))
    return table([what, *columns.values()], cells, text_columns=texts)


def _cell(value: Any) -> str:
    """A number or a word."""
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    return format_number(value, digits=4) if isinstance(value, float) or value is None else str(value)


def _cavities_html(case: CaseResult) -> str:
    """Volume, bulk modulus and pressures of fluid nuclei."""
    cavities = case.record.get("cavities") or []
    if not cavities:
        return ""
    states = list(cavities[0]["pressure_mpa"])
    rows = [
        [
            cavity["name"],
            format_number(float(cavity["volume_ml"]), digits=3),
            format_number(float(cavity["bulk_modulus_mpa"]), digits=5),
            *(format_number(float(cavity["pressure_mpa"][state]), digits=4) for state in states),
        ]
        for cavity in cavities
    ]
    lead = (
        "Each nucleus is a closed cavity full of fluid with one pressure, an unknown of the solve: it has no cells, so "
        "sections and fields show a hole there."
    )
    header = ["fluid nucleus", "volume (ml)", "bulk modulus (MPa)", *(f"pressure {state} (MPa)" for state in states)]
    return paragraph(lead) + table(header, rows, text_columns=(0,))


def _stress_errors_html(case: CaseResult) -> str:
    """How far the stress of each region is from a smoothed one: what a finer mesh would change."""
    errors = case.record.get("stress_error") or {}
    if not errors:
        return ""
    parts, kinds = (list(dict.fromkeys(name.split("/")[at] for name in errors)) for at in (0, 1))
    states = list(dict.fromkeys(state for by_state in errors.values() for state in by_state))
    rows = [
        [f"{part}, {state}", *(_percent(errors.get(f"{part}/{kind}", {}).get(state)) for kind in kinds)]
        for part in parts
        for state in states
        if any(state in errors.get(f"{part}/{kind}", {}) for kind in kinds)
    ]
    lead = (
        "Error of the stress that the mesh leaves, in the energy norm, by region (%): estimated from the stress and a "
        "smoothed one within each region (Zienkiewicz and Zhu 1987). Means over many cells are far better than that; "
        f"values at one place are not. It falls with the cell size: {_finer(case)} to see."
    )
    header = ["", *(kind.replace("_", " ") for kind in kinds)]
    return "<h3>Error of the stress by region</h3>" + paragraph(lead) + table(header, rows, text_columns=(0,))


def _finer(case: CaseResult) -> str:
    """What makes the cells smaller."""
    is_tetrahedral = case.record.get("mesh") == "tetrahedral"
    return "lower segment.size_mm and size_inside_mm" if is_tetrahedral else "raise segment.refinement"


def _percent(value: float | None) -> str:
    """A relative number in percent; a dash for none."""
    return "–" if value is None else f"{100.0 * value:.1f}"


def _sentence(words: str) -> str:
    """Words with a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}." if words else ""
