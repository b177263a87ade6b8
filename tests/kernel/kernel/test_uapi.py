"""The structs of bpf(2) and perf_event_open(2), beside the types of the running kernel."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator

import pytest

from probes.kernel import btf, uapi
from tests.support.obstacles import LINUX

pytestmark = pytest.mark.kernel

_STRUCT, _UNION = 4, 5
_SAME = (8, 9, 10, 11, 18)
"""Typedef, volatile, const, restrict, type tag: as large as what they stand for."""
Member = tuple[str, int, int]
"""Its path, with the names of the structs that it is in; its place and its size in bytes."""

ATTR = {  # the member of union bpf_attr that a command reads; "": one without a name
    uapi.MapCreate: "", uapi.MapElem: "", uapi.Batch: "batch.", uapi.ProgLoad: "",
    uapi.ObjGet: "", uapi.ProgAttach: "", uapi.GetId: "", uapi.InfoByFd: "info.",
    uapi.Query: "query.", uapi.RawTracepointOpen: "raw_tracepoint.",
    uapi.TaskFdQuery: "task_fd_query.", uapi.LinkCreate: "link_create.",
    uapi.EnableStats: "enable_stats.", uapi.IterCreate: "iter_create.",
}  # fmt: skip
WHOLE = {
    "bpf_prog_info": uapi.BpfProgInfo, "bpf_map_info": uapi.BpfMapInfo,
    "bpf_link_info": uapi.BpfLinkInfo, "bpf_func_info": uapi.BpfFuncInfo,
    "perf_event_attr": uapi.PerfEventAttr,
}  # fmt: skip
CLASSES = [
    *[("bpf_attr", _UNION, of, within) for of, within in ATTR.items()],
    *[(name, _STRUCT, of, "") for name, of in WHOLE.items()],
]


@pytest.mark.parametrize(
    ("name", "kind", "of", "within"), CLASSES, ids=[of.__name__ for _, _, of, _ in CLASSES]
)
def test_every_member_is_where_the_kernel_has_it(
    name: str, kind: int, of: type[ctypes.Structure], within: str
) -> None:
    if not btf.available():
        pytest.skip("this kernel has no BTF")
    id = btf.find(name, kind)
    assert id is not None, name
    theirs = set(_theirs(id))
    known = {path for path, _, _ in theirs}
    ours = [(f"{within}{path}", at, size) for path, at, size in _ours(of)]
    assert ours
    missing = [one for one in ours if one not in theirs]
    if LINUX < (6, 18):  # members come with the years; they never move
        missing = [one for one in missing if one[0] in known]
    assert missing == []


def _ours(of: type[ctypes.Structure | ctypes.Union], base: int = 0) -> Iterator[Member]:
    """Bit fields and what only fills a space are left out."""
    for name, type, *bits in of._fields_:
        at = base + getattr(of, name).offset
        if name in getattr(of, "_anonymous_", ()):
            yield from _ours(type, at)
        elif issubclass(type, ctypes.Structure | ctypes.Union):
            yield from ((f"{name}.{path}", *rest) for path, *rest in _ours(type, at))
        elif not bits and not name.startswith("_") and name != "bits":
            yield name, at, ctypes.sizeof(type)


def _theirs(id: int, base: int = 0) -> Iterator[Member]:
    lib, handle = btf.libbpf(), btf.vmlinux()
    assert lib is not None
    address = lib.btf__type_by_id(handle, id)
    _, info, _ = struct.unpack("=3I", ctypes.string_at(address, 12))
    members = ctypes.string_at(address + 12, 12 * (info & 0xFFFF))
    for name_at, type, offset in struct.iter_unpack("=3I", members):
        name = lib.btf__name_by_offset(handle, name_at).decode()
        bits, width = (offset & 0xFFFFFF, offset >> 24) if info >> 31 else (offset, 0)
        if width:
            continue
        at, type = base + bits // 8, _itself(type)
        if _kind(type) not in (_STRUCT, _UNION):
            yield name, at, lib.btf__resolve_size(handle, type)
            continue
        prefix = f"{name}." if name else ""
        yield from ((f"{prefix}{path}", *rest) for path, *rest in _theirs(type, at))


def _itself(id: int) -> int:
    while _kind(id) in _SAME:
        id = _word(id, 8)
    return id


def _kind(id: int) -> int:
    return _word(id, 4) >> 24 & 31


def _word(id: int, at: int) -> int:
    lib = btf.libbpf()
    assert lib is not None
    address = lib.btf__type_by_id(btf.vmlinux(), id)
    return int(struct.unpack_from("=I", ctypes.string_at(address, 12), at)[0])
