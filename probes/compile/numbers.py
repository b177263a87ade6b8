"""Numbers that are patched into compiled programs: another number needs no new compile.

C says where they go, by marks (include/hooks.h): `LEFT_OUT` asks whether to leave an event out of a
sample, `ONLY_CALL` is the one system call that is wanted. A source says which number it wants in
its first lines: `#define ONE_IN 8`. The verifier sees a constant: what it excludes costs nothing.
`PIDNS` and `PIDNS_DEV` are our PID namespace, where that is not the first one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from probes.errors import LoadFailed
from probes.kernel import procfs

_MARKS = {  # as in include/hooks.h
    "ONE_IN": 0x5EED0001,
    "ONLY": 0x5EED0002,
    "PIDNS": 0x5EED0003,
    "PIDNS_DEV": 0x5EED0004,
}
_OF_THE_HOST = frozenset({"PIDNS", "PIDNS_DEV"})
"""Numbers that not every program has a place for."""
_DEFINED = re.compile(r"#define (ONE_IN|ONLY) (\d+)\n")
_MOVES = (0xB7, 0xB4)  # BPF_ALU64 and BPF_ALU: dst = imm


def split(source: str) -> tuple[str, Mapping[str, int]]:
    """Return what to compile of a source, and the numbers that it wants.

    Where the C itself asks for ONE_IN, that is compiled in.
    """
    numbers, rest = dict[str, int](), source
    while found := _DEFINED.match(rest):
        numbers[found[1]] = int(found[2])
        rest = rest[found.end() :]
    return (source, {}) if "ONE_IN" in numbers and "ONE_IN" in rest else (rest, numbers)


def of_the_host() -> Mapping[str, int]:
    """Return the numbers of the PID namespace that pids are shown of; none for the first one."""
    found = procfs.pid_namespace()
    return {} if found is None else {"PIDNS": found[1], "PIDNS_DEV": found[0]}


def with_numbers(functions: Mapping[str, bytes], numbers: Mapping[str, int]) -> Mapping[str, bytes]:
    """Return programs with these numbers in the place of their marks.

    Raises LoadFailed where one has no place: what counts all would be scaled as a sample.
    """
    wanted = {_MARKS[name]: number for name, number in numbers.items()}
    if not wanted:
        return functions
    places, made = set[int](), dict[str, bytes]()
    for name, instructions in functions.items():
        code = bytearray(instructions)
        for at in range(0, len(code), 8):
            opcode, _, _, immediate = struct.unpack_from("=BBhi", code, at)
            if opcode in _MOVES and immediate in wanted:
                struct.pack_into("=I", code, at + 4, wanted[immediate])
                places.add(immediate)
        made[name] = bytes(code)
    asked = numbers.keys() - _OF_THE_HOST
    if lost := sorted(name for name in asked if _MARKS[name] not in places):
        raise LoadFailed(f"its C has no place for {lost[0]}; it asks neither LEFT_OUT nor ONE_IN")
    return made
