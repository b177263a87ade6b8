"""The command line as a person types it: what is understood, refused and said, without a kernel."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from probes.compile import bcc_version
from probes.hooks import catalogue
from probes.model import Reach
from tests.support import commands
from tests.support.commands import COMMAND, ROOT, in_terminal
from tests.support.warm import ebpftop
from tui.commands import MONITOR, _versions
from tui.commands import commands as commands_of
from tui.commands._parsing import parse, parsers


@pytest.mark.parametrize("command", [[], ["once"], ["stream"], ["doctor"], ["hooks"], ["demo"]])
def test_every_command_has_help(command: list[str]) -> None:
    done = ebpftop(*command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ebpftop")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["once", "--hook", "nosuch"], "there is no hook 'nosuch'; hooks are interfaces"),
        (["once", "--hook", ""], "there is no hook ''"),
        (["once", "--hook", "xdp"], "name the interface: xdp@INTERFACE"),
        (["once", "--hook", "xdp@"], "name the interface: xdp@INTERFACE"),
        (["once", "--hook", "syscall-processes"], "name the syscall: syscall-processes@SYSCALL"),
        (["once", "--hook", "drops@lo"], "the hook drops takes no target"),
        (["doctor", "--hook", "nosuch"], "there is no hook 'nosuch'"),
        (["once", "--rung", "drops"], "write HOOK=RUNG"),
        (["once", "--rung", "nosuch=tcx"], "there is no hook 'nosuch'; hooks are interfaces"),
        (["once", "--rung", "tcp-rrt=tcx"], "there is no hook 'tcp-rrt'; similar names: tcp-rtt"),
        (["once", "--rung", "drops=nosuch"], "drops has no rung 'nosuch'; it has btf-tracepoint"),
        (["once", "--for", "soon"], "'soon' is not a number of seconds"),
        (["once", "--for", "-1"], "is not a number of seconds"),
        (["once", "--for", "nan"], "is not a number of seconds"),
        (["stream", "--interval", "0"], "the interval must be from 0.1 to 3600 seconds"),
        (["stream", "--interval", "inf"], "the interval must be from 0.1 to 3600 seconds"),
        (["stream", "--count", "0"], "'0' is not a number above 0"),
        (["--attach", "nosuch"], "there is no hook 'nosuch'"),
        (["--interval", "fast"], "the interval must be from 0.1 to 3600 seconds"),
        (["nosuch"], "there is no command 'nosuch'"),
        (["record", "-"], "name a file; nothing is written to standard output"),
        (["profile", "--svg", "-"], "name a file; nothing is written to standard output"),
        (["replay", "x", "--count", "3"], "--count limits what is printed"),
        (["replay", "x", "--json", "--speed", "2"], "--speed is for the screen"),
        (["replay", "x", "--json", "--no-slow-link"], "--slow-link is for the screen"),
        (["--nosuch"], "unknown option or argument '--nosuch'"),
    ],
)
def test_what_cannot_be_meant_ends_with_2_and_says_why(arguments: list[str], sentence: str) -> None:
    done = ebpftop(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["--attach", "drops"]])
def test_the_screen_without_a_terminal_points_at_once(command: list[str]) -> None:
    done = ebpftop(*command)
    assert done.returncode == 2
    assert done.stdout == ""
    said = "ebpftop: the screen needs a terminal; use `ebpftop once` or `stream` to print instead\n"
    assert done.stderr == said


def test_the_demo_without_a_terminal_does_not_point_at_real_numbers() -> None:
    done = ebpftop("demo", "--ascii")
    assert done.returncode == 2
    assert done.stderr == "ebpftop: the screen needs a terminal; the demo has no other output\n"


def test_the_version_is_said_and_belongs_to_no_command() -> None:
    done = ebpftop("--version")
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "ebpftop", "")
    assert ebpftop("once", "--version").returncode == 2


def test_an_unknown_theme_ends_with_2_and_names_those_there_are() -> None:
    status, said = in_terminal("demo", "--theme", "nosuch")
    assert status == 2
    assert said.startswith("ebpftop: there is no theme 'nosuch'; themes are ")
    assert "dark" in said
    assert len(said.splitlines()) == 1, "nothing has been drawn"


def test_the_catalogue_as_json_names_every_hook_rung_and_column() -> None:
    told = json.loads(ebpftop("hooks", "--json").stdout)
    assert told["format"] == "ebpftop-hooks/1"
    assert [h["hook"] for h in told["hooks"]] == list(catalogue())
    for entry in told["hooks"]:
        hook = catalogue()[entry["hook"]]
        assert entry["answers"] == hook.question
        assert entry["target"] == (str(hook.target) or None)
        assert [r["rung"] for r in entry["rungs"]] == [r.name for r in hook.ladder]
        shown = [(c.name, c.unit, c.kind) for c in hook.columns if not c.hidden]
        assert [(c["name"], c["unit"], c["kind"]) for c in entry["columns"]] == shown
        safe = hook.reach is Reach.OBSERVES and not hook.on_demand
        assert entry["at_start"] is safe


def test_the_catalogue_as_text_names_every_hook_and_rung() -> None:
    told = ebpftop("hooks").stdout
    for hook in catalogue().values():
        assert hook.question in told
        assert all(f" {r.name}: {r.requires}" in told for r in hook.ladder)
    assert "xdp@INTERFACE  (in the data path: attached on request only)" in told


def test_a_reader_that_has_gone_is_no_error() -> None:
    """`ebpftop hooks --json | head -c 0`, with output that fits into the buffer or does not."""
    for command in (["hooks"], ["once", "--hook", "interfaces", "--for", "0"]):
        ours, theirs = os.pipe()
        os.close(ours)
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", *command],
            cwd=ROOT,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(theirs)
        assert (done.returncode, done.stderr) == (0, "")


def test_what_the_terminal_s_encoding_lacks_is_no_error() -> None:
    done = commands.ebpftop("hooks", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0


# -- other hosts, and export -------------------------------------------------------------------


@pytest.mark.parametrize("destination", ["-oProxyCommand=true", "", "two words"])
def test_what_is_no_host_is_refused_before_ssh_is_run(destination: str) -> None:
    status, said = in_terminal(f"--remote={destination}")
    assert status == 2
    assert "is not a host: write USER@HOST" in said


def test_remote_is_for_the_screen_alone() -> None:
    """No option that does nothing."""
    done = ebpftop("--remote", "web1", "once")
    assert done.returncode == 2
    assert done.stderr == (
        "ebpftop: --remote is for the screen only; for other commands: ssh USER@HOST ebpftop ...\n"
    )


def test_a_host_that_cannot_be_reached_is_a_sentence_and_no_screen(tmp_path: Path) -> None:
    """What ssh says goes to the terminal as well, as it comes."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: no route' >&2; exit 255\n")
    ssh.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", _IN_TERMINAL, *COMMAND, "--remote", "web1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.replace("\r", "").splitlines() == [
        "ssh: no route",
        "ebpftop: web1 cannot be reached: ssh: no route.",
    ]


_IN_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def test_serve_is_not_for_a_terminal() -> None:
    status, said = in_terminal("serve")
    assert status == 2
    assert "ebpftop --remote HOST" in said


@pytest.mark.parametrize("listen", ["nonsense", "::1:80", "host:99999"])
def test_an_address_that_is_none_is_refused_with_an_example(listen: str) -> None:
    done = ebpftop("export", "--listen", listen)
    assert done.returncode == 2
    assert "19435" in done.stderr


# -- what is said of the program itself --------------------------------------------------------


def test_the_versions_are_those_of_all_that_numbers_depend_on() -> None:
    """The first line is for scripts, as ever."""
    done = ebpftop("-V")
    assert done.stdout == ebpftop("--version").stdout
    said = done.stdout.splitlines()
    assert re.fullmatch(r"ebpftop \d+\.\d+\.\d+\S*( \(commit [0-9a-f]{10}\))?", said[0])
    assert [line.split()[0] for line in said[1:]] == ["bcc", "libbpf", "Linux", "Python"]
    assert said[3].split()[1] == os.uname().release
    assert said[4] == f"Python {platform.python_version()}"


def test_the_version_of_bcc_is_that_of_the_distribution_s() -> None:
    package = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "python3-bpfcc"],
        capture_output=True,
        text=True,
        check=False,
    )
    if package.returncode:
        pytest.skip("python3-bpfcc is not a package here")
    assert package.stdout.startswith(bcc_version.installed())
    assert f"bcc {bcc_version.installed()}\n" in ebpftop("--version").stdout


def test_the_commit_is_git_s(tmp_path: Path) -> None:
    """Of a branch, packed or not, of a commit that is checked out, and of a work tree beside."""

    def git(*words: str) -> str:
        own = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=main"]
        done = ["git", "-C", str(tmp_path / "tree"), *own, *words]
        return subprocess.run(done, capture_output=True, text=True, check=True).stdout.strip()

    (tmp_path / "tree").mkdir()
    assert _versions.commit_of(tmp_path / "tree") == ""
    git("init")
    assert _versions.commit_of(tmp_path / "tree") == "", "nothing is committed"
    git("commit", "--allow-empty", "-m", "x")
    commit = git("rev-parse", "HEAD")
    assert _versions.commit_of(tmp_path / "tree") == commit
    git("worktree", "add", "-b", "other", str(tmp_path / "beside"))
    assert _versions.commit_of(tmp_path / "beside") == commit
    git("pack-refs", "--all")
    assert _versions.commit_of(tmp_path / "tree") == commit
    assert _versions.commit_of(tmp_path / "beside") == commit
    git("checkout", "--detach")
    assert _versions.commit_of(tmp_path / "tree") == commit


@pytest.mark.parametrize("name", [name for name in parsers() if commands_of()[name].HELP])
def test_help_begins_with_a_sentence_and_ends_with_examples_and_statuses(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    asked = [] if name == MONITOR else [name]
    said = ebpftop("help", *asked).stdout
    assert said == ebpftop(*asked, "--help").stdout
    usage, sentence, *_ = said.split("\n\n")
    assert usage.startswith("usage: ebpftop")
    assert re.fullmatch(r"[A-Zt][^\n]+\.", sentence.splitlines()[0])
    *_, examples, statuses = said.split("\n\n")
    assert examples.startswith("examples:\n  ")
    assert re.match(r"exit status:\n  0      \w", statuses)
    assert max(map(len, said.splitlines())) < 80


@pytest.mark.parametrize("name", [name for name in parsers() if commands_of()[name].HELP])
def test_each_example_is_a_command_that_can_be_meant(name: str, tmp_path: Path) -> None:
    for line in commands_of()[name].EXAMPLES:
        (command, *_) = re.findall(r"\bebpftop ?([^|>)]*)", line)
        words = shlex.split(command)
        asked = parse([str(tmp_path / w) if "." in w and w[0] != "-" else w for w in words])
        assert asked.command in (name, "demo", "help"), line


def test_help_on_what_is_no_command_names_one() -> None:
    done = ebpftop("help", "finding")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ebpftop: there is no command 'finding'; similar names: findings\n"


def test_a_hook_that_is_misspelt_is_named() -> None:
    done = ebpftop("once", "--hook", "tcp-conect")
    assert "there is no hook 'tcp-conect'; similar names: tcp-connect" in done.stderr


def test_rung_and_ladder_are_explained_where_they_are_asked_for() -> None:
    for name, parser in parsers().items():
        if "--rung" in parser._option_string_actions:
            said = " ".join(parser.format_help().split())
            assert "a rung is one of them" in said, name


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become nobody")
def test_files_of_a_process_that_may_not_be_seen_are_a_sentence() -> None:
    if not commands.nobody_can_run():
        pytest.skip("nobody may not run this Python")
    asked = f"uprobe:/bin/sh:main,where=pid=={os.getpid()}"
    with commands.readable_tree() as place:
        done = commands.ebpftop("once", "--hook", asked, before=commands.NOBODY, cwd=place)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"ebpftop: the files of process {os.getpid()} cannot be read by this user."
    )
