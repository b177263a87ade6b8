"""Names of addresses in processes that begin another program, or end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.kernel import procfs
from probes.toolkit.user_symbols import UserSymbols

PLACE = 0x3F0000000000
_MAPS = f"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
fd = os.open(sys.argv[1], os.O_RDONLY)
at = libc.mmap({PLACE}, 4096, 5, 0x12, fd, 0)  # PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED
assert at == {PLACE}, os.strerror(ctypes.get_errno())
print(flush=True)
sys.stdin.readline()
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], *sys.argv[3:]])
"""
Child = subprocess.Popen[str]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Begin a process that maps a file; told to go on, it runs another program that maps one."""
    with ExitStack() as stack:

        def begun(*names: str) -> Child:
            files = [tmp_path / name for name in names]
            for file in files:
                file.write_bytes(b"x" * 4096)
            arguments = [word for file in files for word in (str(file), _MAPS)]
            child = subprocess.Popen(
                [sys.executable, "-c", _MAPS, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(child)
            stack.callback(child.kill)
            _await_mapped(child)
            return child

        yield begun


def _await_mapped(child: Child) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == "\n"


def _go_on(child: Child) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def test_another_program_of_the_same_process_has_its_own_names(
    begin: Callable[..., Child],
) -> None:
    child, names = begin("first", "second"), UserSymbols()
    assert names.names(child.pid, [PLACE, PLACE + 1]) == ["[first]", "[first]"]
    _go_on(child)
    _await_mapped(child)
    assert names.names(child.pid, [PLACE]) == ["[second]"]


def test_names_outlive_the_process_until_its_number_is_used_again(
    begin: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, names = begin("first"), UserSymbols()
    assert names.names(child.pid, [PLACE]) == ["[first]"]
    child.kill()
    while procfs.image(child.pid) is not None:
        pass
    assert names.names(child.pid, [PLACE]) == ["[first]"], "it has ended, and its parent waits"
    child.wait()
    assert names.names(child.pid, [PLACE]) == ["[first]"]
    monkeypatch.setattr(procfs, "image", lambda _: (1, 2, 3, 4))
    assert names.names(child.pid, [PLACE]) == ["[process gone]"]
