"""Descriptions of BPF links: one function for each of the kernel's types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from probes.kernel import bpf, btf
from probes.kernel.objects import KernelProgram, Link, Map, attach_name
from probes.owners.processes import shared as owners
from probes.toolkit.interface_names import name_or_number
from probes.units import printable

_TRACING = {"trace_fentry": "fentry", "trace_fexit": "fexit", "modify_return": "fmod_ret"}
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")  # enum nf_inet_hooks
_FAMILIES = {2: "ipv4", 10: "ipv6"}
_EVENTS = {0: "hardware", 1: "software", 2: "tracepoint", 3: "cache", 4: "raw", 5: "breakpoint"}


@dataclass(frozen=True, slots=True)
class LinkContext:
    """The parts of this host that links refer to by numbers.

    path: of a cgroup's id. on_device: programs with the number of an interface where they are known
    to be already.
    """

    programs: Mapping[int, KernelProgram]
    maps: Mapping[int, Map]
    path: Callable[[int], str]
    on_device: AbstractSet[tuple[int, int]]


def link_in_words(link: Link, context: LinkContext) -> str:
    """Return where a link attaches its program; "" where that was said already."""
    named = _TYPES.get(link.type)
    return named(link, context) if named else link.type


def _device(link: Link, context: LinkContext) -> str:
    ifindex = link.info.tcx.ifindex  # in one place for XDP, TCX and netkit
    if (link.program, ifindex) in context.on_device:
        return ""
    if not ifindex:
        return f"{link.type} of an interface that is gone"
    if link.type == "netkit":
        return f"{attach_name(link.info.netkit.attach_type)} {_of_netkit(link, ifindex)}"
    return f"{link.type} if{ifindex} of another network namespace"


def _of_netkit(link: Link, ifindex: int) -> str:
    """Name a netkit device, whose number may belong to another network namespace."""
    try:
        here = link.program in bpf.prog_query(ifindex, link.info.netkit.attach_type)
    except OSError:  # no such interface, or no netkit
        here = False
    return name_or_number(ifindex) if here else f"if{ifindex} of another network namespace"


def _named(link: Link, _: LinkContext) -> str:
    return f"{link.type} {printable(link.name)}"


def _tracing(link: Link, context: LinkContext) -> str:
    """Name a tracing target.

    The kernel gives a BTF object or a program, and the id of a type in it.
    """
    info = link.info.tracing
    attached, target, type = attach_name(info.attach_type), info.target_obj_id, info.target_btf_id
    own = context.programs.get(link.program)
    kind = "freplace" if own and own.type == "ext" else attached
    kind = _TRACING.get(kind, kind.removeprefix("trace_").removesuffix("_mac"))
    other = context.programs.get(target)
    of_program = own is not None and (own.type == "ext" or own.target[0] not in (0, target))
    if other is not None and of_program:
        return f"{kind} of {printable(other.name)}#{other.id}"
    function = printable(btf.name(type)) if target else ""
    return f"{kind} {function.removeprefix('bpf_lsm_')}".rstrip()


def _cgroup(link: Link, context: LinkContext) -> str:
    info = link.info.cgroup
    return f"{attach_name(info.attach_type)} {context.path(info.cgroup_id)}"


def _netns(link: Link, _: LinkContext) -> str:
    info = link.info.netns
    (name,) = owners.namespaces([info.netns_ino])
    called = f" ({name})" if name else ""
    return f"{attach_name(info.attach_type)} netns {info.netns_ino}{called}"


def _kprobe_multi(link: Link, _: LinkContext) -> str:
    info = link.info.kprobe_multi
    return f"{'kretprobe' if info.flags & 1 else 'kprobe'} multi, {info.count} functions"


def _uprobe_multi(link: Link, _: LinkContext) -> str:
    info = link.info.uprobe_multi
    kind = "uretprobe" if info.flags & 1 else "uprobe"
    return f"{kind} multi {printable(link.name)}, {info.count} places"


def _map(link: Link, context: LinkContext) -> str:
    at = link.info.sockmap.map_id  # in one place for sockmaps and struct_ops
    known = printable(context.maps[at].name) if at in context.maps else str(at)
    kind = attach_name(link.info.sockmap.attach_type) if link.type == "sockmap" else link.type
    return f"{kind} {known}"


def _netfilter(link: Link, _: LinkContext) -> str:
    number, pf = link.info.netfilter.hooknum, link.info.netfilter.pf
    hook = _HOOKS[number] if number < len(_HOOKS) else number
    return f"netfilter {_FAMILIES.get(pf, pf)} {hook} prio {link.info.netfilter.priority}"


def _event(link: Link, _: LinkContext) -> str:
    number = link.info.perf_event.type
    return _PERF[number](link) if number < len(_PERF) else _untold(link)


def _untold(_: Link) -> str:
    return "perf event"  # before Linux 6.6 the kernel tells no more


def _probe(kind: str) -> Callable[[Link], str]:
    def name(link: Link) -> str:
        offset = link.info.perf_event.uprobe.offset  # in one place for all four
        return f"{kind} {printable(link.name)}{f'+{offset:#x}' if offset else ''}"

    return name


def _tracepoint(link: Link) -> str:
    return f"tracepoint {printable(link.name)}"


def _counted(link: Link) -> str:
    event = link.info.perf_event.event
    return f"perf event {_EVENTS.get(event.type, f'PMU {event.type}')} {event.config}"


_PERF = (
    _untold,
    *map(_probe, ("uprobe", "uretprobe", "kprobe", "kretprobe")),
    _tracepoint,
    _counted,
)
"""Descriptions by enum bpf_perf_event_type."""
_TYPES: dict[str, Callable[[Link, LinkContext], str]] = {
    **dict.fromkeys(("xdp", "tcx", "netkit"), _device),
    **dict.fromkeys(("raw_tracepoint", "iter"), _named),
    **dict.fromkeys(("struct_ops", "sockmap"), _map),
    "tracing": _tracing,
    "cgroup": _cgroup,
    "netns": _netns,
    "perf_event": _event,
    "kprobe_multi": _kprobe_multi,
    "uprobe_multi": _uprobe_multi,
    "netfilter": _netfilter,
}
"""Descriptions by enum bpf_link_type; links of other types are named by their type."""
