"""Every BPF program, map and link on the host, by id.

Holding an fd of somebody's program would keep it alive: each is opened, asked and closed at once.
All of it takes CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from probes.errors import short
from probes.kernel import bpf, btf, uapi
from probes.kernel.uapi import address

T = TypeVar("T")
_GONE = (errno.ENOENT, errno.EAGAIN)
"""Errnos of objects gone meanwhile; EAGAIN: not quite there yet."""
CUT = 15
"""Characters that the kernel keeps of a name."""


class RunCounts(NamedTuple):
    """Counts of a running program: runs, nanoseconds, and missed runs (Linux 5.12).

    A run is missed where the program was running already. The first two grow only while statistics
    are on.
    """

    runs: int
    run_ns: int
    missed: int


class KernelProgram(NamedTuple):
    """Fixed facts of a program, for as long as it lives.

    name: as it was loaded, from its BTF where the kernel cut it; not made printable. type: as
    bpftool names it. loaded: nanoseconds since boot. memory: bytes charged (memlock), None where it
    is not told. jited: bytes of machine code, 0: interpreted, or hidden. instructions: after the
    verifier's rewriting. target: BTF object and type that it was loaded for (Linux 5.17).
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
    """A bpf_link. info: only the member of its type is valid. name: see below.

    name: of a tracepoint, function, file or iterator.
    """

    id: int
    type: str
    program: int
    info: uapi.BpfLinkInfo
    name: str = ""


def programs(known: Mapping[int, KernelProgram]) -> Iterator[tuple[KernelProgram, RunCounts]]:
    """Yield all current programs. known: those seen before, so that only new ones are examined.

    Raises OSError (EPERM) without CAP_SYS_ADMIN. Some 10 us for each known program.
    """
    for id in bpf.prog_ids():
        with_fd = _asked(bpf.prog_fd_by_id, id, lambda fd: _program(fd, known))
        if with_fd is not None:
            yield with_fd


def own_programs(known: Mapping[int, KernelProgram]) -> Iterator[tuple[KernelProgram, RunCounts]]:
    """Yield the programs that this process holds, which takes no privilege."""
    seen: set[int] = set()
    for fd in _own_fds("bpf-prog"):
        try:
            program, counts = _program(fd, known)
        except OSError:
            continue  # closed meanwhile
        if program.id not in seen:
            seen.add(program.id)
            yield program, counts


def own_ids() -> set[int]:
    """Return the ids of the programs that this process holds."""
    found = set()
    for fd in _own_fds("bpf-prog"):
        if (id := fd_field(f"/proc/self/fdinfo/{fd}", "prog_id")) is not None:
            found.add(id)
    return found


def maps(ids: Iterable[int]) -> dict[int, Map]:
    """Return these maps, as far as they exist."""
    found = {}
    for id in ids:
        if (one := _asked(bpf.map_fd_by_id, id, _map)) is not None:
            found[id] = one
    return found


def uses(fd: int, type: str) -> bool:
    """Return whether a held program has a map of a type."""
    return any(one.type == type for one in maps(bpf.map_ids(fd)).values())


def links() -> list[Link]:
    """Return all links; none before Linux 5.8, where they have no ids."""
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
    """Return what an object says, by its id; None where it is not there any more."""
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


def _program(fd: int, known: Mapping[int, KernelProgram]) -> tuple[KernelProgram, RunCounts]:
    info = uapi.BpfProgInfo()
    bpf.object_info(fd, info)
    counts = RunCounts(info.run_cnt, info.run_time_ns, info.recursion_misses)
    return known.get(info.id) or _examined(fd, info), counts


def _examined(fd: int, info: uapi.BpfProgInfo) -> KernelProgram:
    name = os.fsdecode(info.name)
    if info.btf_id and len(info.name) == CUT:
        name = btf.name_in(info.btf_id, bpf.main_function(fd)) or name
    return KernelProgram(
        info.id,
        type_name("prog", info.type),
        name,
        bytes(info.tag).hex(),
        info.created_by_uid,
        info.load_time,
        info.jited_prog_len,
        info.xlated_prog_len // 8,
        fd_field(f"/proc/self/fdinfo/{fd}", "memlock"),
        bpf.map_ids(fd) if info.nr_map_ids else (),
        (info.attach_btf_obj_id, info.attach_btf_id),
    )


def _map(fd: int) -> Map:
    info = uapi.BpfMapInfo()
    bpf.object_info(fd, info)
    memory = fd_field(f"/proc/self/fdinfo/{fd}", "memlock")
    name = os.fsdecode(info.name)
    return Map(info.id, type_name("map", info.type), name, info.max_entries, memory)


def _link(fd: int) -> Link:
    info = uapi.BpfLinkInfo()
    bpf.object_info(fd, info)
    type = type_name("link", info.type)
    return Link(info.id, type, info.prog_id, info, _name_of(fd, type, info.perf_event.type))


def _name_of(fd: int, type: str, event: int) -> str:
    """Ask again, with space for the name: which member it is depends on the type.

    event: of a perf event's link, 0 before Linux 6.6, where it has no name.
    """
    info, text = uapi.BpfLinkInfo(), ctypes.create_string_buffer(512)
    at, size = address(text), len(text)
    match type:
        case "raw_tracepoint":
            info.raw_tracepoint.tp_name, info.raw_tracepoint.tp_name_len = at, size
        case "iter":
            info.iter.target_name, info.iter.target_name_len = at, size
        case "uprobe_multi":
            info.uprobe_multi.path, info.uprobe_multi.path_size = at, size
        case "perf_event" if event:
            info.perf_event.type = event  # its name is in the same place for each kind of event
            info.perf_event.uprobe.file_name, info.perf_event.uprobe.name_len = at, size
        case _:
            return ""
    try:
        bpf.object_info(fd, info)
    except OSError as refused:
        if refused.errno not in (errno.EINVAL, errno.ENOSPC, errno.E2BIG):
            raise
        return ""  # a hardware event has no name
    return os.fsdecode(text.value)


def type_name(of: str, number: int) -> str:
    """Return a type's name as bpftool has it, from the kernel's enum of "prog", "map" or "link"."""
    prefix = f"BPF_{of.upper()}_TYPE_"
    name = btf.enum(f"bpf_{of}_type").get(number, "")
    short = name.removeprefix(prefix).lower().removesuffix("_deprecated")
    return short if name.startswith(prefix) else f"type {number}"


def attach_name(number: int) -> str:
    """Return an attach type as bpftool has it: cgroup_inet4_connect, trace_fentry."""
    name = btf.enum("bpf_attach_type").get(number, "")
    return name.removeprefix("BPF_").lower() or f"attach type {number}"


def fd_field(path: str, name: str) -> int | None:
    """Return a number in a file of /proc/*/fdinfo; None where it is not there."""
    try:
        lines = Path(path).read_bytes().split(b"\n")  # a uprobe's has a path
    except OSError as refused:
        if short(refused.errno):
            raise
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
