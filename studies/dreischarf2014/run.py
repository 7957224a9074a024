"""Published rotations, facet forces and pressures of the lumbar spine beside ours.

    python studies/dreischarf2014/run.py [--refinement R] [--without ligaments facets fibres] [--cases NAME ...]
    python studies/dreischarf2014/run.py --table        write the tables again from `results.json`

Writes `results.json` after every load case, and once all are there `comparison.csv` and the table of README.md. Runs
other than the default (refinement, parts, nucleus) stand beside it in `results.json` under a name of their own.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumbar_runs import PARTS, Numbers, build_lumbar, load_cases, run_cases

HERE = Path(__file__).resolve().parent
RESULTS, CSV, README, TARGETS = (HERE / n for n in ("results.json", "comparison.csv", "README.md", "targets.toml"))
MARKS = ("<!-- table: written by studies/dreischarf2014/run.py -->", "<!-- end of table -->")

REFINEMENT = 1.0

ROTATION_OF = {
    "flexion": "flexion_rotation_deg",
    "extension": "flexion_rotation_deg",
    "bending_left": "left_bending_rotation_deg",
    "bending_right": "left_bending_rotation_deg",
    "rotation_left": "left_axial_rotation_deg",
    "rotation_right": "left_axial_rotation_deg",
}

Results = Mapping[str, Numbers]
"""Load case to numbers."""


@dataclass(frozen=True)
class Row:
    """A published number and the run that stands beside it; the keys of `targets.toml`."""

    quantity: str
    load: str
    unit: str
    low: float
    high: float
    standing: str
    source: str
    kind: str
    cases: tuple[str, ...]
    levels: tuple[str, ...] = ("segment",)
    centre: float | None = None


def read_rows(path: Path = TARGETS) -> tuple[Row, ...]:
    """Rows of the table."""
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["row"]
    return tuple(_row(keys) for keys in found)


def _row(keys: Mapping[str, Any]) -> Row:
    """A row from its table, lists as tuples."""
    frozen: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in keys.items()}
    return Row(**frozen)


def ours(row: Row, results: Results) -> list[float] | None:
    """Our number at each of the row's levels; None where the run has no such part or did not run the case."""
    if any(case not in results for case in row.cases):
        return None
    try:
        return [_number(row, level, results) for level in row.levels]
    except KeyError:
        return None


def _number(row: Row, level: str, results: Results) -> float:
    """One of our numbers: angles of all cases together, forces and pressures of the one case."""
    if row.kind == "rotation":
        return sum(abs(results[case][f"{level} {ROTATION_OF[case]}"]) for case in row.cases)
    (case,) = row.cases
    if row.kind == "pressure":
        return results[case][f"{level} nucleus_pressure_mpa"]
    left, right = (results[case][f"{level} facet_force_{side}_n"] for side in ("left", "right"))
    return {
        "facet_left": left,
        "facet_right": right,
        "facet_loaded": max(left, right),
        "facet_mean": 0.5 * (left + right),
    }[row.kind]


def verdict(row: Row, value: float) -> str:
    """`yes`, `low` or `high`; the distance in percent from a single value."""
    if row.low == row.high:
        return f"{100.0 * (value / row.low - 1.0):+.0f} %"
    return "low" if value < row.low else "high" if value > row.high else "yes"


def compared(rows: Sequence[Row], results: Results) -> list[dict[str, str]]:
    """Every row with our numbers, one entry per level."""
    out = []
    for row in rows:
        values: Sequence[float | None] = ours(row, results) or [None] * len(row.levels)
        for level, value in zip(row.levels, values, strict=True):
            out.append({
                "quantity": row.quantity, "level": level, "load": row.load, "unit": row.unit,
                "published_centre": "" if row.centre is None else f"{row.centre:g}",
                "published_low": f"{row.low:g}", "published_high": f"{row.high:g}",
                "standing": row.standing, "source": row.source,
                "ours_secant": "" if value is None else f"{value:.4g}",
                "inside": "" if value is None else verdict(row, value),
            })  # fmt: skip
    return out


def write_csv(entries: Sequence[Mapping[str, str]]) -> None:
    """`comparison.csv`."""
    with CSV.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(entries[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(entries)


def table(rows: Sequence[Row], results: Results, warnings: Sequence[str]) -> str:
    """The rows for reading, and what the linear model says about itself."""
    lines = ["| quantity | load | published | standing, source | ours, secant | inside |", "|---|---|---|---|---|---|"]
    for row in rows:
        values = ours(row, results)
        spread = f"{row.low:g}" if row.low == row.high else f"{row.low:g} to {row.high:g}"
        published = f"{spread} {row.unit}" if row.centre is None else f"{row.centre:g} ({spread}) {row.unit}"
        found, inside = "not run", ""
        if values is not None:
            names = [""] if row.levels == ("segment",) else [f"{level} " for level in row.levels]
            found = ", ".join(f"{name}{value:.3g}" for name, value in zip(names, values, strict=True))
            verdicts = [verdict(row, value) for value in values]
            inside = verdicts[0] if len(set(verdicts)) == 1 else ", ".join(verdicts)
        source = f"{row.standing}: {row.source}"
        lines.append(f"| {row.quantity} | {row.load} | {published} | {source} | {found} | {inside} |")
    if warnings:
        lines += ["", "Beyond 5 degrees per level, where a linear model is out of its range:", ""]
        lines += [f"- {line}" for line in warnings]
    return "\n".join(lines)


SHOWN = (
    ("flexion", "flexion", "segment flexion_rotation_deg"),
    ("extension", "extension", "segment flexion_rotation_deg"),
    ("bending", "bending_left", "segment left_bending_rotation_deg"),
    ("rotation", "rotation_left", "segment left_axial_rotation_deg"),
    ("facet L4-L5, extension, N", "extension", "L4-L5 facet_force_left_n"),
    ("facet L2-L3, turn to the left, N", "rotation_left", "L2-L3 facet_force_right_n"),
    ("pressure L4-L5, 1000 N, MPa", "follower_1000", "L4-L5 nucleus_pressure_mpa"),
    ("pressure L4-L5, combined flexion, MPa", "combined_flexion", "L4-L5 nucleus_pressure_mpa"),
)
"""Heading, load case and number of the table of runs."""


def runs_table(stored: Mapping[str, Mapping[str, Any]]) -> str:
    """Rotations of L1-L5 (degrees, 7.5 Nm one way), forces and pressures of every run that is stored."""
    lines = [f"| run | {' | '.join(heading for heading, *_ in SHOWN)} |", "|---" * (len(SHOWN) + 1) + "|"]
    for name, record in stored.items():
        found = [record["cases"].get(case, {}).get(number) for _, case, number in SHOWN]
        lines.append(f"| {name} | {' | '.join('' if value is None else f'{value:.3g}' for value in found)} |")
    return "\n".join(lines)


def write_table(text: str) -> None:
    """Put the table between the marks of the README."""
    head, rest = README.read_text(encoding="utf-8").split(MARKS[0])
    README.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


def kept(numbers: Numbers) -> Numbers:
    """What is stored of a load case: rotations of discs and segment, facet forces, pressures; five digits."""
    wanted = ("rotation_deg", "facet_force_left_n", "facet_force_right_n", "nucleus_pressure_mpa", "iterations")
    return {
        name: float(f"{value:.5g}")
        for name, value in numbers.items()
        if name.endswith(wanted) and ("-" in name or name.startswith(("segment", "outer")))
    }


def run_name(refinement: float, parts: Sequence[str], nucleus: str) -> str:
    """Where a run stands in `results.json`."""
    soft = " and ".join(parts) if parts else "no soft connections"
    return f"refinement {refinement:g}, {soft}, {nucleus} nucleus"


DEFAULT = run_name(REFINEMENT, PARTS, "solid")


def main() -> None:
    """Run the load cases and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refinement", type=float, default=REFINEMENT)
    parser.add_argument("--without", nargs="*", default=[], choices=PARTS, help="soft connections to leave out")
    parser.add_argument("--nucleus", default="solid", choices=("solid", "fluid"))
    parser.add_argument("--cases", nargs="*", default=[], choices=[case.name for case in load_cases()], metavar="NAME")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    stored: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    parts = [part for part in PARTS if part not in options.without]
    name = run_name(options.refinement, parts, options.nucleus)
    if not options.table:
        record = stored.setdefault(name, {"cases": {}, "warnings": {}})
        start = time.perf_counter()
        lumbar = build_lumbar(refinement=options.refinement, parts=parts, nucleus=options.nucleus)
        for case, numbers, warnings in run_cases(lumbar, options.cases):
            record["cases"][case], record["warnings"][case] = kept(numbers), list(warnings)
            RESULTS.write_text(json.dumps(stored, indent=1) + "\n")
            print(f"{name}, {case}: {time.perf_counter() - start:.0f} s", flush=True)
    if DEFAULT in stored:
        results, warnings = stored[DEFAULT]["cases"], stored[DEFAULT]["warnings"]
        rows = read_rows()
        write_csv(compared(rows, results))
        text = table(rows, results, [f"{case}: {line}" for case, of in warnings.items() for line in of])
        write_table(f"{text}\n\nEvery run that is stored, 7.5 Nm one way:\n\n{runs_table(stored)}")
    if name in stored:
        print(table(read_rows(), stored[name]["cases"], []))


if __name__ == "__main__":
    main()
