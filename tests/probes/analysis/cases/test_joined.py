"""Claims of one cause are one case; what comes first is what harms most."""

from __future__ import annotations

from dataclasses import replace

from probes.analysis.cases.claim import Claim, Gravity, Where, Who
from probes.analysis.cases.joined import joined
from probes.units import Unit

FIREWALL = Claim(
    "drops/eth1", Gravity.ALARM, "eth1 drops packets", 40.0, Unit.PACKETS, "interfaces",
    share=1.0, of="packets to tcp:8080", struck=40, depth=3,
    ties=frozenset({("port", "tcp", 8080)}),
)  # fmt: skip
CONNECTS = Claim(
    "tcp-connect/a:8080", Gravity.ALARM, "a:8080 does not answer", 50.0, Unit.COUNT, "connects",
    struck=50, who=(Who("caller", 7),), since=5.0,
    ties=frozenset({("port", "tcp", 8080), ("errno", "connect", "ETIMEDOUT")}), depth=1,
)  # fmt: skip
CALLS = Claim(
    "syscalls/connect/ETIMEDOUT", Gravity.NOTICE, "connect fails", 50.0, Unit.COUNT, "syscalls",
    ties=frozenset({("errno", "connect", "ETIMEDOUT")}), who=(Who("caller", 7),),
)  # fmt: skip


def test_what_has_a_tie_in_common_is_one_case_also_by_a_third() -> None:
    """The deepest names it; what follows from it adds who takes part and since when."""
    (case,) = joined([CALLS, FIREWALL, CONNECTS])
    assert case.head is FIREWALL
    assert case.others == (CONNECTS, CALLS)
    assert (case.severity, case.share, case.since) == (Gravity.ALARM, 1.0, 5.0)
    assert case.who == (Who("caller", 7),)


def test_what_has_nothing_in_common_stays_apart() -> None:
    assert len(joined([FIREWALL, CALLS])) == 2


def test_the_order_is_by_harm() -> None:
    """Own doing, other namespaces and notices come after what harms this host."""
    apart = [
        replace(claim, ties=frozenset())
        for claim in (
            replace(FIREWALL, id="own", own=True, struck=1e6),
            replace(FIREWALL, id="notice", severity=Gravity.NOTICE, struck=1e6),
            replace(FIREWALL, id="elsewhere", where=Where(netns="5"), struck=1e6),
            replace(FIREWALL, id="a part", share=0.1, struck=100),
            replace(FIREWALL, id="all", share=1.0, struck=50),
        )
    ]
    assert [case.head.id for case in joined(apart)] == [
        "all",
        "a part",
        "elsewhere",
        "own",
        "notice",
    ]
