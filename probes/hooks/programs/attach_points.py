"""Attach points of every BPF program, in words: "xdp eth0 native", "fentry do_exit".

From links, netlink, TCX chains and cgroups. Devices and netlink attachments of other network
namespaces are not visible from here; their links are, with the interface's number.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping

from probes.foreign.tc_chains import TCX, Chains
from probes.kernel import bpf, btf, cgroups
from probes.kernel.netlink import route
from probes.kernel.objects import KernelProgram, Link, Map, attach_name, links
from probes.kernel.remembered import remembered
from probes.toolkit.interface_names import name_or_number
from probes.toolkit.tick_cache import cached
from probes.units import printable

Where = dict[int, tuple[str, ...]]
"""A program's id -> its attach points, in a stable order."""
_FLOW_DISSECTOR = 17  # enum bpf_attach_type
_TRACING = {"trace_fentry": "fentry", "trace_fexit": "fexit", "modify_return": "fmod_ret"}
_PERF = (
    "", "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint", "perf event",
)  # fmt: skip
"""enum bpf_perf_event_type."""
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")  # enum nf_inet_hooks
_FAMILIES = {2: "ipv4", 10: "ipv6"}
_EVENTS = {0: "hardware", 1: "software", 2: "tracepoint", 3: "cache", 4: "raw", 5: "breakpoint"}


def where(programs: Mapping[int, KernelProgram], maps: Mapping[int, Map]) -> Where:
    """Return where each program is attached. Raises OSError (EPERM), ProbeError."""
    found: dict[int, list[str]] = {}
    on_device: set[tuple[int, int]] = set()
    for program, ifindex, text in _on_devices():
        found.setdefault(program, []).append(text)
        on_device.add((program, ifindex))
    linked = links()
    kinds = {p.type for p in programs.values()}
    cgroups = Cgroups(kinds, (x.info.cgroup.cgroup_id for x in linked if x.type == "cgroup"))
    for program, text in (*cgroups.attached, *_in_netns()):
        found.setdefault(program, []).append(text)
    for link in linked:
        text = _linked(link, programs, maps, cgroups, on_device)
        if text:
            found.setdefault(link.program, []).append(text)
    return {program: tuple(dict.fromkeys(texts)) for program, texts in found.items()}


# -- devices ---------------------------------------------------------------------------------


def _on_devices() -> Iterator[tuple[int, int, str]]:
    """Return (program, interface's number, attach point) of this network namespace."""
    for link in cached(route.links):
        for mode, program in link.xdp_programs:
            yield program, link.ifindex, f"xdp {printable(link.name)} {mode}"
    for one in Chains().list():
        name = printable(one.interface)
        if one.at == TCX:
            text = f"tcx/{one.direction} {name}"
        else:
            text = f"tc {one.direction} {name} {one.at.partition(' handle')[0]}"
        yield one.place.program, one.place.ifindex, text


def _in_netns() -> Iterator[tuple[int, str]]:
    fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        for program in bpf.prog_query(fd, _FLOW_DISSECTOR):
            yield program, "flow_dissector"
    except OSError:
        return  # CAP_NET_ADMIN, or a kernel without it
    finally:
        os.close(fd)


# -- cgroups ---------------------------------------------------------------------------------


class Cgroups:
    """The cgroup tree as far as it is needed.

    kinds: the types of the programs that exist; ids: the cgroups whose paths will be needed.
    attached: (program, attach point).
    """

    def __init__(self, kinds: Iterable[str], ids: Iterable[int]) -> None:
        types = [t for kind in sorted(kinds) for t in _cgroup_types().get(kind, ())]
        wanted = set(ids)
        self._of: cgroups.Paths | None = None
        self.attached: list[tuple[int, str]] = []
        root = cgroups.root()
        if root is None or not (types or wanted):
            return
        # What is far down in a tree with very many is not asked, but found where a link names it.
        self._of = cgroups.Paths() if wanted else None
        for _, folder in cgroups.folders(root) if types else ():
            try:
                self._query(folder, printable(cgroups.below(root, folder) or "/"), types)
            except OSError:
                continue  # gone meanwhile

    def _query(self, path: str, shown: str, types: list[int]) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for type in list(types):
                try:
                    programs = bpf.prog_query(fd, type)
                except OSError as refused:
                    if refused.errno != errno.ENOENT:
                        types.remove(type)  # this kernel has none, or we may not ask
                    continue
                self.attached += [(p, f"{attach_name(type)} {shown}") for p in programs]
        finally:
            os.close(fd)

    def path(self, id: int) -> str:
        path = self._of.of(id) if self._of is not None else ""
        return printable(path) if path.startswith("/") else f"cgroup {id}"


@remembered
def _cgroup_types() -> Mapping[str, tuple[int, ...]]:
    """Return type of program -> the attach types at cgroups that it may have."""
    kinds = {
        "inet_ingress": "cgroup_skb",
        "inet_egress": "cgroup_skb",
        "inet_sock_create": "cgroup_sock",
        "inet_sock_release": "cgroup_sock",
        "inet4_post_bind": "cgroup_sock",
        "inet6_post_bind": "cgroup_sock",
        "sock_ops": "sock_ops",
        "device": "cgroup_device",
        "sysctl": "cgroup_sysctl",
        "getsockopt": "cgroup_sockopt",
        "setsockopt": "cgroup_sockopt",
    }
    found: dict[str, list[int]] = {}
    for number, name in btf.enum("bpf_attach_type").items():
        if name.startswith("BPF_CGROUP_"):
            short = name.removeprefix("BPF_CGROUP_").lower()
            found.setdefault(kinds.get(short, "cgroup_sock_addr"), []).append(number)
        elif name == "BPF_LSM_CGROUP":
            found.setdefault("lsm", []).append(number)
    return {kind: tuple(numbers) for kind, numbers in found.items()}


# -- links -----------------------------------------------------------------------------------


def _linked(
    link: Link,
    programs: Mapping[int, KernelProgram],
    maps: Mapping[int, Map],
    cgroups: Cgroups,
    on_device: set[tuple[int, int]],
) -> str:
    """Return where a link attaches its program; "" where that was said already, or is not known."""
    name, info = printable(link.name), link.info
    match link.type:
        case "xdp" | "tcx" | "netkit":
            ifindex = info.tcx.ifindex  # in one place for all three
            if (link.program, ifindex) in on_device:
                return ""
            if not ifindex:
                return f"{link.type} of an interface that is gone"
            if link.type == "netkit":
                return f"{attach_name(info.netkit.attach_type)} {_of_netkit(link, ifindex)}"
            return f"{link.type} if{ifindex} of another network namespace"
        case "raw_tracepoint" | "iter":
            return f"{link.type} {name}"
        case "tracing":
            return _tracing(link, programs)
        case "cgroup":
            return f"{attach_name(info.cgroup.attach_type)} {cgroups.path(info.cgroup.cgroup_id)}"
        case "netns":
            return f"{attach_name(info.netns.attach_type)} netns {info.netns.netns_ino}"
        case "perf_event":
            return _event(link, name)
        case "kprobe_multi":
            kind = "kretprobe" if info.kprobe_multi.flags & 1 else "kprobe"
            return f"{kind} multi, {info.kprobe_multi.count} functions"
        case "uprobe_multi":
            kind = "uretprobe" if info.uprobe_multi.flags & 1 else "uprobe"
            return f"{kind} multi {name}, {info.uprobe_multi.count} places"
        case "struct_ops" | "sockmap":
            at = info.sockmap.map_id  # in one place for both
            known = printable(maps[at].name) if at in maps else str(at)
            kind = attach_name(info.sockmap.attach_type) if link.type == "sockmap" else link.type
            return f"{kind} {known}"
        case "netfilter":
            number, pf = info.netfilter.hooknum, info.netfilter.pf
            hook = _HOOKS[number] if number < len(_HOOKS) else number
            family = _FAMILIES.get(pf, pf)
            return f"netfilter {family} {hook} prio {info.netfilter.priority}"
        case _:
            return link.type


def _of_netkit(link: Link, ifindex: int) -> str:
    """Name a netkit device, whose number may belong to another network namespace."""
    try:
        here = link.program in bpf.prog_query(ifindex, link.info.netkit.attach_type)
    except OSError:  # no such interface, or no netkit
        here = False
    return name_or_number(ifindex) if here else f"if{ifindex} of another network namespace"


def _tracing(link: Link, programs: Mapping[int, KernelProgram]) -> str:
    """Name a tracing target.

    The kernel gives a BTF object or a program, and the id of a type in it.
    """
    info = link.info.tracing
    attached, target, type = attach_name(info.attach_type), info.target_obj_id, info.target_btf_id
    own = programs.get(link.program)
    kind = "freplace" if own and own.type == "ext" else attached
    kind = _TRACING.get(kind, kind.removeprefix("trace_").removesuffix("_mac"))
    other = programs.get(target)
    of_program = own is not None and (own.type == "ext" or own.target[0] not in (0, target))
    if other is not None and of_program:
        return f"{kind} of {printable(other.name)}#{other.id}"
    function = printable(btf.name(type)) if target else ""
    return f"{kind} {function.removeprefix('bpf_lsm_')}".rstrip()


def _event(link: Link, name: str) -> str:
    info = link.info.perf_event
    text = _PERF[info.type] if info.type < len(_PERF) else ""
    match text:
        case "uprobe" | "uretprobe" | "kprobe" | "kretprobe":
            offset = info.uprobe.offset  # in one place for all four
            return f"{text} {name}{f'+{offset:#x}' if offset else ''}"
        case "tracepoint":
            return f"tracepoint {name}"
        case "perf event":
            of = _EVENTS.get(info.event.type, f"PMU {info.event.type}")
            return f"perf event {of} {info.event.config}"
        case _:
            return "perf event"  # before Linux 6.6 the kernel tells no more
