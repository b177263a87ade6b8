"""Why the kernel dropped packets of an interface: one line for each reason, the least folded."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from probes import units
from probes.analysis.cases.at_interfaces import at_interfaces
from probes.analysis.cases.claim import Gravity
from probes.analysis.cases.drop_causes import CAUSES, DropPlace, cause_of, said
from probes.analysis.classes import meaning_of
from probes.analysis.freed_here import ReasonHere, reasons_at
from probes.analysis.many import rows_of
from probes.analysis.snapshot_row import SnapshotRow
from tui.session.view import View
from tui.table.fields import SIGNS, label
from tui.table.lines import BLANK, Line, fit, line, wrap
from tui.toolkit.detail import ruled

LEAST_SHARE = 0.01
"""The share of all that is lost from which a reason has a line."""
MAX_REASONS = 12
"""Lines, at most, of those that have one; the others are counted."""
_WIDE = 100


class Here(NamedTuple):
    """A reason in words. said: a clause; named: the reason and its port; whose: who holds it."""

    said: str
    named: str
    port: str
    whose: str
    sentence: str


def here(view: View, interface: str) -> Mapping[str, Here]:
    """Return the reasons of what is lost there in words, by how the packet path names them."""
    found: dict[str, Here] = {}
    for one in _every(view, interface):
        if one.lost:
            found.setdefault(one.why, _in_words(one, interface))
    return found


def _every(view: View, interface: str) -> list[ReasonHere]:
    return reasons_at(rows_of(view, "drops"), interface)


def _in_words(one: ReasonHere, interface: str) -> Here:
    first = one.rows[0]
    service, named = _port(one)
    _, sentence = meaning_of(first.stored)
    cause = cause_of(one.reason, one.function, _number(first))
    protocol, _, port = service.rpartition(":")
    place = DropPlace(interface, "", protocol, int(port) if port.isdigit() else None)
    clause = said(cause, place) if cause in CAUSES else sentence.rstrip(".")
    clause = clause.replace("a socket", named) if named and not service else clause
    return Here(clause, f"{one.reason} {named}".rstrip(), named, _whose(one), sentence)


def _port(one: ReasonHere) -> tuple[str, str]:
    """Return "udp:514" twice; of several ports "" and how many they are."""
    ports = dict.fromkeys(filter(None, map(_of_what, one.rows)))
    if len(ports) == 1 and one.number == 1:
        only = next(iter(ports))
        return only if ":" in only else "", only
    if one.number > 1 and len(ports) > 1:
        return "", f"{one.number} ports"
    return "", next(iter(ports), "")


def _of_what(row: SnapshotRow) -> str:
    """Return the protocol and port: "udp:514", "icmp"; "" if unknown."""
    protocol, port = row.values.get("protocol"), row.values.get("dport")
    if protocol in (None, "-"):
        return ""
    return f"{protocol}:{port}" if port is not None else str(protocol)


def _number(row: SnapshotRow) -> int | None:
    port = row.stored.get("dport")
    return port if isinstance(port, int) else None


def _whose(one: ReasonHere) -> str:
    """Name the process that holds the socket; count them if they are several."""
    known = [row for row in one.rows if row.stored.get("comm") not in (None, "", units.DASH)]
    names = dict.fromkeys(units.process(r.stored["comm"], r.stored.get("pid")) for r in known)
    first = next(iter(names), "")
    return f"{first} +{len(names) - 1}" if len(names) > 1 else first


# -- lines ------------------------------------------------------------------------------------


def reasons(view: View, interface: str, width: int) -> list[Line]:
    """List why the kernel dropped: how fast, how many, whose, where; what that means."""
    every = _every(view, interface)
    lost, ordinary = ([o for o in every if o.lost is want] for want in (True, False))
    alarming = {
        row.key: claim.severity
        for claim in reversed(at_interfaces(view).get(interface, ()))
        for row in claim.rows
    }
    shown, folded = (lost, []) if view.unfolded else _folded(lost, alarming)
    lines = [BLANK, _head(width, view)]
    for one in shown:
        lines += _reason(one, interface, _mark(one, alarming), width, whole=view.unfolded)
    if not lost:
        lines.append(line(("   nothing", "muted")))
    if view.unfolded and ordinary:
        lines += [BLANK, ruled("Ordinary: freed after normal use", width, ascii=view.ascii)]
        for one in ordinary:
            lines += _reason(one, interface, "", width, whole=True)
    elif text := _rest(folded, len(ordinary)):
        lines.append(line((f"   {text}", "muted")))
    return lines


def _folded(
    lost: Sequence[ReasonHere], alarming: Collection[Hashable]
) -> tuple[list[ReasonHere], list[ReasonHere]]:
    """Return what has a line, and what has none: what is little, or was and is no more."""
    least = LEAST_SHARE * sum(one.rate for one in lost)
    shown, folded = list[ReasonHere](), list[ReasonHere]()
    for place, one in enumerate(lost):
        told = any(row.key in alarming for row in one.rows) and one.rate
        much = place == 0 or (one.rate and one.rate >= least)
        (shown if len(shown) < MAX_REASONS and (told or much) else folded).append(one)
    return shown, folded


def _rest(folded: Sequence[ReasonHere], ordinary: int) -> str:
    """Say what is not shown: "3 more, 12/s together; 2 ordinary (X shows them)"."""
    rate = sum(one.rate for one in folded)
    said = [f"{len(folded)} more, {units.count(rate)}/s together"] if folded else []
    said += [f"{ordinary} ordinary"] if ordinary else []
    return f"{'; '.join(said)} (X shows them)" if said else ""


def _mark(one: ReasonHere, alarming: Mapping[Hashable, Gravity]) -> str:
    grave = [alarming[row.key] for row in one.rows if row.key in alarming]
    if not grave or not one.rate:
        return ""
    return "bad" if Gravity.ALARM in grave else "warn"


def _head(width: int, view: View) -> Line:
    columns = f"{'Lost/s':>8}{'Total':>8}  Whose, where"
    title = ruled("Why the kernel dropped", _what_width(width) + 3, ascii=view.ascii)
    return Line((*title.spans, (columns, "header")))


def _what_width(width: int) -> int:
    return 38 if width >= _WIDE else 34 if width >= 76 else max(width - 26, 16)


def _reason(
    one: ReasonHere, interface: str, mark: str, width: int, *, whole: bool
) -> Iterator[Line]:
    """Draw a reason; the sentence on what it means below it where there is much space."""
    words = _in_words(one, interface)
    role = mark if one.rate else "muted"
    room = max(width - _what_width(width) - 21, 6)
    where = [words.whose, one.reason if one.reason != units.DASH else "", one.function]
    wide = width >= _WIDE
    shown = "  ".join(filter(None, where if wide else where[:1] or where[1:2]))
    yield line(
        (f" {SIGNS[mark]} ", mark), (fit(label(words.said), _what_width(width)), role),
        (f"{units.count(one.rate):>8}", role),
        (f"{units.count(one.total):>8}", "muted"),
        ("  ", ""), (fit(label(shown or words.named), room).rstrip(), "muted"),
    )  # fmt: skip
    if whole:
        ports = ", ".join(dict.fromkeys(filter(None, map(_of_what, one.rows))))
        more = f"{ports}: {words.sentence}" if ports else words.sentence
        for row in wrap(label(more), max(width - 8, 20)):
            yield line((f"      {row}", "muted"))
