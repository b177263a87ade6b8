"""Less than everything: the real command takes the best rung left, counts, and says why.

Which rung that is follows from what this kernel gives without the obstacle (`plain`) and from what
the situation takes away. Each runs `doctor` and `stream` side by side, in namespaces of their own,
so that neither is the foreign program of the other.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probes.attach import tcx
from probes.hooks import catalogue
from probes.kernel import capabilities
from tests.support.commands import (
    COMMAND,
    GUEST,
    ROOT,
    held,
    left_of,
    nobody_can_run,
    readable_tree,
)
from tests.support.events import connect, getpgid, server, talk
from tests.support.foreign import somebody
from tests.support.namespaces import FRAME, as_json, namespace, run, send, veth
from tests.support.obstacles import EVERYTHING, SITUATIONS, Situation, reads_memory, rung_of

pytestmark = pytest.mark.kernel
Record = Callable[[str, object], None]

FRAMES, CALLS, FAILING, CONNECTS, STARTS = 25, 40, 13, 6, 3
MISSING = "/ebpftop-test-missing"
SENDER = FRAME[6:12].hex(":")
_VETH = ("link", "add", "name", "v0", "type", "veth", "peer", "name", "v1")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one situation gave, hooks by what was asked for ("xdp@v0")."""

    told: Mapping[str, dict[str, Any]]
    stands: Mapping[str, dict[str, Any]]
    facts: Mapping[str, dict[str, Any]]

    def rungs(self) -> dict[str, str | None]:
        return {spec: hook["rung"] for spec, hook in self.stands.items()}


# -- the stage -------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def beside(tmp_path_factory: pytest.TempPathFactory, ready: None) -> Iterator[str]:  # noqa: ARG001
    """This thread's namespace, and the name of a like one for the doctor.

    Somebody's programs are on v1 here, of which hooks that look for some have to tell, and one
    on w0 that aborts.
    """
    pins = tmp_path_factory.mktemp("pins")
    with namespace(), somebody(pins) as them:
        beside = f"ebpftop-test-{os.getpid()}"
        run("ip", "netns", "add", beside)
        try:
            _, index = veth()
            them.put(them.load("xdp", "acme_xdp", btf=True), index, "native")
            acme = them.load("tc", "acme_tc", btf=True)
            if tcx.missing() is None:
                them.put(acme, index, "ingress")
            else:
                run("tc", "qdisc", "add", "dev", "v1", "clsact")
                them.filter_of(acme, "v1", "ingress", 5)
            third, _ = veth("w0", "w1")
            them.put(them.load("xdp by byte", "acme_aborts", btf=True), third, "native")
            run("ip", "-n", beside, "link", "set", "lo", "up")
            run("ip", "-n", beside, *_VETH)
            for interface in ("v0", "v1"):
                run("ip", "-n", beside, "link", "set", interface, "up")
            yield beside
        finally:
            run("ip", "netns", "del", beside)


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    """The program where every user can read it, with a cache that nobody can write."""
    if not nobody_can_run():
        pytest.skip("an unprivileged user cannot run this Python")
    with readable_tree() as place:
        cache = place / "cache"
        cache.mkdir()
        os.chown(cache, 65534, 65534)
        yield place


@pytest.fixture(scope="module")
def plain(beside: str) -> Seen:
    """The command without any obstacle, but for what this kernel was booted with."""
    return observe(Situation("plain root"), beside, ROOT)


@contextmanager
def _sysctls(wanted: Mapping[str, int]) -> Iterator[None]:
    before = {}
    for name, value in wanted.items():
        file = Path("/proc/sys/kernel", name)
        with suppress(OSError):  # some can only be raised, or not at all
            before[file] = file.read_text()
            file.write_text(str(value))
    try:
        yield
    finally:
        for file, text in before.items():
            if file.read_text() != text:
                with suppress(OSError):
                    file.write_text(text)


def _compile_elsewhere(situation: Situation) -> None:
    """With the distribution's headers a guest compiles for minutes: one hook is enough of that."""
    names = [spec.partition("@")[0] for spec in situation.hooks]
    names.remove("xdp-errors")
    prepare = (sys.executable, "-m", "tests.support.guest.compiling", *names)
    subprocess.run([*situation.before, *prepare], cwd=ROOT, check=True)


# -- the run ---------------------------------------------------------------------------------


def observe(situation: Situation, beside: str, cwd: Path) -> Seen:
    """Runs both commands in a situation, makes events, checks counts and what is left."""
    asked = [word for spec in situation.hooks for word in ("--hook", spec)]
    before = list(situation.before)
    if situation.user:
        before = ["env", f"XDG_CACHE_HOME={cwd}/cache", *before]
    traces = _traces()
    in_place = {"cwd": cwd, "text": True, "stdin": subprocess.DEVNULL}
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A slow machine is above any budget.
    stream = [*before, *COMMAND, "stream", "--budget", "off", "--interval", "0.5", *asked]
    doctor = ["nsenter", f"--net=/run/netns/{beside}", *before, *COMMAND, "doctor", "--json"]
    with (
        subprocess.Popen(stream, **in_place, **piped) as watching,  # type: ignore[call-overload]
        subprocess.Popen([*doctor, *asked], **in_place, **piped) as asking,  # type: ignore[call-overload]
    ):
        try:
            document = _watched(watching, situation)
            found, complaints = asking.communicate()
        finally:
            watching.kill()
            asking.kill()
    assert (asking.returncode, complaints) == (0, "")
    assert _traces() == traces
    told = json.loads(found)
    return Seen(
        {_spec(hook): hook for hook in told["hooks"]},
        {_spec(hook): hook for hook in document["hooks"]},
        {fact["name"]: fact for fact in told["facts"]},
    )


def _watched(stream: subprocess.Popen[str], situation: Situation) -> dict[str, Any]:
    """The stream's line after known events; then it is ended, and nothing of it is left."""
    assert stream.stdout is not None
    first = stream.stdout.readline()
    assert first, stream.communicate()[1]
    with events() as made:
        happened = time.time()
        line = first
        while line and json.loads(line)["time"] <= happened:
            line = stream.stdout.readline()
        # That one may have been read before and printed after; the next was read after it.
        document: dict[str, Any] = json.loads(stream.stdout.readline())
        mine = held(stream.pid)
        stream.send_signal(signal.SIGTERM)
        _, complaints = stream.communicate()
    assert stream.returncode == 128 + signal.SIGTERM
    # What another test's killed one left behind is swept by whoever starts next.
    assert not [line for line in complaints.splitlines() if "left behind by" not in line]
    assert left_of(*mine) == (set(), set())
    assert {_spec(hook) for hook in document["hooks"]} == set(situation.hooks)
    for hook in document["hooks"]:
        _counted(hook, made)
    return document


def _spec(hook: Mapping[str, Any]) -> str:
    return f"{hook['hook']}@{hook['target']}" if hook["target"] else str(hook["hook"])


def _traces() -> dict[str, Any]:
    """What an attachment would show in, in this namespace."""
    return {
        "xdp": [link["ifname"] for link in as_json("ip", "-j", "link") if "xdp" in link],
        "qdiscs": [q for q in as_json("tc", "-j", "qdisc") if q["kind"] == "clsact"],
    }


@dataclass(frozen=True, slots=True)
class Made:
    """port: that of the server that was connected to. lport: the end of the open connection."""

    port: int
    lport: int


@contextmanager
def events() -> Iterator[Made]:
    for interface in ("v0", "v1", "lo", "w1"):
        send(interface, FRAMES)
    getpgid(0, CALLS)
    getpgid(-1, FAILING)
    for _ in range(STARTS):
        with suppress(FileNotFoundError):
            subprocess.run((MISSING,), check=False)
        subprocess.run(("false",), check=False)
    for _ in range(CALLS):
        socket.getaddrinfo("127.0.0.9", 80)
    for _ in range(FAILING):
        with suppress(FileNotFoundError):
            os.open(MISSING, os.O_RDONLY)
    with server("127.0.0.1") as port:
        assert connect("127.0.0.1", port, CONNECTS) == 0
        with talk("127.0.0.1", port, 20) as talking:
            yield Made(port, talking.getsockname()[1])


def _counted(hook: Mapping[str, Any], made: Made) -> None:
    """Attached is not the same as seeing: what happened is in the rows, exactly."""
    spec, rows = _spec(hook), hook["rows"]
    if hook["state"] == "failed":
        assert rows == []
        return
    rung = rung_of(spec, hook["rung"])
    assert hook["state"] == ("passive" if rung.passive else "attached"), hook
    if spec == "tcp-rtt":
        (row,) = (r for r in rows if (r["lport"], r["rport"]) == (made.lport, made.port))
        assert row["srtt_us"] > 0
        assert rung.passive or row["samples"] > 0
    if rung.passive:
        return
    match spec:
        case "xdp@v0":
            assert [r["pass"] for r in rows] == [FRAMES]
        case "xdp@lo":  # it carries the connections as well
            assert [r["pass"] > FRAMES for r in rows] == [True]
        case "tc-ingress@v0" | "tc-egress@v0":
            assert [r["packets"] for r in rows] == [FRAMES]
        case "drops":
            reason = "-" if "no-reason" in rung.name else "UNHANDLED_PROTO"
            mine = [r for r in rows if (r["interface"], r["reason"]) == ("v0", reason)]
            assert sum(r["packets"] for r in mine) == FRAMES, rows
        case "sources@v0":
            (row,) = rows
            assert (row["saddr"], row["protocol"], row["packets"]) == (SENDER, "0x88b5", FRAMES)
        case "xdp-errors":
            (row,) = rows
            assert (row["interface"], row["answer"], row["packets"]) == ("w0", "aborted", FRAMES)
        case "xdp-programs" | "tc-programs":
            (row,) = (r for r in rows if r["interface"] == "v1")
            passed = FRAMES if rung.name == "fexit" else None
            # What runs at a veth's driver is counted by that, too.
            driver = spec == "xdp-programs" and rung.name == "runs"
            assert row["seen"] == ("driver" if driver else rung.name)
            assert (row["packets"], row["pass"]) == (FRAMES, passed)
        case "opens":
            (row,) = (r for r in rows if r["pid"] == os.getpid())
            assert (row["failed"], row["error"]) >= (FAILING, "ENOENT"), row
        case "execs":
            (row,) = (r for r in rows if r["file"] == MISSING)
            assert (row["calls"], row["failed"], row["error"]) == (STARTS, STARTS, "ENOENT")
        case "exits":
            mine = [r for r in rows if (r["comm"], r["end"]) == ("false", "status 1")]
            assert sum(r["ends"] for r in mine) >= STARTS
        case "sent":  # 20 messages of a byte there and back
            mine = [r for r in rows if (r["pid"], r["protocol"]) == (os.getpid(), "tcp")]
            assert len(mine) == 1, (hook, os.getpid())
            (row,) = mine
            # A call that comes while the program is in the middle of another on that CPU is lost.
            seen = 40 - hook["lost"]
            assert (row["bytes"], row["sends"], row["failed"]) == (seen, seen, 0)
        case "dns":
            (row,) = (r for r in rows if (r["pid"], r["host"]) == (os.getpid(), "127.0.0.9"))
            assert (row["lookups"], row["failed"]) == (CALLS, 0)
        case "profile":
            assert sum(r["samples"] for r in rows) > 0
        case "programs":
            (row,) = (r for r in rows if r["name"] == "acme_xdp")
            assert (row["attached_to"], row["ours"]) == ("xdp v1 native", "")
        case "syscalls":
            (row,) = (r for r in rows if r["syscall"] == "getpgid")
            assert (row["calls"], row["errors"]) == (CALLS + FAILING, FAILING)
        case "syscall-processes@getpgid":
            (row,) = (r for r in rows if r["pid"] == os.getpid())
            assert (row["calls"], row["errors"]) == (CALLS + FAILING, FAILING)
        case "sock-addr":
            wanted = ("connect", os.getpid(), made.port)
            (row,) = (r for r in rows if (r["operation"], r["pid"], r["port"]) == wanted)
            assert row["calls"] == 7
        case "protocols@v0":
            found = {r["direction"]: r["packets"] for r in rows if r["link"] == "0x88b5"}
            assert found == {"in": FRAMES, "out": FRAMES}
        case "sk-msg":
            (row,) = (r for r in rows if (r["lport"], r["rport"]) == (made.lport, made.port))
            assert (row["messages"], row["bytes"]) == (20, 20)
        case "cgroup-bytes":
            assert [r["tx_packets"] > 0 for r in rows if r["pid"] == os.getpid()] == [True]
        case "lsm":
            mine = [r for r in rows if (r["pid"], r["check"]) == (os.getpid(), "connect")]
            assert sum(r["checks"] for r in mine) == 7
        case "tcp-life":
            rows = [r for r in rows if r["port"] == made.port]
            assert {r["side"]: (r["established"], r["open"]) for r in rows}["out"] == (7, 1)
        case "tcp-connect":
            (row,) = (r for r in rows if (r["pid"], r["rport"]) == (os.getpid(), made.port))
            assert (row["connects"], row["established"], row["failed"]) == (7, 7, 0)


# -- what must be true of every situation ----------------------------------------------------


def refusals(seen: Seen, spec: str) -> dict[str, dict[str, Any]]:
    return {refusal["rung"]: refusal for refusal in seen.stands[spec]["refused"]}


def answers(seen: Seen, spec: str) -> dict[str, dict[str, Any]]:
    return {rung["rung"]: rung for rung in seen.told[spec]["rungs"]}


def as_predicted(seen: Seen) -> None:
    """The doctor foresees the rung that is taken, or says that it cannot tell."""
    for spec, rung in seen.rungs().items():
        predicted = seen.told[spec]["predicted"]
        if predicted != rung:
            answer = answers(seen, spec)[predicted]["answer"]
            assert answer == "unknown", (spec, predicted, rung, refusals(seen, spec))


def in_a_sentence(refusal: Mapping[str, Any]) -> None:
    """One for what stands in the way, and one for what to do."""
    why, remedy = refusal["why"], refusal["remedy"] or ""
    assert refusal["error"], refusal
    assert 10 < len(why) <= 160, refusal
    assert len(remedy) <= 200, refusal
    assert "\n" not in why + remedy, refusal
    assert why.rstrip(".: ") == why, refusal
    assert ". " not in why, refusal


def given(plain: Seen, spec: str) -> list[str]:
    """The rungs that this kernel gives where nothing stands in the way, best first."""
    refused = set(refusals(plain, spec))
    if "link-native" in refused:  # the device cannot, whichever way it is asked
        refused.add("netlink-native")
    refused |= {name for name, rung in answers(plain, spec).items() if rung["answer"] == "no"}
    hook = catalogue()[spec.partition("@")[0]]
    refused |= {rung.name for rung in hook.ladder if hook.only_pinned(rung)}
    return [rung.name for rung in hook.ladder if rung.name not in refused]


def expected(plain: Seen, situation: Situation, spec: str) -> str | None:
    left = (n for n in given(plain, spec) if not situation.takes_away(rung_of(spec, n)))
    return next(left, None)


def names_the_obstacle(plain: Seen, seen: Seen, situation: Situation, spec: str) -> None:
    """Each rung that the situation took says so, here and in the doctor's words."""
    for name, refusal in refusals(seen, spec).items():
        lack = situation.first_lack(rung_of(spec, name))
        words = next((w for kinds, w in situation.says.items() if lack in kinds), ())
        if name not in given(plain, spec):
            continue
        for told in (refusal, answers(seen, spec)[name]):
            said = f"{told['why']} {told['remedy']}"
            assert all(word in said for word in words), (situation.name, spec, told, words)


def record(note: Record, situation: str, seen: Seen, telling: Sequence[Mapping[str, Any]]) -> None:
    """For the table of kernels: where each hook stands, and one refusal in words."""
    note("situation", situation)
    note("stands", json.dumps(seen.rungs()))
    for refusal in telling[:1]:
        note("obstacle", f"{refusal['why']}. {refusal['remedy'] or ''}".strip())


def test_nothing_in_the_way(plain: Seen, record_property: Record) -> None:
    """The reference of all that follows: doctor and stream agree, and what stands counts."""
    record(record_property, "plain root", plain, [])
    as_predicted(plain)
    for spec in EVERYTHING:
        for refusal in refusals(plain, spec).values():
            in_a_sentence(refusal)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: re.sub(r"\W+", "-", s.name))
def test_the_best_rung_left_is_taken_and_the_obstacle_named(
    situation: Situation,
    plain: Seen,
    beside: str,
    record_property: Record,
    request: pytest.FixtureRequest,
) -> None:
    if why := situation.impossible():
        pytest.skip(why)
    if capabilities.lockdown() == "confidentiality":
        pytest.skip("told apart from lockdown=confidentiality where that is not in the way too")
    cwd = request.getfixturevalue("tree") if situation.user else ROOT
    if GUEST and situation.compiles:
        _compile_elsewhere(situation)
    with _sysctls(situation.sysctls):
        seen = observe(situation, beside, cwd)
    lost = [
        refusal
        for spec in situation.hooks
        for name, refusal in refusals(seen, spec).items()
        if name in given(plain, spec)
    ]
    record(record_property, situation.name, seen, lost)
    wanted = {spec: expected(plain, situation, spec) for spec in situation.hooks}
    assert seen.rungs() == wanted, lost
    as_predicted(seen)
    for spec in situation.hooks:
        for refusal in refusals(seen, spec).values():
            in_a_sentence(refusal)
        names_the_obstacle(plain, seen, situation, spec)
    for name in situation.facts:
        assert not seen.facts[name]["ok"]
        assert seen.facts[name]["remedy"]


def test_lockdown_leaves_what_reads_no_kernel_memory(plain: Seen, record_property: Record) -> None:
    """In the mode that this kernel was booted with; integrity takes nothing."""
    mode = capabilities.lockdown()
    if mode == "none":
        pytest.skip("this kernel was not booted with lockdown=")
    taken = []
    for spec in EVERYTHING:
        for name, refusal in refusals(plain, spec).items():
            hidden = mode == "confidentiality" and reads_memory(spec, name)
            in_a_sentence(refusal)
            assert ("locked down" in refusal["why"]) is hidden, refusal
            assert ("lockdown=" in (refusal["remedy"] or "")) is hidden, refusal
            taken += [refusal] if hidden else []
        assert plain.rungs()[spec] is None or not (
            mode == "confidentiality" and reads_memory(spec, str(plain.rungs()[spec]))
        )
    as_predicted(plain)
    assert plain.facts["lockdown"]["value"] == mode
    record(record_property, f"lockdown={mode}", plain, taken)
