"""What a hook that is being written could go on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.custom import spec
from probes.custom.completion import complete
from probes.kernel import kallsyms, tracefs
from probes.kernel.tracefs import RecordField
from probes.toolkit.libraries import own_libc


def test_kinds_come_first() -> None:
    assert complete("rawt") == ("rawtracepoint:", "")
    assert complete("k") == ("k", "kprobe:, kretprobe:")
    assert complete("nope:x") == ("nope:x", "no match")


def test_functions_and_tracepoints_are_this_kernel_s(monkeypatch: pytest.MonkeyPatch) -> None:
    known = frozenset({"vfs_read", "vfs_readv", "tcp_ack"})
    monkeypatch.setattr(kallsyms, "functions", lambda: known)
    monkeypatch.setattr(tracefs, "events", lambda: frozenset({"sched:sched_switch", "irq:x"}))
    assert complete("kprobe:vfs") == ("kprobe:vfs_read", "vfs_read, vfs_readv")
    assert complete("fentry:tcp") == ("fentry:tcp_ack", "")
    assert complete("tracepoint:sch") == ("tracepoint:sched:sched_switch", "")
    assert complete("rawtracepoint:sched_swi")[0] == "rawtracepoint:sched_switch"


def test_without_tracefs_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracefs, "events", lambda: frozenset())
    text, hint = complete("tracepoint:sched:sched_pr")
    assert text == "tracepoint:sched:sched_pr"
    assert "tracefs, which cannot be read" in hint


def test_paths_and_their_functions(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    assert complete(f"uprobe:{tmp_path}/o") == (f"uprobe:{folder}/", "")
    (folder / "prog").touch()
    assert complete(f"uprobe:{folder}/") == (f"uprobe:{folder}/prog:", "")
    assert complete(f"uprobe:{own_libc()}:getaddrinf")[0] == f"uprobe:{own_libc()}:getaddrinfo"
    assert complete(f"uprobe:{folder}/prog:f")[1] == "no match"
    assert complete("uprobe:/nowhere/x")[1] == "no match"


def test_options_are_those_that_can_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    number = RecordField("vec", "u32", 8, 4, False, False, False)
    monkeypatch.setattr(tracefs, "fields", lambda *_: {"vec": number})
    assert complete("kprobe:f,l") == ("kprobe:f,latency", "")
    assert complete("tracepoint:irq:x,l")[1] == "no match"
    assert complete("tracepoint:irq:x,f") == ("tracepoint:irq:x,fields=vec", "")
    assert complete("tracepoint:irq:x,where=v") == ("tracepoint:irq:x,where=vec==", "")
    assert complete("uprobe:/a:f,latency,u") == ("uprobe:/a:f,latency,unsafe", "")
    assert complete("kprobe:f,u")[1] == "no match"
    for word in ("by=comm", "where=pid==1", "where=cgroup==/a", "latency", "ret"):
        assert complete(f"kprobe:f,{word[:9]}")[0].startswith(f"kprobe:f,{word[:9]}")
        assert spec.parse(f"kprobe:f,{word}")
