"""Layouts (bcc's description in, fields and values out) and what is no flat row. No kernel."""

import json
import struct

import pytest

from probes.compile.instructions import relocated
from probes.errors import LoadFailed
from probes.kernel.map_entries import StructLayout


def packed(*members: object) -> str:
    return json.dumps(["value", members, "struct_packed"])


def test_a_lone_number_is_one_field() -> None:
    layout = StructLayout('"unsigned int"', 4, "key")
    assert layout.fields == {"key": 0}
    assert layout.codec.unpack(b"\x05\0\0\0") == (5,)


def test_padding_is_no_field_and_byte_arrays_are_bytes() -> None:
    members = (
        ["pid", "unsigned int"],
        ["comm", "char", [16]],
        ["__pad_2", "char", [4]],
        ["bytes", "unsigned long long"],
        ["slots", "unsigned long long", [3]],
        ["family", "unsigned short"],
        ["__pad_end", "char", [6]],
    )
    layout = StructLayout(packed(*members), 64, "value")
    assert layout.fields == {"pid": 0, "comm": 1, "bytes": 2, "slots": slice(3, 6), "family": 6}
    raw = struct.pack("=I16s4xQ3QH6x", 7, b"curl", 9, 1, 2, 3, 10)
    row = layout.codec.unpack(raw)
    assert row[layout.fields["slots"]] == (1, 2, 3)
    assert row[0] == 7
    assert row[1] == b"curl".ljust(16, b"\0")
    assert layout.codec.pack(*row) == raw


def test_negative_numbers_keep_their_sign() -> None:
    layout = StructLayout(packed(["error", "int"], ["ns", "long"]), 12, "value")
    assert layout.codec.unpack(struct.pack("=iq", -111, -1)) == (-111, -1)


def test_a_size_that_is_not_the_maps_is_refused() -> None:
    with pytest.raises(LoadFailed, match="12 bytes, but the map has 16"):
        StructLayout(packed(["a", "unsigned int"], ["b", "unsigned long long"]), 16, "value")


@pytest.mark.parametrize(
    "description",
    [
        json.dumps(["u", [["a", "int"]], "union"]),
        json.dumps(["b", [["a", "int", 3]], "struct"]),
        packed(["inner", ["s", [["a", "int"]], "struct_packed"]]),
        packed(["in6", ["in6_u", [["a", "int"]], "union"], "union"]),
        packed(["big", "unsigned __int128"]),
        packed(["f", "float"]),
    ],
)
def test_what_has_no_flat_row_is_refused(description: str) -> None:
    with pytest.raises(LoadFailed):
        StructLayout(description, 4, "value")


@pytest.mark.parametrize(
    ("description", "size", "lanes"),
    [
        ('"unsigned long long"', 8, True),
        (packed(["a", "unsigned long"], ["b", "unsigned long long", [4]]), 40, True),
        (packed(["a", "unsigned long long"], ["b", "unsigned int", [2]]), 16, False),
        (packed(["a", "unsigned long long"], ["b", "long long"]), 16, False),
        (packed(["a", "unsigned long long"], ["b", "char", [8]]), 16, False),
        (packed(["a", "unsigned long long"], ["__pad", "char", [8]]), 16, False),
    ],
)
def test_only_u64_fields_can_be_summed_over_cpus(description: str, size: int, lanes: bool) -> None:
    assert StructLayout(description, size, "value").lanes is lanes


def test_map_fds_are_replaced_and_nothing_else() -> None:
    load_map = struct.pack("=BBhi", 0x18, 0x11, 0, 5) + bytes(8)
    load_number = struct.pack("=BBhi", 0x18, 0x01, 0, 5) + struct.pack("=BBhi", 0, 0, 0, 5)
    call = struct.pack("=BBhi", 0x85, 0, 0, 5)
    replaced = struct.pack("=BBhi", 0x18, 0x11, 0, 42) + bytes(8)
    assert relocated(load_map + load_number + call, {5: 42}) == replaced + load_number + call


def test_a_map_fd_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        relocated(struct.pack("=BBhi", 0x18, 0x11, 0, 6) + bytes(8), {5: 42})
