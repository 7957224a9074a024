"""The sections of the report below the main answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fesolver.report.markup import details, items, paragraph, table, text
from fesolver.report.quantities import axis_label, format_number
from fesolver.report.results import CaseResult, Results

__all__ = [
    "balance_html",
    "bands_html",
    "cases_html",
    "changes_html",
    "findings_html",
    "inputs_html",
    "solves_html",
    "strength_html",
]

_MAX_CASE_ROWS = 200

_STANDING = {
    "P": "published, read",
    "M-H": "from the paper, high confidence, not re-read",
    "M-M": "from the paper, medium confidence, not re-read",
    "M-L": "from the paper, low confidence, not re-read",
    "calc": "calculated",
    "trial": "trial model, no published standing",
}


def changes_html(results: Results, case: CaseResult) -> str:
    """Changes per level: the main outcomes, and all of them on a click."""
    changes = results.case_changes(case)
    if changes.empty:
        return ""
    lead = (
        "Treated minus intact; percent of the magnitude of the intact value. Compression is negative, so a compressive "
        "stress that grows has a negative change. The floor is how far the change itself moves with a looser "
        "solver tolerance "
        "and, where it was asked for, with larger cells; a change within either is not resolved."
    )
    first = results.main_outcomes(changes["quantity"])
    main = changes[changes["quantity"].isin(first)]
    everything = _change_table(changes, first)
    return (
        paragraph(lead)
        + _change_table(main, first)
        + details(f"All {len(changes)} quantities and levels of this case", everything)
    )


def _change_table(changes: Any, first: Sequence[str]) -> str:
    """Rows of `changes.csv`, some quantities first."""
    order = {name: at for at, name in enumerate(first)}
    rows = sorted(changes.to_dict("records"), key=lambda row: order.get(row["quantity"], len(order)))
    header = ["quantity", "level", "intact", "treated", "change", "change (%)", "solver floor", "spacing floor", ""]
    cells = [
        [
            axis_label(row["quantity"]),
            row["level"],
            format_number(row["intact"]),
            format_number(row["treated"]),
            format_number(row["change"], sign=True),
            format_number(row["change_percent"], sign=True, digits=3),
            format_number(row["floor_solver"], digits=2),
            format_number(row["floor_spacing"], digits=2),
            _verdict(row),
        ]
        for row in rows
    ]
    kinds = ["" if row["is_resolved"] else "open" for row in rows]
    return table(header, cells, text_columns=(0, 1, 8), row_kinds=kinds)


def _verdict(row: Mapping[str, Any]) -> str:
    """What the floors say about a change."""
    if row["change"] == 0.0:
        return "unchanged"
    if not row["is_resolved"]:
        return "not resolved"
    return "spacing floor unknown" if np.isnan(_number(row["floor_spacing"])) else ""


def strength_html(results: Results, case: CaseResult) -> str:
    """Strengths and factors of risk of every state, with what they cannot see."""
    from fesolver.outcomes.strength import BLIND_TO_LOAD_TRANSFER

    summary = results.case_summary(case)
    names = [name for name in results.quantities if name.startswith(("strength_", "factor_of_risk"))]
    rows = [
        [row["level"], row["state"], *(format_number(float(row[name])) for name in names)]
        for row in summary.to_dict("records")
        if names and np.isfinite([float(row[name]) for name in names]).any()
    ]
    if not rows:
        return ""
    rows.sort(key=lambda row: list(dict.fromkeys(summary["level"])).index(row[0]))
    lead = (
        "Estimates from a linear model, to be read as ratios. In place: the load at which a set part of the "
        "body's bone "
        "volume is over its yield strain. Isolated: 0.0068 k h (Crawford, Cann, Keaveny 2003, known with medium "
        "confidence). "
        "Factor of risk is load over strength."
    )
    return (
        paragraph(lead)
        + paragraph(BLIND_TO_LOAD_TRANSFER, kind="warning")
        + table(["level", "state", *map(axis_label, names)], rows, text_columns=(0, 1))
    )


def bands_html(case: CaseResult) -> str:
    """Our numbers beside the published ranges."""
    bands = case.record.get("bands") or []
    if not bands:
        return ""
    rows = [
        [
            axis_label(str(band.get("quantity"))),
            band.get("level"),
            " to ".join(format_number(_number(band.get(end)), digits=3) for end in ("low", "high")),
            format_number(_number(band.get("ours"))),
            "inside" if band.get("is_inside") else "outside",
            _STANDING.get(str(band.get("standing")), band.get("standing")),
            band.get("source"),
            band.get("hypothesis") or ("" if band.get("is_inside") else "none tested yet"),
        ]
        for band in bands
    ]
    header = [
        "quantity",
        "level",
        "band",
        "ours",
        "",
        "standing",
        "source",
        "hypothesis where outside, as tested on the shipped studies",
    ]
    kinds = ["" if band.get("is_inside") else "out" for band in bands]
    n_out = sum(not band.get("is_inside") for band in bands)
    lead = f"{len(bands) - n_out} of {len(bands)} values lie inside. Nothing was tuned to get there."
    note = ""
    if case.record.get("shell_share_resolved") is False:
        note = paragraph(
            "The share of the shell is not resolved: the voxels of the source image are larger than 1 mm, so the "
            "shell's "
            "density and thickness come from the model and not from the image.",
            kind="warning",
        )
    return paragraph(lead) + note + table(header, rows, text_columns=(0, 1, 4, 5, 6, 7), row_kinds=kinds)


def balance_html(case: CaseResult) -> str:
    """Forces on every cut, their imbalance, and the reactions of the pads."""
    cuts = table(
        ["state", "cut", "z (mm)", *_vector_titles("force", "N"), *_vector_titles("moment", "N mm"), "imbalance"],
        [
            [
                cut.get("state"),
                cut.get("name"),
                format_number(_number(cut.get("z_mm")), digits=3),
                *_vector(cut.get("force_n")),
                *_vector(cut.get("moment_nmm")),
                f"{_number(cut.get('imbalance')):.1e}",
            ]
            for cut in case.record.get("cuts") or []
        ],
        caption="Force and moment that the part above each cut exerts on the part below it, from nodal internal "
        "forces. Imbalance is relative to the load; it must stay below 1e-6.",
        text_columns=(0, 1),
    )
    reactions = table(
        ["state", "pad", *_vector_titles("force", "N"), *_vector_titles("moment", "N mm")],
        [
            [reaction.get("state"), _first(reaction, "body", "name", "pad"), *_vectors(reaction)]
            for reaction in case.record.get("reactions") or []
        ],
        caption="Force and moment that each pad exerts on the segment.",
        text_columns=(0, 1),
    )
    return cuts + reactions


def solves_html(case: CaseResult) -> str:
    """How every solution was found."""
    return table(
        ["solve", "method", "unknowns", "iterations", "relative residual", "asked for"],
        [
            [
                solve.get("name"),
                solve.get("method"),
                f"{int(_number(solve.get('n_dof'), 0.0)):,}".replace(",", " "),
                solve.get("iterations"),
                f"{_number(solve.get('residual')):.1e}",
                f"{_number(solve.get('rtol')):.0e}",
            ]
            for solve in case.record.get("solves") or []
        ],
        text_columns=(0, 1),
    )


def findings_html(results: Results, case: CaseResult) -> str:
    """What was found in the labels, what was placed, and what the run warned about."""
    parts = []
    for title, entries in (
        (_source_title(case), case.record.get("findings")),
        ("Notes", case.record.get("notes")),
        ("Warnings", results.run.get("warnings")),
    ):
        if entries:
            parts.append(f"<h3>{text(title)}</h3>" + items(_plain(entry) for entry in entries))
    cement = case.record.get("cement")
    if isinstance(cement, Mapping) and cement:
        rows = [[key.replace("_", " "), _plain(value)] for key, value in cement.items()]
        parts.append("<h3>Cement</h3>" + table(["", "value"], rows, text_columns=(0, 1)))
    return "".join(parts)


def _source_title(case: CaseResult) -> str:
    """What the geometry came from."""
    geometry = case.record.get("geometry")
    if not isinstance(geometry, Mapping):
        return "Labels and image"
    return "Surfaces" if geometry.get("kind") == "surfaces" else "Recipe"


def cases_html(results: Results) -> str:
    """Every case of a sweep, and why the failed ones failed; empty for a single case that is done."""
    if len(results.cases) <= 1 and not results.failed:
        return ""
    # Failures first: they are what somebody has to act on.
    cases = [*results.failed, *results.done]
    keys = results.swept_keys
    rows = [
        [case.id, *(_plain(case.keys.get(key)) for key in keys), case.status, case.error]
        for case in cases[:_MAX_CASE_ROWS]
    ]
    lead = f"{len(results.done)} of {len(results.cases)} cases are done, {len(results.failed)} failed."
    if len(cases) > _MAX_CASE_ROWS:
        lead += f" The first {_MAX_CASE_ROWS} are listed; run.json and summary.csv hold all."
    columns = range(len(keys) + 3)
    kinds = ["" if case.is_done else "out" for case in cases[:_MAX_CASE_ROWS]]
    return paragraph(lead) + table(["case", *keys, "status", "error"], rows, text_columns=columns, row_kinds=kinds)


def inputs_html(results: Results) -> str:
    """What went in: files, configuration, versions, machine, time."""
    run = results.run
    files = table(
        ["input file", "SHA-256"],
        [[entry.get("path"), entry.get("sha256")] for entry in run.get("inputs") or []],
        text_columns=(0, 1),
    )
    facts = {
        "date": run.get("date"),
        "host": _plain(run.get("host")),
        "threads": run.get("threads"),
        "git commit": run.get("git_commit") or "not in a git checkout",
        "hash of the configuration": run.get("config_hash"),
        **(run.get("versions") or {}),
    }
    machine = table(["", ""], [[key, value] for key, value in facts.items()], text_columns=(0, 1))
    config = json.dumps(run.get("config") or {}, indent=2, ensure_ascii=False, default=str)
    return (
        (files or paragraph(f"No input file: the segment is {_input_kind(run)}."))
        + machine
        + _timings(results)
        + details("Configuration, defaults included", f"<pre>{text(config)}</pre>")
    )


def _input_kind(run: Mapping[str, Any]) -> str:
    """Kind of the study's input."""
    return str(((run.get("config") or {}).get("input") or {}).get("kind") or "synthetic")


def _timings(results: Results) -> str:
    """Seconds per stage of the first cases."""
    timings: Mapping[str, Mapping[str, float]] = run if isinstance(run := results.run.get("timings"), Mapping) else {}
    rows = [
        [case or "before the cases", stage, format_number(_number(seconds), digits=3)]
        for case, stages in list(timings.items())[:3]
        if isinstance(stages, Mapping)
        for stage, seconds in stages.items()
    ]
    return details("Seconds per stage", table(["case", "stage", "seconds"], rows, text_columns=(0, 1))) if rows else ""


def _number(value: Any, default: float = float("nan")) -> float:
    """A float, whatever JSON held."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return default


def _first(record: Mapping[str, Any], *keys: str) -> Any:
    return next((record[key] for key in keys if key in record), None)


def _vector(values: Sequence[float] | None) -> list[str]:
    """Three numbers, rounded to what a person reads."""
    numbers = [_number(value) for value in (values or [float("nan")] * 3)]
    size = max((abs(n) for n in numbers if np.isfinite(n)), default=0.0)
    return [format_number(0.0 if abs(n) < 1e-7 * size else n) for n in numbers]


def _vectors(reaction: Mapping[str, Any]) -> list[str]:
    return [*_vector(reaction.get("force_n")), *_vector(reaction.get("moment_nmm"))]


def _vector_titles(what: str, unit: str) -> list[str]:
    return [f"{what} {axis} ({unit})" for axis in ("x left", "y posterior", "z superior")]


def _plain(value: Any) -> str:
    """Any JSON value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(entry) for entry in value)
    return "–" if value is None else str(value)
