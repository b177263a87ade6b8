"""Files that never answer: whoever looks at one cannot be ended, and so that is not us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from probes.kernel import elf, patience
from probes.kernel.cached_stat import cached
from probes.kernel.threads import Task
from probes.toolkit.libraries import own_libc
from tests.support import fuse

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
HURRIED = (
    "from probes.kernel import elf\n"
    "from probes.toolkit import libraries\n"
    "elf.read.__defaults__, libraries.FIRST = (0.3,), 0.3\n"
    "from tui.launcher import main\n"
    "main()"
)


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    if not Path("/dev/fuse").exists():
        pytest.skip("no FUSE here")
    with fuse.silent(Path(own_libc())) as path:
        yield path


def test_a_look_at_one_is_left_behind_and_the_others_go_on(silent: str) -> None:
    with pytest.raises(patience.TookTooLong):
        patience.within(0.2, partial(os.stat, silent))
    with pytest.raises(Exception, match="no answer within"):
        elf.read(silent, 0.2)
    assert elf.read(own_libc()).named("getaddrinfo")


def test_what_the_kernel_has_at_hand_is_told_without_waiting(silent: str, tmp_path: Path) -> None:
    """Of the silent one nothing, or what it said before; of others what stat(2) says."""
    look = Task(partial(cached, silent))
    assert look.join(10)
    file = tmp_path / "file"
    file.write_text("abc")
    about = file.stat()
    told = cached(str(file))
    assert told in (None, (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns))
    file.unlink()
    if told is not None:
        with pytest.raises(FileNotFoundError):
            cached(str(file))


@pytest.mark.parametrize(
    "words",
    [("stream", "--hook", "dns"), ("stream", "--hook", "dns", "--hook", "uprobe:{}:malloc")],
    ids=["library", "uprobe"],
)
def test_the_program_ends_all_the_same(silent: str, words: tuple[str, ...]) -> None:
    command, before = [word.format(silent) for word in words], _stuck()
    with subprocess.Popen(
        [sys.executable, "-c", HURRIED, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        deadline = time.monotonic() + 10
        while not _stuck() - before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _stuck() - before, "nobody has looked at it"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert b"Traceback" not in said


def _stuck() -> set[str]:
    """Processes that wait for an answer."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "request_wait_answer" in (folder / "wchan").read_text():
                found.add(folder.name)
        except OSError:
            continue
    return found
