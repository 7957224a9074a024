"""gmsh, where it is installed: it loads and meshes a box."""

import os

import pytest

from fesolver.errors import MissingDependencyError
from fesolver.meshing.optional import load_gmsh


@pytest.mark.tet
def test_gmsh_fills_a_box_with_tetrahedra():
    try:
        gmsh = load_gmsh()
    except MissingDependencyError as error:
        if "tet" in os.environ.get("FESOLVER_REQUIRE", "").split(","):
            raise
        pytest.skip(str(error))
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.occ.addBox(0, 0, 0, 2.0, 3.0, 4.0)
        gmsh.model.occ.synchronize()
        gmsh.model.mesh.generate(3)
        types, tags, _ = gmsh.model.mesh.getElements(dim=3)
        volumes = gmsh.model.mesh.getElementQualities(tags[0], "volume")
    finally:
        gmsh.finalize()

    assert list(types) == [4]
    assert sum(volumes) == pytest.approx(24.0)
