"""What is remembered of what comes and goes has a bound."""

from __future__ import annotations

from probes.toolkit.bounded import Bounded


def test_the_first_to_come_is_the_first_to_go() -> None:
    known: Bounded[int, str] = Bounded(3)
    for number in range(100):
        known[number] = str(number)
        assert len(known) <= 3
    assert known == {97: "97", 98: "98", 99: "99"}
