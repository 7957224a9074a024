"""Importing the package is quick and pulls in nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["numba", "scipy.sparse", "pandas", "SimpleITK", "matplotlib", "gmsh", "pygmsh", "meshio", "pydantic", "pyamg"]


def modules_after(code: str) -> dict[str, bool]:
    """Which heavy modules a fresh interpreter holds after the code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps({{m: m in sys.modules for m in {HEAVY!r}}}))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def test_importing_the_package_imports_no_heavy_library():
    assert not any(modules_after("import fesolver").values())


def test_every_public_name_loads_and_is_listed():
    import fesolver

    for name in fesolver.__all__:
        assert getattr(fesolver, name) is not None
    assert set(fesolver.__all__) <= set(dir(fesolver))


def test_an_unknown_name_is_an_attribute_error():
    import fesolver

    with pytest.raises(AttributeError, match="no_such_name"):
        _ = fesolver.no_such_name


def test_kernels_compile_in_memory_where_no_cache_can_be_written(tmp_path):
    """A read-only install without a home: one warning that names NUMBA_CACHE_DIR, and it works."""
    script = (
        "import warnings\n"
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import fesolver.fem.kernels.solids as solids\n"
        "import numpy as np\n"
        "corners, out = np.eye(3), np.empty((3, 3))\n"
        "print(solids.invert_jacobian(corners, np.eye(3), out), [str(w.message) for w in caught])\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert run.stdout.startswith("1.0 ")
    assert run.stdout.count("NUMBA_CACHE_DIR") == 1
