"""A light terminal is recognized where no theme is named, and keys typed meanwhile are kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.terminals import terminal
from tui.config import theme
from tui.terminal.background import ASK, BackgroundAnswer, answers

DEMO = """
from probes.sources.demo.source import Demo
from tui.screen.app import run
raise SystemExit(run(Demo(interval=0.2, begin=40){}))
"""
LIGHT, DARK = "\x1b]11;rgb:fdfd/f6f6/e3e3\x1b\\", "\x1b]11;rgb:1010/1414/1a1a\x07"


def _taken(*pieces: str) -> tuple[str, list[bool]]:
    told: list[bool] = []
    background = BackgroundAnswer(told.append)
    background.asked()
    return "".join(map(background.take, pieces)), told


@pytest.mark.parametrize(
    ("answer", "light"),
    [
        (LIGHT, True),
        (DARK, False),
        ("\x1b]11;rgb:ff/ff/ff\x07", True),
        ("\x1b]11;rgb:0/0/8\x07", False),
        ("\x1b]11;rgba:ffff/ffff/ffff/0000\x1b\\", True),
    ],
)
def test_an_answer_is_told_and_what_is_typed_around_it_kept(answer: str, light: bool) -> None:
    assert _taken(f"j{answer}k") == ("jk", [light])


def test_an_answer_may_come_in_pieces() -> None:
    for at in range(2, len(LIGHT)):
        assert _taken("j" + LIGHT[:at], LIGHT[at:] + "k") == ("jk", [True])


def test_other_keys_are_left_alone() -> None:
    """Also those that begin like an answer, and an Escape at once."""
    assert _taken("\x1b") == ("\x1b", [])
    assert _taken("\x1b[A", "\x1b]x", "q") == ("\x1b[A\x1b]xq", [])
    assert _taken("\x1b]", "q") == ("\x1b]q", [])


def test_what_nobody_asked_for_is_not_taken() -> None:
    background = BackgroundAnswer(lambda _: pytest.fail("it was not asked"))
    assert background.take(LIGHT) == LIGHT


def test_terminals_that_would_not_answer_are_not_asked() -> None:
    assert answers({"TERM": "xterm-256color"})
    assert not any(answers({"TERM": term}) for term in ("", "linux", "dumb", "vt220"))


def _has(name: str, output: bytes) -> bool:
    red, green, blue = (int(theme.load(name).background[at : at + 2], 16) for at in (1, 3, 5))
    return f"48;2;{red};{green};{blue}".encode() in output


def test_a_light_terminal_gets_the_light_theme(tmp_path: Path) -> None:
    with terminal(DEMO.format(""), tmp_path, COLORTERM="truecolor") as child:
        child.read_until(ASK.encode())
        child.type(LIGHT.encode())
        child.until(lambda: _has("light", child.output))
        child.type(b"q")
        assert child.leave() == 0


def test_a_terminal_of_sixteen_colours_gets_a_theme_for_it(tmp_path: Path) -> None:
    """A light one another than a dark one: yellow on white is not to be read."""
    for answer, warn in ((DARK, b"33"), (LIGHT, b"35")):
        with terminal(DEMO.format(""), tmp_path, TERM="xterm", COLORTERM="") as child:
            child.read_until(ASK.encode())
            child.type(answer.encode())
            child.until(
                lambda warn=warn: re.search(rb"\x1b\[(0;)?%s(;49)?m[^\x1b]*~" % warn, child.output)
            )
            assert b"38;2;" not in child.output
            child.type(b"q")
            assert child.leave() == 0


def test_a_dark_one_and_one_that_does_not_answer_keep_the_dark_theme(tmp_path: Path) -> None:
    for answer in (DARK, ""):
        with terminal(DEMO.format(""), tmp_path, COLORTERM="truecolor") as child:
            child.read_until(ASK.encode())
            child.type(answer.encode())
            child.read_until(b"SOCKET_RCVBUFF")
            assert not _has("light", child.output)
            assert _has("dark", child.output)
            child.type(b"q")
            assert child.leave() == 0


@pytest.mark.parametrize("named", [', theme="dark"', ""], ids=["theme", "NO_COLOR"])
def test_a_theme_that_is_named_is_kept(named: str, tmp_path: Path) -> None:
    colours = {"COLORTERM": "truecolor"} if named else {"NO_COLOR": "1"}
    with terminal(DEMO.format(named), tmp_path, **colours) as child:
        child.read_until(b"SOCKET_RCVBUFF")
        assert ASK.encode() not in child.output
        child.type(b"q")
        assert child.leave() == 0
