"""The history of figures: cut at any moment, and bounded whatever comes and goes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from probes.analysis.anomaly import LENGTH, Threshold
from probes.analysis.history import Figure, History
from probes.analysis.known_rows import MAX_GONE
from probes.analysis.snapshot import Snapshot
from probes.analysis.snapshot_row import SnapshotRow
from probes.analysis.value_layout import TICKS
from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status
from probes.units import Unit


def _numbers(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {key: row[0] for s in snapshots for key, row in s.sample.rows.items()}  # type: ignore[misc]


_REST = (0,) * (len(catalogue()["tcp-rtt"].stored) - 1)
FIGURE = Figure("rtt", "RTT", Unit.US, "tcp-rtt", _numbers, rule=Threshold(5, absent=0.0))


def _add(history: History, wall: float, rows: Mapping[Hashable, float], epoch: int = 1) -> None:
    history.add("tcp-rtt", (_snapshot(wall, rows, epoch),))


def _snapshot(wall: float, rows: Mapping[Hashable, float], epoch: int = 1) -> Snapshot:
    sample = Sample(
        Status(HookId("tcp-rtt"), State.ATTACHED), wall, wall, epoch,
        {(k,): (v, *_REST) for k, v in rows.items()},  # type: ignore[misc,dict-item]
    )  # fmt: skip
    shown = [SnapshotRow((key,), {}, {}) for key in rows]  # type: ignore[arg-type]
    return Snapshot(catalogue()["tcp-rtt"], sample, 1.0, tuple(shown))


def test_series_are_cut_at_a_moment() -> None:
    """The past does not know what comes."""
    history = History((FIGURE,))
    for second in range(10):
        _add(history, 100 + second, {"a": float(second)})
    then = history.until(104.5)
    assert history.series(FIGURE, ("a",), then) == [0, 1, 2, 3, 4]
    assert history.series(FIGURE, ("a",), then, 2) == [3, 4]
    assert history.until(50) == {"tcp-rtt": 0}
    assert history.series(FIGURE, ("a",), history.until(50)) == []
    assert len(history.series(FIGURE, ("a",))) == 10


def test_rows_that_come_and_go_take_no_more_than_their_share() -> None:
    """A thousand new connections in each of a thousand seconds: no more is kept than `MAX_GONE`."""
    history = History((FIGURE,))
    for second in range(1000):
        _add(history, second, {second * 40 + n: 1.0 for n in range(40)})
    kept = history._watched["tcp-rtt"].kept["rtt"]
    rows, block = kept.rows, kept.layout.block
    assert rows.number <= MAX_GONE + 65 * 40
    assert rows.find((39_999,)) >= 0
    assert rows.find((0,)) < 0
    assert block is not None
    assert len(block.slots) <= 65 * 40, "those that went take no space in later ticks"


def test_a_thousand_rows_for_longer_than_the_history_are_bounded() -> None:
    """What is kept of a row is at most `LENGTH` numbers and a bit, four bytes each."""
    history = History((FIGURE,))
    rows: dict[Hashable, float] = dict.fromkeys(range(50), 1.0)
    for second in range(2 * LENGTH):
        _add(history, second, rows)
    watched = history._watched["tcp-rtt"]
    parts = watched.kept["rtt"].series._parts
    most = LENGTH + 3 * TICKS  # of which the latest block has the last
    assert sum(part.number for part in parts) <= 50 * most
    assert len({id(part.block.slots) for part in parts}) == 1, "they share what is where"
    assert len(watched.ticks.times) <= LENGTH + 64


def test_counting_anew_is_no_proof_that_nothing_was_there() -> None:
    """A hook that was only just attached, or on another rung, does not call its rows new."""
    history = History((FIGURE,))
    for second in range(30):
        _add(history, second, {"a": 1.0})
    _add(history, 30, {"a": 1.0, "b": 9.0})
    assert history.verdict(FIGURE, ("b",)).new
    _add(history, 31, {"a": 1.0, "c": 9.0}, epoch=2)
    assert history.verdict(FIGURE, ("c",)).since is None


def test_many_rows_are_judged_at_once() -> None:
    """In the order of a snapshot's rows, as each by itself, now and at an earlier moment."""
    history = History((FIGURE,))
    for second in range(30):
        _add(history, second, dict.fromkeys("abc", 1.0))
    _add(history, 30, {"a": 9.0, "b": 1.0, "c": 80.0})
    snapshot = _snapshot(30, dict.fromkeys("cxba", 1.0))
    for ticks in (None, {"tcp-rtt": 31}, {"tcp-rtt": 30}):
        verdicts = history.verdicts(FIGURE, snapshot, ticks)
        each = [history.verdict(FIGURE, key, ticks) for key in snapshot.keys]
        assert [verdicts.at(place) for place in range(4)] == each
        assert verdicts.unusual.tolist() == [v.since is not None for v in each]
    verdicts = history.verdicts(FIGURE, snapshot)
    assert verdicts.times[verdicts.unusual].tolist() == [80, 9]


def test_rows_that_have_gone_are_forgotten_sooner_where_memory_is_short() -> None:
    history = History((FIGURE,))
    _add(history, 0, {0: 1.0})
    history.keep_gone(100)
    for second in range(1, 1000):
        _add(history, second, {second * 40 + n: 1.0 for n in range(40)})
    rows = history._watched["tcp-rtt"].kept["rtt"].rows
    assert rows.number <= 100 + 65 * 40


def test_a_name_that_means_another_thing_takes_its_parts_along() -> None:
    """An interface that is made again has none of its predecessor's history, at no stage."""
    parts = Figure(
        "freed", "freed", Unit.PACKETS, "tcp-rtt", _parted, named_by="interfaces",
        parts=("xdp", "stack"), absent=0.0,
    )  # fmt: skip
    history = History((parts,))
    for second in range(3):
        _add_link(history, second, 2)
        _add(history, second, {"eth0": 7.0})
    assert history.series(parts, ("eth0", "xdp")) == [7, 7, 7]
    _add_link(history, 3, 9)
    _add(history, 3, {"eth0": 5.0})
    assert history.series(parts, ("eth0", "xdp")) == [5]
    assert history.curve(parts, ("eth0", "xdp"), end=3, seconds=4, number=4).columns[-1] == 5


def _parted(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {
        (key[0], part): row[0]  # type: ignore[misc]
        for s in snapshots
        for key, row in s.sample.rows.items()
        for part in ("xdp", "stack")
    }


def _add_link(history: History, wall: float, index: int) -> None:
    """The interface eth0, as the kernel numbers it."""
    status = Status(HookId("interfaces"), State.ATTACHED)
    row = SnapshotRow((index,), {"interface": "eth0"}, {})
    sample = Sample(status, wall, wall, 1, {})
    history.add("interfaces", (Snapshot(catalogue()["interfaces"], sample, 1.0, (row,)),))
