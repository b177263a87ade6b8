"""Arrays of rows and ticks say what a history row by row says, whatever comes, goes and returns."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from probes.analysis import by_row, episodes, known_rows, series, snapshot, value_layout
from probes.analysis.anomaly import Threshold
from probes.analysis.by_row import ByRow, SumBy
from probes.analysis.history import Figure, History
from probes.analysis.snapshot import Snapshot
from probes.columns.row_table import RowTable
from probes.hooks import catalogue
from probes.model import HookId, Sample, State, Status
from probes.units import Unit
from tests.support.amounts import amounts
from tests.support.plain_history import PlainHistory

HOOK = catalogue()["tcp-rtt"]
_NAMES = HOOK.places.names
_SRTT, _AGAIN = _NAMES.index("srtt_us"), _NAMES.index("retransmits")


def _srtt(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {row.key: row["srtt_us"] or None for s in snapshots for row in s.rows}  # type: ignore[misc]


def _again(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    return {row.key: row.rates["retransmits"] for s in snapshots for row in s.rows}


def _by_half(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    sums: dict[Hashable, float | None] = {}
    for s in snapshots:
        for row in s.rows:
            name = int(row.number("cookie")) // 2
            sums[name] = (sums.get(name) or 0.0) + row.number("srtt_us")
    return sums


def _by_port(snapshots: Sequence[Snapshot]) -> Mapping[Hashable, float | None]:
    sums: dict[Hashable, float | None] = {}
    for row in (row for s in snapshots for row in s.rows):
        port, rate = (row["rport"], row["comm"]), row.rates["retransmits"]
        sums[port] = sums.get(port) if rate is None else (sums.get(port) or 0) + rate
    return sums


_RULES = (
    Threshold(20, times=3, absent=None),
    Threshold(3.0, alarm=3.0),
    Threshold(40, times=2, alarm=300),
)


def _figures(trip: Any, again: Any, port: Any) -> list[Figure]:
    return [
        Figure("trip", "", Unit.US, "tcp-rtt", trip, rule=_RULES[0]),
        Figure("again", "", Unit.COUNT, "tcp-rtt", again, rule=_RULES[1]),
        Figure("port", "", Unit.COUNT, "tcp-rtt", port, rule=_RULES[1]),
        Figure("half", "", Unit.US, "tcp-rtt", _by_half, rule=_RULES[2]),
        Figure("none", "", Unit.US, "tcp-rtt", trip),
    ]


def _sample(second: int, rows: list[tuple[Any, ...]], epoch: int = 1) -> Sample:
    status = Status(HookId("tcp-rtt"), State.ATTACHED)
    kept: Any = RowTable.of_rows(rows, HOOK.places.keys) if rows else {}
    return Sample(status, float(second), 1e9 + second, epoch, kept)


def _row(n: int, srtt: int, again: int) -> tuple[Any, ...]:
    row: list[Any] = [0] * len(_NAMES)
    row[HOOK.places.keys[0]] = n
    row[_SRTT], row[_AGAIN] = srtt, again
    row[_NAMES.index("rport")], row[_NAMES.index("comm")] = n % 3, "ab"[n % 2]
    return tuple(row)


class _Host:
    """Connections that come, go, come back and have bad times; and a hook that begins again."""

    def __init__(self, seed: int, rows: int, *, steady: bool) -> None:
        self._dice = random.Random(seed)
        self._there = dict.fromkeys(range(rows), 0)
        self._gone: list[int] = []
        self._next, self._steady = rows, steady
        self._bad = dict.fromkeys(range(rows), 0)
        self._second, self._epoch = 0, 1

    def sample(self) -> Sample:
        self._second += 1
        dice = self._dice
        if not self._steady:
            self._come_and_go()
        if dice.random() < 0.003:
            self._epoch += 1
        mass = dice.random() < 0.01
        rows = []
        for n in self._there:
            if mass or dice.random() < 0.004:
                self._bad[n] = dice.randrange(1, 40)
            self._bad[n] = bad = max(self._bad.get(n, 0) - 1, 0)
            idle = n % 4 > 0 and not bad
            if not idle and dice.random() < (0.5 if bad else 0.02):
                self._there[n] += dice.randrange(9 if bad else 2)
            srtt = n if idle else dice.choice((0, n % 7 + 5, n % 7 + 9))
            srtt *= 15 if bad and dice.random() < 0.6 else 1
            rows.append(_row(n, srtt, self._there[n]))
        return _sample(self._second, rows, self._epoch)

    def _come_and_go(self) -> None:
        dice = self._dice
        if dice.random() < 0.15:
            for n in dice.sample(list(self._there), min(len(self._there), dice.randrange(4))):
                self._gone.append(n)
                del self._there[n]
        if dice.random() < 0.1 and self._gone:
            self._there[self._gone.pop(dice.randrange(len(self._gone)))] = dice.randrange(3)
        if dice.random() < 0.1:
            self._there[self._next] = 0
            self._next += 1
        if dice.random() < 0.004:
            self._gone += self._there
            self._there = {}
        while len(self._there) < 4 and dice.random() < 0.5:
            self._there[self._next] = 0
            self._next += 1


def _pairs(host: _Host, ticks: int) -> Iterator[Snapshot]:
    before = None
    for _ in range(ticks):
        sample = host.sample()
        yield Snapshot.between(HOOK, before, sample)
        before = sample


def _same(
    now: int,
    history: History,
    plain: PlainHistory,
    ours: list[Figure],
    theirs: list[Figure],
    last: Snapshot,
    earlier: Snapshot,
    some_keys: int,
    dice: random.Random,
) -> None:
    assert history.ticks == plain.ticks
    for figure, other in zip(ours, theirs, strict=True):
        kept = plain._kept[other.name, "tcp-rtt"]
        assert history.unusual(figure) == plain.unusual(other)
        present = {key for key, series in kept.items() if series.last == now}
        for back in (0, 1, dice.randrange(150), dice.randrange(1000)):
            ticks = {"tcp-rtt": max(now - back, 0)} if back else None
            keys = [key for key in kept if back < 150 or key in present]
            for key in dice.sample(keys, min(len(keys), some_keys)):
                _same_row(history, plain, figure, other, key, ticks, dice.randrange(1, 900))
            for some in (last, earlier) if other.name in ("trip", "again") else ():
                verdicts = history.verdicts(figure, some, ticks)
                each = [plain.verdict(other, key, ticks) for key in some.keys]
                assert [verdicts.at(n) for n in range(len(each))] == each
    assert history.verdict(ours[0], ("never",)) == plain.verdict(theirs[0], ("never",))
    assert history.series(ours[0], ("never",)) == plain.series(theirs[0], ("never",))


def _same_row(
    history: History,
    plain: PlainHistory,
    figure: Figure,
    other: Figure,
    key: Hashable,
    ticks: Mapping[str, int] | None,
    most: int,
) -> None:
    about = figure.name, key, ticks
    assert history.series(figure, key, ticks, most) == plain.series(other, key, ticks, most), about
    assert history.verdict(figure, key, ticks) == plain.verdict(other, key, ticks), about
    assert history.usual(figure, key, ticks) == plain.usual(other, key, ticks), about


@pytest.fixture(params=[0, 6, 1000])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many rows are few."""
    for module in (by_row, episodes, known_rows, series, snapshot, value_layout):
        monkeypatch.setattr(module, "FEW", request.param)
    monkeypatch.setattr(known_rows, "MAX_GONE", 12)


@pytest.mark.parametrize(
    ("seed", "ticks", "steady"),
    [(1, 700, False), (2, 1400, False), (3, 1300, True), (4, 150, False)],
)
@amounts("every,keys", quick=(53, 3), slow=(13, 12))
@pytest.mark.usefixtures("few")
def test_columns_say_what_rows_say(
    seed: int, ticks: int, steady: bool, every: int, keys: int
) -> None:
    """Values, verdicts, and what is usual; now, and as they were at any tick that is kept."""
    dice = random.Random(seed)
    theirs = _figures(_srtt, _again, _by_port)
    ours = _figures(
        ByRow("srtt_us", zero=False),
        ByRow("retransmits", rate=True),
        SumBy(("rport", "comm"), "retransmits"),
    )
    history, plain = History(ours), PlainHistory(theirs)
    earlier = None
    for now, last in enumerate(_pairs(_Host(seed, 14, steady=steady), ticks), 1):
        history.add("tcp-rtt", (last,))
        plain.add("tcp-rtt", (last,))
        earlier = last if earlier is None or now % 90 == 0 else earlier
        if now % every == 0 or now < 5 or now == ticks:
            _same(now, history, plain, ours, theirs, last, earlier, keys, dice)


def test_what_stands_still_takes_little_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is the same at all ticks of a block is kept once, also if it is unknown."""
    for module in (by_row, episodes, known_rows, series, snapshot, value_layout):
        monkeypatch.setattr(module, "FEW", 0)
    figures = _figures(ByRow("srtt_us"), ByRow("retransmits", rate=True), _by_port)
    history, rows = History(figures), 100
    for second in range(1, 192):
        values = [(n, (n + second if n < 10 else n)) for n in range(rows)]
        made = [_row(n, srtt, 0) for n, srtt in values]
        history.add("tcp-rtt", (Snapshot.between(HOOK, None, _sample(second, made)),))
    kept = history._watched["tcp-rtt"].kept
    some = value_layout.TICKS * 10 + rows
    assert [part.number for part in kept["trip"].series._parts][:2] == [some] * 2
    assert [part.number for part in kept["again"].series._parts][:2] == [rows] * 2
    assert history.series(figures[0], (5,), None, 100)[-3:] == [5.0 + 189, 5.0 + 190, 5.0 + 191]
    assert history.series(figures[0], (50,), None, 100) == [50.0] * 100
    assert history.series(figures[1], (50,), None, 100) == [None] * 100
