"""The CPU profile: what burns CPU time in a known function is found there. Shares, not times."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from tests.support.commands import ebpftop
from tests.support.rungs import stood
from tests.support.scenarios import values

pytestmark = pytest.mark.kernel
Record = Callable[[str, object], None]
ENOUGH = 60
"""Samples that are waited for."""
_BURN = (
    "import ctypes\n"
    "libc, room = ctypes.CDLL(None), ctypes.create_string_buffer(1 << 20)\n"
    "libc.memfrob(room, len(room))\n"
    "print(1, flush=True)\n"
    "while True: libc.memfrob(room, len(room))\n"
)


@contextmanager
def burning() -> Iterator[int]:
    """A process that does nothing but call memfrob of the C library."""
    command = [sys.executable, "-c", _BURN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            yield child.pid
        finally:
            child.kill()


@pytest.mark.parametrize(
    "rung", [pytest.param(r.name, id=f"profile:{r.name}") for r in catalogue()["profile"].ladder]
)
def test_a_known_function_has_the_samples_of_what_burns_in_it(
    modules: Modules, rung: str, record_property: Record
) -> None:
    attachment = Attachment(catalogue()["profile"], modules)
    record_property("hook", "profile")
    record_property("rung", rung)
    stood(attachment.climb(pinned=rung, asked=True), record_property)
    try:
        with burning() as pid:
            deadline = time.monotonic() + 60
            inside = whole = 0
            while whole < ENOUGH and time.monotonic() < deadline:
                time.sleep(0.3)
                mine = [r for r in values(attachment) if r["pid"] == pid]
                whole = sum(r["samples"] for r in mine)
                inside = sum(r["samples"] for r in mine if "memfrob" in str(r["stack"]))
    finally:
        attachment.detach()
    assert whole >= ENOUGH
    assert inside > 0.9 * whole, mine
    # Each of the stacks that are one row, at most as many as samples, was rounded down by itself.
    assert all(0 <= r["samples"] * 10**9 / 49 - r["cpu_ns"] <= r["samples"] for r in mine)
    record_property("count", "> 90 % of samples")


def test_the_command_writes_folded_stacks_and_a_flame_graph(tmp_path: Path) -> None:
    with burning():
        done = ebpftop("profile", "--for", "2", "--folded")
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
        mine = sum(int(number) for stack, _, number in lines if stack.endswith("memfrob"))
        assert mine > 10
        assert all(";" in stack for stack, _, _ in lines)
        graph = tmp_path / "graph.svg"
        assert ebpftop("profile", "--for", "2", "--svg", str(graph)).returncode == 0
        text = ebpftop("profile", "--for", "1").stdout
    titles = [t.text or "" for t in ElementTree.parse(graph).iter() if t.tag.endswith("title")]
    assert any(t.startswith("memfrob: ") for t in titles)
    assert "function, without what it calls" in text
    assert "memfrob (python" in text


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured() -> None:
    done = ebpftop("profile", "--svg", "/nowhere/graph.svg")
    assert done.returncode == 2
    assert "/nowhere/graph.svg cannot be written: No such file" in done.stderr


@pytest.mark.parametrize(
    ("there", "force", "why"),
    [
        ("<svg/>", (), "is there already; --force overwrites it"),
        ("my words", ("--force",), "is not a flame graph, so it is not overwritten"),
    ],
)
def test_nothing_is_overwritten_by_a_slip(
    there: str, force: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    graph = tmp_path / "graph.svg"
    graph.write_text(there)
    done = ebpftop("profile", "--for", "0", "--svg", str(graph), *force)
    assert done.returncode == 2
    assert why in done.stderr
    assert graph.read_text() == there


def test_a_graph_takes_an_older_one_s_place_by_force(tmp_path: Path) -> None:
    graph = tmp_path / "graph.svg"
    graph.write_text("<svg/>")
    done = ebpftop("profile", "--for", "0.1", "--svg", str(graph), "--force")
    assert (done.returncode, done.stderr) == (0, "")
    assert graph.read_text().startswith("<svg xmlns")
