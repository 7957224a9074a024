"""The array interface: what a pad is given must do something."""

from __future__ import annotations

import numpy as np
import pytest

from fesolver.errors import InputError
from fesolver.solvers.voxels import Pad, solve_voxels

ENDS = np.zeros((2, 3, 3, 4), dtype=bool)
ENDS[0, :, :, 0] = ENDS[1, :, :, -1] = True


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({"force_n": (0, 0, -1)}, "load along uz, which it holds fixed"),
        ({"fixed": ("ux", "uy", "rz"), "moment_nmm": (0, 0, 5)}, "load along rz, which it holds fixed"),
        ({"fixed": ("ux", "uy", "rz"), "motion": (0, 0, -0.1, 0, 0, 0)}, "motion along uz, which is free"),
        ({"fixed": ("ux", "uy", "rz"), "force_n": (0, -1)}, "force_n of pad 'top' must be 3 numbers"),
    ],
)
def test_what_a_pad_is_given_in_vain_is_refused(top, words):
    with pytest.raises(InputError, match=words):
        solve_voxels(np.full((2, 2, 3), 100.0), 0.3, 1.0, pads=[Pad("bottom", ENDS[0]), Pad("top", ENDS[1], **top)])


def test_a_part_that_nothing_holds_is_refused_with_its_place():
    young = np.full((2, 2, 3), 100.0)
    young[:, :, 1] = 0.0

    with pytest.raises(InputError, match=r"4 of 8 cells can move freely(.|\n)*2\.5\) mm"):
        solve_voxels(
            young, 0.3, 1.0,
            pads=[Pad("bottom", ENDS[0]), Pad("top", ENDS[1], fixed=("ux", "uy", "rz"), force_n=(0, 0, -1))],
        )  # fmt: skip


def test_a_grid_without_material_is_refused():
    with pytest.raises(InputError, match="no cell is active"):
        solve_voxels(np.zeros((2, 2, 3)), 0.3, 1.0, pads=[Pad("bottom", ENDS[0])])
