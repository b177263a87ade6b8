"""Recent drops by port: whether this host dropped packets to it."""

from __future__ import annotations

from collections.abc import Mapping

from probes.analysis.facts import Facts
from probes.analysis.many import SomeRows, places_with, rows_of
from probes.columns.lexicon import Lexicon
from probes.model import State, Value

_LEXICON = Lexicon()


def are_known(facts: Facts) -> bool:
    """Whether drops are counted by port."""
    return any(
        s.status.state is State.ATTACHED and s.status.rung != "counters" for s in facts.of("drops")
    )


def dropped_to(facts: Facts, protocol: str, port: Value) -> bool:
    """Whether packets to a port were dropped in the last seconds. protocol: tcp, udp."""
    rows = rows_of(facts, "drops")
    wanted: Mapping[str, list[Value]] = {"dport": [port], "protocol": [protocol]}
    places = places_with(rows, _LEXICON, wanted) if len(rows) else []
    if not places:
        return False
    window = facts.of("drops")[0].window
    if window is None:
        return any(SomeRows(rows, places, _LEXICON).numbers("packets"))
    at = facts.of("drops")[0].hook.places.names.index("packets")
    for place in places[:64]:
        row = rows[place]
        was = window.rows.get(row.key)
        before = was[at] if was is not None else 0
        if row.number("packets") > (before if isinstance(before, int | float) else 0):
            return True
    return False
