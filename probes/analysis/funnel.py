"""The funnel of an interface.

Packets that reached each stage, and packets lost there, counted once.

    nic -> xdp -> tc-ingress -> stack -> socket        tc-egress -> qdisc -> wire

Pure: snapshots in, stages out. All stages have one unit: skbs, what the kernel handles as one
packet there. GRO joins some of them between XDP and TC, and GSO splits some between TC and the
wire: where a device does that its counters tell nothing of the stages beyond, unless a program of
ours is attached there. Their number on the wire (segments) is given beside, where it is known.

A packet that is dropped is seen by several counters; which of them mean the same packets is written
here once:

- kfree_skb (hook `drops`) has every packet that was an skb by then, with the reason or the place.
- A link's rx_dropped has the device's own drops and, of the kernel's, those of `IN_RX_DROPPED`.
  So the device's own are what is left of it. With tx_dropped it is the same.
- An XDP program's verdicts have all drops; kfree_skb only those in generic mode (and of packets
  that one veth passes to the other). Some drivers count them as rx_dropped, too.
- What it sends back or redirects and cannot go there is lost as well (hook `xdp-errors`): its
  verdict does not tell. A veth counts such packets as its own drops, on both of its ends.
- What is freed where a packet is passed to the device (`SENDING`) is a queue's drop, or, where
  there is no queue, the device's, which counts it in tx_dropped. What a driver frees while sending
  is in tx_dropped or tx_errors.
- A qdisc's drops are in those of all qdiscs above it, so the root's are all; nearly all of them
  are freed by kfree_skb, and some kinds of qdisc count nothing: the greater number is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from probes.analysis.drop_stages import (
    ANYWHERE,
    IN_RX_DROPPED,
    RECEIVING,
    SENDING,
    STAGES,
    UNTOLD,
    stage_of,
)
from probes.analysis.flows import Cause, Flow, InterfaceCounters, Since, Snapshots, sum_of
from probes.model import HookId, Sample, same_totals
from probes.units import DASH

Ours = Mapping[str, Sequence[Cause]]
Came = dict[str, Flow | None]
COUNT_XDP_DROPS = frozenset({"tun", "virtio_net"})
"""Kinds of interface and drivers whose rx_dropped includes XDP's drops."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the funnel.

    came: skbs that reached it; lost: those lost there; None: nothing counts them. causes: why they
    were lost, the most frequent first; their sum may be less than `lost`. ordinary: skbs that were
    freed there and that nobody waits for: they are in no other number. segments: what came, in
    packets as they are on the wire.
    """

    name: str
    came: Flow | None
    lost: Flow | None
    causes: tuple[Cause, ...] = ()
    ordinary: Flow | None = None
    segments: Flow | None = None

    @property
    def flows(self) -> tuple[Flow | None, ...]:
        """All numbers of the stage."""
        return self.came, self.lost, self.ordinary, self.segments

    @property
    def why(self) -> str:
        """The most frequent cause, "" where nothing was lost."""
        return next((c.why for c in self.causes if c.lost.total or c.lost.per_s), "")


def remember(since: MutableMapping[HookId, Sample], samples: Iterable[Sample]) -> None:
    """Keep the first sample of each hook, replaced whenever its counting starts again (epoch)."""
    for sample in samples:
        known = since.get(sample.status.id)
        if known is None or not same_totals(known.epoch, sample.epoch):
            since[sample.status.id] = sample


def interfaces(snapshots: Snapshots) -> tuple[str, ...]:
    """Return every interface with a funnel.

    Existing ones first, then others that something was dropped on (of other network namespaces, or
    gone).
    """
    hooks = (*snapshots.get("interfaces", ()), *snapshots.get("drops", ()))
    names = (str(row["interface"]) for snapshot in hooks for row in snapshot.rows)
    return tuple(dict.fromkeys(name for name in names if name != DASH))


def funnel(
    snapshots: Snapshots,
    interface: str,
    since: Since | None = None,
    ours: Ours | None = None,
) -> tuple[Stage, ...]:
    """Return the stages in order.

    A ninth, UNTOLD, is added where the kernel does not tell which stage it was. Reads the hooks
    interfaces, drops, qdiscs, xdp, xdp-programs, xdp-errors, tc-ingress, tc-egress and tc-programs,
    as far as they are attached. since: where counting starts; without it each counter counts from
    its own start. ours: what our own rules drop, by stage: that is in no hook.
    """
    return _Funnel(InterfaceCounters(snapshots, interface, since or {}), ours or {}).stages()


def _is_sending(reason: str, function: str) -> bool:
    """Return whether it was freed while passed to a queue, or to a device without one."""
    if function == SENDING:
        return not reason.startswith("TC_")
    return reason == "QDISC_DROP"  # before Linux 6.3 the place is that of freeing whole lists


class _Funnel:
    """An assignment of every drop to one stage."""

    def __init__(self, counted: InterfaceCounters, ours: Ours) -> None:
        self._counted, self._ours = counted, ours
        self._causes: dict[str, list[Cause]] = {name: [] for name in (*STAGES, UNTOLD)}
        self._ordinary = dict.fromkeys((*STAGES, UNTOLD), Flow())
        zero = Flow()
        self._rx_dropped = counted.link("rx_dropped") or zero
        self._tx_dropped = counted.link("tx_dropped") or zero
        self._tx_errors = counted.link("tx_errors") or zero
        self._queue = counted.queue()
        self._place()
        if "veth" in counted.level(
            "interfaces", "kind"
        ):  # it counts as its own what XDP could not send on
            for cause in counted.astray("redirect"):
                self._rx_dropped = self._left(self._rx_dropped, cause.lost)
            for lost in (counted.refused(), *(c.lost for c in counted.astray("tx"))):
                self._tx_dropped = self._left(self._tx_dropped, lost)

    def _add(self, stage: str, why: str, lost: Flow) -> None:
        if lost.total or lost.per_s:
            self._causes[stage].append(Cause(why, lost))

    def _kernel(self, stage: str) -> Flow:
        return sum_of(cause.lost for cause in self._causes[stage])

    def _place(self) -> None:
        """Put the kernel's own drops at their stages; last those whose place tells little."""
        unsure = []
        for (reason, function, waited_for), lost in sorted(self._counted.drops().items()):
            stage = stage_of(reason, function)
            if stage == "nic" or {reason, (reason, function)} & IN_RX_DROPPED:
                self._rx_dropped = self._left(self._rx_dropped, lost)
            if not waited_for:
                stage = stage if stage in STAGES else UNTOLD
                self._ordinary[stage] = self._ordinary[stage].plus(lost)
                continue
            why = f"{reason} at {function}" if reason != DASH else function
            if _is_sending(reason, function):
                stage, lost = self._sending(stage, reason, why, lost)
            if stage == "wire":
                self._sent_in_vain(lost)
            if stage in (RECEIVING, ANYWHERE):
                unsure.append((stage, why, lost, reason))
            else:
                self._add(stage, why, lost)
        queue = sum_of(c.lost for c in self._queue)
        for stage, why, lost, reason in unsure:
            if stage == RECEIVING:  # what no protocol takes is in rx_dropped, what TC drops is not
                self._rx_dropped, lost = self._explained("stack", why, lost, self._rx_dropped)
                self._add("tc-ingress", why, lost)
                continue
            if reason == DASH:
                queue, lost = self._explained("qdisc", why, lost, queue)
            self._tx_dropped, lost = self._explained("wire", why, lost, self._tx_dropped)
            self._rx_dropped, lost = self._explained("nic", why, lost, self._rx_dropped)
            self._add(UNTOLD, why, lost)

    def _sending(self, stage: str, reason: str, why: str, lost: Flow) -> tuple[str, Flow]:
        """Return the stage of what is freed on its way to the device, and what is left for it.

        Without a queue it was the device, which has no carrier, say, and counts it as well; where
        that is not known, its counter tells.
        """
        kinds = self._counted.queue_kinds()
        if reason != DASH and kinds:
            return ("wire" if kinds == {"noqueue"} else stage), lost
        if kinds <= {"noqueue"}:
            self._tx_dropped, lost = self._explained("wire", why, lost, self._tx_dropped)
        return stage, lost

    def _sent_in_vain(self, lost: Flow) -> None:
        """Subtract what a driver freed from what the link counts as dropped, or as an error."""
        beyond = lost.less(self._tx_dropped)
        self._tx_dropped = self._left(self._tx_dropped, lost)
        self._tx_errors = self._left(self._tx_errors, beyond)

    def _explained(self, stage: str, why: str, lost: Flow, counter: Flow) -> tuple[Flow, Flow]:
        """Put the part of a drop that a counter explains at a stage.

        Return what is left of both.
        """
        left = self._left(lost, counter) if counter.total else lost
        part = lost.less(left)
        self._add(stage, why, part)
        return self._left(counter, part), left

    def _left(self, counter: Flow, known: Flow) -> Flow:
        """Return what a counter has beyond packets that are known; zero where that is in doubt."""
        return self._sure(counter.less(known), counter.shared(known))

    def _sure(self, left: Flow, explained: Flow) -> Flow:
        doubt = self._counted.doubt(explained)
        sure = left.total > doubt.total, (left.per_s or 0) > (doubt.per_s or 0)
        rate = left.per_s if sure[1] or left.per_s is None else 0.0
        return Flow(left.total if sure[0] else 0, rate)

    def stages(self) -> tuple[Stage, ...]:
        counted = self._counted
        xdp, passed_by = self._xdp()
        ingress = self._programs("tc-ingress", "ingress")
        egress = self._programs("tc-egress", "egress")
        queue = self._most("qdisc", self._queue)
        nic, wire = self._nic(xdp), self._wire()
        came, segments = self._in(nic, xdp, passed_by, ingress)
        out = self._out(egress, queue, wire)
        came, segments = came | out[0], segments | out[1]
        untold = self._kernel(UNTOLD)
        unseen = None if not counted.traced else Flow()
        lost = {
            "nic": nic if counted.link("rx_packets") else None,
            "xdp": self._lost_at_xdp(xdp),
            "tc-ingress": self._known(ingress, "tc-programs"),
            "stack": unseen and self._kernel("stack"),
            "socket": unseen and self._kernel("socket"),
            UNTOLD: unseen and untold,
            "tc-egress": self._known(egress, "tc-programs"),
            "qdisc": self._known(queue, "qdiscs"),
            "wire": wire if counted.link("tx_packets") else None,
        }
        some = (untold, self._ordinary[UNTOLD])
        names = [n for n in lost if n != UNTOLD or any(f.total or f.per_s for f in some)]
        return tuple(
            Stage(
                name,
                came.get(name),
                lost[name],
                self._ordered(name),
                unseen and self._ordinary[name],
                segments.get(name),
            )
            for name in names
        )

    def _in(self, nic: Flow, xdp: Flow, passed_by: Flow, ingress: Flow) -> tuple[Came, Came]:
        """Return what came to the stages on the way in: skbs, and segments.

        A device counts what it received before GRO joins it; XDP in generic mode runs after GRO.
        """
        counted = self._counted
        rx = counted.link("rx_packets")
        joined = counted.says("joins")
        behind = rx and rx.less(xdp.plus(passed_by))
        if counted.silent() or counted.comes_back():
            behind = None
        generic = "generic" in counted.level("interfaces", "xdp_mode")
        to_tc = counted.seen("tc-ingress", "skbs") or (None if joined else behind)
        gone = ingress.plus(counted.redirected())
        in_segments = counted.seen("tc-ingress", "packets")
        frames = counted.says("frames")
        came = {
            "nic": rx and rx.plus(nic),
            "xdp": None if joined and generic else rx,
            "tc-ingress": to_tc,
            "stack": to_tc and to_tc.less(gone),
        }
        return came, {
            "nic": came["nic"] if frames else None,
            "xdp": rx if frames else None,
            "tc-ingress": in_segments or (behind if frames else None),
        }

    def _out(self, egress: Flow, queue: Flow, wire: Flow) -> tuple[Came, Came]:
        """Return the same on the way out.

        GSO splits what a device does not take whole, or the device splits it and counts frames.
        """
        counted = self._counted
        tx = counted.link("tx_packets")
        frames, cut = counted.says("frames"), counted.says("whole", 0)
        sent = tx and tx.plus(wire)
        by_stack = sent and sent.less(counted.sent_by_xdp())
        if frames or cut or counted.silent():
            by_stack = None
        to_egress = counted.seen("tc-egress", "skbs")
        if to_egress is not None:
            to_queue: Flow | None = to_egress.less(egress)
        else:
            to_queue = by_stack and by_stack.plus(queue)
            to_egress = to_queue and to_queue.plus(egress)
        came = {
            "tc-egress": to_egress,
            "qdisc": to_queue,
            "wire": None if frames and not cut else sent,
        }
        out_segments = counted.seen("tc-egress", "packets")
        return came, {"tc-egress": out_segments, "wire": sent if frames or cut else None}

    def _known(self, lost: Flow, *hooks: str) -> Flow | None:
        """Return the sum.

        None where neither the kernel's drops nor any of these hooks is attached.
        """
        seen = self._counted.traced or self._ours or any(map(self._counted.rows, hooks))
        return lost if seen else None

    def _lost_at_xdp(self, lost: Flow) -> Flow | None:
        """Return the loss at XDP; None where a driver runs a program that nothing counts.

        Of those only a veth's drops are freed.
        """
        counted = self._counted
        native = "native" in counted.level("interfaces", "xdp_mode")
        if native and counted.silent() and not lost.total:
            return lost if "veth" in counted.level("interfaces", "kind") else None
        return self._known(lost, "xdp-programs", "xdp", "xdp-errors")

    def _ordered(self, stage: str) -> tuple[Cause, ...]:
        by = sorted(self._causes[stage], key=lambda c: (c.lost.per_s or 0, c.lost.total))
        return tuple(reversed(by))

    def _most(self, stage: str, counters: Sequence[Cause]) -> Flow:
        """Return the greater of what kfree_skb and other counters say of the same packets."""
        freed, counted = self._kernel(stage), sum_of(c.lost for c in counters)
        if counted.total > freed.total or (counted.per_s or 0) > (freed.per_s or 0):
            self._causes[stage] = []  # who did it tells more than where it was freed
            for cause in counters:
                self._add(stage, *cause)
        return freed.most(counted)

    def _xdp(self) -> tuple[Flow, Flow]:
        """Return what XDP dropped or could not send on, and what it did send elsewhere."""
        counted = self._counted
        lost, elsewhere = ("drop", "aborted"), ("tx", "redirect")
        hooks = ("xdp-programs", "xdp")
        programs = [c for hook in hooks for c in counted.programs(hook, lost)]
        programs += [*self._ours.get("xdp", ()), *counted.aborted()]
        sent = sum_of(c.lost for hook in hooks for c in counted.programs(hook, elsewhere))
        astray = counted.astray()
        if counted.level("xdp-programs", "seen") == {"fexit"}:  # drivers count what they did send
            sent = sent.less(sum_of(c.lost for c in astray))
        if counted.level("interfaces", "xdp_mode") == {"generic"}:  # the kernel frees them, too
            return self._named("xdp", [*programs, *astray]), sent
        named = self._named("xdp", programs)
        for cause in astray:
            self._add("xdp", *cause)
        return named.plus(sum_of(c.lost for c in astray)), sent

    def _programs(self, stage: str, direction: str) -> Flow:
        programs = self._counted.tc_drops(direction)
        rules = list(self._ours.get(stage, ()))
        if self._counted.traced and rules:  # they count segments
            left = self._kernel(stage).less(sum_of(c.lost for c in programs))
            for i, rule in enumerate(rules):
                rules[i] = Cause(rule.why, rule.lost.shared(left))
                left = left.less(rules[i].lost)
        return self._named(stage, [*rules, *programs])

    def _named(self, stage: str, programs: Sequence[Cause]) -> Flow:
        """Return the same as `_most`.

        Every known dropper is named, even when all packets were freed.
        """
        freed, known = self._kernel(stage), sum_of(c.lost for c in programs)
        if any(c.lost.total for c in programs):
            places, self._causes[stage] = self._ordered(stage), []
            for cause in programs:
                self._add(stage, *cause)
            for place in places[:1]:  # what nobody is known to have dropped was freed there
                self._add(stage, place.why, freed.less(known))
        lost = freed.most(known)
        return lost if known.per_s is not None else Flow(lost.total, None)

    def _nic(self, xdp: Flow) -> Flow:
        """Return the loss in the device and its driver.

        What rx_dropped has beyond the kernel's own drops.
        """
        own = self._own("rx_dropped", self._rx_dropped)
        if self._counted.level("interfaces", "kind", "driver") & COUNT_XDP_DROPS:
            own = own.less(xdp)
        others = {name: self._counted.link(name) for name in ("rx_missed", "rx_errors")}
        return self._device("nic", own, "rx_dropped", others)

    def _wire(self) -> Flow:
        own = self._own("tx_dropped", self._tx_dropped)
        return self._device("wire", own, "tx_dropped", {"tx_errors": self._tx_errors})

    def _own(self, name: str, left: Flow) -> Flow:
        """Return the rest of a link's counter, if it exceeds the doubt in what was explained."""
        return self._sure(left, (self._counted.link(name) or Flow()).less(left))

    def _device(self, stage: str, own: Flow, name: str, others: Mapping[str, Flow | None]) -> Flow:
        told = name if self._counted.traced else f"{name}: by the device or the stack"
        self._add(stage, told, own)
        for other, counted in others.items():
            self._add(stage, other, counted or Flow())
        return self._kernel(stage)
