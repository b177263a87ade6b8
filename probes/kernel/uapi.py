"""The structs of bpf(2) and perf_event_open(2), by the kernel's own names.

From include/uapi/linux/bpf.h and perf_event.h. Members are only ever added at their ends: a kernel
that knows fewer takes the others where they are 0, and fills what it knows of an answer. Each class
of `bpf_attr` is the member of that union that a command reads. A test holds every offset to the
running kernel's BTF.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, Union, c_char, c_int32, c_uint8, c_uint16, c_uint32, c_uint64
from typing import Any

_u32, _u64 = c_uint32, c_uint64  # as <linux/types.h> names them


def address(buffer: ctypes.Array[Any] | Structure | None) -> int:
    """Return the value of a pointer member; 0 for None. The buffer must outlive the call."""
    return ctypes.addressof(buffer) if buffer is not None else 0


# union bpf_attr, by command


class MapCreate(Structure):
    """BPF_MAP_CREATE. Linux 4.4; map_name: 4.15."""

    _fields_ = [
        ("map_type", _u32), ("key_size", _u32), ("value_size", _u32), ("max_entries", _u32),
        ("map_flags", _u32), ("inner_map_fd", _u32), ("numa_node", _u32), ("map_name", c_char * 16),
    ]  # fmt: skip


class MapElem(Structure):
    """BPF_MAP_*_ELEM, BPF_MAP_GET_NEXT_KEY: `value` is `next_key` there, in the same place."""

    _fields_ = [("map_fd", _u32), ("key", _u64), ("value", _u64), ("flags", _u64)]


class Batch(Structure):
    """BPF_MAP_LOOKUP_BATCH. Linux 5.6."""

    _fields_ = [
        ("in_batch", _u64), ("out_batch", _u64), ("keys", _u64), ("values", _u64), ("count", _u32),
        ("map_fd", _u32), ("elem_flags", _u64), ("flags", _u64),
    ]  # fmt: skip


class ProgLoad(Structure):
    """BPF_PROG_LOAD. attach_prog_fd: Linux 5.6."""

    _fields_ = [
        ("prog_type", _u32), ("insn_cnt", _u32), ("insns", _u64), ("license", _u64),
        ("log_level", _u32), ("log_size", _u32), ("log_buf", _u64), ("kern_version", _u32),
        ("prog_flags", _u32), ("prog_name", c_char * 16), ("prog_ifindex", _u32),
        ("expected_attach_type", _u32), ("prog_btf_fd", _u32), ("func_info_rec_size", _u32),
        ("func_info", _u64), ("func_info_cnt", _u32), ("line_info_rec_size", _u32),
        ("line_info", _u64), ("line_info_cnt", _u32), ("attach_btf_id", _u32),
        ("attach_prog_fd", _u32),
    ]  # fmt: skip


class ObjGet(Structure):
    """BPF_OBJ_GET."""

    _fields_ = [("pathname", _u64), ("bpf_fd", _u32), ("file_flags", _u32)]


class ProgAttach(Structure):
    """BPF_PROG_ATTACH, BPF_PROG_DETACH."""

    _fields_ = [
        ("target_fd", _u32), ("attach_bpf_fd", _u32), ("attach_type", _u32), ("attach_flags", _u32),
        ("replace_bpf_fd", _u32),
    ]  # fmt: skip


class GetId(Structure):
    """BPF_*_GET_NEXT_ID (start_id) and BPF_*_GET_FD_BY_ID (the same place: prog_id, map_id...)."""

    _fields_ = [("start_id", _u32), ("next_id", _u32), ("open_flags", _u32)]


class InfoByFd(Structure):
    """BPF_OBJ_GET_INFO_BY_FD."""

    _fields_ = [("bpf_fd", _u32), ("info_len", _u32), ("info", _u64)]


class Query(Structure):
    """BPF_PROG_QUERY. target_fd is `target_ifindex` of devices; prog_cnt: `count` since 6.6.

    Linux 6.6 and later write `revision` even past the given size: there is room for more.
    """

    _fields_ = [
        ("target_fd", _u32), ("attach_type", _u32), ("query_flags", _u32), ("attach_flags", _u32),
        ("prog_ids", _u64), ("prog_cnt", _u32), ("prog_attach_flags", _u64), ("link_ids", _u64),
        ("link_attach_flags", _u64), ("revision", _u64), ("_room", c_uint8 * 64),
    ]  # fmt: skip


class RawTracepointOpen(Structure):
    """BPF_RAW_TRACEPOINT_OPEN."""

    _fields_ = [("name", _u64), ("prog_fd", _u32)]


class TaskFdQuery(Structure):
    """BPF_TASK_FD_QUERY."""

    _fields_ = [
        ("pid", _u32), ("fd", _u32), ("flags", _u32), ("buf_len", _u32), ("buf", _u64),
        ("prog_id", _u32), ("fd_type", _u32), ("probe_offset", _u64), ("probe_addr", _u64),
    ]  # fmt: skip


class _KprobeMultiAttr(Structure):
    _fields_ = [
        ("flags", _u32), ("cnt", _u32), ("syms", _u64), ("addrs", _u64), ("cookies", _u64),
    ]  # fmt: skip


class _UprobeMultiAttr(Structure):
    _fields_ = [
        ("path", _u64), ("offsets", _u64), ("ref_ctr_offsets", _u64), ("cookies", _u64),
        ("cnt", _u32), ("flags", _u32), ("pid", _u32),
    ]  # fmt: skip


class _Tcx(Structure):
    _fields_ = [("relative_fd", _u32), ("expected_revision", _u64)]


class _LinkCreateBy(Union):
    _fields_ = [
        ("target_btf_id", _u32), ("kprobe_multi", _KprobeMultiAttr),
        ("uprobe_multi", _UprobeMultiAttr),
        ("tcx", _Tcx),
    ]  # fmt: skip


class LinkCreate(Structure):
    """BPF_LINK_CREATE. target_fd is `target_ifindex` of devices. Linux 5.7."""

    _anonymous_ = ("_by",)
    _fields_ = [
        ("prog_fd", _u32), ("target_fd", _u32), ("attach_type", _u32), ("flags", _u32),
        ("_by", _LinkCreateBy),
    ]  # fmt: skip


class EnableStats(Structure):
    """BPF_ENABLE_STATS."""

    _fields_ = [("type", _u32)]


class IterCreate(Structure):
    """BPF_ITER_CREATE."""

    _fields_ = [("link_fd", _u32), ("flags", _u32)]


# What BPF_OBJ_GET_INFO_BY_FD answers


class BpfFuncInfo(Structure):
    """struct bpf_func_info."""

    _fields_ = [("insn_off", _u32), ("type_id", _u32)]


class BpfProgInfo(Structure):
    """struct bpf_prog_info. Members behind those that a kernel knows stay 0."""

    _fields_ = [
        ("type", _u32), ("id", _u32), ("tag", c_uint8 * 8), ("jited_prog_len", _u32),
        ("xlated_prog_len", _u32), ("jited_prog_insns", _u64), ("xlated_prog_insns", _u64),
        ("load_time", _u64), ("created_by_uid", _u32), ("nr_map_ids", _u32), ("map_ids", _u64),
        ("name", c_char * 16), ("ifindex", _u32), ("gpl_compatible", _u32, 1),
        ("netns_dev", _u64), ("netns_ino", _u64), ("nr_jited_ksyms", _u32),
        ("nr_jited_func_lens", _u32), ("jited_ksyms", _u64), ("jited_func_lens", _u64),
        ("btf_id", _u32), ("func_info_rec_size", _u32), ("func_info", _u64),
        ("nr_func_info", _u32), ("nr_line_info", _u32), ("line_info", _u64),
        ("jited_line_info", _u64), ("nr_jited_line_info", _u32), ("line_info_rec_size", _u32),
        ("jited_line_info_rec_size", _u32), ("nr_prog_tags", _u32), ("prog_tags", _u64),
        ("run_time_ns", _u64), ("run_cnt", _u64), ("recursion_misses", _u64),
        ("verified_insns", _u32), ("attach_btf_obj_id", _u32), ("attach_btf_id", _u32),
    ]  # fmt: skip


class BpfMapInfo(Structure):
    """struct bpf_map_info, its beginning."""

    _fields_ = [
        ("type", _u32), ("id", _u32), ("key_size", _u32), ("value_size", _u32),
        ("max_entries", _u32), ("map_flags", _u32), ("name", c_char * 16),
    ]  # fmt: skip


class _Named(Structure):
    """A member whose text the kernel writes to an address that it is given."""

    _fields_ = [("tp_name", _u64), ("tp_name_len", _u32)]


class _Tracing(Structure):
    _fields_ = [("attach_type", _u32), ("target_obj_id", _u32), ("target_btf_id", _u32)]


class _Cgroup(Structure):
    _fields_ = [("cgroup_id", _u64), ("attach_type", _u32)]


class _Iter(Structure):
    _fields_ = [("target_name", _u64), ("target_name_len", _u32)]


class _Netns(Structure):
    _fields_ = [("netns_ino", _u32), ("attach_type", _u32)]


class _Xdp(Structure):
    _fields_ = [("ifindex", _u32)]


class _StructOps(Structure):
    _fields_ = [("map_id", _u32)]


class _Netfilter(Structure):
    _fields_ = [("pf", _u32), ("hooknum", _u32), ("priority", c_int32), ("flags", _u32)]


class _KprobeMultiInfo(Structure):
    _fields_ = [("addrs", _u64), ("count", _u32), ("flags", _u32), ("missed", _u64)]


class _UprobeMultiInfo(Structure):
    _fields_ = [
        ("path", _u64), ("offsets", _u64), ("ref_ctr_offsets", _u64), ("cookies", _u64),
        ("path_size", _u32), ("count", _u32), ("flags", _u32), ("pid", _u32),
    ]  # fmt: skip


class _UprobeEvent(Structure):
    _fields_ = [("file_name", _u64), ("name_len", _u32), ("offset", _u32)]


class _KprobeEvent(Structure):
    _fields_ = [
        ("func_name", _u64), ("name_len", _u32), ("offset", _u32), ("addr", _u64),
    ]  # fmt: skip


class _TracepointEvent(Structure):
    _fields_ = [("tp_name", _u64), ("name_len", _u32)]


class _PlainEvent(Structure):
    _fields_ = [("config", _u64), ("type", _u32)]


class _PerfEventAt(Union):
    _fields_ = [
        ("uprobe", _UprobeEvent), ("kprobe", _KprobeEvent), ("tracepoint", _TracepointEvent),
        ("event", _PlainEvent),
    ]  # fmt: skip


class _PerfEvent(Structure):
    """type: enum bpf_perf_event_type, which says which of the others holds."""

    _anonymous_ = ("_at",)
    _fields_ = [("type", _u32), ("_at", _PerfEventAt)]


class _OnDevice(Structure):
    _fields_ = [("ifindex", _u32), ("attach_type", _u32)]


class _Sockmap(Structure):
    _fields_ = [("map_id", _u32), ("attach_type", _u32)]


class _LinkInfoOf(Union):
    _fields_ = [
        ("raw_tracepoint", _Named), ("tracing", _Tracing), ("cgroup", _Cgroup), ("iter", _Iter),
        ("netns", _Netns), ("xdp", _Xdp), ("struct_ops", _StructOps), ("netfilter", _Netfilter),
        ("kprobe_multi", _KprobeMultiInfo), ("uprobe_multi", _UprobeMultiInfo),
        ("perf_event", _PerfEvent), ("tcx", _OnDevice), ("netkit", _OnDevice),
        ("sockmap", _Sockmap),
    ]  # fmt: skip


class BpfLinkInfo(Structure):
    """struct bpf_link_info. type: enum bpf_link_type, which says which of the others holds."""

    _anonymous_ = ("_of",)
    _fields_ = [("type", _u32), ("id", _u32), ("prog_id", _u32), ("_of", _LinkInfoOf)]


# perf_event_open(2)


class PerfEventAttr(Structure):
    """struct perf_event_attr up to PERF_ATTR_SIZE_VER6. Linux 4.1 takes so much.

    sample_period is `sample_freq` where PERF_ATTR_FREQ is in `bits`; config1 and config2 are the
    kprobe PMU's function name (an address) and offset, or the uprobe PMU's path and offset.
    """

    _fields_ = [
        ("type", _u32), ("size", _u32), ("config", _u64), ("sample_period", _u64),
        ("sample_type", _u64), ("read_format", _u64), ("bits", _u64), ("wakeup_events", _u32),
        ("bp_type", _u32), ("config1", _u64), ("config2", _u64), ("branch_sample_type", _u64),
        ("sample_regs_user", _u64), ("sample_stack_user", _u32), ("clockid", c_int32),
        ("sample_regs_intr", _u64), ("aux_watermark", _u32), ("sample_max_stack", c_uint16),
        ("_reserved_2", c_uint16), ("aux_sample_size", _u32), ("_reserved_3", _u32),
    ]  # fmt: skip
