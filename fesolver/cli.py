"""The command line: parse, call, print, and turn every ending into its exit code."""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Concatenate, ParamSpec

import typer

from fesolver.errors import FesolverError, InputError
from fesolver.interrupts import end_on_signals

if TYPE_CHECKING:
    from fesolver.study.config import StudyConfig

__all__ = ["app", "main"]

P = ParamSpec("P")

DONE, DEFECT, BAD_INPUT, NOT_CONVERGED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

_KEPT = "nothing half-written is left, and finished cases are kept: run it again to go on"

app = typer.Typer(
    name="fesolver",
    help="Finite elements for osteoporotic vertebrae: cement augmentation, load shift and the risk of the neighbours. "
    "Research software, not for patient care.",
    epilog="Exit codes: 0 done, 1 a defect of fesolver, 2 bad input, 3 not converged or some cases failed, "
    "130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class MeshKind(Enum):
    """Kinds of meshes that the demo comes in."""

    VOXEL = "voxel"
    STRUCTURED = "structured"


@dataclass
class _Options:
    """What every command knows; each may stand before or after the command."""

    is_verbose: bool = False
    is_quiet: bool = False
    threads: int | None = None

    @staticmethod
    def of(context: typer.Context) -> _Options:
        """The options of this call."""
        options: _Options = context.find_root().ensure_object(_Options)
        return options


def _show_version(is_asked: bool) -> None:
    """Print the version and stop."""
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"fesolver {version('fesolver')}")
        raise typer.Exit


def _set_verbose(context: typer.Context, is_asked: bool) -> None:
    _Options.of(context).is_verbose |= is_asked


def _set_quiet(context: typer.Context, is_asked: bool) -> None:
    _Options.of(context).is_quiet |= is_asked


def _set_threads(context: typer.Context, threads: int | None) -> None:
    options = _Options.of(context)
    options.threads = options.threads if threads is None else threads


Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Log what is done; show the traceback of a defect.", callback=_set_verbose),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.", callback=_set_quiet)]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Threads for the solver; FESOLVER_NUM_THREADS, or all cores, by default.",
        callback=_set_threads,
    ),
]
Version = Annotated[
    bool, typer.Option("--version", help="Print the version and stop.", callback=_show_version, is_eager=True)
]
Study = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result folder.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Cases at once; as many as cores and memory allow, by default."),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Compute cases again that have failed before.")]
Yes = Annotated[bool, typer.Option("--yes", help="Take more than 10,000 cases.")]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Compute on a Dask cluster: tcp://HOST:PORT of its scheduler."),
]
UseCluster = Annotated[
    bool,
    typer.Option("--cluster", help="Compute in jobs of the batch system of the study's cluster table."),
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Skip figures and report.html.")]


def _ends_well(command: Callable[Concatenate[typer.Context, P], int]) -> Callable[..., None]:
    """Run a command; every ending becomes one message on standard error and an exit code."""

    @functools.wraps(command)
    def run(context: typer.Context, *args: P.args, **kwargs: P.kwargs) -> None:
        options = _Options.of(context)
        _start_logging(options)
        try:
            code = command(context, *args, **kwargs)
        except KeyboardInterrupt:
            _complain(f"interrupted; {_KEPT}")
            code = INTERRUPTED
        except SystemExit as error:
            if error.code == TERMINATED:
                _complain(f"ended by a signal (SIGTERM); {_KEPT}")
            raise
        except FesolverError as error:
            _complain(str(error), error if options.is_verbose else None)
            code = error.exit_code
        except Exception as error:  # everything else is a defect, and is named as one
            _complain(
                f"a defect in fesolver: {type(error).__name__}: {error}\n"
                "  to do: report it on the project's issue tracker with this message, the study file and the output of "
                "`fesolver doctor`; with --verbose it says where it happened",
                error if options.is_verbose else None,
            )
            code = DEFECT
        raise typer.Exit(code)

    return run


@app.callback()
def _root(version: Version = False, verbose: Verbose = False, quiet: Quiet = False, threads: Threads = None) -> None:
    """Take the options that may stand before the command."""


@app.command()
@_ends_well
def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Result folder.")] = Path("fesolver-demo"),
    mesh: Annotated[
        MeshKind, typer.Option("--mesh", help="Voxels of a synthetic CT, or a parametric segment in smooth hexahedra.")
    ] = MeshKind.VOXEL,
    no_report: NoReport = False,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    threads: Threads = None,
) -> int:
    """Run the built-in synthetic T12-L2 segment with a vertebroplasty of L1; needs no file and no network."""
    from fesolver.study.demo import demo_study

    return _run(_Options.of(context), demo_study(mesh.value), out, no_report=no_report, overwrite=overwrite)


@app.command()
@_ends_well
def run(
    context: typer.Context,
    study: Study,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Result folder; by default results/NAME of the study file."),
    ] = None,
    no_report: NoReport = False,
    overwrite: Overwrite = False,
    workers: Workers = None,
    retry_failed: RetryFailed = False,
    yes: Yes = False,
    scheduler: Scheduler = None,
    cluster: UseCluster = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    threads: Threads = None,
) -> int:
    """Run a study, or what of it is missing: every case intact and treated, tables, fields, figures and a report."""
    from fesolver.study.config import load_study
    from fesolver.study.messages import in_study_file

    if (scheduler is not None or cluster) and (workers is not None or (scheduler is not None and cluster)):
        raise InputError("--scheduler, --cluster and --workers exclude each other", fix="keep one of them")
    with in_study_file(study):
        return _run(
            _Options.of(context),
            load_study(study),
            out or _results_of(study),
            no_report=no_report,
            overwrite=overwrite,
            workers=workers,
            retry_failed=retry_failed,
            yes=yes,
            scheduler=scheduler,
            cluster=cluster,
        )


@app.command()
@_ends_well
def check(
    context: typer.Context,
    study: Study,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="PNG", help="Where the picture goes; by default NAME_check.png here."),
    ] = None,
    workers: Workers = None,
    yes: Yes = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    threads: Threads = None,
) -> int:
    """Check a study without solving it: cases, memory, disk, expected time, findings, and a picture of the model."""
    from fesolver.report.check_picture import write_check_picture
    from fesolver.report.check_text import check_lines
    from fesolver.report.style import check_picture_path
    from fesolver.study.check import check_study
    from fesolver.study.config import load_study
    from fesolver.study.messages import in_study_file

    path = picture or Path(f"{study.stem}_check.png")
    check_picture_path(path)
    threads, folder = _Options.of(context).threads, _results_of(study)
    with in_study_file(study):
        checked = check_study(load_study(study), threads=threads, workers=workers, yes=yes, out=folder)
    try:
        write_check_picture(checked, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}", where="--picture", fix="give a place you may write to"
        ) from error
    _say(_Options.of(context), "\n".join([*check_lines(checked), f"picture: {path}"]))
    return DONE


@app.command()
@_ends_well
def mesh(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="A recipe file, the name of a shipped one (--list), or a study file."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Mesh file: .vtu, .vtk, .msh or .inp; by default NAME.vtu here."),
    ] = None,
    refinement: Annotated[
        float | None, typer.Option("--refinement", metavar="X", help="Instead of the recipe's: 2 halves every cell.")
    ] = None,
    element: Annotated[
        str | None, typer.Option("--element", metavar="hex8|hex20", help="Instead of the recipe's.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Where the picture goes; by default beside FILE.")
    ] = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="List every dimension with its source, and make no mesh.")
    ] = False,
    shipped: Annotated[bool, typer.Option("--list", help="List the shipped recipes, and make no mesh.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Make a mesh from a recipe, with a picture, or of a study's segment: the file and what its numbers mean."""
    from fesolver.report.recipe_text import catalogue_lines, recipe_lines, source_lines
    from fesolver.study.mesh_recipe import find_recipe, make_recipe_mesh, shipped_recipes, spine_of, with_options
    from fesolver.study.toml_file import is_study_file

    # What was asked for is printed even with --quiet.
    if shipped:
        typer.echo("\n".join(catalogue_lines([find_recipe(path)[0] for path in shipped_recipes().values()])))
        return DONE
    if recipe is None:
        raise InputError("which recipe?", where="RECIPE", fix="give a .toml file or a name of `fesolver mesh --list`")
    if is_study_file(recipe):
        for option, value in (("--refinement", refinement), ("--element", element), ("--picture", picture)):
            if value is not None:
                raise InputError(f"{option} belongs to recipes", where=recipe, fix="set it in the study's [segment]")
        return _mesh_study(context, Path(recipe), out, overwrite=overwrite)
    table, source = find_recipe(recipe)
    if sources:
        typer.echo("\n".join(source_lines(spine_of(table, source=source).source_table())))
        return DONE
    from fesolver.report.recipe_files import recipe_paths, write_recipe_files

    paths = recipe_paths(out or Path(f"{table.name}.vtu"), picture, overwrite=overwrite)
    made = make_recipe_mesh(with_options(table, refinement=refinement, element=element), source=source)
    write_recipe_files(made, paths)
    _say(_Options.of(context), "\n".join([*recipe_lines(made), "", *paths.lines()]))
    return DONE


def _mesh_study(context: typer.Context, study: Path, out: Path | None, *, overwrite: bool) -> int:
    """Mesh a study's segment."""
    from fesolver.report.study_mesh_files import study_mesh_lines, study_mesh_paths, write_study_mesh
    from fesolver.study.config import load_study
    from fesolver.study.messages import in_study_file
    from fesolver.study.study_mesh import mesh_of_study

    config = load_study(study)
    paths = study_mesh_paths(out or Path(f"{config.name}.vtu"), overwrite=overwrite)
    with in_study_file(study):
        made = mesh_of_study(config)
    write_study_mesh(made, paths)
    _say(_Options.of(context), "\n".join(study_mesh_lines(made, paths)))
    return DONE


@app.command()
@_ends_well
def laws(context: typer.Context, verbose: Verbose = False, quiet: Quiet = False) -> int:
    """List the bone laws: formula, density kind, range, source."""
    from fesolver.bone.laws import laws_table
    from fesolver.report.laws_text import laws_text

    # What was asked for is printed even with --quiet.
    typer.echo(laws_text(laws_table()))
    return DONE


@app.command()
@_ends_well
def doctor(context: typer.Context, verbose: Verbose = False, quiet: Quiet = False, threads: Threads = None) -> int:
    """Show versions, cores, memory, threads, caches, and which optional parts are present."""
    from fesolver.report.doctor import diagnose, diagnosis_text

    diagnosis = diagnose(threads=_Options.of(context).threads)
    typer.echo(diagnosis_text(diagnosis))
    return DONE if diagnosis.is_healthy else BAD_INPUT


def main() -> None:
    """Entry point of the `fesolver` command."""
    for stream in (sys.stdout, sys.stderr):
        # A console of a narrow code page shows a replacement character instead of ending in a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"  # one line, without the place in our code
    # A batch system ends jobs with SIGTERM: leave through the same door as Ctrl-C, so that nothing half-written stays.
    end_on_signals()
    app()


def _run(
    options: _Options,
    config: StudyConfig,
    out: Path,
    *,
    no_report: bool,
    overwrite: bool,
    workers: int | None = None,
    retry_failed: bool = False,
    yes: bool = False,
    scheduler: str | None = None,
    cluster: bool = False,
) -> int:
    """Run a study, draw, report, and say in a few lines what came out."""
    from fesolver.report.case_progress import case_reporter
    from fesolver.report.progress import progress_reporter, timed_stage
    from fesolver.study.runner import RunOptions, run_study

    with progress_reporter(quiet=options.is_quiet) as progress:
        how = RunOptions(
            threads=options.threads,
            workers=workers,
            retry_failed=retry_failed,
            yes=yes,
            scheduler=scheduler,
            use_cluster=cluster,
            progress=progress,
            cases=lambda words: case_reporter(quiet=options.is_quiet, workers=words),
        )
        summary = run_study(config, out, overwrite=overwrite, options=how)
        if not no_report:
            from fesolver.report.figures import write_figures
            from fesolver.report.html import write_report
            from fesolver.report.results import read_results
            from fesolver.report.study_report import write_study_files

            try:
                with timed_stage(progress, "figures and report"):
                    write_figures(summary.out)
                    write_study_files(read_results(summary.out))
                    write_report(summary.out)
            except OSError as error:
                _remove_report(summary.out)
                raise InputError(
                    f"cannot write figures and report: {error.strerror or error}",
                    where=str(error.filename or summary.out),
                    fix="the results are whole; make room and run again: nothing is computed twice",
                ) from error  # fmt: skip
            except BaseException:
                _remove_report(summary.out)
                _complain(f"the results are whole in {summary.out}, without figures and report")
                raise
    if not options.is_quiet:
        from fesolver.report.answer import answer_lines
        from fesolver.report.results import read_results

        lines = answer_lines(read_results(summary.out))
        if summary.n_total > 1:
            lines = (summary.sentence, *([summary.note] if summary.note else []), *lines)
        _say(options, "\n".join(lines))
    if summary.n_failed:
        _complain(
            f"{summary.n_failed} of {summary.n_total} cases failed; why is in {summary.out / 'run.json'}\n"
            "  to do: put the study right and run it again; --retry-failed computes the same cases once more"
        )
        return NOT_CONVERGED
    return DONE


def _results_of(study: Path) -> Path:
    """Where the results of a study file go by default."""
    return Path("results") / study.stem


def _remove_report(out: Path) -> None:
    """Take away figures and a report that were not finished."""
    import shutil

    for name in ("figures", "tables"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "report.html").unlink(missing_ok=True)


def _say(options: _Options, message: str) -> None:
    """A message on standard output, unless quiet."""
    if not options.is_quiet:
        typer.echo(message)


def _complain(message: str, error: BaseException | None = None) -> None:
    """A message on standard error, with the traceback of `error` where one is given."""
    is_plain = bool(os.environ.get("NO_COLOR")) or not sys.stderr.isatty()
    label = "error:" if is_plain else typer.style("error:", fg=typer.colors.RED, bold=True)
    typer.echo(f"{label} {message}", err=True)
    if error is not None:
        import traceback

        typer.echo("".join(traceback.format_exception(error)), err=True)


def _start_logging(options: _Options) -> None:
    """Log records of the package go to standard error: warnings, all with --verbose, only errors with --quiet."""
    # Without a home it advises on its own settings folder, which is none of the user's business here.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    log = logging.getLogger("fesolver")
    log.setLevel(logging.DEBUG if options.is_verbose else logging.ERROR if options.is_quiet else logging.WARNING)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        log.addHandler(handler)


import fesolver.cli_studies  # noqa: E402, F401  its commands join the app, and need what stands above
