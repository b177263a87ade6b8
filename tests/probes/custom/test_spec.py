"""Hooks of the user's own, as they are written."""

from __future__ import annotations

import pytest

from probes.custom import source
from probes.custom.spec import Condition, Spec, SpecError, is_spec, parse
from probes.model import HookId

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("kprobe:vfs_read", Spec("kprobe", "vfs_read")),
        ("fentry:tcp_ack.isra.0", Spec("fentry", "tcp_ack.isra.0")),
        ("rawtracepoint:sched_switch", Spec("rawtracepoint", "sched_switch")),
        ("tracepoint:block:block_rq_issue", Spec("tracepoint", "block_rq_issue", "block")),
        (f"uprobe:{LIBC}:getaddrinfo", Spec("uprobe", LIBC, symbol="getaddrinfo")),
        ("uprobe:/a:b/c:main+0x10", Spec("uprobe", "/a:b/c", symbol="main", offset=16)),
        ("kprobe:f,by=comm+cpu", Spec("kprobe", "f", by=("comm", "cpu"))),
        ("kprobe:f,latency,ret", Spec("kprobe", "f", latency=True, ret=True)),
        (
            "uprobe:/a:f,latency,unsafe",
            Spec("uprobe", "/a", symbol="f", latency=True, unsafe=True),
        ),
        ("uretprobe:/a:f,unsafe", Spec("uretprobe", "/a", symbol="f", unsafe=True)),
        (
            "kprobe:f,where=pid==0x7b,where=comm!=a b",
            Spec(
                "kprobe", "f", where=(Condition("pid", "==", 123), Condition("comm", "!=", "a b"))
            ),
        ),
        (
            "tracepoint:a:b,fields=dev,rwbs,ret,by=none,where=len>=-1",
            Spec(
                "tracepoint", "b", "a", by=("none",), fields=("dev", "rwbs", "ret"),
                where=(Condition("len", ">=", -1),),
            ),
        ),
    ],
)  # fmt: skip
def test_what_is_written_is_read(text: str, spec: Spec) -> None:
    assert is_spec(text)
    assert parse(text) == spec
    assert parse(str(spec)) == spec, "its own text means the same"


def test_two_ways_to_write_one_hook_have_one_name() -> None:
    for text in ("kprobe:f,by=pid", "kprobe:f", "kprobe:f,by=pid+pid"):
        assert str(parse(text)) == "kprobe:f"
    assert (
        str(parse("kprobe:f,ret,where=pid==0x10,latency")) == "kprobe:f,latency,ret,where=pid==16"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("probe:f", "'probe' is not a kind of hook"),
        ("kprobe:", "name of a kernel function"),
        ("kprobe:a;b", "name of a kernel function"),
        ("kprobe:a\nb", "printable"),
        ("tracepoint:sched_switch", "tracepoint:CATEGORY:NAME"),
        ("uprobe:libc:malloc", "the absolute path"),
        ("uprobe:/a:b+x", "'x' is not an offset"),
        ("uretprobe:/a:b+4", "a return probe has no offset"),
        ("uprobe:/a:b+4,latency", "leave the offset out"),
        ("uprobe:/a:b,unsafe", "unsafe is for return probes"),
        ("kprobe:f,latency,unsafe", "unsafe is for return probes"),
        ("kprobe:f,slow", "'slow' is not an option"),
        ("kprobe:f,by=name", "by=name is not known"),
        ("kprobe:f,by=none+pid", "cannot be combined"),
        ("kprobe:f,where=pid", "is not a condition"),
        ("kprobe:f,where=pid==x", "compared with a number"),
        ("kprobe:f,where=comm>a", "== and != only"),
        ("kprobe:f,where=comm==" + "x" * 16, "1 to 15 bytes"),
        ("kprobe:f,where=cgroup==a", "path below the mount"),
        ("kprobe:f,where=len==3", "where= takes pid"),
        ("kprobe:f,where=pid==99999999999999999999", "64-bit number"),
        ("kprobe:f,latency,where=cpu==1", "another CPU"),
        ("kprobe:f,fields=a", "tracepoint with a record"),
        ("tracepoint:a:b,fields=a,b,c,d,e", "at most 4"),
        ("tracepoint:a:b,fields=a b", "not a field name"),
        ("tracepoint:a:b,latency", "no return"),
        ("rawtracepoint:a,by=ret", "no return"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(SpecError) as wrong:
        parse(text)
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)
    assert not str(wrong.value).endswith(".")


def test_a_spec_is_a_hook_without_a_target() -> None:
    text = "uprobe:/opt/a@b/lib.so:f@@V1"
    assert HookId.parse(text) == HookId(text)
    assert HookId.parse("xdp@eth0:1") == HookId("xdp", "eth0:1")


def test_nothing_that_a_person_wrote_is_in_the_c() -> None:
    spec = parse('uprobe:/tmp/"*/evil:sym$bol,where=comm==");evil(",where=cgroup==/e vil,by=none')
    made = source.source(spec, source.REGISTERS, cgroups={"/e vil": 77})
    for word in ("evil", "sym", "tmp", '"*/'):
        assert word not in made
    assert "(s64)0x4dULL" in made
