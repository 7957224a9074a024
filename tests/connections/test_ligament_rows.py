"""Ligaments on structured, tetrahedral and voxel meshes of one column: sites, rows, laws, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from solid_meshes import tetrahedra

from fesolver.anatomy.column import Column, build_column
from fesolver.anatomy.facet_joints import facet_joints
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.ligament_landmarks import landmark_sites
from fesolver.anatomy.ligament_sites import vertebra_sites
from fesolver.anatomy.posterior import arch_depth
from fesolver.anatomy.shape import body_coordinates
from fesolver.bone.ligaments import LIGAMENTS, ligaments
from fesolver.bone.tissue import Region
from fesolver.connections.ligaments import connect_ligaments
from fesolver.connections.sites import column_sites, sites_from_landmarks
from fesolver.errors import InputError
from fesolver.fem.connections import check_connections, law_force
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import Connections, Elasticity, Problem
from fesolver.meshing.regions import facet_surface
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import mesh_column
from fesolver.surfaces.io import read_surface
from fesolver.surfaces.vertebra import vertebra_parts

COLUMN = build_column(["L1", "L2"])
BODY = ("anterior_longitudinal", "posterior_longitudinal")
KINDS = ("hex8", "hex20", "tet4", "tet10", "voxel")


def in_tetrahedra(mesh: SpineMesh) -> SpineMesh:
    """Every hexahedron cut into six, its facets into two."""
    regions = {
        name: Region((6 * region.cells[:, None] + np.arange(6)).ravel(), np.repeat(region.fraction, 6))
        for name, region in mesh.regions.items()
    }
    cells = tetrahedra(mesh.cells)
    surfaces = {}
    for name, surface in mesh.surfaces.items():
        facets, behind = [], []
        for facet, cell in zip(surface.facets, surface.cells, strict=True):
            for t in 6 * cell + np.arange(6):  # the tetrahedra's own faces, outward as theirs are
                faces = cells[t][np.array(ELEMENTS["tet4"].faces)]
                on = faces[np.isin(faces, facet).all(axis=1)]
                facets += list(on)
                behind += [t] * len(on)
        surfaces[name] = facet_surface(mesh.points, np.array(facets), np.array(behind))
    return replace(mesh, cells=cells, regions=regions, surfaces=surfaces, element="tet4")


def in_voxels(column: Column, like: SpineMesh, spacing: float = 2.5) -> SpineMesh:
    """Bodies and arches as cubes, in the frames of another mesh; no disc between them."""
    reach = np.stack(np.meshgrid(*[np.arange(-70.0, 71.0, spacing)] * 3, indexing="ij"), axis=-1)
    centre, part = reach.reshape(-1, 3), np.zeros(reach.shape[:3], dtype=int).ravel()
    for number, vertebra in enumerate(column.vertebrae):
        local = vertebra.frame.to_local(like.frame.to_parent(centre))
        part[(part == 0) & (arch_depth(local, vertebra.dimensions) > 0.0)] = 2 * number + 2
        part[body_coordinates(local, vertebra.dimensions).depth_mm > 0.0] = 2 * number + 1
    filled = np.argwhere(part.reshape(reach.shape[:3]))
    corner = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    index, cells = np.unique((filled[:, None] + corner).reshape(-1, 3), axis=0, return_inverse=True)
    cells = cells.reshape(-1, 8).astype(np.int64)
    points = (index - 0.5) * spacing - 70.0
    kind = part[part > 0]
    regions, surfaces = {}, {}
    for number, level in enumerate(column.levels):
        own = np.flatnonzero(kind == 2 * number + 1)
        behind = np.flatnonzero(kind == 2 * number + 2)
        regions[f"{level}/trabecular"] = Region(own, np.ones(len(own)))
        regions[f"{level}/posterior"] = Region(behind, np.ones(len(behind)))
        faces = cells[own][:, np.array(ELEMENTS["hex8"].faces)].reshape(-1, 4)
        _, back, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
        free = np.flatnonzero(count[back.ravel()] == 1)
        surfaces[f"{level}/outer"] = facet_surface(points, faces[free], own[free // 6])
    return SpineMesh(points, cells, regions, surfaces, like.frames, column.levels, like.frame)


@pytest.fixture(scope="module")
def meshes() -> dict[str, SpineMesh]:
    linear = mesh_column(COLUMN, refinement=0.5).mesh
    cut = in_tetrahedra(linear)
    return {
        "hex8": linear,
        "hex20": mesh_column(COLUMN, refinement=0.5, element="hex20").mesh,
        "tet4": cut,
        "tet10": second_order(cut),
        "voxel": in_voxels(COLUMN, linear),
    }


@pytest.fixture(scope="module")
def found(meshes) -> dict[str, tuple[Connections, ...]]:
    return {kind: connect_ligaments(mesh, column_sites(COLUMN, mesh.frame)) for kind, mesh in meshes.items()}


def elongation(rows: Connections, u: np.ndarray) -> np.ndarray:
    return np.add.reduceat(np.sum(rows.weights * u[rows.points], axis=1), rows.starts[:-1])


def ends(column: Column, frame: Frame, ligament: str) -> tuple[np.ndarray, np.ndarray]:
    pair = column_sites(column, frame)["L1-L2"][ligament]
    return pair.upper, pair.lower


@pytest.mark.parametrize("kind", KINDS)
def test_every_mesh_takes_all_seven_and_rigid_motions_stretch_none(meshes, found, kind):
    mesh, connections = meshes[kind], found[kind]

    assert [c.name for c in connections] == [f"L1-L2/{name}" for name in LIGAMENTS]
    elasticity = Elasticity(np.full(len(mesh.cells), 1.0), np.full(len(mesh.cells), 0.3))
    check_connections(Problem(mesh.points, mesh.cells, elasticity, element=mesh.element, connections=connections))
    rng = np.random.default_rng(2)
    u = rng.normal(size=3) + np.cross(rng.normal(size=3), mesh.points)
    for c in connections:
        # 1e-12 of displacements of about 100 mm: round-off
        assert_allclose(elongation(c, u), 0.0, atol=1e-12 * np.abs(u).max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_vertebra_that_moves_rigidly_stretches_its_ligaments_as_its_sites_move(meshes, found, kind):
    mesh = meshes[kind]
    shift, turn = np.array([0.3, -0.7, 1.1]), np.array([0.02, -0.03, 0.01])
    u = np.zeros(mesh.points.shape)
    points = np.unique(mesh.cells[mesh.level_cells("L1")])
    u[points] = shift + np.cross(turn, mesh.points[points])

    for c in found[kind]:
        upper, lower = ends(COLUMN, mesh.frame, c.name.split("/")[1])
        along = (lower - upper) / np.linalg.norm(lower - upper, axis=1)[:, None]
        exact = -np.sum(along * (shift + np.cross(turn, upper)), axis=1)
        assert_allclose(elongation(c, u), exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_owners_are_cells_of_the_bone_that_a_site_is_on(meshes, found, kind):
    mesh = meshes[kind]
    every = np.concatenate([mesh.level_cells(level) for level in mesh.levels])
    arch = np.concatenate([r.cells for name, r in mesh.regions.items() if name.endswith("/posterior")] or [every])
    for c in found[kind]:
        ligament = c.name.split("/")[1]
        bone = np.setdiff1d(every, arch) if ligament in BODY and kind == "voxel" else arch
        if ligament == "capsular":  # the phantom has no articular processes: its sites follow the pedicles
            bone = every
        assert np.all(np.isin(c.owners, bone)), c.name
        assert np.all((mesh.cells[c.owners] == c.points[:, None]).any(axis=1))


def test_strands_share_the_cross_section_of_their_ligament(meshes, found):
    mesh = meshes["hex8"]
    for c in found["hex8"]:
        entry = ligaments()[c.name.split("/")[1]]
        upper, lower = ends(COLUMN, mesh.frame, entry.name)
        length = np.linalg.norm(lower - upper, axis=1)
        strain = 1.5 * entry.switch_strain
        force = law_force(c.breaks, c.stiffness, c.force_at_break, strain * length)

        stress = entry.young_mpa[0] * entry.switch_strain + entry.young_mpa[1] * 0.5 * entry.switch_strain
        assert force.sum() == pytest.approx(entry.area_mm2 * stress, rel=1e-12)
        assert np.all(law_force(c.breaks, c.stiffness, c.force_at_break, -0.1 * length) == 0.0)


def test_springs_keep_their_sum_and_prestrain_may_differ_by_ligament(meshes):
    mesh = meshes["hex8"]
    sites = column_sites(COLUMN, mesh.frame)
    springs = connect_ligaments(mesh, sites, table=ligaments("springs"), prestrain={"supraspinous": 0.02})

    assert [c.name.split("/")[1] for c in springs] == [name for name in LIGAMENTS if name != "capsular"]
    for c in springs:
        name = c.name.split("/")[1]
        assert c.stiffness[:, 1].sum() == pytest.approx(ligaments("springs")[name].stiffness_n_per_mm)
        assert np.all((c.breaks < 0.0) == (name == "supraspinous"))


def test_sites_are_where_the_anatomy_puts_them():
    for vertebra in COLUMN.vertebrae:
        d, sites = vertebra.dimensions, vertebra_sites(vertebra.dimensions)
        for name, s in sites.items():
            both = np.concatenate([s.caudal, s.cranial])
            assert np.all(s.caudal[:, 2] < s.cranial[:, 2])
            assert_allclose(np.sort(both[:, 0]), np.sort(-both[:, 0]), atol=1e-12)  # left as right
            if s.part == "body":
                depth = body_coordinates(both, d).depth_mm
                assert_allclose(depth, 0.0, atol=0.05)  # on the wall; depth is a first-order distance
                assert np.all(np.sign(both[:, 1]) == (-1.0 if name == "anterior_longitudinal" else 1.0))
            else:
                assert np.all(arch_depth(both, d) > 0.0), name  # in the bone of the arch
        assert sites["supraspinous"].caudal[:, 1].min() > sites["interspinous"].caudal[:, 1].max()
        assert np.abs(sites["intertransverse"].caudal[:, 0]).min() > 25.0


def test_lengths_are_those_of_ligaments_between_neighbours():
    for disc, pairs in column_sites(build_column(["T12", "L1", "L2", "L3"]), Frame(np.zeros(3), np.eye(3))).items():
        assert set(pairs) == set(LIGAMENTS), disc
        for name, pair in pairs.items():
            length = np.linalg.norm(pair.upper - pair.lower, axis=1)
            low, high = (3.0, 45.0)  # from a disc's height less its wedge to the distance of two vertebrae
            assert np.all((length > low) & (length < high)), (disc, name, length)
            assert np.all(pair.upper[:, 2] > pair.lower[:, 2])


def landmarks_of(column: Column, frame: Frame) -> dict[str, dict[str, np.ndarray]]:
    """Landmarks as a surface of the parametric vertebra has them."""
    out = {}
    for v in column.vertebrae:
        sites = {name: s.to_parent(v.frame).to_local(frame) for name, s in vertebra_sites(v.dimensions).items()}
        front, back, spine = (
            sites[name] for name in ("anterior_longitudinal", "posterior_longitudinal", "supraspinous")
        )
        flavum, side = sites["ligamentum_flavum"], sites["intertransverse"]
        out[v.level] = {
            "anterior_inferior": front.caudal[2], "anterior_superior": front.cranial[2],
            "posterior_inferior": back.caudal[1], "posterior_superior": back.cranial[1],
            "lamina": 0.5 * (flavum.caudal + flavum.cranial)[1:3].mean(axis=0),
            "spinous_process_tip": 0.5 * (spine.caudal + spine.cranial)[0],
            "transverse_process_left": 0.5 * (side.caudal + side.cranial)[0],
            "transverse_process_right": 0.5 * (side.caudal + side.cranial)[1],
        }  # fmt: skip
    return out


@pytest.mark.parametrize("kind", ["hex8", "voxel"])
def test_landmarks_give_sites_that_the_same_mesh_takes(meshes, kind):
    mesh = meshes[kind]
    joints = facet_joints(COLUMN, frame=mesh.frame)
    sites = sites_from_landmarks(landmarks_of(COLUMN, mesh.frame), mesh.frames, mesh.levels, joints)

    connections = connect_ligaments(mesh, sites)

    assert [c.name for c in connections] == [f"L1-L2/{name}" for name in LIGAMENTS]
    parametric = column_sites(COLUMN, mesh.frame)["L1-L2"]
    for name in BODY:  # half an ellipse through three landmarks against the wall itself, and twice the inset
        assert_allclose(sites["L1-L2"][name].upper, parametric[name].upper, atol=3.0)
    assert "capsular" not in sites_from_landmarks(landmarks_of(COLUMN, mesh.frame), mesh.frames, mesh.levels)["L1-L2"]


def test_a_ligament_without_its_landmark_is_left_out_where_that_is_asked_for(meshes):
    mesh = meshes["hex8"]
    known = landmarks_of(COLUMN, mesh.frame)
    cropped = {**known, "L2": {name: at for name, at in known["L2"].items() if name != "spinous_process_tip"}}

    with pytest.raises(InputError, match="L2 has no landmark spinous_process_tip"):
        sites_from_landmarks(cropped, mesh.frames, mesh.levels)
    sites = sites_from_landmarks(cropped, mesh.frames, mesh.levels, missing="leave_out")

    assert {c.name.split("/")[1] for c in connect_ligaments(mesh, sites)} == {
        "anterior_longitudinal", "posterior_longitudinal", "ligamentum_flavum", "intertransverse",
    }  # fmt: skip


def outside(points: np.ndarray, triangles: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Distance from the nearest triangle's middle where the winding number says outside, 0 inside."""
    corners = points[triangles] - places[:, None, None]
    a, b, c = np.moveaxis(corners, 2, 0)
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    solid = np.sum(a * np.cross(b, c), axis=2)
    flat = la * lb * lc + np.sum(a * b, axis=2) * lc + np.sum(b * c, axis=2) * la + np.sum(c * a, axis=2) * lb
    winding = np.arctan2(solid, flat).sum(axis=1) / (2.0 * np.pi)
    return np.where(winding > 0.5, 0.0, np.linalg.norm(corners.mean(axis=2), axis=2).min(axis=1))


@pytest.mark.data
@pytest.mark.long
def test_landmarks_of_real_surfaces_give_sites_near_their_bone(data_dir):
    levels = ("L1", "L2", "L3", "L4", "L5")
    found = {
        level: vertebra_parts(read_surface(data_dir / "surfaces_L1_L5" / f"{level}.ply", axes="ALS", unit="mm"), level)
        for level in levels
    }

    sites = sites_from_landmarks(
        {level: v.landmarks for level, v in found.items()}, {level: v.frame for level, v in found.items()}, levels
    )

    for disc, pairs in sites.items():
        for level, ends_of in zip(disc.split("-"), ("upper", "lower"), strict=True):
            surface = found[level].surface
            places = np.concatenate([getattr(pair, ends_of) for pair in pairs.values()])
            # The tolerance that `connect_ligaments` allows by default is 4 mm.
            assert outside(surface.points, surface.triangles, places).max() < 3.0, (disc, level)


def test_what_cannot_be_connected_is_refused_with_ligament_and_level(meshes):
    mesh = meshes["hex8"]
    sites = column_sites(COLUMN, mesh.frame)
    pair = sites["L1-L2"]["anterior_longitudinal"]
    away = {"L1-L2": {**sites["L1-L2"], "anterior_longitudinal": replace(pair, upper=pair.upper - [0.0, 9.0, 0.0])}}

    with pytest.raises(InputError, match=r"attached to nothing[\s\S]*anterior_longitudinal on L1") as refusal:
        connect_ligaments(mesh, away)
    assert "mm outside the cells" in str(refusal.value)
    with pytest.raises(InputError, match=r"attached to nothing[\s\S]*L1-L2/capsular"):
        connect_ligaments(
            mesh, {"L1-L2": {k: v for k, v in sites["L1-L2"].items() if k != "capsular"}}, names=["capsular"]
        )
    with pytest.raises(InputError, match="no ligament sites for L1-L2"):
        connect_ligaments(mesh, {})
    with pytest.raises(InputError, match="unknown ligament 'cruciate'"):
        connect_ligaments(mesh, sites, names=["cruciate"])
    with pytest.raises(InputError, match="no law for capsular"):
        connect_ligaments(mesh, sites, table=ligaments("springs"), names=["capsular"])
    with pytest.raises(InputError, match=r"pre-strain of a strand is 1\.5"):
        connect_ligaments(mesh, sites, prestrain=1.5)
    with pytest.raises(InputError, match="tolerance_mm"):
        connect_ligaments(mesh, sites, tolerance_mm=-1.0)
    with pytest.raises(InputError, match="facet joint only"):
        column_sites(COLUMN, mesh.frame, facet_joints(COLUMN, frame=mesh.frame)[:1])
    with pytest.raises(InputError, match="L1 has no landmark lamina"):
        landmark_sites({k: [0.0, 0.0, 0.0] for k in landmarks_of(COLUMN, mesh.frame)["L1"] if k != "lamina"},
                       left=[1, 0, 0], up=[0, 0, 1], level="L1")  # fmt: skip
