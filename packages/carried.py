"""Libraries that a package carries: found in this environment, copied from it or for another."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from packages.versions import ROOT, Build

_UNWANTED = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
_TESTS = re.compile(r"(^|/)(tests?|testing/tests)/")
Library = metadata.Distribution


class NotBuilt(Exception):
    """The package cannot be built; one sentence."""


def needed(but: Collection[str] = ()) -> list[Library]:
    """Return all libraries that ebpftop needs, by name. but: those left to the host."""
    found: dict[str, Library] = {}
    wanted = [("ebpftop", "")]
    while wanted:
        name, extra = wanted.pop()
        library = metadata.distribution(name)
        for text in library.requires or ():
            one = Requirement(text)
            key = _plain(one.name)
            if (one.marker and not one.marker.evaluate({"extra": extra})) or key in but:
                continue
            if key not in found or one.extras:
                wanted += [(one.name, part) for part in ("", *one.extras)]
            found.setdefault(key, metadata.distribution(one.name))
    return [found[key] for key in sorted(found)]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def copy(libraries: Iterable[Library], folder: Path) -> None:
    """Copy libraries of this environment, with their licences, without tests and commands."""
    for library in libraries:
        names = [str(file) for file in library.files or () if not str(file).startswith("..")]
        copy_files(Path(str(library.locate_file(""))), names, folder)


def copy_files(site: Path, names: Iterable[str], folder: Path) -> None:
    """Copy those files of a site directory that are wanted."""
    for name in filter(wanted, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site / name, folder / name)


def wanted(name: str) -> bool:
    """Return whether a library's file is of use where nobody develops."""
    if "__pycache__" in name or name.startswith("bin/") or name.endswith((".pyi", ".pyc")):
        return False
    if ".dist-info/" in name:
        return name.rpartition("/")[2] not in _UNWANTED
    return not _TESTS.search(name)


def ourselves(build: Build, folder: Path) -> None:
    """Put ebpftop itself there: what is in its wheel, and which commit it is."""
    with tempfile.TemporaryDirectory() as place:
        zipfile.ZipFile(wheel(Path(place), build)).extractall(folder)
    (info,) = folder.glob("ebpftop-*.dist-info")
    (info / "RECORD").unlink()
    if build.commit:  # where `ebpftop --version` looks for it
        told = {"vcs_info": {"vcs": "git", "commit_id": build.commit}}
        (info / "direct_url.json").write_text(json.dumps(told))


def wheel(folder: Path, build: Build, kind: str = "wheel") -> Path:
    """Build the wheel, or the sdist, into an empty folder; return its file. Raises NotBuilt."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    env = {"SOURCE_DATE_EPOCH": str(build.epoch), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotBuilt(f"the {kind} cannot be built: {(done.stderr.splitlines() or ['?'])[-1]}")
    (built,) = folder.iterdir()
    return built


def compiled(folder: Path) -> list[str]:
    """Return what is in there that only one architecture can run."""
    found = (path for end in ("so", "so.*") for path in folder.rglob(f"*.{end}"))
    return sorted(str(path.relative_to(folder)) for path in found)
