"""Optional parts, loaded on call, with the package to install named where they cannot be."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

from fesolver.errors import MissingDependencyError

__all__ = ["DEBIAN_PACKAGES", "debian_package", "load_gmsh", "load_pygmsh"]

DEBIAN_PACKAGES = {
    "libGLU.so.1": "libglu1-mesa",
    "libGL.so.1": "libgl1",
    "libXft.so.2": "libxft2",
    "libXcursor.so.1": "libxcursor1",
    "libXinerama.so.1": "libxinerama1",
    "libXfixes.so.3": "libxfixes3",
    "libXrender.so.1": "libxrender1",
    "libXext.so.6": "libxext6",
    "libX11.so.6": "libx11-6",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libgomp.so.1": "libgomp1",
}
"""System library that gmsh's wheel needs -> Debian and Ubuntu package that holds it."""


def debian_package(message: str) -> str | None:
    """Package that holds the library a loader's message complains about; None where it names none.

    Examples
    --------
    >>> debian_package("libGLU.so.1: cannot open shared object file: No such file or directory")
    'libglu1-mesa'
    """
    found = re.search(r"(lib[\w+.-]+?\.so(?:\.\d+)?)", message)
    if found is None:
        return None
    name = found.group(1)
    return DEBIAN_PACKAGES.get(name, f"the one that holds {name}")


def load_gmsh() -> ModuleType:
    """Import gmsh.

    Returns
    -------
    module
        `gmsh`, not initialised.

    Raises
    ------
    MissingDependencyError
        If the Python package or a system library it needs is missing; the message names what to install.

    Notes
    -----
    gmsh is GPL and a wheel of system-dependent libraries: it is imported here and nowhere else, and only on call.
    """
    try:
        return importlib.import_module("gmsh")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"tetrahedral meshing needs the Python package {error.name}",
            fix="pip install 'fesolver[tet]' (gmsh and pygmsh are GPL)",
        ) from error
    except (OSError, ImportError) as error:
        package = debian_package(str(error))
        every = " ".join(sorted(set(DEBIAN_PACKAGES.values())))
        raise MissingDependencyError(
            f"gmsh is installed but does not load: {error}",
            fix=f"on Debian or Ubuntu: apt-get install {package if package and ' ' not in package else every}",
        ) from error


def load_pygmsh() -> ModuleType:
    """Import pygmsh, and gmsh before it.

    Returns
    -------
    module
        `pygmsh`; its geometries are used without their `with`, which would finalise a gmsh that is the caller's.

    Raises
    ------
    MissingDependencyError
        If pygmsh, gmsh or a system library is missing; the message names what to install.
    """
    load_gmsh()
    try:
        return importlib.import_module("pygmsh")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the parametric solids through pygmsh need the Python package {error.name}",
            fix="pip install 'fesolver[tet]' (gmsh and pygmsh are GPL)",
        ) from error
