"""An interface that is made again, with the same number or the same name, begins anew."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from probes.analysis.history import History
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.hooks import catalogue
from probes.kernel import procfs
from probes.kernel.net_namespaces import of_process
from probes.ladder.attachment import Attachment, Modules
from tests.support.foreign import somebody
from tests.support.namespaces import FRAME, as_json, await_running, namespace, run, send
from tests.support.rungs import standing
from tests.support.scenarios import sample_of
from tui.panes.interfaces.pane import PANE

pytestmark = pytest.mark.kernel

N, MORE = 9, 30
NUMBERS = {"same number": (77, "v0"), "same name": (78, "v0"), "other name": (77, "w0")}
AGAIN = pytest.mark.parametrize(("number", "name"), NUMBERS.values(), ids=NUMBERS)
LADDER = [rung.name for rung in catalogue()["drops"].ladder if rung.source]


def _make(number: int = 77, name: str = "v0") -> None:
    """A veth, up and silent; what is sent to p0 arrives there, and no protocol takes it."""
    run("ip", "link", "add", "name", name, "index", str(number), "type", "veth", "peer", "p0")
    for end in (name, "p0"):
        Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
        run("ip", "link", "set", end, "up")
    await_running("p0")


def _again(number: int, name: str) -> None:
    run("ip", "link", "del", "v0")
    _make(number, name)


def _of(snapshot: Snapshot, name: str) -> SnapshotRow:
    (row,) = [r for r in snapshot.rows if r["interface"] == name]
    return row


@AGAIN
@pytest.mark.parametrize("hook", ["interfaces", "qdiscs"])
def test_its_counters_are_its_own(modules: Modules, hook: str, number: int, name: str) -> None:
    """The new one has counted more than the old one by the next reading: as ip says, and no rate
    is made of the difference."""
    with namespace():
        _make()
        run("tc", "qdisc", "add", "dev", "v0", "root", "handle", "1:", "pfifo")
        with standing(modules, hook) as attachment:
            send("v0", N)
            before = sample_of(attachment)
            _again(number, name)
            run("tc", "qdisc", "add", "dev", name, "root", "handle", "1:", "pfifo")
            send(name, MORE)
            after = sample_of(attachment)
            send(name, N)
            last = sample_of(attachment)
        counter = "packets" if hook == "qdiscs" else "tx_packets"
        (link,) = as_json("ip", "-s", "-j", "link", "show", name)
        assert link["stats64"]["tx"]["packets"] == MORE + N
        row = _of(Snapshot.between(attachment.hook, before, after), name)
        assert (row[counter], row.rates[counter]) == (MORE, None)
        row = _of(Snapshot.between(attachment.hook, after, last), name)
        rate = N / (last.time - after.time)
        assert (row[counter], row.rates[counter]) == (MORE + N, pytest.approx(rate))


@AGAIN
@pytest.mark.parametrize("rung", LADDER)
def test_its_drops_are_its_own(modules: Modules, rung: str, number: int, name: str) -> None:
    with namespace():
        _make()
        with standing(modules, "drops", rung=rung) as attachment:
            send("p0", N)
            before = sample_of(attachment)
            send("p0", 1)
            _again(number, name)
            send("p0", MORE)
            after = sample_of(attachment)
            last = sample_of(attachment)
        (link,) = as_json("ip", "-s", "-j", "link", "show", name)
        assert link["stats64"]["rx"]["packets"] == MORE
    snapshot = Snapshot.between(attachment.hook, before, after)
    mine = [r for r in snapshot.rows if _is_mine(r)]
    elapsed = after.time - before.time
    assert {r["interface"]: (r["packets"], round(r.rate("packets") * elapsed)) for r in mine} == {
        "if77": (N + 1, 1),
        name: (MORE, MORE),
    }
    calm = Snapshot.between(attachment.hook, after, last)
    assert not any(r.rate("packets") for r in calm.rows if _is_mine(r))


@AGAIN
@pytest.mark.parametrize("rung", ["btf-tracepoint", "raw-tracepoint"])
def test_its_xdp_errors_are_its_own(
    modules: Modules, rung: str, number: int, name: str, tmp_path: Path
) -> None:
    """Also those that nobody had read when it went."""
    aborted = FRAME[:14] + b"\0" + FRAME[15:]
    with namespace(), somebody(tmp_path) as them:
        _make()
        program = them.load("xdp by byte", "acme_xdp")
        them.put(program, 77, "native")
        with standing(modules, "xdp-errors", rung=rung) as attachment:
            send("p0", N, aborted)
            before = sample_of(attachment)
            send("p0", 1, aborted)
            _again(number, name)
            them.put(program, number, "native")
            send("p0", MORE, aborted)
            after = sample_of(attachment)
            send("p0", 2, aborted)
            last = sample_of(attachment)
    added = [
        {
            (r["interface"], r["packets"], round(r.rate("packets") * (some.time - other.time)))
            for r in Snapshot.between(attachment.hook, other, some).rows
        }
        for other, some in ((before, after), (after, last))
    ]
    # What came between two readings may be either's where the number is the same.
    one, more = (N + 1, MORE) if number != 77 else (N + 1 + MORE, 0)
    assert added[0] == {("if77", one, one - N), *[(name, more, more)] * bool(more)}
    assert added[1] == {("if77", one, 0), (name, more + 2, 2)}


def _away_and_back() -> None:
    with subprocess.Popen(["unshare", "-n", "sleep", "60"]) as there:
        while of_process(there.pid) in (0, procfs.netns(), of_process(os.getpid())):
            time.sleep(0.01)
        run("ip", "link", "set", "v0", "netns", str(there.pid))
        back = ("ip", "link", "set", "v0", "netns", str(threading.get_native_id()))
        run("nsenter", "-t", str(there.pid), "-n", *back)
        there.kill()
    run("ip", "link", "set", "v0", "up")
    await_running("p0")


@pytest.mark.parametrize("rung", LADDER)
def test_a_device_that_comes_back_has_its_name_again(modules: Modules, rung: str) -> None:
    """Where sysfs is not that of its namespace, it is known by what it drops from then on."""
    with namespace():
        _make()
        with standing(modules, "drops", rung=rung) as attachment:
            send("p0", N)
            names = [_names(attachment)]
            _away_and_back()
            names += [_names(attachment), _names(attachment)]
            Path("/proc/sys/net/ipv6/conf/v0/disable_ipv6").write_text("1")
            send("p0", MORE)
            names.append(_names(attachment))
    assert names == [{"v0": N}, {"if77": N}, {"if77": N}, {"v0": N + MORE}]


def _names(attachment: Attachment) -> dict[str, int]:
    sample = sample_of(attachment)
    rows = Snapshot.between(attachment.hook, None, sample).rows
    return {r["interface"]: r["packets"] for r in rows if _is_mine(r)}


def _is_mine(row: SnapshotRow) -> bool:
    return row["protocol"] == "0x88b5" and row["netns"] is None


@AGAIN
def test_its_history_is_its_own(modules: Modules, number: int, name: str) -> None:
    figure = next(f for f in PANE.figures if f.name == "interface-tx")
    history = History([figure])
    with namespace():
        _make()
        attachment = Attachment(catalogue()["interfaces"], modules)
        try:
            attachment.climb()
            seen = [sample_of(attachment) for _ in range(3)]
            _again(number, name)
            seen += [sample_of(attachment) for _ in range(2)]
        finally:
            attachment.detach()
    for previous, sample in pairwise(seen):
        history.add("interfaces", [Snapshot.between(attachment.hook, previous, sample)])
    known = history.series(figure, name)
    assert len([value for value in known if value is not None]) == 1
