"""Capabilities of this process: what they are, giving them up, and why the kernel said no.

See capabilities(7), capset(2) and prctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import shlex
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from probes.errors import short

# include/uapi/linux/capability.h
DAC_READ_SEARCH, NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN, SYSLOG = 2, 12, 13, 19, 21, 34
PERFMON, BPF = 38, 39
PROCESSES = (SYS_PTRACE, DAC_READ_SEARCH)
"""Capabilities for other users' processes: their sockets, their names."""
USED = frozenset({BPF, PERFMON, NET_ADMIN, SYS_ADMIN, SYSLOG, *PROCESSES})
"""Capabilities for reading, attaching and detaching: programs, maps, interfaces, ids,
kernel symbols, processes."""
_PR_GET_SECCOMP = 21
_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h: two words for each set
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38

_libc = ctypes.CDLL(None, use_errno=True)
_NAMES = {
    DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH",
    NET_ADMIN: "CAP_NET_ADMIN",
    NET_RAW: "CAP_NET_RAW",
    SYS_PTRACE: "CAP_SYS_PTRACE",
    SYS_ADMIN: "CAP_SYS_ADMIN",
    SYSLOG: "CAP_SYSLOG",
    PERFMON: "CAP_PERFMON",
    BPF: "CAP_BPF",
}
_SUDO_PATH = {f"{top}/{folder}" for top in ("/usr/local", "/usr", "") for folder in ("bin", "sbin")}
"""secure_path of Debian's sudo, whatever PATH is; pipx and uv install into ~/.local/bin."""
ROOT = "Run as root (sudo), or grant CAP_SYS_ADMIN."
FULL = "Run as root (sudo), or grant CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN."


# -- what there is, and giving it up ------------------------------------------------------------


def keep(wanted: Iterable[int]) -> None:
    """Keep those of `wanted` that are there and give up all others, in every set.

    This holds for the calling thread, and for the threads and processes that it starts from now on:
    no program that they run, setuid or not, gets one back. Raises OSError.
    """
    mask = sum(1 << number for number in wanted)
    effective, permitted, inheritable = _now()
    _leave_bounds(mask)  # needs CAP_SETPCAP, which goes with the others
    sets = [effective & mask, permitted & mask, inheritable & mask]
    header = struct.pack("=Ii", _VERSION_3, 0)
    words = [part for low in (0, 32) for s in sets for part in [s >> low & 0xFFFFFFFF]]
    _check(_libc.capset(header, struct.pack("=6I", *words)), "capset")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def effective() -> int:
    """Return the calling thread's effective capabilities as a bit mask. Raises OSError."""
    try:
        return _now()[0]
    except OSError:  # a filter on system calls
        return _told(Path("/proc/thread-self"), "CapEff")


def permitted(pid: int) -> int:
    """Return a process's permitted capabilities (main thread) as a bit mask. Raises OSError."""
    try:
        return _now(pid)[1]
    except OSError:
        return _told(Path("/proc", str(pid)), "CapPrm")


def more_than_ours(pid: int) -> bool:
    """Return whether a process has what our main thread gave up (`keep`). Raises OSError.

    What root dropped by other means comes back with the next program that it runs, so a child of
    ours may have it.
    """
    more = permitted(pid) & ~permitted(os.getpid())
    if not more:
        return False
    ours = Path("/proc/self")
    comes_back = 0 if _told(ours, "NoNewPrivs") else _told(ours, "CapBnd")
    return bool(more & ~comes_back)


def _told(process: Path, name: str) -> int:
    """Return a mask of /proc/PID/status; 0 where this kernel has no such line. Raises OSError."""
    lines = (process / "status").read_text(errors="replace").splitlines()
    return next((int(w[1], 16) for w in map(str.split, lines) if w[0] == f"{name}:"), 0)


def _now(pid: int = 0) -> tuple[int, int, int]:
    """Return effective, permitted, inheritable, by capget(2): it needs no file and no /proc."""
    words = ctypes.create_string_buffer(24)
    _check(_libc.capget(struct.pack("=Ii", _VERSION_3, pid), words), "capget")
    low, high = struct.unpack("=3I3I", words.raw)[:3], struct.unpack("=3I3I", words.raw)[3:]
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def _leave_bounds(mask: int) -> None:
    """Shrink the bounding set, so that running another program cannot bring anything back."""
    for number in range(64):
        there = _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0)
        if there < 0:
            return  # the kernel knows no more of them
        if there and not mask >> number & 1 and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
            if ctypes.get_errno() == errno.EPERM:
                return  # without CAP_SETPCAP; no_new_privs says the same
            _check(-1, "bounding set")


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


# -- why the kernel said no ---------------------------------------------------------------------


def missing(*wanted: int) -> tuple[str, ...]:
    """Return the `wanted` capabilities that are missing; CAP_SYS_ADMIN counts as BPF's."""
    mask = effective()
    # CAP_BPF and CAP_PERFMON were split off CAP_SYS_ADMIN in Linux 5.8; it still implies them.
    implied = (BPF, PERFMON) if mask >> SYS_ADMIN & 1 else ()
    return tuple(_NAMES[c] for c in wanted if not mask >> c & 1 and c not in implied)


def lockdown() -> str:
    """Return the kernel's lockdown mode: "none", "integrity" or "confidentiality".

    Raises OSError where it cannot be read at the moment, for want of files.
    """
    try:
        modes = Path("/sys/kernel/security/lockdown").read_text()
    except OSError as refused:
        if short(refused.errno):
            raise
        return "none"
    return modes[modes.find("[") + 1 : modes.find("]")] if "[" in modes else "none"


def filtered() -> bool:
    """Return whether a seccomp filter decides on this process's system calls."""
    mode = _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)
    return bool(mode > 0 or (mode < 0 and ctypes.get_errno() != errno.EINVAL))


def sysctl(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", *name.split(".")).read_text())
    except (OSError, ValueError):
        return None


def why_not(*wanted: int) -> tuple[str, str]:
    """Return a sentence on what refused, and one on the remedy ("" where there is none)."""
    if lacking := missing(*wanted):
        remedy = ROOT if SYS_ADMIN in wanted else FULL
        return f"this process lacks {' and '.join(lacking)}", remedy
    if (mode := lockdown()) != "none":
        return (
            f"the kernel is locked down ({mode})",
            "Boot without lockdown= (or Secure Boot) where that is acceptable.",
        )
    if filtered():
        return (
            "a seccomp filter refuses it, although this process has the capabilities",
            "Let the container's seccomp profile allow bpf(2) and perf_event_open(2).",
        )
    return (
        "a security policy refuses it, although this process has the capabilities",
        "Check which LSM or container runtime forbids it.",
    )


def summary() -> str:
    """Return one sentence on what more privilege would give; "" where nothing is missing."""
    lacking = missing(BPF, PERFMON, NET_ADMIN)
    if not lacking:
        return ""
    return f"passive numbers only; all hooks with {by_sudo()}, or {', '.join(lacking)}"


def by_sudo(command: str | None = None) -> str:
    """Return "sudo", with our command's path where sudo does not look for it (`_SUDO_PATH`).

    command: how we were called; None: as this process was.
    """
    path = Path(sys.argv[0] if command is None else command).absolute()
    if not path.name.startswith("ebpftop") or str(path.parent) in _SUDO_PATH:
        return "sudo"
    return f"sudo {shlex.quote(str(path))}"
