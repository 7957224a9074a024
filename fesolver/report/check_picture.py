"""The picture of a checked study: what will be solved, before it is solved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.imaging.volume import SegmentImage
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.report.check_text import segment_tilt_deg, wedge_deg
from fesolver.report.section_figures import CutPlane, case_planes, draw_outlines, frame_panel, paint
from fesolver.report.sections import cut_cells
from fesolver.report.style import COLOURS, figure_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fesolver.study.check import StudyCheck

__all__ = ["write_check_picture"]

# What a cell is called, its colour, the kinds of regions it stands for, and the fraction from which it is called so. A
# shell of 0.35 mm never fills a cell: the first match counts, so layers are seen before the bone around them.
_KINDS: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("cement", "#D55E00", ("cement",), 0.5),
    ("shell in the cell", "#0072B2", ("cortical",), 0.02),
    ("endplate in the cell", "#7E57A6", ("superior_endplate", "inferior_endplate"), 0.02),
    ("nucleus", "#CC79A7", ("nucleus",), 0.5),
    ("annulus", "#66C2A0", ("annulus",), 0.5),
    ("posterior elements", "#B8B08D", ("posterior",), 0.5),
    ("trabecular bone", "#F3DDB3", ("trabecular",), 0.0),
)


_LEVEL_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")


def write_check_picture(check: StudyCheck, path: Path | str) -> Path:
    """Draw parts, discs, nucleus, pads, load arrow, cement, tilt, and histograms of image and moduli.

    Parameters
    ----------
    check : StudyCheck
        From `fesolver.study.check.check_study`.
    path : path
        Where the picture goes; its ending names the format (`.png`, `.pdf`).

    Returns
    -------
    Path
        The picture.
    """
    path = Path(path)
    with figure_style():
        figure = _draw(check)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    return path


def cell_kinds(mesh: SpineMesh) -> NDArray[np.int64]:
    """Position in the legend of every cell, (n_cells,)."""
    n_cells = len(mesh.cells)
    out = np.full(n_cells, len(_KINDS) - 1)
    for index in reversed(range(len(_KINDS))):
        _, _, kinds, least = _KINDS[index]
        fraction = np.zeros(n_cells)
        for name, region in mesh.regions.items():
            if name.partition("/")[2] in kinds:
                fraction[region.cells] += region.fraction
        out[(fraction >= least) & (fraction > 0.0)] = index
    return out


def _draw(check: StudyCheck) -> Figure:
    """Two long sections, two cross sections, two histograms."""
    mesh, image = check.mesh, check.image
    level = _shown_level(mesh)
    fraction = {name: region.dense(len(mesh.cells)) for name, region in mesh.regions.items()}
    body = sum(
        (f for name, f in fraction.items() if name.startswith(f"{level}/") and "posterior" not in name), np.zeros(1)
    )
    long_planes = case_planes(mesh.points, mesh.cells, body)
    figure = new_figure(13.5, 7.2)
    grid = figure.add_gridspec(2, 4, width_ratios=(1.0, 1.0, 1.0, 1.45))
    kinds = cell_kinds(mesh)
    for column, plane in enumerate(long_planes):
        axes = figure.add_subplot(grid[:, column])
        _draw_parts(axes, plane, kinds, fraction)
        frame_panel(axes, plane, with_scale=column == 0)
        _draw_endplates(axes, image, column)
        _draw_pads(axes, mesh, plane, column)
        _draw_load(axes, check, column)
        axes.set_title(f"{plane.name}, {plane.place.replace('-', '−')}")
    for row, (title, plane) in enumerate(_cross_planes(mesh, level)):
        axes = figure.add_subplot(grid[row, 2])
        _draw_parts(axes, plane, kinds, fraction)
        frame_panel(axes, plane)
        axes.set_ylabel("anterior, mm", fontsize=7)
        axes.set_title(title)
    _draw_image_histogram(figure.add_subplot(grid[0, 3]), check)
    _draw_modulus_histogram(figure.add_subplot(grid[1, 3]), check, kinds)
    _legend(figure, kinds)
    figure.suptitle(
        f"{', '.join(mesh.levels)}: {check.n_cells} cells, {check.n_dof} unknowns, segment "
        f"{segment_tilt_deg(image):.1f}° off the scanner's axis",
        fontsize=11,
    )
    return figure


def _shown_level(mesh: SpineMesh) -> str:
    """The augmented level, else the middle one."""
    treated = [name.partition("/")[0] for name in mesh.regions if name.endswith("/cement")]
    return treated[0] if treated else mesh.levels[len(mesh.levels) // 2]


def _cross_planes(mesh: SpineMesh, level: str) -> list[tuple[str, CutPlane]]:
    """Cross sections seen from above, anterior up: through the shown body and through a disc beside it."""
    x, y, z = np.eye(3)
    discs = [name for name in mesh.frames if "-" in name and level in name.split("-")]
    planes = []
    for name in (level, *discs[:1]):
        if name not in mesh.frames:
            continue
        origin = mesh.frames[name].origin
        section = cut_cells(mesh.points, mesh.cells, origin=origin, normal=z, axes=np.stack([x, -y]))
        planes.append((f"{name}, z = {origin[2]:.1f} mm", CutPlane("cross section", section, "", ("right", "left"))))
    return planes


def _draw_parts(
    axes: Axes, plane: CutPlane, kinds: NDArray[np.int64], fraction: dict[str, NDArray[np.float64]]
) -> None:
    """Cells coloured by what they hold."""
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap([colour for _, colour, _, _ in _KINDS])
    values = kinds[plane.section.cells].astype(float)
    paint(axes, plane.section, values, norm=Normalize(-0.5, len(_KINDS) - 0.5), cmap=colours, edges=True)
    draw_outlines(axes, plane.section, fraction)


def _draw_endplates(axes: Axes, image: SegmentImage, column: int) -> None:
    """The fitted endplate planes as dashed lines, and the wedge of each body."""
    across = np.eye(3)[1 - column]
    along = np.eye(3)[column]
    for level in image.levels:
        vertebra = image.vertebrae[level]
        for centroid, normal, area in (
            (vertebra.superior_centroid, vertebra.superior_normal, vertebra.superior_area_mm2),
            (vertebra.inferior_centroid, vertebra.inferior_normal, vertebra.inferior_area_mm2),
        ):
            direction = np.cross(along, normal)
            direction = direction / np.linalg.norm(direction) * 0.62 * np.sqrt(area)
            ends = np.stack([centroid - direction, centroid + direction])
            axes.plot(ends @ across, ends[:, 2], color="black", lw=1.0, ls=(0, (4, 2)))
        if column == 0:
            middle = vertebra.frame.origin
            label = f"{level}\nwedge {wedge_deg(image, level):+.1f}°".replace("-", "−")
            axes.text(
                float(middle @ across),
                float(middle[2]),
                label,
                ha="center",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
            )


def _draw_pads(axes: Axes, mesh: SpineMesh, plane: CutPlane, column: int) -> None:
    """The facets tied to the pads, where the section meets them."""
    from matplotlib.collections import LineCollection

    across = np.eye(3)[1 - column]
    for name in (f"{mesh.levels[0]}/superior_endplate", f"{mesh.levels[-1]}/inferior_endplate"):
        surface = mesh.surfaces.get(name)
        if surface is None:
            continue
        shown = np.isin(surface.cells, plane.section.cells) & (np.abs(surface.normals[:, 2]) > 0.3)
        corners = mesh.points[surface.facets[shown]]
        u, v = corners @ across, corners[..., 2].mean(axis=1)
        lines = np.stack([np.stack([u.min(axis=1), v], axis=1), np.stack([u.max(axis=1), v], axis=1)], axis=1)
        axes.add_collection(LineCollection(list(lines), colors=COLOURS["pad"], linewidths=3.5))


def _draw_load(axes: Axes, check: StudyCheck, column: int) -> None:
    """The load as an arrow onto its point."""
    u, top = float(check.load_point[1 - column]), float(check.load_point[2])
    low, high = axes.get_ylim()
    length = 0.09 * (high - low)
    axes.set_ylim(low, max(high, top + 2.2 * length))
    axes.annotate(
        "", xy=(u, top), xytext=(u, top + length), arrowprops={"arrowstyle": "-|>", "lw": 2.2, "color": "black"}
    )
    axes.text(u, top + 1.1 * length, "load", ha="center", va="bottom", fontsize=8)


def _draw_image_histogram(axes: Axes, check: StudyCheck) -> None:
    """CT numbers inside the labels where the input is a CT, else the density of trabecular cells per level."""
    n_cells = len(check.mesh.cells)
    if check.density_hu is not None:
        groups = {"inside the labels": np.asarray(check.density_hu, float)}
        title, label, form = "Voxels of the CT", "CT number (HU)", "mean {:.0f}"
        axes.set_ylabel("voxels")
    else:
        regions = check.mesh.regions
        names = [name for name in (f"{level}/trabecular" for level in check.mesh.levels) if name in regions]
        groups = {n.partition("/")[0]: check.tissue.density[regions[n].dense(n_cells) > 0.5] for n in names}
        title, label, form = "Trabecular cells", f"Density, {check.tissue.kind} (g/cm³)", "mean {:.3f}"
        axes.set_ylabel("cells")
    axes.set_xlabel(label)
    axes.set_title(title)
    groups = {name: values for name, values in groups.items() if len(values)}
    if not groups:
        return
    low, high = (float(edge) for edge in np.percentile(np.concatenate(list(groups.values())), [0.2, 99.8]))
    edges = np.linspace(low, max(high, low + 1e-6), 41).tolist()
    for index, (name, values) in enumerate(groups.items()):
        colour = _LEVEL_COLOURS[index % len(_LEVEL_COLOURS)]
        axes.hist(values, edges, histtype="step", lw=1.3, color=colour, label=f"{name} ({form.format(values.mean())})")
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.09 * (len(groups) + 1) * (top - bottom))  # room for the legend above the data
    axes.legend(loc="upper right")


def _draw_modulus_histogram(axes: Axes, check: StudyCheck, kinds: NDArray[np.int64]) -> None:
    """Young's modulus of every kind of cell, logarithmic."""
    young = check.elasticity.young
    positive = young[young > 0.0]
    if len(positive):
        edges = np.geomspace(positive.min() / 1.1, positive.max() * 1.1, 61).tolist()
        for index, (name, colour, _, _) in enumerate(_KINDS):
            mine = young[kinds == index]
            if len(mine):
                axes.hist(mine, edges, color=colour, edgecolor="#555555", lw=0.3, alpha=0.85, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel("Young's modulus (MPa)")
    axes.set_ylabel("cells")
    axes.set_title("Moduli")


def _legend(figure: Figure, kinds: NDArray[np.int64]) -> None:
    """What the colours and lines mean."""
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = set(np.unique(kinds))
    handles: list[Artist] = [
        Patch(facecolor=colour, edgecolor="#777777", lw=0.4, label=name)
        for index, (name, colour, _, _) in enumerate(_KINDS)
        if index in present
    ]
    handles += [
        Line2D([], [], color=COLOURS["pad"], lw=3.5, label="pad"),
        Line2D([], [], color="black", lw=1.0, ls=(0, (4, 2)), label="fitted endplate"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
