"""Colours of printed text: where they are wanted, and that they change nothing but colour."""

from __future__ import annotations

import io
import re

import pytest

from tests.support.commands import in_terminal
from tests.support.warm import ebpftop
from tui.output import colour

SGR = re.compile(r"\x1b\[[\d;]*m")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "terminal", "environ", "expected"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ("never", True, {}, False),
    ],
)
def test_it_is_coloured_where_somebody_sees_it(
    choice: str, terminal: bool, environ: dict[str, str], expected: bool
) -> None:
    out = _Terminal() if terminal else io.StringIO()
    assert colour.wanted(choice, out, environ) is expected


@pytest.mark.parametrize("command", [["hooks"], ["once", "--hook", "interfaces", "--for", "0"]])
def test_the_text_is_the_same(command: list[str]) -> None:
    plain, coloured = ebpftop(*command), ebpftop(*command, "--color", "always")
    assert "\x1b" not in plain.stdout
    assert "\x1b[1m" in coloured.stdout
    figures = re.compile(r"[\d.]+\S*|-| +")
    assert figures.sub("", SGR.sub("", coloured.stdout)) == figures.sub("", plain.stdout)


def test_json_has_no_colour() -> None:
    assert "\x1b" not in ebpftop("hooks", "--json", "--color", "always").stdout


@pytest.mark.parametrize(
    ("line", "sgr"),
    [
        ("! eth1 drops 38 % of its packets", "1;31"),
        ("~ connects take longer", "33"),
        ("    next: bpftool prog show id 412", "36"),
        ("  > kprobe                    yes", "32"),
        ("    fentry                    no       EPERM: refused", "2"),
        ("tcp-connect: would attach on kprobe", "1"),
        ("drops: attached on btf-tracepoint, 2 runs/s at 8us: 0.1% of a CPU", "1"),
        ("xdp@eth0: failed", "1;31"),
    ],
)
def test_a_line_has_the_colour_of_what_it_says(line: str, sgr: str) -> None:
    assert colour.painted(line, "always") == f"\x1b[{sgr}m{line}\x1b[0m"


def test_a_row_of_a_table_has_none() -> None:
    assert colour.painted("  eth0  12  ! x", "always") == "  eth0  12  ! x"


def test_a_theme_and_no_colour_are_not_both_meant() -> None:
    status, said = in_terminal("demo", "--color", "never", "--theme", "light")
    assert status == 2
    assert said == ("ebpftop: --color never is the theme mono: give either --color or --theme\r\n")
