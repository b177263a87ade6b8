"""Name servers that do not answer in time, and look-ups that fail."""

from __future__ import annotations

from collections.abc import Mapping

from probes.analysis.cases.attempts import LATELY
from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.detectors.lookups import DETECTOR
from probes.model import Value
from tests.support.watched_host import WatchedHost


def _asked(seen: int, late: int, **known: Value) -> Mapping[str, Value]:
    named: dict[str, Value] = {"pid": 7, "comm": "webapp", "server": "198.51.100.53"}
    return {**named, "seen": seen, "late": late, "waiting": late, "oldest_ns": 1.2e9, **known}


def _host(hook: str, row: Mapping[str, Value], ticks: int = 2) -> WatchedHost:
    host = WatchedHost(hook.replace("_", "-"))
    for _ in range(ticks):
        host.more(**{hook: [row]})
    return host


def test_a_server_that_lets_queries_wait_is_an_alarm() -> None:
    (claim,) = DETECTOR.claims(_host("name_servers", _asked(12, 12)).facts)
    assert (claim.id, claim.severity) == ("dns/198.51.100.53", Gravity.ALARM)
    assert claim.what == "name server 198.51.100.53: no answer in time"
    assert (claim.share, claim.of) == (1.0, "queries under way")
    assert [(who.comm, who.pid) for who in claim.who] == [("webapp", 7)]
    assert claim.evidence[1].text == "12 wait, one of them for 1.2s or longer"


def test_a_query_that_waits_now_and_then_is_none() -> None:
    assert not DETECTOR.claims(_host("name_servers", _asked(0, 0)).facts)
    assert not DETECTOR.claims(_host("name_servers", _asked(40, 2)).facts)
    (claim,) = DETECTOR.claims(_host("name_servers", _asked(10, 2)).facts)
    assert claim.severity is Gravity.NOTICE


def test_it_ends_some_seconds_after_the_last_query_that_waits() -> None:
    """Look-ups come in bursts."""
    host = _host("name_servers", _asked(3, 3), ticks=12)
    for second in range(LATELY):
        host.more(name_servers=[_asked(0, 0, oldest_ns=None)])
        assert bool(DETECTOR.claims(host.facts)) == (second < LATELY - 1)


def test_look_ups_fail_where_dns_is_attached() -> None:
    """That there is no such name is an answer."""
    row = {"pid": 7, "comm": "webapp", "host": "db.internal", "lookups": 12, "failed": 12}
    assert not DETECTOR.claims(_host("dns", {**row, "error": "NONAME"}).facts)
    (claim,) = DETECTOR.claims(_host("dns", {**row, "error": "AGAIN"}).facts)
    assert (claim.id, claim.severity) == ("dns/webapp", Gravity.ALARM)
    assert claim.what == "look-ups of db.internal fail: AGAIN"
    assert (claim.share, claim.of) == (1.0, "look-ups by webapp")
