"""Functions of programs and libraries, and files that are none."""

from __future__ import annotations

import ctypes
import os
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.errors import Gone, Unsupported
from probes.kernel import elf, patience
from probes.kernel.elf import StackUse
from probes.toolkit.user_symbols import UserSymbols, maps
from tests.support import elf_files as files
from tests.support.elf_files import crafted


def libc() -> Path:
    """The C library of this process."""
    return Path(next(m.path for m in maps(os.getpid()) if re.search(r"/libc[.-]", m.path)))


def test_a_function_is_found_where_it_is_mapped() -> None:
    file = elf.read(libc())
    (symbol,) = file.named("getaddrinfo")
    assert symbol.visible
    assert symbol.size > 16
    offset = file.offset(symbol.address)
    assert offset is not None
    address = ctypes.cast(ctypes.CDLL(None).getaddrinfo, ctypes.c_void_p).value
    assert address is not None
    place = next(m for m in maps(os.getpid()) if m.start <= address < m.end)
    assert address - place.start + place.offset == offset


def test_code_is_named_by_the_function_that_it_belongs_to() -> None:
    file = elf.read(libc())
    (symbol,) = file.named("getaddrinfo")
    offset = file.offset(symbol.address)
    assert offset is not None
    assert file.function_at(offset) == file.function_at(offset + symbol.size - 1) == "getaddrinfo"
    assert file.function_at(offset + symbol.size) != "getaddrinfo"
    assert file.function_at(1 << 40) is None


def test_addresses_of_a_process_are_named() -> None:
    names = UserSymbols()
    address = ctypes.cast(ctypes.CDLL(None).getaddrinfo, ctypes.c_void_p).value
    assert address is not None
    assert names.names(os.getpid(), [address + 3, 8]) == ["getaddrinfo", "[unknown]"]
    assert names.names(2**22 + 1, [address]) == ["[process gone]"]


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "lib.so"
    file.write_bytes(libc().read_bytes())
    assert elf.read(file) is elf.read(file)
    file.unlink()
    file.write_bytes(b"\x7fELF")
    with pytest.raises(Unsupported):
        elf.read(file)


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    empty = tmp_path / "empty"
    empty.touch()
    for path in (tmp_path, pipe, empty, "/dev/zero", __file__):
        with pytest.raises(Unsupported, match=re.escape(str(path))):
            elf.Elf(path)
    with pytest.raises(Gone, match="there is no file"):
        elf.Elf(tmp_path / "nothing")


def test_a_damaged_file_costs_a_sentence_and_no_more(tmp_path: Path) -> None:
    """Cut off anywhere, and with every header's number at its greatest."""
    whole = libc().read_bytes()
    file = tmp_path / "lib.so"
    for end in (20, 64, 100, 4000, len(whole) // 2, len(whole) - 100):
        file.write_bytes(whole[:end])
        with pytest.raises(Unsupported):
            elf.Elf(file)
    sections = struct.unpack_from("<Q", whole, 40)[0]
    for at in (*range(16, 64, 4), *range(sections, sections + 640, 8)):
        file.write_bytes(whole[:at] + b"\xff" * 4 + whole[at + 4 :])
        try:
            elf.Elf(file).names()
        except Unsupported:
            pass


# -- files that were made to cost ------------------------------------------------------------


_MANY = [(1, 0x1000 + i) for i in range(100_000)]
_COSTLY: dict[str, Callable[[], bytes]] = {
    "a name without an end": lambda: crafted(b"\0" + b"A" * (1 << 25), _MANY),
    "one name a million times": lambda: crafted(
        b"\0" + b"getaddrinfo\0" * 1_000_000, [(1 + 12 * i, 0x1000 + i) for i in range(100_000)]
    ),
    "signs and nothing else": lambda: crafted(b"\0__cxa_throw" * 1_000_000 + b"\0", _MANY),
    "names beyond the end": lambda: crafted(b"\0", [(1 << 31, 0x1000)]),
}


@pytest.mark.parametrize("kind", _COSTLY)
def test_a_file_that_was_made_to_cost_is_done_with_in_bounded_time(
    kind: str, tmp_path: Path
) -> None:
    file, seconds = tmp_path / "libc.so.6", 1.0
    file.write_bytes(_COSTLY[kind]())
    begin = time.monotonic()
    for look in (
        lambda read: read.named("getaddrinfo"),
        lambda read: read.names(),
        lambda read: read.function_at(0x1800),
        lambda read: read.stack_reader,
    ):
        try:
            look(elf.read(file, seconds))
        except Unsupported:
            pass
    assert time.monotonic() - begin < 10 + 4 * seconds


def test_a_huge_file_with_nothing_in_it_costs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "libc.so.6"
    file.write_bytes(crafted(b"\0probed\0", [(1, 0x1000)]))
    with file.open("r+b") as sparse:
        sparse.truncate(1 << 42)
    assert [s.name for s in elf.read(file).named("probed")] == ["probed"]
    assert elf.read(file).stack_reader is None


def test_a_file_that_never_comes_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a FUSE whose daemon does not answer: the call is in a child that nobody waits for."""

    def late(seconds: float, *_: object) -> None:
        raise patience.TookTooLong(f"no answer within {seconds:g} s")

    monkeypatch.setattr(patience, "within", late)
    with pytest.raises(Unsupported, match=r"cannot be read: no answer within 0\.2 s"):
        elf.Elf(tmp_path, 0.2)


def test_a_file_that_is_not_there_is_gone_whatever_its_folder_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file" / "none"):
        with pytest.raises(Gone, match="there is no file"):
            elf.read(path)


# -- what reads its return addresses ---------------------------------------------------------


def _go_table(version: int, functions: int = 1400, pointer: str = "Q") -> bytes:
    """At a place that is aligned: behind as many bytes as `crafted` puts before it."""
    names = len(b"\0\0probed\0") + struct.calcsize("<IBBHQQ")
    head = struct.pack("<IBBBB", version, 0, 0, 1, struct.calcsize(pointer))
    return bytes(-names % 8) + head + struct.pack(f"<{pointer}", functions)[:8]


@pytest.mark.parametrize(
    ("names", "sections", "stacks"),
    [
        ("__cxa_throw", {}, StackUse.UNWINDS),
        ("_Unwind_RaiseException", {}, StackUse.UNWINDS),
        ("_Unwind_RaiseException@GCC_3.0", {}, StackUse.UNWINDS),
        ("rust_eh_personality", {}, StackUse.UNWINDS),
        ("DW.ref.__gxx_personality_v0", {}, StackUse.UNWINDS),
        ("__gnat_personality_v0", {}, StackUse.UNWINDS),
        ("libstdc++.so.6", {}, StackUse.UNWINDS),
        ("", {".gcc_except_table": b"x"}, StackUse.UNWINDS),
        ("", {".eh_frame": b"\x14\0\0\0\0\0\0\0\1zPLR\0"}, StackUse.UNWINDS),
        ("swapcontext", {}, StackUse.SWITCHES),
        ("caml_frametable", {}, StackUse.SCANS),
        ("runtime.morestack", {}, StackUse.GO),
        ("", {".gopclntab": b"x"}, StackUse.GO),
        ("", {".data.rel.ro.gopclntab": b"x"}, StackUse.GO),
        ("", {".note.go.buildid": b"x"}, StackUse.GO),
        ("", {".go.buildinfo": b"x"}, StackUse.GO),
        ("", {".gcc_except_table": b"x", ".note.go.buildid": b"x"}, StackUse.GO),
        # sections of other names
        ("", {".a": b"\xff Go buildinf:\x08\2"}, StackUse.GO),
        ("", {".a": b"fatal error: all goroutines are asleep - deadlock!"}, StackUse.GO),
        ("", {".a": _go_table(0xFFFFFFFB)}, StackUse.GO),
        ("", {".a": _go_table(0xFFFFFFF1, pointer="I")}, StackUse.GO),
        ("", {".a": _go_table(0xFFFFFFF1, functions=0)}, None),
        ("", {".a": _go_table(0xFFFFFFF1, functions=1 << 40)}, None),
        ("", {".a": _go_table(0xFFFFFFFF)}, None),
        ("", {".a": _go_table(0xFFFFFFF1)[:12]}, None),
        # C that cleans up when a thread is cancelled, and parts of the C library
        ("__gcc_personality_v0", {".gcc_except_table": b"x"}, None),
        ("GLIBC_PRIVATE", {".gcc_except_table": b"x"}, None),
        ("swapcontext GLIBC_PRIVATE", {}, None),
        ("makecontext ASYNC_start_job", {}, None),
        ("io_uring_register_personality", {}, None),
        ("my_swapcontext", {}, None),
        ("", {".eh_frame": b"\x14\0\0\0\0\0\0\0\1zR\0"}, None),
        ("_Unwind_Resume _Unwind_Backtrace personality", {}, None),
    ],
)  # fmt: skip
def test_what_reads_return_addresses_is_known_by_names_and_sections(
    names: str, sections: dict[str, bytes], stacks: StackUse | None, tmp_path: Path
) -> None:
    table = b"\0" + names.replace(" ", "\0").encode() + b"\0probed\0"
    file = tmp_path / "made"
    file.write_bytes(crafted(table, [(len(table) - 7, 0x1000)], sections))
    reader = elf.read(file).stack_reader
    assert (reader.stacks if reader else None) is stacks


_CDYLIB = "--crate-type=cdylib"
_STATIC = ("-shared", "-fPIC", "-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL")


@pytest.mark.parametrize(
    ("source", "suffix", "compiler", "options", "stacks"),
    [
        (files.THROWER, "cc", "g++", (), StackUse.UNWINDS),
        (files.THROWER, "cc", "g++", ("-s",), StackUse.UNWINDS),
        (files.THROWER, "cc", "g++", (*_STATIC, "-s"), StackUse.UNWINDS),
        (files.RUST_LIBRARY, "rs", "rustc", (_CDYLIB, "-O"), StackUse.UNWINDS),
        (files.RUST_LIBRARY, "rs", "rustc", (_CDYLIB, "-Cstrip=symbols"), StackUse.UNWINDS),
        (files.GO_ALONE, "go", "go", (), StackUse.GO),
        (files.GO_ALONE, "go", "go", ("-ldflags=-s -w",), StackUse.GO),
        (files.GO_ALONE, "go", "go", ("-buildmode=pie",), StackUse.GO),
        (files.GO_LIBRARY, "go", "go", ("-buildmode=c-shared", "-ldflags=-s -w"), StackUse.GO),
        (files.STACKS, "c", "gcc", ("-shared", "-fPIC"), StackUse.SWITCHES),
        (files.CLEANING, "c", "gcc", ("-shared", "-fPIC", "-fexceptions"), None),
    ],
    ids=[
        "C++", "C++ stripped", "C++ inside", "Rust", "Rust stripped", "Go", "Go stripped", "Go PIE",
        "Go library", "stacks", "C",
    ],
)  # fmt: skip
def test_what_compilers_make_is_told_apart(
    source: str,
    suffix: str,
    compiler: str,
    options: tuple[str, ...],
    stacks: StackUse | None,
    tmp_path: Path,
) -> None:
    reader = elf.read(files.built(tmp_path, source, suffix, compiler, *options)).stack_reader
    assert (reader.stacks if reader else None) is stacks


def test_go_code_is_known_by_each_thing_that_is_left_in_it(tmp_path: Path) -> None:
    """Nothing else is: a packer (UPX) and garble -tiny leave none, which the README says."""
    options = "-ldflags=-s -w -buildid="
    built = files.built(tmp_path, files.GO_ALONE, "go", "go", options).read_bytes()
    table = re.search(rb"[\xf0\xf1\xfa\xfb]\xff\xff\xff\0\0[\1\2\4][\4\x08]", built)
    assert table is not None
    signs = (b"gopclntab", b"gosymtab", b"go.buildinfo", b" Go buildinf:", b"goroutines are asleep")
    every = (*signs, table[0])
    for left in (*every, b""):
        file = tmp_path / "wiped"
        file.write_bytes(_without(built, [sign for sign in every if sign != left]))
        reader = elf.read(file).stack_reader
        assert (reader.stacks if reader else None) is (StackUse.GO if left else None)


def _without(whole: bytes, signs: list[bytes]) -> bytes:
    for sign in signs:
        whole = whole.replace(sign, b"x" * len(sign))
    return whole


@pytest.mark.parametrize(
    "name", ["libssl.so.3", "libssl.so.1.1", "libcrypto.so.3", "libgnutls.so.30"]
)
def test_libraries_that_hooks_time_are_plain_c(name: str) -> None:
    found = list(Path("/usr/lib").glob(f"*/{name}"))
    if not found:
        pytest.skip(f"{name} is not installed")
    assert elf.read(found[0]).stack_reader is None
    assert elf.read(libc()).stack_reader is None
