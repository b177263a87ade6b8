"""The real command on the real kernel: its JSON, its exit status, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.compile.bcc_worker import SITES
from probes.hooks import catalogue
from probes.model import Kind, Reach, TargetKind
from tests.support.commands import COMMAND, NOBODY, ROOT, ebpftop, held, left_of, running
from tests.support.namespaces import as_json, namespace, run, send, veth

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

SAFE = [h for h in catalogue().values() if h.reach is Reach.OBSERVES and not h.on_demand]
EVERYTHING = [
    argument
    for hook in SAFE
    for argument in ("--hook", f"{hook.name}@v0" if hook.target else hook.name)
]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


def _document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def _rungs(document: dict[str, Any]) -> dict[str, set[str]]:
    """The rungs that each hook's targets stand on."""
    rungs: dict[str, set[str]] = {}
    for hook in document["hooks"]:
        rungs.setdefault(hook["hook"], set()).add(hook["rung"])
    return rungs


# -- the format ------------------------------------------------------------------------------


def test_once_as_json_is_the_format_field_by_field() -> None:
    veth()
    began = time.time()
    document = _document(ebpftop("once", "--json", "--for", "0.3"))
    hooks = document.pop("hooks")
    assert isinstance(document.pop("funnel"), list)
    assert isinstance(document.pop("findings"), list)
    when = document.pop("time")
    assert began <= when <= time.time()
    assert document.pop("netns").startswith("netns of "), "that of this test has no name"
    assert document == {
        "format": "ebpftop/1",
        "host": os.uname().nodename,
        "kernel": os.uname().release,
        "interval": 0.3,
        "rules": [],
        "programs": [],
    }
    names = {name for _, name in socket.if_nameindex()}
    assert {"lo", "v0", "v1"} <= names
    targets = {h.name: names if h.target else {None} for h in SAFE}
    assert {h["hook"] for h in hooks} == set(targets)
    for hook in hooks:
        assert hook["target"] in targets[hook["hook"]]
        _is_the_format(hook)


def test_the_funnel_says_where_an_interface_lost_packets() -> None:
    """Field by field; an interface that nothing came to has none."""
    veth()
    veth("w0", "w1")
    with running(
        "stream", "--interval", "0.5", "--hook", "interfaces", "--hook", "drops"
    ) as stream:
        assert stream.stdout is not None
        first = json.loads(stream.stdout.readline())
        send("v1", 25)
        second = json.loads(stream.stdout.readline())
        if not any(f["interface"] == "v0" for f in second["funnel"]):
            second = json.loads(stream.stdout.readline())
    assert not [f for f in first["funnel"] if f["interface"] == "v0"]
    names = {f["interface"] for f in second["funnel"]}
    assert {"v0", "v1"} <= names
    assert not names & {"w0", "w1"}
    (told,) = [f for f in second["funnel"] if f["interface"] == "v0"]
    assert list(told) == ["interface", "unit", "stages"]
    stages = {s["stage"]: s for s in told["stages"]}
    assert list(stages) == [
        "nic", "xdp", "tc-ingress", "stack", "socket", "tc-egress", "qdisc", "wire",
    ]  # fmt: skip
    for stage in stages.values():
        lost = ["lost", "lost_per_s", "ordinary", "ordinary_per_s"]
        came = ["in", "in_per_s", "segments", "segments_per_s"]
        assert list(stage) == ["stage", *came, *lost, "why"]
        assert stage["lost"] == (25 if stage["stage"] == "stack" else 0)
        assert bool(stage["why"]) is bool(stage["lost"])
    assert stages["nic"]["in"] == stages["xdp"]["in"] == stages["stack"]["in"] == 25
    assert stages["socket"]["in"] is None


def _is_the_format(told: dict[str, Any]) -> None:
    hook = catalogue()[told["hook"]]
    assert list(told)[:6] == ["hook", "target", "state", "rung", "refused", "note"]
    assert told["state"] in ("attached", "passive")
    rung = hook.rung(told["rung"])
    assert rung is not None
    assert rung.passive is (told["state"] == "passive")
    better = [r.name for r in hook.ladder[: hook.ladder.index(rung)]]
    assert [r["rung"] for r in told["refused"]] == better, "every better rung says why not"
    for refusal in told["refused"]:
        assert refusal["error"]
        assert refusal["why"]
    assert isinstance(told["lost"], int)
    _is_a_cost(told["cost"], passive=rung.passive)
    shown = [c for c in hook.columns if not c.hidden]
    assert [c["name"] for c in told["columns"]] == [c.name for c in shown]
    assert [c["unit"] for c in told["columns"]] == [str(c.unit) for c in shown]
    names = [
        name
        for c in shown
        for name in ((c.name, f"{c.name}_per_s") if c.kind is Kind.COUNTER else (c.name,))
    ]
    for row in told["rows"]:
        assert list(row) == names
        for column in shown:
            if column.kind is Kind.COUNTER:
                assert row[column.name] is None or row[column.name] >= 0
                rate = row[f"{column.name}_per_s"]
                assert rate is None or rate >= 0
    assert ("log" in told) is bool(hook.log)


def _is_a_cost(cost: dict[str, Any] | None, *, passive: bool) -> None:
    if passive:
        assert cost is None
        return
    assert cost is not None
    assert set(cost) == {"runs", "ns_per_run", "cpu_percent", "map_memory"}
    assert cost["map_memory"] is None or cost["map_memory"] >= 0
    assert cost["runs"] >= 0
    assert (cost["ns_per_run"] is None) is (cost["runs"] == 0)


def test_once_as_text_is_one_table_for_each_hook() -> None:
    veth()
    done = ebpftop("once", "--for", "0.2")
    assert (done.returncode, done.stderr) == (0, "")
    headings = re.findall(r"^(\S+?)(?: \(\d+ interfaces\))?: (\w+) on ", done.stdout, re.MULTILINE)
    assert [name for name, _ in headings] == [h.name for h in SAFE]


def test_stream_prints_a_line_for_each_tick_and_counters_only_grow() -> None:
    done = ebpftop("stream", "--count", "3", "--interval", "0.2", "--hook", "syscalls")
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = [json.loads(x)["hooks"][0] for x in done.stdout.splitlines()]
    assert {row["calls_per_s"] for row in first["rows"]} == {None}, "nothing to compare with yet"
    if third["rung"] == "proc":
        pytest.skip("no kernel counting here")
    before = {row["syscall"]: row for row in second["rows"]}
    for row in third["rows"]:
        was = before.get(row["syscall"], {"calls": 0})
        assert row["calls"] >= was["calls"]
        assert row["calls_per_s"] is not None
        assert (row["calls_per_s"] > 0) is (row["calls"] > was["calls"])


# -- refusals --------------------------------------------------------------------------------


def test_an_interface_that_is_not_there_ends_with_1_and_one_sentence() -> None:
    for command in (["once"], ["stream", "--count", "1"], ["doctor"]):
        done = ebpftop(*command, "--hook", "tc-ingress@nosuch")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "ebpftop: there is no interface nosuch.\n"


def test_a_hook_that_stands_nowhere_ends_with_1_and_all_that_refused_it() -> None:
    done = ebpftop("once", "--json", "--for", "0", "--hook", "syscall-processes@nosuch")
    assert done.returncode == 1
    (hook,) = json.loads(done.stdout)["hooks"]
    assert (hook["state"], hook["rung"], hook["rows"]) == ("failed", None, [])
    assert len(done.stderr.splitlines()) == len(hook["refused"]) == 3
    assert "has no system call 'nosuch'" in done.stderr


def test_a_pinned_rung_that_is_refused_ends_with_1_and_its_reason() -> None:
    """No other rung is tried in its place."""
    told = json.loads(ebpftop("doctor", "--json").stdout)
    refused = [
        (hook["hook"], rung["rung"], rung["why"])
        for hook in told["hooks"]
        for rung in hook["rungs"]
        if rung["answer"] == "no" and not catalogue()[hook["hook"]].target
    ]
    if not refused:
        pytest.skip("this kernel refuses no rung")
    for name, rung, why in refused:
        done = ebpftop("once", "--for", "0", "--hook", name, "--rung", f"{name}={rung}")
        assert done.returncode == 1
        assert done.stdout.startswith(f"{name}: failed\n")
        assert done.stderr.startswith(f"ebpftop: {name} on {rung}: ")
        assert why in done.stderr


def test_a_pinned_rung_that_stands_is_the_one_that_is_taken() -> None:
    done = ebpftop("once", "--json", "--for", "0", "--hook", "drops", "--rung", "drops=counters")
    (hook,) = _document(done)["hooks"]
    assert (hook["state"], hook["rung"], hook["refused"]) == ("passive", "counters", [])


def test_observe_only_attaches_nothing_in_a_data_path_even_when_asked() -> None:
    veth()
    asked = ["once", "--json", "--for", "0", "--observe-only", "--hook", "xdp@v0"]
    (hook,) = _document(ebpftop(*asked))["hooks"]
    assert (hook["state"], hook["rung"]) == ("passive", "netlink")
    assert {r["error"] for r in hook["refused"]} == {"Denied"}
    pinned = ebpftop(*asked, "--rung", "xdp=link-generic")
    assert pinned.returncode == 1
    assert "--observe-only: nothing is attached in a data path" in pinned.stderr


def test_observe_only_takes_no_lasting_rung() -> None:
    veth()
    asked = ["once", "--json", "--for", "0", "--observe-only", "--hook", "tc-ingress@v0"]
    done = ebpftop(*asked, "--rung", "tc-ingress=clsact")
    assert done.returncode == 1
    assert "--observe-only" in done.stderr
    assert not [q for q in as_json("tc", "-j", "qdisc") if q["kind"] == "clsact"]


# -- leaving ---------------------------------------------------------------------------------


def test_a_reader_that_has_seen_enough_ends_the_stream_in_peace() -> None:
    """`ebpftop stream | head -1`"""
    with running("stream", "--interval", "0.1", "--hook", "drops", "--hook", "syscalls") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        json.loads(child.stdout.readline())
        mine = held(child.pid)
        child.stdout.close()
        child.stdout = None
        assert child.stderr.read() == ""
        assert child.wait() == 0
    assert left_of(*mine) == (set(), set())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_detaches_everything_and_is_the_exit_status(number: signal.Signals) -> None:
    veth()
    with running("stream", "--interval", "0.1", *EVERYTHING, "--hook", "xdp@v1") as child:
        assert child.stdout is not None
        json.loads(child.stdout.readline())
        programs, links = held(child.pid)
        assert programs
        child.send_signal(number)
        said, complaints = child.communicate()
        assert child.returncode == 128 + number
        assert complaints == ""
        assert all(json.loads(line) for line in said.splitlines()), "no line is cut"
    assert left_of(programs, links) == (set(), set())


def test_a_signal_while_it_still_attaches_leaves_nothing_either() -> None:
    with running("once", "--for", "60") as child:
        deadline = time.monotonic() + 20
        mine = held(child.pid)
        while not mine[0] and time.monotonic() < deadline:
            mine = held(child.pid)
        child.send_signal(signal.SIGTERM)
        said, complaints = child.communicate()
        assert (child.returncode, said, complaints) == (143, "", "")
    assert left_of(*mine) == (set(), set())


def test_after_kill_9_nothing_is_left_in_the_kernel() -> None:
    veth()
    lasts_not = ["--rung", "tc-ingress=tcx", "--rung", "tc-egress=tcx"]
    asked = [*EVERYTHING, "--hook", "xdp@v1", *lasts_not]
    with running("stream", "--interval", "0.1", *asked) as child:
        assert child.stdout is not None
        child.stdout.readline()
        programs, links = held(child.pid)
        assert programs
        child.kill()
        child.wait()
    assert left_of(programs, links) == (set(), set())


def test_what_outlives_kill_9_is_removed_by_the_next_start() -> None:
    """A netlink XDP program and a clsact filter, each pinned by a person."""
    veth()
    lasting = ["--rung", "xdp=netlink-generic", "--rung", "tc-ingress=clsact"]
    asked = ["--hook", "xdp@v0", "--hook", "tc-ingress@v1", *lasting]
    before = as_json("tc", "-j", "qdisc")
    with running("stream", "--interval", "0.1", *asked) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        assert _rungs(told) == {"xdp": {"netlink-generic"}, "tc-ingress": {"clsact"}}
        child.kill()
        child.wait()
    assert "xdp" in as_json("ip", "-j", "link", "show", "v0")[0]
    assert as_json("tc", "-j", "qdisc") != before
    done = ebpftop("once", "--for", "0", "--hook", "interfaces")
    assert done.returncode == 0
    assert "left behind by a killed ebpftop" in done.stderr
    assert "xdp" not in as_json("ip", "-j", "link", "show", "v0")[0]
    assert as_json("tc", "-j", "qdisc") == before


# -- less than everything --------------------------------------------------------------------


def test_without_privilege_passive_rungs_give_numbers_and_say_what_is_missing(
    unprivileged: Path,
) -> None:
    done = ebpftop("once", "--json", "--for", "0.2", before=NOBODY, cwd=unprivileged)
    document = _document(done)
    assert done.stderr == ""
    assert {h["hook"] for h in document["hooks"]} == {h.name for h in SAFE}
    for hook in document["hooks"]:
        assert hook["state"] == "passive"
        _is_the_format(hook)
        for refusal in hook["refused"]:
            if refusal["error"] in ("EPERM", "EACCES"):
                assert "CAP_" in refusal["why"] or "paranoid" in refusal["why"]
                assert refusal["remedy"]
    (interfaces,) = (h for h in document["hooks"] if h["hook"] == "interfaces")
    assert "lo" in {row["interface"] for row in interfaces["rows"]}
    (drops,) = (h for h in document["hooks"] if h["hook"] == "drops")
    assert "EPERM" in {r["error"] for r in drops["refused"]}


def test_without_privilege_the_text_begins_with_what_more_would_give(unprivileged: Path) -> None:
    asked = ("once", "--for", "0", "--hook", "interfaces")
    done = ebpftop(*asked, before=NOBODY, cwd=unprivileged)
    assert done.returncode == 0
    first = done.stdout.splitlines()[0]
    assert first.startswith("passive numbers only")
    assert first.endswith("with sudo, or CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN")


def test_without_bcc_passive_rungs_serve_and_the_package_is_named() -> None:
    """As where the distribution's package is not installed: its directories are hidden."""
    sites = [p / "bcc" for pattern in SITES for p in Path("/usr").glob(pattern)]
    hide = " && ".join(f"mount -t tmpfs none '{p}'" for p in sites if p.is_dir())
    shell = f'{hide or "true"} && exec "$0" "$@"'
    hidden = ["unshare", "--mount", "sh", "-c", shell]
    done = ebpftop("once", "--json", "--for", "0.1", before=hidden)
    for hook in _document(done)["hooks"]:
        ladder = catalogue()[hook["hook"]].ladder
        assert not next(r for r in ladder if r.name == hook["rung"]).programs
        _is_the_format(hook)
        words = [f"{r['why']} {r['remedy']}" for r in hook["refused"]]
        if not all("policy" in w for w in words):  # what that refuses is not compiled at all
            assert any("python3-bpfcc" in w for w in words)


# -- the doctor ------------------------------------------------------------------------------


def _predicted(told: dict[str, Any]) -> dict[str, str | None]:
    return {h["hook"]: h["predicted"] for h in told["hooks"]}


@pytest.mark.parametrize("who", ["root", "nobody"])
def test_the_doctor_predicts_what_once_then_does(who: str, unprivileged: Path) -> None:
    veth()
    before = NOBODY if who == "nobody" else ()
    doctor = ebpftop("doctor", "--json", before=before, cwd=unprivileged)
    predicted = _predicted(_document(doctor))
    once = ebpftop("once", "--json", "--for", "0", before=before, cwd=unprivileged)
    stands = _rungs(_document(once))
    assert stands == {h.name: {predicted[h.name]} for h in SAFE}


def test_the_doctor_changes_nothing() -> None:
    veth()
    state = (
        ("tc", "qdisc"),
        ("tc", "filter", "show", "dev", "v0", "ingress"),
        ("ip", "-d", "link"),
    )
    before = [run(*command) for command in state]
    asked = [h.name + ("@v0" if h.target is TargetKind.INTERFACE else "") for h in SAFE]
    arguments = [word for name in (*asked, "xdp@v0") for word in ("--hook", name)]
    told = _document(ebpftop("doctor", "--json", *arguments))
    assert [h["hook"] for h in told["hooks"]] == [a.partition("@")[0] for a in (*asked, "xdp@v0")]
    assert [run(*command) for command in state] == before


def test_the_doctor_as_text_says_each_rung_with_its_answer() -> None:
    done = ebpftop("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    for hook in catalogue().values():
        assert re.search(rf"^{hook.name}(@\S+)?: would attach on ", done.stdout, re.MULTILINE)
        assert all(re.search(rf"{r.name} +(yes|no|unknown)", done.stdout) for r in hook.ladder)


# -- the screen ------------------------------------------------------------------------------


def test_the_screen_leaves_nothing_after_a_signal() -> None:
    """It draws on a terminal of its own; SIGTERM ends it with 143 and everything detached."""
    script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    veth()
    with subprocess.Popen(
        [sys.executable, "-c", script, *COMMAND, "--interval", "0.2"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as outer:
        try:
            pid = _child_of(outer.pid)
            deadline = time.monotonic() + 30
            programs, links = held(pid)
            while len(programs) < len(SAFE) and time.monotonic() < deadline:
                time.sleep(0.1)
                programs, links = held(pid)
            assert programs
            os.kill(pid, signal.SIGTERM)
            outer.communicate(timeout=30)
            assert outer.returncode == 143
        finally:
            outer.kill()
    assert left_of(programs, links) == (set(), set())


def _child_of(pid: int) -> int:
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.02)
