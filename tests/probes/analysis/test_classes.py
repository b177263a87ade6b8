"""Harm, refusal or ordinary: by reason, by place where the reason is silent, where it counts."""

from __future__ import annotations

import re

import pytest

from probes.analysis.classes import (
    CLOSED,
    GROUP,
    PLACES,
    REASONS,
    RST,
    SYN,
    DropClass,
    class_of,
    meaning,
)
from probes.analysis.funnel import Stage, funnel
from probes.analysis.snapshot import Snapshot
from probes.hooks import catalogue
from probes.model import HookId, Key, Kind, Row, Sample, State, Status
from probes.recording.bookmarks import Bookmarker
from probes.recording.encoder import Tick

HARM, REFUSAL, ORDINARY = DropClass.HARM, DropClass.REFUSAL, DropClass.ORDINARY
DROPS = catalogue()["drops"]


@pytest.mark.parametrize(
    ("reason", "place", "trait", "expected"),
    [
        ("SOCKET_RCVBUFF", "udp_queue_rcv+0x1", "-", HARM),
        ("NO_SOCKET", "tcp_v4_rcv+0x91", "-", REFUSAL),
        ("NO_SOCKET", "tcp_v4_rcv+0x91", RST, ORDINARY),
        ("NETFILTER_DROP", "nf_hook_slow+0xa", RST, REFUSAL),
        ("TCP_RFC7323_TW_PAWS", "tcp_v4_rcv+0x300", "-", ORDINARY),
        ("TCP_RFC7323_TW_PAWS", "tcp_v4_rcv+0x300", SYN, HARM),
        ("TCP_RFC7323_TW_PAWS", "tcp_v4_rcv+0x300", None, HARM),
        ("TCP_OLD_SEQUENCE", "tcp_validate_incoming+0x1", "-", ORDINARY),
        ("QUEUE_PURGE", "sk_stream_kill_queues+0x57", "-", ORDINARY),
        ("NOT_SPECIFIED", "skb_release_data+0xf1", "-", ORDINARY),
        ("QUEUE_PURGE", "skb_queue_purge_reason+0xdf", CLOSED, ORDINARY),
        ("QUEUE_PURGE", "skb_queue_purge_reason.part.0+0xdf", "-", HARM),
        ("QUEUE_PURGE", "neigh_destroy+0x3", CLOSED, HARM),
        ("QDISC_DROP", "f+0x1", CLOSED, HARM),
        ("NOT_SPECIFIED", "udp_destruct_common+0x47", "-", ORDINARY),
        ("NOT_SPECIFIED", "tcp_v6_rcv+0x5", "-", ORDINARY),
        ("-", "tcp_v6_rcv+0x5", "-", REFUSAL),
        ("-", "tcp_v6_rcv+0x5", RST, ORDINARY),
        ("-", "inet_sock_destruct+0x5", "-", ORDINARY),
        ("-", "no_function_of_ours+0x5", "-", HARM),
        ("a reason of a later kernel", "f+0x1", None, HARM),
        ("NO_SOCKET", "ping_rcv+0xab", "-", ORDINARY),
        ("NO_SOCKET", "icmp_rcv+0x1b1", "-", ORDINARY),
        ("NO_SOCKET", "icmpv6_rcv+0x1b1", "-", ORDINARY),
        ("NOT_SPECIFIED", "icmp_rcv+0x1b1", "-", HARM),
        ("NOT_SPECIFIED", "tcp_rcv_state_process+0x1c1", "-", ORDINARY),
        ("-", "tcp_rcv_state_process+0x1c1", "-", ORDINARY),
        ("NOT_SPECIFIED", "ip_rcv_finish_core+0x25b", "-", HARM),
        ("NOT_SPECIFIED", "ip_rcv_finish_core.isra.0+0x25b", GROUP, ORDINARY),
        ("NETFILTER_DROP", "ip_rcv_finish+0x25b", GROUP, REFUSAL),
        ("NOT_SPECIFIED", "ip6_mc_input+0x15e", GROUP, ORDINARY),
        ("NOT_SPECIFIED", "__udp4_lib_rcv+0xbbf", GROUP, ORDINARY),
        ("NOT_SPECIFIED", "__udp4_lib_rcv+0xbbf", None, ORDINARY),
        ("NOT_SPECIFIED", "__udp4_lib_rcv+0x1eb", "-", REFUSAL),
        ("NOT_SPECIFIED", "dst_discard_out+0x14", "-", HARM),
        ("UdpNoPorts", "procfs", "-", REFUSAL),
        ("rx_dropped", "netlink", "-", HARM),
    ],
)
def test_class_follows_from_reason_and_place(
    reason: str, place: str, trait: str | None, expected: DropClass
) -> None:
    assert meaning(reason, place, trait).drop_class is expected


def test_rows_of_recordings_without_a_trait_have_a_class() -> None:
    row = {"reason": "QUEUE_PURGE", "location": "sk_stream_kill_queues+0x57"}
    assert class_of(row) == class_of(row | {"trait": None}) == ORDINARY


@pytest.mark.parametrize("name", [*REASONS, *PLACES])
def test_each_meaning_is_one_plain_sentence(name: str) -> None:
    sentence = (REASONS.get(name) or PLACES[name]).sentence
    assert re.fullmatch(r"[A-Z][^\n]{10,90}\.", sentence), sentence


def _drops(time: float, **packets: int) -> Sample:
    """So many packets on eth0 by reason."""
    rows: dict[Key, Row] = {}
    for reason, count in packets.items():
        known = {"interface": "eth0", "reason": reason, "location": "f+0x1", "packets": count}
        row = tuple(known.get(c.name) for c in DROPS.stored)
        rows[tuple(known.get(c.name) for c in DROPS.stored if c.kind is Kind.KEY)] = row
    status = Status(HookId("drops"), State.ATTACHED, DROPS.ladder[0].name)
    return Sample(status, time, time, 1, rows)


def _socket(stages: tuple[Stage, ...]) -> Stage:
    return next(s for s in stages if s.name == "socket")


def test_the_funnel_counts_ordinary_drops_apart() -> None:
    """They are in no loss, in no cause, and in no sum."""
    before = _drops(10, TCP_OLD_DATA=0, NO_SOCKET=0)
    after = _drops(12, TCP_OLD_DATA=30, NO_SOCKET=4)
    snapshot = Snapshot.between(DROPS, before, after)
    stages = funnel({"drops": [snapshot]}, "eth0")
    socket = _socket(stages)
    assert socket.lost is not None
    assert socket.ordinary is not None
    assert (socket.lost.total, socket.ordinary.total) == (4, 30)
    assert (socket.lost.per_s, socket.ordinary.per_s) == (2, 15)
    assert [c.lost.total for c in socket.causes] == [4]
    assert sum(s.lost.total for s in stages if s.lost) == 4


def test_nobody_counts_ordinary_drops_where_drops_are_not_seen() -> None:
    assert _socket(funnel({}, "eth0")).ordinary is None


def test_ordinary_drops_are_no_moment_to_come_back_to() -> None:
    """A recording's marks tell what was lost."""
    bookmarker = Bookmarker(catalogue())
    status = _drops(10).status

    def moment(time: float, **packets: int) -> int:
        sample = _drops(time, **packets)
        return bookmarker.moment(Tick(time, 1.0, {"drops": (sample,)}, (status,))).drops

    moment(10)
    assert moment(11, TCP_OLD_DATA=900) == 0
    assert moment(12, TCP_OLD_DATA=1900, NO_SOCKET=5) == 5


@pytest.mark.parametrize("name", ["IpOutNoRoutes", "Ip6InAddrErrors", "SoftnetDropped"])
def test_a_counter_of_a_reason_is_told_as_that_reason(name: str) -> None:
    assert "not known" not in meaning("lost", name).sentence
