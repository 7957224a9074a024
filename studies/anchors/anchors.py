"""Published numbers beside ours: runs the anchors and writes their table.

    python studies/anchors/anchors.py [SECTION ...]     run these sections (all by default), then write the table
    python studies/anchors/anchors.py --table           write the table again from `results.json`

Sections: units, pressure, shares, bodies, cohort, variants, "slack variants", and four that start with `mesh`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

from anchor_checks import SECTIONS, SLACK_VARIANTS, VARIANTS
from anchor_runs import Numbers

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
DOCS = HERE.parents[1] / "docs" / "anchors.md"
MARKS = ("<!-- table: written by studies/anchors/anchors.py -->", "<!-- end of table -->")


@dataclass(frozen=True)
class Anchor:
    """A published number and the runs that stand beside it.

    Parameters
    ----------
    quantity : str
        What it is, with its unit.
    low, high : float
        The published range in that unit; equal for a single value, which has no spread to be inside of.
    standing, source : str
        How well it is known, as in `docs/bands.md`, and who says so.
    section : str
        Where our numbers are.
    ours : tuple of (str, str)
        Label and name in that section.
    scale : float
        From our unit to that of the table.
    mesh : tuple of str
        Section and quantity of the convergence study that speaks for the row.
    """

    quantity: str
    low: float
    high: float
    standing: str
    source: str
    section: str
    ours: tuple[tuple[str, str], ...]
    scale: float = 1.0
    mesh: tuple[str, str] = ("mesh unit", "disc stiffness")


def _units(kind: str, what: str) -> tuple[tuple[str, str], ...]:
    """The three functional units."""
    return tuple((name, f"{name} {kind}: {what}") for name in ("T12-L1", "L1-L2", "L4-L5"))


def _by_t(what: str, prefix: str) -> tuple[tuple[str, str], ...]:
    """By T-score."""
    return tuple((f"T {t:g}", f"{prefix}T {t:g}{what}") for t in (0.0, -1.0, -2.5, -3.5))


_STIFFNESS = "Virgin 2.5, Brown 2.3, Markolf 1.8, Schultz 0.8 to 1, Hirsch and Nachemson 0.7"
_YANG16 = "Yang 2016, 16 whole discs T8-L5"
_BRINCKMANN = "Brinckmann and Grootenboer 1991 and FE models"
_JAGER = "Jager and Luttmann, women, mean and one standard deviation"
_VERSE = "spineFE-benchmark, 77 L1: mean and one standard deviation"
_VERSE_15 = _VERSE + ", less the 15 % of the next bin"
_VERSE_LINE = "spineFE-benchmark, line through the 77 at that density, one residual standard deviation"
_PRESSURE = ("mesh unit", "pressure ratio")
_FLUID = ("mesh fluid", "pressure ratio")
_CAPS = ("mesh bodies", "between caps")
_WILKE = "Wilke 1999, standing, with F = 0.66 IDP A (Dreischarf 2013)"

ANCHORS: tuple[Anchor, ...] = (
    Anchor("disc stiffness in the unit, kN/mm", 0.5, 2.5, "M-M", _STIFFNESS, "units",
           _units("solid none", "disc stiffness"), 1e-3),
    Anchor("the same, fluid nucleus", 0.5, 2.5, "M-M", _STIFFNESS, "units",
           _units("fluid none", "disc stiffness"), 1e-3, ("mesh fluid", "disc stiffness")),
    Anchor("the same, moderately degenerate", 0.5, 2.5, "M-M", _STIFFNESS, "units",
           _units("solid moderate", "disc stiffness"), 1e-3),
    Anchor("disc between rigid endplates, kN/mm", 0.5, 2.5, "M-M", _STIFFNESS, "units",
           _units("solid none", "disc alone stiffness"), 1e-3, ("mesh unit", "disc alone stiffness")),
    Anchor("the same, plates that stay parallel", 0.5, 2.5, "M-M", _STIFFNESS, "units",
           _units("solid none", "disc alone stiffness, parallel"), 1e-3, ("mesh unit", "disc alone stiffness")),
    Anchor("effective modulus k h / A in the unit, MPa", 5.8, 42.7, "P", _YANG16, "units",
           _units("solid none", "effective modulus"), 1.0, ("mesh unit", "effective modulus")),
    Anchor("the same between rigid endplates", 5.8, 42.7, "P", _YANG16, "units",
           _units("solid none", "disc alone effective modulus"), 1.0, ("mesh unit", "disc alone effective modulus")),
    Anchor("motion segment, kN/mm", 2.4, 2.4, "M-L", "Gardner-Morse and Stokes 2004, 500 N preload", "units",
           _units("solid none", "unit stiffness"), 1e-3, ("mesh unit", "unit stiffness")),
    Anchor("nucleus pressure over F/A", 1.3, 1.6, "M-H", "Nachemson and others", "units",
           _units("solid none", "pressure ratio"), 1.0, _PRESSURE),
    Anchor("the same, fluid nucleus", 1.3, 1.6, "M-H", "Nachemson and others", "units",
           _units("fluid none", "pressure ratio"), 1.0, _FLUID),
    Anchor("the same, fluid, rigid endplates", 1.3, 1.6, "M-H", "Nachemson and others", "units",
           _units("fluid none", "disc alone pressure ratio"), 1.0, ("mesh fluid", "disc alone pressure ratio")),
    Anchor("pressure at 1000 N, disc of 1800 mm2, MPa", 0.7, 1.1, "M-L", _BRINCKMANN, "pressure",
           (("solid", "solid none: pressure at 1000 N"), ("fluid", "fluid none: pressure at 1000 N")),
           1.0, _PRESSURE),
    Anchor("pressure at 300 N, the same, MPa", 0.25, 0.35, "M-L", _BRINCKMANN, "pressure",
           (("solid", "solid none: pressure at 1000 N"), ("fluid", "fluid none: pressure at 1000 N")),
           0.3, _PRESSURE),
    Anchor("pressure at 594 N, the same, MPa", 0.5, 0.5, "P (0.5), M-M (594 N)", _WILKE, "pressure",
           (("solid", "solid none: pressure at 1000 N"), ("fluid", "fluid none: pressure at 1000 N")),
           0.594, _PRESSURE),
    Anchor("pressure lost in severe degeneration, L1-L2, %", 40.0, 70.0, "P", "parametric L1-L3 FE, 2026", "pressure",
           (("geometry alone", "L1-L2 severe geometry: pressure lost %"),
            ("and moderate set", "L1-L2 severe geometry, moderate set: pressure lost %")), 1.0, _PRESSURE),
    Anchor("shell share at mid-height, L1 in T12-L2", 0.38, 0.54, "P", "Eswaran 2006, 13 elderly", "shares",
           _by_t(", shell 8040: shell share at mid-height", "L1, "), 1.0, ("mesh shares", "shell share at mid-height")),
    Anchor("the same, T -2.5, shell 4700 / 12000 MPa", 0.38, 0.54, "P", "Eswaran 2006, 13 elderly", "shares",
           tuple((y, f"L1, T -2.5, shell {y}: shell share at mid-height") for y in ("4700", "12000")),
           1.0, ("mesh shares", "shell share at mid-height")),
    Anchor("shell share at mid-height, T11 in T10-T12", 0.339, 0.487, "P", "Yang 2012, 22 T9", "shares",
           tuple((d, f"T11, T -2.5, {d} disc: shell share at mid-height") for d in ("default", "homogeneous")),
           1.0, ("mesh shares", "shell share at mid-height")),
    Anchor("largest core share, L1 in T12-L2", 0.76, 0.89, "P", "Eswaran 2006, 13 elderly", "shares",
           _by_t(", shell 8040: largest core share", "L1, "), 1.0, ("mesh shares", "largest core share")),
    Anchor("the same, L1 under a pad (L1-L2)", 0.76, 0.89, "P", "Eswaran 2006, 13 elderly", "shares",
           (("T -2.5", "L1 at a pad, T -2.5: largest core share"),), 1.0, ("mesh shares", "largest core share")),
    Anchor("L1 between PMMA caps at 113 mg/cm3, kN/mm", 13.9, 24.5, "P", _VERSE, "cohort",
           (("no shell", "no shell, next bin, mean"), ("wall by the law", "wall by the law, next bin, mean")),
           1e-3, _CAPS),
    Anchor("the same, without their shift of the bins", 12.1, 21.3, "P", _VERSE_15, "cohort",
           (("no shell", "no shell, mean"), ("wall by the law", "wall by the law, mean"),
            ("default layers", "default layers, mean")), 1e-3, _CAPS),
    Anchor("the same at 64 mg/cm3, with the shift", 9.9, 17.5, "P", _VERSE_LINE, "cohort",
           (("no shell", "no shell, next bin, 5 %"), ("wall by the law", "wall by the law, next bin, 5 %")),
           1e-3, _CAPS),
    Anchor("the same at 171 mg/cm3, with the shift", 21.8, 29.4, "P", _VERSE_LINE, "cohort",
           (("no shell", "no shell, next bin, 95 %"), ("wall by the law", "wall by the law, next bin, 95 %")),
           1e-3, _CAPS),
    Anchor("body between rigid ends, L1, kN/mm", 8.0, 35.0, "M-L", "as Dall'Ara 2010, PMMA, wide spread", "bodies",
           _by_t(": stiffness", "L1, "), 1e-3, ("mesh bodies", "stiffness")),
    Anchor("the same, T -1, L1 to L5", 8.0, 35.0, "M-L", "as Dall'Ara 2010, PMMA, wide spread", "bodies",
           tuple((f"L{n}", f"L{n}, T -1: stiffness") for n in range(1, 6)), 1e-3, ("mesh bodies", "stiffness")),
    Anchor("strength 0.0068 k h, L1, kN", 2.47, 5.47, "M-H", _JAGER, "bodies", _by_t(": strength", "L1, "),
           1e-3, ("mesh bodies", "strength")),
    Anchor("the same, L3", 2.47, 5.47, "M-H", _JAGER, "bodies", _by_t(": strength", "L3, "),
           1e-3, ("mesh bodies", "strength")),
    Anchor("endplate bulge at 1 kN, inferior of the upper body, mm", 0.1, 0.3, "M-L", "not named", "units",
           _units("solid none", "inferior bulge"), 1.0, ("mesh unit", "inferior bulge")),
    Anchor("the same, superior of the lower body", 0.1, 0.3, "M-L", "not named", "units",
           _units("solid none", "superior bulge"), 1.0, ("mesh unit", "superior bulge")),
)  # fmt: skip


def verdict(anchor: Anchor, value: float) -> str:
    """`yes`, `low` or `high`; the distance in percent from a single value."""
    if anchor.low == anchor.high:
        return f"{100.0 * (value / anchor.low - 1.0):+.0f} %"
    return "low" if value < anchor.low else "high" if value > anchor.high else "yes"


def row(anchor: Anchor, results: dict[str, Numbers]) -> str:
    """One line of the table."""
    values = [results[anchor.section][name] * anchor.scale for _, name in anchor.ours]
    ours = ", ".join(f"{label} {value:.3g}" for (label, _), value in zip(anchor.ours, values, strict=True))
    inside = ", ".join(verdict(anchor, value) for value in values)
    if len(set(inside.split(", "))) == 1:
        inside = inside.split(", ")[0]
    spread = f"{anchor.low:g}" if anchor.low == anchor.high else f"{anchor.low:g} to {anchor.high:g}"
    off = results[anchor.mesh[0]][f"{anchor.mesh[1]}: off the limit %"]
    return f"| {anchor.quantity} | {spread} | {anchor.standing}: {anchor.source} | {ours} | {inside} | {off:+.1f} % |"


def table(results: dict[str, Numbers]) -> str:
    """The anchors, and the inputs changed one at a time."""
    lines = ["| quantity | published | standing, source | ours | inside | mesh |", "|---|---|---|---|---|---|"]
    lines += [row(anchor, results) for anchor in ANCHORS]
    lines += ["", "L4-L5, one input at a time (T -1, 1000 N):", ""]
    lines += [
        "| changed | unit, N/mm | disc, N/mm | pressure over F/A | bulge, upper / lower, mm |",
        "|---|---|---|---|---|",
    ]
    for section, names in (("variants", VARIANTS), ("slack variants", SLACK_VARIANTS)):
        for name in names:
            unit, disc, ratio, upper, lower = (
                results[section][f"{name}: {what}"]
                for what in ("unit stiffness", "disc stiffness", "pressure ratio", "inferior bulge", "superior bulge")
            )
            lines.append(f"| {name} | {unit:.0f} | {disc:.0f} | {ratio:.2f} | {upper:.3f} / {lower:.3f} |")
    return "\n".join(lines)


def write_table(path: Path, text: str) -> None:
    """Put the table between the marks of a page."""
    head, rest = path.read_text(encoding="utf-8").split(MARKS[0])
    path.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


def main() -> None:
    """Run sections and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section {', '.join(sorted(unknown))}: use {', '.join(SECTIONS)}")
    results: dict[str, Numbers] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in () if options.table else options.sections or tuple(SECTIONS):
        start = time.perf_counter()
        results[name] = SECTIONS[name]()
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if all(name in results for name in SECTIONS):
        text = table(results)
        for page in (README, DOCS):
            write_table(page, text)
        print(text)


if __name__ == "__main__":
    main()
