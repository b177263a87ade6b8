"""perf_event_open(2): the events that a program can be attached through.

Every function raises OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import os
import platform

from probes.kernel import uapi

_OPEN = {"x86_64": 298, "ppc64le": 319, "s390x": 331}.get(platform.machine(), 241)
"""Number of perf_event_open(2); 241: asm-generic, as on arm64 and riscv64."""
_libc = ctypes.CDLL(None, use_errno=True)
_FLAG_FD_CLOEXEC = 8
_ATTR_FREQ = 1 << 10
_IOC_ENABLE, _IOC_SET_BPF = 0x2400, 0x40042408


def open_event(
    kind: int,
    config: int,
    *,
    config1: int = 0,
    config2: int = 0,
    cpu: int = 0,
    hertz: int = 0,
) -> int:
    """Open a perf event on every process of one CPU, which a program can be attached through.

    kind: the PMU's number (2 tracepoint, or a dynamic one such as kprobe). config1/2: the kprobe
    PMU's function name or the uprobe PMU's path (addresses), and the offset. hertz: so many times a
    second, for counters; else at each event.
    """
    attr = uapi.PerfEventAttr(
        type=kind,
        size=ctypes.sizeof(uapi.PerfEventAttr),
        config=config,
        sample_period=hertz or 1,
        bits=_ATTR_FREQ if hertz else 0,
        wakeup_events=1,
        config1=config1,
        config2=config2,
    )
    given = ctypes.byref(attr)
    fd = int(_libc.syscall(_OPEN, given, -1, cpu, -1, _FLAG_FD_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd


def attach_program(event_fd: int, prog_fd: int) -> None:
    """Run the program at the event (on every CPU, for tracepoints and kprobes), from now on."""
    for request, argument in ((_IOC_SET_BPF, prog_fd), (_IOC_ENABLE, 0)):
        if _libc.ioctl(event_fd, ctypes.c_ulong(request), argument) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
