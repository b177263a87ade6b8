"""Completion scripts and the manual page: made from the parsers, read by the real programs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probes.hooks import catalogue
from tests.support.warm import ebpftop
from tui.commands import MONITOR, _manual, _parsing, _shells

LISTED = _parsing.listed()


def _run(program: str, *words: str, text: str = "") -> str:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *words], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / f"ebpftop.{request.param}"
    file.write_text(_shells.script(request.param))
    return file


def test_the_command_prints_the_script_and_the_page() -> None:
    for shell in _shells.SHELLS:
        assert ebpftop("completion", shell).stdout == _shells.script(shell)
    assert ebpftop("man").stdout == _manual.page()
    done = ebpftop("completion", "tcsh")
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr


WANTED = [
    (["re"], {"record", "replay"}),
    (["once", "--ho"], {"--hook"}),
    (["once", "--hook", "tcp-c"], {"tcp-connect"}),
    (["once", "--format", ""], {"table", "json", "csv"}),
    (["once", "-i", "l"], {"lo"}),
    (["once", "--rung", "qdiscs="], {"qdiscs=netlink"}),
    (["help", "find"], {"findings"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
    (["--theme", "light", "--col"], {"--color"}),
    (["--theme", "hi"], {"high-contrast"}),
    (["--observe-only", "rec"], {"record"}),
]


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(("typed", "offered"), WANTED, ids=[" ".join(t) for t, _ in WANTED])
def test_bash_completes(script: Path, typed: list[str], offered: set[str]) -> None:
    words = " ".join(f"'{word}'" for word in ("ebpftop", *typed))
    code = f"COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _ebpftop"
    said = _run("bash", "-c", f'. {script}; {code}; printf "%s\\n" "${{COMPREPLY[@]}}"')
    assert set(said.split()) == offered


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_files_and_processes(script: Path, tmp_path: Path) -> None:
    (tmp_path / "incident.rec").touch()
    for typed, offered in (
        (f"replay {tmp_path}/in", f"{tmp_path}/incident.rec"),
        ("once -p $BASHPID", "$BASHPID"),
    ):
        code = f"w=(ebpftop {typed}); COMP_WORDS=(${{w[@]}}); COMP_CWORD=$((${{#w[@]}} - 1))"
        said = _run(
            "bash", "-c", f'. {script}; {code}; _ebpftop; echo "${{COMPREPLY[0]}} {offered}"'
        )
        found, wanted = said.split()
        assert found == wanted


@pytest.mark.parametrize("script", ["fish"], indirect=True)
@pytest.mark.parametrize(("typed", "offered"), WANTED, ids=[" ".join(t) for t, _ in WANTED])
def test_fish_completes(script: Path, typed: list[str], offered: set[str]) -> None:
    line = " ".join(["ebpftop", *typed])
    said = _run("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'")
    found = {line.split("\t")[0] for line in said.splitlines()}
    assert offered <= found
    assert found - offered <= {name for name in found if "-" in name}, "what is spelled alike"


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_is_told_every_command_and_option(script: Path) -> None:
    """What `_arguments` is called with, where `_arguments` is asked to parse it first."""
    code = f"autoload -U compinit && compinit -u -D; source {script}; "
    for name in LISTED:
        said = _run("zsh", "-f", "-c", f"{code} print -l -- $_ebpftop_{name}")
        told = set(re.findall(r"^\*(--?[\w-]+)\[", said, re.MULTILINE))
        assert told == set(_parsing.parsers()[name]._option_string_actions), name
    said = _run("zsh", "-f", "-c", f"{code} print -l -- $_ebpftop_commands; print $_comps[ebpftop]")
    assert [line.split(":")[0] for line in said.split("\n") if line] == [*LISTED, "_ebpftop"]


ZSH = r"""
zmodload zsh/zpty zsh/zselect
zpty shell zsh -f -i
zpty -w shell "autoload -U compinit; compinit -u -D; . $1"
zpty -w shell "show() { print -rn -- \$BUFFER >$3.new; mv $3.new $3 }; zle -N show"
zpty -w shell "bindkey '^X^X' show"
zpty -n -w shell "$2"$'\t\x18\x18'
repeat 300; do [[ -e $3 ]] && break; zpty -r -t shell >/dev/null; zselect -t 10; done
zpty -d shell
"""
"""An interactive zsh with the script `$1` gets the line `$2` and Tab; the result is in `$3`."""


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("ebpftop find", "ebpftop findings "),
        ("ebpftop once --obs", "ebpftop once --observe-only "),
        ("ebpftop once --hook tcp-c", "ebpftop once --hook tcp-connect "),
        ("ebpftop --theme hi", "ebpftop --theme high-contrast "),
        ("ebpftop help prof", "ebpftop help profile "),
    ],
)
def test_zsh_completes(script: Path, typed: str, line: str, tmp_path: Path) -> None:
    _run("zsh", "-f", "-c", ZSH, "zsh", str(script), typed, str(tmp_path / "line"))
    assert (tmp_path / "line").read_text() == line


def test_every_hook_is_offered() -> None:
    for shell in _shells.SHELLS:
        assert all(name in _shells.script(shell) for name in catalogue())


def test_the_page_names_every_command_and_option() -> None:
    page = _manual.page().replace(r"\-", "-")
    for name in (MONITOR, *LISTED):
        assert name == MONITOR or f'.SS "ebpftop {name}' in page
        flags = _parsing.parsers()[name]._option_string_actions
        assert [flag for flag in flags if rf"\fB{flag}\fR" not in page] == []


def test_mandoc_and_man_find_nothing_to_complain_of(tmp_path: Path) -> None:
    file = tmp_path / "ebpftop.1"
    file.write_text(_manual.page())
    said = _run("man", "--warnings", "-l", str(file))
    assert "ebpftop - top(1) for the kernel's eBPF hooks" in " ".join(said.split())
    _run("mandoc", "-T", "lint", "-W", "warning,stop", str(file))
