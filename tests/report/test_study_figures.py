"""Figures of a study: which are drawn, that their numbers are those of the theory, and what stands on the page."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from fesolver.errors import InputError
from fesolver.report.factor_words import FactorWords
from fesolver.report.figure_data import figure_factors, left_out_words, read_outcome, short
from fesolver.report.index_figures import morris_figure, prcc_figure, settling_figure
from fesolver.report.map_figure import map_figure, map_table
from fesolver.report.mesh_figure import mesh_figure
from fesolver.report.pair_figures import MOST_LINES, pair_figure
from fesolver.report.response_figures import response_figure, response_table
from fesolver.report.scatter_figure import rank_correlation, scatter_figure
from fesolver.report.spread_figure import spread_figure
from fesolver.report.study_choice import FigureChoice, choose_figures, is_full_grid
from fesolver.report.study_figures import draw_figure, read_study_index, write_study_figures
from fesolver.report.study_page import study_figures_html
from fesolver.report.tornado_figure import EXACT, MEANS, REGRESSION, tornado_figure, tornado_table
from fesolver.study.explain.outcome_columns import OutcomeColumn
from fesolver.study.schema_design import DesignTable

RISK = "factor_of_risk_yielded_volume"
CHANGE = f"change/L2/{RISK}"
PERCENT = f"change_percent/L2/{RISK}"


@dataclass(frozen=True)
class Factor:
    """As a factor of the design, as far as figures know it."""

    name: str
    label: str = ""
    keys: tuple[str, ...] = ()
    choices: tuple[object, ...] | None = None


def cases(columns, change, *, intact=0.5, floor=1e-9, levels=("L2",)) -> pd.DataFrame:
    """A table of done cases of the given factors, with a change that is a function of them."""
    table = pd.DataFrame(columns)
    names = list(table.columns)
    found = change(*(table[name] for name in names)).to_numpy(float)
    table.insert(0, "case", [f"{i:05d}-ab" for i in range(len(table))])
    table.insert(1, "status", "done")
    for level in levels:
        parts = {"intact": intact, "treated": intact + found, "change": found, "floor_solver": floor}
        for state, values in parts.items():
            table[f"{state}/{level}/{RISK}"] = values
    return table


def grid(**values) -> dict[str, list[object]]:
    """Columns of a full grid, the last factor fastest."""
    return dict(zip(values, map(list, zip(*itertools.product(*values.values()), strict=True)), strict=True))


def fail(table: pd.DataFrame, *rows: int) -> pd.DataFrame:
    """The table with failed cases."""
    out = table.copy()
    out.loc[list(rows), "status"] = "failed"
    out.loc[list(rows), [name for name in out if "/" in name]] = np.nan
    return out


@pytest.fixture
def full() -> pd.DataFrame:
    """A grid of 3 x 2 x 3 with change = 0.02 a - 0.01 b + effect of the law."""
    effect = {"Morgan": 0.03, "Keyak": 0.0, "Lotz": 0.01}
    columns = grid(a=[1.0, 2.0, 4.0], b=[0.0, 1.0], law=list(effect))
    return cases(columns, lambda a, b, law: 0.02 * a - 0.01 * b + law.map(effect))


@pytest.fixture
def sample() -> pd.DataFrame:
    """Forty drawn cases with change = 0.04 x - 0.01 y, and a choice that does nothing."""
    random = np.random.default_rng(3)
    columns = {"x": random.uniform(1.0, 3.0, 40), "y": random.normal(0.0, 1.0, 40), "law": ["p", "q"] * 20}
    return cases(columns, lambda x, y, law: 0.04 * x - 0.01 * y)


def drawn(table, name):
    """A factor and the change, as figures take them."""
    return figure_factors(table, [name])[0], read_outcome(table, CHANGE)


# What is drawn


def kinds(table, factors, design, **given) -> list[str]:
    """Kinds of the figures chosen, in order."""
    return [choice.kind for choice in choose_figures(table, factors, design, **given)]


def test_a_grid_gets_responses_maps_tornado_and_spread(full):
    found = choose_figures(full, ["a", "b", "law"], "grid")
    assert [c.kind for c in found] == ["pairs", *["response"] * 3, *["map"] * 3, "tornado", "spread", "spread"]
    assert next(c.factors for c in found if c.kind == "response") == ("a", "law")  # the strongest first, by the next
    assert {c.columns[0].state for c in found if c.kind == "spread"} == {"intact", "change_percent"}
    assert kinds(full, ["a", "b", "law"], None) == [c.kind for c in found]  # points that are a grid count as one
    assert kinds(full, ["a", "b", "law"], "csv") == [c.kind for c in found]


def test_one_at_a_time_gets_responses_and_tornado_but_no_map(full):
    rows = full.iloc[[0, 1, 2, 3, 6, 12]].reset_index(drop=True)
    assert kinds(rows, ["a", "b", "law"], "one_at_a_time") == ["pairs", *["response"] * 3, "tornado"]


@pytest.mark.parametrize("kind", ["latin_hypercube", "sobol", "csv"])
def test_a_sample_gets_scatters_regression_and_indices_that_settle(sample, kind):
    found = choose_figures(sample, ["x", "y", "law"], DesignTable(kind=kind))
    assert [c.kind for c in found] == ["pairs", "response", "tornado", "scatter", "scatter", "indices", "settling"]
    assert [c.factors for c in found if c.kind == "scatter"] == [("x",), ("y",)]  # by rank correlation
    assert next(c for c in found if c.kind == "indices").factors == ("x", "y")  # a name has no rank
    assert next(c for c in found if c.kind == "indices").index == "prcc"


def test_a_small_sample_gets_no_indices(sample):
    assert "indices" not in kinds(sample.head(5), ["x", "y"], "latin_hypercube")
    assert kinds(sample.head(7), ["x", "y"], "latin_hypercube")[-1] == "indices"  # too few to see them settle


@pytest.mark.parametrize(("kind", "index"), [("morris", "mu_star"), ("saltelli", "ST")])
def test_designs_of_a_method_get_its_indices(sample, kind, index):
    found = choose_figures(sample, ["x", "y"], DesignTable(kind=kind))
    assert [c.index for c in found if c.kind in ("indices", "settling")] == [index, index]
    assert "tornado" not in {c.kind for c in found}
    assert ("scatter" in {c.kind for c in found}) == (kind == "saltelli")


def test_one_factor_gets_a_response_and_pairs_only():
    table = cases({"a": [1.0, 2.0, 3.0]}, lambda a: 0.01 * a)
    assert kinds(table, ["a"], "grid") == ["pairs", "response"]


def test_cell_sizes_get_mesh_convergence_and_no_map():
    table = cases(grid(a=[1.0, 2.0], size=[4.0, 2.0, 1.0]), lambda a, size: 0.01 * a + 0.001 * size**2)
    factors = ["a", Factor("size", keys=("segment.spacing_mm",))]
    found = choose_figures(table, factors, "grid")
    assert [c.kind for c in found] == ["pairs", "response", "tornado", "mesh"]
    assert [column.state for column in found[-1].columns] == ["intact", "change"]


def test_levels_and_what_varies_decide_what_is_shown(full):
    wide = cases(grid(a=[1.0, 2.0], b=[3.0]), lambda a, b: a, levels=("T12", "L1", "L2"))
    found = choose_figures(wide, ["a", "b"], "grid", levels=["T12", "L2"])
    assert [column.level for column in found[0].columns] == ["T12", "L2"]
    assert {name for c in found for name in c.factors} == {"a"}  # b is the same in every case
    assert choose_figures(fail(wide, 0), ["a"], "grid") == ()  # one case is no study
    assert choose_figures(full.drop(columns=[c for c in full if "/" in c]), ["a"], "grid") == ()


def test_without_treatment_states_are_drawn():
    table = cases(grid(a=[1.0, 2.0, 3.0], b=[1.0, 2.0]), lambda a, b: a)
    table = table[[c for c in table if "/" not in c or c.startswith("intact")]]
    found = choose_figures(table, ["a", "b"], "grid")
    assert {c.columns[0].state for c in found} == {"intact"}
    assert "pairs" not in {c.kind for c in found}


def test_a_grid_is_whole_and_without_doubles(full):
    names = figure_factors(full, ["a", "b", "law"])
    assert is_full_grid(full, names)
    assert not is_full_grid(full.iloc[1:], names)
    assert not is_full_grid(pd.concat([full.iloc[1:], full.iloc[1:2]]), names)


# Numbers that are drawn


def test_bands_of_a_sample_are_t_intervals_of_the_mean(sample):
    factor, outcome = drawn(sample, "law")
    row = response_table(sample, factor, [outcome], is_sample=True).iloc[0]
    values = sample.loc[sample["law"] == "p", CHANGE]
    expected = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    assert_allclose([row["low"], row["high"]], expected, rtol=1e-9)
    assert row["n"] == 20


def test_bands_of_chosen_points_are_their_range(full):
    factor, outcome = drawn(full, "a")
    data = response_table(full, factor, [outcome], by=figure_factors(full, ["b"])[0]).set_index(["a", "b"])
    # 0.02 a - 0.01 b + {0, 0.01, 0.03}; rounding of the pairs 0.5 + change - 0.5.
    assert_allclose(data.loc[(2.0, 1.0), ["low", "high"]].to_numpy(float), [0.03, 0.06], atol=1e-15)
    assert_allclose(data.loc[(2.0, 1.0), "mean"], 0.03 + 0.04 / 3, atol=1e-15)
    assert set(data["band"]) == {"range over the other factors"}


def test_a_lone_case_of_a_sample_has_no_interval(sample):
    row = response_table(sample.head(1), *_one(sample.head(2), "law"), is_sample=True).iloc[0]
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def _one(table, name):
    """Factor of a table and the change of its first case."""
    return figure_factors(table, [name])[0], [read_outcome(table.head(1), CHANGE)]


def test_one_at_a_time_tornado_is_exact_whatever_else_is_in_the_table():
    rows = [(2.0, 1.0), (1.0, 1.0), (4.0, 1.0), (2.0, 0.0), (2.0, 3.0), (4.0, 3.0)]  # the last is off both lines
    table = cases(pd.DataFrame(rows, columns=["a", "b"]), lambda a, b: a**2 * b)
    data = tornado_table(table, figure_factors(table, ["a", "b"]), read_outcome(table, CHANGE), kind="one_at_a_time")
    data = data.set_index("factor")
    assert_allclose(data.loc["a", ["low_value", "high_value", "low", "high"]].to_numpy(float), [1, 4, 1, 16])
    assert_allclose(data.loc["b", ["low_value", "high_value", "low", "high"]].to_numpy(float), [0, 3, 0, 12], atol=1e-9)
    assert_allclose(data["centre"], 4.0)
    assert list(data.index) == ["a", "b"]  # 15 before 12
    assert set(data["method"]) == {EXACT}


def test_grid_tornado_is_that_of_the_additive_effects_with_failures_too(full):
    for table in (full, fail(full, 4)):
        factors = figure_factors(table, ["a", "b", "law"])
        data = tornado_table(table, factors, read_outcome(table, CHANGE), kind="grid").set_index("factor")
        assert_allclose(data.loc[["a", "law", "b"], "swing"], [0.06, 0.03, -0.01], atol=1e-14)
        assert (data.loc["law", "low_value"], data.loc["law", "high_value"]) == ("Keyak", "Morgan")
        assert list(data.index) == ["a", "law", "b"]
        assert set(data["method"]) == {MEANS}


def test_sample_tornado_is_the_slope_over_90_percent_of_the_factor(sample):
    factors = figure_factors(sample, ["x", "y", "law"])
    data = tornado_table(sample, factors, read_outcome(sample, CHANGE), kind="latin_hypercube").set_index("factor")
    for name, slope in (("x", 0.04), ("y", -0.01)):
        ends = np.quantile(sample[name], [0.05, 0.95])
        assert_allclose(data.loc[name, ["low_value", "high_value"]].to_numpy(float), ends)
        # The law is linear: regression finds it to round-off.
        assert_allclose(data.loc[name, "swing"], slope * (ends[1] - ends[0]), rtol=1e-9)
        assert data.loc[name, "method"] == REGRESSION
    assert data.loc["law", "method"] == MEANS


def test_scatter_has_every_done_case_and_spearmans_r(sample):
    table = fail(sample, 3)
    caption, _, data = scatter_figure(table, *drawn(table, "x"))
    assert "1 of 40 cases failed" in caption
    assert len(data) == 39
    assert_allclose(rank_correlation(data["x"].to_numpy(), data[CHANGE].to_numpy()),
                    stats.spearmanr(data["x"], data[CHANGE]).statistic)  # fmt: skip
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def test_pairs_have_both_states_and_say_how_many_rise(sample):
    column = OutcomeColumn("change", "L2", RISK)
    caption, figure, data = pair_figure(sample, [column], is_sample=True)
    assert_allclose(data["treated"] - data["intact"], sample[CHANGE], atol=1e-15)
    assert f"L2: {int((sample[CHANGE] > 0).sum())} of 40" in caption
    assert len(figure.axes[0].lines) > len(sample)  # every case a line
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["change of a case", "mean change"]
    _, _, data = pair_figure(sample, [column], factors=["x", "law"])
    assert_allclose(data["x"], sample["x"])
    assert {"law", "floor", "is_open"} <= set(data)
    many = pd.concat([sample, sample.assign(case="more")], ignore_index=True)
    assert len(many) > MOST_LINES
    caption, figure, data = pair_figure(many, [column])
    assert len(figure.axes[0].lines) < 10  # bands instead
    assert "90 %" in caption
    assert "no interval" in caption
    assert len(data) == len(many)


def test_map_is_the_mean_over_the_rest_about_zero(full):
    a, b = figure_factors(full, ["a", "b"])
    table = fail(full, 0, 1, 2, 3)
    data = map_table(table, a, b, read_outcome(table, CHANGE)).set_index(["a", "b"])
    assert_allclose(data.loc[(4.0, 0.0), "mean"], 0.08 + 0.04 / 3, atol=1e-15)
    assert np.isnan(data.loc[(1.0, 0.0), "mean"])  # all three laws failed
    assert data.loc[(1.0, 1.0), "n_failed"] == 1
    caption, figure, _ = map_figure(table, a, b, read_outcome(table, CHANGE))
    image = figure.axes[0].collections[0]
    assert image.norm.vmin == -image.norm.vmax
    assert "*: some of the cell's cases failed" in caption


def test_a_change_inside_its_floor_is_open_and_one_without_floor_is_not():
    table = cases({"a": [1.0, 2.0, 3.0]}, lambda a: 0.01 * a, floor=[0.02, 0.001, np.nan])
    outcome = read_outcome(table, CHANGE)
    assert outcome.is_open.tolist() == [True, False, False]
    percent = read_outcome(table, PERCENT)
    assert_allclose(percent.floor[:2], [4.0, 0.2])  # of the intact 0.5
    assert percent.is_open.tolist() == [True, False, False]
    caption, _, data = response_figure(table, figure_factors(table, ["a"])[0], [outcome])
    assert "Hollow" in caption
    assert data["n_open"].tolist() == [1, 0, 0]


def test_spread_is_the_ratio_to_the_median_or_the_value_where_signs_differ(full):
    law = figure_factors(full, ["law"])[0]
    caption, _, data = spread_figure(full, law, read_outcome(full, CHANGE), others=["a", "b"])
    first = data[(data["a"] == 1.0) & (data["b"] == 0.0)].set_index("law")["ratio_to_median"]
    assert_allclose(first[["Morgan", "Keyak", "Lotz"]], np.array([0.05, 0.02, 0.03]) / 0.03)  # fmt: skip
    mixed = cases(grid(law=["p", "q", "r"], a=[1.0, 2.0]), lambda law, a: a * law.map({"p": -1.0, "q": 1.0, "r": 2.0}))
    law = figure_factors(mixed, ["law"])[0]
    caption, _, data = spread_figure(mixed, law, read_outcome(mixed, CHANGE), others=["a"])
    assert set(data["shown"]) == {"value"}
    assert "two signs" in caption


def test_mesh_convergence_finds_the_order_and_the_limit_of_a_quadratic_error():
    table = cases(grid(a=[1.0, 2.0], size=[4.0, 2.0, 1.0]), lambda a, size: 0.01 * a + 0.001 * size**2)
    table["seconds"] = table["size"] ** -3.0
    factor, outcome = drawn(table, "size")
    caption, figure, data = mesh_figure(table, factor, [outcome], is_refinement=False, others=["a"])
    first = data[data["a"] == 1.0]
    assert_allclose(first["order"], 2.0, rtol=1e-6)
    assert_allclose(first["extrapolated"], 0.01, rtol=1e-6)
    assert_allclose(first["floor"], 0.003, rtol=1e-9)
    assert_allclose(first.sort_values("size")["seconds"], [1.0, 1 / 8, 1 / 64])
    assert len(figure.axes) == 2  # the outcome and its cost
    assert "order 2" in caption
    called = {"a": FactorWords("cement volume", "ml")}
    _, figure, _ = mesh_figure(table, factor, [outcome], is_refinement=False, others=["a"], called=called)
    assert "cement volume = 2 ml" in [text.get_text() for text in figure.legends[0].get_texts()]
    refined = table.assign(size=1.0 / table["size"])
    factor, outcome = drawn(refined, "size")
    _, _, again = mesh_figure(refined, factor, [outcome], is_refinement=True, others=["a"])
    assert_allclose(again[["size", "seconds", "order"]], data[["size", "seconds", "order"]])


def test_indices_are_ranked_by_magnitude_and_settling_says_its_verdict(sample):
    outcome, factors = read_outcome(sample, CHANGE), figure_factors(sample, ["y", "x"])
    caption, _, data = prcc_figure(sample, factors, outcome)
    assert data["factor"].tolist() == ["x", "y"]
    assert data["low"].iloc[0] > 0.0
    assert data["high"].iloc[1] < 0.0  # it falls with y
    assert "n = 40" in caption
    design = DesignTable(kind="latin_hypercube", n=40)
    caption, _, data = settling_figure(sample, factors, outcome, design, index="prcc")
    assert sorted(set(data["n"])) == [10, 20, 40]
    assert "Partial rank correlation" in caption


def test_morris_effects_of_a_plane_have_no_spread():
    pytest.importorskip("SALib")
    from fesolver.study.design.sampling import unit_points

    u = unit_points("morris", 3, 6, 0)
    table = cases({f"f{i}": u[:, i] for i in range(3)}, lambda a, b, c: 0.4 * a - 0.1 * b + 0.0 * c)
    design = DesignTable(kind="morris", n=6)
    factors = figure_factors(table, ["f0", "f1", "f2"])
    _, _, data = morris_figure(table, factors, read_outcome(table, CHANGE), design)
    assert data["factor"].tolist() == ["f0", "f1", "f2"]
    # Levels lie at 1/8 to 7/8, so the whole way is 3/4 of the unit interval.
    assert_allclose(data["mu_star"], [0.3, 0.075, 0.0], atol=1e-12)
    assert_allclose(data["sigma"], 0.0, atol=1e-12)


# Words


def test_factors_keep_the_order_of_the_study_and_drop_what_does_not_vary(full):
    given = [Factor("law", "bone law", choices=("Lotz", "Morgan", "Keyak")), Factor("a", "same"), Factor("b", "same")]
    law, a, b = figure_factors(full.assign(still=1.0), [*given, "still"])
    assert (law.label, law.values) == ("bone law", ("Lotz", "Morgan", "Keyak"))
    assert (a.label, b.label) == ("a", "b")  # one label for two would not tell them apart
    assert a.values == (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("values", "is_log"), [(np.geomspace(1, 100, 50), True), (np.linspace(1, 100, 50), False), ([0.0, 1.0], False)]
)
def test_an_axis_is_logarithmic_only_where_the_values_are_even_there(values, is_log):
    table = cases({"a": values}, lambda a: a)
    assert figure_factors(table, ["a"])[0].is_log == is_log


def test_short_names_of_a_series_still_differ():
    names = [f"Law of somebody and others (1991), site {site}" for site in "ab"]
    assert len({short(name, 20) for name in names}) == 2
    assert max(len(short(name, 20)) for name in names) <= 20


def test_captions_tell_failed_from_missing(full):
    table = fail(full, 0, 1)
    table.loc[5, [f"treated/L2/{RISK}"]] = np.nan
    words = left_out_words(table, read_outcome(table, CHANGE))
    assert words == " Not shown: 2 of 18 cases failed and 1 of 18 cases have no such number."


# Files and page


def test_figures_are_written_listed_shown_and_taken_away(full, tmp_path):
    table = fail(full[(full["law"] == "Lotz") & (full["b"] == 0.0)].reset_index(drop=True), 2)
    factors = [Factor("a", "a <b> & $c$"), "b"]
    written = write_study_figures(tmp_path, table, factors, "grid")
    index = read_study_index(tmp_path)
    assert {p.name for p in written} == {p.name for p in (tmp_path / "figures").iterdir()}
    assert [entry.kind for entry in index] == ["pairs", "response"]
    data = pd.read_csv(tmp_path / "figures" / f"{index[1].name}.csv")
    assert data["a"].tolist() == [1.0, 2.0]  # the third failed
    page = study_figures_html(tmp_path)
    assert page.count("data:image/png;base64,") == 2
    assert "a &lt;b&gt; &amp; $c$" in page
    assert f'href="figures/{index[0].name}.csv"' in page
    assert study_figures_html(tmp_path, ["response"]).count("<img") == 1
    write_study_figures(tmp_path, table.head(1), factors, "grid")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["study_index.json"]
    assert study_figures_html(tmp_path) == ""


def test_a_refused_analysis_leaves_its_figure_out_and_says_so(sample, tmp_path, caplog):
    table = sample.assign(**{f"{state}/L2/{RISK}": 0.5 for state in ("intact", "treated")})  # nothing changes
    written = write_study_figures(tmp_path, table, ["x"], "latin_hypercube")
    assert {path.name for path in written} >= {"study_pairs_L2.png", "study_scatter_x_L2.png"}
    assert not any("indices" in path.name for path in written)
    assert "study_indices_L2 is left out" in caplog.text


def test_nothing_is_written_where_nothing_is_done(full, tmp_path):
    assert write_study_figures(tmp_path, fail(full, *range(len(full))), ["a"], "grid") == []
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_drawn_is_refused_with_its_reason(full, sample, tmp_path):
    column = OutcomeColumn("change", "L2", RISK)
    with pytest.raises(InputError, match="no factor that varies"):
        draw_figure(full, ["a"], "grid", FigureChoice("response", (column,), ("c",)))
    twice = pd.concat([sample, sample.assign(x=sample["x"] + 5.0)], ignore_index=True)
    factor, outcome = drawn(twice, "x")
    with pytest.raises(InputError, match="draw a scatter"):
        response_figure(twice, factor, [outcome])
    with pytest.raises(InputError, match="named levels"):
        scatter_figure(full, *drawn(full, "law"))
    with pytest.raises(InputError, match="two factors"):
        map_table(full, *[drawn(full, "a")[0]] * 2, read_outcome(full, CHANGE))
    with pytest.raises(InputError, match="is no outcome"):
        read_outcome(full, "after/L2/k")
    with pytest.raises(InputError, match="nonsense"):
        choose_figures(full, ["nonsense"], "grid")
    empty = fail(full, *range(len(full)))
    with pytest.raises(InputError, match="0 cases have"):
        tornado_figure(empty, figure_factors(empty, ["a"]), read_outcome(empty, CHANGE), kind="grid")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "study_index.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        study_figures_html(tmp_path)
