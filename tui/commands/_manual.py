"""The manual page, made from the parsers: `man` macros, so that every `man` shows it."""

from __future__ import annotations

import argparse
import os
import re
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from tui.commands import MONITOR, Command, _parsing, commands
from tui.commands._help import ABOUT, LADDER
from tui.commands._run import version

WHAT = (
    "It shows who drops packets and why, which system calls and connects fail, whose they are, "
    "which connections are slow, and what the watching itself costs. Hooks attached at start only "
    "observe, and everything is detached at the end, however ebpftop ends."
)
ENVIRONMENT = {
    "NO_COLOR": "if set and not empty, no colours: the theme is mono, and text is plain, unless "
    "--color or --theme says otherwise",
    "XDG_CONFIG_HOME": "settings, themes and hook files are in ebpftop/ below it (~/.config)",
    "XDG_STATE_HOME": "saved tables, pictures and recordings are in ebpftop/ below it "
    "(~/.local/state)",
    "XDG_CACHE_HOME": "compiled programs are kept below it (~/.cache; root: /var/cache)",
}
FILES = {
    "~/.config/ebpftop/settings.toml": "settings: see the guide",
    "/etc/ebpftop/settings.toml": "settings for everybody on this host; one's own take precedence",
    "~/.config/ebpftop/themes/": "themes of your own",
    "~/.config/ebpftop/hooks/": "hook files of your own",
    "/var/cache/ebpftop-compiled": "compiled programs",
}
_MARKS = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "~": r"\(ti"})


def page() -> str:
    """Return the page as roff."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH EBPFTOP 1 "{_date()}" "ebpftop {_text(version())}" "User Commands"'
    yield from (".SH NAME", r"ebpftop \- top(1) for the kernel\(aqs eBPF hooks")
    yield from (".SH SYNOPSIS", r".B ebpftop", r"[\fIOPTION\fR]... [\fICOMMAND\fR ...]")
    yield from (".SH DESCRIPTION", _text(ABOUT), ".PP", _text(WHAT), ".PP", _text(LADDER))
    yield from _options(MONITOR)
    yield ".SH COMMANDS"
    for name in _parsing.listed():
        yield from _command(name, commands()[name])
    yield from _listed("EXIT STATUS", {str(k): v for k, v in commands()["once"].STATUSES.items()})
    yield from _listed("ENVIRONMENT", ENVIRONMENT)
    yield from _listed("FILES", FILES)
    yield from _examples(commands()[MONITOR])
    yield from (".SH SEE ALSO", ".BR bpftool (8),", ".BR bpf (2),", ".BR tc (8),", ".BR top (1)")


def _date() -> str:
    """Return today, or what a reproducible build says (SOURCE_DATE_EPOCH)."""
    seconds = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _options(name: str) -> Iterator[str]:
    """Yield the groups of options as sections; those of a command as paragraphs."""
    for group in _parsing.parsers()[name]._action_groups:
        actions = [a for a in group._group_actions if a.nargs != argparse.PARSER]
        if name != MONITOR:
            actions = [a for a in actions if "--help" not in a.option_strings]
        if actions and name == MONITOR:
            yield f".SH {_text(str(group.title)).upper()}"
        for action in actions:
            yield from (".TP", _names(action), _text((action.help or "").replace("%%", "%")))


def _names(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else rf" \fI{_text(_value(action))}\fR"
    names = ", ".join(rf"\fB{_text(name)}\fR" for name in action.option_strings)
    return f"{names}{value}".strip()


def _value(action: argparse.Action) -> str:
    return str(action.metavar or "|".join(action.choices or ()) or action.dest.upper())


def _command(name: str, command: Command) -> Iterator[str]:
    yield f'.SS "{_text(_usage(name))}"'
    yield _text(f"{command.HELP[0].upper()}{command.HELP[1:]}. {getattr(command, 'ABOUT', '')}")
    yield from _options(name)
    if command.STATUSES != commands()["once"].STATUSES:
        said = "; ".join(f"{number} {meaning}" for number, meaning in command.STATUSES.items())
        yield from (".PP", _text(f"Exit status: {said}."))
    yield from _shown(command.EXAMPLES)


def _usage(name: str) -> str:
    """Return the command with its arguments; options are below it."""
    usage = _parsing.parsers()[name].format_usage().removeprefix("usage: ")
    arguments = [a for a in _parsing.parsers()[name]._actions if not a.option_strings]
    words = [f"[{_value(a)}]" if a.nargs == "?" else _value(a) for a in arguments]
    options = ["[OPTION]..."] if re.search(r"\[-(?!h\b)", usage) else []
    return " ".join(["ebpftop", name, *options, *words])


def _examples(command: Command) -> Iterator[str]:
    yield ".SH EXAMPLES"
    yield from islice(_shown(command.EXAMPLES), 1, None)  # a section begins a paragraph itself


def _shown(examples: Mapping[str, str]) -> Iterator[str]:
    for line, says in examples.items():
        yield from (".PP", f"{_text(says[0].upper() + says[1:])}:", ".PP", ".nf", ".RS")
        yield from (_text(line), ".RE", ".fi")


def _listed(title: str, what: Mapping[str, str]) -> Iterable[str]:
    yield f".SH {title}"
    for name, says in what.items():
        yield from (".TP", rf"\fB{_text(name)}\fR", _text(says))


def _text(text: str) -> str:
    """Return the text as roff shows it; what would be read as a request gets a mark before it."""
    safe = " ".join(text.split()).translate(_MARKS)
    lines = textwrap.wrap(safe, 79, break_long_words=False, break_on_hyphens=False)
    return "\n".join(rf"\&{line}" if line.startswith(".") else line for line in lines)
