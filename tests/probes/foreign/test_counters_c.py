"""Instructions made for one foreign program."""

from __future__ import annotations

import struct

import pytest

from probes.foreign import counters_c
from probes.kernel import bpf

IDENTITY = 0x45425046544F5031


def _load(to: int, low: int, high: int, source: int = 0) -> bytes:
    return struct.pack("=BBhiBBhi", bpf.LD_IMM64, source << 4 | to, 0, low, 0, 0, 0, high)


def test_the_program_s_number_and_our_namespace_take_the_constant_s_place() -> None:
    """Wherever it stands, in whichever register, and nothing else is changed."""
    constant = IDENTITY & 0xFFFFFFFF, IDENTITY >> 32
    map_fd, other = _load(1, 7, 0, source=1), _load(2, constant[0], 1)
    exit = bpf.exit_with(0)
    made = counters_c.made_for(map_fd + _load(3, *constant) + other + exit, 4711, 4026531840)
    (netns,) = struct.unpack("=i", struct.pack("=I", 4026531840))
    assert made == map_fd + _load(3, 4711, netns) + other + exit


@pytest.mark.parametrize("source", [counters_c.XDP_SOURCE, counters_c.TC_SOURCE])
def test_the_constant_stands_in_the_source(source: str) -> None:
    assert source.count(hex(IDENTITY)) == 1
