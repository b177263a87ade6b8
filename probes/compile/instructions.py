"""Instructions of BPF programs, as the compiler makes them: where maps are named."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping

from probes.kernel.bpf import LD_IMM64, PSEUDO_MAP_FD


def relocated(instructions: bytes, numbers: Mapping[int, int]) -> bytes:
    """Return the instructions with the compiler's map fds replaced by ours."""
    code = bytearray(instructions)
    for at, fd in _map_fds(instructions):
        struct.pack_into("=i", code, at, numbers[fd])
    return bytes(code)


def maps_of(instructions: bytes) -> set[int]:
    """Return the fds of maps in them. Raises struct.error where they are cut off."""
    return {fd for _, fd in _map_fds(instructions)}


def _map_fds(code: bytes) -> Iterator[tuple[int, int]]:
    """Yield where a map's fd is, and the fd.

    A map is loaded by LD_IMM64 (two instructions of 8 bytes) whose source register says
    BPF_PSEUDO_MAP_FD and whose immediate is the fd.
    """
    at = 0
    while at < len(code):
        opcode, registers, _, immediate = struct.unpack_from("=BBhi", code, at)
        if opcode == LD_IMM64:
            if _source(registers) == PSEUDO_MAP_FD:
                yield at + 4, immediate
            at += 8
        at += 8


def _source(registers: int) -> int:
    """Return src_reg: the upper half of the byte, on big-endian machines the lower."""
    return registers >> 4 if sys.byteorder == "little" else registers & 15
