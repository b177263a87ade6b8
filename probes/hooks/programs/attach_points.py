"""Attach points of every BPF program, in words: "xdp eth0 native", "fentry do_exit".

From links, netlink, TCX chains and cgroups. Devices and netlink attachments of other network
namespaces are not visible from here; their links are, with the interface's number.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping

from probes.foreign.tc_chains import TCX, Chains
from probes.hooks.programs.link_words import LinkContext, link_in_words
from probes.kernel import bpf, btf, cgroups
from probes.kernel.netlink import route
from probes.kernel.objects import KernelProgram, Map, attach_name, links
from probes.kernel.remembered import remembered
from probes.kernel.tick_cache import cached
from probes.units import printable

Where = dict[int, tuple[str, ...]]
"""A program's id -> its attach points, in a stable order."""
_FLOW_DISSECTOR = 17  # enum bpf_attach_type


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
    context = LinkContext(programs, maps, cgroups.path, on_device)
    for link in linked:
        if text := link_in_words(link, context):
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
