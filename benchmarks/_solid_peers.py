"""The environment of the finite element packages that ours is measured beside, and one child process in it.

scikit-fem, FElupe and NGSolve (with Netgen) come as wheels from the package index into `benchmarks/.peers/solid`; the
package's own environment stays as it is. Versions are pinned, so that figures of two days can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _common import Record

FOLDER = Path(__file__).resolve().parent / ".peers" / "solid"
PACKAGES = ("scikit-fem==12.0.2", "felupe==11.3.0", "ngsolve==6.2.2608", "meshio==5.3.5")
THREAD_NAMES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NGS_NUM_THREADS")


class PeersMissingError(Exception):
    """The environment cannot be used here; the message says why and what to do."""


class PeerFailedError(Exception):
    """A peer was started and gave no answer; the message is the last line it wrote."""


def find_interpreter(*, install: bool) -> Path:
    """Interpreter of the peers' environment.

    Parameters
    ----------
    install : bool
        Whether to make the environment (about 1 GB, a minute) where it is missing.

    Raises
    ------
    PeersMissingError
        With the reason.
    """
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, wanted = FOLDER / "installed.txt", "\n".join(PACKAGES)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    if not install:
        raise PeersMissingError("scikit-fem, FElupe and NGSolve are not installed; a run without --quick installs them")
    print(f"installing {', '.join(PACKAGES)} into {FOLDER.relative_to(FOLDER.parents[2])}", flush=True)
    for command in (
        [sys.executable, "-m", "venv", str(FOLDER)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            errors = [line for line in lines if "error" in line.lower()] or lines
            raise PeersMissingError(f"the peers cannot be installed: {errors[-1]}")
    stamp.write_text(wanted)
    return python


def add_peers_option(options: argparse.ArgumentParser) -> None:
    """The option that says whether the peers take part."""
    text = "install them where missing (default), only where installed (default of --quick), or leave them out"
    options.add_argument("--peers", choices=("install", "existing", "none"), help=text)


def reason_without_peers(choice: str | None, *, is_quick: bool) -> str:
    """Why the peers take no part, printed too; empty where they do."""
    reason = "not asked for"
    if choice != "none":
        try:
            find_interpreter(install=choice == "install" or (choice is None and not is_quick))
            return ""
        except PeersMissingError as error:
            reason = str(error)
    print(f"peers left out: {reason}", flush=True)
    return reason


def run_peer(script: str, name: str, arguments: Mapping[str, Any], *, threads: int, limit_s: float) -> Record:
    """Run `name(**arguments)` of a script beside this one, in a process of the peers' environment.

    Raises
    ------
    PeerFailedError
        If it fails or takes longer than `limit_s`.
    """
    python = find_interpreter(install=False)
    environment = os.environ | dict.fromkeys(THREAD_NAMES, str(threads))
    environment.pop("PYTHONPATH", None)
    path = Path(__file__).with_name(script)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [str(python), str(path), "--child", name, json.dumps(dict(arguments)), str(answer)]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise PeerFailedError(f"ended after {limit_s:.0f} s") from None
        if done.returncode or not answer.exists():
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise PeerFailedError(f"{lines[-1]} (status {done.returncode})")
        return dict(json.loads(answer.read_text()))
