"""Texts in so many cells."""

from __future__ import annotations

import pytest

from tui.table.lines import fit_words, width_of


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("eth1 drops packets", 20, "eth1 drops packets  "),
        ("XDP acme_filter#147417 drops at eth1", 34, "XDP acme_fil~#147417 drops at eth1"),
        ("a-word-that-is-very-long and-one-that-is-long", 20, "a-wor~ng and-one~ong"),
        ("server 198.51.100.53: no answer in time", 32, "server 198.51.100.53: no answer~"),
        ("many short words that do not fit", 12, "many short ~"),
        ("", 3, "   "),
        ("one", 1, "~"),
    ],
)  # fmt: skip
def test_the_longest_words_are_cut_within(text: str, width: int, shown: str) -> None:
    assert fit_words(text, width) == shown
    assert width_of(shown) == width


def test_the_end_of_an_address_stays() -> None:
    """Its port, and what is said of it."""
    said = fit_words("[2001:db8:85a3:8d3:1319:8a2e:370:7348]:65535: no answer", 36)
    assert said.startswith("[2001:db8:")
    assert said.endswith(":65535: no answer")
