"""The picture of a mesh recipe: sections coloured by region, dimensions written in, and the quality of the cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import PlacedVertebra
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.report.recipe_text import curvature_text
from fesolver.report.section_figures import CutPlane, frame_panel, paint
from fesolver.report.sections import cut_cells, outline
from fesolver.report.style import COLOURS, REGIONS, figure_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fesolver.study.mesh_recipe import RecipeMesh

__all__ = ["recipe_figure", "region_kinds", "write_recipe_picture"]

_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("shell", REGIONS["shell"], ("cortical",)),
    ("endplate", REGIONS["endplate"], ("superior_endplate", "inferior_endplate")),
    ("nucleus", REGIONS["nucleus"], ("nucleus",)),
    ("annulus", REGIONS["annulus"], ("annulus",)),
    ("trabecular bone", REGIONS["trabecular"], ("trabecular",)),
)
"""Name in the legend, colour, and the kinds of regions it stands for."""

_LINE = "#555555"
_DASHES = (0, (4, 2))
_BOX = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}
_MARGIN_MM = 3.0
_HEIGHT_TEXT_IN, _DISC_TEXT_IN = 0.42, 0.85
"""Room for a height beside a wall, and for the lines of a disc, inches."""


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What every panel is drawn from."""

    made: RecipeMesh
    kinds: NDArray[np.int64]
    owners: NDArray[np.int64]

    @property
    def mesh(self) -> SpineMesh:
        """The mesh."""
        return self.made.structured.mesh

    def local(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """A point of the column's parent frame in the mesh's."""
        return np.asarray(self.mesh.frame.to_local(point))


@dataclass(frozen=True, eq=False)
class _LongPlane(CutPlane):
    """A sagittal or coronal section and where it stands on x or y, mm."""

    offset: float


def write_recipe_picture(made: RecipeMesh, path: Path | str) -> Path:
    """Draw sagittal, coronal and cross sections of a mesh with its dimensions, and its scaled Jacobians.

    Parameters
    ----------
    made : RecipeMesh
        From `fesolver.study.mesh_recipe.make_recipe_mesh`.
    path : path
        Where the picture goes; its ending names the format (`.png`, `.pdf`, `.svg`).

    Returns
    -------
    Path
        The picture.
    """
    path = Path(path)
    with figure_style():
        figure = recipe_figure(made)
        figure.savefig(path)
    return path


def region_kinds(mesh: SpineMesh) -> NDArray[np.int64]:
    """Position in the legend of every cell, (n_cells,)."""
    out = np.full(len(mesh.cells), len(_KINDS) - 1)
    for name, region in mesh.regions.items():
        for index, (_, _, kinds) in enumerate(_KINDS):
            if name.partition("/")[2] in kinds:
                out[region.cells] = index
    return out


def recipe_figure(made: RecipeMesh) -> Figure:
    """Two long sections at one scale, one or two cross sections, one histogram."""
    mesh = made.structured.mesh
    owners = np.zeros(len(mesh.cells), np.int64)
    parts = [*mesh.levels, *(disc.name for disc in made.structured.column.discs)]
    for index, part in enumerate(parts):
        owners[mesh.level_cells(part)] = index
    drawn = _Drawn(made, region_kinds(mesh), owners)
    planes, crosses = [_long_plane(drawn, 0), _long_plane(drawn, 1)], _cross_planes(drawn)
    (low_y, low_z), (high_y, high_z) = planes[0].section.limits
    (low_x, _), (high_x, _) = planes[1].section.limits
    tall = float(high_z - low_z) + 2.0 * _MARGIN_MM
    inch_per_mm = min(0.075, 6.3 / tall)
    right = _MARGIN_MM + 2.0 + _HEIGHT_TEXT_IN / inch_per_mm
    left = right if len(mesh.levels) == 1 else 2.5 * _MARGIN_MM + _DISC_TEXT_IN / inch_per_mm
    limits = ((low_y - left, high_y + right), (low_x - _MARGIN_MM, high_x + _MARGIN_MM))
    widths = [high - low for low, high in limits]
    width, height = 1.5 + inch_per_mm * sum(widths) + 4.4, max(2.4 * len(crosses) + 2.6, 1.3 + inch_per_mm * tall)
    figure = new_figure(float(width), float(height))
    grid = figure.add_gridspec(len(crosses) + 1, 3, width_ratios=(*widths, 4.4 / inch_per_mm))
    for column, (plane, draw) in enumerate(zip(planes, (_sagittal, _coronal), strict=True)):
        axes = figure.add_subplot(grid[:, column])
        _parts(axes, plane, drawn)
        frame_panel(axes, plane, with_scale=column == 0)
        axes.set(xlim=limits[column], ylim=(low_z - _MARGIN_MM, high_z + _MARGIN_MM))
        draw(axes, plane, drawn)
    for row, (title, cross) in enumerate(crosses):
        axes = figure.add_subplot(grid[row, 2])
        _parts(axes, cross, drawn)
        frame_panel(axes, cross)
        axes.set_ylabel("anterior, mm", fontsize=7)
        axes.set_title(title)
    _histogram(figure.add_subplot(grid[len(crosses), 2]), drawn)
    _legend(figure, drawn)
    cells, unknowns = (f"{n:,}".replace(",", " ") for n in (len(mesh.cells), made.n_unknowns))
    figure.suptitle(
        f"{made.table.name}: {cells} {mesh.element} cells, {unknowns} unknowns{curvature_text(made)}", fontsize=10.5
    )
    return figure


def _parts(axes: Axes, plane: CutPlane, drawn: _Drawn) -> None:
    """Cells coloured by region, bodies and discs outlined."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap([colour for _, colour, _ in _KINDS])
    cells = plane.section.cells
    norm = Normalize(-0.5, len(_KINDS) - 0.5)
    paint(axes, plane.section, drawn.kinds[cells].astype(float), norm=norm, cmap=colours, edges=True)
    for owner in np.unique(drawn.owners[cells]):
        lines = outline(plane.section, drawn.owners[cells] == owner)
        axes.add_collection(LineCollection(list(lines), colors=COLOURS["outline"], linewidths=0.7))


def _sagittal(axes: Axes, plane: _LongPlane, drawn: _Drawn) -> None:
    """Heights of both walls, wedges of bodies and discs."""
    column = drawn.made.structured.column
    for vertebra in column.vertebrae:
        d = vertebra.dimensions
        _rims(axes, drawn, vertebra, plane, 0)
        for wall, height in ((-0.5, d.anterior_height_mm), (0.5, d.posterior_height_mm)):
            ends = np.array([_rim_point(drawn, vertebra, side, wall)[1:] for side in ("inferior", "superior")])
            along = ends[1] - ends[0]
            outward = 2.0 * wall * np.array([along[1], -along[0]]) / np.hypot(*along)
            _measure(axes, ends + _MARGIN_MM * outward)
            u, v = ends.mean(axis=0) + (_MARGIN_MM + 1.0) * outward
            axes.text(u, v, f"{height:.1f}", ha="right" if wall < 0 else "left", va="center", fontsize=7.5, color=_LINE)
        middle = drawn.local(vertebra.frame.origin)
        label = f"{vertebra.level}\n{_angle_text(d.wedge_deg)}"
        axes.text(middle[1], middle[2], label, ha="center", va="center", fontsize=8, bbox=_BOX)
    left = float(plane.section.limits[0, 0]) - 2.2 * _MARGIN_MM
    for disc in column.discs:
        corners = plane.section.corners[np.isin(plane.section.cells, drawn.mesh.level_cells(disc.name))]
        u, v = corners.reshape(-1, 2)[np.argmin(corners[..., 0])]
        v = float(corners[..., 1][corners[..., 0] < u + 1.0].mean())
        axes.plot((left + 0.5, u - 0.5), (v, v), color=_LINE, lw=0.5)
        text = f"{disc.name}\n{disc.height_mm:.1f} mm\n{_angle_text(-disc.wedge_deg)}"
        axes.text(left, v, text, ha="right", va="center", fontsize=7, color=_LINE, linespacing=0.95)
    axes.set_title(f"{plane.name}, {_minus(plane.place)}\nheights in mm")


def _coronal(axes: Axes, plane: _LongPlane, drawn: _Drawn) -> None:
    """Largest widths of both endplates."""
    for vertebra in drawn.made.structured.column.vertebrae:
        d = vertebra.dimensions
        low, high = _rims(axes, drawn, vertebra, plane, 1)
        middle, third = 0.5 * (low + high), 0.27 * (high - low)
        x = float(drawn.local(vertebra.frame.origin)[0])
        for shift, width in ((third, d.superior_width_mm), (-third, d.inferior_width_mm)):
            half = 0.5 * width
            _measure(axes, np.array([[x - half, middle + shift], [x + half, middle + shift]]))
            axes.text(x, middle + shift, f"{width:.1f}", ha="center", va="center", fontsize=7, bbox=_BOX)
        axes.text(x, middle, vertebra.level, ha="center", va="center", fontsize=8, bbox=_BOX)
    axes.set_title(f"{plane.name}, {_minus(plane.place)}\nlargest widths in mm")


def _minus(text: str) -> str:
    """A true minus sign before digits."""
    return text.replace("= -", "= −")


def _angle_text(wedge_deg: float) -> str:
    """A wedge in words: positive is kyphotic, lower in front."""
    if abs(wedge_deg) < 0.05:
        return "parallel"
    return f"{abs(wedge_deg):.1f}° {'kyphotic' if wedge_deg > 0.0 else 'lordotic'}"


def _long_plane(drawn: _Drawn, normal: int) -> _LongPlane:
    """The section across x (sagittal) or y (coronal) through the centroid."""
    mesh, volume = drawn.mesh, drawn.made.quality.volume
    centre = np.average(mesh.points[mesh.cells].mean(axis=1), axis=0, weights=volume)
    axis, across, up = np.eye(3)[normal], np.eye(3)[1 - normal], np.eye(3)[2]
    section = cut_cells(mesh.points, mesh.cells, origin=centre * axis, normal=axis, axes=np.stack([across, up]))
    place = f"{'xy'[normal]} = {round(float(centre[normal]), 1) + 0.0:.1f} mm"
    sides = ("anterior", "posterior") if normal == 0 else ("right", "left")
    return _LongPlane(("mid-sagittal", "coronal")[normal], section, place, sides, float(centre[normal]))


def _cross_planes(drawn: _Drawn) -> list[tuple[str, CutPlane]]:
    """Sections across the middle body and a disc beside it, in their own frames, seen from above, anterior up."""
    mesh = drawn.mesh
    level = mesh.levels[len(mesh.levels) // 2]
    discs = [disc.name for disc in drawn.made.structured.column.discs if level in (disc.upper, disc.lower)]
    planes = []
    for name in (level, *discs[-1:]):
        own, points = mesh.level_cells(name), mesh.frames[name].to_local(mesh.points)
        x, y, z = np.eye(3)
        section = cut_cells(points, mesh.cells[own], origin=np.zeros(3), normal=z, axes=np.stack([x, -y]))
        plane = CutPlane("cross section", replace(section, cells=own[section.cells]), "", ("right", "left"))
        (left, front), (right, back) = section.limits
        planes.append((f"{name} at mid-height, {right - left:.1f} × {back - front:.1f} mm", plane))
    return planes


def _rim_point(drawn: _Drawn, vertebra: PlacedVertebra, side: str, depth: float) -> NDArray[np.float64]:
    """Point of the rim plane in the mid-sagittal plane, `depth` endplate depths behind the axis, mesh frame."""
    d = vertebra.dimensions
    y = depth * getattr(d, f"{side}_depth_mm")
    sign = 1.0 if side == "superior" else -1.0
    return drawn.local(vertebra.frame.to_parent(np.array([0.0, y, sign * (0.5 * d.mid_height_mm + d.rim_slope * y)])))


def _rims(axes: Axes, drawn: _Drawn, vertebra: PlacedVertebra, plane: _LongPlane, normal: int) -> tuple[float, float]:
    """Where the section meets both rim planes, as dashed lines; their heights over the axis, mm."""
    d = vertebra.dimensions
    heights = []
    for side, sign in (("inferior", -1.0), ("superior", 1.0)):
        centre = drawn.local(getattr(vertebra, f"{side}_rim_centre"))
        n = sign * drawn.mesh.frame.vectors_to_local(getattr(vertebra, f"{side}_normal"))
        offset = plane.offset - centre[normal]
        half = 0.56 * getattr(d, f"{side}_{'depth' if normal == 0 else 'width'}_mm") * n[2]
        u = centre[1 - normal] + np.array([-half, 0.0, half])
        z = centre[2] - (n[normal] * offset + n[1 - normal] * (u - centre[1 - normal])) / n[2]
        axes.plot(u, z, color="black", lw=0.9, ls=_DASHES)
        heights.append(float(z[1]))
    return heights[0], heights[1]


def _measure(axes: Axes, ends: NDArray[np.float64]) -> None:
    """An arrow between two points (2, 2)."""
    arrow = {"arrowstyle": "<->", "lw": 0.7, "color": _LINE, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=tuple(ends[0]), xytext=tuple(ends[1]), arrowprops=arrow)


def _histogram(axes: Axes, drawn: _Drawn) -> None:
    """Scaled Jacobians of every kind of region, in percent of its cells."""
    values = drawn.made.quality.scaled_jacobian
    low = min(0.5, float(np.floor(10.0 * values.min()) / 10.0))
    edges = np.linspace(low, 1.0, 41).tolist()
    for index, (name, colour, _) in enumerate(_KINDS):
        mine = values[drawn.kinds == index]
        if len(mine):
            share = np.full(len(mine), 100.0 / len(mine))
            dark = "#C9A35A" if name == "trabecular bone" else colour  # its fill is too pale for a line
            axes.hist(
                mine, edges, weights=share, histtype="step", lw=1.3, color=dark, label=f"{mine.min():.2f}  {name}"
            )
    axes.set_xlabel("Scaled Jacobian (1 is a cube)")
    axes.set_ylabel("cells of the kind (%)")
    axes.set_title("Quality of the cells")
    axes.legend(loc="upper left", title="least", title_fontsize=8, alignment="left")


def _legend(figure: Figure, drawn: _Drawn) -> None:
    """What the colours and lines mean."""
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = set(np.unique(drawn.kinds))
    handles: list[Artist] = [
        Patch(facecolor=colour, edgecolor="#777777", lw=0.4, label=name)
        for index, (name, colour, _) in enumerate(_KINDS)
        if index in present
    ]
    handles.append(Line2D([], [], color="black", lw=0.9, ls=_DASHES, label="plane of the endplate's rim"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
