"""What a 32-bit program does is counted as what a 64-bit one does, however it enters the kernel."""

from __future__ import annotations

import errno
import platform

import pytest

from probes.ladder.attachment import Modules
from tests.support import program_32
from tests.support.events import free_port
from tests.support.namespaces import namespace
from tests.support.rungs import standing
from tests.support.scenarios import values

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="calls of x86"),
]


@pytest.mark.parametrize("way", program_32.WAYS)
def test_its_calls_opens_and_connects_are_counted(modules: Modules, way: str) -> None:
    with (
        namespace(),
        standing(modules, "syscall-processes@32-bit getpgid", passive=False) as calls,
        standing(modules, "opens", rung="btf-tracepoint", passive=False) as opens,
        standing(modules, "tcp-connect", passive=False) as connects,
    ):
        try:
            pid = program_32.ran(way, free_port("127.0.0.1"))
        except OSError as refused:
            assert refused.errno == errno.ENOEXEC  # noqa: PT017
            pytest.skip("this kernel runs no 32-bit programs")
        if pid is None:
            pytest.skip("this kernel has no vDSO for 32-bit programs")
        of = {a: [r for r in values(a) if r["pid"] == pid] for a in (calls, opens, connects)}
    assert [(r["calls"], r["errors"]) for r in of[calls]] == [(program_32.ASKED, 0)]
    assert sum(r["opens"] for r in of[opens]) == program_32.FOUND + program_32.MISSING
    assert sum(r["failed"] for r in of[opens]) == program_32.MISSING
    assert [(r["connects"], r["refused"]) for r in of[connects]] == [(program_32.REFUSED,) * 2]
