"""A bundle made here, used where neither bcc nor LLVM is: the same rungs, the same numbers."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.compile import bundle
from probes.compile.bcc_worker import SITES
from probes.errors import ProbeError
from probes.model import HookId, State
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand, by_ssh
from tests.support.commands import ROOT, ebpftop
from tests.support.namespaces import namespace, send, veth
from tests.support.sshd import EBPFTOP, Sshd, sshd
from tui.commands import _offering

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

LIBRARIES = ("libbcc*.so*", "libLLVM*.so*", "libclang*.so*")
COUNTED = "xdp_counts_each or tc_ingress or drops_are_counted or syscalls_are_counted"
"""Tests that require known numbers of the rungs of four hooks."""
SOME = """
import sys
from pathlib import Path
from probes.kernel import btf
btf.use(Path(sys.argv[1]))
from probes.compile.bundle_maker import make
from probes.hooks import catalogue
hooks = [catalogue()[name] for name in ("xdp", "drops", "syscalls")]
sys.stdout.buffer.write(make(hooks, "1").data)
"""
"""Makes a bundle of some hooks."""
SAME = ("xdp-errors", "tc-ingress", "drops", "syscalls", "tcp-connect", "tcp-rtt")


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of all programs, as the command makes it."""
    made = tmp_path_factory.mktemp("bundle") / "here.bundle"
    done = ebpftop("bundle", "--output", str(made))
    assert done.returncode == 0, done.stderr
    assert re.match(rf"{made}: \d+ programs for Linux {re.escape(os.uname().release)}", done.stdout)
    assert "not for that kernel" not in done.stdout
    return made


def _hidden(*more: str) -> list[str]:
    """A command that runs another where bcc, its libraries, LLVM and what was compiled are not.

    more: shell commands before it.
    """
    folders = [p / "bcc" for pattern in SITES for p in Path("/usr").glob(pattern)]
    folders += [*Path("/usr/lib").glob("llvm*"), Path("/var/cache")]
    libraries = [p for pattern in LIBRARIES for p in Path("/usr").glob(f"lib*/**/{pattern}")]
    files = [p for p in libraries if not p.is_symlink() and not set(p.parents) & set(folders)]
    hide = [f"mount -t tmpfs none '{p}'" for p in folders if p.is_dir()]
    hide += [f"mount --bind /dev/null '{p}'" for p in files]
    shell = " && ".join([*hide, *more, 'exec "$0" "$@"'])
    return ["unshare", "--mount", "sh", "-c", shell]


def _hooks(*arguments: str, before: list[str]) -> dict[str, Any]:
    done = ebpftop("once", "--json", "--for", "0", *arguments, before=before)
    assert done.returncode == 0, done.stderr
    return {h["hook"]: h for h in json.loads(done.stdout)["hooks"]}


def test_nothing_that_compiles_is_left_where_the_others_run() -> None:
    ask = "import ctypes\ntry:\n import bcc.libbcc\nexcept ImportError: ctypes.CDLL('libbcc.so.0')"
    command = [*_hidden(), "/usr/bin/python3", "-c", ask]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "OSError: " in done.stderr


def test_the_rungs_are_those_that_stand_with_bcc(file: Path) -> None:
    veth()
    there = _hooks("--bundle", str(file), before=_hidden())
    here = _hooks(before=[])
    assert {name: there[name]["rung"] for name in SAME} == {n: here[n]["rung"] for n in SAME}
    assert all("bundle" not in r["why"] for h in there.values() for r in h["refused"])


def test_they_count_exactly_what_is_counted_with_bcc(file: Path) -> None:
    """The tests of those rungs, once more: they make known numbers of events, and require them."""
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", COUNTED)
    done = subprocess.run(
        [*_hidden(), *command, "tests/kernel/hooks/test_rungs.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "EBPFTOP_BUNDLE": str(file)},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 15


def test_one_in_its_place_is_found_and_said_by_the_doctor(file: Path) -> None:
    place = bundle.PLACE
    keep = f"exec 9<{file}"  # which may lie below what is hidden
    put = f"mkdir -p {place} && cat <&9 >{place}/a.bundle && chmod 644 {place}/a.bundle"
    shown = f"mount -t tmpfs none {place.parents[1]}"
    before = _hidden(keep, shown, put)
    done = ebpftop("doctor", "--hook", "syscalls", before=before)
    assert f"compiler: bundle {place}/a.bundle, by ebpftop " in done.stdout
    assert "syscalls: would attach on btf-tracepoint" in done.stdout


def test_in_a_pid_namespace_of_its_own_pids_are_those_of_that(file: Path) -> None:
    """By a program of the bundle that looks for them there."""
    nested = ("unshare", "--pid", "--fork", "--mount-proc")
    shell = f'{" ".join(nested)} "$0" "$@"'
    before = ["sh", "-c", shell, *_hidden()]
    done = ebpftop(
        "once", "--json", "--for", "0.5", "--bundle", str(file), "--hook",
        "syscall-processes@read", before=before,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (hook,) = json.loads(done.stdout)["hooks"]
    assert hook["rung"] == "btf-tracepoint"
    assert {row["pid"] for row in hook["rows"] if row["comm"].startswith(("python", "ebpftop"))}
    assert all(row["pid"] < 100 for row in hook["rows"] if row["pid"])


def test_a_bundle_that_does_not_fit_is_refused_before_anything_is_attached(
    file: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "cut.bundle"
    wrong.write_bytes(file.read_bytes()[:-1])
    wrong.chmod(0o644)
    for command in (("once", "--for", "0"), ("doctor",), ("profile", "--for", "0")):
        done = ebpftop(*command, "--bundle", str(wrong))
        assert done.returncode == 1
        assert done.stderr == (
            f"ebpftop: {wrong} is not used: it was altered or cut off since it was made."
            " Copy it again.\n"
        )


def test_what_is_not_in_it_says_so_in_the_ladder(file: Path) -> None:
    """A hook of the user's own is compiled where it is asked for."""
    spec = "rawtracepoint:sched_process_exit"
    done = ebpftop("once", "--json", "--for", "0", "--bundle", str(file), "--hook", spec,
                   before=_hidden())  # fmt: skip
    (hook,) = json.loads(done.stdout)["hooks"]
    assert done.returncode == 1
    assert all("it is not in the bundle " in r["why"] for r in hook["refused"])
    assert _hooks("--bundle", str(file), "--hook", spec, before=[])


def test_the_one_for_a_file_of_btf_is_the_same_programs(file: Path, tmp_path: Path) -> None:
    """Of the running kernel's own BTF, so that it can be used here."""
    if not Path("/sys/kernel/btf/vmlinux").exists():
        pytest.skip("this kernel has no BTF")
    btf = tmp_path / "web1.btf"
    btf.write_bytes(Path("/sys/kernel/btf/vmlinux").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", SOME, str(btf)], cwd=ROOT, capture_output=True, check=True
    )
    made = bundle.parsed(done.stdout, "web1.bundle")
    assert made.about.kernel.release == ""
    assert 5 < len(made) < len(bundle.read(file))
    assert made._answers.items() <= bundle.read(file)._answers.items()


# -- another host ------------------------------------------------------------------------------


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Sshd]:
    """A host without bcc, and with a place for bundles that goes with it."""
    place = f"mount -t tmpfs none {bundle.PLACE.parents[1]}"
    with sshd(tmp_path, before=_hidden(place)) as daemon:
        yield daemon


@asynccontextmanager
async def _remote(there: Sshd) -> AsyncIterator[tuple[Remote, SshCommand]]:
    way = by_ssh("there", EBPFTOP, there.options)
    remote = Remote(way, interval=0.2, pauses=(1000.0,))
    try:
        async with asyncio.timeout(180):
            await remote.connect()
            yield remote, way
    finally:
        await remote.close()


def _asking(file: Path | None) -> argparse.Namespace:
    return argparse.Namespace(bundle=file, remote_command=EBPFTOP)


async def test_a_remote_host_without_bcc_is_sent_one_and_counts_exactly(
    file: Path, there: Sshd, capsys: pytest.CaptureFixture[str]
) -> None:
    veth()
    async with _remote(there) as (remote, way):
        assert remote.needs is not None
        await _offering.offer(remote, way, _asking(file))
        said = f"there has no bcc; it has the programs of {file} now\n"
        assert capsys.readouterr().err == said
        assert remote.needs is None
        await remote.start()
        id, place = HookId("tc-ingress", "v1"), remote.catalogue["tc-ingress"].places.names
        while not [s for s in remote.statuses() if s.id == id and s.state is State.ATTACHED]:
            await asyncio.sleep(0.05)
        send("v0", 137)
        async for samples in remote.samples("tc-ingress"):
            v1 = [s for s in samples if s.status.id == id]
            if v1 and [row[place.index("packets")] for row in v1[0].rows.values()] == [137]:
                break


async def test_where_none_is_for_it_a_sentence_says_how_to_make_one(
    file: Path, there: Sshd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with _remote(there) as (remote, way):
        await _offering.offer(remote, way, _asking(None))
        (said,) = capsys.readouterr().err.splitlines()
        assert said == (
            "there has no bcc, so most hooks are on lower rungs; on a host with bcc:"
            " sudo ebpftop bundle --output there.bundle; then add --bundle there.bundle"
        )
        other = tmp_path / "other.bundle"
        about, _ = bundle.checked(file)
        about = replace(about, kernel=about.kernel._replace(release="5.4.0-1"))
        other.write_bytes(bundle.written(about, {}))
        other.chmod(0o644)
        with pytest.raises(ProbeError, match=r"other.bundle is not for there: it was made for Lin"):
            await _offering.offer(remote, way, _asking(other))
        assert remote.needs is not None


async def test_what_refuses_the_copy_is_told(file: Path, there: Sshd) -> None:
    async with _remote(there) as (remote, way):
        refusing = replace(way, shell=("sh", "-c", "echo 'no such luck' >&2; exit 3", "x"))
        with pytest.raises(ProbeError, match="cannot be copied to there: no such luck"):
            await _offering.offer(remote, refusing, _asking(file))
