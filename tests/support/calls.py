"""Makes system calls of every kind in processes of their own, and says what these saw."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from probes.kernel import syscall_table

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # include/uapi/linux/seccomp.h
_P_PID, _WEXITED = 1, 4
_MAP_32BIT = 0x40
_ON_X86 = platform.machine() == "x86_64"
_GETPID, _I386_GETPID = 39, 20
_kept: list[mmap.mmap] = []
children: set[int] = set()
"""All that `in_child` has made."""
# push rbx; mov eax, edi; mov ebx, esi; xchg edx, ecx; int 0x80; pop rbx; ret
_INT80 = bytes.fromhex("5389f889f387cacd805bc3")


def in_child(work: Callable[[], int]) -> tuple[int, int]:
    """Run work in a process of its own; its pid and what it gave (below 256), -1 if killed."""
    pid = os.fork()
    children.add(pid)
    if pid == 0:
        code = 255
        try:
            code = work()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return pid, code if code >= 0 else -1


def refused(number: int, error: int, times: int) -> int:
    """Make a call that seccomp answers with an errno; how often it did."""
    jump = struct.pack("=HBBI", 0x15, 0, 1, number)  # BPF_JMP | BPF_JEQ | BPF_K
    load, ret = struct.pack("=HBBI", 0x20, 0, 0, 0), struct.Struct("=HBBI")
    code = load + jump + ret.pack(6, 0, 0, _ERRNO | error) + ret.pack(6, 0, 0, _ALLOW)
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", 4, ctypes.addressof(kept))
    assert not _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    assert not _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0)
    return failing(number, error, times)


def failing(number: int, error: int, times: int) -> int:
    """Make a call by its number; how often it gave that errno."""
    given = 0
    for _ in range(times):
        given += _libc.syscall(number, -1, 0, 0, 0) == -1 and ctypes.get_errno() == error
    return given


def through_int80(number: int, times: int, *arguments: bytes | int) -> int:
    """Make a call of i386's table from this 64-bit process; its last result."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(_INT80)
    call = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 4)(
        ctypes.addressof(ctypes.c_char.from_buffer(code))
    )
    passed = [a if isinstance(a, int) else _below_4g(a) for a in arguments]
    result = 0
    for _ in range(times):
        result = call(number, *passed, *[0] * (3 - len(passed)))
    return result


def has_i386() -> bool:
    """Whether a call of i386's table is made; a kernel without them kills who tries."""
    return _ON_X86 and in_child(lambda: through_int80(_I386_GETPID, 1) != os.getpid())[1] == 0


def has_x32() -> bool:
    """Whether calls of x32 are made, which takes `syscall.x32=y` on the kernel's command line."""
    return _ON_X86 and _libc.syscall(syscall_table.X32 | _GETPID) == os.getpid()


def _below_4g(text: bytes) -> int:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_32BIT
    low = mmap.mmap(-1, mmap.PAGESIZE, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    low.write(text + b"\0")
    _kept.append(low)
    return ctypes.addressof(ctypes.c_char.from_buffer(low))


def connect(fd: int, name: bytes) -> int:
    """Connect to a name as it is; the errno, 0 for none."""
    return ctypes.get_errno() if _libc.connect(fd, name, len(name)) else 0


@contextmanager
def alarms(*, restart: bool) -> Iterator[None]:
    """A signal every 5 ms, whose handler lets calls that it interrupts go on, or does not."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, not restart)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupted(*, restart: bool) -> int:
    """Wait for a child while an alarm rings every 2 ms; how often the call gave EINTR."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, not restart)
    pid = os.fork()
    if pid == 0:
        time.sleep(0.1)
        os._exit(0)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    info, given = ctypes.create_string_buffer(128), 0
    while _libc.waitid(_P_PID, pid, info, _WEXITED):
        given += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    return given


def exec_by_thread(report: int) -> int:
    """Execute another program by a thread that is not the first, whose number is reported."""

    def run() -> None:
        os.write(report, struct.pack("=I", threading.get_native_id()))
        os.execv("/bin/true", ["true"])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return 1


def have_number(wanted: int) -> bool:
    """Make a process that has this number; whether that could be done."""
    for _ in range(50):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(wanted - 1))
        if in_child(lambda: 0)[0] == wanted:
            return True
    return False
