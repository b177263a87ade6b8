"""Findings in words, the same on the screen, in text and in alerts."""

from __future__ import annotations

import time
from collections.abc import Iterable

from probes import units
from probes.analysis.cases.claim import Who
from probes.analysis.cases.finding import Finding, Progress
from probes.analysis.cases.log import Turn
from probes.analysis.since_boot import rate
from probes.model import ProcessFacts, Status
from probes.units import Unit

_TIMES = frozenset({Unit.NS, Unit.US})
MOST_TIMES = 999.5
MOST_COUNTED = 4
"""Pieces of evidence that a line names."""


def amount(value: float | None, unit: Unit) -> str:
    """Format a claim's number: a time, or something a second."""
    if value is None:
        return units.DASH
    text = units.show(value, unit)
    return text if unit in _TIMES or unit is Unit.PERCENT else f"{text}/s"


def share(finding: Finding) -> str:
    """Return "38%", or how many times the usual it is, or ""."""
    if finding.case.share is not None:
        return percent(finding.case.share)
    return times(finding.times)


def percent(part: float) -> str:
    """Return a share as people say it: "38%", "2.4%", "0.04%". part: of 1."""
    return units.percent(100 * part) if part < 0.0995 else f"{100 * part:.0f}%"


def times(factor: float | None) -> str:
    """Return "38x", or "" if it is not known."""
    if factor is None:
        return ""
    return ">999x" if factor >= MOST_TIMES else f"{factor:.{factor < 9.95:d}f}x"


def when(finding: Finding, now: float) -> str:
    """Return since when it is so, or when it was. now: Unix seconds."""
    begun = finding.since
    if finding.state is Progress.OVER and finding.until is not None:
        first = finding.watched if begun is None else begun
        return f"{clock(first)}-{clock(finding.until)}, {_seconds(max(finding.until - first, 1))}"
    if begun is None:
        return f"since before {clock(finding.watched)}"
    return f"since {clock(begun)}, {ago(begun, now)}"


def began(finding: Finding, now: float) -> str:
    """Return when it began, for a column: "00:00:24  26 s ago", or from when to when it was."""
    begun = finding.since
    if finding.state is Progress.OVER:
        return when(finding, now)
    if begun is None:
        return f"before {clock(finding.watched)}"
    return f"{clock(begun)}  {ago(begun, now)}"


def ago(wall: float, now: float) -> str:
    """Return "26 s ago". Both: Unix seconds."""
    return f"{_seconds(now - wall)} ago"


def briefly(finding: Finding) -> str:
    """Return the same in fewer words."""
    begun = finding.watched if finding.since is None else finding.since
    if finding.state is Progress.OVER and finding.until is not None:
        return f"{clock(begun)}-{clock(finding.until)}"
    return clock(begun) if finding.since is not None else f"before {clock(begun)}"


def eased(finding: Finding) -> str:
    """Return what an easing case was at most, and is at this moment: "was 38x, now 1.1x"."""
    unit, usual = finding.case.head.unit, finding.usual
    if usual and finding.now is not None:
        return f"was {times(finding.peak / usual)}, now {times(finding.now / usual)}"
    now = "" if finding.now is None else f", now {amount(finding.now, unit)}"
    return f"was {amount(finding.peak, unit)}{now}"


def _seconds(seconds: float) -> str:
    whole = max(int(seconds + 0.5), 0)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"


def usual(finding: Finding) -> str:
    """Return the usual value, and whether it is an average since boot; "" if it is not known."""
    value, head = finding.usual, finding.case.head
    if value is None:
        return ""
    if not head.since_boot:
        return amount(value, head.unit)
    most = "at most " if head.usual_together and value else ""
    return f"{most}{rate(value)} since boot"


def calm(watched: float, unknown_for: float, counters: str = "") -> str:
    """Say that nothing is wrong, and no more than is known.

    watched: seconds. unknown_for: seconds until usual values are known; 0: they are. counters: a
    sentence on their average since boot.
    """
    if unknown_for <= 0:
        return "ok: nothing is unusual here"
    known = f"usual values are known in {_seconds(max(unknown_for, 1))}"
    said = [f"watching for {_seconds(watched)}: nothing is failing outright", known, counters]
    return "; ".join(filter(None, said))


def calm_after(watched: float, unknown_for: float, counters: str = "") -> str:
    """Say the same when the watch has ended."""
    if unknown_for <= 0:
        return f"nothing is wrong: watched {_seconds(watched)}, and nothing was unusual"
    known = f"usual values are known after {_seconds(max(unknown_for, 1))} more"
    return "; ".join(
        filter(None, (f"nothing is wrong: watched {_seconds(watched)}", known, counters))
    )


def hidden(ordinary: int) -> str:
    """Say how many cases are ordinary here; "" if none is."""
    if not ordinary:
        return ""
    return f"{ordinary} more {'is' if ordinary == 1 else 'are'} ordinary here"


def ordinary(number: int) -> str:
    """Return what follows a verdict: "; 1 ordinary", or ""."""
    return f"; {number} ordinary" if number else ""


def unread(status: Status) -> str:
    """Say that a hook is not read, and why."""
    why = status.refused[-1].why if status.refused else status.note
    return f"{status.id} is not read{f': {why}' if why else ''}"


def passive(status: Status) -> str:
    """Say that a hook has its passive numbers alone, and why."""
    why = status.refused[-1].why if status.refused else ""
    return f"{status.id} has passive numbers only ({status.rung}){f': {why}' if why else ''}"


def knob(name: str, value: str | None) -> str:
    """Return "net.core.rmem_max is 212992", or how it is asked for."""
    return f"sysctl {name}" if value is None else f"{name} is {value}"


def clock(wall: float) -> str:
    """Return the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(wall))


def turn(one: Turn) -> str:
    """Return what began, eased or was over: "eth1 drops packets: over after 72 s"."""
    if one.state is Progress.NOW:
        return one.what
    if one.state is Progress.EASING:
        return f"{one.what}: easing"
    return f"{one.what}: over after {_seconds(max(one.seconds, 1))}"


def name(who: Who) -> str:
    """Return "checkout[2311]", "xdp_filter#412", or the rule."""
    if who.program is not None:
        return who.program
    if who.rule is not None:
        return f"rule {who.rule}"
    if not who.pid:  # 0: of another PID namespace
        return who.comm or units.DASH
    return units.process(who.comm, who.pid)


def owned(who: Who) -> str:
    """Return the same, with the container: "checkout[2311] in shop/cart/app"."""
    return f"{name(who)} in {who.container}" if who.container else name(who)


def process(who: Who, facts: ProcessFacts, now: float) -> str:
    """Return "nginx[1184]: nginx: worker process; user www-data; for 3 h"."""
    user = f"; user {facts.user}" if facts.user else ""
    return f"{name(who)}: {facts.command}{user}; for {_seconds(now - facts.started)}"


def names(finding: Finding, most: int = 2) -> str:
    """Name those who take part, and count the others."""
    return listed(finding.case.who, most)


def listed(who: Iterable[Who], most: int) -> str:
    """Name so many of them, and count the others."""
    every = list(dict.fromkeys(map(owned, who)))
    more = f" +{len(every) - most}" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def evidence(finding: Finding) -> str:
    """Return what was counted, in one line: the first few, and how many more there are."""
    every = list(dict.fromkeys(e.text.rstrip(".") for e in finding.case.evidence if e.text))
    more = [f"and {len(every) - MOST_COUNTED} more"] if len(every) > MOST_COUNTED else []
    return "; ".join(every[:MOST_COUNTED] + more)


def line(finding: Finding, now: float) -> str:
    """Return a finding in one line. now: Unix seconds."""
    head = finding.case.head
    said = [head.what]
    if part := share(finding):
        of = f" of {finding.case.of}" if finding.case.share is not None and finding.case.of else ""
        boot = " since boot" if head.since_boot else ""
        least = "at least " if boot and head.usual_together else ""
        said.append(f"{part}{of}" if of else f"{least}{part} the usual{boot}")
    if finding.state is Progress.NOW:
        said.append(amount(finding.now, head.unit))
    elif finding.state is Progress.EASING:
        said.append(eased(finding))
    return f"{', '.join(said)}, {when(finding, now)}"
