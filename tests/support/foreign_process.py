"""The process of somebody else: loads BPF programs by plain bpf(2) and attaches them its own way.

Run by path; shares no code with ebpftop. Each line on standard input is a request in JSON, each
line on standard output its answer. What it holds goes with it, at the end of its input.
`foreign.py` is the test's side.

Every program counts what it sees in a map of its own and has a verdict that shows: XDP and TC
drop frames longer than LONGEST, sock_ops asks for ECN on connections from ADDRESS to ADDRESS.
"callbacks" is a sock_ops program that counts the round trips it is told of from there.
Those "by byte" count nothing and answer what the frame's first byte behind its header says.
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
_MAP_UPDATE, _OBJ_INFO, _RAW_TRACEPOINT_OPEN, _BTF_LOAD = 2, 15, 17, 18
_LINK_CREATE, _LINK_UPDATE = 28, 29
_TYPES = {"tc": 3, "xdp": 6, "sock_ops": 13, "callbacks": 13}
_EXT = 28  # BPF_PROG_TYPE_EXT
_CONTEXTS = {"tc": "__sk_buff", "xdp": "xdp_md"}
_SOCK_OPS = 3  # BPF_CGROUP_SOCK_OPS
_TCPI_OPT_ECN = 8

_libc = ctypes.CDLL(None, use_errno=True)
_held: dict[int, tuple[int, int]] = {}  # program id -> (its fd, its map's fd)
_links: dict[int, int] = {}  # link id -> its fd


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
    if kind == "callbacks":
        (address,) = struct.unpack("=i", socket.inet_aton(ADDRESS))
        there = _word(2, 24) + _insn(0x56, 2, offset=6, value=address)
        round_trip = _word(2, 0) + _insn(0x55, 2, offset=4, value=12) + _count(map_fd)
        return _insn(0xB7, value=1) + there + round_trip + _insn(0x95)
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


def load(kind: str, name: str, btf: bool = False) -> int:
    """Loads a program, with type information or without; its id."""
    kind, by_byte, _ = kind.partition(" by byte")
    map_fd = _bpf(_MAP_CREATE, struct.pack("<5I", 2, 4, 8, 1, 0))
    code = _by_byte(kind) if by_byte else _program(kind, map_fd)
    types = _types(_CONTEXTS[kind], name) if btf else None
    return _loaded(_TYPES[kind], code, name, _expected(kind), map_fd, types)


def load_code(kind: str, name: str, code: bytes) -> int:
    """Loads these instructions, with type information; the program's id."""
    return _loaded(_TYPES[kind], code, name, 0, 0, _types(_CONTEXTS[kind], name))


def tail(name: str, to: int) -> int:
    """An XDP program that goes on to another by a tail call; its id."""
    map_fd = _bpf(_MAP_CREATE, struct.pack("<5I", 3, 4, 4, 1, 0))
    _set(map_fd, struct.pack("<I", _held[to][0]))
    array = _insn(0x18, 2, 1, 0, map_fd) + _insn(0)
    code = array + _insn(0xB7, 3) + _insn(0x85, value=12) + _insn(0xB7) + _insn(0x95)
    return _loaded(_TYPES["xdp"], code, name, 0, map_fd, _types("xdp_md", name))


def redirect(name: str, index: int) -> int:
    """An XDP program that sends everything out of an interface; its id."""
    code = _insn(0xB7, 1, value=index) + _insn(0xB7, 2) + _insn(0x85, value=23) + _insn(0x95)
    return _loaded(_TYPES["xdp"], code, name, 0, 0, _types("xdp_md", name))


def dispatcher(name: str, part: str) -> list[int]:
    """As libxdp does it: a program whose function another takes the place of; both ids.

    The function drops, what takes its place answers by byte.
    """
    code = _insn(0x85, source=1, value=1) + _insn(0x95) + _insn(0xB7, value=1) + _insn(0x95)
    types = _types("xdp_md", name, "prog0")
    whole = _loaded(_TYPES["xdp"], code, name, 0, 0, types, (0, 2))
    to = struct.pack("<II", _FIRST_FUNCTION + 1, _held[whole][0])
    own = _types("xdp_md", part)
    stands_in = _loaded(_EXT, _by_byte("xdp"), part, 0, 0, own, (0,), to)
    opened = struct.pack("<QII", 0, _held[stands_in][0], 0)
    _links[-stands_in] = _bpf(_RAW_TRACEPOINT_OPEN, opened)
    return [whole, stands_in]


def _by_byte(kind: str) -> bytes:
    """Answers the frame's first byte behind its header; 255 stands for -1."""
    data, end = (0, 4) if kind == "xdp" else (76, 80)
    there = _insn(0xBF, 4, 2) + _insn(0x07, 4, value=15) + _insn(0x2D, 4, 3, 3)
    last = _insn(0x71, 0, 2, 14) + _insn(0x55, 0, offset=1, value=255) + _insn(0xB7, value=-1)
    return _insn(0xB7) + _word(2, data) + _word(3, end) + there + last + _insn(0x95)


def _loaded(
    kind: int,
    code: bytes,
    name: str,
    expected: int,
    map_fd: int,
    types: bytes | None,
    functions: tuple[int, ...] = (0,),
    onto: bytes = b"",
) -> int:
    """The id of a program. functions: at which instructions they begin, as in its types."""
    held = ctypes.create_string_buffer(code, len(code))
    license = ctypes.create_string_buffer(b"GPL")
    head = struct.pack("<IIQQ", kind, len(code) // 8, *map(ctypes.addressof, (held, license)))
    head += struct.pack("<IIQII16sII", 0, 0, 0, 0, 0, name.encode()[:15], 0, expected)
    if types is not None:
        where = b"".join(
            struct.pack("<II", at, _FIRST_FUNCTION + i) for i, at in enumerate(functions)
        )
        info = ctypes.create_string_buffer(where, len(where))
        btf = _btf(types)
        head += struct.pack("<IIQIIQI", btf, 8, ctypes.addressof(info), len(functions), 0, 0, 0)
    fd = _bpf(_PROG_LOAD, head.ljust(108, b"\0") + onto)
    id = _id(fd, 4)
    _held[id] = fd, map_fd
    return id


def _set(map_fd: int, value: bytes) -> None:
    """The map's only value."""
    key, held = ctypes.create_string_buffer(4), ctypes.create_string_buffer(value, len(value))
    _bpf(_MAP_UPDATE, struct.pack("<I4xQQQ", map_fd, *map(ctypes.addressof, (key, held)), 0))


_FIRST_FUNCTION = 5


def _types(context: str, *functions: str) -> bytes:
    """BTF: int, the context, a pointer to it, their prototype, and functions of that kind."""
    names = bytearray(b"\0")

    def name(text: str) -> int:
        at = len(names)
        names.extend(text.encode() + b"\0")
        return at

    def type(text: str, kind: int, count: int, size: int, *more: int) -> bytes:
        words = (name(text) if text else 0, kind << 24 | count, size, *more)
        return struct.pack(f"<{len(words)}I", *words)

    types = type("int", 1, 0, 4, 1 << 24 | 32)  # signed
    types += type(context, 4, 0, 4)
    types += type("", 2, 0, 2)
    types += type("", 13, 1, 1, name("ctx"), 3)
    for function in functions:
        types += type(function, 12, 1, 4)  # global
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    return header + types + names


def _btf(types: bytes) -> int:
    held = ctypes.create_string_buffer(types, len(types))
    return _bpf(_BTF_LOAD, struct.pack("<QQIII", ctypes.addressof(held), 0, len(types), 0, 0))


def _expected(kind: str) -> int:
    return _SOCK_OPS if _TYPES[kind] == _TYPES["sock_ops"] else 0


def seen(program: int) -> int:
    """What a program has counted so far."""
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(8)
    addresses = map(ctypes.addressof, (key, value))
    _bpf(_MAP_LOOKUP, struct.pack("<I4xQQQ", _held[program][1], *addresses, 0))
    return int(struct.unpack("<Q", value.raw[:8])[0])


def pin(program: int, path: str) -> None:
    name = ctypes.create_string_buffer(path.encode())
    _bpf(_OBJ_PIN, struct.pack("<QI", ctypes.addressof(name), _held[program][0]))


def link(program: int, target: int | str, attach_type: int, flags: int, beside: int = 0) -> int:
    """A bpf_link to an interface or a cgroup; its id. It stays open. beside: a program's id."""
    where = target if isinstance(target, int) else os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    created = struct.pack("<5I", _held[program][0], where, attach_type, flags, beside)
    fd = _bpf(_LINK_CREATE, created)
    id = _id(fd, 4)
    _links[id] = fd
    return id


def unlink(link: int) -> None:
    os.close(_links.pop(link))


def replace(link: int, program: int) -> None:
    """Puts another program in a link's place."""
    _bpf(_LINK_UPDATE, struct.pack("<4I", _links[link], _held[program][0], 0, 0))


def attach(program: int, cgroup: str, flags: int) -> None:
    """A sock_ops program on a cgroup, without a link."""
    where = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    _bpf(_PROG_ATTACH, struct.pack("<4I", where, _held[program][0], _SOCK_OPS, flags))
    os.close(where)


def enter(cgroup: str) -> None:
    Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))


def enter_netns(path: str) -> None:
    """Goes into another network namespace, for what is linked from here on."""
    fd = os.open(path, os.O_RDONLY)
    if _libc.setns(fd, 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


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


_SERVED = (
    load, tail, redirect, dispatcher, seen, pin, link, unlink, replace, attach, enter, connect,
    enter_netns,
)  # fmt: skip
_REQUESTS: dict[str, Any] = {f.__name__: f for f in _SERVED}


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
