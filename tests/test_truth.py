"""The bench of truth: when a number is wrong, and what is written into docs/truth.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import truth
from bench.truth import BEGIN, END, Row, Told


def _row(independent: float | None, ours: float | None, **more: float) -> Row:
    return Row("drops", "a cause", 30, "nstat" if independent is not None else "", independent,
               ours, **more)  # fmt: skip


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (_row(30, 30), False),
        (_row(30, 31), True),
        (_row(31, 31), False),  # the tool is what ours is held to
        (_row(None, 30), False),
        (_row(None, 29), True),
        (_row(30, None), False),  # this rung does not tell
        (_row(100, 104, within=0.05), False),
        (_row(100, 106, within=0.05), True),
        (_row(100, 98, at_most=2), False),
        (_row(0, 1), True),
    ],
)
def test_a_number_is_wrong_beyond_its_precision(row: Row, wrong: bool) -> None:
    assert row.wrong is wrong
    assert ("WRONG" in truth.table([row])) is wrong


def test_only_what_was_measured_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "truth.md"
    page.write_text(f"words\n{BEGIN}\nold\n{END}\nmore words\n")
    monkeypatch.setattr(truth, "PAGE", page)
    truth._write([Told("6.1.0", [_row(30, 30)])])
    written = page.read_text()
    assert written.startswith("words\n")
    assert written.endswith("\nmore words\n")
    assert "old" not in written
    assert "### Linux 6.1.0" in written
    assert "| drops | a cause | 30 | 30 | nstat | 30 | 0 | exact |" in written


def test_the_page_has_a_place_for_it() -> None:
    assert truth.PAGE.read_text().count(BEGIN) == truth.PAGE.read_text().count(END) == 1
