"""C that counts at the exit of other people's programs, and its counts."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from probes.attach.trampoline import Fexit
from probes.kernel import bpf
from probes.model import Opening, Program

# Which program it is, and in which network namespace interface numbers mean something, stands in
# the instructions: a number that is replaced for each program before they are loaded.
_IDENTITY = 0x45425046544F5031
# A program counts by verdict: XDP's five; of TC's nine, the rest goes on as TC_ACT_UNSPEC does.
# Two ways for each: the first calls a helper that the second does without, where the kernel has
# none (bpf_xdp_get_buff_len: Linux 5.18) or hides its memory (lockdown).
_MAPS = """
struct where { u32 program; u32 ifindex; u32 egress; u32 unused; };
struct answers { u64 packets[16]; u64 bytes[16]; u64 skbs[16]; };
BPF_TABLE("percpu_hash", struct where, struct answers, verdicts, 1024);
BPF_TABLE("percpu_array", u32, u64, uncounted, 1);

static inline u64 who_is_it(void) {
    u64 identity;
    asm volatile("%0 = IDENTITY ll" : "=r"(identity));
    return identity;
}

static inline void add(struct where *key, u32 verdict, u64 n, u64 length) {
    struct answers *slot = verdicts.lookup(key);
    if (!slot) {
        struct answers zero = {};
        verdicts.insert(key, &zero);
        slot = verdicts.lookup(key);
    }
    if (!slot) {
        u32 first = 0;
        u64 *full = uncounted.lookup(&first);
        if (full)
            *full += n;
        return;
    }
    slot->packets[verdict & 15] += n;
    slot->bytes[verdict & 15] += length;
    slot->skbs[verdict & 15]++;
}
""".replace("IDENTITY", hex(_IDENTITY))
_COUNT = (
    _MAPS
    + """
static inline void count(struct net_device *dev, u32 egress, u32 verdict, u64 n, u64 length) {
    u64 identity = who_is_it();
    if (dev->nd_net.net->ns.inum != (u32)(identity >> 32))
        return;
    struct where key = {.program = (u32)identity, .ifindex = dev->ifindex, .egress = egress};
    add(&key, verdict, n, length);
}

int possible(u64 *ctx) {
    return 0;
}
"""
)
# In a TCX chain, right before and right behind a program: what came to it, and what went on. A
# packet that stands for several (GSO) counts as those.
_AROUND = """
static inline int pass(struct __sk_buff *skb, u32 behind) {
    u64 identity = who_is_it();
    u32 segments = skb->gso_segs, egress = identity >> 32;
    struct where key = {.program = (u32)identity, .ifindex = skb->ifindex, .egress = egress};
    add(&key, behind, segments ? segments : 1, skb->len);
    return -1;
}

int before(struct __sk_buff *skb) {
    return pass(skb, 0);
}

int behind(struct __sk_buff *skb) {
    return pass(skb, 1);
}
"""
AROUND_SOURCE = _MAPS + _AROUND
# Each hook has a map of its own, which it sweeps.
XDP_SOURCE = (
    _COUNT
    + """
int xdp(u64 *ctx) {
    struct xdp_buff *xdp = ARG(ctx, 0, struct xdp_buff *);
    u32 verdict = ctx[1];
    u64 length = ((u64 (*)(void *))188)(xdp);
    count(xdp->rxq->dev, 0, verdict > 4 ? 0 : verdict, 1, length);
    return 0;
}

int xdp_linear(u64 *ctx) {
    struct xdp_buff *xdp = ARG(ctx, 0, struct xdp_buff *);
    u32 verdict = ctx[1];
    u64 length = (u64)xdp->data_end - (u64)xdp->data;
    count(xdp->rxq->dev, 0, verdict > 4 ? 0 : verdict, 1, length);
    return 0;
}
"""
)
TC_SOURCE = (
    _COUNT
    + """
static inline void tc_count(struct sk_buff *skb, u32 verdict, u64 segments) {
    count(skb->dev, !skb->tc_at_ingress, verdict > 8 ? 9 : verdict, segments, skb->len);
}

int tc(u64 *ctx) {
    struct sk_buff *skb = ARG(ctx, 0, struct sk_buff *);
    struct skb_shared_info *shared = (struct skb_shared_info *)(skb->head + skb->end);
    u16 segments = PROBE(shared->gso_segs);
    tc_count(skb, ctx[1], segments ? segments : 1);
    return 0;
}

int tc_whole(u64 *ctx) {
    tc_count(ARG(ctx, 0, struct sk_buff *), ctx[1], 1);
    return 0;
}
"""
    + _AROUND
)
_TYPES = ("net", "net_device", "ns_common")
XDP_TYPES = (*_TYPES, "xdp_buff", "xdp_rxq_info")
TC_TYPES = (*_TYPES, "sk_buff", "skb_shared_info")
# A function that the kernel keeps for tests and that nothing calls: whether there are trampolines.
PROGRAMS = (Program("possible", Fexit("bpf_fentry_test1")),)
XDP_WAYS, TC_WAYS = ("xdp", "xdp_linear"), ("tc", "tc_whole")


class Place(NamedTuple):
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

    def read(self) -> dict[Place, Answers]:
        """Read all counts. Call it before listing places: what is then missing has gone."""
        at = self._table.fields
        where = [_place(at, name) for name in ("program", "ifindex", "egress")]
        return {
            Place(*(int(row[i]) for i in where)): _answers(at, row) for row in self._table.rows()
        }

    def of(self, place: Place) -> Answers | None:
        """Read the counts of one place."""
        at, row = self._table.fields, self._table.row((*place, 0))
        return _answers(at, row) if row else None

    def forget(self, gone: Iterable[Place]) -> None:
        """Forget places, so that they start at zero if they come back."""
        for place in gone:
            self._table.delete((*place, 0))

    def lost(self) -> int:
        """Return how many packets were not counted because there are too many places."""
        row = self._uncounted.row((0,))
        return int(row[1]) if row is not None else 0


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
