"""An interface that is made again, with the same number or the same name, begins anew."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from probes.analysis.snapshot import Snapshot, SnapshotRow
from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from tests.support.namespaces import as_json, await_running, namespace, run, send
from tests.support.rungs import standing
from tests.support.scenarios import sample_of
from tui.panes.interfaces.pane import PANE
from tui.session.history import History

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
