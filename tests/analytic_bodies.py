"""Vertebral bodies with exact planes, areas and volumes, as label voxels or straight on a grid."""

from __future__ import annotations

import numpy as np

from fesolver.anatomy.frames import Frame
from fesolver.imaging.frames import oriented_frame
from fesolver.imaging.volume import LabelVolume, SegmentImage, VertebraGeometry, Volume

A, B = 22.0, 16.0
"""Semi-axes of the elliptic bodies: left-right and anteroposterior, mm."""

HEIGHT, GAP = 26.0, 9.0
CANAL_RADIUS, ARCH_THICKNESS, ARCH_HALF_HEIGHT = 9.0, 5.0, 8.0


def rotation(degrees, axis):
    """Rotation matrix about an axis."""
    from scipy.spatial.transform import Rotation

    axis = np.asarray(axis, dtype=float)
    return Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis)).as_matrix()


class Column:
    """Bodies stacked along z; the endplates of each tilt by +-`wedge_deg` / 2 about x (taller in front)."""

    def __init__(self, levels, wedge_deg=0.0, gap=GAP, with_arch=True, concavity=0.0):
        self.levels, self.gap, self.with_arch, self.concavity = tuple(levels), gap, with_arch, concavity
        self.slope = np.tan(np.deg2rad(wedge_deg / 2))

    def middle(self, n):
        """Height of the n-th body's centre, cranial first."""
        return (len(self.levels) - 1 - n) * (HEIGHT + self.gap)

    def is_body(self, n, p):
        """Points (..., 3) inside the n-th body."""
        x, y, z = p[..., 0], p[..., 1], p[..., 2] - self.middle(n)
        r2 = (x / A) ** 2 + (y / B) ** 2
        half = HEIGHT / 2 - self.slope * y - self.concavity * np.clip(1 - r2, 0, 1)
        return (r2 < 1) & (np.abs(z) < half)

    def is_arch(self, n, p):
        """Points (..., 3) inside the n-th ring round the canal, or its spinous process."""
        x, y, z = p[..., 0], p[..., 1], p[..., 2] - self.middle(n)
        r = np.hypot(x, y - (B + CANAL_RADIUS))
        outer = CANAL_RADIUS + ARCH_THICKNESS
        ring = (r > CANAL_RADIUS) & (r < outer)
        process = (np.abs(x) < 4) & (y > B + 2 * CANAL_RADIUS + 2) & (y < B + 2 * CANAL_RADIUS + 25)
        inside = (x / A) ** 2 + (y / B) ** 2 < 1
        return (ring | process) & (np.abs(z) < ARCH_HALF_HEIGHT) & ~inside

    def labels(self, *, turn=None, spacing=(1.5, 1.5, 1.5), edit=None):
        """Label volume of the column turned about its middle; the voxels stay along the scanner's axes."""
        turn = np.eye(3) if turn is None else turn
        center = np.array([3.0, 12.0, self.middle(0) / 2])
        top = self.middle(0) + HEIGHT
        corners = np.array([[x, y, z] for x in (-26, 26) for y in (-20, 62) for z in (-HEIGHT, top)])
        turned = (corners - center) @ turn.T
        spacing = np.asarray(spacing, dtype=float)
        low = turned.min(axis=0) - 2 * spacing
        shape = np.ceil((turned.max(axis=0) + 2 * spacing - low) / spacing).astype(int)
        index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
        p = (low + index * spacing) @ turn + center
        values = np.zeros(shape, dtype=np.uint8)
        for n in range(len(self.levels)):
            inside = self.is_body(n, p)
            if self.with_arch:
                inside |= self.is_arch(n, p)
            if edit is not None:
                inside = edit(n, p, inside)
            values[inside] = n + 1
        affine = np.eye(4)
        affine[:3, :3] = np.diag(spacing)
        affine[:3, 3] = low
        return LabelVolume(values, affine, {n + 1: level for n, level in enumerate(self.levels)})

    def geometry(self, n, frame):
        """Exact geometry of the n-th body, in `frame` (the column's own coordinates are its parent)."""
        z = self.middle(n)
        up = np.array([0.0, self.slope, 1.0]) / np.hypot(1.0, self.slope)
        down = np.array([0.0, self.slope, -1.0]) / np.hypot(1.0, self.slope)
        own = oriented_frame(frame.to_local([0.0, 0.0, z]), frame.axes @ [0.0, 0.0, 1.0], frame.axes @ [1.0, 0.0, 0.0])
        area = np.pi * A * B * np.hypot(1.0, self.slope)
        return VertebraGeometry(
            self.levels[n],
            own,
            frame.to_local([0.0, 0.0, z + HEIGHT / 2]),
            frame.axes @ up,
            frame.to_local([0.0, 0.0, z - HEIGHT / 2]),
            frame.axes @ down,
            area,
            area,
            0.0,
        )

    def image(self, *, spacing=1.0, turn=None, density=0.1):
        """Segment image straight from the formulas, the grid turned against the column."""
        frame = Frame(np.zeros(3), np.eye(3) if turn is None else turn.T)
        top = self.middle(0) + HEIGHT / 2
        ends = [-HEIGHT / 2, top]
        corners = np.array([[x, y, z] for x in (-A, A) for y in (-B - 4, B + 4) for z in ends])
        if self.with_arch:
            corners = np.concatenate([corners, [[x, 62.0, z] for x in (-A, A) for z in ends]])
        local = frame.to_local(corners)
        low = np.floor((local.min(axis=0) - 6) / spacing) * spacing
        shape = np.ceil((local.max(axis=0) + 6 - low) / spacing).astype(int)
        axes = [low[a] + (np.arange(shape[a]) + 0.5) * spacing for a in range(3)]
        p = frame.to_parent(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        body, posterior = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
        for n in range(len(self.levels)):
            body[self.is_body(n, p)] = n + 1
            if self.with_arch:
                posterior[self.is_arch(n, p)] = n + 1
        return SegmentImage(
            spacing=np.full(3, spacing),
            origin=low,
            frame=frame,
            levels=self.levels,
            body=body,
            posterior=posterior,
            density=np.full(shape, density),
            kind="rho_qct",
            vertebrae={level: self.geometry(n, frame) for n, level in enumerate(self.levels)},
            source_spacing_mm=spacing,
            volume_change=dict.fromkeys(self.levels, 0.0),
            extra={},
        )


def body_volume(wedge_deg=0.0):
    """Volume of one body, mm3: the wedge's two halves cancel."""
    return np.pi * A * B * HEIGHT


def uniform_density(labels, value=0.1):
    """Density volume on the labels' grid."""
    return Volume(np.full(labels.values.shape, value), labels.affine)


def angle_deg(a, b):
    """Angle between two directions."""
    return np.rad2deg(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))
