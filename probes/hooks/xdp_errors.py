"""XDP errors: packets that a program aborted or that could not go where it sent them.

The kernel tells of these by tracepoints, whoever's program it was. It loses the packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from probes.attach.tracepoint import BtfTracepoint, RawTracepoint
from probes.hooks.interfaces import programs_on
from probes.kernel import ethtool
from probes.kernel.netlink import route
from probes.kernel.procfs import netns
from probes.model import Column, Flat, Hook, Kind, Opening, Program, Reading, Row, Rung
from probes.point import Point
from probes.toolkit.decode import errno_name
from probes.toolkit.links import interface_in
from probes.toolkit.readers import record
from probes.toolkit.tick_cache import once
from probes.units import DASH, Unit

MOST = 1024
"""Rows that are kept: interfaces x programs x answers x errors."""

# trace_xdp_exception(dev, xdp, act): a program answered XDP_ABORTED, or what is no verdict, or its
# packet could not be sent back. trace_xdp_redirect_err(dev, xdp, to, err, ...): it could not be
# redirected; some drivers then tell of an exception as well. What goes on in bulk and is lost then:
# trace_xdp_devmap_xmit(from, to, sent, lost, err), and trace_xdp_bulk_tx(dev, sent, lost, err) for
# those sent back (include/trace/events/xdp.h, as it is since Linux 5.6).
_CORE = """
struct what { u32 ifindex, to, to_netns, act, error; };
struct slot { u64 packets; };
BPF_TABLE("percpu_hash", struct what, struct slot, rows, MOST);
BPF_TABLE("percpu_array", u32, u64, uncounted, 1);
BPF_TABLE("array", u32, u32, home, 1);

static inline int count(u32 netns, struct what *key, u64 n) {
    u32 first = 0, *own = home.lookup(&first);
    if (!n || !own || *own != netns)
        return 0;
    struct slot zero = {}, *slot = rows.lookup(key);
    if (!slot) {
        rows.insert(key, &zero);
        slot = rows.lookup(key);
    }
    u64 *full = uncounted.lookup(&first);
    if (slot)
        slot->packets += n;
    else if (full)
        *full += n;
    return 0;
}

int exception(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .act = (u32)ctx[2]};
    return key.act == XDP_REDIRECT ? 0 : count(NETNS(ctx), &key, 1);
}

int redirect_err(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .act = XDP_REDIRECT};
    key.error = -(int)ctx[3];
    return count(NETNS(ctx), &key, 1);
}

int devmap_xmit(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .to = TO(ctx), .act = XDP_REDIRECT};
    key.to_netns = TO_NETNS(ctx);
    key.error = -(int)ctx[4];
    return count(NETNS(ctx), &key, (u32)ctx[3]);
}

int bulk_tx(u64 *ctx) {
    struct what key = {.ifindex = INDEX(ctx), .act = XDP_TX, .error = -(int)ctx[3]};
    return count(NETNS(ctx), &key, (u32)ctx[2]);
}
"""
_TYPED = """
#define DEVICE(ctx) ARG(ctx, 0, struct net_device *)
#define INDEX(ctx) DEVICE(ctx)->ifindex
#define TO(ctx) ARG(ctx, 1, struct net_device *)->ifindex
#define TO_NETNS(ctx) ARG(ctx, 1, struct net_device *)->nd_net.net->ns.inum
#define NETNS(ctx) DEVICE(ctx)->nd_net.net->ns.inum
"""
_READ = """
#define DEVICE(ctx) ARG(ctx, 0, struct net_device *)
#define INDEX(ctx) PROBE(DEVICE(ctx)->ifindex)
#define TO(ctx) PROBE(ARG(ctx, 1, struct net_device *)->ifindex)
#define TO_NETNS(ctx) PROBE(PROBE(ARG(ctx, 1, struct net_device *)->nd_net.net)->ns.inum)
#define NETNS(ctx) PROBE(PROBE(DEVICE(ctx)->nd_net.net)->ns.inum)
"""
_PROGRAMS = ("exception", "redirect_err", "devmap_xmit", "bulk_tx")
_VERDICTS = {0: "aborted", 3: "tx", 4: "redirect"}  # enum xdp_action


def _open(opening: Opening) -> Callable[[], Reading]:
    table, uncounted = opening.tables["rows"], opening.tables["uncounted"]
    opening.tables["home"].update((0,), (netns(),))
    names: dict[int, str] = {}
    changes = route.Changes()
    opening.stack.callback(changes.close)

    def row(entry: Flat, here: Mapping[int, route.Interface]) -> Row:
        what = record(table, entry)
        link = here.get(what["ifindex"])
        return (
            link.name if link else f"if{what['ifindex']}",
            programs_on(link, names) if link else None,
            _VERDICTS.get(what["act"], f"verdict {what['act']}"),
            errno_name(what["error"]) if what["error"] else DASH,
            interface_in(what["to"], what["to_netns"]) if what["to"] else DASH,
            what["packets"],
        )

    def read() -> Reading:
        entries, lost, gone = table.rows(), uncounted.row((0,)), changes.gone()
        for entry in entries if gone else ():
            what = record(table, entry)
            if what["ifindex"] in gone:  # what has its number now begins anew
                table.delete(entry[: table.keys])
                entries = [e for e in entries if e is not entry]
        here = {link.ifindex: link for link in once(route.links)} if entries else {}
        return Reading([row(entry, here) for entry in entries], lost[1] if lost else 0)

    return read


_COUNTERS = {"aborted": "aborted", "tx": "tx_errors", "redirect": "redirect_errors"}


def _from_drivers(_: Opening) -> Callable[[], Reading]:
    """What drivers count by themselves where they have an XDP program."""
    names: dict[int, str] = {}

    def rows(link: route.Interface) -> Iterator[Row]:
        try:
            told = ethtool.at_xdp(ethtool.statistics(link.name))
        except OSError:
            return  # gone since it was listed
        for answer, counter in _COUNTERS.items():
            if counter in told:
                yield link.name, programs_on(link, names), answer, DASH, DASH, told[counter]

    def read() -> Reading:
        native = [x for x in once(route.links) if any(m == "native" for m, _ in x.xdp_programs)]
        return Reading([row for link in native for row in rows(link)])

    return read


def _rung(name: str, least: str, ways: str, point: Callable[[str], Point]) -> Rung:
    return Rung(
        name,
        least,
        _open,
        source=ways + _CORE.replace("MOST", str(MOST)),
        types=("net", "net_device", "ns_common"),
        programs=tuple(Program(name, point(f"xdp_{name}")) for name in _PROGRAMS),
    )


HOOK = Hook(
    name="xdp-errors",
    title="XDP errors",
    answers="Which XDP programs abort, and whose packets could not be sent or redirected.",
    columns=(
        Column("interface", "Interface", kind=Kind.KEY, width=15, help="where the packet came in"),
        Column("program", "Program", width=18, help="name#id of the XDP program there now"),
        Column("answer", "Answer", kind=Kind.KEY, width=9, help="aborted, tx or redirect"),
        Column("error", "Error", kind=Kind.KEY, width=10, help="why it could not go there, or -"),
        Column("to", "To", kind=Kind.KEY, width=15, help="the interface it could not go to, or -"),
        Column("packets", "Packets", Unit.PACKETS, Kind.COUNTER, "packets", help="that were lost"),
    ),
    # A tracepoint through tracefs has the interface's number only, and that means nothing without
    # its network namespace.
    ladder=(
        _rung("btf-tracepoint", "Linux 5.6, BTF, CAP_BPF, CAP_PERFMON", _TYPED, BtfTracepoint),
        _rung("raw-tracepoint", "Linux 5.6, CAP_BPF, CAP_PERFMON", _READ, RawTracepoint),
        Rung("driver", "nothing; a driver that counts them", _from_drivers, from_zero=False),
    ),
    order=23,
)
