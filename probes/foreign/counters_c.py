"""C that counts at the exit of other people's programs, and its counts."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from probes.attach.trampoline import Fexit
from probes.kernel import bpf
from probes.model import Opening, Program
from probes.toolkit.c_files import c_source
from probes.toolkit.counters_c import UNCOUNTED, counted

# Which program it is stands in the instructions: replaced for each before they are loaded.
_IDENTITY = 0x45425046544F5031
_ANSWERS = UNCOUNTED + c_source(__file__, "answers.c", IDENTITY=f'"{_IDENTITY:#x}"')
AROUND_SOURCE = _ANSWERS + c_source(__file__, "around.c")
# Each hook has a map of its own, which it sweeps.
XDP_SOURCE = _ANSWERS + c_source(__file__, "exits.c", "xdp_exits.c")
TC_SOURCE = _ANSWERS + c_source(__file__, "exits.c", "tc_exits.c", "around.c")
_TYPES = ("net", "net_device", "ns_common")
XDP_TYPES = (*_TYPES, "xdp_buff", "xdp_rxq_info")
TC_TYPES = (*_TYPES, "sk_buff", "skb_shared_info")
# A function that the kernel keeps for tests and that nothing calls: whether there are trampolines.
PROGRAMS = (Program("possible", Fexit("bpf_fentry_test1")),)
XDP_WAYS, TC_WAYS = ("xdp", "xdp_linear"), ("tc", "tc_whole")


class ProgramPlace(NamedTuple):
    """Place of a program, as fexit reports it. egress: 1 at TC egress, else 0."""

    program: int
    ifindex: int
    egress: int = 0


def made_for(insns: bytes, program: int, what: int) -> bytes:
    """Return the instructions for one program: its id and `what` in the constants' places.

    what: at an exit our network namespace; beside a program 1 at TC egress, else 0.
    """
    code = bytearray(insns)
    for at in range(0, len(code) - 8, 8):
        opcode, _, _, low = struct.unpack_from("=BBhi", code, at)
        (high,) = struct.unpack_from("=i", code, at + 12)
        if opcode == bpf.LD_IMM64 and (high << 32 | low & 0xFFFFFFFF) == _IDENTITY:
            struct.pack_into("=I", code, at + 4, program)
            struct.pack_into("=I", code, at + 12, what)
    return bytes(code)


class Answers(NamedTuple):
    """Packets and bytes by verdict, as SOURCE numbers them. skbs: a GSO packet counts as one."""

    packets: Sequence[int]
    bytes: Sequence[int]
    skbs: Sequence[int]


NO_ANSWERS = Answers((0,) * 16, (0,) * 16, (0,) * 16)


class Verdicts:
    """Counts at the programs' exits, by place."""

    def __init__(self, opening: Opening) -> None:
        self._table = opening.tables["verdicts"]
        self._uncounted = opening.tables["uncounted"]
        self.forget(self.read())

    def read(self) -> dict[ProgramPlace, Answers]:
        """Read all counts. Call it before listing places: what is then missing has gone."""
        at = self._table.fields
        where = [_place(at, name) for name in ("program", "ifindex", "egress")]
        return {
            ProgramPlace(*(int(row[i]) for i in where)): _answers(at, row)
            for row in self._table.rows()
        }

    def of(self, place: ProgramPlace) -> Answers | None:
        """Read the counts of one place."""
        at, row = self._table.fields, self._table.row((*place, 0))
        return _answers(at, row) if row else None

    def forget(self, gone: Iterable[ProgramPlace]) -> None:
        """Forget places, so that they start at zero if they come back."""
        for place in gone:
            self._table.delete((*place, 0))

    def lost(self) -> int:
        """Return how many packets were not counted because there are too many places."""
        return counted(self._uncounted)


def _answers(fields: Mapping[str, int | slice], row: Sequence[int]) -> Answers:
    return Answers(*(row[_places(fields, name)] for name in Answers._fields))


def _place(fields: Mapping[str, int | slice], name: str) -> int:
    place = fields[name]
    assert isinstance(place, int)
    return place


def _places(fields: Mapping[str, int | slice], name: str) -> slice:
    place = fields[name]
    assert isinstance(place, slice)
    return place
