"""The running kernel's type information (BTF) through libbpf: ids to attach to, enums by name.

A process that compiles for another kernel reads a file in its place (`use`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
from collections.abc import Callable, Mapping
from errno import EMFILE, ENFILE, ENOENT, ENOMEM
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from probes.errors import Unsupported, raise_if_short, short
from probes.kernel import sysfs
from probes.kernel.remembered import remembered

KIND_STRUCT, KIND_ENUM, KIND_TYPEDEF, KIND_FUNC, KIND_ENUM64 = 4, 6, 8, 12, 19

_SHOWN = Path("/sys/kernel/btf")
_TAKES = 4
"""Memory that libbpf takes to read a BTF object, as a multiple of its size, at most."""
_TRACEPOINT = "btf_trace_"
_given: list[Path] = []


@remembered
def libbpf() -> ctypes.CDLL | None:
    """Return libbpf, which the distribution's bcc brings along; None where there is none.

    Raises OSError where it cannot be opened at the moment: no file or no memory is left.
    """
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            lib = ctypes.CDLL(name, use_errno=True)
        except OSError as refused:
            _raise_if_short(str(refused))
            continue
        if hasattr(lib, "btf__load_vmlinux_btf"):  # else older than 0.5 (2021)
            return _declared(lib)
    return None


def _raise_if_short(said: str) -> None:
    """Raise OSError where the loader's words say that something was short: it has no errno."""
    for code in (EMFILE, ENFILE, ENOMEM):
        if os.strerror(code) in said:
            raise OSError(code, os.strerror(code))
    if "failed to map segment" in said or "cannot allocate" in said:
        raise OSError(ENOMEM, os.strerror(ENOMEM))


def _declared(lib: ctypes.CDLL) -> ctypes.CDLL:
    lib.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    lib.btf__parse.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    lib.btf__parse.restype = ctypes.c_void_p
    lib.btf__load_module_btf.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    lib.btf__load_module_btf.restype = ctypes.c_void_p
    lib.libbpf_set_print.argtypes = [ctypes.c_void_p]
    lib.libbpf_set_print(None)  # or it writes its warnings across the screen
    lib.btf__free.argtypes = [ctypes.c_void_p]
    lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    # Before libbpf 0.6 the same has another shape: a program's BTF is then not read.
    if hasattr(lib, "btf__load_from_kernel_by_id"):
        lib.btf__load_from_kernel_by_id.argtypes = [ctypes.c_uint32]
        lib.btf__load_from_kernel_by_id.restype = ctypes.c_void_p
    lib.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__type_by_id.restype = ctypes.c_void_p
    lib.btf__resolve_size.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__resolve_size.restype = ctypes.c_int64
    lib.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__name_by_offset.restype = ctypes.c_char_p
    return lib


def use(file: Path) -> None:
    """Read this file in the place of the running kernel's BTF, from now on, in this process.

    file: as /sys/kernel/btf/vmlinux is, or an ELF file with such a section. Raises Unsupported
    where it is none; nothing may have been asked before.
    """
    if _vmlinux.cache_info().currsize:
        raise ValueError("the running kernel's BTF is already in use")
    _given[:] = [file]
    if vmlinux() is None:
        refusal = missing() if libbpf() is None else Unsupported(f"{file} contains no BTF")
        raise refusal


def given() -> Path | None:
    """Return the file that is read in the place of the running kernel's BTF, if any."""
    return _given[0] if _given else None


def digest() -> str:
    """Return the SHA-256 of the BTF in use, in hexadecimal; "" where there is none."""
    if not _given:
        try:
            return hashlib.sha256((_SHOWN / "vmlinux").read_bytes()).hexdigest()
        except OSError as refused:
            raise_if_short(refused)
            return ""
    lib, size = libbpf(), ctypes.c_uint32()
    if lib is None:
        return ""
    raw = lib.btf__raw_data if hasattr(lib, "btf__raw_data") else lib.btf__get_raw_data
    raw.argtypes, raw.restype = [ctypes.c_void_p, ctypes.c_void_p], ctypes.c_void_p
    return hashlib.sha256(
        ctypes.string_at(raw(vmlinux(), ctypes.byref(size)), size.value)
    ).hexdigest()


def vmlinux() -> int | None:
    """Return the handle (struct btf *) of the kernel's BTF, loaded once; None where it has none.

    Raises OSError where it cannot be read at the moment: no file or no memory is left.
    """
    return None if libbpf() is None else _vmlinux()


@cache
def _vmlinux() -> int | None:
    lib = libbpf()
    if lib is None:
        return None
    if _given:
        return _handle(lib.btf__parse(os.fsencode(_given[0]), None))
    return _loaded("vmlinux", lib.btf__load_vmlinux_btf)


def _loaded(name: str, load: Callable[[], int | None]) -> int | None:
    """Return the handle of a BTF object. libbpf's own errno does not say what was missing."""
    for _ in range(2):
        found = _handle(load())
        if found is not None or not _readable(_SHOWN / name):
            return found
    return None  # this libbpf does not understand it


def _readable(file: Path) -> bool:
    """Return whether there is such a file. Raises OSError where files or memory are too short."""
    try:
        size = file.stat().st_size
        with file.open("rb", buffering=0):
            bytearray(_TAKES * size)
    except MemoryError:
        raise OSError(ENOMEM, os.strerror(ENOMEM)) from None
    except OSError as refused:
        if short(refused.errno):
            raise
        return False
    return True


def _handle(address: int | None) -> int | None:
    """Return the handle, None for libbpf 1.x's NULL or 0.x's errno (the top 4095 addresses)."""
    return None if not address or address > 2**64 - 4096 else address


def available() -> bool:
    """Return whether libbpf can read this kernel's BTF. CONFIG_DEBUG_INFO_BTF, Linux 5.4.

    Here as below: raises OSError where that cannot be told at the moment (`vmlinux`).
    """
    return vmlinux() is not None


def missing() -> Unsupported:
    """Return the refusal where BTF is needed and not available: it names which part is missing."""
    if libbpf() is None:
        why, remedy = (
            "libbpf, which reads the kernel's BTF, is missing",
            "Install libbpf (libbpf1).",
        )
    elif (refused := sysfs.not_mounted("the kernel's type information (BTF)")) is not None:
        return refused
    else:
        why = "this kernel has no BTF type information"
        remedy = "Use a kernel built with CONFIG_DEBUG_INFO_BTF."
    return Unsupported(why, errno=ENOENT, remedy=remedy)


def required(id: int | None, what: str) -> int:
    """Return an id that was found. Raises Unsupported where it was not. what: in words."""
    if id is not None:
        return id
    if not available():
        raise missing()
    raise Unsupported(f"this kernel has no {what}", errno=ENOENT)


@cache
def mentions(name: str) -> bool:
    """Return whether the kernel's BTF has this name for anything, such as an unnamed enum's value.

    libbpf finds none of these; reading the file takes a few milliseconds.
    """
    try:
        return f"\0{name}\0".encode() in (given() or _SHOWN / "vmlinux").read_bytes()
    except OSError:
        return False


def find(name: str, kind: int) -> int | None:
    """Return the id of a type in the kernel's BTF, None where it is not there."""
    return _find(name, kind) if available() else None


@cache
def _find(name: str, kind: int) -> int | None:
    lib, btf = libbpf(), vmlinux()
    if lib is None or btf is None:
        return None
    found = int(lib.btf__find_by_name_kind(btf, name.encode(), kind))
    return found if found > 0 else None


def tracepoint(name: str) -> int | None:
    """Return the id that a BTF-typed program at a tracepoint is loaded for, or None."""
    return find(_TRACEPOINT + name, KIND_TYPEDEF)


@remembered
def tracepoints() -> frozenset[str]:
    """Return the names of all typed tracepoints of the kernel itself; empty without BTF."""
    lib, btf = libbpf(), vmlinux()
    if lib is None or btf is None:
        return frozenset()
    found, id = set(), 1
    while address := lib.btf__type_by_id(btf, id):
        offset, info = struct.unpack("=II", ctypes.string_at(address, 8))
        if info >> 24 & 31 == KIND_TYPEDEF:
            name = lib.btf__name_by_offset(btf, offset).decode()
            if name.startswith(_TRACEPOINT):
                found.add(name.removeprefix(_TRACEPOINT))
        id += 1
    return frozenset(found)


def function(name: str) -> int | None:
    return find(name, KIND_FUNC)


class Prototype(NamedTuple):
    """Prototype of a function. words: of 8 bytes, of its arguments. returns: whether anything."""

    words: int
    returns: bool


@remembered
def prototype(name: str) -> Prototype | None:
    """Return what a program at a function's exit finds behind the arguments; None if unknown."""
    lib, btf, id = libbpf(), vmlinux(), function(name)
    if lib is None or btf is None or id is None:
        return None
    proto = _referred(lib, btf, id)  # struct btf_type: name, info, size or type
    address = lib.btf__type_by_id(btf, proto)
    _, info, result = struct.unpack("=III", ctypes.string_at(address, 12))
    parameters = struct.iter_unpack("=II", ctypes.string_at(address + 12, 8 * (info & 0xFFFF)))
    sizes = (lib.btf__resolve_size(btf, type) for _, type in parameters)
    return Prototype(sum(max(size + 7, 8) // 8 for size in sizes), result != 0)


def _referred(lib: ctypes.CDLL, btf: int, id: int) -> int:
    return int(struct.unpack("=III", ctypes.string_at(lib.btf__type_by_id(btf, id), 12))[2])


@remembered
def size(name: str) -> int | None:
    """Return a struct's size in bytes, None where the kernel has no such struct."""
    lib, btf, id = libbpf(), vmlinux(), find(name, KIND_STRUCT)
    if lib is None or btf is None or id is None:
        return None
    return int(struct.unpack_from("=I", ctypes.string_at(lib.btf__type_by_id(btf, id), 12), 8)[0])


@remembered
def parameters(name: str) -> int | None:
    """Return how many arguments a function takes, None where the kernel's BTF does not have it."""
    lib, btf, id = libbpf(), vmlinux(), function(name)
    if lib is None or btf is None or id is None:
        return None
    # struct btf_type: name, info (its lower half: how many follow), the type that it refers to
    (prototype,) = struct.unpack_from("=I", ctypes.string_at(lib.btf__type_by_id(btf, id), 12), 8)
    (info,) = struct.unpack_from("=I", ctypes.string_at(lib.btf__type_by_id(btf, prototype), 12), 4)
    return int(info & 0xFFFF)


@remembered
def enum(name: str) -> Mapping[int, str]:
    """Return an enum's values by number; empty where the kernel has no such enum."""
    lib, btf = libbpf(), vmlinux()
    return {} if lib is None or btf is None else _enum(lib, btf, name)


def module_enum(module: str, name: str) -> Mapping[int, str]:
    """Return an enum of a module that is loaded now, or is built in; else empty.

    Linux 5.11, /sys/kernel/btf/MODULE.
    """
    lib, btf = libbpf(), vmlinux()
    if lib is None or btf is None:
        return {}
    split = _loaded(module, partial(lib.btf__load_module_btf, module.encode(), btf))
    if split is None:
        return enum(name)
    try:
        return _enum(lib, split, name)
    finally:
        lib.btf__free(split)


def name_in(object: int, type: int) -> str:
    """Return a type's name in a loaded BTF object, by both ids; "" where it is unavailable.

    Linux 4.18, CAP_SYS_ADMIN, libbpf 0.6.
    """
    lib = libbpf()
    if lib is None or not hasattr(lib, "btf__load_from_kernel_by_id"):
        return ""
    loaded = _handle(lib.btf__load_from_kernel_by_id(object))
    if loaded is None:
        return ""
    try:
        return _name(lib, loaded, type)
    finally:
        lib.btf__free(loaded)


def name(type: int) -> str:
    """Return a type's name in the kernel's BTF, mostly a function's, or "" where it has none."""
    lib, btf = libbpf(), vmlinux()
    return "" if lib is None or btf is None else _name(lib, btf, type)


def _name(lib: ctypes.CDLL, btf: int, type: int) -> str:
    address = lib.btf__type_by_id(btf, type)
    if not address:
        return ""
    (offset,) = struct.unpack_from("=I", ctypes.string_at(address, 4))
    return str((lib.btf__name_by_offset(btf, offset) or b"").decode(errors="replace"))


def _enum(lib: ctypes.CDLL, btf: int, name: str) -> Mapping[int, str]:
    id = int(lib.btf__find_by_name_kind(btf, name.encode(), KIND_ENUM))
    if id <= 0:
        return {}
    address = lib.btf__type_by_id(btf, id)
    (info,) = struct.unpack_from("=I", ctypes.string_at(address, 12), 4)
    values = struct.iter_unpack("=Ii", ctypes.string_at(address + 12, 8 * (info & 0xFFFF)))
    return {value: lib.btf__name_by_offset(btf, offset).decode() for offset, value in values}
