"""Uprobes on a file that is replaced under them; independent: the calls that processes made."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.custom import builder
from probes.ladder import replaced_files
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.support.scenarios import sample_of, values

pytestmark = pytest.mark.kernel
_CALLS = (
    "import ctypes, sys\n"
    "call = ctypes.CDLL(sys.argv[1]).cbrtl\n"
    "for line in sys.stdin:\n"
    "    [call() for _ in range(int(line))]\n"
    "    print('done', flush=True)\n"
)


def _libm() -> Path:
    ctypes.CDLL("libm.so.6")
    lines = Path("/proc/self/maps").read_text().split("\n")
    return next(Path(x.split()[-1]) for x in lines if "/libm.so.6" in x or "/libm-2." in x)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaced_files, "SECONDS", 0.0)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libcalled.so"
    path.write_bytes(_libm().read_bytes())
    return path


@pytest.fixture
def attachment(modules: Modules, library: Path) -> Iterator[Attachment]:
    made = Attachment(builder.hook(f"uprobe:{library}:cbrtl"), modules)
    if made.climb(asked=True).state is State.FAILED:
        pytest.skip(f"{made.status.refused[0].error}: {made.status.refused[0].why}")
    yield made
    made.detach()


@contextmanager
def _process(library: Path) -> Iterator[Callable[[int], int]]:
    """A process that has the file that is there now; what it is asked for, its calls, its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", _CALLS, str(library)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip

        def call(times: int) -> int:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{times}\n")
            child.stdin.flush()
            assert child.stdout.readline() == "done\n"
            return child.pid

        try:
            call(0)
            yield call
        finally:
            child.kill()


def _calls(attachment: Attachment) -> dict[int, int]:
    return {row["pid"]: row["events"] for row in values(attachment)}


def _renamed(library: Path) -> None:
    new = library.with_suffix(".new")
    new.write_bytes(library.read_bytes())
    new.rename(library)


def _made_again(library: Path) -> None:
    contents = library.read_bytes()
    library.unlink()
    library.write_bytes(contents)


def _linked(library: Path) -> None:
    new = library.with_suffix(".1")
    new.write_bytes(library.read_bytes())
    library.unlink()
    library.symlink_to(new)


@pytest.mark.anywhere
@pytest.mark.parametrize("upgrade", [_renamed, _made_again, _linked])
def test_old_and_new_file_are_both_counted(
    attachment: Attachment, library: Path, upgrade: Callable[[Path], None]
) -> None:
    with _process(library) as old:
        old(7)
        upgrade(library)
        sample_of(attachment)
        with _process(library) as new:
            counts = {old(5): 12, new(9): 9}
            assert _calls(attachment) == counts
        assert attachment.status.note == ""
        upgrade(library) if upgrade is not _linked else None
        sample_of(attachment)
        with _process(library) as newest:
            counts[newest(3)] = 3
            assert _calls(attachment) == counts


def test_what_cannot_be_followed_is_said(attachment: Attachment, library: Path) -> None:
    """A file that is not there, and one without the function; and that it is over."""
    contents = library.read_bytes()
    library.unlink()
    assert "is not there any more: only processes that have it" in sample_of(attachment).status.note
    library.write_bytes(Path("/bin/true").read_bytes())
    said = sample_of(attachment).status.note
    assert f"{library} was replaced: the new file is not counted: " in said
    assert "not there" not in said
    library.unlink()
    library.write_bytes(contents)
    assert sample_of(attachment).status.note == ""
    with _process(library) as new:
        assert {new(4): 4} == _calls(attachment)


def test_a_file_that_was_written_to_in_its_place_is_said(
    attachment: Attachment, library: Path
) -> None:
    with library.open("r+b") as file:
        file.write(file.read(16))
    os.utime(library, (0, 0))
    assert "was written to in its place" in sample_of(attachment).status.note


def test_only_so_many_files_of_one_name_are_held(
    attachment: Attachment, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaced_files, "MAX_FILES", 2)
    for _ in range(5):
        _renamed(library)
        sample_of(attachment)
    with _process(library) as new:
        assert {new(2): 2} == _calls(attachment)
