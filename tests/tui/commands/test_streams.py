"""Standard streams that are closed or full: a sentence, never a traceback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, ROOT
from tests.support.warm import ebpftop

PRINTING = [["hooks"], ["hooks", "--json"], ["--help"], ["once", "--help"], ["doctor", "--json"]]


def _shell(redirected: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *COMMAND, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_disk_is_said_in_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = ebpftop(*arguments, output=full.fileno())
    said = "ebpftop: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_closed_output_is_said_in_one_sentence(arguments: list[str]) -> None:
    done = _shell(">&-", *arguments)
    said = "ebpftop: standard output is closed: there is nowhere to print to\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "<&-", "2>&- <&-"])
def test_what_else_is_closed_or_full_costs_nothing(redirected: str) -> None:
    done = _shell(redirected, "hooks")
    assert done.returncode == 0
    assert done.stdout.startswith("interfaces\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a mount namespace")
def test_closed_streams_without_dev_cost_nothing() -> None:
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev; exec "$@" <&- 2>&-', "sh"]
    done = subprocess.run(
        [*hidden, *COMMAND, "hooks"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("interfaces\n")


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What is printed would be written to it."""
    file = tmp_path / "said"
    code = "from tui.output import streams; streams.make_ready(); import os; print(os.dup(2))"
    command = [COMMAND[0], "-c", code]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" >{file} 2>&- <&-', "sh", *command],
        cwd=ROOT,
        env={**os.environ},
        check=False,
    )
    assert done.returncode == 0
    assert int(file.read_text()) > 2


def test_a_wrong_word_is_status_2_where_nothing_can_be_said() -> None:
    assert _shell("2>&-", "nosuchcommand").returncode == 2
