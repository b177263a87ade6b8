"""Numbers and names as text: short, and harmless to any terminal."""

from __future__ import annotations

import pytest

from probes.units import Unit, count, duration, octets, per_second, percent, printable, show

MOST = 2**64 - 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.0, "0"),
        (0.3, "0.3"),
        (1, "1"),
        (1.0, "1"),
        (9.94, "9.9"),
        (9.96, "10"),
        (99.4, "99"),
        (999, "999"),
        (999.4, "999"),
        (999.5, "1.0k"),
        (1000, "1.0k"),
        (1023, "1.0k"),
        (1024, "1.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (34_500_000, "34.5M"),
        (10**9, "1.0G"),
        (10**12, "1.0T"),
        (10**15, "1.0P"),
        (10**18, "1.0E"),
        (MOST, "18.4E"),
        (-7, "-7"),
        (-0.5, "-0.5"),
        (-1500, "-1.5k"),
    ],
)
def test_counts_are_scaled_by_thousands(value: float | None, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0B"),
        (999, "999B"),
        (999.5, "1000B"),
        (1000, "1000B"),
        (1023, "1023B"),
        (1023.5, "1.0kB"),
        (1024, "1.0kB"),
        (1536, "1.5kB"),
        (1023 * 1024, "1023kB"),
        (1024**2, "1.0MB"),
        (1024**6, "1.0EB"),
        (MOST, "16.0EB"),
        (-2048, "-2.0kB"),
    ],
)
def test_bytes_are_scaled_by_1024(value: float | None, text: str) -> None:
    assert octets(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0b"), (1, "8b"), (125, "1.0kb"), (125_000_000, "1.0Gb"), (MOST, "148Eb")],
)
def test_bits_are_scaled_by_1000(value: float | None, text: str) -> None:
    assert octets(value, bits=True) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "-"),
        (0, "0ns"),
        (0.4, "0ns"),
        (850, "850ns"),
        (999, "999ns"),
        (999.5, "1.0us"),
        (1000, "1.0us"),
        (1023, "1.0us"),
        (12_345, "12.3us"),
        (99_950, "100us"),
        (999_499, "999us"),
        (999_500, "1.0ms"),
        (4_500_000, "4.5ms"),
        (2_100_000_000, "2.1s"),
        (120 * 10**9, "120s"),
        (3600 * 10**9, "1.0h"),
        (86_400 * 10**9, "1.0d"),
        (MOST, "213504d"),
        (-1500, "-1.5us"),
    ],
)
def test_durations_take_the_unit_that_fits(ns: float | None, text: str) -> None:
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0.0%"),
        (0.04, "0.04%"),
        (0.994, "0.99%"),
        (0.996, "1.0%"),
        (3.14, "3.1%"),
        (99.94, "99.9%"),
        (99.96, "100%"),
        (120, "120%"),
        (999.5, "1000%"),
        (6400, "6400%"),
        (-0.5, "-0.50%"),
    ],
)
def test_small_shares_keep_two_digits(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize("format", [count, octets, lambda v: octets(v, bits=True), duration])
def test_nothing_that_a_64_bit_counter_holds_is_wider_than_7_cells(format: object) -> None:
    assert callable(format)
    edges = {0, MOST}
    for base in (10, 1000, 1024, 60, 3600, 86_400):
        edges |= {base**n + d for n in range(21) for d in (-1, 0, 1) if 0 <= base**n + d <= MOST}
    tenths = {e * f for e in edges for f in (0.95, 0.99949, 0.9995, 0.9999) if e * f <= MOST}
    wide = {v: format(v) for v in edges | tenths if len(format(v)) > 7}
    assert not wide


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, Unit.COUNT, "-"),
        (None, Unit.TEXT, "-"),
        (1500, Unit.COUNT, "1.5k"),
        (1500, Unit.PACKETS, "1.5k"),
        (1500, Unit.BYTES, "1.5kB"),
        (1500, Unit.NS, "1.5us"),
        (1500, Unit.US, "1.5ms"),
        (1.5, Unit.PERCENT, "1.5%"),
        (4_194_304, Unit.NUMBER, "4194304"),
        (7, Unit.TEXT, "7"),
        ("curl", Unit.TEXT, "curl"),
        ("a\x1b[2J", Unit.TEXT, "a?[2J"),
        ("a\nb", Unit.COUNT, "a?b"),
    ],
)
def test_every_unit_is_shown_its_own_way(value: object, unit: Unit, text: str) -> None:
    assert show(value, unit) == text


def test_bits_are_for_bytes_only() -> None:
    assert show(1000, Unit.BYTES, bits=True) == "8.0kb"
    assert show(1000, Unit.COUNT, bits=True) == "1.0k"


@pytest.mark.parametrize("unit", Unit)
def test_every_unit_shows_a_number_and_a_dash(unit: Unit) -> None:
    assert show(12, unit).startswith("12")
    assert show(None, unit) == "-"


@pytest.mark.parametrize("text", ["", "curl", "kworker/0:1H", "naïve", "日本", "🦀"])
def test_what_can_be_shown_is_left_alone(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "bad",
    [
        "\0",
        "\a",
        "\b",
        "\t",
        "\n",
        "\r",
        "\x1b",
        "\x7f",
        "\x85",  # C1: next line
        "\x9b",  # C1: control sequence introducer
        "\u200b",  # zero width space
        "\u202e",  # right-to-left override
        "\u2066",  # isolate
        "\u2028",  # line separator
        "\u2029",  # paragraph separator
        "\ufeff",
        "\udc80",  # a byte that was no UTF-8
        "\ue000",  # private use
        "\U000e0001",  # language tag
        "\uffff",
    ],
)
def test_what_would_move_hide_or_command_is_a_question_mark(bad: str) -> None:
    assert printable(f"a{bad}b") == "a?b"


def test_an_escape_sequence_loses_its_teeth_and_not_its_length() -> None:
    title = "\x1b]0;owned\x07"
    assert printable(title) == "?]0;owned?"
    assert len(printable(title)) == len(title)


def test_a_rate_of_one_is_of_one() -> None:
    assert per_second(1, "connect") == "1 connect/s"
    assert per_second(0.5, "connect") == "0.5 connects/s"
    assert per_second(1200, "connect") == "1.2k connects/s"
    assert per_second(None, "connect") == "- connects/s"
