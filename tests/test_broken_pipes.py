"""A pipe that nobody reads any more is an error to handle, never the silent end of the process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no such signal here")

BROKEN = """
import ctypes, os, signal, threading
from fesolver.interrupts import ignore_broken_pipes
ctypes.CDLL(None).signal(signal.SIGPIPE, {before})
{act}
read, write = os.pipe()
os.close(read)
try:
    os.write(write, b"x")
except BrokenPipeError:
    print("an error")
"""


def run(act, before=0):
    code = BROKEN.format(act=act, before=before)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "act",
    [
        "ignore_broken_pipes()",
        "other = threading.Thread(target=ignore_broken_pipes); other.start(); other.join()",
        "from engine_toys import Toy, make_tasks\n"
        "from fesolver.study.engine.pool import LocalPool\n"
        "with LocalPool(Toy, 1) as pool: list(pool.run(make_tasks(1)))",
    ],
    ids=["here", "in a thread", "by a pool"],
)
def test_a_write_to_a_broken_pipe_is_an_error_again(act):
    said = run(act)
    assert (said.returncode, said.stdout) == (0, "an error\n"), said.stderr


def test_without_it_the_process_ends():
    assert run("pass").returncode == -signal.SIGPIPE


@pytest.mark.tet
def test_a_mesh_by_gmsh_leaves_broken_pipes_an_error():
    said = run("from fesolver.meshing.tet_volume import gmsh_session\nwith gmsh_session(): pass", before=1)
    assert (said.returncode, said.stdout) == (0, "an error\n"), said.stderr
