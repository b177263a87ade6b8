"""Remedies: what to do about just this errno. Root's password helps against no full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from probes.attach import persistent, refusals, tcx
from probes.attach.sk_msg import SkMsgAttach
from probes.attach.tcx import TcxLink
from probes.compile import compiler
from probes.errors import Denied, LoadFailed, ProbeError, Unsupported, as_refusal, passing
from probes.foreign import followers
from probes.kernel import bpf, capabilities, rlimits
from probes.kernel.netlink import socket as nlsocket

WORD = {
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "fs.file-max",
    errno.ENOMEM: "memory",
}
POINT = TcxLink("ingress")
Refused = Callable[[int], ProbeError | None]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Has a function of bpf(2) refuse everything."""

    def refuse(name: str, code: int) -> None:
        def raises(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(bpf, name, raises)

    return refuse


OF_ERRNOS: dict[str, Refused] = {
    "anything": lambda code: as_refusal(OSError(code, os.strerror(code)), "reading"),
    "load": lambda code: refusals.load_refused(POINT, code, ""),
    "attach": lambda code: refusals.attach_refused(code, "TCX", POINT),
    "perf": lambda code: refusals.perf_refused(code, "function x", POINT),
    "map": lambda code: compiler._refusal({"error": "map", "why": "w", "errno": code}, ""),
    "netlink": lambda code: nlsocket.refusal(code, "listing"),
    "record": lambda code: persistent._unrecorded(persistent.RUN, OSError(code, "")),
}


@pytest.mark.parametrize("code", WORD)
@pytest.mark.parametrize("asked", OF_ERRNOS.values(), ids=OF_ERRNOS)
def test_what_is_short_is_named_and_tried_again(asked: Refused, code: int) -> None:
    refusal = asked(code)
    assert refusal is not None
    assert passing(refusal)
    assert not isinstance(refusal, Denied | Unsupported)
    assert WORD[code] in refusal.remedy


@pytest.mark.parametrize("code", WORD)
@pytest.mark.parametrize(
    ("asked", "function"),
    [
        (tcx.missing, "prog_load"),
        (tcx.missing, "link_create"),
        (followers.unreachable, "prog_ids"),
        (followers.uncountable, "enable_stats"),
    ],
)
def test_a_question_that_the_kernel_cannot_answer_just_now_is_no_missing_privilege(
    refused: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
    asked: Callable[[], ProbeError | None],
    function: str,
    code: int,
) -> None:
    monkeypatch.setattr(bpf, "prog_load", lambda *_, **__: os.open("/dev/null", os.O_RDONLY))
    monkeypatch.setattr(bpf, "prog_ids", lambda: iter(()))
    refused(function, code)
    refusal = asked()
    assert refusal is not None
    assert (passing(refusal), type(refusal)) == (True, ProbeError)
    assert WORD[code] in refusal.remedy


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOMEM, ProbeError), (errno.EPERM, Denied)])
def test_a_sockhash_that_cannot_be_created_is_no_kernel_without_them(
    refused: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[ProbeError],
) -> None:
    monkeypatch.setattr(bpf, "prog_load", lambda *_, **__: os.open("/dev/null", os.O_RDONLY))
    refused("map_create", code)
    with pytest.raises(ProbeError) as raised:
        SkMsgAttach("sockets").check(0)
    assert (type(raised.value), raised.value.errno) == (kind, code)
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("code", "uid", "word"),
    [
        (errno.ENOSPC, 0, "df -i"),
        (errno.EROFS, 0, "remount,rw"),
        (errno.EDQUOT, 0, "quota"),
        (errno.EACCES, 1000, "sudo"),
        (errno.EPERM, 0, "chmod 700 /run/ebpftop"),
    ],
)
def test_what_cannot_be_recorded_has_the_remedy_of_its_errno(
    monkeypatch: pytest.MonkeyPatch, code: int, uid: int, word: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    refusal = persistent._unrecorded(persistent.RUN, OSError(code, "the reason"))
    assert "the reason" in refusal.why
    assert word in refusal.remedy
    assert ("sudo" in refusal.remedy) is (word == "sudo")


def test_no_thread_is_a_limit_on_processes() -> None:
    refusal = as_refusal(RuntimeError("can't start new thread"), "attaching")
    assert "ulimit -u" in refusal.remedy


def test_a_compiler_that_cannot_be_started_says_what_is_short() -> None:
    made = compiler.Compiler()

    def none_left() -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    made._room = none_left
    with pytest.raises(LoadFailed) as raised:
        made.ask({})
    assert "ulimit -n" in raised.value.remedy


@pytest.mark.parametrize(
    ("lacks", "counts", "word"),
    [
        (("CAP_BPF",), True, "sudo"),
        ((), True, "ulimit -l"),
        ((), False, "LSM|lockdown|seccomp"),
    ],
)
def test_a_map_that_is_refused_has_the_remedy_of_its_reason(
    monkeypatch: pytest.MonkeyPatch, lacks: tuple[str, ...], counts: bool, word: str
) -> None:
    monkeypatch.setattr(capabilities, "missing", lambda *_: lacks)
    monkeypatch.setattr(rlimits, "memlock_counts", lambda: counts)
    refusal = compiler._refusal({"error": "map", "why": "w", "errno": errno.EPERM}, "")
    assert isinstance(refusal, Denied)
    assert any(w in refusal.remedy for w in word.split("|"))


def test_netlink_that_is_refused_in_spite_of_the_capability_is_a_policy_s_doing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capabilities, "missing", lambda *_: ())
    assert "sudo" not in nlsocket.refusal(errno.EPERM, "listing").remedy
    monkeypatch.setattr(capabilities, "missing", lambda *_: ("CAP_NET_ADMIN",))
    assert "CAP_NET_ADMIN" in nlsocket.refusal(errno.EPERM, "listing").remedy
