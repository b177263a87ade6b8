"""What was lost at each stage of an interface's packet path over time.

The funnel's rules once more, for values over time: which counters have the same packets. Readings
of hooks differ by some packets, so the rest of a counter is told only where it is more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from probes.analysis.drop_stages import ANYWHERE, RECEIVING, UNTOLD
from probes.analysis.freed_at import IN_RX_DROPPED
from probes.analysis.funnel import COUNT_XDP_DROPS
from probes.analysis.history import Figure
from tui.panes.interfaces.figures import (
    ASTRAY,
    FREED_AT,
    MISSED,
    PACKETS_IN,
    QUEUED,
    RX_DROPPED,
    RX_ERRORS,
    TC_DROPS,
    TX_DROPPED,
    TX_ERRORS,
    XDP,
    sum_known,
)
from tui.session.view import View
from tui.table.fields import TableRow

Columns = Sequence[float | None]
"""Packets a second in each column of time, the oldest first; None: not known."""
_DOUBT, _LEAST_DOUBT = 0.1, 1.0
"""The share of a counter by which another may differ from it, and packets a second."""


def stage_history(
    view: View, record: TableRow, seconds: float, number: int
) -> Mapping[str, Columns]:
    """Return what was lost at each stage in the last seconds, in so many columns."""
    return _Histories(view, record, seconds, number).stages()


def lost_history(view: View, record: TableRow, seconds: float, number: int) -> Columns:
    """Return the same of all stages together."""
    return all_stages(stage_history(view, record, seconds, number))


def all_stages(past: Mapping[str, Columns]) -> Columns:
    """Return the sums of what was lost at each stage."""
    return _each(sum_known, *past.values()) if past else ()


class _Histories:
    """The figures of one interface in columns."""

    def __init__(self, view: View, record: TableRow, seconds: float, number: int) -> None:
        self._view, self._record = view, record
        self._seconds, self._number = seconds, number
        self._queues = [
            row.key
            for row in view.rows("qdiscs")
            if row.stored["interface"] == record.name
            and row.stored["parent"] == "root"
            and row.stored["kind"] != "noqueue"
        ]
        """The keys of the root qdiscs that are queues: without one the device drops."""

    def stages(self) -> Mapping[str, Columns]:
        """Return what was lost at each stage."""
        freed, astray, receiving = self._freed, self._astray(), self._freed(RECEIVING)
        rx_dropped, tx_dropped = self._row(RX_DROPPED), self._row(TX_DROPPED)
        by_xdp = _each(_most, freed("xdp"), self._of(XDP, self._record.name))
        untaken = _each(_least, receiving, rx_dropped)  # by any protocol: the link counts them
        device = _each(_rest, rx_dropped, self._in_rx_dropped(by_xdp, untaken))
        stages = {
            "nic": _each(sum_known, freed("nic"), self._row(MISSED), self._row(RX_ERRORS), device),
            "xdp": _each(sum_known, by_xdp, *astray.values()),
            "tc-ingress": self._at_tc("ingress", _each(_less, receiving, untaken)),
            "stack": _each(sum_known, freed("stack"), untaken),
            "socket": freed("socket"),
            UNTOLD: _each(sum_known, freed(UNTOLD), freed(ANYWHERE)),
            "tc-egress": self._at_tc("egress", (), () if self._queues else tx_dropped),
            "qdisc": _each(_most, freed("qdisc"), self._queue()),
            "wire": self._wire(tx_dropped, astray["tx"]),
        }
        return {name: self._or_zero(columns) for name, columns in stages.items()}

    def _or_zero(self, columns: Columns) -> Columns:
        """Return zeros for a stage at which nothing was ever lost while the link was read."""
        if any(value is not None for value in columns):
            return columns
        return [value and 0.0 for value in self._row(PACKETS_IN)]

    def _in_rx_dropped(self, by_xdp: Columns, untaken: Columns) -> Columns:
        """Return what rx_dropped has of what is lost elsewhere."""
        known = [self._freed(IN_RX_DROPPED), untaken]
        if COUNT_XDP_DROPS & {self._text("kind"), self._text("driver")}:
            known.append(by_xdp)
        if self._text("kind") == "veth":
            known.append(self._of(ASTRAY, (self._record.name, "redirect")))
        return _each(sum_known, *known)

    def _at_tc(self, direction: str, more: Columns, others: Columns = ()) -> Columns:
        """Return what is lost at TC. more: what is, too; others: what is freed there for others."""
        freed = self._freed(f"tc-{direction}")
        freed = _each(_less, freed, others) if others else freed
        by_programs = self._of(TC_DROPS, (self._record.name, direction))
        lost = _each(_most, freed, by_programs)
        return _each(sum_known, lost, more) if more else lost

    def _wire(self, dropped: Columns, sent_back: Columns) -> Columns:
        if self._text("kind") == "veth":  # it counts as its own what XDP could not send back
            dropped = _each(_rest, dropped, sent_back)
        lost = _each(_most, self._freed("wire"), dropped)
        return _each(sum_known, lost, self._row(TX_ERRORS))

    def _queue(self) -> Columns:
        """Return what the root qdisc dropped, with the queues below it."""
        return self._of(QUEUED, self._queues[0]) if self._queues else [None] * self._number

    def _astray(self) -> Mapping[str, Columns]:
        """Return what XDP could not send back, or to where it was redirected."""
        name = self._record.name
        return {answer: self._of(ASTRAY, (name, answer)) for answer in ASTRAY.parts}

    def _freed(self, place: str) -> Columns:
        return self._of(FREED_AT, (self._record.name, place))

    def _row(self, figure: Figure) -> Columns:
        return self._of(figure, self._record.key)

    def _of(self, figure: Figure, key: Hashable) -> Columns:
        return self._view.curve(figure, key, self._seconds, self._number).columns

    def _text(self, name: str) -> str:
        return str(self._record.values.get(name))


def _each(take: Callable[..., float | None], *columns: Columns) -> Columns:
    return [take(*values) for values in zip(*columns, strict=True)]


def _most(*values: float | None) -> float | None:
    return max([v for v in values if v is not None], default=None)


def _least(one: float | None, other: float | None) -> float | None:
    return None if one is None else min(one, other or 0.0)


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None else max(one - (other or 0.0), 0.0)


def _rest(counter: float | None, known: float | None) -> float | None:
    """Return what a counter has beyond packets that are known; zero where that is in doubt."""
    rest = _less(counter, known)
    if rest is None or not known:
        return rest
    return rest if rest > max(_DOUBT * known, _LEAST_DOUBT) else 0.0
