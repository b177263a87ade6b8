"""After kill -9, the next start removes just what was ours."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.attach import journal, persistent
from probes.errors import Busy, Denied
from probes.kernel import bpf, cgroups
from probes.kernel.netlink import clsact, route
from probes.kernel.netlink import xdp as xdp_netlink
from probes.point import ProgType
from tests.support.commands import ROOT
from tests.support.namespaces import namespace, run, veth

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="attaches what outlives a process: needs root"),
]
# The victim: attaches all that lasts to what it is told, says so, and waits to be killed.
VICTIM = """
import sys, time
from pathlib import Path
from probes.attach import persistent
from probes.kernel import bpf
from probes.point import ProgType
directory, a, b = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
register = persistent.Registry(directory)
xdp = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="ebpftop_xdp")
tc = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(-1), name="ebpftop_tc")
register.attach_xdp(a, xdp, "native")
register.attach_clsact(a, "ingress", tc, "ebpftop:ingress")
register.attach_clsact(a, "egress", tc, "ebpftop:egress")
register.attach_clsact(b, "ingress", tc, "ebpftop:ingress")
print("attached", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def victims() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for victim in started:
        victim.kill()
        victim.wait()


def _start(
    victims: list[subprocess.Popen[str]], directory: Path, a: int, b: int
) -> subprocess.Popen[str]:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(directory), str(a), str(b)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    victims.append(victim)
    assert victim.stdout is not None
    assert victim.stdout.readline() == "attached\n"
    return victim


def _state(*devices: str) -> list[str]:
    return [
        run(*command, device, *more)
        for device in devices
        for command, more in (
            (("ip", "-d", "link", "show", "dev"), ()),
            (("tc", "qdisc", "show", "dev"), ()),
            (("tc", "filter", "show", "dev"), ("ingress",)),
            (("tc", "filter", "show", "dev"), ("egress",)),
        )
    ]


def test_after_kill_9_everything_of_ours_is_removed(
    directory: Path, victims: list[subprocess.Popen[str]]
) -> None:
    a, b = veth()
    before = _state("v0", "v1")
    victim = _start(victims, directory, a, b)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert _state("v0", "v1") != before
    said = persistent.sweep(directory)
    assert _state("v0", "v1") == before
    assert len(said) == 6
    assert all(s.startswith("removed the ") for s in said)
    assert sum("xdp program ebpftop_xdp#" in s for s in said) == 1
    assert sum("qdisc" in s for s in said) == 2
    assert list(directory.iterdir()) == []
    assert persistent.sweep(directory) == []


def test_what_a_living_process_attached_is_left_alone(
    directory: Path, victims: list[subprocess.Popen[str]]
) -> None:
    a, b = veth()
    _start(victims, directory, a, b)
    before = _state("v0", "v1")
    assert persistent.sweep(directory) == []
    assert _state("v0", "v1") == before


def test_what_others_have_there_since_is_left_alone(
    directory: Path, victims: list[subprocess.Popen[str]]
) -> None:
    """A foreign XDP program in the place of ours, and a foreign filter beside ours, stay."""
    a, b = veth()
    victim = _start(victims, directory, a, b)
    victim.kill()
    victim.wait()
    foreign = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="foreign")
    id = bpf.prog_info(foreign).id
    run("bpftool", "net", "attach", "xdpdrv", "id", str(id), "dev", "v0", "overwrite")
    bytecode = ("bpf", "bytecode", "1,6 0 0 4294967295,")
    run("tc", "filter", "add", "dev", "v1", "ingress", "prio", "9", *bytecode)
    os.close(foreign)
    said = persistent.sweep(directory)
    assert not any("xdp program" in s for s in said)
    link = route.link(a)
    assert link is not None
    assert link.xdp_programs == (("native", id),)
    assert clsact.qdisc(a) is None
    assert clsact.qdisc(b) == "clsact"
    assert {f.priority for f in route.filters(b, "ingress")} == {9}


def test_another_namespace_s_interface_of_the_same_number_is_left_alone(
    directory: Path, victims: list[subprocess.Popen[str]]
) -> None:
    a, b = veth()
    here = _state("v0", "v1")
    victim = _start(victims, directory, a, b)
    victim.kill()
    victim.wait()
    there = _state("v0", "v1")
    sweeper = (
        "import sys; from pathlib import Path; from probes.attach import persistent;"
        " print(*persistent.sweep(Path(sys.argv[1])), sep='\\n')"
    )
    said = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", sweeper, str(directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(said) >= 4
    assert all("another network namespace" in s for s in said)
    assert _state("v0", "v1") == there
    persistent.sweep(directory)
    assert _state("v0", "v1") == here


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_qdisc_goes_with_the_last_of_our_filters(directory: Path, order: tuple[int, int]) -> None:
    index, _ = veth()
    before = _state("v0")
    register = persistent.Registry(directory)
    program = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(-1), name="ebpftop_tc")
    detach = [
        register.attach_clsact(index, direction, program, "ebpftop:test")
        for direction in ("ingress", "egress")
    ]
    os.close(program)
    detach[order[0]]()
    assert clsact.qdisc(index) == "clsact"
    detach[order[1]]()
    assert _state("v0") == before
    assert list(directory.iterdir()) == []
    detach[0]()


def test_a_qdisc_that_a_living_ebpftop_uses_goes_at_the_start_after_it(directory: Path) -> None:
    """Made by one that was killed; the other never knew that it would have to remove it."""
    index, _ = veth()
    before = _state("v0")
    program = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(-1), name="ebpftop_tc")
    killed, living = (persistent.Registry(directory / name) for name in ("killed", "living"))
    directory.mkdir(mode=0o700)
    killed.attach_clsact(index, "ingress", program, "ebpftop:ingress")
    let_go = living.attach_clsact(index, "egress", program, "ebpftop:egress")
    (file,) = (directory / "killed").iterdir()
    _orphan(file)
    (said,) = persistent.sweep(directory / "killed")
    assert "clsact program" in said
    assert persistent.sweep(directory / "killed") == []
    assert [f.name for f in route.filters(index, "egress") if f.name] == ["ebpftop:egress"]
    let_go()
    assert clsact.qdisc(index) == "clsact"
    (said,) = persistent.sweep(directory / "killed")
    assert "the qdisc made for" in said
    assert _state("v0") == before
    assert list((directory / "killed").iterdir()) == []
    os.close(program)


def test_a_qdisc_that_somebody_made_meanwhile_is_theirs(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look and our making it; it has no filter of theirs yet."""
    index, _ = veth()
    program = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(-1), name="ebpftop_tc")
    look = clsact.qdisc

    def slow(ifindex: int) -> str | None:
        seen = look(ifindex)
        monkeypatch.setattr(clsact, "qdisc", look)
        run("tc", "qdisc", "add", "dev", "v0", "clsact")
        return seen

    monkeypatch.setattr(clsact, "qdisc", slow)
    persistent.Registry(directory).attach_clsact(index, "ingress", program, "ebpftop:test")()
    os.close(program)
    assert clsact.qdisc(index) == "clsact"
    assert list(directory.iterdir()) == []


def test_what_a_process_that_died_was_writing_goes(directory: Path) -> None:
    """And what a living one is writing stays."""
    register = persistent.Registry(directory)
    record = journal.JournalEntry("xdp", "native", "ebpftop_xdp", 1, 2, netns=3)
    detach = register.keep(record, lambda: None, lambda _: None)
    (file,) = directory.iterdir()
    died = directory / "1.1.new"
    died.touch(mode=0o600)
    alive = file.with_suffix(journal.NEW)
    alive.touch(mode=0o600)
    with alive.open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        assert persistent.sweep(directory) == []
        assert set(directory.iterdir()) == {file, alive}
    detach()
    assert persistent.sweep(directory) == []
    assert list(directory.iterdir()) == []


def _in_child(work: Callable[[], object]) -> int:
    """Forks; the child does that and dies by SIGKILL if it comes to its end. Its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            _die()
    return pid


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _attach_all(directory: Path, index: int) -> list[persistent.Detach]:
    register = persistent.Registry(directory)
    xdp = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="ebpftop_xdp")
    tc = bpf.prog_load(ProgType.SCHED_CLS, bpf.exit_with(-1), name="ebpftop_tc")
    return [
        register.attach_xdp(index, xdp, "native"),
        *(register.attach_clsact(index, d, tc, "ebpftop:test") for d in route.DIRECTIONS),
    ]


STEPS = {
    "writing the record": (Path, "rename"),
    "locking it": (fcntl, "flock"),
    "attaching XDP": (xdp_netlink, "xdp_attach"),
    "making the qdisc": (clsact, "_make_qdisc"),
    "adding the filter": (clsact, "_add_filter"),
    "removing the filter": (clsact, "clsact_detach"),
    "removing the qdisc": (clsact, "remove_qdisc"),
    "removing XDP": (xdp_netlink, "xdp_detach"),
    "taking the record away": (Path, "unlink"),
}


@pytest.mark.anywhere
@pytest.mark.parametrize("step", STEPS)
def test_killed_before_any_step_nothing_stays_after_a_sweep(directory: Path, step: str) -> None:
    """Of attaching and of letting go; each of them is where a process dies once."""
    index, _ = veth()
    before = _state("v0")

    def work() -> None:
        setattr(*STEPS[step], _die)
        for detach in reversed(_attach_all(directory, index)):
            detach()

    os.waitpid(_in_child(work), 0)
    persistent.sweep(directory)
    assert _state("v0") == before
    assert list(directory.iterdir()) == []


@pytest.mark.anywhere
def test_a_sweep_that_is_killed_is_ended_by_the_next(directory: Path) -> None:
    index, _ = veth()
    before = _state("v0")
    for _ in range(8):
        os.waitpid(_in_child(lambda: _attach_all(directory, index)), 0)
        assert _state("v0") != before
        began = time.monotonic()
        persistent.sweep(directory)
        whole = time.monotonic() - began
        assert _state("v0") == before
        os.waitpid(_in_child(lambda: _attach_all(directory, index)), 0)
        sweeper = _in_child(lambda: persistent.sweep(directory))
        time.sleep(random.random() * whole)
        os.kill(sweeper, signal.SIGKILL)
        os.waitpid(sweeper, 0)
        persistent.sweep(directory)
        assert _state("v0") == before
        assert list(directory.iterdir()) == []


def test_a_refused_attach_leaves_no_record(directory: Path) -> None:
    index, _ = veth()
    foreign = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="foreign")
    run("bpftool", "net", "attach", "xdpdrv", "id", str(bpf.prog_info(foreign).id), "dev", "v0")
    register = persistent.Registry(directory)
    with pytest.raises(Busy):
        register.attach_xdp(index, foreign, "native")
    os.close(foreign)
    assert list(directory.iterdir()) == []


def test_the_record_is_there_before_the_attachment(directory: Path) -> None:
    register = persistent.Registry(directory)
    record = journal.JournalEntry("xdp", "native", "ebpftop_xdp", 1, 2, netns=3)
    seen: list[journal.JournalEntry] = []

    def attach() -> None:
        (file,) = directory.iterdir()
        seen.extend(journal.parse(file.read_bytes()))

    detach = register.keep(record, attach, lambda _: None)
    assert seen == [record]
    detach()
    assert list(directory.iterdir()) == []


def test_a_cgroup_program_is_removed_and_others_stay(directory: Path, cgroup: Path) -> None:
    """BPF_CGROUP_SOCK_OPS on a cgroup of the test's own."""
    kind = 3
    ours = bpf.prog_load(ProgType.SOCK_OPS, bpf.exit_with(1), name="ebpftop_ops")
    foreign = bpf.prog_load(ProgType.SOCK_OPS, bpf.exit_with(1), name="foreign")
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    bpf.prog_attach(foreign, fd, kind, bpf.F_ALLOW_MULTI)
    persistent.Registry(directory).attach_cgroup(cgroup, kind, ours)
    mine, other = bpf.prog_info(ours).id, bpf.prog_info(foreign).id
    assert set(bpf.prog_query(fd, kind)) == {mine, other}
    (file,) = directory.iterdir()
    _orphan(file)
    (said,) = persistent.sweep(directory)
    assert f"ebpftop_ops#{mine}" in said
    assert bpf.prog_query(fd, kind) == [other]
    bpf.prog_detach(foreign, fd, kind)
    for each in (ours, foreign, fd):
        os.close(each)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    root = cgroups.root()
    if root is None:
        pytest.skip("cgroup v2 is not mounted")
    path = root / f"ebpftop-test-{os.getpid()}"
    path.mkdir()
    yield path
    path.rmdir()


def _orphan(file: Path) -> None:
    """What is left when a process dies: the same file, and nobody's lock on it."""
    copy = file.read_bytes()
    file.unlink()
    file.touch(mode=0o600)
    file.write_bytes(copy)


@pytest.mark.anywhere
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 60000,
        b"{}",
        b'{"format": "ebpftop-lasting/1"}',
        b'{"format": "ebpftop-lasting/1", "records": [{"kind": "xdp"}]}',
        b'{"format": "ebpftop-lasting/1", "records": [{"kind": "rm", "place": "/", '
        b'"program": "x", "program_id": 1}]}',
        b" " * 100_000,
    ],
)
def test_a_malformed_file_is_left_with_a_sentence(directory: Path, content: bytes) -> None:
    directory.mkdir(mode=0o700)
    file = directory / "1.1.json"
    file.touch(mode=0o600)
    file.write_bytes(content)
    (said,) = persistent.sweep(directory)
    assert "is not a record of ebpftop" in said
    assert file.read_bytes() == content


@pytest.mark.anywhere
def test_what_others_could_have_written_is_not_believed(directory: Path, tmp_path: Path) -> None:
    directory.mkdir(mode=0o700)
    (directory / "1.1.json").touch(mode=0o600)
    (directory / "1.1.json").chmod(0o666)
    (directory / "2.1.json").symlink_to("/etc/passwd")
    os.mkfifo(directory / "3.1.json", 0o600)
    assert len(persistent.sweep(directory)) == 3
    assert len(list(directory.iterdir())) == 3
    directory.chmod(0o777)
    (said,) = persistent.sweep(directory)
    assert "not private to this user" in said
    with pytest.raises(Denied, match="cannot record"):
        persistent.Registry(directory).keep(
            journal.JournalEntry("xdp", "native", "x", 1),
            lambda: pytest.fail("attached"),
            lambda _: None,
        )
    assert persistent.sweep(tmp_path / "none") == []
