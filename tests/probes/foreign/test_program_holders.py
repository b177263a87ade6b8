"""Holders of programs in words."""

from __future__ import annotations

from probes.foreign.program_holders import MOST_HOLDERS, ProgramHolders


def test_many_are_counted() -> None:
    held = ProgramHolders()
    held._found = {7: tuple(f"acme({n})" for n in range(MOST_HOLDERS + 2))}
    assert held.of(7) == "acme(0), acme(1), acme(2), acme(3), and 2 more"
    assert held.of(8) is None
