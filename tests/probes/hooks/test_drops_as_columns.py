"""Rows of many drops as columns are those that are made one by one; so is what was seen."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from probes.hooks import catalogue
from probes.hooks.drops.columns import TracedColumns
from probes.hooks.drops.counters import ALL
from probes.hooks.drops.holders import Port, SocketHolders
from probes.hooks.drops.seen import SeenByPlace, SeenDrops
from probes.hooks.drops.senders import Senders
from probes.hooks.drops.traced import Around, traced_rows
from probes.hooks.drops.ways import Forwarding
from probes.kernel import kallsyms
from probes.kernel.map_entries import MapEntries, StructLayout
from probes.kernel.procfs import Owner
from probes.model import Row
from probes.owners.owner_columns import NAMES
from tests.support.layouts import declared

OWN = 4026531840
REASONS = ("SKB_NOT_DROPPED_YET", "SKB_CONSUMED", "NETFILTER_DROP", "SOCKET_RCVBUFF",
           "TCP_LISTEN_OVERFLOW", "TIME_WAIT", "NO_SOCKET")  # fmt: skip
FUNCTIONS = ("dst_discard_out", "cookie_v4_check", "tcp_v4_rcv", "nf_hook_slow")
NUMBERS: Mapping[str, tuple[int, ...]] = {
    "location": tuple(range(8)), "device": (0, 0, 77), "reason": tuple(range(len(REASONS))),
    "ifindex": (0, 1, 2), "netns": (OWN, OWN, 0, 4026532218),
    "protocol": (0, 0x080006, 0x080011, 0x080600, 0x86DD3A), "port": (0, 80, 443),
    "trait": (0, 1, 2, 3, 4, 9, 0x100, 0x204, 0x300, 0x401, 0x9900),
}  # fmt: skip


class _Devices:
    """Devices by their number; what each look was given is kept."""

    def __init__(self) -> None:
        self.looks: list[Mapping[Any, int]] = []

    def look(self, found: Mapping[Any, int]) -> None:
        self.looks.append(dict(found))

    def name(self, ifindex: int, device: int, netns: int) -> str:
        return f"eth{ifindex}" if netns == OWN else f"if{ifindex} (netns {netns}) {device}"


class _Holders(SocketHolders):
    """Holders of two ports; what each look was given is kept."""

    def __init__(self) -> None:
        super().__init__()
        self._held = {("tcp", 80): Owner(7, "nginx"), ("udp", 443): Owner(8, "quic")}
        self.looks: list[Mapping[Port, int]] = []

    def look(self, packets: Mapping[Port, int]) -> None:
        self.looks.append(dict(packets))


def _around() -> Around:
    devices: Any = _Devices()
    senders = Senders(OWN)
    senders._held = {("tcp", 443): Owner(9, "curl"), ("udp", 443): Owner(9, "curl")}
    return Around(OWN, REASONS.__getitem__, devices, _Holders(), senders, SeenDrops(), Forwarding())


def _layouts() -> tuple[StructLayout, StructLayout]:
    source = catalogue()["drops"].ladder[0].source_for(None)
    about = next(one for one in declared(source) if one.name == "rows")
    key = StructLayout(about.key, about.key_size, "key")
    return key, StructLayout(about.value, about.value_size, "value")


def _entries(dice: random.Random, number: int, most: int) -> MapEntries:
    key, value = layouts = _layouts()
    keys = {key.codec.pack(*[dice.choice(NUMBERS[f]) for f in key.fields]) for _ in range(number)}
    values = b"".join(value.codec.pack(dice.randrange(1, most)) for _ in keys)
    return MapEntries(layouts, b"".join(sorted(keys, key=hash)), values)


def _told(seen: SeenByPlace) -> list[Mapping[int, int]]:
    some = [c for c in ALL.values() if c.reasons]
    return [+seen.ports(netns, c) for netns in NUMBERS["netns"] for c in some]


@pytest.fixture(autouse=True)
def _symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(addresses: Iterable[int]) -> dict[int, str]:
        return {a: f"{FUNCTIONS[a % len(FUNCTIONS)]}+0x{a // 6:x}" for a in addresses}

    monkeypatch.setattr(kallsyms, "resolve", resolve)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most", [1000, 1 << 63])
def test_rows_and_what_was_seen_are_the_same(seed: int, most: int) -> None:
    dice = random.Random(seed)
    one, several = _around(), _around()
    many = TracedColumns(several)
    for number in (300, 300, 20, 0, 200):  # entries come and go, and count from zero
        tables = [_entries(dice, number, most) for _ in range(2)]
        rows, seen = traced_rows([row for t in tables for row in t.rows()], one)
        made, also = many.rows(tables)
        assert list(made) == rows
        assert repr(list(made)) == repr(rows), "types as well"
        assert _told(also) == _told(seen)
        assert several.devices.looks[-1] == one.devices.looks[-1]  # type: ignore[attr-defined]
        assert several.holders.looks[-1] == one.holders.looks[-1]  # type: ignore[attr-defined]


def test_what_was_seen_stays_when_rows_become_many_and_few_again() -> None:
    dice = random.Random(1)
    one, mixed = _around(), _around()
    many = TracedColumns(mixed)
    for turn in range(8):
        tables = [_entries(dice, 150, 1000) for _ in range(2)]
        found = [row for t in tables for row in t.rows()]
        _, seen = traced_rows(found, one)
        _, also = many.rows(tables) if turn % 3 else traced_rows(found, mixed)
        assert _told(also) == _told(seen)


def test_rows_that_follow_have_their_texts() -> None:
    many = TracedColumns(_around())
    made, _ = many.rows([_entries(random.Random(2), 50, 10)])
    rows = list(made)
    more: list[Row] = [
        ("-", "(others)", "-", 3, "-", None, "-", "", None, "packets", None, 0, 0, "-", None, None),
        (
            "-",
            "no listener",
            "UdpNoPorts",
            1,
            "udp",
            9,
            "-",
            "a",
            5,
            "again",
            7,
            0,
            0,
            "-",
            3,
            4,
        ),
    ]
    assert list(many.followed_by(made, more)) == [*rows, *more]
    assert many.followed_by(made, []) is made


def test_both_ways_are_of_the_same_columns() -> None:
    made, _ = TracedColumns(_around()).rows([_entries(random.Random(3), 5, 10)])
    assert len(made.cells) + len(NAMES) == len(catalogue()["drops"].stored)
