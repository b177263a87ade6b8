"""A hook of a user's file is one like ours: listed, attached, counted, and only itself broken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ebpftop

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

COUNTS = '''
"""Forks, by a user's own C."""
from probes.toolkit import Hook, Program, RawTracepoint, Rung, Unit, by_columns, counter, key

C = """
BPF_HASH(rows, u32, u64, 64);
int forked(u64 *ctx) { u32 one = 1; rows.increment(one); return 0; }
"""
HOOK = Hook(
    name="my-forks",
    title="Forks",
    question="How many processes are started.",
    columns=(
        key("all", "All", "1", Unit.NUMBER, field="key"),
        counter("forks", "Forks", "since attach", field="value"),
    ),
    ladder=(
        Rung("raw", "Linux 4.17, CAP_BPF", by_columns(), source=C,
             programs=(Program("forked", RawTracepoint("sched_process_fork")),)),
    ),
    on_demand=True,
)
'''


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    hooks = tmp_path / "ebpftop" / "hooks"
    hooks.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (hooks / "forks.py").write_text(COUNTS)
    for path in (hooks, hooks.parent, *hooks.iterdir()):
        path.chmod(0o755)
    return hooks


def test_it_is_listed_and_counts(config: Path) -> None:
    assert "my-forks" in ebpftop("hooks").stdout
    done = ebpftop("once", "--for", "1", "--json", "--hook", "my-forks")
    assert (done.returncode, done.stderr) == (0, "")
    (hook,) = json.loads(done.stdout)["hooks"]
    assert hook["rung"] == "raw"
    assert config.is_dir()


def test_one_that_breaks_while_it_is_read_costs_nothing_but_itself(config: Path) -> None:
    broken = COUNTS.replace("my-forks", "my-broken").replace("by_columns()", "lambda o: 1 / 0")
    (config / "broken.py").write_text(broken)
    done = ebpftop("once", "--for", "0", "--json", "--hook", "my-broken", "--hook", "my-forks")
    assert done.returncode == 1
    assert "broken.py: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    states = {h["hook"]: h["state"] for h in json.loads(done.stdout)["hooks"]}
    assert states == {"my-broken": "failed", "my-forks": "attached"}


def test_another_user_s_file_is_named_and_left_alone(config: Path) -> None:
    os.chown(config / "forks.py", 65534, 65534)
    done = ebpftop("hooks")
    assert "my-forks" not in done.stdout
    assert done.stderr.count("\n") == 1
    assert "belongs to nobody, not to root" in done.stderr


# Its columns are written out, as a hook file's may be.
BREAKS = '''
"""Reads well twice, and then meets a value that nobody foresaw."""
from itertools import count
from probes.toolkit import Column, Hook, Kind, Reading, Rung, Unit

TIMES = count()

def open(opening):
    def read():
        n = next(TIMES)
        if n >= 2:
            return {}[n]
        return Reading([("a", n)])
    return read

HOOK = Hook(
    name="my-odd",
    title="Odd",
    question="Nothing.",
    columns=(
        Column("what", "What", kind=Kind.KEY),
        Column("n", "N", Unit.COUNT, Kind.COUNTER),
    ),
    ladder=(Rung("own", "nothing", open),),
)
'''


@pytest.fixture
def odd(config: Path) -> tuple[str, ...]:
    """Options for it and one of ours."""
    (config / "odd.py").write_text(BREAKS)
    (config / "odd.py").chmod(0o755)
    return "--hook", "my-odd", "--hook", "interfaces"


def test_a_hook_that_breaks_in_the_middle_ends_no_stream(odd: tuple[str, ...]) -> None:
    done = ebpftop("stream", "--count", "4", "--interval", "0.2", *odd)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    moments = [json.loads(line)["hooks"] for line in done.stdout.splitlines()]
    states = [{h["hook"]: h["state"] for h in hooks} for hooks in moments]
    assert [s["interfaces"] for s in states] == ["passive"] * 4
    assert [s["my-odd"] for s in states] == ["passive", "passive", "failed", "failed"]
    (last,) = (h for h in moments[-1] if h["hook"] == "my-odd")
    assert "odd.py: KeyError: 2" in last["refused"][-1]["why"]
    assert last["rows"] == []


def test_a_hook_that_breaks_in_the_middle_ends_no_recording(
    odd: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    recorded = ebpftop("record", str(path), "--for", "1", "--interval", "0.2", *odd)
    assert "Traceback" not in recorded.stderr
    shown = ebpftop("replay", str(path), "--format", "json")
    assert (shown.returncode, "Traceback" in shown.stderr) == (0, False)
    hooks = json.loads(shown.stdout.splitlines()[-1])["hooks"]
    states = {h["hook"]: h["state"] for h in hooks}
    assert states == {"my-odd": "failed", "interfaces": "passive"}
