"""Runs a command under a seccomp filter that refuses some system calls, as container runtimes do.

    python seccomp.py bpf:28=EINVAL perf_event_open=EPERM -- COMMAND...

A call is refused whole, or (`bpf:28`) where its first argument is that number.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_BY_NAME = {  # x86_64, and what newer machines share
    "bind": (49, 200),
    "bpf": (321, 280),
    "capget": (125, 90),
    "clone3": (435, 435),
    "perf_event_open": (298, 241),
    "pipe2": (293, 59),
    "prlimit64": (302, 261),
    "rt_sigprocmask": (14, 135),
    "sched_getaffinity": (204, 123),
    "sendto": (44, 206),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "uname": (63, 160),
}
_NUMBERS = {name: both[platform.machine() != "x86_64"] for name, both in _BY_NAME.items()}
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_RET_ERRNO, _RET_ALLOW = 0x00050000, 0x7FFF0000
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NR, _FIRST_ARGUMENT = 0, 16  # in struct seccomp_data; the argument's lower half


def refusing(rule: str) -> bytes:
    """The classic BPF of one rule; falls through to what comes next where it does not apply."""
    what, _, answer = rule.partition("=")
    call, _, first = what.partition(":")
    code = [(_LOAD, 0, 0, _NR), (_JUMP_EQUAL, 0, 3 if first else 1, _NUMBERS[call])]
    if first:
        code += [(_LOAD, 0, 0, _FIRST_ARGUMENT), (_JUMP_EQUAL, 0, 1, int(first))]
    code += [(_RETURN, 0, 0, _RET_ERRNO | getattr(errno, answer))]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def confine(rules: list[str]) -> None:
    """Installs the filter for this process and what it becomes."""
    allow = struct.pack("=HBBI", _RETURN, 0, 0, _RET_ALLOW)
    code = ctypes.create_string_buffer(b"".join(map(refusing, rules)) + allow)
    program = struct.pack("@HP", (len(code) - 1) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    split = sys.argv.index("--")
    confine(sys.argv[1:split])
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
