"""Connects: by destination and by who scans; what fails, what hangs, and what is nobody's harm."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

from probes.analysis.cases.attempts import LATELY
from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors.connects import DETECTOR
from probes.model import Value
from tests.support.watched_host import WatchedHost

A_SECOND = 1_000_000_000


def _row(port: int, pid: int = 7, **known: Value) -> Mapping[str, Value]:
    failed = sum(n for way, n in known.items() if way in WAYS and isinstance(n, int))
    named: dict[str, Value] = {"pid": pid, "comm": "caller", "raddr": "10.0.0.5", "rport": port}
    return {**named, "pending": 0, "late": 0, "failed": failed, **known}


WAYS = ("refused", "unreachable", "timed_out", "gave_up", "no_port", "other")


def _told(*rows: Mapping[str, Value], ticks: int = 2) -> Sequence[Claim]:
    """What is claimed when these rows have counted so much in each of some seconds."""
    host = WatchedHost("tcp-connect")
    for _ in range(ticks):
        host.more(tcp_connect=rows)
    return DETECTOR.claims(host.facts)


def test_a_destination_that_refuses_is_an_alarm_with_its_share() -> None:
    (claim,) = _told(
        _row(5432, connects=20, refused=15, established=5, errno=errno.ECONNREFUSED),
        _row(5432, 8, connects=10, refused=5, established=5, errno=errno.ECONNREFUSED),
        _row(80, connects=50, established=50),
    )
    assert (claim.id, claim.severity) == ("tcp-connect/10.0.0.5:5432", Gravity.ALARM)
    assert claim.what == "10.0.0.5:5432: refused"
    assert (claim.share, claim.of, claim.now) == (20 / 30, "connects", 20)
    assert [(who.comm, who.pid, who.rate) for who in claim.who] == [
        ("caller", 7, 15),
        ("caller", 8, 5),
    ]
    assert claim.ties == {("peer", "10.0.0.5"), ("errno", "connect", "ECONNREFUSED")}
    assert claim.since is None, "it was so from the first reading on"


def test_what_fails_rarely_is_a_notice_and_a_hundredth_is_nothing() -> None:
    (claim,) = _told(_row(80, connects=100, established=95, timed_out=5))
    assert claim.severity is Gravity.NOTICE
    assert not _told(_row(80, connects=1000, established=995, timed_out=5))
    (claim,) = _told(_row(80, connects=1, refused=1), ticks=2)
    assert claim.severity is Gravity.NOTICE, "as a health check does"


def test_few_refusals_have_to_last() -> None:
    """A service that starts again is none; one that is down is, be it asked for seldom."""
    host = WatchedHost("tcp-connect")
    said: list[Gravity] = []
    for second in range(40):
        refused = {"connects": 1, "refused": 1} if second % 2 else {}
        host.more(tcp_connect=[_row(80, **refused)])
        said += [claim.severity for claim in DETECTOR.claims(host.facts)][:1]
    assert said[10:20] == [Gravity.NOTICE] * 10
    assert said[-1] is Gravity.ALARM
    (claim,) = _told(_row(80, connects=2, refused=2), ticks=3)
    assert claim.severity is Gravity.ALARM


def test_how_long_refusals_last_is_told_by_seconds_not_by_readings() -> None:
    host = WatchedHost("tcp-connect")
    said: list[Gravity] = []
    for _ in range(9):
        host.more(5.0, tcp_connect=[_row(80, connects=2, refused=2)])
        said += [claim.severity for claim in DETECTOR.claims(host.facts)]
    assert said[3] is Gravity.NOTICE
    assert said[-1] is Gravity.ALARM


def test_attempts_that_hang_are_an_alarm_by_their_share() -> None:
    hang = {"pending": 31, "late": 16, "oldest_ns": 2.9e9}
    (claim,) = _told(_row(5432, connects=15, **hang))
    assert (claim.severity, claim.what) == (Gravity.ALARM, "10.0.0.5:5432: no answer")
    assert (claim.share, claim.now) == (1.0, 15)
    assert claim.evidence[0].text == "31 are waiting, the oldest for 2.9s"
    (claim,) = _told(_row(5432, connects=115, established=100, **hang))
    assert claim.share is not None
    assert 0.07 < claim.share < 0.09, "16 of those of 1.9 seconds"
    assert claim.severity is Gravity.NOTICE
    host = WatchedHost()
    host.tick(tcp_connect=[_row(443, **hang)])
    (claim,) = DETECTOR.claims(host.facts)
    assert (claim.severity, claim.share) == (Gravity.ALARM, None), "at the first reading"


def test_what_hangs_has_a_past_as_what_fails_has() -> None:
    """In what the claim counts, which has no failure yet."""
    for rows in (
        [_row(5432, connects=15, pending=31, late=16, oldest_ns=2.9e9)],
        [_row(5432, connects=20, refused=15, established=5)],
        [_row(5432, n, connects=1, refused=1) for n in range(200)],
    ):
        host = WatchedHost("tcp-connect")
        for _ in range(4):
            host.more(tcp_connect=rows)
        (claim,) = DETECTOR.claims(host.facts)
        assert claim.figure is not None
        assert host.facts.series(claim.figure, claim.key, 3) == [claim.now] * 3


def test_callers_that_give_up_together_and_try_again_go_on_hanging() -> None:
    """What began before the watch is not counted at its end; what begins then is not late yet."""
    host = WatchedHost("tcp-connect")
    host.more(tcp_connect=[_row(80, pending=40, late=40, oldest_ns=2.5e9)])
    host.more(tcp_connect=[_row(80, pending=40, late=40, oldest_ns=3.5e9)])
    for _ in range(LATELY - 1):
        host.more(tcp_connect=[_row(80, connects=40, pending=40, oldest_ns=0.4e9)])
        (claim,) = DETECTOR.claims(host.facts)
        assert (claim.severity, claim.what) == (Gravity.ALARM, "10.0.0.5:80: no answer")
        assert claim.share == 1.0
        assert claim.now >= 40 / 3, "of the seconds since the watch began"
    host.more(tcp_connect=[_row(80, connects=40, established=40, pending=40, oldest_ns=1e8)])
    assert not DETECTOR.claims(host.facts), "they are answered"


def test_what_is_under_way_is_no_harm_by_itself() -> None:
    assert not _told(_row(80, connects=40, pending=40, oldest_ns=0.4e9), ticks=5)


def test_one_that_waits_alone_is_a_notice() -> None:
    (claim,) = _told(_row(443, connects=0, pending=1, late=1, oldest_ns=A_SECOND * 3))
    assert claim.severity is Gravity.NOTICE
    assert claim.evidence[0].text == "1 is waiting, for 3.0s"


def test_ports_that_a_process_tries_are_one_row() -> None:
    """A scan harms nobody; a few that are hammered do."""
    (claim,) = _told(*(_row(port, connects=1, refused=1) for port in range(1000, 1311)))
    assert (claim.severity, claim.what) == (Gravity.NOTICE, "10.0.0.5, 311 ports: refused")
    assert claim.where.port is None
    (claim,) = _told(*(_row(port, connects=60, refused=60) for port in range(7001, 7006)))
    assert (claim.severity, claim.what) == (Gravity.ALARM, "10.0.0.5, 5 ports: refused")
    assert claim.id == "tcp-connect/10.0.0.5/caller"
    assert (claim.share, claim.now) == (1.0, 300)


def test_addresses_that_a_process_tries_are_one_row() -> None:
    rows = [
        _row(22, raddr=f"10.0.1.{n}", connects=1, pending=1, late=1, oldest_ns=2e9, pid=9)
        for n in range(40)
    ]
    (claim,) = _told(*rows)
    assert (claim.severity, claim.what) == (Gravity.NOTICE, "40 addresses, port 22: no answer")


def test_who_is_answered_by_the_other_family_is_not_told() -> None:
    six = _row(443, raddr="2001:db8::1", connects=3, unreachable=3, errno=errno.ENETUNREACH)
    four = _row(443, connects=3, established=3)
    assert not _told(six, four)
    (claim,) = _told(six)
    assert claim.what == "[2001:db8::1]:443: unreachable"
    assert claim.evidence[0].text == "[2001:db8::1]:443 unreachable 3/s (ENETUNREACH)"
    assert claim.next == ("ip route get 2001:db8::1",)


def test_how_it_fails_is_named() -> None:
    (claim,) = _told(_row(80, connects=9, no_port=9, errno=errno.EADDRNOTAVAIL))
    assert claim.what == "10.0.0.5:80: no local port"
    assert claim.next == ("sysctl net.ipv4.ip_local_port_range",)
    assert ("errno", "connect", "EADDRNOTAVAIL") in claim.ties
    (claim,) = _told(_row(80, connects=9, other=9, errno=errno.EPERM))
    assert claim.what == "10.0.0.5:80: EPERM"


def test_drops_of_the_port_belong_to_it_and_none_is_said() -> None:
    hang = _row(5432, connects=15, pending=31, late=16, oldest_ns=2.9e9)
    drop = {"interface": "eth1", "protocol": "tcp", "packets": 20, "reason": "NETFILTER_DROP"}
    host = WatchedHost("tcp-connect", "drops")
    host.more(tcp_connect=[hang], drops=[{**drop, "dport": 80}])
    host.more(tcp_connect=[hang], drops=[{**drop, "dport": 80}])
    (claim,) = DETECTOR.claims(host.facts)
    assert "no packet to port 5432 is dropped on this host" in [e.text for e in claim.evidence]
    for _ in range(2):
        host.more(tcp_connect=[{**hang, "via": "eth0"}], drops=[{**drop, "dport": 80}])
    (claim,) = DETECTOR.claims(host.facts)
    said = "no packet to port 5432 is dropped on this host; SYNs leave by eth0"
    assert said in [e.text for e in claim.evidence]
    assert ("port", "tcp", 5432) not in claim.ties
    host.more(tcp_connect=[hang], drops=[{**drop, "dport": 5432}])
    (claim,) = DETECTOR.claims(host.facts)
    assert ("port", "tcp", 5432) in claim.ties


def test_an_errno_belongs_to_the_gravest_alone() -> None:
    claims = _told(
        _row(80, connects=9, refused=9), _row(81, raddr="10.0.0.6", connects=5, refused=5)
    )
    assert [("errno", "connect", "ECONNREFUSED") in claim.ties for claim in claims] == [True, False]


def test_it_ends_when_all_are_answered_or_nobody_has_tried_for_a_while() -> None:
    refused = _row(80, connects=9, refused=9)
    host = WatchedHost("tcp-connect")
    for _ in range(3):
        host.more(tcp_connect=[refused])
    for seconds in range(8):
        host.more(tcp_connect=[])
        assert bool(DETECTOR.claims(host.facts)) == (seconds < 3)
    host.more(tcp_connect=[refused])
    assert DETECTOR.claims(host.facts)
    host.more(tcp_connect=[_row(80, connects=9, established=9)])
    assert not DETECTOR.claims(host.facts)


def test_since_when_it_is_so_is_known_if_it_was_not_before() -> None:
    host = WatchedHost("tcp-connect")
    for _ in range(20):
        host.more(tcp_connect=[_row(80, connects=9, established=9)])
    host.more(tcp_connect=[_row(80, connects=9, refused=9)])
    (claim,) = DETECTOR.claims(host.facts)
    assert (claim.since, claim.usual) == (host.facts.wall, 0)


def test_connects_whose_syns_are_sent_again_are_slow() -> None:
    def timed(n: int, bucket: int) -> tuple[int, ...]:
        return tuple([n if place == bucket else 0 for place in range(40)])

    late = _row(80, connects=9, established=9, total_ns=9 * A_SECOND, latency=timed(9, 29))
    (claim,) = _told(late)
    assert (claim.severity, claim.what) == (Gravity.ALARM, "10.0.0.5:80: slow to connect")
    assert (claim.now, claim.share) == (1e9, 1.0)
    quick = _row(80, connects=9, established=9, total_ns=9_000_000, latency=timed(9, 19))
    assert not _told(quick)


def test_how_many_have_failed_since_boot_is_usual_at_the_first_second() -> None:
    """On a host that is up for 100,000 s."""
    host = WatchedHost("tcp-connect")
    for events in (50_000, 16):
        counter: Mapping[str, Value] = {
            "counter": "TcpAttemptFails", "events": events, "age": 10**14, "since": "boot",
        }  # fmt: skip
        host.more(tcp_connect=[_row(80, connects=16, refused=16)], net_counters=[counter])
    (claim,) = DETECTOR.claims(host.facts)
    assert (claim.severity, claim.usual, claim.since_boot) == (Gravity.ALARM, 0.5, True)
    assert (
        claim.evidence[-1].text == "usual: 0.5/s since boot to all destinations (TcpAttemptFails)"
    )
