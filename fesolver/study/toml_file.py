"""Reading a TOML file: one clear message for each way it can fail."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from fesolver.errors import InputError

__all__ = ["is_study_file", "read_toml"]


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Tables of a TOML file; `what` it is, in messages (`study`, `recipe`).

    Raises
    ------
    InputError
        If the file is missing, a folder, no UTF-8 text, no TOML or cannot be read.
    """
    if not path.is_file():
        state = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{what} file {path} {state}", where=str(path), fix=f"give the path of a .toml {what} file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError(
            f"{path.name} is not a TOML file: it is no UTF-8 text", where=str(path), fix="give the path of a .toml file"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{path.name} is not a TOML file: {error}", where=str(path), fix="correct it there; texts need quotes"
        ) from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None


def is_study_file(given: str) -> bool:
    """Whether a path is that of a TOML file with an `[input]` table: a study, not a recipe."""
    path = Path(given)
    if not path.is_file():
        return False
    try:
        return "input" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
