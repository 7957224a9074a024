import dataclasses

import numpy as np
import pytest
from analytic_bodies import HEIGHT, A, B, Column, angle_deg, body_volume, rotation, uniform_density
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.imaging.grid_averages import mean_over_cells
from fesolver.imaging.resample import build_segment_image
from fesolver.imaging.volume import Volume

OBLIQUE = Frame(np.array([5.0, -3.0, 2.0]), rotation(25, [1, 2, 3]))


def blob(spacing, center, width):
    """Gaussian blob that vanishes at the edges, on a flipped anisotropic grid."""
    shape = np.ceil(60.0 / np.asarray(spacing)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(np.asarray(spacing) * [-1, 1, 1])
    affine[:3, 3] = [30, -30, -30]
    volume = Volume(np.zeros(shape), affine)
    p = volume.to_mm(np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1))
    return dataclasses.replace(volume, values=np.exp(-((p - center) ** 2).sum(axis=-1) / (2 * width**2)))


def all_cells(n):
    return np.argwhere(np.ones((n, n, n), dtype=bool))


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("voxel", [(1.5, 1.5, 1.5), (0.7, 0.7, 3.0)])
def test_mass_is_kept_whatever_the_ratio_of_cell_to_voxel(spacing, voxel):
    source = blob(voxel, [2.0, -1.0, 3.0], 4.0)
    n = int(np.ceil(80 / spacing))

    found = mean_over_cells(
        source, frame=OBLIQUE, origin=np.full(3, -n * spacing / 2), spacing=spacing, cells=all_cells(n)
    )

    mass = source.values.sum() * np.prod(voxel)
    # Cells at the edge of the image count with what of them it covers.
    assert_allclose((found.mean * found.covered).sum() * spacing**3, mass, rtol=1e-12)  # the overlap is exact


def test_every_voxel_counts_where_cells_are_larger():
    # One bright voxel in 216: a nearest or a single-point look-up gives all or nothing.
    values = np.zeros((24, 24, 24))
    values[7, 11, 16] = 1.0
    source = Volume(values, np.diag([0.5, 0.5, 0.5, 1.0]))

    found = mean_over_cells(
        source, frame=Frame(np.zeros(3), np.eye(3)), origin=np.full(3, -0.25), spacing=3.0, cells=all_cells(4)
    )

    assert_allclose(found.mean.sum() * 27.0, 0.125, rtol=1e-12)
    assert_allclose(found.mean.max(), 0.125 / 27.0, rtol=1e-12)  # it lies in one cell


def test_a_voxel_counts_by_its_overlap_with_a_turned_cell():
    # A cell turned by 45 degrees about z, its edge along z the voxel's own: the square of edge 1 and the one
    # turned share an octagon of area 2 (sqrt(2) - 1).
    values = np.zeros((3, 3, 3))
    values[1, 1, 1] = 1.0
    frame = Frame(np.ones(3), rotation(45, [0, 0, 1]))

    found = mean_over_cells(
        Volume(values, np.eye(4)), frame=frame, origin=np.full(3, -0.5), spacing=1.0, cells=np.zeros((1, 3), dtype=int)
    )

    assert_allclose(found.mean, 2.0 * (np.sqrt(2.0) - 1.0), rtol=1e-12)


def test_cells_that_reach_out_of_the_image_have_the_mean_of_what_lies_inside():
    values = np.full((4, 4, 4), 2.0)
    values[0] = 6.0

    found = mean_over_cells(
        Volume(values, np.eye(4)),
        frame=Frame(np.zeros(3), np.eye(3)),
        origin=np.array([-1.25, 0.5, 0.5]),  # the image begins at -0.5, its second voxel at 0.5
        spacing=1.5,
        cells=np.array([[-1, 0, 0], [0, 0, 0], [1, 0, 0]]),
    )

    assert_allclose(found.mean, [0.0, 6.0, (6.0 * 0.25 + 2.0 * 1.25) / 1.5], rtol=1e-12)
    assert_allclose(found.covered, [0.0, 0.5, 1.0], rtol=1e-12)


def test_means_are_the_same_bits_for_any_number_of_threads():
    import numba

    source = blob((1.5, 1.5, 1.5), [0.0, 0.0, 0.0], 5.0)

    def means():
        return mean_over_cells(source, frame=OBLIQUE, origin=np.full(3, -20.0), spacing=2.0, cells=all_cells(20)).mean

    before = numba.get_num_threads()
    many = means()
    numba.set_num_threads(1)
    try:
        assert_array_equal(means(), many)
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("turn", [np.eye(3), rotation(20, [1, 0.4, 0])], ids=["straight", "turned"])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_segment_stands_upright_with_its_volumes(turn, spacing):
    column = Column(["L1", "L2"])
    labels = column.labels(turn=turn)

    image = build_segment_image(uniform_density(labels), "rho_qct", labels, levels=["L2", "L1"], spacing_mm=spacing)

    assert image.levels == ("L1", "L2")
    assert angle_deg(image.frame.axes[2], turn @ [0.0, 0.0, 1.0]) < 0.7
    top, low = image.vertebrae["L1"].superior_centroid, image.vertebrae["L2"].inferior_centroid
    assert_allclose(low, 0.0, atol=1e-9)
    assert_allclose(top[:2], 0.0, atol=1e-9)
    assert_allclose(top[2], 2 * HEIGHT + column.gap, atol=1.5)  # a voxel
    for number, level in enumerate(image.levels, start=1):
        assert abs(image.volume_change[level]) < 0.005
        volume = (image.body == number).sum() * spacing**3
        assert_allclose(volume, body_volume(), rtol=0.03)  # of which voxelising the label takes most
    assert not image.posterior.any()
    assert_allclose(image.density[image.body > 0], 0.1, rtol=1e-12)
    # Bodies keep clear of each other and of the grid's edge.
    assert not image.body[[0, 1, -2, -1]].any()


def test_exact_rotation_of_the_affine_gives_the_same_segment():
    column = Column(["L1", "L2"], wedge_deg=6.0)
    labels = column.labels(spacing=(1.2, 1.5, 2.0))
    straight = build_segment_image(uniform_density(labels), "rho_qct", labels, levels=["L1", "L2"], spacing_mm=1.5)
    turned = labels.affine.copy()
    turned[:3] = rotation(20, [1, 0, 0]) @ turned[:3]
    labels = dataclasses.replace(labels, affine=turned)

    tilted = build_segment_image(uniform_density(labels), "rho_qct", labels, levels=["L1", "L2"], spacing_mm=1.5)

    for level in ("L1", "L2"):
        a, b = straight.vertebrae[level], tilted.vertebrae[level]
        assert_allclose(a.superior_area_mm2, b.superior_area_mm2, rtol=0.01)
        # The axis is iterated to 0.2 degrees; nothing else moves.
        assert angle_deg(a.superior_normal, b.superior_normal) < 0.4
        assert_allclose(a.superior_centroid, b.superior_centroid, atol=0.3)
    assert_allclose((straight.body > 0).sum(), (tilted.body > 0).sum(), rtol=0.001)


def test_posterior_elements_are_kept_on_request_with_their_volume():
    column = Column(["L1"])
    labels = column.labels()
    image = build_segment_image(
        uniform_density(labels), "rho_qct", labels, levels=["L1"], spacing_mm=1.0, keep_posterior=True
    )

    total = ((image.body > 0) | (image.posterior > 0)).sum()
    assert_allclose(total, (labels.values > 0).sum() * 1.5**3, rtol=0.02)
    assert not ((image.body > 0) & (image.posterior > 0)).any()
    # The body's posterior wall stands at y = B of its centre.
    y = image.origin[1] + (np.argwhere(image.posterior > 0)[:, 1] + 0.5) - image.vertebrae["L1"].frame.origin[1]
    assert y.min() > B - 2.5


def test_extra_labels_keep_their_volume_as_fractions():
    column = Column(["L1"], with_arch=False)
    labels = column.labels()
    p = labels.to_mm(np.argwhere(labels.values >= 0)) - labels.to_mm(np.argwhere(labels.values > 0)).mean(axis=0)
    ball = (np.linalg.norm(p, axis=1) < 8.0).reshape(labels.values.shape)
    cement = Volume(ball.astype(float), labels.affine)

    image = build_segment_image(
        uniform_density(labels), "rho_qct", labels, levels=["L1"], spacing_mm=1.3, extra={"cement": cement}
    )

    assert image.extra["cement"].min() >= 0.0
    assert image.extra["cement"].max() <= 1.0
    assert_allclose(image.extra["cement"].sum() * 1.3**3, ball.sum() * 1.5**3, rtol=1e-3)


def test_bodies_that_touch_at_a_point_are_separated_and_welded_ones_refused(caplog):
    column = Column(["L1", "L2"], with_arch=False, gap=6.0)

    def bridged(radius, y):
        def edit(n, p, inside):
            bridge = (np.hypot(p[..., 0], p[..., 1] - y) < radius) & (np.abs(p[..., 2] - 16.0) < 3.2)
            return inside | (bridge & (p[..., 2] < 16.0 if n == 1 else p[..., 2] >= 16.0))

        return edit

    spur = column.labels(edit=bridged(3.0, 3 - B))
    weld = column.labels(edit=bridged(9.0, 0.0))

    image = build_segment_image(uniform_density(spur), "rho_qct", spur, levels=["L1", "L2"], spacing_mm=1.0)
    upper, lower = (image.body == 1), (image.body == 2)
    grown = np.zeros_like(upper)
    for shift in np.ndindex(3, 3, 3):
        grown |= np.roll(upper, np.array(shift) - 1, axis=(0, 1, 2))
    assert not (grown & lower).any()
    assert "bodies of L1 and L2 touch near" in caplog.text
    with pytest.raises(InputError, match=r"bodies of L1 and L2 are welded over \d+ mm2(.|\n)*near \["):
        build_segment_image(uniform_density(weld), "rho_qct", weld, levels=["L1", "L2"], spacing_mm=1.0)


def test_bad_input_is_refused_with_what_to_do():
    labels = Column(["L1", "L2"], with_arch=False).labels()
    density = uniform_density(labels)

    def build(**change):
        arguments = {"levels": ["L1"], "spacing_mm": 2.0, "density": density, "kind": "rho_qct", "labels": labels}
        arguments.update(change)
        return build_segment_image(
            arguments.pop("density"), arguments.pop("kind"), arguments.pop("labels"), **arguments
        )

    with pytest.raises(InputError, match="'HU' is unknown"):
        build(kind="HU")
    for spacing in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="spacing_mm must be positive"):
            build(spacing_mm=spacing)
    with pytest.raises(InputError, match="no level"):
        build(levels=[])
    with pytest.raises(InputError, match="given twice"):
        build(levels=["L1", "L1"])
    with pytest.raises(InputError, match="leave one out"):
        build(levels=["L1", "L3"])
    with pytest.raises(InputError, match="not integers"):
        build(labels=dataclasses.replace(labels, values=labels.values.astype(float)))
    with pytest.raises(InputError, match="a volume of two voxels or more"):
        build(density=dataclasses.replace(density, values=density.values[:, :, :1]))
    with pytest.raises(InputError, match="bone cells lie outside the CT"):
        build(density=dataclasses.replace(density, values=density.values[: len(density.values) // 2]))
    hole = density.values.copy()
    hole[tuple(np.argwhere(labels.values == 1)[500])] = np.nan
    with pytest.raises(InputError, match=r"no finite value in \d+ bone cells(.|\n)*near \["):
        build(density=dataclasses.replace(density, values=hole))
    with pytest.raises(InputError, match="too large"):
        build(spacing_mm=0.05)


def test_widths_of_the_body_are_those_of_the_ellipse():
    labels = Column(["L1"]).labels()
    image = build_segment_image(uniform_density(labels), "rho_qct", labels, levels=["L1"], spacing_mm=1.0)

    extents = np.ptp(np.argwhere(image.body > 0), axis=0) + 1.0

    assert_allclose(extents, [2 * A, 2 * B, HEIGHT], atol=1.5)  # a voxel
