"""The budget: who is slowed, who is detached, and who is left alone."""

from __future__ import annotations

import pytest

from probes.model import HookId
from probes.sources.live.budget import MOST, STEP, Cut, Spending, decide, parse

A, B, C = HookId("a"), HookId("b", "eth0"), HookId("c")


@pytest.mark.parametrize(
    ("spendings", "cut"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([Spending(A, 2), Spending(B, 3)], None, id="at the budget"),
        pytest.param([Spending(A, 2), Spending(B, 3.1)], (B, None), id="the dearest goes"),
        pytest.param([Spending(A, 4, samples=True), Spending(B, 3)], (A, STEP), id="slowed first"),
        pytest.param([Spending(A, 9, STEP, samples=True)], (A, MOST), id="slowed again"),
        pytest.param([Spending(A, 9, MOST, samples=True)], (A, None), id="then detached"),
        pytest.param([Spending(A, 90, kept=True), Spending(B, 4)], None, id="kept: left alone"),
        pytest.param(
            [Spending(A, 90, kept=True), Spending(B, 6)], (B, None), id="kept is no excuse"
        ),
        pytest.param(
            [Spending(A, 1), Spending(B, 1), Spending(C, 3.5)], (C, None), id="cheap ones stay"
        ),
    ],
)
def test_who_is_cut(spendings: list[Spending], cut: tuple[HookId, int | None] | None) -> None:
    done = decide(spendings, 5)
    assert (done and (done.id, done.one_in)) == cut


def test_cut_after_cut_comes_to_an_end() -> None:
    """Also where slowing saves nothing."""
    left = {HookId(f"h{n}"): Spending(HookId(f"h{n}"), n, samples=n % 2 == 0) for n in range(20)}
    cuts = 0
    while cut := decide(left.values(), 5):
        cuts += 1
        if cut.one_in is None:
            del left[cut.id]
        else:
            left[cut.id] = Spending(cut.id, cut.percent, cut.one_in, samples=True)
    assert sum(s.percent for s in left.values()) <= 5
    assert cuts <= 3 * 20


@pytest.mark.parametrize(
    ("text", "budget"), [("2%", 2), ("0.5", 0.5), (" 150% ", 150), ("off", None), ("OFF", None)]
)
def test_how_it_is_written(text: str, budget: float | None) -> None:
    assert parse(text) == budget


@pytest.mark.parametrize("text", ["", "much", "0", "-1%", "nan", "inf", "2 of 3"])
def test_what_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no budget: write a share of one CPU, as 2%, or off"):
        parse(text)


def test_the_note_has_the_figures() -> None:
    why = Cut(A, None, 7.25, 9.0, 5).why
    assert "7.2% of a CPU" in why
    assert "9.0%" in why
    assert "the budget is 5%" in why
    assert "attach it" in why
    assert "one event in 8" in Cut(A, 8, 7.25, 9.0, 5).why
