"""Where shipped recipes and studies lie: in the wheel, or in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fesolver.errors import FesolverError

__all__ = ["shipped_folder"]


def shipped_folder(kind: Literal["meshes", "studies"]) -> Path:
    """Folder of the shipped files of one kind.

    Raises
    ------
    FesolverError
        If the installation lacks them.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise FesolverError(f"the installation lacks its {kind}", fix="install fesolver again")
