"""The one file: where it refuses to run, where it unpacks itself, and that it runs."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from packages import onefile
from packages.carried import NotBuilt
from packages.inside import main, unpacking
from packages.inside.unpacking import Refused

ABOUT = {"python": [3, 11], "machine": "x86_64", "libc": [2, 28], "megabytes": 1}
HERE = ((3, 11), "x86_64", ("glibc", "2.36"))


# -- does it fit? ------------------------------------------------------------------------------


def test_it_fits_what_it_was_made_for_and_a_newer_glibc() -> None:
    assert main.unfit(ABOUT, *HERE) == ""
    assert main.unfit(ABOUT, (3, 11), "x86_64", ("glibc", "2.28")) == ""


@pytest.mark.parametrize(
    ("version", "machine", "libc", "said"),
    [
        ((3, 9), "x86_64", ("glibc", "2.36"), "this is Python 3.9. Install python3.11"),
        ((3, 13), "x86_64", ("glibc", "2.36"), "this is Python 3.13. .*make onefile PYTHON=3.13"),
        ((3, 11), "aarch64", ("glibc", "2.36"), "this is aarch64. .*MACHINE=aarch64"),
        ((3, 11), "x86_64", ("glibc", "2.17"), "glibc 2.28 or newer, and this host has glibc 2.17"),
        ((3, 11), "x86_64", ("", ""), "this host has another C library"),
    ],
)
def test_a_sentence_says_what_does_not_fit(
    version: tuple[int, int], machine: str, libc: tuple[str, str], said: str
) -> None:
    why = main.unfit(ABOUT, version, machine, libc)
    assert re.fullmatch(f"this file is for Python 3.11 on x86_64.*{said}", why)


def test_old_pythons_can_read_what_says_so() -> None:
    code = (onefile.INSIDE / "main.py").read_text()
    compile(code, "main.py", "exec", flags=0, dont_inherit=True)
    assert not re.search(r"^from __future__|:=|\bmatch \w+:|\w \| \w", code, re.MULTILINE)


# -- where it is unpacked ----------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "packed", "w") as packed:
        packed.writestr("ebpftop/__init__.py", "")
    return tmp_path / "packed"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of caches, on the way to which nobody else can write, and no locks left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache" / unpacking.NAME
    while unpacking._held:
        os.close(unpacking._held.pop())


def _unpacked(archive: Path, name: str = "one") -> Path:
    return Path(unpacking.unpacked(str(archive), ABOUT | {"name": name}))


def _quit() -> None:
    """As when the process that ran from it ends."""
    os.close(unpacking._held.pop())


def test_what_is_unpacked_is_for_its_owner_alone(archive: Path, cache: Path) -> None:
    place = _unpacked(archive)
    assert place == cache / "one"
    modes = {path.stat().st_mode & 0o077 for path in (cache, place, *place.rglob("*"))}
    assert modes == {0}
    assert (place / "ebpftop/__init__.py").is_file()


def test_it_is_unpacked_once(archive: Path) -> None:
    first = _unpacked(archive)
    (first / "mark").touch()
    assert (_unpacked(archive) / "mark").exists()


def test_what_was_not_finished_is_no_obstacle_and_goes_in_the_end(
    archive: Path, cache: Path
) -> None:
    cache.mkdir(mode=0o700, parents=True)
    fresh, old = cache / ".new-fresh", cache / ".new-old"
    for left in (fresh, old):
        left.mkdir()
    os.utime(old, (0, 0))
    _unpacked(archive)
    assert {path.name for path in cache.iterdir()} == {"one", ".new-fresh"}


def test_older_versions_are_removed_unless_they_still_run(archive: Path, cache: Path) -> None:
    _unpacked(archive, "ended")
    _quit()
    (cache / "ended" / "more").touch()
    running = os.open(_unpacked(archive, "running") / unpacking.LOCK, os.O_RDONLY)
    assert {path.name for path in cache.iterdir()} == {"running"}
    fcntl.flock(running, fcntl.LOCK_SH)
    _quit()
    _unpacked(archive, "new")
    assert {path.name for path in cache.iterdir()} == {"running", "new"}
    os.close(running)
    _quit()
    _unpacked(archive, "newer")
    assert {path.name for path in cache.iterdir()} == {"newer"}


def test_a_link_is_not_followed(archive: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache.parent.mkdir(mode=0o700)
    cache.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="is not a folder of this user alone: remove it"):
        _unpacked(archive)
    cache.unlink()
    cache.mkdir(mode=0o700)
    (cache / "one").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="one is not a folder of this user alone"):
        _unpacked(archive)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_others_can_enter_or_replace_is_refused(archive: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o755)
    with pytest.raises(Refused, match="is not a folder of this user alone"):
        _unpacked(archive)
    cache.chmod(0o700)
    cache.parent.chmod(0o777)
    with pytest.raises(Refused, match=f"others can write to {cache.parent}: set XDG_CACHE_HOME"):
        _unpacked(archive)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(archive: Path, cache: Path) -> None:
    cache.mkdir(parents=True, mode=0o700)
    os.chown(cache, 65534, 65534)
    with pytest.raises(Refused, match="is not a folder of this user alone"):
        _unpacked(archive)
    os.chown(cache, 0, 0)
    os.chown(cache.parent, 65534, 65534)
    with pytest.raises(Refused, match="others can write to"):
        _unpacked(archive)


def test_root_s_is_root_s_also_under_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = {"HOME": "/home/someone", "SUDO_UID": "1000", "XDG_CACHE_HOME": "relative"}
    assert unpacking.base(told) == Path("/var/cache/ebpftop-onefile")


def test_without_room_a_sentence_says_where_there_should_be_some(
    archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(Refused, match="No space left on device: set XDG_CACHE_HOME to a folder wi"):
        _unpacked(archive)
    assert not any(cache.iterdir())


# -- how it is built ---------------------------------------------------------------------------


def _wheel(folder: Path, name: str, *tags: str) -> None:
    (folder / f"{name}.dist-info").mkdir()
    (folder / f"{name}.dist-info/WHEEL").write_text("".join(f"Tag: {tag}\n" for tag in tags))


def test_the_least_glibc_is_that_of_the_most_demanding_library(tmp_path: Path) -> None:
    _wheel(tmp_path, "pure-1", "py3-none-any")
    _wheel(tmp_path, "old-1", "cp36-abi3-manylinux2014_x86_64", "cp36-abi3-manylinux_2_12_x86_64")
    _wheel(tmp_path, "new-1", "cp311-cp311-manylinux_2_27_x86_64")
    assert onefile.least_libc(tmp_path, "x86_64") == (2, 27)
    _wheel(tmp_path, "own-1", "cp311-cp311-linux_x86_64")
    with pytest.raises(NotBuilt, match="own was built for this host alone"):
        onefile.least_libc(tmp_path, "x86_64")


def test_the_archive_is_the_same_bytes_whenever_it_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    made = []
    for moment in (1.0, 2.0):
        (folder / "a/b.py").write_text("x = 1\n")
        os.utime(folder / "a/b.py", (moment, moment))
        onefile.pack(folder, tmp_path / "file", dict(ABOUT), 1_700_000_000)
        made.append((tmp_path / "file").read_bytes())
    assert made[0] == made[1]
    assert made[0].startswith(onefile.SHEBANG)


def test_a_python_that_is_too_old_is_not_built_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        onefile.parsed(["--python", "3.10"])
    assert "needs Python 3.11 or newer, not 3.10" in capsys.readouterr().err


@pytest.mark.slow
def test_it_runs_from_any_folder_with_nothing_but_python(tmp_path: Path) -> None:
    """Which is this environment's own Python, without what is installed into it."""
    here = ".".join(platform.python_version_tuple()[:2])
    file = onefile.build_into(tmp_path / "dist", here, platform.machine())
    bare = Path(sys.executable).resolve()
    for words in (("hooks",), ("once", "--for", "0.1", "--hook", "interfaces", "--json")):
        done = subprocess.run(
            [str(bare), "-IS", str(file), *words],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), words
    (place,) = (tmp_path / "cache" / unpacking.NAME).iterdir()
    assert (place / "numpy").is_dir()
