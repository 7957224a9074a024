"""Commands around finished studies: a new working folder, a bundle, a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fesolver.cli import DONE, Quiet, Verbose, _ends_well, _Options, _say, app
from fesolver.errors import InputError

__all__ = ["bundle", "compare", "new"]

Result = Annotated[Path, typer.Argument(metavar="RESULT_DIR", help="A folder that `fesolver run` has written.")]


@app.command()
@_ends_well
def new(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make: new, or empty.")],
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Make a working folder with an example study, a mesh recipe and a README that says how to go on."""
    from fesolver.study.project import make_project

    made = make_project(folder)
    lines = [f"{folder}: a working folder", *(f"  {path.relative_to(folder)}" for path in made)]
    lines += ["next:", f"  cd {folder}", "  fesolver run studies/cement_volume.toml"]
    _say(_Options.of(context), "\n".join(lines))
    return DONE


@app.command()
@_ends_well
def bundle(
    context: typer.Context,
    result: Result,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.zip", help="The zip; by default NAME.zip of the folder, here.")
    ] = None,
    with_fields: Annotated[bool, typer.Option("--with-fields", help="Pack fields.vtu of cases too.")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Pack a study into one zip that runs again elsewhere: inputs, configuration, results, versions, a SLURM script."""
    from fesolver.study.bundle import write_bundle

    made = write_bundle(result, out, with_fields=with_fields)
    inputs = f"{made.n_inputs} input file{'s' if made.n_inputs != 1 else ''}"
    cases = f"{made.n_cases} case{'s' if made.n_cases != 1 else ''}"
    _say(_Options.of(context), f"{made.path}: {made.n_files} files, {cases}, {inputs}, {made.n_bytes / 1e6:.1f} MB")
    return DONE


@app.command()
@_ends_well
def compare(
    context: typer.Context,
    a: Annotated[Path, typer.Argument(metavar="A", help="A folder that `fesolver run` has written.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    rtol: Annotated[float, typer.Option("--rtol", help="Relative differences up to this count as within.")] = 1e-6,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="CSV", help="Every outcome here; inputs and cases beside it, NAME_inputs.csv."),
    ] = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Compare two result folders: what changed, and because of which inputs. Differences are no error: exit code 0."""
    from fesolver.study.explain.compare import compare_results, comparison_lines, comparison_tables

    paths = {} if out is None else {
        "outcomes": out,
        **{name: out.with_name(f"{out.stem}_{name}{out.suffix}") for name in ("inputs", "cases")},
    }  # fmt: skip
    for path in paths.values():
        if path.exists():
            raise InputError(f"{path} exists", where="--out", fix="remove it, or give another name")
    found = compare_results(a, b, rtol)
    tables = comparison_tables(found)
    for name, path in paths.items():
        try:
            tables[name].to_csv(path, index=False)
        except OSError as error:
            raise InputError(
                f"cannot write {path}: {error.strerror or error}", where="--out", fix="give a place you may write to"
            ) from None
    # What was asked for is printed even with --quiet.
    typer.echo("\n".join(comparison_lines(found)))
    return DONE
