"""Programs that count one event in so many: a number in their code, and no other source to compile.

C that asks `LEFT_OUT` (include/hooks.h) has a mark where that number goes. Without one it counts
all, which the verifier sees: what is left out then costs nothing.
"""

from __future__ import annotations

import re
import struct

_DEFINED = re.compile(r"#define ONE_IN (\d+)\n")
_MARK = 0x5EED0001  # ONE_IN_MARK in include/hooks.h
_MOVES = (0xB7, 0xB4)  # BPF_ALU64 and BPF_ALU: dst = imm


def split(source: str) -> tuple[str, int]:
    """Return what to compile of a source from `Rung.source_for`, and one event in how many counts.

    Where the C itself asks for ONE_IN, that is compiled in.
    """
    found = _DEFINED.match(source)
    if found is None or "ONE_IN" in source[found.end() :]:
        return source, 1
    return source[found.end() :], int(found[1])


def sampled(instructions: bytes, one_in: int) -> bytes:
    """Return a program that counts one event in so many."""
    code = bytearray(instructions)
    for at in range(0, len(code), 8):
        opcode, _, _, immediate = struct.unpack_from("=BBhi", code, at)
        if opcode in _MOVES and immediate == _MARK:
            struct.pack_into("=i", code, at + 4, one_in)
    return bytes(code)
