"""The process of somebody else: loads BPF programs by plain bpf(2) and attaches them its own way.

Run by path; shares no code with ebpftop. Each line on standard input is a request in JSON, each
line on standard output its answer. What it holds goes with it, at the end of its input.
`foreign.py` is the test's side.

Every program counts what it sees in a map of its own and has a verdict that shows: XDP and TC
drop frames longer than LONGEST, sock_ops asks for ECN on connections from ADDRESS to ADDRESS.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import struct
import sys
from pathlib import Path
from typing import Any

LONGEST = 100
ADDRESS = "127.77.66.55"
_NUMBER = {"x86_64": 321, "ppc64le": 361, "s390x": 351}.get(os.uname().machine, 280)
_MAP_CREATE, _MAP_LOOKUP, _PROG_LOAD, _OBJ_PIN, _PROG_ATTACH = 0, 1, 5, 6, 8
_OBJ_INFO, _LINK_CREATE = 15, 28
_TYPES = {"tc": 3, "xdp": 6, "sock_ops": 13}
_SOCK_OPS = 3  # BPF_CGROUP_SOCK_OPS
_TCPI_OPT_ECN = 8

_libc = ctypes.CDLL(None, use_errno=True)
_held: dict[int, tuple[int, int]] = {}  # program id -> (its fd, its map's fd)


def _bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr, max(len(attr), 128))
    result = int(_libc.syscall(_NUMBER, command, buffer, len(buffer)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _insn(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | to, offset, value)


def _word(to: int, offset: int) -> bytes:
    """to = *(u32 *)(context + offset)"""
    return _insn(0x61, to, 1, offset)


def _count(map_fd: int) -> bytes:
    """Adds one to the map's only value, which r4 points at (BPF_PSEUDO_MAP_VALUE); 4 words."""
    value = _insn(0x18, 4, 2, 0, map_fd) + _insn(0)
    return value + _insn(0xB7, 5, value=1) + _insn(0xDB, 4, 5)


def _program(kind: str, map_fd: int) -> bytes:
    if kind == "sock_ops":
        (address,) = struct.unpack("=i", socket.inet_aton(ADDRESS))
        established = _word(2, 0) + _insn(0x55, 2, offset=4, value=4) + _count(map_fd)
        ecn = _insn(0x55, 2, offset=2, value=6) + _insn(0xB7, 5, value=1) + _insn(0x63, 1, 5, 4)
        there = _word(2, 24) + _insn(0x56, 2, offset=9, value=address)
        return _insn(0xB7, value=1) + there + established + ecn + _insn(0x95)
    if kind == "xdp":  # data_end - data
        length, go_on, drop = _word(2, 0) + _word(3, 4) + _insn(0x1F, 3, 2), 2, 1
    else:
        length, go_on, drop = _word(3, 0), -1, 2
    verdict = _insn(0xB7, value=go_on) + _insn(0xB5, 3, offset=1, value=LONGEST)
    return length + _count(map_fd) + verdict + _insn(0xB7, value=drop) + _insn(0x95)


def _id(fd: int, place: int) -> int:
    info = ctypes.create_string_buffer(64)
    _bpf(_OBJ_INFO, struct.pack("<IIQ", fd, len(info), ctypes.addressof(info)))
    return int(struct.unpack_from("<I", info, place)[0])


def load(kind: str, name: str) -> int:
    """Loads a program; its id."""
    map_fd = _bpf(_MAP_CREATE, struct.pack("<5I", 2, 4, 8, 1, 0))
    code = _program(kind, map_fd)
    held = ctypes.create_string_buffer(code, len(code))
    license = ctypes.create_string_buffer(b"GPL")
    head = struct.pack(
        "<IIQQ", _TYPES[kind], len(code) // 8, *map(ctypes.addressof, (held, license))
    )
    tail = struct.pack("<IIQII16sII", 0, 0, 0, 0, 0, name.encode(), 0, _expected(kind))
    fd = _bpf(_PROG_LOAD, head + tail)
    id = _id(fd, 4)
    _held[id] = fd, map_fd
    return id


def _expected(kind: str) -> int:
    return _SOCK_OPS if kind == "sock_ops" else 0


def seen(program: int) -> int:
    """What a program has counted so far."""
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(8)
    addresses = map(ctypes.addressof, (key, value))
    _bpf(_MAP_LOOKUP, struct.pack("<I4xQQQ", _held[program][1], *addresses, 0))
    return int(struct.unpack("<Q", value.raw[:8])[0])


def pin(program: int, path: str) -> None:
    name = ctypes.create_string_buffer(path.encode())
    _bpf(_OBJ_PIN, struct.pack("<QI", ctypes.addressof(name), _held[program][0]))


def link(program: int, target: int | str, attach_type: int, flags: int) -> int:
    """A bpf_link to an interface or a cgroup; its id. It stays open."""
    where = target if isinstance(target, int) else os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    fd = _bpf(_LINK_CREATE, struct.pack("<4I", _held[program][0], where, attach_type, flags))
    return _id(fd, 4)


def attach(program: int, cgroup: str, flags: int) -> None:
    """A sock_ops program on a cgroup, without a link."""
    where = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    _bpf(_PROG_ATTACH, struct.pack("<4I", where, _held[program][0], _SOCK_OPS, flags))
    os.close(where)


def enter(cgroup: str) -> None:
    Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))


def connect(times: int) -> list[bool]:
    """Connects to a server of its own at ADDRESS; whether each connection speaks ECN."""
    spoke = []
    with socket.create_server((ADDRESS, 0)) as server:
        for _ in range(times):
            there, source = server.getsockname(), (ADDRESS, 0)
            with socket.create_connection(there, source_address=source) as client:
                server.accept()[0].close()
                info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
                spoke.append(bool(info[5] & _TCPI_OPT_ECN))
    return spoke


_REQUESTS: dict[str, Any] = {f.__name__: f for f in (load, seen, pin, link, attach, enter, connect)}


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    for limit in (hard, resource.RLIM_INFINITY):  # maps count as locked memory before 5.11
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
        except (OSError, ValueError):
            break
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(_REQUESTS[name](*arguments)), flush=True)


if __name__ == "__main__":
    main()
