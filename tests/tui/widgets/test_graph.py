"""Graphs: a scale, a zero line, the usual value, the time, and where something began."""

from __future__ import annotations

from itertools import pairwise

import pytest

from probes.units import Unit
from tui.table.lines import Line, width_of
from tui.widgets.graph import GUTTER, Graph, graph, room_of
from tui.widgets.scale import scale_for
from tui.widgets.time_axis import BeganAt, time_axis

ONSET = BeganAt(26, "00:00:24")


def _texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in one.spans) for one in lines]


def _roles(one: Line, glyph: str) -> set[str]:
    return {role for text, role in one.spans if glyph in text}


# -- the area ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("size", [(7, 1), (20, 3), (60, 5), (190, 12)])
def test_a_graph_is_as_wide_and_high_as_asked(size: tuple[int, int], ascii: bool) -> None:
    shown = Graph([1.0, None, 8.0], 120, Unit.COUNT, 2.0, onset=ONSET)
    lines = _texts(graph(shown, *size, ascii=ascii))
    assert [width_of(text) for text in lines] == [size[0]] * size[1]
    assert all(text.isascii() for text in lines) or not ascii


def test_the_newest_is_at_the_right_and_what_is_not_known_is_a_gap() -> None:
    """Zero is a line, and what is small is seen."""
    shown = Graph([None, 0.0, 0.001, 1000.0], 120, Unit.COUNT)
    *_, bottom, _times = _texts(graph(shown, GUTTER + 4, 5))
    assert bottom == "    0┼ ─▁█"
    *_, bottom, _times = _texts(graph(shown, GUTTER + 4, 5, ascii=True))
    assert bottom == "    0+ -.|"


def test_the_usual_value_is_a_line_where_nothing_is_above_it() -> None:
    shown = Graph([1.0, 1.0, 8.0, 8.0], 120, Unit.COUNT, usual=5.0)
    lines = _texts(graph(shown, GUTTER + 4, 4 + 1))
    assert lines[1].endswith("──██")
    assert "─" not in lines[2]


def test_colour_tells_what_is_bad_and_from_where() -> None:
    """What is above the usual value, in bad columns alone; never by height."""
    shown = Graph([8.0, 8.0], 120, Unit.COUNT, usual=3.0, bad=[False, True], role="graph3")
    top, *_, bottom, _times = graph(shown, GUTTER + 2, 5)
    assert _roles(top, "█") == {"graph1", "graph3"}
    assert _roles(bottom, "█") == {"graph1"}
    little = graph(Graph([8.0], 120, Unit.COUNT, usual=0.1, bad=[True]), GUTTER + 1, 5)
    assert {role for one in little for role in _roles(one, "█")} == {"graph3"}
    calm = graph(Graph([8.0, 8.0], 120, Unit.COUNT, usual=3.0), GUTTER + 2, 5)
    assert {role for one in calm for role in _roles(one, "█")} == {"graph1"}


def test_an_onset_splits_a_line_in_two_spans_no_more() -> None:
    """That is what keeps a moving graph cheap."""
    values = [float(n % 7) for n in range(74)]
    bad = [n > 50 for n in range(74)]
    for one in graph(Graph(values, 120, Unit.COUNT, 0.0, bad), 80, 6)[:4]:
        assert len(one.spans) <= 3


def test_without_a_reading_it_says_so() -> None:
    lines = _texts(graph(Graph([None] * 50, 120, Unit.COUNT), 60, 6))
    assert any("no readings yet" in text for text in lines)
    assert len(lines) == 6


# -- the scale --------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [Unit.COUNT, Unit.BYTES, Unit.NS, Unit.US, Unit.PERCENT])
@pytest.mark.parametrize("bits", [False, True])
def test_a_scale_is_round_and_fits(unit: Unit, bits: bool) -> None:
    """The greatest value fits, at most half the height is left over, and all texts fit."""
    for power in range(60):
        most = 1.37**power * 1024
        for height in (1, 2, 3, 4, 5, 7, 8, 12):
            scale = scale_for(most, height, unit, bits=bits)
            assert most * 0.999 <= scale.top <= most * 1.75
            assert max(map(len, scale.marks.values())) < GUTTER
            assert 1 <= len(scale.marks) <= 5
            assert set(scale.marks) <= set(range(height))
            assert "0" in scale.marks.values() or height == 1


def test_a_scale_says_what_it_is() -> None:
    assert scale_for(7900, 8, Unit.PACKETS).marks == {
        7: "8k", 5: "6k", 3: "4k", 1: "2k", 0: "0",
    }  # fmt: skip
    assert scale_for(22 * 2**20, 4, Unit.BYTES).marks == {3: "24MB", 1: "12MB", 0: "0"}
    assert scale_for(22e6 / 8, 4, Unit.BYTES, bits=True).marks == {3: "24Mb", 1: "12Mb", 0: "0"}
    assert scale_for(698_000, 4, Unit.US).marks == {3: "800ms", 1: "400ms", 0: "0"}
    assert scale_for(0.7, 4, Unit.PERCENT).marks == {3: "1%", 1: "0.5%", 0: "0"}
    assert scale_for(90, 8, Unit.PERCENT).marks[1] == "25%"
    assert scale_for(0, 4, Unit.COUNT).marks == {3: "1", 1: "0.5", 0: "0"}


def test_the_usual_value_is_within_the_scale() -> None:
    assert scale_for(3, 4, Unit.COUNT, least=90).top >= 90


# -- the time ---------------------------------------------------------------------------------


def _axis(seconds: float, width: int, onset: BeganAt | None = None, *, ascii: bool = False) -> str:
    return _texts([time_axis(seconds, width, onset, ascii=ascii)])[0]


def test_times_are_where_they_belong() -> None:
    assert _axis(120, 60) == "-2m          -90s            -1m           -30s          now"
    assert _axis(300, 60).split() == ["-5m", "-4m", "-2m", "now"]
    assert _axis(900, 60).split() == ["-15m", "-10m", "-5m", "now"]
    assert _axis(120, 9) == "-2m   now"


def test_an_onset_is_marked_and_nothing_is_written_over_it() -> None:
    assert _axis(120, 60, ONSET).index("▲00:00:24") == 47
    assert "-30s" not in _axis(120, 60, ONSET)
    assert _axis(120, 60, BeganAt(2, "00:00:48")).endswith("00:00:48▲")
    assert _axis(120, 60, BeganAt(500, "00:00:24")).startswith("◂00:00:24 ")
    assert _axis(120, 60, ONSET, ascii=True).index("^00:00:24") == 47


@pytest.mark.parametrize("seconds", [120.0, 300.0, 900.0])
def test_times_fit_any_width(seconds: float) -> None:
    for width in range(1, 220):
        for ago in (0, 1, seconds / 3, seconds, 2 * seconds):
            drawn = _axis(seconds, width, BeganAt(ago, "12:34:56"))
            assert len(drawn) == width
            words = [at for at, (a, b) in enumerate(pairwise(" " + drawn)) if a == " " != b]
            assert len(words) == len(drawn.split())


def test_room_is_never_less_than_a_cell() -> None:
    assert room_of(0) == room_of(5) == 1
    assert room_of(80) == 74
