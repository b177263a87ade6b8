"""Lines, graphs, histograms, filters: text in, text out."""

from __future__ import annotations

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate
from textual.strip import Strip

from probes import units
from probes.columns.vocabulary import natural
from probes.units import Unit
from tui.table.fields import Field, TableRow
from tui.table.filters import parse
from tui.table.lines import beside, changes, fit, line, pieces, width_of, wrap
from tui.terminal.driver import Brush, smallest
from tui.widgets.histogram import histogram


def test_fit_is_exactly_as_wide_as_asked() -> None:
    """Padded, or cut with a ~; wide characters take two cells."""
    assert fit("ab", 4) == "ab  "
    assert fit("ab", 4, right=True) == "  ab"
    assert fit("abcdef", 4) == "abc~"
    for text in ("漢字漢字", "a漢字", "🦀🦀🦀", "x" * 200, ""):
        for width in (1, 2, 3, 5, 8):
            assert width_of(fit(text, width)) == width


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    """As people do: interfaces, addresses; letters without their case."""
    names = ["eth10", "eth2", "Eth1", "br0", "10.0.0.10", "10.0.0.9", "10.0.0.9:443"]
    wanted = ["10.0.0.9", "10.0.0.9:443", "10.0.0.10", "br0", "Eth1", "eth2", "eth10"]
    assert sorted(names, key=natural) == wanted


def test_wrap_breaks_at_spaces_and_long_words() -> None:
    """No piece is wider than asked."""
    assert list(wrap("one two three", 7)) == ["one two", "three"]
    assert list(wrap("abcdefghij", 4)) == ["abcd", "efgh", "ij"]


def test_changes_are_only_the_cells_that_differ() -> None:
    """A number that changed its last digits repaints those."""
    old = line("eth0  ", ("  1234", ""), "   5")
    assert changes(old, line("eth0  ", ("  1234", ""), "   5"), 16) == []
    assert changes(old, line("eth0  ", ("  1299", ""), "   5"), 16) == [(10, 2)]
    assert changes(old, line("eth0  ", ("  1234", "bad"), "   5"), 16) == [(6, 6)]


def test_near_changes_are_joined_and_far_ones_not() -> None:
    """A jump of the cursor costs as much as a few cells."""
    old, near, far = line("abcdefghijklmnop"), line("a_cd"), line("x")
    assert changes(old, line("abcdefghijklmnoX"), 16) == [(15, 1)]
    assert changes(line("aa", "bbbbbbbbbb", "cc"), line("aX", "bbbbbbbbbb", "cX"), 14) == [
        (1, 1),
        (13, 1),
    ]
    assert changes(line("aa", "bb", "cc"), line("aX", "bb", "cX"), 6) == [(1, 5)]
    assert changes(old, near, 16) == [(1, 15)]
    assert changes(near, far, 16) == [(0, 4)]


def test_what_changes_beyond_the_width_is_not_drawn() -> None:
    """On a narrow screen: its cells would stand at the right edge."""
    old, new = line("abcd", "ef", "ghijkl"), line("abcd", "ef", "ghiXkl")
    for width in (4, 5, 6, 7, 9):
        assert changes(old, new, width) == []
    assert changes(old, new, 10) == [(9, 1)]
    assert changes(line("aa", "bbbbbbbb", "c"), line("aX", "bbbbbbbb", "X"), 5) == [(1, 1)]


def test_pieces_are_what_stands_in_the_regions() -> None:
    """Across spans, each with its role; blank where the line has ended."""
    text = line("abcd", ("efgh", "bad"), "ij")
    assert list(pieces(text, [(1, 2), (3, 3), (9, 3)], 12)) == [
        (1, "bc", ""),
        (3, "d", ""),
        (4, "ef", "bad"),
        (9, "j", ""),
        (10, "  ", ""),
    ]
    assert list(pieces(text, [], 12)) == []
    assert list(pieces(text, [(0, 10)], 10)) == [(0, "abcd", ""), (4, "efgh", "bad"), (8, "ij", "")]


def test_half_a_wide_character_is_a_space() -> None:
    """What is cut is as wide as was asked."""
    assert list(pieces(line("a漢字b"), [(2, 3)], 8)) == [(2, " 字", "")]
    assert list(pieces(line("a漢字b"), [(1, 3)], 8)) == [(1, "漢 ", "")]


def test_another_ground_repaints_the_line() -> None:
    """A selected line is all another colour."""
    assert changes(line("a"), line("a", ground="selection"), 9) == [(0, 9)]


def test_lines_of_other_shape_are_repainted_from_where_they_part() -> None:
    """Cells before stay, and those that are the same all the same."""
    assert changes(line("same", "ab"), line("same", "abc"), 20) == [(6, 1)]
    calm, bad = line(("aaaaaaaa", "calm"), ("bbbb", "bad")), line(("aaaaaaa", "calm"), "  bbb")
    assert changes(calm, bad, 12) == [(7, 5)]
    moved = line(("aaaaaaa", "calm"), ("abbbb", "bad"))
    assert changes(calm, moved, 12) == [(7, 1)]
    assert changes(line("漢", ("a", "bad")), line("漢a", ("b", "bad")), 9) == [(0, 9)]
    assert changes(line("same"), line("same", "new"), 20) == [(4, 3)]


def test_wide_characters_are_repainted_whole() -> None:
    """No half of one is ever left."""
    assert changes(line("漢字ab"), line("漢漢ab"), 6) == [(0, 6)]


def test_histogram_has_a_line_for_each_bucket_between_first_and_last() -> None:
    """Empty ones in between too: a gap is news."""
    rows = histogram((0, 0, 4, 0, 12), 80, units.duration)
    assert len(rows) == 3
    texts = ["".join(t for t, _ in r.spans) for r in rows]
    assert texts[0].split()[:3] == ["4ns", "-", "8ns"]
    assert "25.0%" in texts[0]
    assert "75.0%" in texts[2]
    assert len(histogram((), 80, units.duration)) == 1


def test_filter_words_are_all_wanted_and_banned_ones_not() -> None:
    """Case does not matter; nothing asked for is no filter."""
    fields = (Field("comm", "Command"), Field("port", "Port", Unit.NUMBER))
    curl = TableRow(1, "curl > 10.0.0.5:443", {"comm": "curl", "port": 443})
    keep = parse("CURL 443", fields)
    assert keep is not None
    assert keep(curl)
    keep = parse("curl !443", fields)
    assert keep is not None
    assert not keep(curl)
    assert parse("  ! ", fields) is None


def test_blocks_side_by_side_keep_the_left_ones_width() -> None:
    """Also where the left is too long or too short."""
    rows = beside([line("a"), line("x" * 9)], [line("b"), line("c"), line("d")], 4)
    texts = ["".join(t for t, _ in r.spans) for r in rows]
    assert texts == ["a   b", "xxx~c", "    d"]


def test_an_update_writes_only_its_cells_and_each_style_once() -> None:
    """Two far cells of one style: two moves, one style, no line rewritten."""
    plain, bad = Style(color="#aaaaaa"), Style(color="#ff0000", bold=True)
    strip = Strip([Segment("abcdef", plain), Segment("漢字", bad), Segment("xyz", plain)])
    console = Console(color_system="truecolor", force_terminal=True)
    update = ChopsUpdate([{0: strip}], [(0, 1, 3), (0, 10, 12)], [[13]])
    assert smallest(update, console) == "\x1b[1;2H\x1b[0;38;2;170;170;170mbc\x1b[7Cxy\x1b[0m"
    update = ChopsUpdate([{0: strip}], [(0, 6, 8)], [[13]])
    wide = "\x1b[1;7H\x1b[0;1;38;2;255;0;0m  \x1b[1;7H漢\x1b[0m"
    assert smallest(update, console) == wide, "where it ends is the terminal's to say"


def test_half_a_wide_character_is_never_written() -> None:
    """What is cut in two is written as spaces."""
    strip = Strip([Segment("漢字", Style(color="#ff0000"))])
    console = Console(color_system="truecolor", force_terminal=True)
    out = smallest(ChopsUpdate([{0: strip}], [(0, 1, 3)], [[4]]), console)
    assert "漢" not in out
    assert "字" not in out


def test_the_number_of_colours_may_change_while_styles_stay() -> None:
    """The setting "Slow link" limits them to 256 at once, and gives them back."""
    console = Console(force_terminal=True, color_system="truecolor")
    style = Style(color="#6cb6ff", bold=True)

    def drawn(system: ColorSystem) -> str:
        console._color_system = system
        brush = Brush(console)
        brush.put(0, 0, "x", style)
        return brush.text()

    for _ in range(2):
        assert "[0;1;38;2;108;182;255m" in drawn(ColorSystem.TRUECOLOR)
        assert "[0;1;38;5;75m" in drawn(ColorSystem.EIGHT_BIT)
