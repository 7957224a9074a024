"""One run at a time on a result folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from fesolver.errors import InputError

__all__ = ["folder_lock"]

PATIENCE_S = 0.5  # a run that is just ending lets go; one that has just begun has said who it is


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other runs away from `folder` while the block runs.

    Parameters
    ----------
    folder : Path
        Result folder; it need not exist, its parents are made.

    Raises
    ------
    InputError
        If another run holds it, with that run's process, machine and start; or if no lock can be made there.

    Notes
    -----
    The lock is one of the operating system on the file `.NAME.lock` beside the folder, so a process that is killed lets
    go of it, and the folder itself can be renamed, replaced or removed under it. `.NAME.owner.json` says who holds it.
    Both files go when the block ends. Links are followed: one folder has one lock under all its names.
    """
    from filelock import FileLock, Timeout

    place = Path(folder).resolve()
    path, owner = place.with_name(f".{place.name}.lock"), place.with_name(f".{place.name}.owner.json")
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        raise InputError(
            f"another run is working on {folder}: {_holder(owner)}",
            where=str(place),
            fix="wait until it has ended, or give another result folder",
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot lock {folder}: {error.strerror or error}",
            where=str(path),
            fix="give a result folder in a place you may write to",
        ) from None
    try:
        _sign(owner)
        yield
    finally:
        for file in (owner, path):  # while the lock is still held: a next run makes its own
            with suppress(OSError):
                file.unlink()
        lock.release()


def _sign(owner: Path) -> None:
    """Write who holds the lock; a full disk does not matter here."""
    who = {
        "process": os.getpid(),
        "machine": socket.gethostname(),
        "since": datetime.now(UTC).isoformat("T", "seconds"),
    }
    temporary = owner.with_suffix(".tmp")
    with suppress(OSError):
        temporary.write_text(json.dumps(who), encoding="utf-8")
        temporary.replace(owner)


def _holder(owner: Path) -> str:
    """Who holds the lock, in words."""
    try:
        who = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {who['process']} on {who['machine']}, since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which process it is"
