"""A Dask cluster as a pool sees it: reached, asked who is there, and checked before anything runs on it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from fesolver.errors import ClusterError, InputError, MissingDependencyError

__all__ = ["DaskWorker", "connect", "examine", "load_cluster_package", "workers_there"]

_log = logging.getLogger("fesolver")

ANSWER_S = 10.0
"""How long a scheduler may take to answer, s."""

LOOK_S = 60.0
"""How long workers may take to say what they have, s: many that read one network disk at once are slow."""

COMPARED = ("fesolver", "numpy", "numba")
"""Packages whose version may change the bits of a result, or what is understood."""

NEEDED = "fesolver.study.engine.dask_worker"


@dataclass
class DaskWorker:
    """One worker process of the cluster and what it has to do.

    Parameters
    ----------
    number : int
        From 1; the process that a nanny starts in place of a dead one has another.
    address : str
        Where it listens; another process may have it later.
    threads : int
        That Dask counts for it.
    sees_folder : bool
        It can write into the result folder.
    """

    number: int
    address: str
    threads: int = 1
    sees_folder: bool = True
    is_running: bool = True
    positions: deque[int] = field(default_factory=deque)
    tickets: deque[int] = field(default_factory=deque)
    groups: tuple[str, ...] | None = None


def load_cluster_package(name: str) -> ModuleType:
    """Import `distributed` or `dask_jobqueue`.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"running on a cluster needs the Python package {error.name or name}",
            fix="pip install 'fesolver[cluster]', here and on the workers",
        ) from error


def connect(scheduler: Any) -> Any:
    """A client of a scheduler.

    Parameters
    ----------
    scheduler : str or Cluster
        Address, or a cluster of `distributed` or `dask_jobqueue`.

    Returns
    -------
    distributed.Client

    Raises
    ------
    InputError
        If nothing answers there in 10 s.
    """
    distributed = load_cluster_package("distributed")
    try:
        if isinstance(scheduler, str):
            _knock(distributed, scheduler)
        return distributed.Client(scheduler, timeout=ANSWER_S, set_as_default=False, name="fesolver")
    except Exception as error:  # what listens there may be anything
        raise InputError(
            f"no Dask scheduler answers at {scheduler} within {ANSWER_S:.0f} s",
            where="--scheduler",
            fix="give its address as it prints it, tcp://HOST:PORT, and look whether this machine can reach it",
        ) from error


def _knock(distributed: ModuleType, address: str) -> None:
    """Raise where nobody at an address speaks as Dask does; its own client waits for ever for a listener that is dumb.

    In a thread of its own, since this one may have a loop that runs.
    """

    async def knock() -> None:
        options = distributed.Security().get_connection_args("client")
        connecting = importlib.import_module("distributed.comm").connect(address, timeout=ANSWER_S, **options)
        (await asyncio.wait_for(connecting, ANSWER_S)).abort()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, knock()).result()


def workers_there(client: Any) -> dict[str, dict[str, Any]]:
    """Workers of the cluster, with `address`, `nthreads`, `status`, by what is another for every process.

    An address may come again, and so may a name; the folder that a worker makes for itself does not.

    Raises
    ------
    ClusterError
        If the scheduler is lost.
    """
    try:
        if client.status != "running":
            raise OSError(client.status)
        found = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=LOOK_S)
    except OSError as error:
        raise lost_scheduler() from error
    return {
        f"{address} {info['local_directory']}": {**info, "address": address}
        for address, info in found["workers"].items()
    }


def lost_scheduler() -> ClusterError:
    """What is said when the scheduler goes away."""
    return ClusterError(
        "the connection to the Dask scheduler was lost; the cases that came back are kept",
        fix="start the cluster again and run the same command: it does what is missing",
    )


def examine(client: Any, addresses: Sequence[str], folder: Path | None) -> tuple[dict[str, bool], dict[str, str]]:
    """Ask workers what they have.

    Parameters
    ----------
    client : distributed.Client
    addresses : sequence of str
    folder : Path or None
        That they should see.

    Returns
    -------
    fit : dict of str to bool
        Address -> whether it sees the folder. A worker that ended meanwhile is in neither table.
    unfit : dict of str to str
        Address -> what it has, where that is not what is here.
    """
    own = own_versions()
    found: dict[str, dict[str, Any]] = {address: {} for address in addresses}
    for package in COMPARED:
        for address, answer in _ask(client, addresses, importlib.metadata.version, package).items():
            if isinstance(answer, OSError):
                found.pop(address, None)
            elif address in found:
                found[address][package] = None if isinstance(answer, Exception) else str(answer)
    unfit = {address: _difference(versions, own) for address, versions in found.items() if versions != own}
    same = [address for address in found if address not in unfit]
    for address, answer in _ask(client, same, importlib.util.find_spec, NEEDED).items():
        if answer is None or isinstance(answer, ImportError):
            unfit[address] = f"no {NEEDED}"
    fit = [address for address in same if address not in unfit]
    return dict.fromkeys(fit, True) if folder is None else _seen(client, fit, folder), unfit


def own_versions() -> dict[str, str | None]:
    """Versions here; None where a package runs from its source."""
    found: dict[str, str | None] = dict.fromkeys(COMPARED)
    for package in COMPARED:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _difference(theirs: dict[str, Any], own: dict[str, str | None]) -> str:
    """Which packages differ."""
    return ", ".join(
        f"{package} {theirs[package]} (here {own[package]})" if theirs.get(package) else f"no {package}"
        for package in COMPARED
        if theirs.get(package) != own[package]
    )


def _seen(client: Any, addresses: Sequence[str], folder: Path) -> dict[str, bool]:
    """Which workers see a file that is made in the folder for the moment."""
    probe = folder / f".probe-{uuid.uuid4().hex}"
    probe.touch()
    try:
        answers = _ask(client, addresses, os.path.isfile, str(probe))
    finally:
        probe.unlink()
    return {address: answers.get(address) is True for address in addresses}


def _ask(client: Any, addresses: Sequence[str], function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Answers of workers, errors among them; functions of Python itself, which every worker has."""
    if not addresses:
        return {}
    try:
        answers: dict[str, Any] = client.sync(
            client._run, function, *args, workers=list(addresses), on_error="return", callback_timeout=LOOK_S
        )
    except OSError as error:
        if client.status != "running":
            raise lost_scheduler() from error
        _log.debug("workers do not answer: %s", error)
        return dict.fromkeys(addresses, error)
    return answers
