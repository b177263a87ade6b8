"""XDP programs: verdicts of other people's XDP programs, by interface and program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from probes.foreign import counters_c
from probes.foreign import followers as foreign
from probes.foreign.counters_c import NO_ANSWERS, Answers, ProgramPlace, Verdicts
from probes.foreign.followers import Followed, Followers
from probes.foreign.names import ProgramNames
from probes.foreign.program_holders import ProgramHolders
from probes.kernel import ethtool, objects
from probes.kernel.netlink import route
from probes.point import PROGRAM_PREFIX
from probes.toolkit import (
    CONTAINER,
    NETNS,
    VERDICTS,
    Hook,
    Opening,
    Reading,
    Row,
    Rung,
    Unit,
    Value,
    bpf_program,
    byte_count,
    cached,
    given,
    interface,
    level,
    packet_count,
    program_holders,
    program_time,
    row_from,
    verdicts,
)
from probes.toolkit.bounded import Bounded

_DRIVERS = ("packets", *VERDICTS)
"""Verdicts that drivers may count themselves."""
Sitting = tuple[route.Interface, str, ProgramPlace]
"""An interface, the mode of its XDP program, and the program."""


def _sitting(counted: Collection[ProgramPlace] = ()) -> list[Sitting]:
    """Return where XDP programs are attached.

    counted: places that a map knows: all of them are older than the list.
    """
    sitting = _on(cached(route.links))
    if not {place for *_, place in sitting}.issuperset(counted):
        return _on(route.links())
    return sitting


def _on(links: Iterable[route.Interface]) -> list[Sitting]:
    return [
        (link, mode, ProgramPlace(id, link.ifindex))
        for link in links
        for mode, id in link.xdp_programs
    ]


def _known(
    link: route.Interface, mode: str, place: ProgramPlace, name: str | None
) -> dict[str, Value]:
    return {
        "ifindex": link.ifindex,
        "interface": link.name,
        "program_id": place.program,
        "program": name,
        "mode": mode,
    }


def _followed(ways: Sequence[str]) -> Callable[[Opening], Callable[[], Reading]]:
    def open(opening: Opening) -> Callable[[], Reading]:
        followers, drivers = Followers(opening, ways), ethtool.Since()
        verdicts = Verdicts(opening) if ways else None
        sitting, to_cpus = _sitting(), Bounded[int, int]()
        held, holders = followers.keep([place for *_, place in sitting]), ProgramHolders()
        holders.keep(foreign.ids_of(held))
        for one in sitting:
            _by_driver(drivers, one, held.get(one[2].program))  # from now on

        def read() -> Reading:
            answers = verdicts.read() if verdicts is not None else {}
            sitting = _sitting(answers.keys())
            held = followers.keep([place for *_, place in sitting])
            here = Counter(place.program for *_, place in sitting)
            places = {place for *_, place in sitting}
            if verdicts is not None:
                verdicts.forget(answers.keys() - places)
            drivers.keep(places)
            holders.keep(foreign.ids_of(held))
            rows: list[Row] = []
            for link, mode, place in sitting:
                followed = held.get(place.program)
                if followed is None or followed.ours:
                    continue
                known = _known(link, mode, place, followed.name)
                known["by"] = "link" if followers.by_link(place) else "netlink"
                known["held_by"] = holders.of(place.program)
                known["parts"] = followers.parts(place.program)
                known["to_cpus"] = _to_cpus(followed, to_cpus)
                known |= foreign.time_of(followed)
                known |= _counted(followed, answers.get(place), here[place.program])
                known |= _by_driver(drivers, (link, mode, place), followed)
                rows.append(row_from(opening.hook.stored, known))
            return Reading(rows, verdicts.lost() if verdicts is not None else 0)

        return read

    return open


def _to_cpus(followed: Followed, known: dict[int, int]) -> int | None:
    """Return whether packets it redirects may come back on another CPU.

    Asked once for each program.
    """
    if followed.fd is None:
        return None
    if followed.id not in known:
        known[followed.id] = int(objects.uses(followed.fd, "cpumap"))
    return known[followed.id]


def _counted(followed: Followed, answers: Answers | None, interfaces: int) -> dict[str, Value]:
    known: dict[str, Value] = {"seen": followed.seen, "why": followed.why}
    if followed.seen == foreign.FEXIT:
        packets, octets, _ = answers or NO_ANSWERS
        known |= zip(VERDICTS, packets, strict=False)
        known |= zip((f"{v}_bytes" for v in VERDICTS), octets, strict=False)
        return known | {"packets": sum(packets), "bytes": sum(octets)}
    if interfaces == 1:
        return known | {"packets": followed.runs()}
    several = f"attached to {interfaces} interfaces, which its runs do not distinguish"
    return known | {"why": f"{followed.why}; {several}"}


def _by_driver(drivers: ethtool.Since, one: Sitting, followed: Followed | None) -> dict[str, Value]:
    """Return what the driver counts by verdict, where the program's own verdicts are not seen."""
    link, mode, place = one
    if mode != "native" or (followed is not None and followed.seen == foreign.FEXIT):
        return {}
    told = drivers.counted(link.name, place)
    known: dict[str, Value] = {name: told[name] for name in _DRIVERS if name in told}
    if "drop" not in known:
        return {}
    refused = followed.why if followed is not None and followed.why != foreign.ONLY_RUNS else ""
    how = "its driver counts" + ("" if "aborted" in known else ", aborted as dropped")
    return known | {"seen": foreign.DRIVER, "why": f"{refused}; {how}" if refused else how}


def _from_netlink(opening: Opening) -> Callable[[], Reading]:
    """List who is attached where; names need the privilege to read programs."""
    names, drivers = ProgramNames(), ethtool.Since()
    for one in _sitting():
        _by_driver(drivers, one, None)  # from now on

    def read() -> Reading:
        rows = []
        sitting = _sitting()
        drivers.keep({place for *_, place in sitting})
        for link, mode, place in sitting:
            name = names[place.program]
            if name is None or not name.startswith(PROGRAM_PREFIX):
                counted: dict[str, Value] = {"seen": foreign.NONE, "why": foreign.UNCOUNTED}
                known = _known(link, mode, place, name) | counted
                known |= _by_driver(drivers, (link, mode, place), None)
                rows.append(row_from(opening.hook.stored, known))
        return Reading(rows)

    return read


HOOK = Hook(
    name="xdp-programs",
    title="XDP programs",
    question="Which interfaces run another owner's XDP program, and what it drops.",
    columns=given(
        *interface(),
        *bpf_program(),
        level("mode", "Mode", "native, generic or offload", width=7),
        level("by", "By", "attached by link or netlink", width=7),
        *program_holders(),
        level("seen", "Seen", "how it is counted: fexit, driver, runs or none", width=5),
        level("why", "Why", "what the count lacks, and why", width=30),
        level("parts", "Parts", "programs behind a dispatcher (libxdp), as name#id", width=20),
        level("to_cpus", "CPUs", "1: the program has a CPU map", Unit.NUMBER, hidden=True),
        packet_count("packets", "Packets", "packets the program received"),
        *verdicts(),
        byte_count("bytes", "Bytes", "size of all packets when they left the program"),
        *program_time(),
        CONTAINER,
        NETNS,
    ),
    ladder=(
        Rung(
            "fexit",
            "Linux 5.6, BTF, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN",
            _followed(counters_c.XDP_WAYS),
            source=counters_c.XDP_SOURCE,
            types=counters_c.XDP_TYPES,
            programs=counters_c.PROGRAMS,
            precheck=foreign.unreachable,
        ),
        Rung("runs", "Linux 5.8, CAP_SYS_ADMIN", _followed(()), precheck=foreign.uncountable),
        Rung("netlink", "nothing", _from_netlink, from_zero=False),
    ),
    order=22,
    rows_go=True,
)
