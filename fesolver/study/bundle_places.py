"""Where a bundle's inputs come from and go to, and texts without the places of the machine they were written on."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesolver.errors import InputError
from fesolver.study.config import is_path_key
from fesolver.study.input_hashes import combined_hash, companion_files

__all__ = ["InputCopy", "Places", "copy_of", "map_paths"]

_ABSOLUTE = re.compile(r"(?<![\w.~/:*-])(?:[A-Za-z]:[\\/]|/(?=[^\s/\"']+/))[^\s\"'`,;:()<>\[\]]+")
"""Absolute paths of two steps or more in running text, of any system."""

_ADDRESS = re.compile(r"\b(?:tcp|tls|ucx|ws|wss|inproc)://[^\s\"',;)]+")
_UNSAFE = re.compile(r"[\\/:*?\"<>|\x00-\x1f\x7f]")


@dataclass(frozen=True)
class InputCopy:
    """One input of a study and what a bundle holds of it.

    Parameters
    ----------
    source : Path
        As the study has it.
    place : str
        Path in the bundle that stands for it.
    members : tuple of (str, Path)
        Path in the bundle and file, of the input and of what is read with it.
    """

    source: Path
    place: str
    members: tuple[tuple[str, Path], ...]


def copy_of(source: Path) -> InputCopy:
    """What a bundle holds of an input file or folder, under its hash and name; links are followed.

    Raises
    ------
    InputError
        If it is not there, or its name cannot be used on every system.
    """
    if not source.exists():
        raise InputError(f"the input {source} is not there any more", where=str(source), fix="put it back")
    files = sorted(f for f in source.iterdir() if f.is_file()) if source.is_dir() else [source]
    files += companion_files(source)
    for path in {source, *files}:
        if _UNSAFE.search(path.name) or path.name.startswith("..") or path.name.endswith((" ", ".")):
            raise InputError(
                f"the name {path.name!r} cannot be used on every system", where=str(path),
                fix="rename it, and run the study again",
            )  # fmt: skip
    folder = f"inputs/{combined_hash(source)[:16]}"
    place = f"{folder}/{source.name}"
    inside = place if source.is_dir() else folder
    return InputCopy(source, place, tuple((f"{inside}/{path.name}", path) for path in files))


def map_paths(config: MutableMapping[str, Any], change: Callable[[str], str]) -> None:
    """Change every path in the tables of a study, in place.

    Parameters
    ----------
    config : mutable mapping
        As `StudyConfig.model_dump(mode="json", by_alias=True)` gives it.
    change : callable
        Old path -> new one.
    """
    _map_table(config.get("input"), ("input",), change)
    design = config.get("design")
    if design and design.get("file"):
        design["file"] = change(design["file"])
    for factor in (config.get("factors") or {}).values():
        keys = [factor["key"]] if isinstance(factor.get("key"), str) else factor.get("key") or []
        if keys and all(is_path_key(tuple(key.split("."))) for key in keys):
            for name in ("values", "base"):
                factor[name] = _mapped(factor.get(name), change)
        for level in factor.get("levels") or ():
            _map_table(level["set"], (), change)


def _map_table(node: Any, above: tuple[str, ...], change: Callable[[str], str]) -> None:
    """Change the paths under the path keys of a table of tables; keys may be dotted."""
    if not isinstance(node, MutableMapping):
        return
    for key, value in node.items():
        steps = (*above, *key.split("."))
        if isinstance(value, str) and is_path_key(steps):
            node[key] = change(value)
        else:
            _map_table(value, steps, change)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A path or a list of paths, changed."""
    if isinstance(value, str):
        return change(value)
    return [_mapped(item, change) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Places:
    """Puts the bundle's own places into texts, and takes this machine's out.

    Parameters
    ----------
    inputs : mapping of str to str
        Path of an input as the study has it -> path in the bundle.
    folders : tuple of (str, str)
        Folders of this machine and the words for them.
    """

    inputs: Mapping[str, str]
    folders: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(inputs: Mapping[str, str], result: Path) -> Places:
        """The places of a bundle of a result folder, made here."""
        known = {str(result.absolute()): "results", str(result.resolve()): "results"}
        known |= {str(Path(path).parent): "inputs" for path in inputs}
        known |= {str(Path.cwd()): ".", str(Path.home()): "~"}
        long_first = sorted(known.items(), key=lambda item: -len(item[0]))
        return Places(inputs, tuple((path, word) for path, word in long_first if len(path) > 1))

    def text(self, text: str) -> str:
        """A text with the bundle's paths; of others only the last step is left, and no name of a machine."""
        if text in self.inputs:
            return self.inputs[text]
        for path in sorted(self.inputs, key=len, reverse=True):
            text = text.replace(path, self.inputs[path])
        for folder, word in self.folders:
            text = re.sub(rf"(?<![\w.~/]){re.escape(folder)}(?![\w-])", word, text)
        text = _ADDRESS.sub("(address)", _ABSOLUTE.sub(_last_step, text))
        for name in {socket.gethostname(), socket.gethostname().partition(".")[0]}:
            if len(name) > 3 and name != "localhost":
                text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "(machine)", text)
        return text

    def plain(self, node: Any) -> Any:
        """JSON values with every text changed; keys too, which may be paths of inputs."""
        if isinstance(node, str):
            return self.text(node)
        if isinstance(node, Mapping):
            return {self.inputs.get(key, key): self.plain(value) for key, value in node.items()}
        return [self.plain(item) for item in node] if isinstance(node, list | tuple) else node


def _last_step(found: re.Match[str]) -> str:
    """The last step of a path."""
    return ".../" + re.split(r"[\\/]", found.group().rstrip("\\/"))[-1]
