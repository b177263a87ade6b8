"""Evidence on connects: who, how, since when they wait, and drops at the port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from probes import units
from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Evidence, Who
from probes.analysis.cases.detectors.connects.figures import HOOK
from probes.analysis.cases.detectors.connects.groups import CALLERS, ROWS, Group
from probes.analysis.cases.detectors.connects.harm import Measured
from probes.analysis.cases.detectors.connects.ways import HANGS, WAYS, errnos
from probes.analysis.cases.drops_by_port import are_known, dropped_to
from probes.analysis.facts import Facts
from probes.analysis.many import SomeRows, places_with, rows_of
from probes.columns.lexicon import Lexicon
from probes.model import Value
from probes.units import DASH

_LEXICON = Lexicon()


def evidence_of(
    facts: Facts, a: Attempts, group: Group, m: Measured, who: Sequence[Who]
) -> Iterator[Evidence]:
    """Yield what was counted of a group that fails or hangs."""
    number = len(who) if group.number > 1 or len(who) < CALLERS else len(group.bad)
    yield from _rates_of_callers(who, number)
    some = sorted(((rate, way) for way, rate in m.ways.items() if rate), reverse=True)
    for rate, way in some[:2]:
        errors = ", ".join(errnos(a, group)) if way in ("unreachable", "other") else ""
        text = f"{WAYS[way]} {units.count(rate)}/s"
        if way == "unreachable":  # a lost route's case is named by its drops, which know no peer
            text = f"{group.named} {text}"
        yield Evidence(HOOK, f"{text} ({errors})" if errors else text, rate)
    if m.late:
        oldest = units.duration(m.oldest * 1e9)
        waiting = "1 is waiting" if m.pending == 1 else f"{m.pending} are waiting"
        first = f"for {oldest}" if m.pending == 1 else f"the oldest for {oldest}"
        yield Evidence(HOOK, f"{waiting}, {first}", float(m.pending))
    unheard = m.way in (HANGS, "timed_out", "gave_up") and group.port is not None
    ways = _ways_out(a, group)
    if unheard and are_known(facts) and not dropped_to(facts, "tcp", group.port):
        leave = f"; SYNs leave by {', '.join(ways)}" if ways else ""
        text = f"no packet to port {group.port} is dropped on this host{leave}"
        yield Evidence("drops", text, 0.0)
    elif ways:
        yield Evidence(HOOK, f"SYNs leave by {', '.join(ways)}", float(len(ways)))
    yield from round_trip(facts, group.address)


def _ways_out(a: Attempts, group: Group) -> list[str]:
    """Return the interfaces by which SYNs leave that nobody answers."""
    if "via" not in a.snapshot.hook.places.names:  # an older recording
        return []
    found = a.values("via", group.bad[:ROWS].tolist())
    return sorted({str(way) for way in found if way and way != DASH})


def _rates_of_callers(who: Sequence[Who], number: int) -> Iterator[Evidence]:
    """Tell how much the first of several do. number: of all."""
    if len(who) > 1 and who[1].rate:
        names = [f"{units.process(one.comm, one.pid)} {units.count(one.rate)}/s" for one in who[:2]]
        more = f" +{number - 2}" if number > 2 else ""
        yield Evidence(HOOK, ", ".join(names) + more)


def round_trip(facts: Facts, address: Value) -> Iterator[Evidence]:
    """Tell the round trip of connections to the same peer that are open."""
    if address is None:
        return
    rows = rows_of(facts, "tcp-rtt")
    places = places_with(rows, _LEXICON, {"raddr": [address]}) if len(rows) else []
    if places:
        trips = sorted(SomeRows(rows, places[:64], _LEXICON).numbers("srtt_us"))
        middle = trips[len(trips) // 2]
        if middle:
            text = f"open connections there: round trip {units.duration(middle * 1000)}"
            yield Evidence("tcp-rtt", text, middle)
