"""Privilege of this process, and in words why the kernel said no."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

from probes.errors import short
from probes.kernel import capabilities

# include/uapi/linux/capability.h
DAC_READ_SEARCH, NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN, SYSLOG = 2, 12, 13, 19, 21, 34
PERFMON, BPF = 38, 39
PROCESSES = (SYS_PTRACE, DAC_READ_SEARCH)
"""Capabilities for other users' processes: their sockets, their names."""
USED = frozenset({BPF, PERFMON, NET_ADMIN, SYS_ADMIN, SYSLOG, *PROCESSES})
"""Capabilities for reading, attaching and detaching: programs, maps, interfaces, ids,
kernel symbols, processes."""
_PR_GET_SECCOMP = 21
_libc = ctypes.CDLL(None, use_errno=True)
_NAMES = {
    NET_ADMIN: "CAP_NET_ADMIN",
    NET_RAW: "CAP_NET_RAW",
    SYS_ADMIN: "CAP_SYS_ADMIN",
    PERFMON: "CAP_PERFMON",
    BPF: "CAP_BPF",
}
ROOT = "Run it as root (sudo), or grant CAP_SYS_ADMIN."
FULL = "Run it as root (sudo), or grant CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN."


def missing(*wanted: int) -> tuple[str, ...]:
    """Return the `wanted` capabilities that are missing; CAP_SYS_ADMIN counts as BPF's."""
    mask = capabilities.effective()
    # CAP_BPF and CAP_PERFMON were split off CAP_SYS_ADMIN in Linux 5.8; it still implies them.
    implied = (BPF, PERFMON) if mask >> SYS_ADMIN & 1 else ()
    return tuple(_NAMES[c] for c in wanted if not mask >> c & 1 and c not in implied)


def lockdown() -> str:
    """Return the kernel's lockdown mode: "none", "integrity" or "confidentiality".

    Raises OSError where it cannot be read just now, for want of files.
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
    return f"passive numbers only; all hooks with sudo, or {', '.join(lacking)}"
