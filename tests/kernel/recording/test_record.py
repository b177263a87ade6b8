"""`record` on the real kernel: exact numbers in the file, whatever ends it, and nothing left."""

from __future__ import annotations

import csv
import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ebpftop, held, left_of, running
from tests.support.events import connect, free_port

pytestmark = pytest.mark.kernel
HOOKS = ("--hook", "tcp-connect", "--hook", "interfaces")


def _replayed(path: Path) -> list[dict[str, Any]]:
    done = ebpftop("replay", str(path), "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _until_recorded(path: Path, moments: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.stat().st_size and len(_replayed_quietly(path)) >= moments:
            return
        time.sleep(0.1)
    raise AssertionError("nothing is recorded")


def _replayed_quietly(path: Path) -> list[str]:
    return ebpftop("replay", str(path), "--json").stdout.splitlines()


def test_what_happens_is_in_the_recording_to_the_last_connect(tmp_path: Path) -> None:
    path, port = tmp_path / "a", free_port("127.0.0.1")
    with running("record", str(path), "--interval", "0.2", *HOOKS) as child:
        _until_recorded(path, 1)
        connect("127.0.0.1", port, times=7)
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        said, complaints = child.communicate()
    assert child.returncode == 130
    assert said == ""
    assert complaints.startswith(f"ebpftop: {path}: ")
    assert "moments" in complaints
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    seen = []
    for moment in _replayed(path):
        rows = next(h for h in moment["hooks"] if h["hook"] == "tcp-connect")["rows"]
        seen.append(sum(r["refused"] for r in rows if r["rport"] == port))
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 7
    table = ebpftop("replay", str(path), "--format", "csv").stdout.splitlines()
    lines = [r for r in csv.DictReader(table) if r["hook"] == "tcp-connect"]
    assert [r["refused"] for r in lines if r["rport"] == str(port)][-1] == "7"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_it_the_file_is_whole_and_nothing_is_left(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "a"
    with running("record", str(path), "--interval", "0.2", *HOOKS) as child:
        _until_recorded(path, 3)
        programs, links = held(child.pid)
        assert programs
        child.send_signal(number)
        child.communicate()
    assert child.returncode == (-number if number is signal.SIGKILL else 128 + number)
    assert left_of(programs, links) == (set(), set())
    done = ebpftop("replay", str(path), "--json")
    assert len(done.stdout.splitlines()) >= 3
    assert ("not ended properly" in done.stderr) == (number is signal.SIGKILL)


def test_so_many_seconds_and_then_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    done = ebpftop("record", str(path), "--for", "1", "--interval", "0.2", *HOOKS)
    assert done.returncode == 0, done.stderr
    moments = _replayed(path)
    assert 3 <= len(moments) <= 7
    assert {h["hook"] for h in moments[-1]["hooks"]} == {"tcp-connect", "interfaces"}


def test_a_hook_that_stands_nowhere_ends_with_1_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a"
    done = ebpftop(
        "record", str(path), "--for", "0", "--hook", "xdp@lo", "--rung", "xdp=link-native"
    )
    assert done.returncode == 1
    assert "link-native" in done.stderr


def test_a_full_disk_is_status_1_and_a_sentence(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    record = f"{sys.executable} -m tui.cli record {disk}/a --interval 0.1 --for 60"
    script = (
        f"mount -t tmpfs -o size=16k none {disk} && {record}; echo $?;"
        f"{sys.executable} -m tui.cli replay {disk}/a --json | wc -l"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    status, moments = done.stdout.split()
    assert status == "1"
    assert int(moments) > 0
    assert f"the disk is full: the recording ends after {moments} moments" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("what", ["record {}/b", "profile --svg {}/b"])
def test_a_disk_that_is_full_before_anything_is_written_is_status_1(
    tmp_path: Path, what: str
) -> None:
    """Nothing was wrongly asked for, nothing can be replayed, and no file is left."""
    command = f"{sys.executable} -m tui.cli {what.format(tmp_path)} --for 0.2"
    filled = f"dd if=/dev/zero of={tmp_path}/a bs=4k 2>&1 | grep -c 'No space'"
    script = f"mount -t tmpfs -o size=16k none {tmp_path}; {filled}; {command}; echo $?"
    script += f"; ls {tmp_path}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1", "a"]
    assert done.stderr.count("\n") == 1
    assert "replayed" not in done.stderr


@pytest.mark.parametrize("command", ["once", "stream"])
def test_csv_of_the_live_kernel(command: str) -> None:
    count = ("--count", "2") if command == "stream" else ()
    done = ebpftop(command, "--hook", "interfaces", "--format", "csv", *count)
    assert done.returncode == 0, done.stderr
    lines = list(csv.DictReader(done.stdout.splitlines(), strict=True))
    assert {"lo"} <= {line["interface"] for line in lines}
    assert all(line["rx_packets"].isdecimal() for line in lines)
    assert lines[-1]["rx_packets_per_s"]


def test_head_ends_a_stream_of_csv_in_peace() -> None:
    with running("stream", "--interval", "0.1", "--hook", "drops", "--format", "csv") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith("time,host,hook,target,interface,reason")
        child.stdout.close()
        child.stdout = None
        assert child.stderr.read() == ""
        assert child.wait() == 0
