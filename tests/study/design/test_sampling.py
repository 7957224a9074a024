"""Points of designs: strata, prefixes, seeds, SALib's order, lists and CSV files."""

from __future__ import annotations

import importlib
import logging
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from fesolver.errors import InputError, MissingDependencyError
from fesolver.study.design.correlation import correlation_matrix
from fesolver.study.design.sampling import (
    MORRIS_LEVELS,
    csv_points,
    grid_count,
    grid_points,
    one_at_a_time_points,
    unit_points,
)
from fesolver.study.schema_design import CorrelationTable

OWN = ["latin_hypercube", "sobol"]
SALIB = ["morris", "saltelli"]


def matrix_of(k: int, value: float = 0.6) -> np.ndarray:
    names = [f"x{i}" for i in range(k)]
    return correlation_matrix(names, [CorrelationTable(between=("x0", "x1"), value=value)])


@pytest.fixture(scope="module")
def salib() -> dict[str, Any]:
    """SALib's analyzers; skips without them, fails where FESOLVER_REQUIRE names `sensitivity`."""
    try:
        return {name: importlib.import_module(f"SALib.analyze.{name}") for name in ("morris", "sobol")}
    except ImportError as error:
        if "sensitivity" in os.environ.get("FESOLVER_REQUIRE", "").split(","):
            raise
        pytest.skip(f"needs SALib: {error}")


def problem(k: int) -> dict[str, Any]:
    return {"num_vars": k, "names": [f"x{i}" for i in range(k)], "bounds": [[0.0, 1.0]] * k}


def test_a_latin_hypercube_has_one_point_in_every_stratum():
    u = unit_points("latin_hypercube", k=3, n=1000, seed=4)

    for column in u.T:
        assert_array_equal(np.sort(np.floor(column * 1000)), np.arange(1000))


def test_a_correlated_latin_hypercube_has_one_point_in_every_stratum():
    u = unit_points("latin_hypercube", 3, 100, 4, matrix_of(3))

    for column in u.T:
        assert_array_equal(np.sort(np.floor(column * 100)), np.arange(100))
    assert abs(stats.spearmanr(u[:, 0], u[:, 1]).statistic - 0.6) < 3.0 / np.sqrt(100)


def test_points_of_a_hypercube_lie_anywhere_in_their_strata():
    offset = np.mod(unit_points("latin_hypercube", 1, 2000, 7)[:, 0] * 2000, 1.0)

    assert stats.kstest(offset, "uniform").pvalue > 0.001


@pytest.mark.parametrize("matrix", [None, matrix_of(3)], ids=["free", "correlated"])
def test_a_longer_sobol_sequence_begins_with_the_shorter_one(matrix):
    long = unit_points("sobol", 3, 64, 11, matrix)

    assert_array_equal(unit_points("sobol", 3, 16, 11, matrix), long[:16])


def test_a_longer_sobol_sequence_begins_with_one_of_any_length():
    assert_array_equal(unit_points("sobol", 2, 7, 11), unit_points("sobol", 2, 16, 11)[:7])


@pytest.mark.parametrize("kind", ["sobol", "saltelli"])
def test_sobol_numbers_lie_in_the_middle_of_their_steps_so_that_none_is_zero(kind, request):
    """Of 2^30 steps: an odd number of halves of them, which no zero is."""
    if kind == "saltelli":
        request.getfixturevalue("salib")
    halves = unit_points(kind, 3, 64, 2) * 2.0**31

    assert_array_equal(np.mod(halves, 2.0), np.ones_like(halves))


def test_a_sobol_sequence_fills_every_sixteenth_once():
    """(0, m, 2)-net: each of 16 equal boxes, of any of the five shapes, holds one of 16 points."""
    u = unit_points("sobol", 2, 16, 3)

    for i in range(5):
        boxes = np.floor(u * [2**i, 2 ** (4 - i)]) @ [2 ** (4 - i), 1]
        assert_array_equal(np.sort(boxes), np.arange(16))


def test_a_length_that_is_no_power_of_two_is_said_and_taken(caplog):
    with caplog.at_level(logging.WARNING, logger="fesolver"):
        assert unit_points("sobol", 2, 100, 0).shape == (100, 2)
    assert "use 64 or 128" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="fesolver"):
        unit_points("sobol", 2, 1, 0)
        unit_points("sobol", 2, 64, 0)
    assert not caplog.records


def test_correlated_sobol_points_have_the_rank_correlation():
    u = unit_points("sobol", 3, 1024, 5, matrix_of(3, -0.7))

    assert abs(stats.spearmanr(u[:, 0], u[:, 1]).statistic + 0.7) < 3.0 / np.sqrt(1024)


@pytest.mark.parametrize("kind", OWN + SALIB)
def test_a_seed_gives_the_same_bits_and_another_seed_others(kind, request):
    if kind in SALIB:
        request.getfixturevalue("salib")
    first, again, other = (unit_points(kind, 3, 8, seed) for seed in (1, 1, 2))

    assert first.tobytes() == again.tobytes()
    assert np.any(first != other)
    assert np.all((first > 0) & (first < 1))


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("n", [1, 2])
def test_smallest_designs_exist(kind, n):
    assert unit_points(kind, 1, n, 0).shape == (n, 1)


def test_each_step_of_morris_changes_one_factor_by_the_same_amount(salib):
    k, n = 5, 12
    u = unit_points("morris", k, n, 9).reshape(n, k + 1, k)
    steps = np.diff(u, axis=1)

    assert_array_equal(np.unique(u), [0.125, 0.375, 0.625, 0.875])
    for trajectory in steps:
        assert_array_equal(np.sort(np.argmax(np.abs(trajectory), axis=1)), np.arange(k))
        assert_array_equal(np.sort(np.abs(trajectory), axis=1)[:, :-1], np.zeros((k, k - 1)))
        assert_array_equal(np.abs(trajectory).max(axis=1), np.full(k, 0.5))


def test_salib_finds_the_slopes_of_a_plane_from_morris_points(salib):
    """Slope times 3/4, the way from the lowest to the highest level."""
    slopes = np.array([3.0, -1.0, 0.0, 0.5])
    u = unit_points("morris", 4, 10, 2)

    found = salib["morris"].analyze(problem(4), u, u @ slopes, num_levels=MORRIS_LEVELS, seed=1)

    assert_allclose(np.asarray(found["mu"]), 0.75 * slopes, rtol=0, atol=1e-14)
    assert_allclose(np.asarray(found["sigma"]), 0.0, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("second_order", "rows"), [(False, 8 * (3 + 2)), (True, 8 * (2 * 3 + 2))])
def test_saltelli_points_are_the_blocks_a_ab_ba_b(salib, second_order, rows):
    k, n = 3, 8
    u = unit_points("saltelli", k, n, 6, second_order=second_order)
    assert u.shape == (rows, k)

    for block in u.reshape(n, -1, k):
        a, b = block[0], block[-1]
        assert np.all(a != b)
        for j in range(k):
            assert_array_equal(block[1 + j], np.where(np.arange(k) == j, b, a))
            if second_order:
                assert_array_equal(block[1 + k + j], np.where(np.arange(k) == j, a, b))


@pytest.mark.parametrize("second_order", [False, True])
def test_salib_finds_the_shares_of_variance_from_saltelli_points(salib, second_order):
    """y = 3 (x0 - 1/2) - 2 (x1 - 1/2) + 12 (x1 - 1/2)(x2 - 1/2): variances 9, 4 and 144 / 12 = 12 over 12."""
    x = unit_points("saltelli", 3, 1024, 3, second_order=second_order) - 0.5
    y = 3 * x[:, 0] - 2 * x[:, 1] + 12 * x[:, 1] * x[:, 2]

    found = salib["sobol"].analyze(problem(3), y, calc_second_order=second_order, num_resamples=2, seed=1)

    # 1 / sqrt(1024) = 0.03; a swapped block would be wrong by 0.16 and more
    assert_allclose(found["S1"], [9 / 25, 4 / 25, 0.0], rtol=0, atol=0.03)
    assert_allclose(found["ST"], [9 / 25, 16 / 25, 12 / 25], rtol=0, atol=0.03)
    if second_order:
        assert_allclose(found["S2"][1, 2], 12 / 25, rtol=0, atol=0.06)


@pytest.mark.parametrize("kind", SALIB)
def test_a_longer_salib_design_begins_with_the_shorter_one(salib, kind):
    short, long = unit_points(kind, 3, 4, 5), unit_points(kind, 3, 8, 5)

    assert_array_equal(short, long[: len(short)])


@pytest.mark.parametrize("kind", SALIB)
def test_designs_of_independent_factors_refuse_correlations(kind):
    with pytest.raises(InputError, match="takes no correlations") as caught:
        unit_points(kind, 3, 8, 0, matrix_of(3))
    assert caught.value.where == "design.correlations"


@pytest.mark.parametrize("kind", SALIB)
def test_missing_salib_names_the_extra(kind, monkeypatch):
    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'SALib'", name="SALib")

    monkeypatch.setattr(importlib, "import_module", fail)

    with pytest.raises(MissingDependencyError, match=r"fesolver\[sensitivity\]"):
        unit_points(kind, 3, 8, 0)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("grid", 2, 4, 0), "design.kind"),
        (("sobol", 0, 4, 0), "factors"),
        (("sobol", 2, 0, 0), "design.n"),
        (("sobol", 2, 4, -1), "design.seed"),
        (("sobol", 2, True, 0), "design.n"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, where):
    with pytest.raises(InputError) as caught:
        unit_points(*arguments)
    assert caught.value.where == where


def test_a_grid_is_counted_and_begun_without_being_made():
    lists = [range(100_000), ["a", "b"], range(5_000)]

    assert grid_count(lists) == 10**9
    assert list(islice(grid_points(lists[1:] + lists[:1]), 2)) == [("a", 0, 0), ("a", 0, 1)]


def test_a_grid_runs_through_the_last_list_first():
    lists = [[1.0, 2.0], ["a", "b", "c"], [7]]
    points = list(grid_points(lists))

    assert points == [(x, y, z) for x in lists[0] for y in lists[1] for z in lists[2]]
    assert len(points) == grid_count(lists)


def test_one_at_a_time_starts_at_the_base_and_leaves_it_one_factor_at_a_time():
    points = one_at_a_time_points([2, "b", 0.5], [[1, 2, 3], ["a", "b"], [0.5]])

    assert points == [(2, "b", 0.5), (1, "b", 0.5), (3, "b", 0.5), (2, "a", 0.5)]
    with pytest.raises(InputError, match="do not fit"):
        one_at_a_time_points([1], [[1], [2]])


FACTORS: dict[str, tuple[str, ...] | None] = {"density": None, "law": ("kopperdahl", "morgan")}


@pytest.fixture
def file_of(tmp_path) -> Any:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "points.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "density,law\n0.1,morgan\n2e-1,kopperdahl\n",
        "\ufefflaw, density\r\nmorgan, 0.1\r\n\r\nkopperdahl, 0.2\r\n\r\n",
        'law,density\n"morgan","0.1"\nkopperdahl,.2',
    ],
    ids=["plain", "from a spreadsheet, other order", "quoted, no last line end"],
)
def test_points_come_from_a_file_in_its_order(file_of, text):
    points = csv_points(file_of(text), FACTORS)

    assert points == ({"density": 0.1, "law": "morgan"}, {"density": 0.2, "law": "kopperdahl"})
    assert [list(point) for point in points] == [["density", "law"]] * 2


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("density,lwa\n0.1,morgan\n", "'lwa', is no factor", "line 1"),
        ("density;law\n0.1;morgan\n", "'density;law', is no factor", "line 1"),
        ("density\n0.1\n", "no column for law", "line 1"),
        ("density,law,law\n0.1,morgan,morgan\n", "law is there twice", "line 1"),
        ("density,law\n0.1,morgan\n\n,morgan\n", "empty cell", "line 4, column density"),
        ("density,law\n0.1,\n", "empty cell", "line 2, column law"),
        ("density,law\n0.1 g,morgan\n", "'0.1 g' is no finite number", "line 2, column density"),
        ("density,law\nnan,morgan\n", "'nan' is no finite number", "line 2, column density"),
        ("density,law\n1_0,morgan\n", "'1_0' is no finite number", "line 2, column density"),
        ("density,law\n0.1,Morgan\n", "'Morgan' is no level", "line 2, column law"),
        ("density,law\n0,1,morgan\n", "3 cells in a table of 2 columns", "line 2"),
        ("density,law\n0.1\n", "1 cells in a table of 2 columns", "line 2"),
        ("density,law\n", "has no points", "points.csv"),
        ("", "has no points", "points.csv"),
        ('density,law\n0.1,"morgan\n', "is no CSV file", "line 2"),
        (b"density,law\n0.1,\xff\n", "no UTF-8 text", "points.csv"),
    ],
)
def test_a_wrong_file_is_one_message_with_line_and_column(file_of, text, what, where):
    with pytest.raises(InputError, match=what) as caught:
        csv_points(file_of(text), FACTORS)
    assert str(caught.value.where).endswith(where)
    assert "points.csv" in str(caught.value.where)


def test_a_file_that_is_not_there_is_one_message(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read") as caught:
            csv_points(path, FACTORS)
        assert caught.value.where == str(path)
