"""Every BPF program, map and link on the host, by its id, as the kernel tells it.

To hold an fd of somebody's program would keep it alive: each is opened, asked and closed at once.
All of it takes CAP_SYS_ADMIN. Layouts: struct bpf_prog_info, bpf_map_info and bpf_link_info in
include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from probes.kernel import bpf, btf

T = TypeVar("T")
_GONE = (errno.ENOENT, errno.EAGAIN)
"""Gone meanwhile; EAGAIN: not quite there yet."""
_INFO = 256
MOST_MAPS = 64
"""Maps of one program that are looked at; the verifier allows so many."""
CUT = 15
"""Characters that the kernel keeps of a name."""


class Counts(NamedTuple):
    """What changes while a program runs: runs, nanoseconds, runs that were left out because the
    program was running already (Linux 5.12). The first two grow while statistics are on only."""

    runs: int
    run_ns: int
    missed: int


class Program(NamedTuple):
    """What stays the same as long as a program lives.

    name: as it was loaded, from its BTF where the kernel cut it; not made printable. type: as
    bpftool names it. loaded: nanoseconds since boot. memory: bytes charged (memlock), None where
    it is not told. jited: bytes of machine code, 0: interpreted, or hidden. instructions: after
    the verifier's rewriting. target: BTF object and type that it was loaded for (Linux 5.17).
    """

    id: int
    type: str
    name: str
    tag: str
    uid: int
    loaded: int
    jited: int
    instructions: int
    memory: int | None
    maps: tuple[int, ...]
    target: tuple[int, int] = (0, 0)


class Map(NamedTuple):
    """A map. memory: bytes charged (memlock), which grows with some kinds' entries (Linux 6.4)."""

    id: int
    type: str
    name: str
    max_entries: int
    memory: int | None


class Link(NamedTuple):
    """A bpf_link. words: the 48 bytes that depend on its type. name: of a tracepoint, function,
    file or iterator."""

    id: int
    type: str
    program: int
    words: bytes
    name: str = ""

    def word(self, place: int, form: str = "<I") -> int:
        """A number in `words`."""
        return int(struct.unpack_from(form, self.words, place)[0])


def programs(known: Mapping[int, Program]) -> Iterator[tuple[Program, Counts]]:
    """All programs now. known: those that were there before, so that only new ones are examined.

    Raises OSError (EPERM) without CAP_SYS_ADMIN. Some 10 us for each that is known.
    """
    info = ctypes.create_string_buffer(_INFO)
    for id in bpf.prog_ids():
        with_fd = _asked(bpf.prog_fd_by_id, id, lambda fd: _program(fd, info, known))
        if with_fd is not None:
            yield with_fd


def own_programs(known: Mapping[int, Program]) -> Iterator[tuple[Program, Counts]]:
    """Those that this process holds, which takes no privilege."""
    info = ctypes.create_string_buffer(_INFO)
    seen: set[int] = set()
    for fd in _own_fds("bpf-prog"):
        try:
            program, counts = _program(fd, info, known)
        except OSError:
            continue  # closed meanwhile
        if program.id not in seen:
            seen.add(program.id)
            yield program, counts


def own_ids() -> set[int]:
    """Ids of the programs that this process holds."""
    found = set()
    for fd in _own_fds("bpf-prog"):
        if (id := fd_field(f"/proc/self/fdinfo/{fd}", "prog_id")) is not None:
            found.add(id)
    return found


def maps(ids: Iterable[int]) -> dict[int, Map]:
    """These maps, as far as they are there."""
    found = {}
    for id in ids:
        if (one := _asked(bpf.map_fd_by_id, id, _map)) is not None:
            found[id] = one
    return found


def uses(fd: int, type: str) -> bool:
    """Whether a program that is held has a map of a type."""
    return any(one.type == type for one in maps(_map_ids(fd)).values())


def links() -> list[Link]:
    """All links; none before Linux 5.8, where they have no ids."""
    try:
        return [
            link
            for id in bpf.link_ids()
            if (link := _asked(bpf.link_fd_by_id, id, _link)) is not None
        ]
    except OSError as refused:
        if refused.errno != errno.EINVAL:
            raise
        return []


def _asked(open: Callable[[int], int], id: int, ask: Callable[[int], T]) -> T | None:
    """The answer of an object by id; None where it is not there any more."""
    try:
        fd = open(id)
    except OSError as refused:
        if refused.errno in _GONE:
            return None
        raise
    try:
        return ask(fd)
    finally:
        os.close(fd)


def _program(
    fd: int, info: ctypes.Array[ctypes.c_char], known: Mapping[int, Program]
) -> tuple[Program, Counts]:
    ctypes.memset(info, 0, len(info))
    bpf.object_info(fd, info)
    (id,) = struct.unpack_from("<I", info, 4)
    run_ns, runs, missed = struct.unpack_from("<QQQ", info, 192)
    program = known.get(id) or _examined(fd, info)
    return program, Counts(runs, run_ns, missed)


def _examined(fd: int, info: ctypes.Array[ctypes.c_char]) -> Program:
    kind, id, tag, jited, xlated = struct.unpack_from("<II8sII", info, 0)
    loaded, uid, map_count = struct.unpack_from("<QII", info, 40)
    name = _text(struct.unpack_from("16s", info, 64)[0])
    (btf_id,) = struct.unpack_from("<I", info, 128)
    target = struct.unpack_from("<II", info, 220)
    if btf_id and len(name) == CUT:
        name = btf.name_in(btf_id, bpf.main_function(fd)) or name
    return Program(
        id,
        type_name("prog", kind),
        name,
        tag.hex(),
        uid,
        loaded,
        jited,
        xlated // 8,
        fd_field(f"/proc/self/fdinfo/{fd}", "memlock"),
        _map_ids(fd) if map_count else (),
        target,
    )


def _map_ids(fd: int) -> tuple[int, ...]:
    ids = ctypes.create_string_buffer(4 * MOST_MAPS)
    info = ctypes.create_string_buffer(_INFO)
    struct.pack_into("<IQ", info, 52, MOST_MAPS, ctypes.addressof(ids))
    bpf.object_info(fd, info)
    (count,) = struct.unpack_from("<I", info, 52)
    return struct.unpack_from(f"<{min(count, MOST_MAPS)}I", ids, 0)


def _map(fd: int) -> Map:
    info = ctypes.create_string_buffer(_INFO)
    bpf.object_info(fd, info)
    # struct bpf_map_info: type, id, key_size, value_size, max_entries, map_flags, name
    kind, id, _, _, entries, _, name = struct.unpack_from("<6I16s", info, 0)
    memory = fd_field(f"/proc/self/fdinfo/{fd}", "memlock")
    return Map(id, type_name("map", kind), _text(name), entries, memory)


_NAMED = {
    # type of link: where its name's address and length stand in `words`
    "raw_tracepoint": (0, 8),
    "iter": (0, 8),
    "perf_event": (8, 16),
    "uprobe_multi": (0, 32),
}


def _link(fd: int) -> Link:
    info = ctypes.create_string_buffer(_INFO)
    bpf.object_info(fd, info)
    kind, id, program = struct.unpack_from("<III", info, 0)
    type = type_name("link", kind)
    words = info.raw[16:80]
    if type not in _NAMED or (type == "perf_event" and not any(words)):
        return Link(id, type, program, words)
    # Asked again, with space for the name: which field it is depends on the type.
    text = ctypes.create_string_buffer(512)
    address, length = _NAMED[type]
    ctypes.memset(info, 0, len(info))
    struct.pack_into("<Q", info, 16 + address, ctypes.addressof(text))
    struct.pack_into("<I", info, 16 + length, len(text))
    if type == "perf_event":
        struct.pack_into("4s", info, 16, words[:4])
    try:
        bpf.object_info(fd, info)
    except OSError as refused:
        if refused.errno not in (errno.EINVAL, errno.ENOSPC, errno.E2BIG):
            raise
        return Link(id, type, program, words)  # a hardware event has no name
    return Link(id, type, program, info.raw[16:80], os.fsdecode(text.value))


@cache
def type_name(of: str, number: int) -> str:
    """A type's name as bpftool has it, from the kernel's own enum: of "prog", "map" or "link"."""
    prefix = f"BPF_{of.upper()}_TYPE_"
    name = btf.enum(f"bpf_{of}_type").get(number, "")
    short = name.removeprefix(prefix).lower().removesuffix("_deprecated")
    return short if name.startswith(prefix) else f"type {number}"


@cache
def attach_name(number: int) -> str:
    """An attach type as bpftool has it: cgroup_inet4_connect, trace_fentry."""
    name = btf.enum("bpf_attach_type").get(number, "")
    return name.removeprefix("BPF_").lower() or f"attach type {number}"


def fd_field(path: str, name: str) -> int | None:
    """A number in a file of /proc/*/fdinfo; None where it is not there."""
    try:
        lines = Path(path).read_bytes().split(b"\n")  # a uprobe's has a path
    except OSError:
        return None
    mark = name.encode() + b":"
    value = next((line[len(mark) :].strip() for line in lines if line.startswith(mark)), b"")
    return int(value) if value.isdigit() else None


def _own_fds(kind: str) -> Iterator[int]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if entry.readlink().name == f"anon_inode:{kind}":
                yield int(entry.name)
        except OSError:
            continue  # closed meanwhile


def _text(name: bytes) -> str:
    return os.fsdecode(name.split(b"\0")[0])
