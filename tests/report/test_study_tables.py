"""Tables and report section of a study: what stands in them, and that LaTeX and HTML can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.report.latex import latex_interval, latex_number, latex_p_value, latex_spread, latex_table, latex_text
from fesolver.report.study_html import study_sections
from fesolver.report.study_tables import table_files, write_study_tables
from fesolver.report.study_words import case_groups, main_pairs, study_words
from fesolver.study.schema_design import DesignTable

RISK, PRESSURE = "factor_of_risk_yielded_volume", "nucleus_pressure_mpa"


@dataclass(frozen=True)
class Factor:
    """As a factor of the design, as far as tables know it."""

    name: str


FACTORS = (Factor("density_g_cm3"), Factor("law_&_chain"), Factor("volume_ml"))


@pytest.fixture
def table() -> pd.DataFrame:
    """Thirty cases of a sampled study, four of them failed, with a quantity that is none of the main ones."""
    random = np.random.default_rng(4)
    n = 30
    out = pd.DataFrame({"case": [f"{i:05d}-ab" for i in range(n)], "status": "done", "error": ""})
    out["density_g_cm3"] = np.tile([0.12, 0.08], n // 2)
    out["law_&_chain"] = np.repeat(["Morgan_50%", "Kopperdahl"], n // 2)
    out["volume_ml"] = random.uniform(2.0, 8.0, n)
    for level, quantity, size in [
        ("T12", RISK, 0.4),
        ("L2", RISK, 0.5),
        ("L1-L2", PRESSURE, 0.9),
        ("L1-L2", "disc_area_mm2", 1e3),
    ]:
        intact = size * random.normal(1.0, 0.1, n)
        change = size * random.normal(0.03, 0.01, n)
        parts = {"intact": intact, "treated": intact + change, "change": change, "floor_solver": np.full(n, 1e-6)}
        for state, values in parts.items():
            out[f"{state}/{level}/{quantity}"] = values
    failed = [3, 7, 8, 20]
    out.loc[failed, "status"] = "failed"
    out.loc[failed, "error"] = ["not converged <1e-8>\n  to do: loosen", "no mesh", "no mesh", "no mesh"]
    out.loc[failed, [c for c in out.columns if "/" in c]] = np.nan
    return out


def rows_of(latex: str) -> list[list[str]]:
    """Cells of the rows of a LaTeX table, the head first, without block titles."""
    body = latex[latex.index(r"\toprule") : latex.index(r"\end{tab")]
    lines = [line.removesuffix(r" \\") for line in body.split("\n") if line.endswith(r" \\")]
    return [re.split(r"(?<!\\) & ", line) for line in lines if not line.startswith(r"\multicolumn")]


def check_structure(latex: str) -> None:
    """Braces, dollars and environments are balanced, every row has the cells of the head, nothing raw is left."""
    bare = re.sub(r"^%.*$", "", latex, flags=re.MULTILINE)
    unescaped = re.sub(r"\\[\\{}$&%#_,]", "", bare)
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    assert re.findall(r"\\begin\{(\w+)\}", bare) == re.findall(r"\\end\{(\w+)\}", bare)[::-1]
    text = re.sub(r"\$[^$]*\$", "", unescaped)
    text = re.sub(r"\\label\{[^}]*\}", "", text)
    text = re.sub(r">\{\\raggedright", "", text)
    assert not re.search(r"[%#_^~<>|\"]", text)
    assert text.isascii()
    rows = rows_of(latex) if "tabular" in latex else []
    assert len({len(row) for row in rows}) <= 1
    columns = re.search(r"\\begin\{(?:tabular|longtable)\}\{(.*)\}", bare)
    assert columns
    kinds = re.sub(r">\{[^}]*\}p\{[\d.]+pt\}", "l", columns[1])
    assert re.fullmatch("[lcr]+", kinds)
    assert {line.count("&") for line in unescaped.split("\n") if "&" in line} == {len(kinds) - 1}
    for name, mark in {"longtable": "{longtable}", "pdflscape": "{landscape}", "array": r"\arraybackslash"}.items():
        assert (mark in bare) == (rf"\usepackage{{{name}}}" in latex.split("\n")[0])


class Checker(HTMLParser):
    """Opened and closed tags, links and texts of a page."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.links += [value for key, value in attrs if key == "href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_files_are_those_that_are_announced(table, tmp_path):
    written = write_study_tables(tmp_path, table, FACTORS, design="latin_hypercube")
    assert {str(path.relative_to(tmp_path)) for path in written} == set(table_files(table))
    assert len(written) == 5
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == sorted(path.name for path in written)


def test_csv_holds_every_digit_of_every_outcome(table, tmp_path):
    write_study_tables(tmp_path, table, FACTORS, design=DesignTable(kind="latin_hypercube", n=30))
    summary = pd.read_csv(tmp_path / "tables" / "summary_statistics.csv", dtype=str)
    overall = summary[summary["factor"].isna()].set_index("column")
    values = table[f"treated/L2/{RISK}"].dropna()
    assert float(overall.loc[f"treated/L2/{RISK}", "sd"]) == values.std()
    assert overall.loc[f"treated/L2/{RISK}", "n_failed"] == "4"
    assert overall.loc["intact/L1-L2/disc_area_mm2", ["state", "level", "quantity"]].tolist() == [
        "intact",
        "L1-L2",
        "disc_area_mm2",
    ]
    groups = summary[summary["column"] == f"change/T12/{RISK}"][["factor", "value"]].fillna("").to_numpy().tolist()
    assert groups == [
        ["", ""],
        ["density_g_cm3", "0.08"],
        ["density_g_cm3", "0.12"],
        ["law_&_chain", "Morgan_50%"],
        ["law_&_chain", "Kopperdahl"],
    ]


def test_differences_are_grouped_for_the_main_outcomes_and_given_once_for_the_rest(table, tmp_path):
    write_study_tables(tmp_path, table, FACTORS, design="latin_hypercube")
    paired = pd.read_csv(tmp_path / "tables" / "paired_differences.csv")
    assert paired.groupby("quantity").size().to_dict() == {RISK: 10, PRESSURE: 5, "disc_area_mm2": 1}
    risk = paired[(paired["quantity"] == RISK) & (paired["level"] == "L2")].iloc[0]
    change = table[f"change/L2/{RISK}"].dropna()
    assert_allclose(risk["change_mean"], change.mean(), rtol=1e-13)  # treated - intact rounds once more
    assert (risk["n"], risk["n_resolved"], risk["n_failed"]) == (26, 26, 4)
    assert np.isfinite(risk["t_p"])


def test_failures_hold_factors_and_the_whole_error(table, tmp_path):
    write_study_tables(tmp_path, table, FACTORS, design="grid")
    failures = pd.read_csv(tmp_path / "tables" / "failures.csv")
    assert failures["case"].tolist() == ["00003-ab", "00007-ab", "00008-ab", "00020-ab"]
    assert failures["error"][0] == "not converged <1e-8>\n  to do: loosen"
    assert list(failures.columns) == ["case", "density_g_cm3", "law_&_chain", "volume_ml", "error"]


@pytest.mark.parametrize("design", ["latin_hypercube", "grid", "csv", None])
def test_latex_tables_have_the_structure_of_latex(table, tmp_path, design):
    write_study_tables(tmp_path, table, FACTORS, design=design)
    for name in ("summary_statistics", "paired_differences"):
        latex = (tmp_path / "tables" / f"{name}.tex").read_text()
        check_structure(latex)
        assert "30 cases, 4 of them failed" in latex
        assert "Nucleus pressure (MPa)" in latex
        assert "disc area" not in latex.lower()
        assert ("t-interval" in latex) == (design == "latin_hypercube")
        assert ("no interval or p value" in latex) == (design != "latin_hypercube")


def test_the_caption_names_the_design_and_a_file_of_subjects_may_be_a_sample(table):
    words = study_words(table, "csv", True)
    assert words.cases == "Points from a file, 30 cases, 4 of them failed and left out."
    assert "Stein" not in words.interval(0.9)
    assert words.interval(0.9).startswith("90 % interval")
    assert "Stein 1987" in study_words(table, "sobol").interval(0.95)
    assert not study_words(table, "saltelli").is_sample


def test_latex_rows_show_the_numbers_of_the_table(table, tmp_path):
    write_study_tables(tmp_path, table, FACTORS, design="grid", levels=["L2"])
    head, *rows = rows_of((tmp_path / "tables" / "summary_statistics.tex").read_text())
    assert head[:5] == ["Level", "State", "$n$", "Mean", "SD"]
    assert [row[:3] for row in rows] == [["L2", state, "26"] for state in ("intact", "treated", "change")]
    values = table[f"intact/L2/{RISK}"].dropna()
    # No random sample: no column of intervals.
    assert rows[0][3:5] == [f"${values.mean():.3f}$", f"${values.std():.3f}$"]
    q25, q75 = values.quantile([0.25, 0.75])
    assert rows[0][6:] == [f"${q25:.3f}$ to ${q75:.3f}$", f"${values.min():.3f}$ to ${values.max():.3f}$"]
    head, *rows = rows_of((tmp_path / "tables" / "paired_differences.tex").read_text())
    assert rows[0][:3] == ["L2", "all", "26"]
    assert rows[3][:2] == ["L2", r"law\_\&\_chain = Morgan\_50\%"]
    assert "interval" not in " ".join(head)
    assert rows[0][-1] == "26 of 26"
    assert rows[0][5].startswith("$+0.01")


def test_many_rows_break_over_pages():
    rows = [["a", latex_number(float(i))] for i in range(41)]
    latex = latex_table(["A", "B"], [("", rows)], caption="c", label="tab:c", columns="lr")
    assert r"\usepackage{longtable}" in latex
    check_structure(latex)
    # A turned page holds half as many.
    for letters, environment in ((4, "table"), (62, "longtable")):
        latex = latex_table(["A", "B"], [("", [["1" * letters] * 2] * 21)], caption="c", label="t:c", columns="rr")
        assert rf"\begin{{{environment}}}" in latex
        check_structure(latex)
    with pytest.raises(InputError, match="2 columns, given 1"):
        latex_table(["A", "B"], [("", [["a"]])], caption="c", label="tab:c", columns="lr")


@pytest.mark.parametrize(
    ("letters", "size", "is_turned"),
    [
        (32, "", False),
        (33, r"\footnotesize", False),
        (38, r"\footnotesize", False),
        (41, r"\scriptsize", False),
        (62, r"\footnotesize", True),
        (67, r"\scriptsize", True),
    ],
)
def test_a_wide_table_is_set_smaller_then_turned(letters, size, is_turned):
    # Two columns at 5.0, 4.25 and 4.0 pt a letter, with 6, 4 and 3 pt on both sides of each, on 345 pt; turned 550 pt.
    latex = latex_table(["A", "B"], [("", [["1" * letters, "1" * letters]])], caption="c", label="tab:c", columns="rr")
    check_structure(latex)
    assert re.findall(r"\\(?:footnote|script)size", latex) == ([size] if size else [])
    assert (r"\begin{landscape}" in latex) == is_turned


def test_words_too_long_for_a_line_break():
    rows = [["the name of a law " * 4, *["$1.234$ to $5.678$"] * 3]]
    latex = latex_table(list("ABCD"), [("", rows)], caption="c", label="tab:c", columns="lrrr")
    check_structure(latex)
    assert r"p{" in latex
    assert "landscape" not in latex


def test_known_keys_are_called_by_their_words_in_the_tables(table, tmp_path):
    @dataclass(frozen=True)
    class Known(Factor):
        keys: tuple[str, ...] = ("input.density_g_cm3",)
        unit: str = "g/cm3"

    write_study_tables(tmp_path, table, [Known("density_g_cm3")], design="grid", levels=["L2"])
    latex = (tmp_path / "tables" / "paired_differences.tex").read_text()
    check_structure(latex)
    assert rows_of(latex)[2][1] == r"bone density = 0.08\,g/cm$^3$"
    assert "($g_z$)" in latex
    page = study_sections(table, [Known("density_g_cm3")], "grid")
    assert "Full grid over bone density: 26" in page
    assert "bone density = 0.08 g/cm³" in page
    assert "% interval" not in page
    assert "95 % interval" in study_sections(table, FACTORS, "latin_hypercube")


def test_a_mean_and_its_spread_share_digits_and_power():
    assert latex_spread(0.386991, 9.8e-4) == r"$0.38699\ (0.00098)$"
    assert latex_spread(-6.31e-4, 3.2e-4, sign=True) == r"$-6.3\ (3.2)\times10^{-4}$"
    assert latex_spread(13360.4, 0.0) == r"$13360\ (0)$"
    assert latex_spread(float("nan"), float("nan")) == "-- (--)"
    assert latex_interval(-7.5e-4, 2.1e-4, 3.2e-4) == r"$(-7.5$ to $2.1)\times10^{-4}$"


def test_numbers_are_rounded_at_the_second_figure_of_their_spread():
    assert latex_number(1234.567, 0.0321) == "$1234.567$"
    assert latex_number(1234.567, 0.996) == "$1234.6$"  # 1.0: the first figure after rounding
    assert latex_number(1234.567, 321.0) == "$1230$"
    assert latex_number(-0.004, 0.3) == "$0.00$"
    assert latex_number(2.5e-7, 1.2e-8, sign=True) == r"$+2.50\times10^{-7}$"
    assert latex_number(6.02e23) == r"$6.020\times10^{23}$"
    assert latex_number(0.0, 0.0) == "$0$"
    assert latex_number(float("nan"), 1.0) == "--"
    assert latex_number(-np.inf) == r"$-\infty$"
    assert latex_interval(1.0, np.nan, 1.0) == "--"
    assert latex_interval(-1.04, 2.06, 1.0) == "$-1.0$ to $2.1$"
    assert latex_p_value(0.0004) == "$<0.001$"


def test_text_from_outside_cannot_be_a_command():
    assert latex_text("\\input{/x} 5% & #1_a^b~$\n[x]") == (
        r"\textbackslash{}input\{/x\} 5\% \& \#1\_a\textasciicircum{}b\textasciitilde{}\$ {[}x{]}"
    )
    assert latex_text("éł ≤ 漢ð −1 ½ ą") == r"éł $\le$ ?? $-$1 1/2 a"
    assert latex_text("N/mm² ± °") == r"N/mm$^2$ $\pm$ $^\circ$"


def test_a_study_with_one_finished_case_has_its_failures_alone(table, tmp_path):
    short = table.iloc[6:9]
    assert [path.name for path in write_study_tables(tmp_path, short, FACTORS)] == ["failures.csv"]
    assert "2 or more finished cases" in study_sections(short, FACTORS, "grid")
    assert "paired_differences" not in study_sections(short, FACTORS, "grid")


def test_a_study_without_treatment_has_a_summary_and_no_differences(table, tmp_path):
    intact = table[[c for c in table.columns if not c.startswith(("treated", "change", "floor"))]]
    names = {path.name for path in write_study_tables(tmp_path, intact, FACTORS, design="sobol")}
    assert names == {"failures.csv", "summary_statistics.csv", "summary_statistics.tex"}
    page = study_sections(intact, FACTORS, "sobol")
    assert "Nucleus pressure (MPa)" in page
    assert "paired_differences" not in page


def test_the_report_shows_the_risk_at_the_neighbours_and_the_most_frequent_failure_first(table):
    page = study_sections(table, FACTORS, DesignTable(kind="latin_hypercube", n=30), levels=["T12", "L2"])
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    words = "\n".join(checker.words)
    assert "26 of 30 cases done, 4 failed." in words
    assert "Mean change of factor of risk (yielded volume)" in words
    assert "nucleus" not in words
    assert words.index("no mesh") < words.index("not converged <1e-8>")
    assert "00007-ab (density_g_cm3 = 0.08, law_&_chain = Morgan_50%, volume_ml" in words
    assert checker.links == list(table_files(table))
    assert "<1e-8>" not in page


def test_without_a_risk_the_first_main_outcome_of_the_load_is_shown(table):
    left = table[[c for c in table.columns if RISK not in c]].assign(
        **{f"{state}/L1-L2/flexion_rotation_deg": 1.0 + table.index for state in ("intact", "treated")}
    )
    assert main_pairs(left)[0].quantity == PRESSURE
    assert main_pairs(left, None, {"flexion_nm": 7.5})[0].quantity == "flexion_rotation_deg"
    assert "Mean change of nucleus pressure" in study_sections(left, FACTORS, "grid", levels=["L1-L2"])


def test_where_no_floor_was_computed_nothing_is_said_to_be_resolved_or_not(table, tmp_path):
    bare = table[[c for c in table.columns if not c.startswith("floor")]]
    write_study_tables(tmp_path, bare, FACTORS, design="grid")
    rows = rows_of((tmp_path / "tables" / "paired_differences.tex").read_text())
    assert {row[-1] for row in rows[1:]} == {"--"}
    assert "0 of 26" not in study_sections(bare, FACTORS, "grid")


def test_factors_with_a_value_per_case_make_no_groups(table):
    assert case_groups(table, [factor.name for factor in FACTORS]) == (None, "density_g_cm3", "law_&_chain")


def test_an_unknown_factor_is_one_clear_message(table, tmp_path):
    with pytest.raises(InputError, match=r"no factor 'volume'(.|\n)*did you mean 'volume_ml'"):
        write_study_tables(tmp_path, table, ["volume"])
    with pytest.raises(InputError, match="no column 'status'"):
        study_sections(table.drop(columns="status"), [], "grid")
