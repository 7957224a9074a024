"""Plain arrays in, grids out: the same answers as `prepare`, and one message for each wrong use."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
from lattices import largest_part
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.problem import Elasticity, Loads, Problem, RigidBody, RigidLoad
from fesolver.fem.recovery import integrate_fields
from fesolver.fem.voxel_mesh import corner_points, voxel_mesh
from fesolver.solvers import voxel_hierarchy
from fesolver.solvers.prepare import prepare
from fesolver.solvers.voxels import MOTIONS, Fixed, Pad, VoxelSolution, prepare_voxels, solve_voxels

SHAPE = (4, 3, 6)
SPACING = np.array([0.9, 1.4, 1.1])
GRID = tuple(n + 1 for n in SHAPE)
HELD = ("ux", "uy", "rz")


@pytest.fixture(autouse=True)
def many_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarsen down to a few nodes a side, so that small problems take some iterations."""
    monkeypatch.setattr(voxel_hierarchy, "MAX_DENSE", 40)


def plane(k: int) -> NDArray[np.bool_]:
    """Grid points at height k."""
    mask = np.zeros(GRID, dtype=bool)
    mask[:, :, k] = True
    return mask


def model(seed: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Moduli with holes, Poisson's ratios and nodal forces, all lopsided."""
    rng = np.random.default_rng(seed)
    active = rng.random(SHAPE) < 0.8
    active[:, :, [0, -1]] = active[1, 1] = True
    active[-1, -1, 2:4] = False  # one point of the grid has no material
    active = largest_part(active)
    young = np.where(active, 10 ** rng.uniform(1, 3, SHAPE), 0.0)
    poisson = np.where(active, rng.uniform(0.0, 0.49, SHAPE), np.nan)  # nothing is read where there is no material
    force = rng.standard_normal((*GRID, 3))
    force[~corner_points(active)] = np.nan
    return young, poisson, force


def supports() -> tuple[list[Fixed], list[Pad]]:
    """Two sets of given displacements at the bottom, a loaded pad on top, a moved pad on one corner's column."""
    corner = np.zeros(GRID, dtype=bool)
    corner[0, 0] = corner[0, 1] = True
    edge = np.zeros(GRID, dtype=bool)
    edge[-1, :, 0] = True
    fixed = [
        Fixed(plane(0) & ~edge & ~corner),
        Fixed(edge, "xz", 0.01),
        Fixed(edge & (np.indices(GRID)[1] == 1), "z", 0.01),
    ]
    pads = [
        Pad("top", plane(-1) & ~corner, (1.0, 2.0, 7.0), HELD, force_n=(0, 0, -50), moment_nmm=(30, -20, 0),
            motion=(0.01, -0.02, 0, 0, 0, 0.003)),
        Pad("side", corner & (np.indices(GRID)[2] > 1) & (np.indices(GRID)[2] < 6), motion=(0, 0, 0.02, 0.001, 0, 0)),
    ]  # fmt: skip
    return fixed, pads


def same_problem(
    young: NDArray[np.float64], poisson: NDArray[np.float64], force: NDArray[np.float64], integration: str
) -> tuple[Problem, Loads]:
    """The model as a `Problem` with `Loads`."""
    active = young > 0
    points, cells, lattice = voxel_mesh(active, SPACING)
    at = tuple(lattice.point_index.T)
    given = np.full((*GRID, 3), np.nan)
    fixed, pads = supports()
    for entry in fixed:
        for component in entry.components:
            given[entry.points, "xyz".index(component)] = entry.value_mm
    flat = given[at].ravel()
    dofs = np.flatnonzero(~np.isnan(flat))
    bodies, rigid = [], {}
    for pad in pads:
        ids = np.flatnonzero(pad.points[at])
        reference = points[ids].mean(axis=0) if pad.reference_mm is None else np.array(pad.reference_mm)
        bodies.append(RigidBody(pad.name, ids, reference, np.array([m in pad.fixed for m in MOTIONS])))
        rigid[pad.name] = RigidLoad(np.array(pad.force_n, float), np.array(pad.moment_nmm, float), np.array(pad.motion))
    problem = Problem(
        points, cells, Elasticity(young[active], poisson[active]), prescribed_dofs=dofs, rigid_bodies=tuple(bodies),
        lattice=lattice, integration=integration,
    )  # fmt: skip
    return problem, Loads(force[at], flat[dofs], rigid)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
@pytest.mark.parametrize("method", ["direct", "voxel-multigrid"])
def test_arrays_give_what_a_problem_gives(method, integration):
    young, poisson, force = model()
    fixed, pads = supports()
    problem, loads = same_problem(young, poisson, force, integration)
    expected = prepare(problem, method).solve(loads, rtol=1e-11)
    fields = integrate_fields(problem, expected.u)

    result = solve_voxels(
        young, poisson, SPACING, fixed=fixed, pads=pads, force_n=force, integration=integration, rtol=1e-11
    )

    points, cells = tuple(problem.lattice.point_index.T), tuple(problem.lattice.cell_index.T)
    assert result.method == "voxel-multigrid"
    for name, on_grid, values in (
        ("displacement", points, expected.u),
        ("reaction", points, expected.internal_force - loads.nodal_force),
        ("strain", cells, fields.strain),
        ("stress", cells, fields.stress),
        ("strain_energy_density", cells, fields.strain_energy_density),
    ):
        grid = getattr(result, name)
        size = np.abs(values).max()
        assert_allclose(grid[on_grid], values, rtol=0, atol=1e-7 * size, err_msg=name)
        is_material = np.zeros(grid.shape[:3], dtype=bool)
        is_material[on_grid] = True
        assert 0 < is_material.sum() < is_material.size
        assert np.all(np.isnan(grid[~is_material])), name
    for pad in pads:
        for found, other in (
            (result.pad_reaction, expected.rigid_reaction), (result.pad_motion, expected.rigid_motion),
        ):  # fmt: skip
            assert_allclose(found[pad.name], other[pad.name], rtol=0, atol=1e-7 * np.abs(other[pad.name]).max())


def test_reactions_balance_all_loads_in_force_and_moment():
    young, poisson, force = model()
    fixed, pads = supports()
    is_used = corner_points(young > 0)
    is_pad = pads[0].points | pads[1].points

    result = solve_voxels(young, poisson, SPACING, fixed=fixed, pads=pads, force_n=force, rtol=1e-11)

    x = np.moveaxis(np.indices(GRID), 0, -1) * SPACING
    at_points = np.where(is_pad[..., None], 0.0, result.reaction)[is_used] + force[is_used]
    total, moment = at_points.sum(axis=0), np.cross(x[is_used], at_points).sum(axis=0)
    for pad in pads:
        reaction = result.pad_reaction[pad.name]
        points = x[pad.points & is_used]
        reference = points.mean(axis=0) if pad.reference_mm is None else np.array(pad.reference_mm)
        total += reaction[:3]
        moment += reaction[3:] + np.cross(reference, reaction[:3])
    assert_allclose(total, 0.0, atol=1e-7)
    assert_allclose(moment, 0.0, atol=1e-6)
    assert_allclose(result.pad_reaction["top"][2:5], [-50.0, 30.0, -20.0], rtol=0, atol=1e-6)
    is_free = is_used & ~is_pad & ~plane(0)
    assert_allclose(result.reaction[is_free], 0.0, atol=1e-7)


def test_one_number_for_spacing_and_ratio_means_the_same_everywhere():
    young, _, force = model()
    one = solve_voxels(young, 0.3, 1.5, fixed=[Fixed(plane(0))], force_n=force)
    other = solve_voxels(young, np.full(SHAPE, 0.3), (1.5, 1.5, 1.5), fixed=[Fixed(plane(0))], force_n=force)

    assert_array_equal(one.displacement, other.displacement)


def test_inputs_of_any_layout_and_type_are_read_alike_and_left_alone():
    young, poisson, force = model()
    held = [Fixed(plane(0))]
    before = [a.copy() for a in (young, poisson, force)]
    expected = solve_voxels(young, poisson, SPACING, fixed=held, force_n=force).displacement

    fortran = [np.asfortranarray(a) for a in (young, poisson, force)]
    other = solve_voxels(fortran[0], fortran[1], list(SPACING), fixed=held, force_n=fortran[2]).displacement

    assert_array_equal(other, expected)
    for a, b in zip((young, poisson, force), before, strict=True):
        assert_array_equal(a, b)
    whole = np.round(young).astype(np.int64)
    assert_array_equal(
        solve_voxels(whole, 0.3, 1.0, fixed=held, force_n=force).displacement,
        solve_voxels(whole.astype(float), 0.3, 1.0, fixed=held, force_n=force).displacement,
    )


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_new_moduli_have_the_bits_of_a_new_system(integration):
    young, poisson, force = model()
    fixed, pads = supports()
    build = partial(
        prepare_voxels, poisson=poisson, spacing_mm=SPACING, fixed=fixed, pads=pads, integration=integration
    )
    system = build(young)
    first = system.solve(force).displacement
    stiffer = young.copy()
    stiffer[:, :, 3] *= 30.0

    changed = system.with_young(stiffer)

    expected = build(stiffer).solve(force)
    assert_array_equal(changed.solve(force).displacement, expected.displacement)
    assert_array_equal(changed.solve(force).stress, expected.stress)
    assert_array_equal(system.solve(force).displacement, first)
    assert_array_equal(changed.with_young(young).solve(force).displacement, first)
    assert not np.array_equal(expected.displacement, first)


def test_other_voxels_are_another_system():
    young, poisson, _ = model()
    system = prepare_voxels(young, poisson, SPACING, fixed=[Fixed(plane(0))])
    fewer, more = young.copy(), young.copy()
    fewer[1, 1, -1] = 0.0
    more[young == 0] = 5.0

    for other in (fewer, more, young[:-1], young.transpose(1, 0, 2)):
        with pytest.raises(InputError, match=r"other voxels hold material(.|\n)*use prepare_voxels"):
            system.with_young(other)
    more[0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"finite and not negative(.|\n)*voxel \(0, 0, 0\)"):
        system.with_young(more)


def test_fields_are_made_when_they_are_asked_for(monkeypatch):
    young, poisson, force = model()
    result = solve_voxels(young, poisson, SPACING, fixed=[Fixed(plane(0))], force_n=force)
    made = []
    original = VoxelSolution._fields.func
    monkeypatch.setattr(VoxelSolution._fields, "func", lambda self: made.append(1) or original(self))

    assert np.isfinite(result.displacement).any()
    assert np.isfinite(result.reaction).any()
    assert not made
    assert {"displacement", "reaction"} == {
        k for k in vars(result) if k in ("displacement", "reaction", "strain", "stress")
    }

    stress, strain = result.stress, result.strain

    assert len(made) == 1
    assert result.stress is stress
    assert result.strain is strain
    assert result.strain_energy_density[young > 0].min() >= 0
    assert len(made) == 1


def test_restart_from_the_answer_takes_no_iteration():
    young, poisson, force = model()
    fixed, pads = supports()
    system = prepare_voxels(young, poisson, SPACING, fixed=fixed, pads=pads)
    first = system.solve(force)
    start = first.displacement.copy()
    start[0, 0, 3] = 7.0  # of a pad whose motion is given: not read

    again = system.solve(force, rtol=2e-8, start_mm=start)

    assert first.iterations > 3
    assert again.iterations == 0
    assert_allclose(again.displacement, first.displacement, rtol=0, atol=1e-14 * np.nanmax(np.abs(first.displacement)))
    for name, motion in first.pad_motion.items():
        assert_allclose(again.pad_motion[name], motion, rtol=0, atol=1e-12)


def test_unconverged_solve_is_an_error_unless_it_is_asked_for():
    young, poisson, force = model()
    system = prepare_voxels(young, poisson, SPACING, fixed=[Fixed(plane(0))])

    with pytest.raises(ConvergenceError, match=r"relative residual of .* iterations; 1e-17 was asked for"):
        system.solve(force, rtol=1e-17)
    result = system.solve(force, rtol=1e-17, on_failure="return")
    assert not result.is_converged
    assert np.isfinite(result.displacement[young.shape]).all() or result.residual_norms[-1] > 1e-17


def test_no_load_is_no_displacement():
    young, poisson, _ = model()

    result = prepare_voxels(young, poisson, SPACING, fixed=[Fixed(plane(0))]).solve()

    assert result.iterations == 0
    assert_array_equal(result.displacement[corner_points(young > 0)], 0.0)


BLOCK = np.full((3, 3, 3), 10.0)
BASE, TOP, LINE = np.zeros((3, 4, 4, 4), dtype=bool)
BASE[:, :, 0] = TOP[:, :, -1] = LINE[:, 1, -1] = True
UNIT = np.zeros((4, 4, 4, 3))
UNIT[1, 1, 3] = 1.0


def put(array: NDArray[np.float64], at: tuple[object, ...], value: float) -> NDArray[np.float64]:
    """A copy with one entry, or a slice, changed."""
    out = array.copy()
    out[at] = value
    return out


GAP, LOW = put(BLOCK, np.s_[:, :, 1], 0.0), put(BLOCK, np.s_[:, :, 2], 0.0)
RATIO = np.full(BLOCK.shape, 0.3)
WRONG: dict[str, tuple[dict[str, object], str]] = {
    "modulus NaN": ({"young_mpa": put(BLOCK, (1, 2, 0), np.nan)}, r"finite and not negative.*voxel \(1, 2, 0\)"),
    "modulus negative": ({"young_mpa": put(BLOCK, (0, 2, 1), -1.0)}, r"finite and not negative.*voxel \(0, 2, 1\)"),
    "modulus infinite": ({"young_mpa": put(BLOCK, (2, 2, 1), np.inf)}, r"finite and not negative.*voxel \(2, 2, 1\)"),
    "moduli flat": ({"young_mpa": BLOCK[0]}, r"three axes \(nx, ny, nz\), got shape \(3, 3\)"),
    "no moduli": ({"young_mpa": np.zeros((0, 3, 3))}, "young_mpa"),
    "no material": ({"young_mpa": 0 * BLOCK}, r"no cell is active in a grid of shape \(3, 3, 3\).*moduli above zero"),
    "ratio 0.5": ({"poisson": put(RATIO, (1, 2, 0), 0.5)}, r"\(-1, 0.5\), got 0.5.*voxel \(1, 2, 0\)"),
    "ratio -1": ({"poisson": -1.0}, r"\(-1, 0.5\), got -1"),
    "ratio NaN": ({"poisson": put(RATIO, (0, 0, 2), np.nan)}, r"\(-1, 0.5\), got nan.*voxel \(0, 0, 2\)"),
    "spacing zero": ({"spacing_mm": [1.0, 0.0, 1.0]}, r"cell size must be .* got \[1.0, 0.0, 1.0\] mm"),
    "spacing NaN": ({"spacing_mm": np.nan}, "cell size must be .* got nan mm"),
    "spacing infinite": ({"spacing_mm": np.inf}, "cell size must be .* got inf mm"),
    "spacing shape": ({"spacing_mm": [1.0, 1.0]}, r"cell size must be .* got \[1.0, 1.0\] mm"),
    "ratio shape": ({"poisson": RATIO[:, :, :2]}, r"\(3, 3, 2\)"),
    "pad reference NaN": ({"pads": [Pad("a", TOP, (0, 0, np.nan), (), (0, 0, 1))]}, "reference_mm of pad 'a'"),
    "pad reference shape": ({"pads": [Pad("a", TOP, (0, 0), (), (0, 0, 1))]}, "reference_mm of pad 'a'"),
    "integration": ({"integration": "reduced"}, "unknown integration 'reduced'.*use 'b-bar' or 'full'"),
    "rtol 2": ({"rtol": 2.0}, "rtol must lie between 0 and 1, got 2"),
    "rtol 0": ({"rtol": 0.0}, "rtol must lie between 0 and 1, got 0"),
    "rtol NaN": ({"rtol": np.nan}, "rtol must lie between 0 and 1, got nan"),
    "threads": ({"threads": 0}, "number of threads must be at least 1"),
    "force NaN": ({"force_n": put(UNIT, (1, 1, 3, 0), np.nan)}, "force_n must be finite"),
    "force infinite": ({"force_n": put(UNIT, (0, 0, 0, 2), -np.inf)}, "force_n must be finite"),
    "force shape": ({"force_n": UNIT[:3]}, r"force_n must have shape \(4, 4, 4, 3\), got \(3, 4, 4, 3\)"),
    "no forces": ({"force_n": UNIT[:0]}, r"force_n must have shape \(4, 4, 4, 3\), got \(0, 4, 4, 3\)"),
    "nothing held": ({"fixed": ()}, r"the mesh can move freely.*\(1.5, 1.5, 1.5\) mm.*hold it with a pad"),
    "one direction held": ({"fixed": [Fixed(BASE, "z")]}, "supports hold 3 of its 6 rigid motions"),
    "island": ({"young_mpa": GAP}, r"a part of 9 of 18 cells can move freely.*\(1.5, 1.5, 2.5\) mm.*remove the part"),
    "pad off the material": ({"young_mpa": LOW, "pads": [Pad("top", TOP)]}, "pad 'top' holds no point of the material"),
    "pad empty": ({"pads": [Pad("top", TOP & BASE)]}, "pad 'top' holds no point of the material"),
    "pad shape": ({"pads": [Pad("top", TOP[:2])]}, r"pad 'top' must be a mask of shape \(4, 4, 4\), got \(2, 4, 4\)"),
    "pad on a line": ({"pads": [Pad("top", LINE, fixed=())]}, "rigid body 'top' can turn about the points tied to it"),
    "pad on fixed": ({"pads": [Pad("top", BASE)]}, r"held by two constraints.*\(0.0, 0.0, 0.0\) mm.*remove it"),
    "pad on pad": ({"pads": [Pad("a", TOP), Pad("b", LINE)]}, r"held by two constraints.*\(0.0, 1.0, 3.0\) mm.*remove"),
    "pad named twice": ({"pads": [Pad("a", TOP), Pad("a", LINE)]}, "two pads are named 'a'"),
    "pad motion name": ({"pads": [Pad("a", TOP, fixed=("up",))]}, r"unknown motion \['up'\].*use ux, uy, uz"),
    "pad force NaN": ({"pads": [Pad("a", TOP, fixed=(), force_n=(0, 0, np.nan))]}, "force_n of pad 'a'"),
    "pad moment": ({"pads": [Pad("a", TOP, fixed=(), moment_nmm=(0, 0))]}, "moment_nmm of pad 'a' must be 3 numbers"),
    "pad motion NaN": ({"pads": [Pad("a", TOP, motion=(0, 0, np.nan, 0, 0, 0))]}, "motion of pad 'a'"),
    "fixed off the material": (
        {"young_mpa": LOW, "fixed": [Fixed(BASE), Fixed(TOP)]}, "a fixed set holds no point of the material",
    ),
    "fixed shape": ({"fixed": [Fixed(BASE[:, :2])]}, r"a fixed set must be a mask of shape \(4, 4, 4\)"),
    "fixed component": ({"fixed": [Fixed(BASE, "w")]}, "components must be some of 'x', 'y', 'z', got 'w'"),
    "fixed nothing": ({"fixed": [Fixed(BASE, "")]}, "components must be some of 'x', 'y', 'z', got ''"),
    "fixed NaN": ({"fixed": [Fixed(BASE, "xyz", np.nan)]}, "value_mm of a fixed set must be finite, got nan"),
    "fixed twice": ({"fixed": [Fixed(BASE), Fixed(BASE, "z", 1.0)]}, "two different displacements .* along z"),
}  # fmt: skip


def use(**change: object) -> VoxelSolution:
    """A good call with something changed."""
    given: dict[str, object] = {
        "young_mpa": BLOCK, "poisson": 0.3, "spacing_mm": 1.0, "fixed": [Fixed(BASE)], "force_n": UNIT,
    }  # fmt: skip
    return solve_voxels(**{**given, **change})


def test_the_good_call_is_good():
    assert use().is_converged
    assert use(pads=[Pad("top", TOP, fixed=(), force_n=(0, 0, -1))]).is_converged


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_answered_with_one_message(name):
    change, words = WRONG[name]

    with pytest.raises(InputError) as caught:
        use(**change)

    assert type(caught.value) is InputError
    assert re.search(words, str(caught.value), re.DOTALL), str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start_mm": UNIT[:2]}, r"start_mm must have shape \(4, 4, 4, 3\), got \(2, 4, 4, 3\)"),
        ({"start_mm": np.full_like(UNIT, np.nan)}, "start_mm must be finite"),
        ({"reaction_rtol": 1.5}, "reaction_rtol must lie between 0 and 1, got 1.5"),
        ({"reaction_rtol": 0.0}, "reaction_rtol must lie between 0 and 1, got 0"),
        ({"reaction_rtol": np.nan}, "reaction_rtol must lie between 0 and 1, got nan"),
        ({"rtol": -1e-8}, "rtol must lie between 0 and 1, got -1e-08"),
        ({"on_failure": "ignore"}, "on_failure"),
    ],
)
def test_wrong_use_of_solve_is_answered_with_one_message(change, words):
    system = prepare_voxels(BLOCK, 0.3, 1.0, fixed=[Fixed(BASE)])

    with pytest.raises(InputError, match=words):
        system.solve(UNIT, **change)


def test_reaction_tolerance_stops_earlier_and_keeps_its_word():
    young, poisson, _ = model()
    pads = [Pad("bottom", plane(0)), Pad("top", plane(-1), motion=(0, 0, -0.1, 0, 0, 0))]
    system = prepare_voxels(young, poisson, SPACING, pads=pads)
    exact = system.solve(rtol=1e-11)

    early = system.solve(rtol=1e-11, reaction_rtol=1e-3)

    assert early.stopped_by == "reaction"
    assert exact.stopped_by == "residual"
    assert early.iterations < exact.iterations
    assert early.pad_reaction["top"][2] == pytest.approx(exact.pad_reaction["top"][2], rel=1e-3)
