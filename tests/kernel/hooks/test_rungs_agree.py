"""All rungs of a hook that this kernel gives tell the same of the same events, row by row.

Each is pinned, one after the other. What a rung cannot tell is in DIFFERENCES, and nothing else is
let pass. Latencies are no part of it.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.model import HookId
from probes.owners.owner_columns import NAMES
from tests.support import calls, opening, sending
from tests.support.connecting import DEFERRED, ITSELF, ways
from tests.support.events import (
    connect,
    exhausted_ports,
    free_port,
    getpgid,
    same_ends,
    server,
    talk,
)
from tests.support.namespaces import FRAME, namespace, run, send, veth
from tests.support.rungs import given, on_each_rung, pinned, unmissed
from tests.support.scenarios import Connects, Values, log_of, rows_of, sample_of, values

pytestmark = pytest.mark.kernel

FRAMES, LONG_FRAMES, CALLS, FAILING = 25, 7, 40, 13
PATIENCE = 5.0
"""Seconds that what the kernel does by itself is waited for."""
MEASURED = {"total_ns", "latency", "ns", "oldest_ns", "late", "via", *NAMES}
"""Columns of time, which no two runs have alike, and names, which are looked up now and then."""

FAILURES = ("refused", "unreachable", "timed_out", "gave_up", "no_port", "other")
COUNTED = ("connects", "established", "failed", *FAILURES, "timed")
"""Counters of an attempt; `timed` are those that have a time."""

# What a rung does not tell as its hook's others do: (hook, rung) -> the change to their rows.
DIFFERENCES: dict[tuple[str, str], Callable[[Values], Values]] = {
    # No callback for an attempt that sends no SYN: it is found out later, and why is not known.
    ("tcp-connect", "sock_ops"): lambda row: _without_reason(row),
    # Its qdisc counts drops; TCX needs none. A dump of qdiscs may be 50 ms older than the rung.
    ("tc-ingress", "clsact"): lambda row: row | {"dropped": 0},
    ("tc-ingress", "tcx"): lambda row: row | {"dropped": 0},
    ("drops", "btf-tracepoint-no-reason"): lambda row: row | {"reason": "-"},
    ("drops", "tracepoint-no-reason"): lambda row: row | {"reason": "-"},
}


def _without_reason(row: Values) -> Values:
    """An attempt of tcp-connect that sent no SYN failed otherwise, by no known error."""
    other = row["other"] + row["unreachable"] + row["no_port"]
    told = {"other": other, "unreachable": 0, "no_port": 0}
    if "errno" in row and not (row["refused"] or row["timed_out"]):
        told["errno"] = 0
    return row | told


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


def _counted(rows: list[Values]) -> Counter[tuple[tuple[str, Any], ...]]:
    return Counter(tuple(row.items()) for row in rows)


def _as_told_by(hook: str, rung: str, rows: list[Values]) -> Counter[tuple[tuple[str, Any], ...]]:
    change = DIFFERENCES.get((hook, rung))
    return _counted([change(row) for row in rows] if change else rows)


def _agree(
    modules: Modules,
    record_property: Callable[[str, object], None],
    spec: str,
    tell: Callable[[Attachment], list[Values]],
    *,
    index: int = 0,
    without: frozenset[str] = frozenset(),
    keep: Callable[[str], None] = lambda _: None,
) -> list[Values]:
    """Requires the rows of the first rung from all others; the rows.

    tell: causes the events on what is attached, and gives the rows that they made. without:
    columns that say which rung it is. keep: told of each source that was compiled.
    """
    id, unlike = HookId.parse(spec), MEASURED | without
    told = {
        name: [{k: v for k, v in row.items() if k not in unlike} for row in rows]
        for name, rows in on_each_rung(modules, spec, tell, index=index, keep=keep).items()
    }
    record_property("agree", ", ".join(told))
    if len(told) < 2:
        pytest.skip(f"this kernel gives {', '.join(told) or 'no rung'} of {spec}: none to compare")
    (first, expected), *others = told.items()
    for name, rows in others:
        # Where the first that this kernel gives tells less, the others are cut down to that, too.
        ours = _as_told_by(id.hook, first, rows)
        assert ours == _as_told_by(id.hook, name, expected), f"{name} is not {first}"
    return expected


# -- TCP -------------------------------------------------------------------------------------


def test_tcp_connects_by_every_end_there_is(
    modules: Modules, keep: Callable[[str], None], record_property: Callable[[str, object], None]
) -> None:
    """Established, refused (both by IPv4 and IPv6), without a route, timed out, given up, pending:
    the rows, and the log."""
    with Connects.ready() as connects:
        logged: dict[str, Counter[Any]] = {}

        def tell(attachment: Attachment) -> list[Values]:
            rows, log = connects.cause(attachment)
            logged[str(attachment.status.rung)] = _counted(
                [{k: v for k, v in entry.items() if k not in MEASURED} for entry in log]
            )
            return rows

        rows = _agree(modules, record_property, "tcp-connect", tell, keep=keep)
        expected = connects.expected()
    counters = set().union(*expected.values()) | {"other"}
    found = {(r["raddr"], r["rport"]): {c: r[c] for c in counters if r[c]} for r in rows}
    assert found == expected
    sent = {name: _sent(log) for name, log in logged.items()}
    first, *others = sent.values()
    for other in others:
        assert (first - other, other - first) == ({}, {}), list(sent)


def _sent(log: Counter[Any]) -> Counter[Any]:
    """Entries of attempts that got as far as a SYN: sock_ops has no others (DIFFERENCES)."""
    return Counter({e: n for e, n in log.items() if ("rport", Connects.NOWHERE) not in e})


def test_tcp_connects_that_fail_within_the_call(
    modules: Modules, record_property: Callable[[str, object], None]
) -> None:
    """No port left, the same four numbers as another connection has, a blackhole of a route."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "route", "add", "blackhole", "198.51.100.7")
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40003")
    with server("127.0.0.1", 195), server("127.0.0.1", 196):
        ends = {"127.0.0.1": (195, 196), "198.51.100.7": (197,)}

        def tell(attachment: Attachment) -> list[Values]:
            with exhausted_ports("127.0.0.1", 195, 4, errno.EADDRNOTAVAIL, 3):
                assert connect("198.51.100.7", 197, 4) == 4
            with same_ends("127.0.0.1", 196, 41000, errno.EADDRNOTAVAIL, 2):
                pass
            if attachment.status.rung == "sock_ops":  # settled a second later
                time.sleep(1.1)
            return [
                r
                for r in values(attachment)
                if r["pid"] == os.getpid() and r["rport"] in ends.get(str(r["raddr"]), ())
            ]

        rows = _agree(modules, record_property, "tcp-connect", tell)
    names = ("connects", "established", "gave_up", "no_port", "other", "errno")
    found = {r["rport"]: tuple([r[name] for name in names]) for r in rows}
    assert found == {
        195: (7, 4, 0, 3, 0, errno.EADDRNOTAVAIL),
        196: (3, 1, 0, 2, 0, errno.EADDRNOTAVAIL),
        197: (4, 0, 0, 0, 4, errno.EINVAL),
    }


def test_tcp_connects_by_every_way_there_is(modules: Modules) -> None:
    """As the process sees each, whatever the rung; what it does not see, its `misses` names."""
    hook, wrong = catalogue()["tcp-connect"], {}
    with ways() as made:

        def tell(attachment: Attachment) -> list[Values]:
            for way in made:
                way.make(way.host, way.port)
            if attachment.status.rung == "sock_ops":  # settled a second later
                time.sleep(1.1)
            sample = sample_of(attachment)
            log = [e for e in log_of(attachment, sample) if e["pid"] == os.getpid()]
            timed = {e["rport"]: e["ns"] is not None for e in log}
            assert (timed[DEFERRED], timed[ITSELF]) == (False, True)
            return [r for r in rows_of(attachment, sample) if r["pid"] in callers()]

        for name, rows in on_each_rung(modules, hook.name, tell).items():
            (rung,) = [r for r in hook.ladder if r.name == name]
            change = DIFFERENCES.get((hook.name, name), dict)
            for way in made:
                mine = [r for r in rows if (r["raddr"], r["rport"]) == (way.host, way.port)]
                found: Counter[str] = Counter()
                for row in mine:
                    row["timed"] = sum(row["latency"])
                    found.update({c: row[c] for c in COUNTED if row[c]})
                expected = {
                    c: n
                    for c, n in change(dict.fromkeys(COUNTED, 0) | dict(way.counted)).items()
                    if n
                }
                named = way.unseen and way.unseen in rung.misses and found == way.instead
                if found != expected and not named:
                    wrong[name, way.host, way.port] = found, expected
        assert not wrong


def test_lives_of_connections_by_every_way_there_is(modules: Modules) -> None:
    """As many at both ends as were established, by whichever way they came to be."""
    with ways() as made:
        ours = {w.port: w for w in made if w.counted.get("established")}

        def established(attachment: Attachment) -> Counter[tuple[int, str]]:
            found: Counter[tuple[int, str]] = Counter()
            for row in values(attachment):
                # Who comes to us is nobody's row: others on this host may be in it, too.
                if row["port"] in ours and (row["side"] == "in" or row["caller"] in callers()):
                    found[row["port"], row["side"]] += row["established"]
            return found

        def missing(added: Counter[tuple[int, str]]) -> list[int]:
            """The ports at which fewer came in than were established."""
            return [
                way.port
                for way in ours.values()
                if way.port != ITSELF and added[way.port, "in"] < way.counted["established"]
            ]

        def tell(attachment: Attachment) -> list[Values]:
            return [unmissed(attachment, lambda: made_by(attachment))]

        def made_by(attachment: Attachment) -> Values:
            before, missed = established(attachment), sample_of(attachment).lost
            for way in ours.values():
                way.make(way.host, way.port)
            end = time.monotonic() + PATIENCE
            while True:  # the other end has its last packet a moment later
                added = established(attachment) - before
                short = missing(added)
                late = time.monotonic() > end or sample_of(attachment).lost != missed
                if not short or late:
                    return {"added": added, "short": short}
                time.sleep(0.01)

        for name, (told,) in on_each_rung(modules, "tcp-life", tell).items():
            assert not told["short"], name
            for way in ours.values():
                assert told["added"][way.port, "out"] == way.counted["established"], (name, way)


def callers() -> set[int]:
    """This process, and those that it had make calls."""
    return {os.getpid(), *calls.children}


@pytest.mark.parametrize("family", ["sock_ops", "tcp_probe"])
def test_round_trip_samples_of_one_connection(modules: Modules, family: str) -> None:
    """At once, for how many segments go over a connection is a matter of time. A callback and a
    tracepoint see different things, so each kind is compared with its own."""
    hook = catalogue()["tcp-rtt"]
    columns = ("laddr", "lport", "raddr", "rport", "pid", "comm", "samples", "retransmits", "from")
    wanted = [r for r in given(hook, 0) if r.name.startswith("sock_ops") == (family == "sock_ops")]
    with ExitStack() as stack, server("127.0.0.1") as port:
        # Rungs of one source would share a module, and with it the maps.
        apart = [Modules(modules._compiler) for _ in wanted]
        found = [
            stack.enter_context(pinned(own, HookId(hook.name), rung.name, 0))
            for own, rung in zip(apart, wanted, strict=True)
        ]
        standing = [a for a in found if a is not None]
        if len(standing) < 2:
            pytest.skip(f"this kernel gives {len(standing)} of these rungs: none to compare")
        stack.callback(talk("127.0.0.1", port, 20).close)
        told = []
        for attachment in standing:
            (row,) = [
                r for r in values(attachment) if (r["rport"], r["pid"]) == (port, os.getpid())
            ]
            told.append(({c: row[c] for c in columns}, row["rtt"]))
    assert told[0][0]["samples"] == sum(told[0][1]) > 0
    assert told[0][0]["from"] == family
    assert told.count(told[0]) == len(told), told


# -- system calls ----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["syscalls", "syscall-processes@getpgid"])
def test_system_calls_with_their_errors(
    modules: Modules, spec: str, record_property: Callable[[str, object], None]
) -> None:
    mine: Mapping[str, object] = (
        {"syscall": "getpgid"} if spec == "syscalls" else {"pid": os.getpid()}
    )

    def tell(attachment: Attachment) -> list[Values]:
        getpgid(0, CALLS)
        getpgid(-1, FAILING)
        return [r for r in values(attachment) if mine.items() <= r.items()]

    (row,) = _agree(modules, record_property, spec, tell)
    assert (row["calls"], row["errors"]) == (CALLS + FAILING, FAILING)


def test_files_are_opened_by_every_way_there_is(modules: Modules, tmp_path: Path) -> None:
    """Each in a process of its own. As the process sees it, or `misses` names it."""
    hook, wrong = catalogue()["opens"], {}
    made = opening.ways(tmp_path)

    def tell(attachment: Attachment) -> list[Values]:
        rows = []
        for way in made:
            pid, code = calls.in_child(way.make)
            assert code in (0, opening.MISSING), f"{way.name}: {code}"
            if code != opening.MISSING:
                found = [r for r in values(attachment) if r["pid"] == pid]
                rows.append({"way": way, "counted": tuple(_sum(found, "opens", "failed"))})
        return rows

    for name, rows in on_each_rung(modules, hook.name, tell).items():
        (rung,) = [r for r in hook.ladder if r.name == name]
        for row in rows:
            way, counted = row["way"], row["counted"]
            if counted != (way.opens, way.failed) and not (
                counted == (0, 0) and way.unseen and way.unseen in rung.misses
            ):
                wrong[name, way.name] = counted, rung.misses
    assert not wrong


def _sum(rows: list[Values], *columns: str) -> list[int]:
    return [sum(int(r[c]) for r in rows) for c in columns]


# -- what is sent ----------------------------------------------------------------------------


def test_bytes_are_sent_by_every_way_there_is(modules: Modules) -> None:
    """As many as the process handed over, by as many calls; or what is missing is named."""
    run("ip", "link", "set", "lo", "up")
    hook, wrong = catalogue()["sent"], {}
    notes: dict[str, str] = {}

    def ours(attachment: Attachment) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for row in values(attachment):
            if row["pid"] == os.getpid():
                found.update({(row["protocol"], c): row[c] for c in ("bytes", "sends", "failed")})
        return found

    def tell(attachment: Attachment) -> list[Values]:
        notes[str(attachment.status.rung)] = attachment.status.note
        rows, before = [], ours(attachment)
        for way in made:
            way.make()
            now = ours(attachment)
            rows.append({"way": way, "counted": +(now - before)})
            before = now
        return rows

    with sending.ways() as made:
        for name, rows in on_each_rung(modules, hook.name, tell).items():
            for row in rows:
                way, counted = row["way"], row["counted"]
                sends = counted[way.protocol, "sends"] if way.sends is None else way.sends
                told = {"bytes": way.octets, "sends": sends, "failed": way.failed}
                expected = {(way.protocol, c): n for c, n in told.items() if n and way.protocol}
                if counted != expected and not (
                    counted in ({}, way.instead) and way.unseen and way.unseen in notes[name]
                ):
                    wrong[name, way.name] = dict(counted), expected
    assert not wrong


def test_a_send_that_is_restarted_is_one(modules: Modules) -> None:
    """Also where signals come while it waits for room."""
    run("ip", "link", "set", "lo", "up")
    seen: Counter[str] = Counter()

    def tell(attachment: Attachment) -> list[Values]:
        before = _sum(_ours(attachment), "bytes", "sends", "failed")
        seen.clear()
        for part in sending.restarted():
            seen.update(part)
        now = _sum(_ours(attachment), "bytes", "sends", "failed")
        assert [a - b for a, b in zip(now, before, strict=True)] == [
            seen[c] for c in ("bytes", "sends", "failed")
        ]
        return []

    on_each_rung(modules, "sent", tell)


def _ours(attachment: Attachment) -> list[Values]:
    return [r for r in values(attachment) if r["pid"] == os.getpid()]


# -- packets ---------------------------------------------------------------------------------


def test_drops_with_place_and_reason(
    modules: Modules, record_property: Callable[[str, object], None]
) -> None:
    """Frames that no protocol takes, and segments to ports where nobody listens."""
    veth()
    closed = {host: free_port(host) for host in ("127.0.0.1", "::1")}

    def tell(attachment: Attachment) -> list[Values]:
        send("v1", FRAMES)
        for host, port in closed.items():
            assert connect(host, port, CALLS) == CALLS
        return [r for r in values(attachment) if r["interface"] in ("v0", "lo")]

    rows = _agree(modules, record_property, "drops", tell)
    found = {(r["interface"], r["protocol"], r["dport"]): r["packets"] for r in rows}
    expected: dict[tuple[Any, ...], int] = {("v0", "0x88b5", None): FRAMES}
    expected |= {("lo", "tcp", port): CALLS for port in closed.values()}
    assert found == expected


@pytest.mark.parametrize("hook", ["tc-ingress", "tc-egress", "xdp"])
def test_packets_and_bytes_of_an_interface(
    modules: Modules, hook: str, record_property: Callable[[str, object], None]
) -> None:
    index, _ = veth()
    sender = "v0" if hook == "tc-egress" else "v1"

    def tell(attachment: Attachment) -> list[Values]:
        send(sender, FRAMES)
        send(sender, LONG_FRAMES, FRAME + b"\0" * 700)
        return values(attachment)

    without = frozenset({"program_id"})
    (row,) = _agree(modules, record_property, f"{hook}@v0", tell, index=index, without=without)
    packets = row["pass"] if hook == "xdp" else row["packets"]
    octets = FRAMES * len(FRAME) + LONG_FRAMES * (len(FRAME) + 700)
    assert (packets, row["bytes"]) == (FRAMES + LONG_FRAMES, octets)
