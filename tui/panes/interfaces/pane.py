"""Interfaces: which carry traffic, who drops it, why, and where on its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from probes import units
from probes.analysis.anomaly import CALM, Verdict
from probes.analysis.cases import words
from probes.analysis.cases.at_interfaces import at_interfaces, weight
from probes.analysis.cases.claim import Claim, Gravity
from probes.analysis.droppers import ELSEWHERE, HOOKS, Droppers, Drops, droppers
from probes.analysis.many import near
from probes.analysis.netns_names import called, netns_names
from probes.analysis.snapshot_row import SnapshotRow
from probes.arrays import FEW, np
from probes.columns.cells import Cells, cells_of
from probes.columns.lexicon import Lexicon, Part
from probes.model import Hook, HookId, Value
from probes.units import Unit
from tui.panes.interfaces.belonging import belongs
from tui.panes.interfaces.elsewhere import FIGURES as FIGURES_ELSEWHERE
from tui.panes.interfaces.elsewhere import HOOK as ELSEWHERE_HOOK
from tui.panes.interfaces.elsewhere import HereFirst, drawn, elsewhere, known, wanted
from tui.panes.interfaces.elsewhere import called as called_there
from tui.panes.interfaces.figures import (
    COUNTERS,
    KERNEL,
    LINK,
    MISSED,
    PACKETS_IN,
    RECEIVED,
    SENT,
    STAGES,
    TC,
    WATCHED,
    XDP,
)
from tui.panes.interfaces.packet_path import packet_path
from tui.panes.interfaces.path_graphs import came_in, is_abreast
from tui.panes.interfaces.path_programs import programs
from tui.panes.interfaces.path_reasons import reasons
from tui.session.drop_rules import Offer
from tui.session.view import View
from tui.table.fields import Field, TableRow, label, of, values_of
from tui.table.lines import BLANK, Line, fit_words, line, wrap_parts
from tui.table.many_records import MARKS, ManyRecords
from tui.table.snapshot_rows import SnapshotRows
from tui.toolkit.anomaly_column import noted, said, unusual_cells, unusual_field, worst
from tui.toolkit.detail import counters, figure_lines, graphs, heading, pairs
from tui.toolkit.pane import Busiest, Pane, Trouble

_NOT_HERE = "in another network namespace, or at no interface: only drops are visible"
_ANOTHER = "in another network namespace"
_VERDICTS = ("aborted", "drop", "pass", "tx", "redirect")
_OURS = ("xdp", "tc-ingress", "tc-egress")
_LEXICON = Lexicon(Part("interface"))
_GRAPH_LINES = 6


def _records(view: View) -> Sequence[TableRow]:
    return view.once(_made)


def _made(view: View) -> Sequence[TableRow]:
    looked = view.once_read(_looked, *HOOKS, ELSEWHERE_HOOK)
    if len(looked.rows) <= FEW:
        return [_record(view, looked.at(place)) for place in range(len(looked.rows))]
    said = {place: one.verdict for place, one in looked.near.items() if one.verdict.since}
    marks = np.zeros(len(looked.rows), "u1")
    for place, one in looked.near.items():
        marks[place] = MARKS.index(one.mark)
    return ManyRecords(
        SnapshotRows(view.catalogue["interfaces"], looked.rows),
        _LEXICON,
        lambda place: _record(view, looked.at(place)),
        own=_columns(view, looked) | {"unusual": unusual_cells(len(looked.rows), said)},
        marks=marks,
        odd=np.array(sorted(said), np.intp),
    )


def _columns(view: View, looked: _LookedAt) -> dict[str, Cells]:
    """Return the columns that records have and rows have not."""
    quiet, number = looked.droppers.quiet, len(looked.rows)
    drops = {place: one.drops for place, one in looked.near.items()}
    freely = looked.droppers.freely
    ordinary = [freely(name) for name in looked.names]
    columns: dict[str, list[Value]] = {
        "programs": [quiet.programs] * number,
        "drops": [quiet.kernel] * number,
        "ordinary": list(ordinary),
        "link": list(looked.links),
        "who": [""] * number,
    }
    for place, one in drops.items():
        columns["programs"][place], columns["drops"][place] = one.programs, one.kernel
        columns["who"][place] = one.by[0].title if one.by else ""
    ours = view.once(_ours)
    own = {f"xdp_{v}": ("xdp", v) for v in _VERDICTS}
    own |= {"tc_in": ("tc-ingress", "packets"), "tc_out": ("tc-egress", "packets")}
    for name, (hook, counter) in own.items():
        rows = map(ours[hook].get, looked.names)
        columns[name] = [None if row is None else row.rates[counter] for row in rows]
    if any(row.stored["kind"] == ELSEWHERE for row in looked.rows):
        columns["interface"] = [_called(view, name) for name in looked.names]
    return {name: cells_of(values) for name, values in columns.items()}


class _Looked(NamedTuple):
    """An interface, its droppers, and what the link counts as dropped a second.

    claims: what is wrong there, the worst first.
    """

    row: SnapshotRow
    drops: Drops
    link: float | None
    verdict: Verdict
    claims: Sequence[Claim] = ()

    @property
    def name(self) -> str:
        return str(self.row["interface"])

    @property
    def mark(self) -> str:
        """That of the worst claim."""
        if not self.claims:
            return ""
        return "bad" if self.claims[0].severity is Gravity.ALARM else "warn"


class _LookedAt:
    """All interfaces, of which most are quiet and need no closer look.

    near: the others, by their places in `rows`. links: what each link counts as dropped a second.
    """

    def __init__(self, view: View, rows: Sequence[SnapshotRow], droppers: Droppers) -> None:
        self.rows, self.droppers = rows, droppers
        self.names = [str(row.stored["interface"]) for row in rows]
        rates = [[row.rates[counter] for row in rows] for counter in COUNTERS]
        self.links = [
            None if a is None and b is None and c is None else (a or 0) + (b or 0) + (c or 0)
            for a, b, c in zip(*rates, strict=True)
        ]
        self._claims = at_interfaces(view)
        self._unusual = {figure: near(view, figure) for figure in WATCHED}
        unusual = near(view, *WATCHED)
        self.near = {
            place: self._look(view, place)
            for place, name in enumerate(self.names)
            if name in droppers.touched
            or self.links[place]
            or name in unusual
            or name in self._claims
        }

    def _look(self, view: View, place: int) -> _Looked:
        row, name, link = self.rows[place], self.names[place], self.links[place]
        drops = self.droppers.of(row)
        claims = self._claims.get(name, ())
        if not claims:
            return _Looked(row, drops, link, CALM)
        verdict = worst(
            *[view.verdict(f, name) for f, some in self._unusual.items() if name in some]
        )
        return _Looked(row, drops, link, verdict, claims)

    def at(self, place: int) -> _Looked:
        """Return a closer look at one."""
        found, row = self.near.get(place), self.rows[place]
        if found is not None:
            return found
        return _Looked(row, self.droppers.of(row), self.links[place], CALM)


def _looked(view: View) -> _LookedAt:
    """Look at each interface.

    Those of other network namespaces (containers) come after this one's.
    """
    found, rows = droppers(view), view.rows("interfaces")
    rows += elsewhere(view, found, {str(row.stored["interface"]) for row in rows})
    return _LookedAt(view, rows, found)


def _called(view: View, name: str) -> str:
    """Return "eth0 (netns web)" for "if5 (netns 4026532476)", as far as that is known."""
    there = known(view).get(name)
    if there is not None:
        return called_there(there)
    here = view.once(_ends).get(name)
    if here is not None:
        name = name.replace(name.partition(" ")[0], str(here["peer"]).partition(" in ")[0], 1)
    return called(name, netns_names(view))


def _ends(view: View) -> dict[str, SnapshotRow]:
    """Return the veths here whose other ends are elsewhere, by what `drops` calls those."""
    found = ((r, r.stored["peer_ifindex"], r.stored["peer_netns"]) for r in view.rows("interfaces"))
    return {f"if{n} (netns {netns})": row for row, n, netns in found if netns}


def _here(record: TableRow) -> bool:
    return record.values["kind"] != ELSEWHERE


def _ours(view: View) -> dict[str, dict[str, SnapshotRow]]:
    """Return our own programs' rows by hook and interface."""
    return {h: {str(r["interface"]): r for r in view.rows(h)} for h in _OURS}


def _record(view: View, looked: _Looked) -> TableRow:
    row, drops, name = looked.row, looked.drops, looked.name
    extras = view.once(_ours)
    values = values_of(row)
    values["programs"], values["drops"] = drops.programs, drops.kernel
    values["ordinary"] = drops.ordinary
    values["link"] = looked.link
    values["interface"] = _called(view, name)
    values["who"] = drops.by[0].title if drops.by else ""
    values |= _xdp(extras["xdp"].get(name))
    values["tc_in"] = _packets(extras["tc-ingress"].get(name))
    values["tc_out"] = _packets(extras["tc-egress"].get(name))
    return TableRow(row.key, name, values | noted(looked.verdict), looked.mark, row)


def _busiest(view: View) -> Busiest | None:
    """Return the interface that receives most."""
    rows = view.rows("interfaces")
    most = max(rows, key=lambda row: row.rate("rx_bytes"), default=None)
    if most is None or not (rate := most.rate("rx_bytes")):
        return None
    name = str(most.stored["interface"])
    looked = view.once_read(_looked, *HOOKS, ELSEWHERE_HOOK)
    record = _record(view, looked.at(looked.names.index(name)))
    drops = looked.droppers.of(most)
    why = f"{units.count(most.rate('rx_packets'))} packets/s received"
    why += ", no drops" if drops.kernel is not None and not drops.by else ""
    if drops.kernel is None:
        why += ", drops are not visible"
    now = f"{units.show(rate, Unit.BYTES, bits=view.bits)}/s"
    return Busiest(record, f"{name} busiest interface", RECEIVED, name, rate, now, why)


def _xdp(row: SnapshotRow | None) -> dict[str, Value]:
    """Return our own program's verdicts; None (a dash) if none is attached."""
    return {f"xdp_{v}": row.rates[v] if row else None for v in _VERDICTS}


def _packets(row: SnapshotRow | None) -> float | None:
    return row.rates["packets"] if row else None


def _trouble(view: View) -> Trouble | None:
    """Return the worst of what is wrong, with its share."""
    claims = sorted((c for some in at_interfaces(view).values() for c in some), key=weight)
    if not claims:
        return None
    first = claims[-1]
    part = ""
    if first.share is not None:
        part = f", {units.percent(100 * first.share)} of {first.of}"
    others = f"  (and {len(claims) - 1} more)" if len(claims) > 1 else ""
    role = "bad" if first.severity is Gravity.ALARM else "warn"
    rate = f"{units.count(first.now)}/s"
    share = rate if first.share is None else f"{words.percent(first.share)}, {rate}"
    return Trouble(
        role,
        f"{label(first.what)}{part}, {rate}{others}",
        f"{label(first.what)}, {share}{others}",
    )


def _detail(view: View, record: TableRow, width: int) -> list[Line]:
    name = record.name
    if not _here(record):
        shown, here = record.text("interface"), view.once(_ends).get(name)
        where = _NOT_HERE if name not in known(view) else _ANOTHER
        where = where if here is None else f"the other end of {here['interface']} on this host"
        lines = pairs([("Interface", shown), ("Where", where), *said(record)], width)
        lines += [*reasons(view, name, width), *graphs(PANE, view, record, width)]
        if name in known(view):
            lines += heading("Kernel counters")
            lines += counters(view.catalogue["interfaces"], record, view.bits)
        return lines
    lines = [*_about(record, width), *packet_path(view, record, width)]
    lines += reasons(view, name, width)
    lines += programs(view, name, width)
    lines += belongs(view, name, width)
    if not is_abreast(width):
        lines += [BLANK, *came_in(view, record, width - 2, _GRAPH_LINES)]
    for figure in (RECEIVED, SENT):
        lines += [BLANK, *figure_lines(figure, PANE, view, record, width, _GRAPH_LINES)]
    lines += [
        *heading("Kernel counters"),
        *counters(view.catalogue["interfaces"], record, view.bits),
    ]
    for hook in _OURS:
        lines += _hook_block(view, HookId(hook, name))
    return lines


def _about(record: TableRow, width: int) -> list[Line]:
    """Say what the interface is, in one line where it fits."""
    said = [f"{record.text('kind')}, {record.text('state')}, MTU {record.text('mtu')}"]
    said.append(f"XDP {record.text('xdp_mode')} {record.text('xdp_program')}".rstrip(" -"))
    said.append(f"index {record.values['ifindex']}")
    if record.text("peer"):
        said.append(f"other end {record.text('peer')}")
    if record.text("altnames"):
        said.append(f"also {record.text('altnames')}")
    if record.text("unusual_words"):
        said.append(f"unusual: {record.text('unusual_words')}")
    return [line((f"  {row}", "muted")) for row in wrap_parts(map(label, said), width - 4)]


def _hook_block(view: View, id: HookId) -> list[Line]:
    hook = view.catalogue.get(id.hook)
    snapshot = view.snapshots.get(id)
    if hook is None:
        return []
    status = view.status(id)
    lines = heading(f"{hook.title}: {status.state}{f' ({status.rung})' if status.rung else ''}")
    if status.refused and not status.rung:
        lines += [line(("  " + label(status.refused[-1].why), "muted"))]
    for row in snapshot.rows if snapshot else ():
        lines += counters(hook, TableRow(row.key, str(id), values_of(row)), view.bits)
    return lines


def _lost(name: str) -> Callable[[TableRow], str]:
    """Return the colour of a number of lost packets: that of what is wrong there."""
    return lambda record: record.mark if record.number(name) else ""


def _brief(record: TableRow) -> str:
    """Return a name with its network namespace, "if42@web", or the end of its number."""
    name, _, netns = label(record.text("interface")).partition(" (netns ")
    netns = netns.removesuffix(")").removeprefix("of ")
    return f"{name}@{f'..{netns[-3:]}' if netns.isdecimal() else netns}" if netns else name


def _why(record: TableRow) -> str:
    return record.mark or "muted"


def _here_first(field: Field) -> Field:
    return HereFirst(**{each.name: getattr(field, each.name) for each in fields(field)})


def _fields(catalogue: Mapping[str, Hook]) -> tuple[Field, ...]:
    hook = catalogue["interfaces"]
    return (
        _here_first(replace(of(hook, "interface", width=10, rank=0, grow=15), brief=_brief)),
        of(hook, "rx_bytes", title="RX/s", width=7, rank=2, grow=9),
        of(hook, "tx_bytes", title="TX/s", width=7, rank=4, grow=9),
        of(hook, "rx_packets", title="RX pkt/s", width=9, rank=5),
        of(hook, "tx_packets", title="TX pkt/s", width=9, rank=5),
        of(hook, "xdp_mode", width=8, rank=2),
        # Every container's end is called eth0: a filter finds it by peer:eth0 only.
        replace(of(hook, "peer", width=18, rank=9, grow=40), searched=False),
        Field(
            "programs", "ProgDrop", Unit.PACKETS, 9, 1,
            help="dropped per second by our rules and by XDP and TC programs that can be counted",
            colour=_lost("programs"),
        ),
        Field(
            "link", "LinkDrop", Unit.PACKETS, 9, 2,
            help="dropped per second, as counted by the link: rx_dropped, tx_dropped, rx_missed",
            colour=_lost("link"),
        ),
        Field(
            "drops", "KernDrop", Unit.PACKETS, 9, 1,
            help="lost per second in the kernel's own code",
            colour=_lost("drops"),
        ),
        Field(
            "ordinary", "Ordinary", Unit.PACKETS, 9, 8,
            help="freed per second after normal use: these are not lost",
        ),
        Field("who", "Who drops most", Unit.TEXT, 19, 1, 40,
              "the program, our rule, the kernel's reason, or the device's counter", _why,
              drawn=lambda record, width: fit_words(label(record.text("who")), width)),
        of(hook, "xdp_program", width=15, rank=7, grow=22),
        Field("xdp_pass", "XDP pass/s", Unit.PACKETS, 11, 7, help="passed by our program"),
        unusual_field(1),
        Field("tc_in", "TC in/s", Unit.PACKETS, 9, 6, help="packets seen at TC ingress"),
        Field("tc_out", "TC out/s", Unit.PACKETS, 9, 6, help="packets seen at TC egress"),
        of(hook, "state", width=8, rank=7),
        replace(of(hook, "container"), width=0, rank=9),
        of(hook, "netns_name", width=12, rank=8, grow=24),
        )  # fmt: skip


PANE = Pane(
    name="interfaces",
    title="Interfaces",
    short="Ifaces",
    order=10,
    hooks=("interfaces", ELSEWHERE_HOOK, *_OURS, "drops", "xdp-programs", "xdp-errors",
           "tc-programs", "qdiscs"),
    fields=_fields,
    sort="interface",
    reverse=False,
    few=True,
    records=_records,
    trouble=_trouble,
    detail=_detail,
    figures=(
        RECEIVED,
        KERNEL,
        XDP,
        SENT,
    ),
    figure_key=lambda record: record.name,
    figure_of=drawn,
    kept=(TC, LINK, PACKETS_IN, MISSED, *STAGES, *FIGURES_ELSEWHERE.values()),
    busiest=_busiest,
    needs=("drops", "xdp-programs"),
    wants=wanted,
    calm="no interface receives packets",
    empty="there is no network interface",
    hook_of=lambda record: HookId("xdp", record.name) if _here(record) else None,
    about=lambda record: record.name,
    folds=frozenset({"detail"}),
    offer=lambda record: Offer(record.name) if _here(record) else None,
)  # fmt: skip
