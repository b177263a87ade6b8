"""Slow paths, one slow connection, delayed acknowledgements, loss."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors.trips import trips
from probes.analysis.cases.joined import joined
from probes.model import Value
from tests.support.watched_host import WatchedHost

PEER = "10.88.0.2"


def _connection(
    cookie: int, srtt: int, least: int, raddr: str = PEER, *, samples: int = 5, **more: Value
) -> dict[str, Value]:
    """One over which something is sent each second."""
    row: dict[str, Value] = {
        "cookie": cookie, "laddr": "10.88.0.1", "lport": 40000 + cookie, "raddr": raddr,
        "rport": 873, "comm": "syncd", "pid": 7, "srtt_us": srtt, "min_us": least,
        "samples": samples, "sent": 2 * samples,
    }  # fmt: skip
    return row | more


def _told(rows: Iterable[dict[str, Value]], ticks: int = 3) -> list[Claim]:
    host, rows = WatchedHost(), list(rows)
    for _ in range(ticks):
        host.more(tcp_rtt=rows)
    return list(trips(host.facts).claims)


def test_a_path_that_takes_twenty_times_its_minimum_is_an_alarm_at_once() -> None:
    (claim,) = _told([_connection(1, 400_000, 20_000)])
    assert (claim.id, claim.severity, claim.now) == (f"tcp-rtt/{PEER}", Gravity.ALARM, 400_000)
    assert claim.what == f"{PEER}:873 slow round trip"
    assert [who[:2] for who in claim.who] == [("syncd", 7)]
    assert claim.evidence[0].text == "20x its minimum of 20.0ms"
    assert claim.usual == 20_000, "all that is known so soon"
    assert ("peer", PEER) in claim.ties


@pytest.mark.parametrize(
    ("srtt", "least", "severity"),
    [
        (44_000, 50, None),  # Linux delays an acknowledgement by 40 ms
        (200_000, 50, Gravity.NOTICE),  # others by up to 200 ms: it may be that
        (50_000, 40_000, None),
        (300_000, 50, Gravity.ALARM),
    ],
)
def test_a_delayed_acknowledgement_is_no_slow_path(
    srtt: int, least: int, severity: Gravity | None
) -> None:
    told = _told([_connection(1, srtt, least)])
    assert [claim.severity for claim in told] == ([] if severity is None else [severity])


def test_a_process_that_is_as_slow_as_ever_where_another_is_quick_is_told_so() -> None:
    """To several peers, as one case."""
    peers = [f"10.77.{n}.2" for n in range(3)]
    slow = [_connection(n, 400_000, 400_000, peer) for n, peer in enumerate(peers)]
    quick = [
        _connection(n, 300, 100, peer, comm="billing", pid=8) for n, peer in enumerate(peers, 10)
    ]
    assert not _told(slow), "far away, for all that is known"
    told = _told([*slow, *quick])
    assert [claim.severity for claim in told] == [Gravity.ALARM] * 3
    (case,) = joined(told)
    assert [who.comm for who in case.who] == ["syncd"]
    assert case.evidence[0].text == "1333x the 300us of billing to the same peer"


def test_a_silent_connection_keeps_an_old_estimate_and_is_not_judged() -> None:
    assert not _told([_connection(1, 400_000, 20_000, samples=0)])


def test_several_slow_connections_are_the_path_one_among_many_is_the_process() -> None:
    fast = [_connection(n, 900, 500, comm="nginx", pid=8) for n in range(29)]
    (claim,) = _told([*fast, _connection(99, 400_000, 20_000)])
    assert claim.id == f"tcp-rtt/{PEER}/syncd"
    assert ("peer", PEER) not in claim.ties
    assert "the other 29 connections to it are not slow" in [e.text for e in claim.evidence]
    slow = [_connection(n, 150_000, 500) for n in range(3)]
    (path,) = _told(slow)
    assert (path.id, path.severity) == (f"tcp-rtt/{PEER}", Gravity.ALARM)
    assert len(path.rows) == 3


def test_both_ends_of_a_connection_are_one_claim() -> None:
    here = _connection(1, 400_000, 20_000)
    there = here | {
        "cookie": 2, "laddr": PEER, "lport": 873, "raddr": "10.88.0.1", "rport": 40001,
        "comm": "postgres",
    }  # fmt: skip
    (claim,) = _told([there, here])
    assert claim.where.address == PEER
    assert len(claim.rows) == 2


def test_what_became_slow_is_compared_with_what_was_usual() -> None:
    host = WatchedHost()
    for _ in range(20):
        host.more(tcp_rtt=[_connection(1, 20_000, 20_000)])
    assert not trips(host.facts).claims
    host.more(tcp_rtt=[_connection(1, 400_000, 20_000)])
    (claim,) = trips(host.facts).claims
    assert (claim.usual, claim.since) == (20_000, host.facts.wall)


@pytest.mark.parametrize(
    ("again", "severity"), [(1, None), (3, Gravity.NOTICE), (10, Gravity.ALARM)]
)
def test_loss_is_a_share_of_the_segments_sent(again: int, severity: Gravity | None) -> None:
    told = _told([_connection(1, 20_000, 19_000, samples=50, retransmits=again)], ticks=6)
    assert [claim.severity for claim in told] == ([] if severity is None else [severity])
    for claim in told:
        assert claim.share == pytest.approx(again / 100, rel=0.1)
        assert claim.id == f"tcp-rtt/{PEER}/retransmits"


def _lossy(again: int, since_boot: float) -> list[Claim]:
    """What is claimed of a lossy peer, on a host that has sent this share again since boot."""
    host = WatchedHost()
    counted = {"TcpOutSegs": 10_000_000, "TcpRetransSegs": int(10_000_000 * since_boot)}
    counters: list[dict[str, Value]] = [
        {"counter": name, "events": n, "age": 10**15, "since": "boot"}
        for name, n in counted.items()
    ]
    for _ in range(6):
        rows = [_connection(1, 20_000, 19_000, samples=50, retransmits=again)]
        host.more(tcp_rtt=rows, net_counters=counters)
    return list(trips(host.facts).claims)


def test_a_little_loss_that_was_so_since_boot_is_not_told() -> None:
    assert not _lossy(3, since_boot=0.02)
    (claim,) = _lossy(3, since_boot=0.002)
    assert claim.severity is Gravity.NOTICE
    assert claim.evidence[-1].text == "0.20% of all segments since boot"


def test_much_loss_is_an_alarm_also_where_it_was_so_since_boot() -> None:
    (claim,) = _lossy(10, since_boot=0.1)
    assert claim.severity is Gravity.ALARM


def test_syns_that_are_sent_again_are_no_loss_on_the_way() -> None:
    """Of connections that begin: nothing was sent yet."""
    host = WatchedHost()
    for tick in range(5):
        rows = [_connection(10 * tick + n, 0, 0, samples=0, retransmits=2) for n in range(9)]
        host.tick(tcp_rtt=rows)
    assert not trips(host.facts).claims
