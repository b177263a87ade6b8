"""Functions of programs and libraries, and files that are none."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from pathlib import Path

import pytest

from probes.errors import Gone, Unsupported
from probes.kernel import elf
from probes.toolkit.user_symbols import UserSymbols, maps


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
    assert names.name(os.getpid(), address + 3) == "getaddrinfo"
    assert names.name(os.getpid(), 8) == "[unknown]"
    assert names.name(2**22 + 1, address) == "[process gone]"


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
