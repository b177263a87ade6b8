"""Connections that do not move: who does not read, of how many, since when."""

from __future__ import annotations

import pytest

from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.cases.detectors import stalled
from probes.analysis.cases.joined import joined
from probes.model import Value
from tests.support.watched_host import WatchedHost

Values = dict[str, Value]
HERE, THERE = "10.0.0.1", "10.0.0.2"


def _stalled(cookie: int, reader: str, seconds: float = 10, **known: Value) -> Values:
    mine = reader == "process"
    ports: Values = {"lport": 9514, "rport": 40000 + cookie}
    if not mine:
        ports = {"lport": 40000 + cookie, "rport": 9514}
    ends: Values = {"laddr": HERE, "raddr": THERE, **ports}
    who: Values = {"comm": "collectord" if mine else "shipper", "pid": 7 if mine else 8}
    told: Values = {"reader": reader, "age_ns": int(seconds * 1e9), "queued": 1 << 20, "alike": 1}
    return {"cookie": cookie, **ends, **who, **told, **known}


def _claims(*rows: Values) -> list[Claim]:
    host = WatchedHost()
    host.tick(tcp_stalled=rows)
    return list(stalled.DETECTOR.claims(host.facts))


def test_a_process_that_does_not_read_is_told_with_its_port_and_since_when() -> None:
    (claim,) = _claims(_stalled(1, "process"))
    assert claim.what == "collectord does not read port 9514: zero window"
    assert (claim.severity, claim.share, claim.of) == (Gravity.ALARM, 1.0, "its connections")
    assert [who[:2] for who in claim.who] == [("collectord", 7)]
    assert claim.where.port == 9514
    assert claim.evidence[0].text == "1 connection of port 9514 stalled, for 10.0s, 1.0MB unread"
    assert claim.next[0] == "strace -f -p 7"
    assert claim.since == WatchedHost().facts.wall + 1 - 10


def test_a_peer_that_does_not_read_is_told_with_its_probes() -> None:
    (claim,) = _claims(*[_stalled(n, "peer", alike=6, probes=n) for n in (1, 2, 3)])
    assert claim.what == f"{THERE}:9514 does not read: zero window"
    assert (claim.share, claim.now) == (0.5, 10e9)
    assert claim.evidence[1].text == "3 zero window probes in a row"


@pytest.mark.parametrize(
    ("seconds", "alike", "severity"),
    [(0.5, 1, None), (1.5, 1, Gravity.NOTICE), (5, 1, Gravity.ALARM), (5, 40, Gravity.NOTICE)],
)
def test_it_is_as_bad_as_its_share_and_its_age(
    seconds: float, alike: int, severity: Gravity | None
) -> None:
    """Among many readers some are slow, and one that pauses for a moment is no incident."""
    told = [claim.severity for claim in _claims(_stalled(1, "peer", seconds, alike=alike))]
    assert told == ([] if severity is None else [severity])


def test_both_ends_on_this_host_are_one_case_of_who_does_not_read() -> None:
    ours = _stalled(1, "process")
    ends: Values = {"laddr": THERE, "raddr": HERE, "lport": 40001, "rport": 9514}
    (case,) = joined(_claims(ours, {**_stalled(2, "peer"), **ends}))
    assert case.head.who[0].comm == "collectord"
    assert [claim.who[0].comm for claim in case.others] == ["shipper"]
