"""Every option with every command, before it and after it: the same, or refused in a sentence."""

from __future__ import annotations

from functools import cache

import pytest

from tests.support.warm import ebpftop
from tui.commands import MONITOR, _parsing
from tui.commands._run import UsageError

VALUES = {
    "-d": "0.5",
    "-i": "lo",
    "-n": "3",
    "-p": "1",
    "--attach": "xdp@lo",
    "--at": "+5",
    "--budget": "2%",
    "--color": "never",
    "--count": "3",
    "--drop": "lo: udp dport 9 ttl 1s",
    "--for": "2",
    "--format": "csv",
    "--hook": "drops",
    "--interface": "lo",
    "--interval": "0.5",
    "--listen": "127.0.0.1:0",
    "--btf": "/x",
    "--bundle": "/x",
    "--memory": "300",
    "--output": "/tmp/x",
    "--most": "5",
    "--netns": "blue",
    "--pid": "1",
    "--programs": "XDP",
    "--remote": "web1",
    "--remote-command": "sudo ebpftop",
    "--rung": "drops=counters",
    "--scope": "unit:ssh",
    "--seed": "7",
    "--speed": "2",
    "--svg": "a.svg",
    "--theme": "light",
}
NEEDS = {"completion": ["bash"], "record": ["a.rec"], "replay": ["a.rec"]}
PARSERS = _parsing.parsers()
OPTIONS = sorted(
    {
        flag
        for parser in PARSERS.values()
        for action in parser._actions
        for flag in action.option_strings
        if flag not in ("-h", "--help", "-V", "--version")
    }
)


TAKES = {
    flag: action.nargs
    for parser in PARSERS.values()
    for action in parser._actions
    for flag in action.option_strings
}


def _words(option: str) -> list[str]:
    return [option] if TAKES[option] == 0 else [option, VALUES[option]]


def _meant(argv: list[str]) -> dict[str, object] | str:
    try:
        return vars(_parsing.parse(argv))
    except UsageError as wrong:
        return str(wrong)


@cache
def _plain(command: str) -> dict[str, object] | str:
    return _meant([command, *NEEDS.get(command, [])])


def _comparable(meant: dict[str, object] | str) -> object:
    return meant if isinstance(meant, str) else {k: str(v) for k, v in meant.items()}


@pytest.mark.parametrize("command", [c for c in PARSERS if c != MONITOR])
@pytest.mark.parametrize("option", OPTIONS)
def test_it_means_the_same_in_both_places_or_nothing(option: str, command: str) -> None:
    rest = [command, *NEEDS.get(command, [])]
    before, after = _meant([*_words(option), *rest]), _meant([*rest, *_words(option)])
    assert _comparable(before) == _comparable(after)
    plain = _plain(command)
    if option in PARSERS[command]._option_string_actions:
        assert isinstance(before, dict), before
        assert before["command"] == command
        if (option, command) != ("--json", "stream"):  # as it is anyway
            assert _comparable(before) != _comparable(plain), "an option that does nothing"
    else:
        assert isinstance(before, str)
        assert option in before


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.startswith("--")])
def test_no_part_of_it_stands_for_it(option: str) -> None:
    if option[:-1] in OPTIONS:
        pytest.skip("that is another option")
    assert isinstance(_meant([option[:-1], *_words(option)[1:]]), str)


def test_an_equals_sign_and_a_repeated_option_work_in_front_too() -> None:
    front = _meant(["--interval=0.5", "--hook", "drops", "stream", "--hook=syscalls"])
    assert isinstance(front, dict)
    assert front["interval"] == 0.5
    assert [id.hook for id in front["hooks"]] == ["drops", "syscalls"]  # type: ignore[attr-defined]


def test_a_command_s_name_as_a_value_is_a_value() -> None:
    meant = _meant(["--theme", "once", "demo"])
    assert isinstance(meant, dict)
    assert (meant["command"], meant["theme"]) == ("demo", "once")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nosuch"], "there is no command 'nosuch'"),
        (["onse"], "similar names: once"),
        (["--nosuch", "once"], "unknown option or argument '--nosuch'"),
        (["once", "extra"], "unknown option or argument 'extra'"),
        (["--theme", "light", "once"], "`once` does not take --theme"),
        (["--json"], "the monitor does not take --json"),
        (
            ["--hook", "drops"],
            "the monitor does not take --hook; it belongs to `doctor`, `findings`, `once`",
        ),
        (["--observe-only", "--for", "5"], "the monitor does not take --for"),
        (["--interv", "5"], "--interv: write --interval; options have no abbreviations"),
        (["--interv=5", "stream"], "--interv: write --interval; options have no abbreviations"),
        (["stream", "--interv", "5"], "--interv: write --interval; options have no abbreviations"),
        (["once", "--fro", "5"], "unknown option or argument '--fro'; similar names: --for"),
        (["once", "--no"], "--no: write --no-ascii or --no-"),
        (["--intervall", "5", "stream"], "similar names: --interval"),
        (["once", "-x"], "unknown option or argument '-x'"),
        (["once", "-5"], "unknown option or argument '-5'"),
        (["--", "once"], "unknown option or argument '--'"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_status_2(argv: list[str], said: str) -> None:
    done = ebpftop(*argv)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("ebpftop: ")
    assert done.stderr.count("\n") == 1


NUMBERS = {
    "-d": ("stream", "the interval must be from 0.1 to 3600 seconds"),
    "-n": ("stream", "is not a number above 0"),
    "--interval": ("stream", "the interval must be from 0.1 to 3600 seconds"),
    "--for": ("once", "is not a number of seconds"),
    "--budget": ("once", "write a share of one CPU"),
    "--memory": ("once", "is not a memory limit: write megabytes"),
    "--count": ("stream", "is not a number above 0"),
    "--speed": ("replay", "the speed must be from 0.1 to 60"),
    "--seed": ("demo", "is not a whole number"),
    "--most": ("export", "is not a number above 0"),
    "-p": ("once", "is not a number above 0"),
    "--pid": ("once", "is not a number above 0"),
}
"""Of which command, and what is said of a number that it cannot have."""
WRONG = ("nan", "inf", "-inf", "-1", "", " ", "abc", "1e308", "9" * 5000, "0x10", "10 s", "1,5")
"""With a few that one option or another takes."""


@pytest.mark.parametrize("option", NUMBERS)
@pytest.mark.parametrize("value", WRONG, ids=lambda text: text[:8] or "empty")
def test_a_number_that_cannot_be_is_one_sentence(option: str, value: str) -> None:
    command, said = NUMBERS[option]
    wrong = _meant([command, *NEEDS.get(command, []), f"{option}={value}"])
    assert isinstance(wrong, str), wrong
    assert said in wrong
    assert wrong.count("\n") == 0
    assert len(wrong) < 200


def test_every_option_that_takes_a_number_is_among_them() -> None:
    words = {"SECONDS", "PERCENT", "MB", "N", "PID", "TIMES", "COUNT"}
    taken = {
        flag
        for parser in PARSERS.values()
        for action in parser._actions
        for flag in action.option_strings
        if action.metavar in words
        or (isinstance(action.default, int | float) and action.nargs != 0)
    }
    assert taken <= NUMBERS.keys()


@pytest.mark.parametrize(
    "words",
    [
        ("once", "--json"),
        ("stream", "--format", "csv"),
        ("findings", "--json"),
        ("doctor", "--json"),
        ("hooks", "--json"),
        ("replay", "a.rec", "--json"),
    ],
)
def test_colours_are_refused_where_there_are_none(words: tuple[str, ...]) -> None:
    """`never` and `auto` hold there anyway."""
    done = ebpftop(*words, "--color", "always")
    assert done.stderr.endswith("has no colours: leave out --color always, or print text\n")
    assert done.returncode == 2
