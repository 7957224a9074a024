"""The texts of a bundle: how to run it, versions, a batch script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["readme_text", "slurm_text", "versions_text"]


def readme_text(
    config: Mapping[str, Any], versions: Mapping[str, str], n_cases: int, n_inputs: int, *, with_fields: bool
) -> str:
    """What the bundle is and how to run it."""
    fields = "and the fields of cases " if with_fields else ""
    what = "inputs and its results" if n_inputs else "results"
    leads = "; its paths lead into inputs/" if n_inputs else ", which reads no other file"
    inputs = "\n  inputs/          every file it reads, under the beginning of its SHA-256" if n_inputs else ""
    return f"""{config["name"]}
{config.get("description") or ""}

A study of fesolver {versions.get("fesolver", "")} with its {what}; cases: {n_cases}.
Research software: not for the diagnosis or treatment of any patient.

  study.toml       the study, every default written out{leads}{inputs}
  results/study/   tables, rows (Parquet), record of the run, records {fields}of cases
  versions.txt     what it was made with
  slurm.sh         a batch script to fill in
  manifest.json    path, size and SHA-256 of every file here

Run it again, in this folder:

  pip install -r versions.txt           # of Python {versions.get("python", "3.11 or newer")}
  fesolver run study.toml               # finds results/study/, computes what is missing: nothing, with this version
  fesolver run study.toml --out again   # computes everything
  fesolver compare results/study again

Another version of fesolver computes all cases again, as it may give other numbers.
"""


def versions_text(versions: Mapping[str, str], commit: str | None) -> str:
    """Pins of the packages that decide results, in the form that pip reads."""
    lines = [f"# Python {versions.get('python', 'unknown')}"]
    if commit:
        lines.append(f"# fesolver ran from commit {commit}" + (", changed" if commit.endswith("+") else ""))
    pins = {name: version for name, version in versions.items() if name != "python" and version != "not installed"}
    return "\n".join([*lines, *(f"{name}=={pins[name]}" for name in sorted(pins, key=str.lower))]) + "\n"


def slurm_text(config: Mapping[str, Any]) -> str:
    """A SLURM script for one machine: from `[cluster]` where the study has one of SLURM, else to be filled in."""
    cluster = config.get("cluster") or {}
    is_slurm = cluster.get("kind") == "slurm"
    given = cluster if is_slurm else {}
    head = [
        f"#SBATCH --job-name={config['name']}",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks=1",
        f"#SBATCH --cpus-per-task={given.get('cores', 8)}",
        f"#SBATCH --mem={max(round(1024 * given.get('memory_gb', 16.0)), 1)}M",
        f"#SBATCH --time={given.get('walltime', '01:00:00')}",
    ]
    for option, key in (("partition", "queue"), ("account", "account")):
        value = given.get(key)
        head.append(f"#SBATCH --{option}={value}" if value else f"##SBATCH --{option}=FILL_IN  # where your site asks")
    head += [f"#SBATCH {line}" for line in given.get("extra_directives") or ()]
    first = list(given.get("prologue") or ()) or [
        "# fill in: load Python and the environment that has fesolver and the versions of versions.txt",
        "# module load python/3.11",
        '# . "$HOME/fesolver/bin/activate"',
    ]
    note = "from [cluster] of the study" if is_slurm else "fill in cores, memory, time and what your site asks for"
    return "\n".join([
        "#!/bin/sh",
        f"# One machine of a SLURM cluster; {note}. Submit it in this folder: sbatch slurm.sh",
        *head,
        "set -e",
        *first,
        'cd "${SLURM_SUBMIT_DIR:-.}"',
        "fesolver run study.toml",
    ]) + "\n"  # fmt: skip
