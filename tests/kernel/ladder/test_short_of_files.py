"""A climb that runs out of files at any step: it says so, is tried again, and leaves nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.attach.journal import RUN
from probes.attach.tracepoint import RawTracepoint
from probes.compile.compiler import Compiler
from probes.hooks import catalogue
from probes.kernel import patience
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.model import (
    UNREAD,
    Column,
    Hook,
    Kind,
    Program,
    Reading,
    Rung,
    State,
    TargetKind,
)
from tests.support.commands import held
from tests.support.namespaces import veth
from tests.support.rungs import await_messages, stood
from tests.support.shortage import files_left, open_files

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere, pytest.mark.usefixtures("inside")]
OF_EACH_KIND = (
    "xdp:link-generic", "xdp:netlink-generic", "tc-ingress:tcx", "tc-ingress:clsact",
    "sources:packet-socket", "drops:btf-tracepoint", "drops:raw-tracepoint", "drops:tracepoint",
    "tcp-connect:fentry", "tcp-connect:kprobe", "tcp-rtt:sock_ops-link", "sock-addr:cgroup-multi",
    "dns:uprobe", "profile:cpu-clock", "sk-msg:sk_msg-link", "sk-msg:sk_msg-attach",
    "tc-programs:around", "xdp-programs:runs", "programs:ids", "lsm:lsm", "tcp-rtt:sock_diag",
)  # fmt: skip
SHORT = {"EMFILE", "ENFILE", "ENOMEM", "EAGAIN"}
MAX_FILES = 40
"""Files that one climb takes at once, at most."""


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    made = Compiler(catalogue().values(), cached=True)
    yield made
    made.close()


def _attachment(hook: Hook, compiler: Compiler) -> Attachment:
    if hook.target is TargetKind.INTERFACE:
        return Attachment(hook, Modules(compiler), "v0", veth()[0])
    return Attachment(hook, Modules(compiler))


def _files(compiler: Compiler) -> set[str]:
    """What is open, but for children that are idle and what such a climb may have left behind: a
    record of a qdisc of which could not be told whether it is there."""
    until = time.monotonic() + 60
    while True:
        compiler.end_idle()
        patience.end_idle()
        found = {str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in open_files()}
        if time.monotonic() > until or not any("bcc_compiler" in file for file in found):
            return {file for file in found if not file.startswith(str(RUN))}
        time.sleep(0.05)  # one has answered, and is not idle yet


@pytest.mark.parametrize("rung", OF_EACH_KIND)
def test_a_climb_without_files_says_so_and_leaves_nothing(compiler: Compiler, rung: str) -> None:
    name, _, pinned = rung.partition(":")
    if name == "sk-msg":
        await_messages()
    attachment = _attachment(catalogue()[name], compiler)
    stood(attachment.climb(pinned=pinned, asked=True))
    expected = attachment.detach() and attachment.climb(pinned=pinned, asked=True)
    attachment.detach()
    before = _files(compiler)
    for many in range(MAX_FILES):
        with files_left(many):
            status = attachment.climb(pinned=pinned, asked=True)
        if status.state is not State.FAILED:
            break
        assert {r.error for r in status.refused[:1]} <= SHORT, (many, status.refused)
        attachment.detach()
        assert _files(compiler) == before, many
        assert held() == (set(), set()), many
    assert (status.state, status.rung) == (expected.state, expected.rung)
    sample = attachment.read()
    assert sample.status.state is expected.state
    attachment.detach()
    assert not [fd for fd in open_files() if _is_record(fd)]


def _is_record(fd: int) -> bool:
    return str(Path(f"/proc/self/fd/{fd}").readlink()).startswith(str(RUN))


@pytest.mark.parametrize("many", [4, 16, 24, 40])
def test_what_counts_without_programs_is_read_however_many_files_others_would_take(
    compiler: Compiler, many: int
) -> None:
    hooks = [catalogue()[name] for name in ("interfaces", "drops", "syscalls", "tcp-rtt")]
    attachments = [_attachment(hook, compiler) for hook in hooks]
    for attachment in attachments:
        attachment.stand_passive()
    with files_left(many):
        for attachment in attachments:
            attachment.climb()
        notes = [attachment.read().status.note for attachment in attachments]
    for attachment in attachments:
        attachment.detach()
    assert not [note for note in notes if UNREAD in note]


def test_a_program_that_a_rung_can_do_without_is_not_done_without_for_want_of_files(
    compiler: Compiler,
) -> None:
    """Else the rung would stand without it for good."""
    points = RawTracepoint("sys_enter"), RawTracepoint("sys_exit")
    source = "int first(void *ctx) { return 0; }\nint second(void *ctx) { return 0; }\n"
    programs = (
        Program("first", points[0]),
        Program("second", points[1], optional=True, without="the second is missing"),
    )
    rung = Rung("two", "", lambda _: Reading, source=source, programs=programs)
    columns = (Column("key", "Key", kind=Kind.KEY, field="key"),)
    attachment = Attachment(Hook("made-up", "", "", columns, (rung,)), Modules(compiler))
    compiler.compile(source).close()
    for many in range(MAX_FILES):
        with files_left(many):
            status = attachment.climb()
        assert "the second is missing" not in status.note, many
        attachment.detach()
    assert status.state is State.ATTACHED
