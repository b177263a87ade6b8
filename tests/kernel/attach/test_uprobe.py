"""Uprobes where the host is short of something: that passes, and is no property of the kernel."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.attach import slow_closing, uprobe
from probes.attach.uprobe import Uprobe
from probes.errors import ProbeError, Unsupported
from probes.kernel import bpf, patience
from probes.point import AttachType, ProgType
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
    return AttachType.TRACE_UPROBE_MULTI if uprobe.by_link() else 0


def _raises(code: int) -> object:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refused


@contextmanager
def _no_more_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_want_of_files_does_not_say_what_the_kernel_can() -> None:
    known = uprobe.by_link()
    uprobe._by_link.clear()
    with _no_more_files(), pytest.raises(ProbeError) as refused:
        uprobe.by_link()
    assert refused.value.errno == errno.EMFILE
    assert uprobe.by_link() == known


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM])
def test_nor_does_it_where_only_the_link_is_refused(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    if not uprobe.by_link():
        pytest.skip("this kernel does not come to that")
    uprobe._by_link.clear()
    with monkeypatch.context() as patched:
        patched.setattr(bpf, "link_create_uprobe", _raises(code))
        with pytest.raises(ProbeError) as refused:
            uprobe.by_link()
    assert refused.value.errno == code
    assert uprobe.by_link()


def test_attaching_raises_nothing_but_refusals(program: int) -> None:
    """Where no child is to be had to look at the file."""
    patience.end_idle()
    with _no_more_files(), pytest.raises(ProbeError) as refused:
        uprobe.attach(program, POINT)
    assert not isinstance(refused.value, Unsupported)
    assert refused.value.errno == errno.EMFILE
    assert refused.value.why.endswith("cannot be probed: Too many open files")


@pytest.mark.parametrize("call", ["link_create_uprobe", "perf_event_open"])
def test_want_of_files_in_the_kernel_s_answer_is_said_as_such(
    monkeypatch: pytest.MonkeyPatch, program: int, call: str
) -> None:
    by_link = uprobe.by_link()
    if by_link != (call == "link_create_uprobe"):
        pytest.skip("this kernel is asked otherwise")
    monkeypatch.setattr(patience, "_in_child", True)  # the call is made here
    monkeypatch.setattr(bpf, call, _raises(errno.EMFILE))
    with pytest.raises(ProbeError, match=r"at the moment: Too many open files$"):
        uprobe.attach(program, POINT)


def test_what_comes_while_ebpftop_leaves_is_handed_over_as_well(
    monkeypatch: pytest.MonkeyPatch, program: int
) -> None:
    monkeypatch.setattr(slow_closing, "_over", True)
    before = _links()
    with pytest.raises(ProbeError, match="exiting"):
        uprobe.attach(program, POINT)
    assert _links() == before


def _links() -> list[str]:
    """What this process has open of that kind."""
    open_now = [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    names = [str(fd.readlink()) for fd in open_now]
    return sorted(name for name in names if "bpf" in name or "perf" in name)
