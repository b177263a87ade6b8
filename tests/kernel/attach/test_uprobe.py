"""Uprobes where the host is short of something: that passes, and is no property of the kernel."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.attach import slow_closing, uprobe
from probes.errors import ProbeError, Unsupported
from probes.kernel import bpf, patience
from probes.point import ProgType, Uprobe
from probes.toolkit.libraries import own_libc

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
POINT = Uprobe(own_libc(), "lcong48")


@pytest.fixture(autouse=True)
def _not_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uprobe, "_by_link", [])


@pytest.fixture
def program() -> Iterator[int]:
    fd = bpf.prog_load(ProgType.KPROBE, bpf.exit_with(0), expected_attach_type=_expected())
    yield fd
    os.close(fd)


def _expected() -> int:
    return 48 if uprobe.by_link() else 0  # BPF_TRACE_UPROBE_MULTI


def _raises(code: int) -> object:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refused


@pytest.mark.parametrize("call", ["prog_load", "link_create_uprobe"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM])
def test_what_the_host_is_short_of_does_not_say_what_the_kernel_can(
    monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    known = uprobe.by_link()
    if call == "link_create_uprobe" and not known:
        pytest.skip("this kernel does not come to that")
    uprobe._by_link.clear()
    with monkeypatch.context() as patched:
        patched.setattr(bpf, call, _raises(code))
        with pytest.raises(ProbeError) as refused:
            uprobe.by_link()
    assert refused.value.errno == code
    assert uprobe.by_link() == known


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EAGAIN])
def test_attaching_raises_nothing_but_refusals(
    monkeypatch: pytest.MonkeyPatch, program: int, code: int
) -> None:
    """Where no child is to be had to look at the file."""
    monkeypatch.setattr(patience, "within", _raises(code))
    with pytest.raises(ProbeError) as refused:
        uprobe.attach(program, POINT)
    assert not isinstance(refused.value, Unsupported)
    assert (refused.value.errno, os.strerror(code) in refused.value.why) == (code, True)


@pytest.mark.parametrize("call", ["link_create_uprobe", "perf_event_open"])
def test_want_of_files_in_the_kernel_s_answer_is_said_as_such(
    monkeypatch: pytest.MonkeyPatch, program: int, call: str
) -> None:
    by_link = uprobe.by_link()
    if by_link != (call == "link_create_uprobe"):
        pytest.skip("this kernel is asked otherwise")
    monkeypatch.setattr(patience, "_in_child", True)  # the call is made here
    monkeypatch.setattr(bpf, call, _raises(errno.EMFILE))
    with pytest.raises(ProbeError, match=r"just now: Too many open files$"):
        uprobe.attach(program, POINT)


def test_what_comes_while_ebpftop_leaves_is_handed_over_as_well(
    monkeypatch: pytest.MonkeyPatch, program: int
) -> None:
    monkeypatch.setattr(slow_closing, "_over", True)
    before = _links()
    with pytest.raises(ProbeError, match="leaving"):
        uprobe.attach(program, POINT)
    assert _links() == before


def _links() -> list[str]:
    """What this process has open of that kind."""
    open_now = [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    names = [str(fd.readlink()) for fd in open_now]
    return sorted(name for name in names if "bpf" in name or "perf" in name)
