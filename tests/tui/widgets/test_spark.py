"""Histories of a few cells."""

from __future__ import annotations

from tui.widgets.spark import drawn, levels


def test_a_history_is_as_high_as_its_greatest_and_has_gaps() -> None:
    assert drawn(levels([0, 1, 2, 4]), 4) == "▁▃▅█"
    assert drawn(levels([0, 0]), 2) == "▁▁", "nothing happened, which was counted"
    assert drawn(levels([None, None, None, 3]), 4) == "   █", "not watched is not nothing"
    assert drawn(levels([0.001, 4]), 2)[0] == "▂", "little is not nothing"
    assert drawn(levels([1, 9, 1, 2]), 2) == "█▃", "each cell has the greatest of its part"
    assert drawn(levels([1, 2]), 4) == "▅▅██"
    assert drawn(levels([1, 2]), 2, ascii=True) == "+@"
    assert drawn((), 3) == "   "
    assert drawn(levels([1]), 0) == ""
