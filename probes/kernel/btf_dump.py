"""The running kernel's types as C, through libbpf's btf_dump. libbpf 0.5 (2021) or newer."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Collection
from ctypes import POINTER, byref, c_size_t, c_uint32, c_void_p

from probes.errors import Unsupported
from probes.kernel import btf

_TAGS = {4: "struct ", 5: "union ", 6: "enum ", 19: "enum ", 8: ""}
"""BTF_KIND_STRUCT, UNION, ENUM, ENUM64, TYPEDEF -> C's keyword for it."""


def header(names: Collection[str]) -> tuple[str, frozenset[str]]:
    """Return (C text, missing): the named types and what they need, each with its size asserted.

    The assertion catches a compiler that lays a type out differently than the kernel's did. Raises
    Unsupported where libbpf or the kernel's BTF is unavailable.
    """
    found = {name: _find(name) for name in names}
    ids = [(id, tag + name) for name, (id, tag) in found.items() if id]
    missing = frozenset(name for name, (id, _) in found.items() if not id)
    text = _dump([id for id, _ in ids])
    return f"#pragma once\n{text}\n{''.join(_size_assertion(*each) for each in ids)}", missing


def _find(name: str) -> tuple[int, str]:
    for kind, tag in _TAGS.items():
        if id := btf.find(name, kind):
            return id, tag
    return 0, ""


def _size_assertion(id: int, name: str) -> str:
    size = _libbpf().btf__resolve_size(btf.vmlinux(), id)
    return f'_Static_assert(sizeof({name}) == {size}, "size of {name}");\n'


def _dump(ids: list[int]) -> str:
    """Return the C of these types. libc's vfprintf is the callback: no Python runs per line."""
    libc = _libc()
    buffer, length = c_void_p(), c_size_t()
    stream = libc.open_memstream(byref(buffer), byref(length))
    if not stream:
        raise MemoryError("open_memstream")
    try:
        refused = _dump_into(ids, stream)
    finally:
        libc.fclose(stream)
        text = ctypes.string_at(buffer, length.value).decode() if buffer else ""
        libc.free(buffer)
    if refused:
        raise Unsupported(f"libbpf could not print the kernel's types (error {refused})")
    return text


def _dump_into(ids: list[int], stream: int) -> int:
    lib, types = _libbpf(), btf.vmlinux()
    printf = ctypes.cast(_libc().vfprintf, c_void_p)
    if hasattr(lib, "libbpf_major_version"):  # since 0.6
        dump = lib.btf_dump__new(types, printf, stream, None)
    else:  # (btf, btf_ext, struct btf_dump_opts { void *ctx; }, printf)
        dump = lib.btf_dump__new(types, None, byref(c_void_p(stream)), printf)
    if not dump or dump > 2**64 - 4096:  # an errno as a pointer, before 1.0
        return -1
    try:
        for id in ids:
            if refused := int(lib.btf_dump__dump_type(dump, id)):
                return refused
    finally:
        lib.btf_dump__free(dump)
    return 0


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.open_memstream.restype = c_void_p
    libc.open_memstream.argtypes = [POINTER(c_void_p), POINTER(c_size_t)]
    libc.fclose.argtypes = [c_void_p]
    libc.free.argtypes = [c_void_p]
    return libc


WITHOUT_LIBBPF = (
    "Install bcc, which brings libbpf along: python3-bpfcc (Debian, Ubuntu), python3-bcc (Fedora)."
)


@functools.cache
def _libbpf() -> ctypes.CDLL:
    lib = btf.libbpf()
    if lib is None:
        raise Unsupported("libbpf is not installed", remedy=WITHOUT_LIBBPF)
    if btf.vmlinux() is None:
        raise Unsupported(
            "this kernel's BTF type information cannot be read",
            remedy="Use a kernel built with CONFIG_DEBUG_INFO_BTF.",
        )
    lib.btf_dump__new.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p]
    lib.btf_dump__new.restype = c_void_p
    lib.btf_dump__free.argtypes = [c_void_p]
    lib.btf_dump__free.restype = None
    lib.btf_dump__dump_type.argtypes = [c_void_p, c_uint32]
    return lib
