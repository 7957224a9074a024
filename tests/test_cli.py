"""The command line: endings, options, and what a help text costs."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fesolver.study.config
import fesolver.study.demo
import fesolver.study.runner
from fesolver.cli import app
from fesolver.errors import ConvergenceError, InputError
from fesolver.study.runner import RunSummary

runner = CliRunner()


@pytest.fixture(autouse=True)
def own_log_handlers():
    """The command adds a handler once per process; each test starts without."""
    log = logging.getLogger("fesolver")
    before, level = list(log.handlers), log.level
    yield
    log.handlers[:], log.level = before, level


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study file whose run is made up: `study["run"]` decides how it ends, `study["asked"]` is what it was given."""
    state = {"asked": None, "n_failed": 0, "n_left_over": 0, "error": None}

    def run_study(config, out, **options):
        state["asked"] = {"out": Path(out), **options}
        if state["error"]:
            raise state["error"]
        out = Path(out)
        out.mkdir(parents=True)
        run = {"schema": 1, "name": "made up", "cases": [], "assumptions": ["slope is assumed"]}
        (out / "run.json").write_text(json.dumps(run))
        return RunSummary(out, 2, state["n_failed"], 2 + state["n_failed"], n_left_over=state["n_left_over"])

    monkeypatch.setattr(fesolver.study.runner, "run_study", run_study)
    monkeypatch.setattr(fesolver.study.config, "load_study", lambda path: None)
    monkeypatch.setattr(fesolver.study.demo, "demo_study", lambda mesh: None)
    monkeypatch.chdir(tmp_path)
    return state


def test_a_run_that_ends_well_prints_where_its_results_are(study):
    result = runner.invoke(app, ["run", "knee.toml"])

    assert result.exit_code == 0, result.output
    assert study["asked"]["out"] == Path("results/knee")
    assert (Path("results/knee") / "report.html").is_file()
    assert "assumed: slope is assumed" in result.stdout
    assert "not for the diagnosis" in result.stdout


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("no CT", where="ct.nii.gz", fix="give one"), 2, "to do: give one"),
        (ConvergenceError("stopped at 1e-3"), 3, "stopped at 1e-3"),
        (ZeroDivisionError("oops"), 1, "a defect in fesolver: ZeroDivisionError: oops"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            SystemExit(143),
            143,
            "ended by a signal (SIGTERM); nothing half-written is left, and finished cases are kept",
        ),
        (InputError("no", where="output.outcomes"), 2, "where: a.toml: output.outcomes"),
        (InputError("no", where="[input]"), 2, "where: a.toml: [input]"),
        (InputError("no", where="a.toml: load.force_n"), 2, "where: a.toml: load.force_n"),
        (InputError("no", where="input/ct.nii.gz"), 2, "where: input/ct.nii.gz"),
    ],
)
def test_every_ending_has_its_exit_code_and_one_message(study, error, code, message):
    study["error"] = error
    result = runner.invoke(app, ["run", "a.toml"])

    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["run", "check"])
def test_what_is_found_after_reading_a_study_names_its_file_too(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bent.toml").write_text("""
        schema = 1
        name = "bent"
        input = {kind = "parametric", t_score = -3.0}
        segment.levels = ["L1"]
        treatment.level = "L1"
        factors.a = {key = "treatment.volume_ml", low = 1.0, high = 3.0}
        design = {kind = "sobol", n = 4, correlations = [{between = ["a", "b"], value = 0.5}]}
    """)
    result = runner.invoke(app, [command, "bent.toml"])

    assert result.exit_code == 2
    assert "where: bent.toml: design.correlations[0].between" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bent.toml"]


def test_a_file_that_is_called_like_a_table_is_named_once(study):
    study["error"] = InputError("no", where="load.toml: load.force_n")

    assert "where: load.toml: load.force_n" in runner.invoke(app, ["run", "load.toml"]).stderr


def test_results_of_points_that_were_taken_out_are_mentioned_once(study):
    study["n_left_over"] = 3
    result = runner.invoke(app, ["run", "a.toml"])

    words = f"3 results in {Path('results/a/results')} belong to no case of the study as it is now"
    assert result.stdout.count(words) == 1


def test_verbose_shows_where_a_defect_happened(study):
    study["error"] = ZeroDivisionError("oops")

    assert "Traceback" in runner.invoke(app, ["run", "a.toml", "--verbose"]).stderr


def test_failed_cases_end_with_three_and_keep_the_report(study):
    study["n_failed"] = 1
    result = runner.invoke(app, ["run", "a.toml", "--out", "here"])

    assert result.exit_code == 3
    assert "1 of 3 cases failed" in result.stderr
    assert Path("here/report.html").is_file()


@pytest.mark.parametrize("arguments", [["--threads", "2", "demo"], ["demo", "--threads", "2"]])
def test_options_hold_before_and_after_the_command(study, arguments):
    assert runner.invoke(app, arguments).exit_code == 0
    assert study["asked"]["options"].threads == 2


@pytest.mark.parametrize("arguments", [["--threads", "2", "demo"], ["demo", "--threads", "2"]])
def test_the_option_beats_the_environment_wherever_it_stands(study, arguments):
    runner.invoke(app, arguments, env={"FESOLVER_NUM_THREADS": "3"})

    assert study["asked"]["options"].threads == 2


def test_quiet_prints_nothing(study):
    result = runner.invoke(app, ["demo", "--quiet"])

    assert (result.exit_code, result.output) == (0, "")


def test_no_report_leaves_it_out(study):
    result = runner.invoke(app, ["demo", "--no-report", "--out", "x", "--overwrite"])

    assert result.exit_code == 0
    assert not Path("x/report.html").exists()
    assert study["asked"]["overwrite"] is True


@pytest.mark.parametrize("arguments", [["run"], ["rnu"], ["demo", "--threads", "0"], ["demo", "--colour"]])
def test_wrong_usage_ends_with_two(arguments):
    assert runner.invoke(app, arguments).exit_code == 2


def test_laws_print_formula_kind_and_source():
    result = runner.invoke(app, ["laws"])

    assert result.exit_code == 0
    assert "2980 rho^1.05" in result.stdout
    assert "rho_qct" in result.stdout


def test_version_is_printed():
    assert runner.invoke(app, ["--version"]).stdout.startswith("fesolver ")


def test_help_loads_nothing_heavy():
    heavy = ["numpy", "numba", "scipy", "pandas", "matplotlib", "SimpleITK", "pydantic", "meshio", "gmsh"]
    script = (
        "import sys; from typer.testing import CliRunner; from fesolver.cli import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "fesolver", "run", "none.toml"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "none.toml" in done.stderr
    assert "Traceback" not in done.stderr
