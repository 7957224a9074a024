"""The doctor, the laws as text, progress lines, and the loader of gmsh."""

import importlib
import io
from types import ModuleType

import pytest

from fesolver.errors import MissingDependencyError
from fesolver.meshing.optional import load_gmsh
from fesolver.report.doctor import diagnose, diagnosis_text
from fesolver.report.progress import PlainProgress, progress_reporter, timed_stage
from fesolver.study.progress import SilentProgress


def test_doctor_names_versions_threads_and_what_is_absent(monkeypatch):
    monkeypatch.delenv("FESOLVER_DATA", raising=False)
    diagnosis = diagnose(threads=3)
    text = diagnosis_text(diagnosis)

    assert diagnosis.is_healthy
    assert "numba layer" in text
    assert "3 (asked for" in text
    assert "FESOLVER_DATA" in text


def test_doctor_says_when_a_needed_package_is_missing(monkeypatch):
    import fesolver.report.doctor as module

    monkeypatch.setattr(module, "_version", lambda name: None if name == "meshio" else "1.0")
    diagnosis = diagnose()

    assert not diagnosis.is_healthy
    assert "pip install meshio" in diagnosis_text(diagnosis)


def test_doctor_advises_where_kernels_cannot_be_kept(monkeypatch):
    import fesolver.report.doctor as module

    monkeypatch.setattr(module, "_is_writable", lambda folder: False)

    assert "set NUMBA_CACHE_DIR" in diagnosis_text(diagnose())


@pytest.mark.parametrize(
    ("library", "package"),
    [("libGLU.so.1", "libglu1-mesa"), ("libXft.so.2", "libxft2"), ("libXcursor.so.1", "libxcursor1")],
)
def test_missing_system_library_names_its_debian_package(monkeypatch, library, package):
    def fail(name: str) -> ModuleType:
        raise OSError(f"{library}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(importlib, "import_module", fail)

    with pytest.raises(MissingDependencyError, match=f"apt-get install {package}$"):
        load_gmsh()


def test_missing_gmsh_names_the_extra(monkeypatch):
    def fail(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'gmsh'", name="gmsh")

    monkeypatch.setattr(importlib, "import_module", fail)

    with pytest.raises(MissingDependencyError, match=r"fesolver\[tet\]"):
        load_gmsh()


def test_plain_progress_writes_one_line_per_stage():
    stream = io.StringIO()
    progress = PlainProgress(stream)
    progress.stage("solve", None)
    progress.update(0.5, "iteration 20")
    progress.done("solve", 12.34)

    assert stream.getvalue() == "  solve: 12.3 s\n"


def test_plain_progress_speaks_up_in_a_long_stage():
    stream = io.StringIO()
    progress = PlainProgress(stream, every_s=0.0)
    progress.stage("solve", None)
    progress.update(0.5, "iteration 20")

    assert stream.getvalue() == "  ... solve 50 % iteration 20\n"


def test_quiet_progress_is_silent(capsys):
    with progress_reporter(quiet=True) as progress:
        assert isinstance(progress, SilentProgress)
        with timed_stage(progress, "draw"):
            pass

    assert capsys.readouterr() == ("", "")


def test_live_progress_survives_brackets_in_names(capsys):
    from fesolver.report.progress import LiveProgress

    with LiveProgress() as progress:
        progress.stage("case [bold]", 3)
        progress.update(0.3, "[red]")
        progress.done("case [bold]", 1.0)

    assert "case [bold]" in capsys.readouterr().err
