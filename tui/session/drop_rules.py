"""Drop rules on the screen: sentences about them, and the banner."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

from probes.analysis.cases.words import percent
from probes.analysis.hit_rates import Dropping as Dropping
from probes.analysis.hit_rates import Hits as Hits
from probes.analysis.hit_rates import Identity as Identity
from probes.analysis.hit_rates import share_of
from probes.analysis.snapshot_row import SnapshotRow
from probes.drop_rule import DropRule, RuleError, parse, protocol_name
from probes.units import count
from tui.table.fields import label
from tui.table.lines import Line, Span, fit, line, width_of


class Offer(NamedTuple):
    """A suggestion of what to drop. texts: rules, the narrowest first; "" for the user to write."""

    interface: str
    texts: tuple[str, ...] = ()


def lasting(seconds: float) -> str:
    """Format a time to live: 41s, 9m41s, 10m, 1h05m."""
    left = max(int(seconds + 0.5), 0)
    hours, minutes, rest = left // 3600, left // 60 % 60, left % 60
    if hours:
        return f"{hours}h{minutes:02}m" if minutes else f"{hours}h"
    if minutes:
        return f"{minutes}m{rest:02}s" if rest else f"{minutes}m"
    return f"{rest}s"


def matched(rule: DropRule) -> str:
    """Describe what the rule matches: "every UDP packet from 192.0.2.7 to port 53"."""
    words = ["every"]
    if rule.protocol is not None:
        name = protocol_name(rule.protocol)
        words.append(f"protocol {name}" if name.isdecimal() else name.upper())
    words.append("packet")
    if rule.source is not None:
        single = rule.source.prefixlen == rule.source.max_prefixlen
        words.append(f"from {rule.source.network_address if single else rule.source}")
    if rule.port is not None:
        words.append(f"to port {rule.port}")
    return " ".join(words)


def covers(rule: DropRule, row: SnapshotRow) -> bool:
    """Return whether the rule drops what this row of the hook `sources` counts."""
    if rule.protocol is not None and protocol_name(rule.protocol) != row["protocol"]:
        return False
    if rule.port is not None and rule.port != row["dport"]:
        return False
    if rule.source is None:
        return True
    try:
        return ip_address(str(row["saddr"])) in rule.source
    except ValueError:  # a MAC address
        return False


ANYWHERE = "at XDP (native, else generic), else at TC ingress"


def sentence(rule: DropRule, interface: str, where: str = ANYWHERE) -> str:
    """Say exactly what will be dropped, where and for how long."""
    what = f"{matched(rule)} that arrives on {label(interface)}"
    return f"drop {what}, {label(where)}, for {lasting(rule.ttl)}"


def confirmation(rule: DropRule, interface: str, where: str, cautions: Sequence[str] | None) -> str:
    """Return the question before a rule is added. cautions: None while they are being checked."""
    said = sentence(rule, interface, where)
    text = f"{said[0].upper()}{said[1:]}?"
    if cautions is None:
        return f"{text}  (looking for your own connection...  N: no)"
    careful = "".join(f" CAUTION: {label(c)}." for c in cautions)
    return f"{text}{careful}  (y: yes, N: no)"


def reading(text: str, interface: str, where: str = ANYWHERE) -> Span:
    """Explain a rule that is being written; or say what is wrong with it, as "bad"."""
    try:
        return f"= {sentence(parse(text), interface, where)}", "muted"
    except RuleError as wrong:
        return label(f"! {wrong}"), "bad"


_MIN_WHAT = 4
"""Cells for what a rule drops, at least."""


def banner(
    dropping: Sequence[Dropping], width: int, most: int, links: Sequence[SnapshotRow] = ()
) -> list[Line]:
    """Return a line for each rule, newest first; rules without space are counted.

    links: rows of the interfaces, which tell what a rate is a share of.
    """
    newest = list(reversed(dropping))
    shown = newest if len(newest) <= most else newest[: max(most, 1)]
    more = len(newest) - len(shown)
    return [
        _line(d, width, more if d is shown[-1] else 0, _share(share_of(d, links))) for d in shown
    ]


def _share(share: float | None) -> str:
    return "" if share is None else f" {percent(share):>4} of RX"


def _line(d: Dropping, width: int, more: int, share: str) -> Line:
    e = d.enforced
    head = " DROPPING " if e.rung else " NOT DROPPING "
    what = label(f"{e.interface}: {e.rule.what}")
    room = width - width_of(head)
    tail = _figures(d, room - width_of(what), more, share)  # the share, if the rule stays whole
    if not share or share not in tail:
        tail = _figures(d, room - _MIN_WHAT, more, "")
    space = max(room - sum(map(width_of, tail)), _MIN_WHAT)
    for extra in (f"  {label(d.place)}", "  L: list"):
        if width_of(what) + width_of(extra) <= space:
            what += extra
    return line(head, fit(what, space), *tail, ground="banner")


def _figures(d: Dropping, space: int, more: int, share: str) -> list[str]:
    """Return what the rule has dropped, and the time it has left: that alone if space is short.

    share: of the packets that come, in words.

    A number is whole, or it is not there.
    """
    e = d.enforced
    hits, rate = f" {count(e.packets):>5} hits", f" {count(d.per_s):>5}/s"
    left, others = f" {lasting(e.expires_in):>6} left", f" (+{more})" if more else ""
    for figures in (
        [hits, rate, share, left, others, " "],
        [hits, rate, left, others, " "],
        [hits, left, others, " "],
        [left, others],
    ):
        if sum(map(width_of, figures)) <= space:
            return figures
    return [left]
