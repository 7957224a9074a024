"""Mid-sagittal and coronal sections of one case: stresses intact, treated and changed; moduli and cement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.report.results import CaseFields
from fesolver.report.sections import Section, cell_kind, cut_cells, outline
from fesolver.report.style import COLOURS, DIVERGING, MIN_CHANGE_PERCENT, SEQUENTIAL, new_figure, robust_limit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

__all__ = ["CutPlane", "SectionQuantity", "case_planes", "draw_outlines", "frame_panel", "paint", "section_figures"]


@dataclass(frozen=True)
class SectionQuantity:
    """A cell field that is drawn in sections.

    Parameters
    ----------
    array : str
        Start of the array's name; `_intact` or `_treated` follows.
    label : str
        Words and unit for the colour bar.
    kind : {"compressive", "magnitude", "modulus"}
        How its colours run: from 0 to the most negative; from 0 up; logarithmic.
    """

    array: str
    label: str
    kind: str


SECTION_QUANTITIES = (
    SectionQuantity("min_principal_stress", "Minimum principal stress (MPa)", "compressive"),
    SectionQuantity("von_mises", "Von Mises stress (MPa)", "magnitude"),
    SectionQuantity("young", "Young's modulus (MPa), logarithmic", "modulus"),
)


@dataclass(frozen=True, eq=False)
class CutPlane:
    """A section of the mesh and how it is read.

    Parameters
    ----------
    name : str
        `mid-sagittal` or `coronal`.
    section : Section
        Its polygons.
    place : str
        Where the plane lies, in words.
    sides : tuple of str
        What lies at the left and right of the figure.
    """

    name: str
    section: Section
    place: str
    sides: tuple[str, str]


def case_planes(
    points: NDArray[np.float64], cells: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[CutPlane, CutPlane]:
    """Sagittal and coronal planes through the centroid of a part.

    Parameters
    ----------
    points, cells : ndarray
        Mesh, segment frame, mm.
    weights : (n_cells,) ndarray
        Fraction of each cell that the part fills; all zero takes the whole mesh.
    """
    weights = weights if weights.any() else np.ones(len(cells))
    # Cells grow towards the core of a graded mesh: each counts by its size, here that of the box around it.
    corners = points[cells[:, : cell_kind(cells).n_corners]]
    weights = weights * np.prod(np.ptp(corners, axis=1), axis=1)
    centre = np.average(corners.mean(axis=1), axis=0, weights=weights)
    x, y, z = np.eye(3)
    sagittal = cut_cells(points, cells, origin=centre * x, normal=x, axes=np.stack([y, z]))
    coronal = cut_cells(points, cells, origin=centre * y, normal=y, axes=np.stack([x, z]))
    return (
        CutPlane("mid-sagittal", sagittal, f"x = {round(centre[0], 1) + 0.0:.1f} mm", ("anterior", "posterior")),
        CutPlane("coronal", coronal, f"y = {round(centre[1], 1) + 0.0:.1f} mm", ("right", "left")),
    )


def section_figures(fields: CaseFields, level: str) -> Iterator[tuple[str, str, Figure, pd.DataFrame]]:
    """Draw one figure per quantity that the case has.

    Parameters
    ----------
    fields : CaseFields
        Fields of the case.
    level : str
        The planes go through the centroid of this vertebral body.

    Yields
    ------
    name, caption : str
    figure : matplotlib Figure
    data : DataFrame
        One row per polygon: plane, cell, part, centroid and area, values of each state.
    """
    planes = case_planes(fields.points, fields.cells, fields.fraction(level) - fields.fraction(level, "posterior"))
    for quantity in SECTION_QUANTITIES:
        states = [state for state in ("intact", "treated") if f"{quantity.array}_{state}" in fields.cell_data]
        if states:
            figure = _draw(fields, planes, quantity, states)
            yield (
                f"section_{quantity.array}",
                _caption(quantity, states, level),
                figure,
                _data(fields, planes, quantity, states),
            )


def paint(
    axes: Axes,
    section: Section,
    values: NDArray[np.float64],
    *,
    norm: Normalize,
    cmap: str | Colormap,
    edges: bool = False,
) -> ScalarMappable:
    """Fill the polygons of a section by value; `values` has one entry per polygon."""
    from matplotlib.collections import PolyCollection

    painted = PolyCollection(
        list(section.corners),
        array=values,
        norm=norm,
        cmap=cmap,
        # A hairline of the face's own colour closes the white seams that viewers draw between polygons.
        edgecolors="white" if edges else "face",
        linewidths=0.2,
        rasterized=True,
    )
    axes.add_collection(painted)
    return painted


def draw_outlines(axes: Axes, section: Section, fraction: dict[str, NDArray[np.float64]]) -> None:
    """Outlines of parts, nucleus and cement.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    section : Section
        The polygons.
    fraction : dict of str to (n_cells,) ndarray
        Region name to the fraction of each cell of the mesh; a region is outlined where it fills most of the cell.
    """
    from matplotlib.collections import LineCollection

    owners: dict[str, NDArray[np.float64]] = {}
    for name, values in fraction.items():
        owner = name.partition("/")[0]
        owners[owner] = owners.get(owner, 0.0) + values[section.cells]
    kinds = {
        kind: sum(
            (v[section.cells] for n, v in fraction.items() if n.endswith(f"/{kind}")), np.zeros(len(section.cells))
        )
        for kind in ("nucleus", "cement")
    }
    lines: list[tuple[Any, str, float, Any]] = [
        (values >= 0.5, COLOURS["outline"], 0.7, "-") for values in owners.values()
    ]
    lines += [(kinds["nucleus"] >= 0.5, COLOURS["nucleus"], 0.9, (0, (3, 1.5)))]
    lines += [(kinds["cement"] >= 0.5, COLOURS["cement"], 1.4, "-")]
    for is_inside, colour, width, dashes in lines:
        if is_inside.any():
            axes.add_collection(
                LineCollection(list(outline(section, is_inside)), colors=colour, linewidths=width, linestyles=dashes)
            )


def frame_panel(axes: Axes, plane: CutPlane, *, with_scale: bool = True) -> None:
    """Equal axes in mm around a section, its sides named, its border left out."""
    (low_u, low_v), (high_u, high_v) = plane.section.limits
    axes.set(xlim=(low_u - 2.0, high_u + 2.0), ylim=(low_v - 2.0, high_v + 2.0), aspect="equal")
    axes.set_xlabel(f"{plane.sides[0]}  ←   mm   →  {plane.sides[1]}", fontsize=7)
    axes.tick_params(labelsize=7, labelleft=with_scale)
    if with_scale:
        axes.set_ylabel("superior, mm", fontsize=7)


@dataclass(frozen=True, eq=False)
class _Sheet:
    """A page of panels at one scale, placed in inches: every panel of every state shows a millimetre alike."""

    figure: Figure
    inch_per_mm: float

    LEFT, RIGHT, TOP, BOTTOM, GAP = 0.5, 0.12, 0.62, 1.3, 0.22

    @classmethod
    def of(cls, size_mm: NDArray[np.float64], *, columns: int, rows: int) -> _Sheet:
        """Room for rows of panels whose widths add up to `size_mm[0]` and whose heights are `size_mm[1]`."""
        inch_per_mm = min(0.042, 10.5 / float(size_mm[0]))
        width = size_mm[0] * inch_per_mm + cls.LEFT + cls.RIGHT + cls.GAP * (columns - 1)
        height = rows * (size_mm[1] * inch_per_mm + cls.TOP) + (rows - 1) * 0.4 + cls.BOTTOM
        figure = new_figure(float(width), float(height), layout=None)
        return cls(figure, inch_per_mm)

    def box(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Axes by lower left corner and size in inches."""
        across, up = self.figure.get_size_inches()
        return self.figure.add_axes((left / across, bottom / up, width / across, height / up))


def _draw(fields: CaseFields, planes: Sequence[CutPlane], quantity: SectionQuantity, states: list[str]) -> Figure:
    """Panels of both planes: every state, then the change where there are two; a colour bar under each group."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    groups = {"state": states}
    if len(states) == 2 and quantity.kind != "modulus":
        groups["change"] = ["change"]
    limits = np.stack([plane.section.limits for plane in planes])
    z_limits = (float(limits[:, 0, 1].min()) - 2.0, float(limits[:, 1, 1].max()) + 2.0)
    widths = limits[:, 1, 0] - limits[:, 0, 0] + 4.0
    height = z_limits[1] - z_limits[0]
    # A tall segment or a single state: all panels in one row. Else one row per plane.
    across = sum(map(len, groups.values()))
    is_tall = bool(height > 1.2 * widths.max()) or across == 1
    rows = [[0, 1]] if is_tall else [[0], [1]]
    columns = across * len(rows[0])
    total = across * (widths.sum() if is_tall else widths.max())
    sheet = _Sheet.of(np.array([total, height]), columns=columns, rows=len(rows))
    norms = _norms(fields, planes, quantity, states)
    left = sheet.LEFT
    for what, shown in groups.items():
        start = left
        for row, of_row in enumerate(rows):
            left = start
            bottom = sheet.BOTTOM + (len(rows) - 1 - row) * (height * sheet.inch_per_mm + sheet.TOP + 0.4)
            for plane, width in ((planes[at], widths[at]) for at in of_row):
                for state in shown:
                    axes = sheet.box(left, bottom, width * sheet.inch_per_mm, height * sheet.inch_per_mm)
                    values = _values(fields, quantity, state)[plane.section.cells]
                    painted = paint(
                        axes, plane.section, values, norm=norms[what], cmap=_cmap(quantity, what == "change")
                    )
                    draw_outlines(axes, plane.section, dict(fields.regions))
                    frame_panel(axes, plane, with_scale=left == sheet.LEFT)
                    axes.set_ylim(z_limits)
                    place = plane.place.replace("-", "−")
                    axes.set_title(f"{state}\n{plane.name}\n{place}", fontsize=8)
                    # In rows of one plane each, panels stand under each other whatever their widths.
                    taken = width if is_tall else float(widths.max())
                    left += taken * sheet.inch_per_mm + sheet.GAP
        label = quantity.label if what == "state" else f"Change of {quantity.label[0].lower()}{quantity.label[1:]}"
        length = left - sheet.GAP - start
        bar = sheet.box(start + 0.08 * length, 0.72, 0.84 * length, 0.11)
        extend = _extend(fields, planes, quantity, shown, norms[what])
        scale = sheet.figure.colorbar(painted, cax=bar, orientation="horizontal", label=label, extend=extend)
        if not isinstance(norms[what], LogNorm):
            # A label such as -0.015 takes more than half an inch: fewer ticks on a short bar.
            scale.locator = MaxNLocator(nbins=max(2, int(0.84 * length / 0.7)), steps=[1, 2, 5, 10])
            scale.update_ticks()
    _legend(sheet.figure, fields)
    return sheet.figure


def _values(fields: CaseFields, quantity: SectionQuantity, state: str) -> NDArray[np.float64]:
    """Cell values of a state, or of the change."""
    if state == "change":
        return fields.cell_data[f"{quantity.array}_treated"] - fields.cell_data[f"{quantity.array}_intact"]
    return fields.cell_data[f"{quantity.array}_{state}"]


def _norms(
    fields: CaseFields, planes: Sequence[CutPlane], quantity: SectionQuantity, states: list[str]
) -> dict[str, Normalize]:
    """One colour scale for all states, and one for the change, over both planes."""
    from matplotlib.colors import LogNorm, Normalize

    cells = np.concatenate([plane.section.cells for plane in planes])
    areas = np.concatenate([plane.section.areas for plane in planes])
    values = np.concatenate([_values(fields, quantity, state)[cells] for state in states])
    limit = robust_limit(values, np.tile(areas, len(states))) or 1.0
    if quantity.kind == "modulus":
        positive = values[values > 0.0]
        top = float(positive.max(initial=1.0))
        return {"state": LogNorm(max(float(positive.min(initial=top)), top * 1e-5), top * 1.0001)}
    norms: dict[str, Any] = {
        "state": Normalize(-limit, 0.0) if quantity.kind == "compressive" else Normalize(0.0, limit)
    }
    if len(states) == 2:
        # In the augmented body the material itself changed: its jump must not hide the change at the neighbours.
        is_other = ~_is_augmented(fields)[cells]
        change = _values(fields, quantity, "change")[cells]
        shown = is_other if is_other.any() else fields.fraction(kind="cement")[cells] < 1e-9
        half = max(robust_limit(change[shown], areas[shown]), limit * MIN_CHANGE_PERCENT / 100.0)
        norms["change"] = Normalize(-half, half)
    return norms


def _is_augmented(fields: CaseFields) -> NDArray[np.bool_]:
    """Cells of the bodies that hold cement, (n_cells,)."""
    bodies = [
        name.partition("/")[0] for name, values in fields.regions.items() if name.endswith("/cement") and values.any()
    ]
    return np.asarray(sum((fields.fraction(body) for body in bodies), np.zeros(len(fields.cells))) > 0.0)


def _extend(
    fields: CaseFields, planes: Sequence[CutPlane], quantity: SectionQuantity, shown: list[str], norm: Normalize
) -> Any:
    """Which ends of a colour bar stand for more than they say."""
    cells = np.concatenate([plane.section.cells for plane in planes])
    values = np.concatenate([_values(fields, quantity, state)[cells] for state in shown])
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    below, above = bool(values.min() < low), bool(values.max() > high)
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _cmap(quantity: SectionQuantity, is_change: bool) -> str:
    """Dark is much load, bright is stiff."""
    if is_change:
        return DIVERGING
    return f"{SEQUENTIAL}_r" if quantity.kind == "magnitude" else SEQUENTIAL


def _legend(figure: Figure, fields: CaseFields) -> None:
    """What the outlines mean."""
    from matplotlib.lines import Line2D

    name = "vertebra, disc" if len(fields.parts) > 1 else "vertebra"
    handles = [Line2D([], [], color=COLOURS["outline"], lw=0.9, label=name)]
    if fields.fraction(kind="nucleus").any():
        handles.append(Line2D([], [], color=COLOURS["nucleus"], lw=1.1, ls=(0, (3, 1.5)), label="nucleus"))
    if fields.fraction(kind="cement").any():
        handles.append(Line2D([], [], color=COLOURS["cement"], lw=1.6, label="cement (half of the cell and more)"))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles))


def _caption(quantity: SectionQuantity, states: list[str], level: str) -> str:
    """What the figure shows and how its colours were set."""
    text = f"{quantity.label} on the mid-sagittal and the coronal plane through the centroid of {level}. "
    if quantity.kind == "modulus":
        return text + "In anisotropic cells (annulus fibres) a representative modulus."
    text += "Cell means; negative is compression. " if quantity.kind == "compressive" else "Cell means. "
    text += "The colour scale covers 98 % of the area; arrows at its ends stand for the rest. "
    if len(states) == 2:
        text += (
            f"Change is treated minus intact, its scale set outside the augmented body and never narrower than "
            f"{MIN_CHANGE_PERCENT:g} % of the scale of the stress."
        )
    return text


def _data(fields: CaseFields, planes: Sequence[CutPlane], quantity: SectionQuantity, states: list[str]) -> pd.DataFrame:
    """The figure's numbers: one row per polygon."""
    import pandas as pd

    parts = fields.parts
    owner = np.argmax(np.stack([fields.fraction(part) for part in parts]), axis=0) if parts else np.zeros(0, int)
    unit = "mpa"
    tables = []
    for plane in planes:
        section = plane.section
        table = pd.DataFrame({"plane": plane.name, "cell": section.cells})
        table["part"] = [parts[index] for index in owner[section.cells]] if parts else ""
        table[["u_mm", "v_mm"]] = section.centroids
        table["area_mm2"] = section.areas
        for state in states:
            table[f"{quantity.array}_{state}_{unit}"] = _values(fields, quantity, state)[section.cells]
        if len(states) == 2:
            table[f"{quantity.array}_change_{unit}"] = _values(fields, quantity, "change")[section.cells]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
