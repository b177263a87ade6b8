"""Return probes, and the processes that would not survive them: real ones, which are looked at."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.attach import uprobe
from probes.custom import builder
from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.model import Hook, State, Status
from probes.toolkit import libraries
from tests.support import elf_files as files
from tests.support.scenarios import values

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
CALLS = 50
Attach = Callable[[Hook], Attachment]


@pytest.fixture
def attached(modules: Modules) -> Iterator[Attach]:
    held: list[Attachment] = []

    def attach(hook: Hook) -> Attachment:
        held.append(Attachment(hook, modules))
        status = held[-1].climb(asked=True)
        if status.refused and status.refused[0].error in ("ENOENT", "EPERM", "EACCES"):
            pytest.skip(status.refused[0].why)
        return held[-1]

    yield attach
    for attachment in held:
        attachment.detach()


@contextmanager
def _running(program: Path) -> Iterator[Callable[[], str]]:
    """Gives what makes its calls, and what it says of them; it has to end well."""
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        to, back = child.stdin, child.stdout
        assert to is not None
        assert back is not None

        def call() -> str:
            to.write(f"{CALLS}\n")
            to.flush()
            return back.readline().strip()

        try:
            yield call
            to.close()
            assert child.wait(20) == 0
        finally:
            child.kill()


def _refused(status: Status, *words: str) -> None:
    assert status.state is State.FAILED
    (refusal,) = status.refused
    assert refusal.error == "Unsupported"
    for word in words:
        assert word in f"{refusal.why}. {refusal.remedy}"


@pytest.mark.parametrize("form", ["uprobe:{}:{},latency", "uprobe:{}:{},ret", "uretprobe:{}:{}"])
def test_no_return_of_a_go_program_is_probed(form: str, attached: Attach, tmp_path: Path) -> None:
    """Whatever is asked for; its calls are counted."""
    program = files.built(tmp_path, files.GO, "go", "go")
    with _running(program) as call:
        for word in ("", ",unsafe"):
            hook = builder.hook(form.format(program, "main.work") + word)
            _refused(attached(hook).status, "is Go code", f"uprobe:{program}:main.work")
        counted = attached(builder.hook(f"uprobe:{program}:main.work"))
        assert counted.status.state is State.ATTACHED
        assert call() == str(CALLS)
        # A function that finds its goroutine's stack too small begins once more on a larger one.
        assert CALLS <= sum(r["events"] for r in values(counted)) <= CALLS + 5


@pytest.mark.parametrize("form", ["uprobe:{}:{},latency", "uprobe:{}:{},ret", "uretprobe:{}:{}"])
def test_a_return_that_exceptions_pass_through_is_probed_by_an_explicit_word(
    form: str, attached: Attach, tmp_path: Path
) -> None:
    program = files.built(tmp_path, files.THROWER, "cc", "g++", "-O1")
    spec = form.format(program, "probed")
    with _running(program) as call:
        refused = attached(builder.hook(spec)).status
        _refused(refused, "throws or catches exceptions", "add unsafe", ",latency,unsafe")
        counted = attached(builder.hook(f"uprobe:{program}:probed"))
        assert call() == str(CALLS // 2)
        assert sum(r["events"] for r in values(counted)) == CALLS
    assert attached(builder.hook(f"{spec},unsafe")).status.state is State.ATTACHED


@pytest.mark.parametrize("name", ["dns", "tls"])
def test_libraries_of_c_are_timed_as_before(name: str, attached: Attach) -> None:
    """Although the C library has tables for unwinding: it only ends threads by them."""
    assert attached(catalogue()[name]).status.state is State.ATTACHED
    hook = builder.hook(f"uprobe:{libraries.own_libc()}:lcong48,latency")
    assert attached(hook).status.state is State.ATTACHED


JUMPS = """
#include <setjmp.h>
#include <stdio.h>
static jmp_buf place;
int main(void) {
    for (int n; scanf("%d", &n) == 1;) {
        volatile int back = 0;
        for (volatile int i = 0; i < n; i++)
            if (!_setjmp(place)) longjmp(place, 1); else back++;
        printf("%d\\n", back); fflush(stdout);
    }
}
"""


@pytest.mark.parametrize("function", ["_setjmp", "__sigsetjmp", "getcontext", "dlsym"])
def test_no_return_is_probed_of_what_looks_at_its_return_address(
    function: str, attached: Attach
) -> None:
    hook = builder.hook(f"uprobe:{libraries.own_libc()}:{function},latency")
    _refused(attached(hook).status, f"{function} ", " its return address")


def test_calls_of_setjmp_are_counted(attached: Attach, tmp_path: Path) -> None:
    program = files.built(tmp_path, JUMPS, "c", "gcc")
    with _running(program) as call:
        hook = builder.hook(f"uprobe:{libraries.own_libc()}:_setjmp,by=comm")
        counted = attached(hook)
        assert call() == str(CALLS)
        assert sum(r["events"] for r in values(counted) if r["comm"] == program.name) == CALLS


@pytest.mark.parametrize("links", [True, False], ids=["link", "event"])
def test_a_link_and_an_event_count_the_same(
    links: bool, attached: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function and its return; what is let go of counts no more."""
    if links and not uprobe.by_link():
        pytest.skip("this kernel has no links for uprobes")
    monkeypatch.setattr(uprobe, "by_link", lambda: links)
    where = f"{libraries.own_libc()}:getaddrinfo"
    hooks = [builder.hook(f"uprobe:{where},by=pid{how}") for how in ("", ",latency")]
    standing = [attached(hook) for hook in hooks]
    for _ in range(CALLS):
        socket.getaddrinfo("127.0.0.75", 80)
    for attachment in standing:
        (row,) = (r for r in values(attachment) if r["pid"] == os.getpid())
        assert row["events"] == CALLS
