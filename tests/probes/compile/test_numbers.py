"""Numbers in the place of marks: one event in so many, the one system call."""

from __future__ import annotations

import struct

import pytest

from probes.compile.numbers import split, with_numbers
from probes.errors import LoadFailed

ONE_IN, ONLY = 0x5EED0001, 0x5EED0002


def _insn(opcode: int, immediate: int) -> bytes:
    return struct.pack("=BBhI", opcode, 1, 0, immediate)


def test_the_first_lines_say_which_numbers_are_wanted() -> None:
    text = "int f(void *ctx) { return LEFT_OUT; }"
    assert split(text) == (text, {})
    assert split(f"#define ONE_IN 8\n{text}") == (text, {"ONE_IN": 8})
    both = f"#define ONE_IN 64\n#define ONLY {257 | 1 << 30}\n{text}"
    assert split(both) == (text, {"ONE_IN": 64, "ONLY": 257 | 1 << 30})
    later = f"{text}\n#define ONE_IN 8\n"
    assert split(later) == (later, {}), "that is its own"


def test_c_that_asks_for_one_in_itself_is_compiled_with_it() -> None:
    """As a user's hook file may, from before."""
    source = "#define ONE_IN 8\n#ifndef ONE_IN\n#define ONE_IN 1\n#endif\n"
    assert split(source) == (source, {})


@pytest.mark.parametrize("opcode", [0xB7, 0xB4], ids=["64 bits", "32 bits"])
def test_only_what_moves_a_mark_into_a_register_is_changed(opcode: int) -> None:
    same = _insn(0x55, ONE_IN) + _insn(0xB7, 7)
    functions = {"enter": _insn(opcode, ONE_IN) + same, "leave": _insn(opcode, ONLY)}
    made = with_numbers(functions, {"ONE_IN": 8, "ONLY": 1 << 31 | 3})
    assert made == {"enter": _insn(opcode, 8) + same, "leave": _insn(opcode, 1 << 31 | 3)}
    assert with_numbers(functions, {}) is functions


def test_a_number_without_a_place_is_refused() -> None:
    """All would be counted, and scaled as a sample."""
    with pytest.raises(LoadFailed, match="no place for ONE_IN"):
        with_numbers({"enter": _insn(0xB7, 3)}, {"ONE_IN": 8})
