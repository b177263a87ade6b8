"""Uprobes on a file that is replaced under them; independent: the calls that processes made."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from probes.attach import background, program
from probes.attach.background import Background
from probes.custom import builder
from probes.errors import ProbeError
from probes.kernel import patience
from probes.kernel.cached_stat import cached
from probes.kernel.patience import TookTooLong
from probes.kernel.threads import Task
from probes.ladder import replaced_files
from probes.ladder.attachment import Attachment, Modules
from tests.support.rungs import standing
from tests.support.scenarios import sample_of, values

pytestmark = pytest.mark.kernel
LONG = 20.0
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
    """Each reading waits for a look."""
    monkeypatch.setattr(replaced_files, "LOOK_SECONDS", 0.0)
    keep_up = Background.keep_up
    monkeypatch.setattr(Background, "keep_up", lambda self: keep_up(self, LONG))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libcalled.so"
    path.write_bytes(_libm().read_bytes())
    return path


@pytest.fixture
def attachment(modules: Modules, library: Path) -> Iterator[Attachment]:
    with standing(modules, builder.hook(f"uprobe:{library}:cbrtl")) as made:
        yield made


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
    assert "was removed: only processes that still have it" in sample_of(attachment).status.note
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
    assert "was overwritten in place" in sample_of(attachment).status.note


def test_the_first_file_is_not_forgotten(
    attachment: Attachment, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it has its name again, its calls are not counted twice."""
    monkeypatch.setattr(replaced_files, "MAX_FILES", 2)
    first = library.with_suffix(".first")
    first.hardlink_to(library)
    with _process(library) as old:
        for _ in range(4):
            _renamed(library)
            sample_of(attachment)
        first.rename(library)
        sample_of(attachment)
        assert {old(6): 6} == _calls(attachment)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_a_look_that_fails_does_not_say_that_the_file_is_gone(
    attachment: Attachment, library: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(_: str) -> NoReturn:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(replaced_files, "_look", refused)
        said = sample_of(attachment).status.note
    assert said == f"{library} may have been replaced: {os.strerror(code)}"
    assert sample_of(attachment).status.note == ""


def test_a_first_look_that_fails_makes_no_new_file_of_the_first(
    modules: Modules, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def late(path: str) -> tuple[replaced_files.FileId, replaced_files.Contents]:
        looks.append(path)
        if len(looks) == 1:
            raise TookTooLong("no answer within 1 s")
        return look(path)

    look = replaced_files._look
    monkeypatch.setattr(replaced_files, "_look", late)
    with standing(modules, builder.hook(f"uprobe:{library}:cbrtl")) as attachment:
        sample_of(attachment)
        with _process(library) as called:
            assert {called(6): 6} == _calls(attachment)


def test_want_of_files_is_over_when_it_is_over(
    attachment: Attachment, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is tried again."""

    def refused(*_: object) -> NoReturn:
        raise ProbeError("too many open files", errno=errno.EMFILE)

    _renamed(library)
    with monkeypatch.context() as patched:
        patched.setattr(program, "load", refused)
        assert "is not counted: too many open files" in sample_of(attachment).status.note
    assert sample_of(attachment).status.note == ""
    with _process(library) as new:
        assert {new(4): 4} == _calls(attachment)


def test_a_reading_does_not_wait_for_a_look(
    attachment: Attachment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system does not answer; readings go on meanwhile, and say so later."""
    monkeypatch.undo()
    monkeypatch.setattr(background, "LEAVING", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: str) -> NoReturn:
        begun.set()
        go_on.wait(LONG)
        raise TookTooLong("no answer within 1 s")

    monkeypatch.setattr(replaced_files, "_look", slow)
    reading = Task(lambda: [attachment.read() for _ in range(3)])
    assert begun.wait(LONG)
    assert reading.join(LONG / 2), "a reading waits"
    go_on.set()
    end = time.monotonic() + LONG
    while "its file system does not answer" not in attachment.read().status.note:
        assert time.monotonic() < end


def test_looks_at_a_file_that_the_kernel_knows_keep_no_child(
    attachment: Attachment, library: Path
) -> None:
    """One that is asked every two seconds would never end."""
    if cached(str(library)) is None:
        pytest.skip("this kernel does not tell what it has in its caches")
    for there in (True, False):
        if not there:
            library.unlink()
        sample_of(attachment)
        patience.end_idle()
        for _ in range(3):
            assert ("was removed" in sample_of(attachment).status.note) != there
        assert patience._idle == []


def test_only_so_many_files_of_one_name_are_held(
    attachment: Attachment, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaced_files, "MAX_FILES", 2)
    for _ in range(5):
        _renamed(library)
        sample_of(attachment)
    with _process(library) as new:
        assert {new(2): 2} == _calls(attachment)
