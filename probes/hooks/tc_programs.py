"""TC programs: verdicts of other people's TCX programs and clsact filters, in running order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from probes.foreign import counters_c, followers, tcx_neighbours
from probes.foreign.counters_c import NO_ANSWERS, Answers, ProgramPlace, Verdicts
from probes.foreign.followers import Followed, Followers
from probes.foreign.names import ProgramNames
from probes.foreign.program_holders import ProgramHolders
from probes.foreign.tc_chains import TCX, ChainProgram, Chains
from probes.foreign.tcx_neighbours import Neighbours
from probes.point import PROGRAM_PREFIX
from probes.toolkit import (
    CONTAINER,
    NETNS,
    Hook,
    Opening,
    Reading,
    Row,
    Rung,
    Unit,
    Value,
    bpf_program,
    byte_count,
    given,
    interface,
    key,
    level,
    packet_count,
    program_holders,
    program_time,
    row_from,
)

_SHOT, _REDIRECT, _STOLEN, _TRAP = 2, 7, 4, 8  # TC_ACT_*; TCX knows the first two only
NOT_DIRECT = "it returns a class, not a verdict: the filter is not direct-action"


def _rows(
    opening: Opening,
    sitting: Sequence[ChainProgram],
    told: Callable[[ChainProgram], dict[str, Value] | None],
) -> list[Row]:
    """Return a row for each place, numbered by chain.

    told: gives the other columns, None for a place that is left out.
    """
    rows: list[Row] = []
    numbers: Counter[tuple[int, str]] = Counter()
    for one in sitting:
        known = told(one)
        if known is None:
            continue
        chain = one.place.ifindex, one.direction
        numbers[chain] += 1
        known |= {
            "ifindex": one.place.ifindex,
            "interface": one.interface,
            "direction": one.direction,
            "position": numbers[chain],
            "program_id": one.place.program,
            "at": one.at,
        }
        rows.append(row_from(opening.hook.stored, known))
    return rows


def _followed(ways: Sequence[str]) -> Callable[[Opening], Callable[[], Reading]]:
    return lambda opening: _ChainPrograms(opening, ways).read


class _ChainPrograms:
    """The programs of all chains, each counted as precisely as possible."""

    def __init__(self, opening: Opening, ways: Sequence[str]) -> None:
        self._opening = opening
        self._chains, self._followers = Chains(), Followers(opening, ways)
        self._counts = _ExitCounts(opening) if opening.tables else None
        self._holders = ProgramHolders()
        self._look()

    def _look(self) -> list[ChainProgram]:
        """Return where programs are attached now; follow those that are new."""
        if self._counts is not None:
            self._counts.read()
        sitting = self._chains.list()
        self._held = self._followers.keep([one.place for one in sitting])
        self._holders.keep(followers.ids_of(self._held))
        if self._counts is not None:
            self._counts.keep(sitting, self._held)
        return sitting

    def read(self) -> Reading:
        sitting = self._look()
        self._places = Counter(one.place for one in sitting)
        self._programs = Counter(one.place.program for one in sitting)
        rows = _rows(self._opening, sitting, self._told)
        return Reading(rows, self._counts.lost() if self._counts else 0)

    def _told(self, one: ChainProgram) -> dict[str, Value] | None:
        followed = self._held.get(one.place.program)
        if followed is None or followed.ours:
            return None
        known: dict[str, Value] = {"program": followed.name, "seen": followed.seen}
        known["held_by"] = self._holders.of(followed.id)
        known |= followers.time_of(followed)
        if self._counts is None:
            return known | self._runs(one, followed, followed.why)
        if followed.seen == followers.FEXIT:
            counted = _by_verdict(one, followed, self._counts.answers.get(one.place))
            return known | _once(counted, followed.why, self._places[one.place])
        tcx_neighbours, why = self._counts.around(one)
        if tcx_neighbours is None:
            return known | self._runs(one, followed, _and(followed.why, why))
        # What refused fexit to this one is worth telling.
        refused = followed.why if followed.why != followers.ONLY_RUNS else ""
        return known | tcx_neighbours | {"why": _and(refused, why)}

    def _runs(self, one: ChainProgram, followed: Followed, why: str) -> dict[str, Value]:
        return _once({"packets": followed.runs()}, why, self._programs[one.place.program])


def _and(*sentences: str) -> str:
    return "; ".join(filter(None, sentences))


class _ExitCounts:
    """The counts of our programs: at the exits of others, or around them in TCX chains."""

    def __init__(self, opening: Opening) -> None:
        self._verdicts = Verdicts(opening)
        self._neighbours = Neighbours(opening, self._verdicts)
        self.lost = self._verdicts.lost
        self.answers: Mapping[ProgramPlace, Answers] = {}

    def read(self) -> None:
        """Read all counts. Call before listing places; see `Verdicts`."""
        self.answers = self._verdicts.read()

    def keep(self, sitting: Sequence[ChainProgram], held: Mapping[int, Followed]) -> None:
        """Put our programs around those without fexit, and release those that have gone."""
        places = [one.place for one in sitting]
        self._verdicts.forget(self.answers.keys() - set(places))
        chained = [one.place for one in sitting if one.at == TCX]
        ours = {id for id, followed in held.items() if followed.ours}
        wanted = {
            place
            for place in chained
            if place.program in held.keys() - ours and held[place.program].seen != followers.FEXIT
        }
        self._neighbours.keep(chained, wanted, ours, self.answers)

    def around(self, one: ChainProgram) -> tuple[dict[str, Value] | None, str]:
        """Return what our programs around it counted (None: there are none) and what is missing."""
        if one.at != TCX:
            return None, ""
        return self._neighbours.counted(one.place, self.answers)


def _once(counted: dict[str, Value], why: str, places: int) -> dict[str, Value]:
    """Return the count; None for a program in several places, which it does not distinguish."""
    if places == 1:
        return {"why": why} | counted
    return {"why": _and(why, f"attached in {places} places, which its count does not distinguish")}


def _by_verdict(one: ChainProgram, followed: Followed, answers: Answers | None) -> dict[str, Value]:
    packets, octets, skbs = answers or NO_ANSWERS
    known: dict[str, Value] = {"packets": sum(packets), "bytes": sum(octets)}
    if not one.direct:
        return known | {"why": _and(followed.why, NOT_DIRECT)}
    other = 0 if one.at == TCX else packets[_STOLEN] + packets[_TRAP]
    gone = packets[_SHOT] + packets[_REDIRECT] + other
    return known | {
        "pass": sum(packets) - gone,
        "drop": packets[_SHOT],
        "redirect": packets[_REDIRECT],
        "drop_skbs": skbs[_SHOT],
        "redirect_skbs": skbs[_REDIRECT],
        "other": other,
    }


def _from_netlink(opening: Opening) -> Callable[[], Reading]:
    """List who is attached where; names need the privilege to read programs."""
    names, chains = ProgramNames(), Chains()

    def told(one: ChainProgram) -> dict[str, Value] | None:
        name = names[one.place.program]
        if (name or "").startswith(PROGRAM_PREFIX):
            return None
        return {"program": name, "seen": followers.NONE, "why": followers.UNCOUNTED}

    return lambda: Reading(_rows(opening, chains.list(), told))


HOOK = Hook(
    name="tc-programs",
    title="TC programs",
    question="Whose programs packets pass at TC, in which order, and which of them drop packets.",
    columns=given(
        *interface(),
        key("direction", "Direction", "ingress or egress", width=9),
        level(
            "position",
            "Pos",
            "1 runs first; programs of ebpftop are not counted",
            Unit.NUMBER,
            width=3,
        ),
        *bpf_program(),
        key("at", "At", "tcx, or the filter's prio and handle", width=16),
        *program_holders(),
        level("seen", "Seen", "how it is counted: fexit, around, runs or none", width=5),
        level("why", "Why", "what the count lacks, and why", width=30),
        packet_count("packets", "Packets", "packets the program received"),
        byte_count("bytes", "Bytes", "size of these packets when they left the program"),
        packet_count("pass", "Pass", "passed, to the next program or on from TC"),
        packet_count("drop", "Drop", "dropped (TC_ACT_SHOT)"),
        packet_count("redirect", "Redirect", "sent to another interface"),
        packet_count("other", "Other", "stolen or trapped"),
        packet_count(
            "ended", "Ended", "seen by around: packets that did not go on, for an unknown reason"
        ),
        packet_count(
            "drop_skbs",
            "drop skbs",
            "dropped, counting a GSO packet as one; used by the funnel",
            hidden=True,
        ),
        packet_count(
            "redirect_skbs",
            "redirect skbs",
            "sent elsewhere, counting a GSO packet as one; used by the funnel",
            hidden=True,
        ),
        *program_time(),
        CONTAINER,
        NETNS,
    ),
    ladder=(
        Rung(
            "fexit",
            "Linux 5.6, BTF, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN",
            _followed(counters_c.TC_WAYS),
            source=counters_c.TC_SOURCE,
            types=counters_c.TC_TYPES,
            programs=counters_c.PROGRAMS,
            precheck=followers.unreachable,
        ),
        Rung(
            tcx_neighbours.AROUND,
            "Linux 6.6, CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN",
            _followed(()),
            source=counters_c.AROUND_SOURCE,
            precheck=tcx_neighbours.unplaceable,
        ),
        Rung("runs", "Linux 5.8, CAP_SYS_ADMIN", _followed(()), precheck=followers.uncountable),
        Rung("netlink", "nothing (TCX: CAP_NET_ADMIN)", _from_netlink, from_zero=False),
    ),
    order=42,
    rows_go=True,
)
