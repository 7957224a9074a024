"""The files of a dataset: parts written whole or not at all, and read while others come and go."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from fesolver.errors import InputError
from fesolver.study.engine.parts import DamagedPartError, Record, decode_part

__all__ = ["OnDamage", "every_part", "read_part", "remove_temporaries", "sync_folder", "write_part"]

OnDamage = Callable[[Path, DamagedPartError], None]


def write_part(folder: Path, data: memoryview, after: Iterable[str]) -> str:
    """Write a new part, whole or not at all, numbered after those named; its name."""
    last = max(map(_number, after), default=0)
    name = f"part-{last + 1:08d}-{secrets.token_hex(4)}.parquet"
    temporary = folder / f".{name}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / name)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return name


def remove_temporaries(folder: Path) -> None:
    """Clear what killed runs were writing."""
    for temporary in folder.glob(".part-*.tmp"):
        temporary.unlink(missing_ok=True)


def every_part(folder: Path, on_damage: OnDamage) -> Iterator[tuple[str, int, list[Record]]]:
    """Name, bytes and rows of all parts; where one vanishes (merged by the run), what came in its place as well."""
    done: set[str] = set()
    vanished = True
    while vanished:
        vanished = False
        for name in _listing(folder):
            if name not in done:
                try:
                    found = read_part(folder / name, on_damage)
                except FileNotFoundError:
                    vanished = True
                    continue
                done.add(name)
                if found is not None:
                    yield name, *found


def read_part(path: Path, on_damage: OnDamage) -> tuple[int, list[Record]] | None:
    """Bytes and rows of a part; None after `on_damage` where it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise  # merged meanwhile: for the caller to see
    except OSError as error:
        raise InputError(f"cannot read results: {error.strerror or error}", where=str(path)) from None
    try:
        return len(data), decode_part(data, str(path))
    except DamagedPartError as error:
        on_damage(path, error)
        return None


def _listing(folder: Path) -> list[str]:
    """Names of the parts, in order; two listings agree, as one alone may miss both old parts and their merger."""
    before: list[str] | None = None
    while True:
        try:
            names = sorted(
                name for name in os.listdir(folder) if name.startswith("part-") and name.endswith(".parquet")
            )
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise InputError(f"cannot read results: {error.strerror or error}", where=str(folder)) from None
        if names == before:
            return names
        before = names


def _number(name: str) -> int:
    """Number in the name of a part; 0 for a name that is not ours."""
    digits = name.split("-")[1] if name.count("-") > 1 else ""
    return int(digits) if digits.isdecimal() else 0


def sync_folder(folder: Path) -> None:
    """Bring names in a folder to the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
