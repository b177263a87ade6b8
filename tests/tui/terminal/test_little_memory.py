"""What a run sets up so that it takes little memory: in one place, before anything else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.commands import ROOT

PIECES = """
import ctypes, os, threading
from pathlib import Path
from tui.terminal import allocator
allocator.prepare()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def take():
    pieces = [libc.malloc(400_000) for _ in range(100)]
    for piece in pieces:
        ctypes.memset(piece, 1, 400_000)
    for _ in range(100):
        libc.malloc(5000)  # behind them: else the heap's end is given back
    for piece in pieces:
        libc.free(piece)

for _ in range(2):
    before = resident()
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
print(resident() - before)
"""


def test_large_pieces_that_threads_free_go_back_to_the_kernel() -> None:
    """40 MB, also the second time, when glibc would keep them."""
    done = subprocess.run(
        [sys.executable, "-c", PIECES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 4_000_000


WATCHED = """
import threading
from pathlib import Path
from tui.terminal import leaving

def main():
    threads = [threading.Thread(target=lambda: bytearray(3000)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    for (place, *_), (rest, flags, *_) in zip(maps, maps[1:]):
        begin, end = (int(place.split("-")[0], 16), int(rest.split("-")[1], 16))
        if flags == "---p" and end - begin == 64 << 20:
            print(place)
    return 0

leaving.run(main)
"""


def test_threads_have_no_heaps_of_their_own() -> None:
    """Nor have those that are started first, to watch: all others would share such a heap."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""


def test_nothing_but_this_and_the_compiler_sets_the_allocator() -> None:
    found = subprocess.run(
        ["grep", "-rl", "--include=*.py", "mallopt", "probes", "tui"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode > 1:
        pytest.skip(found.stderr)
    assert {*found.stdout.split()} == {
        "tui/terminal/allocator.py",
        "probes/compile/bcc_worker.py",  # a process of its own
    }
