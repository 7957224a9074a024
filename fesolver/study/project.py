"""A researcher's working folder, from the templates of the package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from fesolver.errors import InputError

__all__ = ["make_project"]

_NAMES = {"gitignore": ".gitignore"}
"""Templates whose own names would mean something in this repository."""


def make_project(folder: str | Path) -> tuple[Path, ...]:
    """Make a working folder: `studies/`, `meshes/`, `results/`, `README.md`, `.gitignore`.

    Parameters
    ----------
    folder : path
        New, or empty.

    Returns
    -------
    tuple of Path
        The files in it, in the order of their names.

    Raises
    ------
    InputError
        If the folder holds something, is a file, or cannot be written.
    """
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            state = "is not empty" if folder.is_dir() else "is a file"
            raise InputError(f"{folder} {state}", where=str(folder), fix="give a folder that is new or empty")
        target = folder.resolve()  # a link to an empty folder stays a link
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            for name, text in sorted(_templates(files("fesolver") / "_templates" / "project")):
                path = staging / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text.replace("PROJECT", target.name, 1), encoding="utf-8")
            (staging / "results").mkdir()
            if target.exists():
                target.rmdir()
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"cannot make {folder}: {error.strerror or error}", where=str(folder), fix="give a place you may write to"
        ) from None
    return tuple(path for path in sorted(folder.rglob("*")) if path.is_file())


def _templates(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of every template."""
    for entry in folder.iterdir():
        name = above + _NAMES.get(entry.name, entry.name)
        if entry.is_dir():
            yield from _templates(entry, f"{name}/")
        else:
            yield name, entry.read_text(encoding="utf-8")
