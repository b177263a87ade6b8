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
from probes.toolkit import Column, Hook, Kind, Program, RawTracepoint, Rung, Unit, by_columns

C = """
BPF_HASH(rows, u32, u64, 64);
int forked(u64 *ctx) { u32 one = 1; rows.increment(one); return 0; }
"""
HOOK = Hook(
    name="my-forks",
    title="Forks",
    answers="How many processes are started.",
    columns=(
        Column("all", "All", Unit.NUMBER, Kind.KEY, "key", help="1"),
        Column("forks", "Forks", Unit.COUNT, Kind.COUNTER, "value", help="since attach"),
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
