"""Tables and figure of the study: intact numbers, changes beside their floors, what connections carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["QUANTITIES", "change_text", "plot", "write_readme"]

QUANTITIES: Mapping[tuple[str, str], str] = {
    ("segment", "segment_stiffness_n_per_mm"): "segment stiffness, N/mm",
    ("segment", "flexion_rotation_deg"): "flexion of T12 against L2, deg",
    ("segment", "left_axial_rotation_deg"): "axial rotation of T12 against L2, deg",
    ("T12-L1", "nucleus_pressure_mpa"): "nucleus pressure T12-L1, MPa",
    ("L1-L2", "nucleus_pressure_mpa"): "nucleus pressure L1-L2, MPa",
    ("T12", "inferior_endplate_trabecular_min_principal_stress_p95_mpa"): "T12 under its lower endplate, MPa",
    ("L2", "superior_endplate_trabecular_min_principal_stress_p95_mpa"): "L2 under its upper endplate, MPa",
    ("T12", "factor_of_risk_yielded_volume"): "factor of risk T12",
    ("L1", "factor_of_risk_yielded_volume"): "factor of risk L1",
    ("L2", "factor_of_risk_yielded_volume"): "factor of risk L2",
}
"""Level and quantity to words; stresses are the 95th percentile of the most compressive one in trabecular bone."""

_TURNS = {
    "compression": (),
    "flexion": ("flexion_rotation_deg",),
    "extension": ("flexion_rotation_deg",),
    "rotation": ("left_axial_rotation_deg",),
}
"""Rotations that a load case is about; the others are round-off or by the way."""

_MARKS = ("<!-- tables: written by load_shift.py -->", "<!-- end of tables -->")

_COLOURS = ("pad", "treated", "nucleus", "disc", "intact")

Found = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Load case to variant to what `load_shift.record_of` keeps."""


def write_readme(path: Path, found: Found) -> None:
    """Put the tables between the marks of the README."""
    head, rest = path.read_text(encoding="utf-8").split(_MARKS[0])
    text = "\n\n".join(text for load, variants in found.items() for text in _tables(load, variants))
    path.write_text(f"{head}{_MARKS[0]}\n\n{text}\n\n{_MARKS[1]}{rest.split(_MARKS[1])[1]}", encoding="utf-8")


def _tables(load: str, variants: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Intact numbers, changes, and what connections carry under one load case."""
    yield f"### {load[0].upper()}{load[1:]}"
    rows = list(_rows(load, variants))
    yield "Intact:\n\n" + _markdown(variants, [(words, [_intact(v, key) for v in variants.values()])
                                                for key, words in rows])  # fmt: skip
    yield "Treated minus intact, % (floor of the solver, of the cells):\n\n" + _markdown(
        variants, [(words, [change_text(v, key) for v in variants.values()]) for key, words in rows]
    )
    carried = [(words, [text(v) for v in variants.values()]) for words, text in _CARRIED.items()]
    yield "Connections, intact:\n\n" + _markdown(variants, carried)


def _rows(load: str, variants: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Key and words of the quantities of a load case."""
    first = next(iter(variants.values()))["quantities"]
    for (level, quantity), words in QUANTITIES.items():
        is_turn = quantity.endswith("_deg")
        if f"{level} {quantity}" in first and (not is_turn or quantity in _TURNS[load]):
            yield f"{level} {quantity}", words


def _intact(variant: Mapping[str, Any], key: str) -> str:
    """The intact number."""
    return f"{variant['quantities'][key]['intact']:.4g}"


def percent(numbers: Mapping[str, float | None], name: str = "change") -> float | None:
    """A change or floor in percent of the intact magnitude."""
    value, intact = numbers[name], numbers["intact"]
    return None if value is None or not intact else 100.0 * value / abs(intact)


def change_text(variant: Mapping[str, Any], key: str) -> str:
    """The change in percent, its floors after it."""
    numbers = variant["quantities"][key]
    change = percent(numbers)
    if change is None:
        return ""
    floors = [percent(numbers, name) for name in ("floor_solver", "floor_spacing")]
    known = [floor for floor in floors if floor is not None]
    text = f"{change:+.2f} ({', '.join(f'{floor:.0e}' if floor < 0.005 else f'{floor:.2f}' for floor in known)})"
    return text if abs(change) > max(known, default=0.0) else f"{text} not resolved"


def _sum_of(variant: Mapping[str, Any], disc: str, *, of: str) -> float:
    """Ligament tensions or facet forces of a disc together, N."""
    names = (f"{disc} facet_force",) if of == "facets" else (disc,)
    end = "_n" if of == "facets" else "_tension_n"
    return sum(v for name, v in variant["carried"].items() if name.startswith(names) and name.endswith(end))


def _facets(variant: Mapping[str, Any]) -> str:
    """Left and right facet force of both discs."""
    found = variant["carried"]
    return "; ".join(
        f"{disc} {found[f'{disc} facet_force_left_n']:.0f}, {found[f'{disc} facet_force_right_n']:.0f}"
        for disc in ("T12-L1", "L1-L2")
        if f"{disc} facet_force_left_n" in found
    )


def _ligaments(variant: Mapping[str, Any]) -> str:
    """Tension of all ligaments of each disc."""
    found = variant["carried"]
    return "; ".join(
        f"{disc} {_sum_of(variant, disc, of='ligaments'):.0f}"
        for disc in ("T12-L1", "L1-L2")
        if f"{disc} ligamentum_flavum_tension_n" in found
    )


def _fibres(variant: Mapping[str, Any]) -> str:
    """Part of the fibres that pull."""
    found = variant["carried"]
    return "; ".join(
        f"{disc} {100.0 * found[f'{disc} fibres_pulling_fraction']:.0f}"
        for disc in ("T12-L1", "L1-L2")
        if f"{disc} fibres_pulling_fraction" in found
    )


_CARRIED = {
    "ligaments, sum of tensions, N": _ligaments,
    "facet force left, right, N": _facets,
    "fibres that pull, % of their volume": _fibres,
    "elements": lambda variant: f"{variant['elements'] or ''}",
}


def _markdown(variants: Mapping[str, Any], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """One column per variant; rows without any number are left out."""
    lines = [f"| | {' | '.join(variants)} |", "|---" * (len(variants) + 1) + "|"]
    lines += [f"| {words} | {' | '.join(cells)} |" for words, cells in rows if any(cells)]
    return "\n".join(lines)


def plot(found: Found) -> Figure:
    """Changes of pressure, stress and factor of risk by load case, a bar per variant."""
    from fesolver.report.style import COLOURS, figure_style, new_figure

    keys = [(level, quantity) for level, quantity in QUANTITIES if level != "segment" and level != "L1"]
    with figure_style():
        figure = new_figure(8.0, 2.6 * len(found))
        panels = figure.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (load, variants) in zip(panels, found.items(), strict=True):
            width = 0.8 / len(variants)
            for n, (name, variant) in enumerate(variants.items()):
                numbers = [variant["quantities"][f"{level} {quantity}"] for level, quantity in keys]
                heights = [percent(of) or 0.0 for of in numbers]
                floors = [max(percent(of, f"floor_{kind}") or 0.0 for kind in ("solver", "spacing")) for of in numbers]
                places = [k + (n - 0.5 * (len(variants) - 1)) * width for k in range(len(keys))]
                axes.bar(places, heights, width, yerr=floors, color=COLOURS[_COLOURS[n]], label=name, capsize=1.5)
            axes.axhline(0.0, color=COLOURS["outline"], linewidth=0.6)
            axes.set_title(load)
            axes.set_ylabel("change, %")
        panels[0].legend(fontsize=7, ncols=5)
        panels[-1].set_xticks(
            range(len(keys)), [QUANTITIES[key].split(",")[0] for key in keys], rotation=20, ha="right"
        )
    return figure
