"""What a run sets up so that it takes little memory: in one place, before anything else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.commands import ROOT

PIECES = """
import ctypes, os, threading
from pathlib import Path
from tui.terminal import little_memory
little_memory.prepare()
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
        "tui/terminal/little_memory.py",
        "probes/compile/bcc_worker.py",  # a process of its own
    }
