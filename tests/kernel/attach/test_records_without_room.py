"""Records where nothing can be written: nothing is attached unrecorded, everything is detached."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from probes.attach import journal, persistent
from probes.attach.journal import JournalEntry
from probes.errors import ProbeError

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.anywhere,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system: needs root"),
]
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a few pages."""
    size = f"size={4 * PAGE},nr_inodes=20"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)  # records are open while they live


@pytest.fixture
def register(place: Path) -> persistent.Registry:
    return persistent.Registry(place / "run")


def _entry(number: int, name: str = "x") -> JournalEntry:
    return JournalEntry("cgroup", "/", name, number)


def _fill(place: Path, but: int = 0) -> None:
    with (place / "filling").open("wb", buffering=0) as f, suppress(OSError):
        while True:
            f.write(b"\0" * PAGE)
    os.truncate(place / "filling", (place / "filling").stat().st_size - but)


def _gone(there: set[int], number: int, _: object) -> None:
    there.discard(number)


def _recorded(place: Path) -> list[JournalEntry]:
    (file,) = (place / "run").iterdir()
    return journal.parse(file.read_bytes())


def test_nothing_is_attached_that_there_is_no_room_to_record(
    place: Path, register: persistent.Registry
) -> None:
    register.keep(_entry(1), lambda: None, lambda _: None)
    _fill(place)
    with pytest.raises(ProbeError, match="No space left on device") as raised:
        register.keep(_entry(2), lambda: pytest.fail("attached"), lambda _: None)
    assert (raised.value.errno, "df -h" in raised.value.remedy) == (errno.ENOSPC, True)
    assert _recorded(place) == [_entry(1)], "and no unfinished file beside it"


def test_a_record_of_which_only_a_part_has_room_is_none(
    place: Path, register: persistent.Registry
) -> None:
    """The kernel writes what it can, and says how much."""
    register.keep(_entry(1), lambda: None, lambda _: None)
    _fill(place, but=PAGE)
    with pytest.raises(ProbeError, match="No space left on device"):
        register.keep(_entry(2, "x" * PAGE), lambda: pytest.fail("attached"), lambda _: None)
    assert _recorded(place) == [_entry(1)]


def test_what_is_recorded_is_detached_although_that_cannot_be_recorded(
    place: Path, register: persistent.Registry
) -> None:
    there = {1, 2}
    detach = [register.keep(_entry(n), lambda: None, partial(_gone, there, n)) for n in (1, 2)]
    _fill(place)
    detach[0]()
    assert there == {2}
    assert _recorded(place) == [_entry(1), _entry(2)], "the next start finds that 1 has gone"
    (place / "filling").unlink()
    register.keep(_entry(3), lambda: None, lambda _: None)
    assert _recorded(place) == [_entry(2), _entry(3)]
    register.release()
    assert there == set()
    assert list((place / "run").iterdir()) == []


def test_a_file_system_that_may_not_be_written_is_named_beforehand(
    place: Path, register: persistent.Registry
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    refusal = persistent.unrecordable(place / "run")
    assert refusal is not None
    assert (refusal.errno, "remount,rw" in refusal.remedy) == (errno.EROFS, True)
    with pytest.raises(ProbeError, match="Read-only file system"):
        register.keep(_entry(2), lambda: pytest.fail("attached"), lambda _: None)
