"""The picture of a checked study: what will be solved, before it is solved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.elements import ELEMENTS, FACET_OF_SIZE, FACETS
from fesolver.imaging.volume import SegmentImage
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.surface import FacetSurface
from fesolver.report.check_histograms import CELL_KINDS, cell_kinds, draw_density, draw_moduli
from fesolver.report.check_text import mesh_wedge_deg, segment_tilt_deg, wedge_deg
from fesolver.report.section_figures import CutPlane, case_planes, draw_outlines, frame_panel, paint
from fesolver.report.sections import cut_cells
from fesolver.report.style import COLOURS, figure_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fesolver.study.check import StudyCheck

__all__ = ["write_check_picture"]


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


def _draw(check: StudyCheck) -> Figure:
    """Two long sections, two cross sections, two histograms."""
    mesh, image = check.mesh, check.image
    endplates = _endplate_planes(mesh, image)
    level = _shown_level(mesh)
    fraction = {name: region.dense(len(mesh.cells)) for name, region in mesh.regions.items()}
    body = sum(
        (f for name, f in fraction.items() if name.startswith(f"{level}/") and "posterior" not in name), np.zeros(1)
    )
    long_planes = case_planes(mesh.points, mesh.cells, body)
    figure = new_figure(13.5, 7.2)
    # The two long sections show a millimetre alike, however far posterior elements reach.
    widths = [float(np.ptp(plane.section.limits[:, 0])) + 4.0 for plane in long_planes]
    grid = figure.add_gridspec(2, 4, width_ratios=(*(2.0 * w / sum(widths) for w in widths), 1.0, 1.45))
    kinds = cell_kinds(mesh)
    for column, plane in enumerate(long_planes):
        axes = figure.add_subplot(grid[:, column])
        _draw_parts(axes, plane, kinds, fraction)
        frame_panel(axes, plane, with_scale=column == 0)
        _draw_endplates(axes, endplates, column, _treated(mesh))
        _draw_pads(axes, mesh, plane)
        _draw_fluids(axes, mesh, column)
        _draw_load(axes, check, column)
        axes.set_title(f"{plane.name}, {plane.place.replace('-', '−')}")
    for row, (title, plane) in enumerate(_cross_planes(mesh, level)):
        axes = figure.add_subplot(grid[row, 2])
        _draw_parts(axes, plane, kinds, fraction)
        frame_panel(axes, plane)
        axes.set_ylabel("anterior, mm", fontsize=7)
        axes.set_title(title)
    draw_density(figure.add_subplot(grid[0, 3]), check)
    draw_moduli(figure.add_subplot(grid[1, 3]), check, kinds)
    is_shared = image is not None or ELEMENTS[mesh.element].shape == "tetrahedron"
    _legend(figure, kinds, is_image=image is not None, is_shared=is_shared)
    how = check.mesh_text if image is None else f"segment {segment_tilt_deg(image):.1f}° off the scanner's axis"
    figure.suptitle(
        f"{', '.join(mesh.levels)}: {check.n_cells} cells, {check.n_dof} unknowns, {how}",
        fontsize=11,
    )
    return figure


@dataclass(frozen=True)
class _Endplates:
    """Mean planes of the endplates of a body: (centroid, unit normal, area in mm2) each, and the wedge between them."""

    level: str
    middle: NDArray[np.float64]
    wedge_deg: float
    planes: tuple[tuple[NDArray[np.float64], NDArray[np.float64], float], ...]


def _endplate_planes(mesh: SpineMesh, image: SegmentImage | None) -> list[_Endplates]:
    """Planes fitted in the image, or those of the mesh's own surfaces."""
    out = []
    for level in mesh.levels:
        if image is not None:
            v = image.vertebrae[level]
            upper = (v.superior_centroid, v.superior_normal, v.superior_area_mm2)
            lower = (v.inferior_centroid, v.inferior_normal, v.inferior_area_mm2)
            out.append(_Endplates(level, v.frame.origin, wedge_deg(image, level), (upper, lower)))
            continue
        found = [FacetSurface.of(mesh, f"{level}/{side}_endplate") for side in ("superior", "inferior")]
        planes = tuple((surface.centroid, surface.normal, surface.area) for surface in found)
        out.append(_Endplates(level, mesh.frames[level].origin, mesh_wedge_deg(mesh, level), planes))
    return out


def _shown_level(mesh: SpineMesh) -> str:
    """The augmented level, else the middle one."""
    treated = _treated(mesh)
    return treated[0] if treated else mesh.levels[len(mesh.levels) // 2]


def _treated(mesh: SpineMesh) -> list[str]:
    """Levels that hold cement."""
    return [name.partition("/")[0] for name in mesh.regions if name.endswith("/cement")]


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

    colours = ListedColormap([colour for _, colour, _, _ in CELL_KINDS])
    values = kinds[plane.section.cells].astype(float)
    paint(axes, plane.section, values, norm=Normalize(-0.5, len(CELL_KINDS) - 0.5), cmap=colours, edges=True)
    draw_outlines(axes, plane.section, fraction)


def _draw_endplates(axes: Axes, endplates: list[_Endplates], column: int, treated: list[str]) -> None:
    """The planes of the endplates as dashed lines, and the wedge of each body, beside its cement."""
    across = np.eye(3)[1 - column]
    along = np.eye(3)[column]
    for body in endplates:
        for centroid, normal, area in body.planes:
            direction = np.cross(along, normal)
            direction = direction / np.linalg.norm(direction) * 0.62 * np.sqrt(area)
            ends = np.stack([centroid - direction, centroid + direction])
            axes.plot(ends @ across, ends[:, 2], color="black", lw=1.0, ls=(0, (4, 2)))
        if column == 0:
            axes.text(
                float(body.middle @ across) + (0.12 * np.sqrt(body.planes[0][2]) if body.level in treated else 0.0),
                float(body.middle[2]),
                f"{body.level}\nwedge {body.wedge_deg:+.1f}°".replace("-", "−"),
                ha="center",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
            )


def _draw_pads(axes: Axes, mesh: SpineMesh, plane: CutPlane) -> None:
    """The facets tied to the pads, where the section meets them: sides of its polygons between edges of facets."""
    from matplotlib.collections import LineCollection

    section = plane.section
    start, stop = section.corner_keys, np.roll(section.corner_keys, -1, axis=1)
    ends = np.stack([section.corners, np.roll(section.corners, -1, axis=1)], axis=2)
    for name in (f"{mesh.levels[0]}/superior_endplate", f"{mesh.levels[-1]}/inferior_endplate"):
        surface = mesh.surfaces.get(name)
        if surface is None:
            continue
        n_corners = FACETS[FACET_OF_SIZE[surface.facets.shape[1]]].n_corners
        corners = surface.facets[np.abs(surface.normals[:, 2]) > 0.3, :n_corners]
        edges = np.sort(np.stack([corners, np.roll(corners, -1, axis=1)], axis=-1), axis=-1)
        keys = edges[..., 0] * len(mesh.points) + edges[..., 1]
        is_tied = np.isin(start, keys) & np.isin(stop, keys) & (start != stop)
        axes.add_collection(LineCollection(list(ends[is_tied]), colors=COLOURS["pad"], linewidths=3.5))


def _draw_fluids(axes: Axes, mesh: SpineMesh, plane_axis: int) -> None:
    """The word fluid in every disc whose nucleus has no cells."""
    for name, frame in mesh.frames.items():
        if "-" in name and f"{name}/annulus" in mesh.regions and f"{name}/nucleus" not in mesh.regions:
            at = frame.origin
            axes.text(
                float(at[1 - plane_axis]), float(at[2]), "fluid", ha="center", va="center", fontsize=7, style="italic"
            )


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


def _legend(figure: Figure, kinds: NDArray[np.int64], *, is_image: bool, is_shared: bool) -> None:
    """What the colours and lines mean; `is_shared` where layers fill cells in part."""
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = set(np.unique(kinds))
    handles: list[Artist] = [
        Patch(
            facecolor=colour,
            edgecolor="#777777",
            lw=0.4,
            label=name if is_shared else name.removesuffix(" in the cell"),
        )
        for index, (name, colour, _, _) in enumerate(CELL_KINDS)
        if index in present
    ]
    handles += [
        Line2D([], [], color=COLOURS["pad"], lw=3.5, label="pad"),
        Line2D(
            [],
            [],
            color="black",
            lw=1.0,
            ls=(0, (4, 2)),
            label="fitted endplate" if is_image else "mean plane of an endplate",
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
