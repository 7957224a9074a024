"""Zips with a manifest: the same bytes for the same contents; opened only where every path and hash fits."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import unicodedata
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fesolver.errors import InputError
from fesolver.study.schema import SCHEMA

__all__ = ["Content", "open_bundle", "write_zip"]

Content = bytes | Path
"""What a member holds: these bytes, or those of a file."""

MANIFEST = "manifest.json"
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_CHUNK = 1 << 20


def write_zip(target: Path, contents: Mapping[str, Content], about: Mapping[str, Any]) -> int:
    """Write a zip of contents, sorted by name, and a manifest; whole or not at all.

    Parameters
    ----------
    target : Path
        The zip.
    contents : mapping of str to bytes or Path
        Member name, with `/` between its steps, to content.
    about : mapping
        Put into the manifest beside `files`.

    Returns
    -------
    int
        Size of the zip in bytes.

    Raises
    ------
    InputError
        If a name would leave the folder it is unpacked in, a file cannot be read, or the zip cannot be written.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    files = []
    try:
        with zipfile.ZipFile(partial, "x", allowZip64=True) as archive:
            for name in sorted(contents):
                _require_inside(name)
                size, digest = _store(archive, name, contents[name])
                files.append({"path": name, "size": size, "sha256": digest})
            text = json.dumps({**about, "files": files}, indent=1) + "\n"
            _store(archive, MANIFEST, text.encode())
        partial.replace(target)
        return target.stat().st_size
    except OSError as error:
        raise InputError(
            f"cannot write {target}: {error.strerror or error}", where=str(error.filename or target),
            fix="make room, allow reading and writing, or give another place with --out",
        ) from None  # fmt: skip
    finally:
        with suppress(OSError):
            partial.unlink()


def open_bundle(path: str | Path, into: str | Path) -> Path:
    """Unpack a bundle after checking it: nothing outside `into`, every file as its manifest says.

    Parameters
    ----------
    path : path
        Zip of `fesolver bundle`.
    into : path
        Folder to unpack into: new, or empty.

    Returns
    -------
    Path
        The study file in it.

    Raises
    ------
    InputError
        If it is no bundle, of a newer schema, a member would leave the folder or is a link, members and manifest do not
        fit, or `into` holds something.
    """
    path, into = Path(path), Path(into)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise InputError(f"{into} holds something already", where=str(into), fix="give a new or empty folder")
    into.absolute().parent.mkdir(parents=True, exist_ok=True)
    staging = into.absolute().with_name(f".{into.absolute().name}.{os.getpid()}.partial")
    try:
        staging.mkdir()
        with zipfile.ZipFile(path) as archive:
            for info, entry in _checked_members(archive, path):
                _unpack(archive, info, entry, staging / info.filename, path)
        if into.exists():
            into.rmdir()
        staging.rename(into)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path.name} is no whole zip: {error}", where=str(path), fix="fetch it again") from None
    except OSError as error:
        raise InputError(
            f"cannot unpack {path}: {error.strerror or error}", where=str(error.filename or path)
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return into / "study.toml"


def _store(archive: zipfile.ZipFile, name: str, content: Content) -> tuple[int, str]:
    """Add a member with a fixed date and rights; its size and hash."""
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
    info.external_attr = (stat.S_IFREG | (0o755 if name.endswith(".sh") else 0o644)) << 16
    size, digest = 0, hashlib.sha256()
    with archive.open(info, "w", force_zip64=True) as member:
        if isinstance(content, bytes):
            member.write(content)
            return len(content), hashlib.sha256(content).hexdigest()
        with content.open("rb") as file:
            while chunk := file.read(_CHUNK):
                member.write(chunk)
                size += len(chunk)
                digest.update(chunk)
    return size, digest.hexdigest()


def _require_inside(name: str) -> None:
    """Refuse a member name that could leave its folder on any system."""
    steps = name.split("/")
    is_plain = all(step not in ("", ".", "..") for step in steps) and not any(c in name for c in "\\:\0")
    if not is_plain or PurePosixPath(name).is_absolute():
        raise InputError(f"{name!r} would leave the folder of the bundle", where=name, fix="do not use this bundle")


def _checked_members(archive: zipfile.ZipFile, path: Path) -> list[tuple[zipfile.ZipInfo, Mapping[str, Any]]]:
    """Members and what the manifest says of them; every name inside the folder, none twice, none missing."""
    infos = archive.infolist()
    for info in infos:
        _require_inside(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"{info.filename!r} is no plain file", where=str(path), fix="do not use this bundle")
    names = {unicodedata.normalize("NFC", info.filename).casefold() for info in infos}
    if len(names) != len(infos):
        raise InputError("a file is in the bundle twice", where=str(path), fix="do not use this bundle")
    try:
        manifest = json.loads(archive.read(MANIFEST))
        entries = {str(entry["path"]): entry for entry in manifest["files"]}
        version = int(manifest["schema"])
    except (KeyError, ValueError, TypeError):
        raise InputError(
            f"{path.name} is no bundle of fesolver: it has no {MANIFEST}, or a damaged one", where=str(path),
            fix="give a zip that `fesolver bundle` has written",
        ) from None  # fmt: skip
    if version > SCHEMA:
        raise InputError(
            f"the bundle has schema {version}; this version knows {SCHEMA}", where=str(path), fix="update fesolver"
        )
    own = {info.filename for info in infos} - {MANIFEST}
    for name in sorted(own ^ set(entries)):
        where = "is not in its manifest" if name in own else "is missing"
        raise InputError(f"{name!r} {where}", where=str(path), fix="fetch or make the bundle again")
    return [(info, entries.get(info.filename, {})) for info in infos]


def _unpack(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, entry: Mapping[str, Any], target: Path, path: Path
) -> None:
    """Write one member; more bytes than the manifest says, or others, are refused."""
    target.parent.mkdir(parents=True, exist_ok=True)
    limit = int(entry.get("size", info.file_size))
    with archive.open(info) as member, target.open("xb") as file:
        size, digest = _copy(member, file, limit)  # type: ignore[arg-type]
    if entry and (size != limit or digest != entry.get("sha256")):
        raise InputError(
            f"{info.filename!r} is not what the manifest says", where=str(path), fix="fetch the bundle again"
        )
    if info.external_attr >> 16 & 0o100:
        target.chmod(0o755)


def _copy(member: BinaryIO, file: BinaryIO, limit: int) -> tuple[int, str]:
    """Copy up to one byte beyond the limit; size and hash of what came."""
    size, digest = 0, hashlib.sha256()
    while size <= limit and (chunk := member.read(min(_CHUNK, limit + 1 - size))):
        file.write(chunk)
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()
