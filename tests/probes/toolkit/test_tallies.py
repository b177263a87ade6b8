"""Counts that are kept in this process: bounded, and no sum goes back."""

from __future__ import annotations

from probes.toolkit.tallies import Tallies


def test_what_has_no_room_is_among_the_others() -> None:
    tallies: Tallies[int] = Tallies(3)
    for key in range(20):
        tallies.add(key, {"calls": 1, "failed": key % 2})
        tallies.add(0, {"calls": 1})
        kept = dict(tallies.rows())
        assert len(kept) <= 3
        assert 0 in kept, "what is counted stays"
        assert sum(c["calls"] for c in kept.values()) + tallies.others["calls"] == 2 * key + 2
    assert tallies.others == {"calls": 17, "failed": 9}
