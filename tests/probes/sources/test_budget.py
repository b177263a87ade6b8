"""The budget: who is slowed, who is detached, and who is left alone."""

from __future__ import annotations

import pytest

from probes.model import HookId
from probes.sources.live.budget import (
    MAX_ONE_IN,
    ONE_IN_STEP,
    WINDOW,
    BudgetRetry,
    Cutback,
    Ledger,
    Spending,
    parse,
)

A, B, C = HookId("a"), HookId("b", "eth0"), HookId("c")


def _cuts(*windows: list[Spending]) -> list[tuple[HookId, int | None] | None]:
    """What is done after each of these windows, the first thing that is cut still."""
    ledger, done, cut = Ledger(5), [], set[HookId]()
    for n, spendings in enumerate(windows):
        one = ledger.decide(spendings, n * WINDOW, cut)
        done.append(one and (one.id, one.one_in))
        cut |= {one.id} if one else set()
    return done


@pytest.mark.parametrize(
    ("spendings", "cut"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([Spending(A, 2), Spending(B, 3)], None, id="at the budget"),
        pytest.param(
            [Spending(A, 4, samples=True), Spending(B, 3)], (A, ONE_IN_STEP), id="slowed first"
        ),
        pytest.param(
            [Spending(A, 9, ONE_IN_STEP, samples=True)], (A, MAX_ONE_IN), id="slowed again"
        ),
        pytest.param(
            [Spending(A, 3, samples=True), Spending(B, 6)],
            (A, ONE_IN_STEP),
            id="before another goes",
        ),
        pytest.param([Spending(A, 90, kept=True), Spending(B, 4)], None, id="kept: left alone"),
        pytest.param([Spending(A, 0.4, samples=True), Spending(B, 6)], None, id="not worth it"),
    ],
)
def test_who_is_slowed(spendings: list[Spending], cut: tuple[HookId, int | None] | None) -> None:
    assert _cuts(spendings) == [cut]


@pytest.mark.parametrize(
    ("spendings", "gone"),
    [
        pytest.param([Spending(A, 2), Spending(B, 3.1)], B, id="the dearest"),
        pytest.param([Spending(A, 9, MAX_ONE_IN, samples=True)], A, id="what is slow already"),
        pytest.param([Spending(A, 90, kept=True), Spending(B, 6)], B, id="kept is no excuse"),
        pytest.param([Spending(A, 1), Spending(B, 1), Spending(C, 3.5)], C, id="not the cheap"),
        pytest.param(
            [Spending(HookId("t", str(n)), 0.5 + n / 100) for n in range(8)] + [Spending(A, 2)],
            HookId("t", "7"),
            id="of a hook on many interfaces",
        ),
    ],
)
def test_who_is_detached_where_it_lasts(spendings: list[Spending], gone: HookId) -> None:
    assert _cuts(spendings, spendings) == [None, (gone, None)]


def test_a_burst_takes_nothing_away() -> None:
    assert _cuts([Spending(A, 90)], [Spending(A, 1)], [Spending(A, 90)]) == [None, None, None]


class _Host:
    """Hooks with a load each (percent of a CPU with every event counted), and a ledger."""

    def __init__(self, **loads: float) -> None:
        self.loads = {HookId(name): load for name, load in loads.items()}
        self.ledger, self.now = Ledger(5), 0.0
        self.one_in: dict[HookId, int | None] = dict.fromkeys(self.loads, 1)
        self.cut: set[HookId] = set()
        self.done: list[Cutback | BudgetRetry] = []

    def pass_windows(self, number: int) -> None:
        for _ in range(number):
            self.now += WINDOW
            spent = [
                Spending(id, load / one_in, one_in, samples=id.hook == "calls")
                for id, load in self.loads.items()
                if (one_in := self.one_in[id])
            ]
            done = self.ledger.decide(spent, self.now, self.cut)
            if done is not None:
                self.done.append(done)
                self.one_in[done.id] = done.one_in
                (self.cut.discard if done.one_in == 1 else self.cut.add)(done.id)


def test_what_was_cut_comes_back_when_it_is_quiet() -> None:
    host = _Host(calls=40, packets=9)
    host.pass_windows(5)
    assert host.one_in == {HookId("calls"): MAX_ONE_IN, HookId("packets"): None}
    host.loads = {HookId("calls"): 0.5, HookId("packets"): 0.5}
    host.pass_windows(60)
    assert set(host.one_in.values()) == {1}
    assert not host.cut


def test_what_stays_dear_is_tried_more_and_more_seldom() -> None:
    host = _Host(calls=900, packets=9)
    host.pass_windows(1200)  # an hour
    tries = [one for one in host.done if isinstance(one, BudgetRetry) and one.id.hook == "packets"]
    assert 3 < len(tries) < 15
    assert host.one_in[HookId("packets")] is None or len(host.done) < 100


def test_what_a_person_took_in_hand_is_not_tried_again() -> None:
    host = _Host(packets=9)
    host.pass_windows(2)
    assert host.cut
    host.cut.clear()  # detached by key, or attached to be kept
    host.loads = {}
    host.pass_windows(100)
    assert [type(one) for one in host.done] == [Cutback]


def test_cut_after_cut_comes_to_an_end() -> None:
    """Also where slowing saves nothing."""
    left = {HookId(f"h{n}"): Spending(HookId(f"h{n}"), n, samples=n % 2 == 0) for n in range(20)}
    ledger, cut = Ledger(5), set[HookId]()
    for n in range(3 * 20):
        done = ledger.decide(left.values(), n * 0.1, cut)
        if not isinstance(done, Cutback):
            continue
        cut.add(done.id)
        if done.one_in is None:
            del left[done.id]
        else:
            left[done.id] = Spending(done.id, done.percent, done.one_in, samples=True)
    assert sum(s.percent for s in left.values()) <= 5


@pytest.mark.parametrize(
    ("text", "budget"), [("2%", 2), ("0.5", 0.5), (" 150% ", 150), ("off", None), ("OFF", None)]
)
def test_how_it_is_written(text: str, budget: float | None) -> None:
    assert parse(text) == budget


@pytest.mark.parametrize("text", ["", "much", "0", "-1%", "nan", "inf", "2 of 3"])
def test_what_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(
        ValueError, match="is not a budget: write a share of one CPU, such as 2%, or off"
    ):
        parse(text)


def test_the_note_has_the_figures() -> None:
    why = Cutback(A, None, 7.25, 9.0, 5).why
    assert "7.2% of a CPU" in why
    assert "9.0%" in why
    assert "the budget is 5%" in why
    assert "attach it" in why
    assert "one event in 8" in Cutback(A, 8, 7.25, 9.0, 5).why
