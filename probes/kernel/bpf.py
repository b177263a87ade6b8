"""Commands of bpf(2), the few that ebpftop needs, straight from the kernel's ABI.

Every function raises OSError with the kernel's errno; turning that into a sentence is `attach`'s
and `compile`'s work. The structs are in `uapi`: an older kernel answers E2BIG or EINVAL to members
that it does not know only where they are not zero.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import signal
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from probes.kernel import uapi
from probes.kernel.signals import blocked
from probes.kernel.uapi import address

_BPF = {"x86_64": 321, "ppc64le": 361, "s390x": 351}.get(platform.machine(), 280)
"""Number of bpf(2); 280: asm-generic, as on arm64 and riscv64."""
_libc = ctypes.CDLL(None, use_errno=True)
_CHAR = ctypes.c_char
_LOADS = 5
"""Attempts at a load that was interrupted."""
MOST_MAPS = 64
"""Maps looked at in one program: as many as the verifier allows."""

ENOTSUPP = 524
PSEUDO_MAP_FD = 1
LD_IMM64 = 0x18

# enum bpf_cmd
_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT_KEY, _PROG_LOAD = range(6)
_PROG_ATTACH, _PROG_DETACH = 8, 9
_OBJ_GET, _MAP_POP = 7, 21  # the latter: BPF_MAP_LOOKUP_AND_DELETE_ELEM
_PROG_NEXT_ID, _PROG_FD_BY_ID, _MAP_FD_BY_ID, _OBJ_INFO = 11, 13, 14, 15
_PROG_QUERY, _RAW_TRACEPOINT_OPEN, _BTF_FD_BY_ID, _TASK_FD_QUERY = 16, 17, 19, 20
_MAP_LOOKUP_BATCH, _MAP_TAKE_BATCH = 24, 25  # the latter: BPF_MAP_LOOKUP_AND_DELETE_BATCH
_LINK_CREATE, _LINK_FD_BY_ID, _LINK_NEXT_ID, _ENABLE_STATS = 28, 30, 31, 32
_ITER_CREATE = 33

_LINK_TRACING, _LINK_CGROUP, _LINK_XDP, _LINK_TCX = 2, 3, 6, 11  # enum bpf_link_type
_MAP_PROG_ARRAY, SOCKHASH = 3, 18  # enum bpf_map_type

_ITERATED = 1 << 16  # the kernel's own buffer has half of it

F_ALLOW_MULTI = 2
F_BEFORE = 1 << 3  # TCX: before the program that is named, or before all
F_AFTER, F_ID = 1 << 4, 1 << 5  # behind it; it is named by its id
_QUERY_EFFECTIVE = 1
_UPROBE_MULTI_RETURN = 1
_KPROBE_MULTI_RETURN = 1


def exit_with(value: int) -> bytes:
    """Return the smallest program, which returns `value`. Features are probed with it."""
    return struct.pack("=BBhi", 0xB7, 0, 0, value) + struct.pack("=BBhi", 0x95, 0, 0, 0)


def _bpf(command: int, attr: ctypes.Structure) -> int:
    result: int = _libc.syscall(_BPF, command, ctypes.byref(attr), ctypes.sizeof(attr))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


# -- programs --------------------------------------------------------------------------------


def prog_load(
    prog_type: int,
    insns: bytes,
    *,
    name: str = "",
    license: str = "GPL",
    expected_attach_type: int = 0,
    attach_btf_id: int = 0,
    attach_prog_fd: int = 0,
    log: int = 0,
) -> int:
    """Load a program; return its fd (close-on-exec).

    log: bytes for the verifier's words, which then are in the error: see `VerifierError`. The name
    is cut to the kernel's 15 characters.
    """
    code = ctypes.create_string_buffer(insns, len(insns))
    gpl = ctypes.create_string_buffer(license.encode())
    words = ctypes.create_string_buffer(log) if log else None
    attr = uapi.ProgLoad(
        prog_type=prog_type,
        insn_cnt=len(insns) // 8,
        insns=address(code),
        license=address(gpl),
        log_level=1 if log else 0,
        log_size=log,
        log_buf=address(words),
        prog_name=name.encode()[:15],
        expected_attach_type=expected_attach_type,
        attach_btf_id=attach_btf_id,
        attach_prog_fd=attach_prog_fd,
    )
    try:
        with blocked(signal.valid_signals()):
            return _load_patiently(attr)
    except OSError as refused:
        if words is not None and words.value:
            raise VerifierError(refused.errno, words.value.decode(errors="replace")) from None
        raise


def _load_patiently(attr: ctypes.Structure) -> int:
    """Load; the verifier gives up (EAGAIN) where anything wants this thread.

    Signals are blocked: of several threads the kernel wakes any for a child that has ended, not
    only the one that waits. What io_uring completed for it cannot be, and is done on return; libbpf
    tries as often.
    """
    for _ in range(_LOADS - 1):
        try:
            return _bpf(_PROG_LOAD, attr)
        except OSError as refused:
            if refused.errno != errno.EAGAIN:
                raise
    return _bpf(_PROG_LOAD, attr)


class VerifierError(OSError):
    """A load that the verifier refused; `log` holds its words."""

    def __init__(self, code: int | None, log: str) -> None:
        super().__init__(code, os.strerror(code or 0))
        self.log = log


@dataclass(frozen=True, slots=True)
class ProgInfo:
    """Shown part of struct bpf_prog_info. run_ns and runs count only while statistics are on.

    missed: events for which it did not run, because it ran already on that CPU: it is not entered
    twice, whatever interrupts it. Linux 5.12, else 0.
    """

    type: int
    id: int
    name: str
    btf_id: int
    run_ns: int
    runs: int
    missed: int


def prog_info(fd: int) -> ProgInfo:
    """Return a program's info. Linux 4.13; run-time figures 5.1. A held fd takes no privilege."""
    info = uapi.BpfProgInfo()
    object_info(fd, info)
    name, runs = os.fsdecode(info.name), (info.run_time_ns, info.run_cnt, info.recursion_misses)
    return ProgInfo(info.type, info.id, name, info.btf_id, *runs)


def prog_runs(fd: int) -> tuple[int, int, int]:
    """Return run_ns, runs and missed alone, as in `ProgInfo`: what every reading asks."""
    info = uapi.BpfProgInfo()
    object_info(fd, info)
    return info.run_time_ns, info.run_cnt, info.recursion_misses


def object_info(fd: int, info: ctypes.Structure) -> None:
    """Fill `info` (a program's, map's or link's struct) as far as the kernel knows it."""
    _bpf(_OBJ_INFO, uapi.InfoByFd(fd, ctypes.sizeof(info), address(info)))


def main_function(fd: int) -> int:
    """Return the BTF id of a program's main function; 0 without BTF. CAP_BPF."""
    main = uapi.BpfFuncInfo()
    info = uapi.BpfProgInfo(
        func_info_rec_size=ctypes.sizeof(main), func_info=address(main), nr_func_info=1
    )
    object_info(fd, info)
    return int(main.type_id) if info.nr_func_info else 0


def map_ids(fd: int) -> tuple[int, ...]:
    """Return the ids of the maps that a program uses."""
    ids = (ctypes.c_uint32 * MOST_MAPS)()
    info = uapi.BpfProgInfo(nr_map_ids=len(ids), map_ids=address(ids))
    object_info(fd, info)
    return tuple(ids[: info.nr_map_ids])


def tail_calls(fd: int) -> bool:
    """Return whether a program has a map of programs for tail calls. CAP_SYS_ADMIN."""
    return any(map(_holds_programs, map_ids(fd)))


def _holds_programs(map_id: int) -> bool:
    fd = map_fd_by_id(map_id)
    try:
        info = uapi.BpfMapInfo()
        object_info(fd, info)
    finally:
        os.close(fd)
    return bool(info.type == _MAP_PROG_ARRAY)


@dataclass(frozen=True, slots=True)
class ProgLink:
    """A bpf_link of XDP (ifindex) or onto another program (target: that one's id); else 0."""

    prog_id: int
    ifindex: int = 0
    target: int = 0


def prog_links() -> Iterator[ProgLink]:
    """Yield every bpf_link of XDP or onto a program on the host. CAP_SYS_ADMIN, Linux 5.8.

    Before Linux 5.13 links onto programs do not name their target: they are left out.
    """
    for id in link_ids():
        try:
            fd = link_fd_by_id(id)
        except (FileNotFoundError, BlockingIOError):
            continue  # gone meanwhile, or not quite there (EAGAIN)
        try:
            info = uapi.BpfLinkInfo()
            object_info(fd, info)
        finally:
            os.close(fd)
        if info.type == _LINK_XDP:
            yield ProgLink(info.prog_id, ifindex=info.xdp.ifindex)
        elif info.type == _LINK_TRACING and info.tracing.target_obj_id:
            yield ProgLink(info.prog_id, target=info.tracing.target_obj_id)


def link_target(fd: int) -> int:
    """Return the interface or cgroup id of an XDP, TCX or cgroup link. Linux 5.9.

    0 where it was detached by force (BPF_LINK_DETACH) or its target is gone.
    """
    info = uapi.BpfLinkInfo()
    object_info(fd, info)
    if info.type == _LINK_CGROUP:
        return int(info.cgroup.cgroup_id)
    return int(info.xdp.ifindex if info.type == _LINK_XDP else info.tcx.ifindex)


def prog_ids(after: int = 0) -> Iterator[int]:
    """Yield the ids of every program on the host behind this one. CAP_SYS_ADMIN."""
    yield from _ids(_PROG_NEXT_ID, after)


def link_ids() -> Iterator[int]:
    """Yield the ids of every bpf_link on the host. CAP_SYS_ADMIN, Linux 5.8."""
    yield from _ids(_LINK_NEXT_ID)


def _ids(command: int, after: int = 0) -> Iterator[int]:
    attr = uapi.GetId(after)
    while True:
        try:
            _bpf(command, attr)
        except OSError as end:
            if end.errno == errno.ENOENT:
                return
            raise
        attr.start_id = attr.next_id
        yield attr.next_id


def prog_fd_by_id(id: int) -> int:
    """Open a program by its id. CAP_SYS_ADMIN. ENOENT where it has gone."""
    return _bpf(_PROG_FD_BY_ID, uapi.GetId(id))


def map_fd_by_id(id: int) -> int:
    """Open a map by its id. CAP_SYS_ADMIN. ENOENT where it has gone."""
    return _bpf(_MAP_FD_BY_ID, uapi.GetId(id))


def link_fd_by_id(id: int) -> int:
    """Open a link by its id. CAP_SYS_ADMIN, Linux 5.8. ENOENT: gone; EAGAIN: not there yet."""
    return _bpf(_LINK_FD_BY_ID, uapi.GetId(id))


def obj_get(path: str) -> int:
    """Open what is pinned there: a program, a map or a link. Linux 4.4."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _bpf(_OBJ_GET, uapi.ObjGet(address(name)))


class EventTarget(NamedTuple):
    """Target of a process's perf event: where it runs a program. kind: enum bpf_task_fd_type."""

    program: int
    kind: int
    name: str
    offset: int


def task_fd_query(pid: int, fd: int) -> EventTarget:
    """Return the program at a perf event that a process holds. Linux 4.18, CAP_SYS_ADMIN.

    EOPNOTSUPP or ENOENT where there is none, or none that the kernel shows (software events).
    """
    name = ctypes.create_string_buffer(256)
    attr = uapi.TaskFdQuery(pid=pid, fd=fd, buf_len=len(name), buf=address(name))
    _bpf(_TASK_FD_QUERY, attr)
    return EventTarget(attr.prog_id, attr.fd_type, os.fsdecode(name.value), attr.probe_offset)


def prog_name(id: int) -> str | None:
    """Return the name of a program by id; None where it has gone or may not be looked at."""
    try:
        fd = prog_fd_by_id(id)
    except OSError:
        return None
    try:
        return prog_info(fd).name
    finally:
        os.close(fd)


# -- attachments -----------------------------------------------------------------------------


def link_create(
    prog_fd: int, target: int, attach_type: int, *, flags: int = 0, beside: int = 0
) -> int:
    """Create a bpf_link on an interface, cgroup fd or perf event fd; closing its fd detaches.

    beside: TCX: the program that the flags put it before or behind.
    """
    attr = uapi.LinkCreate(prog_fd, target, attach_type, flags)
    attr.tcx.relative_fd = beside
    return _bpf(_LINK_CREATE, attr)


def link_create_kprobe(prog_fd: int, attach_type: int, function: str, *, returns: bool) -> int:
    """Create a bpf_link on a kernel function's entry or return; closing its fd detaches.

    Linux 5.18.
    """
    name = ctypes.create_string_buffer(function.encode())
    names = (ctypes.c_uint64 * 1)(address(name))
    attr = uapi.LinkCreate(prog_fd=prog_fd, attach_type=attach_type)
    multi = attr.kprobe_multi
    multi.flags, multi.cnt = _KPROBE_MULTI_RETURN if returns else 0, len(names)
    multi.syms = address(names)
    return _bpf(_LINK_CREATE, attr)


def link_create_uprobe(
    prog_fd: int, attach_type: int, path: bytes, offsets: Sequence[int], *, returns: bool
) -> int:
    """Create a bpf_link on places in a file, or on the returns of functions there. Linux 6.6."""
    name = ctypes.create_string_buffer(path)
    places = (ctypes.c_uint64 * len(offsets))(*offsets)
    attr = uapi.LinkCreate(prog_fd=prog_fd, attach_type=attach_type)
    multi = attr.uprobe_multi
    multi.flags, multi.cnt = _UPROBE_MULTI_RETURN if returns else 0, len(places)
    multi.path, multi.offsets = address(name), address(places)
    return _bpf(_LINK_CREATE, attr)


def iterate(link_fd: int) -> bytes:
    """Return all that an iterator's program writes, over everything there is now. Linux 5.8."""
    fd = _bpf(_ITER_CREATE, uapi.IterCreate(link_fd))
    try:
        return b"".join(iter(lambda: _piece(fd), b""))
    finally:
        os.close(fd)


def _piece(fd: int) -> bytes:
    while True:
        with suppress(BlockingIOError):  # a million objects of which it wrote nothing
            return os.read(fd, _ITERATED)


def raw_tracepoint_open(prog_fd: int, name: str = "") -> int:
    """Attach a raw tracepoint program by name, a BTF-typed one without. Linux 4.17."""
    text = ctypes.create_string_buffer(name.encode()) if name else None
    return _bpf(_RAW_TRACEPOINT_OPEN, uapi.RawTracepointOpen(address(text), prog_fd))


def prog_attach(prog_fd: int, target: int, attach_type: int, flags: int = 0) -> None:
    """Attach to a cgroup; the attachment lasts until `prog_detach`."""
    _bpf(_PROG_ATTACH, uapi.ProgAttach(target, prog_fd, attach_type, flags))


def prog_detach(prog_fd: int, target: int, attach_type: int) -> None:
    _bpf(_PROG_DETACH, uapi.ProgAttach(target, prog_fd, attach_type))


def prog_query(target: int, attach_type: int, *, effective: bool = False) -> list[int]:
    """Return the ids of the programs attached to a cgroup fd or (TCX) an ifindex, in order.

    effective: all that run for a cgroup, also those attached above it.
    """
    ids = (ctypes.c_uint32 * 64)()
    flags = _QUERY_EFFECTIVE if effective else 0
    attr = uapi.Query(target, attach_type, flags, 0, address(ids), len(ids))
    _bpf(_PROG_QUERY, attr)
    return ids[: attr.prog_cnt]


def enable_stats() -> int:
    """Switch run-time statistics on for every program, while the returned fd is open.

    Linux 5.8, CAP_SYS_ADMIN; costs about 20 ns for each run of any program.
    """
    return _bpf(_ENABLE_STATS, uapi.EnableStats())


# -- maps ------------------------------------------------------------------------------------


def map_create(
    kind: int, key_size: int, value_size: int, max_entries: int, *, flags: int = 0, name: str = ""
) -> int:
    """Create a map; return its fd, close-on-exec. name: cut to 15 characters. Linux 4.15."""
    attr = uapi.MapCreate(kind, key_size, value_size, max_entries, flags)
    attr.map_name = name.encode()[:15]
    return _bpf(_MAP_CREATE, attr)


def map_lookup(fd: int, key: bytes, value_size: int) -> bytes | None:
    """Return the value of a key, or None. value_size: in per-CPU maps of all CPUs together."""
    where, value = (_CHAR * len(key)).from_buffer_copy(key), (_CHAR * value_size)()
    try:
        _bpf(_MAP_LOOKUP, _elem(fd, where, value))
    except OSError as missing:
        if missing.errno == errno.ENOENT:
            return None
        raise
    return value.raw


def map_update(fd: int, key: bytes, value: bytes, flags: int = 0) -> None:
    where = ctypes.create_string_buffer(key, len(key))
    what = ctypes.create_string_buffer(value, len(value))
    _bpf(_MAP_UPDATE, _elem(fd, where, what, flags))


def map_delete(fd: int, key: bytes) -> None:
    """Delete a key. Raises ENOENT where there is none."""
    where = ctypes.create_string_buffer(key, len(key))
    _bpf(_MAP_DELETE, _elem(fd, where))


def map_drain(fd: int, value_size: int, most: int) -> Iterator[bytes]:
    """Take the oldest values out of a queue, one call each, until it is empty. Linux 4.20."""
    value = ctypes.create_string_buffer(value_size)
    attr = _elem(fd, None, value)
    for _ in range(most):
        try:
            _bpf(_MAP_POP, attr)
        except OSError as empty:
            if empty.errno == errno.ENOENT:
                return
            raise
        yield value.raw


def map_next_key(fd: int, key: bytes | None, key_size: int) -> bytes | None:
    """Return the key after `key` (the first for None), or None at the end."""
    where = ctypes.create_string_buffer(key, len(key)) if key is not None else None
    following = ctypes.create_string_buffer(key_size)
    try:
        _bpf(_MAP_NEXT_KEY, _elem(fd, where, following))
    except OSError as end:
        if end.errno == errno.ENOENT:
            return None
        raise
    return following.raw


def _elem(
    fd: int,
    key: ctypes.Array[ctypes.c_char] | None,
    value: ctypes.Array[ctypes.c_char] | None = None,
    flags: int = 0,
) -> uapi.MapElem:
    return uapi.MapElem(fd, address(key), address(value), flags)


Octets = bytes | memoryview
"""Bytes; where there are many, a view of the memory that the kernel wrote to."""


class _BatchBuffer:
    """Memory that the kernel writes to, kept for the next batch.

    Megabytes, of which little is used: pages that nobody touches cost nothing.
    """

    KEPT = 1 << 20
    """Bytes that may have been touched; with more it is handed over, not copied, and each page of
    another is a fault at the next batch. The system calls of two CPUs are 320 KB."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._size = self._address = 0

    def of(self, size: int) -> int:
        """Return the address of at least so many bytes."""
        if self._memory is None or self._size < size:
            self._memory, self._size = mmap.mmap(-1, size), size
            self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        return self._address

    def taken(self, size: int) -> Octets:
        """Return what was written. Many bytes are the buffer itself, which goes with them."""
        assert self._memory is not None
        if size <= self.KEPT:
            return self._memory[:size]
        handed, self._memory = memoryview(self._memory).toreadonly(), None
        return handed[:size]


class _BatchBuffers(threading.local):
    """Each thread's own."""

    def __init__(self) -> None:
        self.keys, self.values = _BatchBuffer(), _BatchBuffer()


_buffers = _BatchBuffers()


def map_lookup_batch(
    fd: int, key_size: int, value_size: int, max_entries: int, *, take: bool = False
) -> tuple[Octets, Octets, int]:
    """Read all keys, all values and their number, in as few calls as it takes. Linux 5.6.

    take: they are deleted from the map, which is a hash; so if an error comes after some of them,
    those are returned.

    Per-CPU arrays answer ENOTSUPP (524) on 5.10: iterate there. Entries that come and go meanwhile
    may or may not be seen.
    """
    to_keys = _buffers.keys.of(key_size * max_entries)
    to_values = _buffers.values.of(value_size * max_entries)
    token = ctypes.create_string_buffer(max(key_size, 8))
    attr = uapi.Batch(map_fd=fd, out_batch=address(token))
    command, done = _MAP_TAKE_BATCH if take else _MAP_LOOKUP_BATCH, 0
    while done < max_entries:
        attr.in_batch = attr.out_batch if done else 0
        attr.keys = to_keys + done * key_size
        attr.values = to_values + done * value_size
        attr.count = room = max_entries - done
        end = False
        try:
            _bpf(command, attr)
        except OSError as stop:
            # ENOENT: that was the last of them. ENOSPC: a bucket did not fit into what is left.
            if stop.errno not in (errno.ENOENT, errno.ENOSPC):
                found = done or attr.count % room  # still `room`: it was refused at once
                if not take or not found:
                    raise
                attr.count %= room  # they are in no map any more
            end = True
        done += attr.count
        if end:
            break
    return _buffers.keys.taken(done * key_size), _buffers.values.taken(done * value_size), done
