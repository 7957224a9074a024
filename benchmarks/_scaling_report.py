"""The tables and the plot of `voxel_scaling.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _common import Record, markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("uniform", "heterogeneous")
PHASES = ("setup_s", "solve_s", "overall_s")


def table(segments: list[Record], blocks: list[Record], reason: str) -> str:
    """Both tables and what the targets came to."""
    columns = ("unknowns", "iterations", "set-up s", "solve s", "overall s", "us/unknown", "peak MB", "bytes/unknown")
    parts = []
    if segments:
        parts += [markdown(("segment", *columns, "residual"), [_row(entry["name"], entry) for entry in segments])]
        parts += ["", *_segment_verdicts(segments), ""]
    if blocks:
        names = {"ours": "fesolver", "parosol": "parosol-py"}
        rows = [_row(f"{entry['kind']}, {entry['n']}^3, {names[entry['code']]}", entry) for entry in blocks]
        parts += [markdown(("block", *columns, "residual"), rows), "", *_block_verdicts(blocks)]
        if reason:
            parts.append(f"parosol-py left out: {reason}")
    for entry in segments + blocks:
        if seconds := entry.get("compile_inside_s"):
            parts.append(f"{entry['name']}: {seconds:.1f} s went into compiling: run again")
    return "\n".join(parts)


def _row(name: str, entry: Record) -> list[str]:
    """One line of a table."""
    if "failed" in entry:
        dof = f"{entry['n_dof']:,}" if "n_dof" in entry else ""
        return [name, dof, *[""] * 7, entry["failed"]]
    taken = entry["bytes_per_unknown"]
    return [
        name, f"{entry['n_dof']:,}", str(entry["iterations"]), *(f"{entry[phase]['min']:.2f}" for phase in PHASES),
        f"{entry['us_per_unknown']:.2f}", f"{entry['peak_mb']:,.0f}", "" if taken is None else f"{taken:.0f}",
        f"{entry['residual']:.1e}",
    ]  # fmt: skip


def _solved(entries: list[Record]) -> list[Record]:
    """Those that came to an end."""
    return [entry for entry in entries if "failed" not in entry]


def _segment_verdicts(segments: list[Record]) -> list[str]:
    """Iterations across resolutions, and the time at 0.5 mm."""
    lines = []
    iterations = [entry["iterations"] for entry in _solved(segments)]
    if iterations:
        middle = (max(iterations) + min(iterations)) / 2.0
        lines.append(
            f"iterations {min(iterations)} to {max(iterations)}: +-{100.0 * (max(iterations) / middle - 1.0):.0f} % "
            f"over {len(iterations)} resolutions (wanted +-25 %)"
        )
    lines += [
        f"0.5 mm: {entry['overall_s']['min']:.1f} s overall (wanted 60)"
        for entry in _solved(segments)
        if entry["spacing_mm"] == 0.5
    ]
    return lines


def _block_verdicts(blocks: list[Record]) -> list[str]:
    """Time per unknown across sizes, and the largest block."""
    lines = []
    for kind in KINDS:
        ours = [entry for entry in _solved(blocks) if entry["kind"] == kind and entry["code"] == "ours"]
        peers = {entry["n"]: entry for entry in _solved(blocks) if entry["kind"] == kind and entry["code"] == "parosol"}
        if not ours:
            continue
        per_unknown = [entry["us_per_unknown"] for entry in ours]
        lines.append(
            f"{kind}: {min(per_unknown):.2f} to {max(per_unknown):.2f} us per unknown, the largest "
            f"{max(per_unknown) / min(per_unknown):.2f} times the smallest (wanted 1.30)"
        )
        largest = ours[-1]
        taken = largest["bytes_per_unknown"]
        lines.append(
            f"{kind}, {largest['n_dof']:,} unknowns: {largest['overall_s']['min'] / 60.0:.1f} minutes, peak "
            f"{largest['peak_mb'] / 1e3:.1f} GB (wanted for 100 M: 15 minutes, 24 GB)"
            + ("" if taken is None else f", {taken:.0f} bytes per unknown (aim 120)")
        )
        for entry in ours:
            if peer := peers.get(entry["n"]):
                difference = abs(entry["reaction_n"] / peer["reaction_n"] - 1.0)
                factor = peer["overall_s"]["min"] / entry["overall_s"]["min"]
                lines.append(
                    f"{kind}, {entry['n']}^3: parosol-py takes {factor:.1f} times as long; reactions differ by "
                    f"{difference:.1e}"
                )
    return lines


def plot(segments: list[Record], blocks: list[Record]) -> Figure:
    """Iterations and seconds over unknowns of segments; time and bytes per unknown of blocks."""
    from fesolver.report.style import figure_style, new_figure

    shown = [(draw, solved) for draw, solved in ((_plot_segments, _solved(segments)), (_plot_blocks, _solved(blocks)))]
    shown = [(draw, solved) for draw, solved in shown if solved] or [(_plot_blocks, [])]
    with figure_style():
        figure = new_figure(7.5, 3.0 * len(shown))
        for row, (draw, solved) in zip(figure.subplots(len(shown), 2, squeeze=False), shown, strict=True):
            draw(row[0], row[1], solved)
    return figure


def _plot_segments(left: Axes, right: Axes, segments: list[Record]) -> None:
    """Iterations, and seconds of both phases."""
    from fesolver.report.style import COLOURS

    unknowns = [entry["n_dof"] for entry in segments]
    left.plot(unknowns, [entry["iterations"] for entry in segments], "o-", color=COLOURS["intact"])
    for entry in segments:
        place = (entry["n_dof"], entry["iterations"])
        left.annotate(f"{entry['spacing_mm']:g} mm", place, (0, -14), textcoords="offset points", ha="center")
    for phase, colour, label in (("setup_s", "treated", "set-up"), ("solve_s", "intact", "solve")):
        right.plot(unknowns, [entry[phase]["min"] for entry in segments], "o-", color=COLOURS[colour], label=label)
    for panel, label in ((left, "iterations to 1e-8"), (right, "s")):
        panel.set(title="L1 to L3, discs and cement", xlabel="unknowns", ylabel=label, xscale="log")
        panel.margins(x=0.12)
    right.set_yscale("log")
    right.legend()
    left.set_ylim(0, 1.15 * max(entry["iterations"] for entry in segments))


def _plot_blocks(left: Axes, right: Axes, blocks: list[Record]) -> None:
    """Time and bytes per unknown of both kinds of block and both codes."""
    from fesolver.report.style import COLOURS

    colours = {("ours", "uniform"): "intact", ("ours", "heterogeneous"): "bone"}
    colours |= {("parosol", "uniform"): "treated", ("parosol", "heterogeneous"): "cement"}
    for panel, key, label in (
        (left, "us_per_unknown", "overall, us per unknown"),
        (right, "bytes_per_unknown", "memory, bytes per unknown"),
    ):
        for (code, kind), colour in colours.items():
            entries = [e for e in blocks if (e["code"], e["kind"]) == (code, kind) and e[key] is not None]
            if entries:
                name = {"ours": "fesolver", "parosol": "parosol-py"}[code]
                x, y = [entry["n_dof"] for entry in entries], [entry[key] for entry in entries]
                panel.plot(x, y, "o-" if code == "ours" else "s--", color=COLOURS[colour], label=f"{name}, {kind}")
        panel.set(title="blocks held at both ends", xlabel="unknowns", ylabel=label, xscale="log")
        panel.margins(x=0.08, y=0.1)
    right.axhline(120.0, color=COLOURS["outline"], linestyle=":", linewidth=1.0, label="aim: 120")
    left.set_ylim(0, None)
    right.set_ylim(0, None)
    left.legend()
    right.legend()
