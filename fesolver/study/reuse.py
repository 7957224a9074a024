"""What the cases of a study share in one process: meshes, prepared systems, intact solutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fesolver.imaging.volume import SegmentImage
from fesolver.meshing.memo import Memo
from fesolver.solvers.solution import Start
from fesolver.study.config import StudyConfig
from fesolver.study.inputs import StudyData
from fesolver.study.intact_starts import intact_starts
from fesolver.study.kept import Kept, geometry_key, intact_key
from fesolver.study.memory import check_memory
from fesolver.study.model import Model, intact_model
from fesolver.study.segments import mesh_segment_of
from fesolver.study.solving import SolvedIntact, SolveOptions, solve_intact

__all__ = ["Reuse", "SolvedModel"]

Root = Callable[[StudyConfig], tuple[StudyConfig, StudyData] | None]


@dataclass(frozen=True)
class SolvedModel:
    """An intact model and its solved states.

    Parameters
    ----------
    model : Model
    solved : SolvedIntact
    image : SegmentImage or None
        What a voxel mesh was made from.
    memo : Memo
        What has been worked out from its states.
    """

    model: Model
    solved: SolvedIntact
    image: SegmentImage | None
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)


@dataclass
class Reuse:
    """What cases leave for each other in one process.

    Parameters
    ----------
    root : callable, optional
        Study and data that the intact states of a study begin from: on its mesh, fixed before the first solve. None, or
        returning None or the study itself, begins at rest.
    used : list of str
        What the case at hand did not have to make: `mesh`, `intact solution`, `prepared system`. Empty it before one.

    Notes
    -----
    A value that is kept has the bits of one that would be made again: an intact state begins from its root, whoever
    solved it, and a treated one from its intact one. So no result depends on which cases went before.
    """

    root: Root | None = None
    used: list[str] = field(default_factory=list)
    _meshes: Kept[Any] = field(default_factory=lambda: Kept[Any](2))
    _intact: Kept[SolvedModel] = field(default_factory=lambda: Kept[SolvedModel](3))
    _starts: Kept[Mapping[str, Start]] = field(default_factory=lambda: Kept[Mapping[str, Start]](3))

    def intact(self, config: StudyConfig, data: StudyData, coarsening: float, how: SolveOptions) -> SolvedModel:
        """The solved intact model of a study on cells `coarsening` times as large, made or kept."""
        key = _key(config, coarsening, how)
        if key in self._intact:
            self._note("intact solution")
            return self._intact.get(key, _never)
        parent, starts = self._parent(config, key, coarsening, how) or (None, None)
        return self._intact.get(key, lambda: self._solve(config, data, coarsening, how, parent, starts))

    def _parent(
        self, config: StudyConfig, key: str, coarsening: float, how: SolveOptions
    ) -> tuple[SolvedModel, Mapping[str, Start]] | None:
        """What the intact states of a study begin from."""
        found = None if self.root is None else self.root(config)
        if found is None or _key(found[0], coarsening, how) == key:
            return None
        self._note("prepared system")
        root = self.intact(found[0], found[1], coarsening, how)
        rtol = found[0].solver.rtol  # the root's: a start that is kept must not depend on the case that made it
        return root, self._starts.get(_key(found[0], coarsening, how), lambda: intact_starts(root.solved, rtol, how))

    def _solve(
        self,
        config: StudyConfig,
        data: StudyData,
        coarsening: float,
        how: SolveOptions,
        parent: SolvedModel | None,
        starts: Mapping[str, Start] | None,
    ) -> SolvedModel:
        """Mesh and solve, or solve on the mesh that is kept."""
        if f"{geometry_key(config)} x{coarsening:.17g}" in self._meshes:
            self._note("mesh")
        segment = mesh_segment_of(config, data, how.stages, coarsening, self._meshes)
        check_memory(segment.mesh, has_connections=config.connections.is_used)
        with how.stages("mesh"):
            model = intact_model(config, segment)
        solved = solve_intact(config, model, how, parent=None if parent is None else parent.solved, starts=starts)
        return SolvedModel(model, solved, segment.image)

    def _note(self, what: str) -> None:
        """Remember, once, what was used again."""
        if what not in self.used:
            self.used.append(what)


def _key(config: StudyConfig, coarsening: float, how: SolveOptions) -> str:
    """What a solved intact model depends on."""
    return f"{intact_key(config)} x{coarsening:.17g} {how.with_looser} {how.with_isolated}"


def _never() -> SolvedModel:
    """Stands where a value is known to be kept."""
    raise AssertionError
