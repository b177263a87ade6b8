"""Names of any bytes that other users choose, on their way from the kernel to every output."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from tests.support.commands import ebpftop
from tests.support.namespaces import namespace

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

MOUNTS = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None) == 0
os.chdir(sys.argv[1])
FAKE = "a\\u2028cgroup2\\u2003/evil\\u2003cgroup2\\u2003rw"
for name in (b"\\xb1sb", FAKE.encode(), b"a\\x85 b\\nc"):
    os.makedirs(name)
    assert libc.mount(name, name, b"tmpfs", 0, b"size=4k") == 0
os.chdir("/")
os.execvp(sys.argv[2], sys.argv[2:])
"""

HOLDER = r"""
import ctypes, socket
ctypes.CDLL(None).prctl(15, b'caf\xe9\xff",=x', 0, 0, 0)
listener = socket.create_server(("127.0.0.1", 0))
ends = [socket.create_connection(listener.getsockname())]
ends.append(listener.accept()[0])
for _ in range(3):
    ends[0].send(b"x"); ends[1].recv(1); ends[1].send(b"x"); ends[0].recv(1)
print("held", flush=True)
input()
"""
SPELLED = 'caf??",=x'


@pytest.mark.parametrize("command", [("doctor",), ("once", "--hook", "tcp-rtt", "--for", "0.3")])
def test_mounts_of_any_name_hinder_nothing(command: tuple[str, ...], tmp_path: object) -> None:
    """Those of a mount namespace of our own; one is written so that it looks like cgroup v2."""
    before = (sys.executable, "-c", MOUNTS, str(tmp_path))
    done = ebpftop(*command, before=before)
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == 0, done.stderr
    assert "evil" not in done.stdout


def test_a_process_s_name_is_spelled_alike_in_every_format() -> None:
    with (
        namespace(),
        subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            told = {
                form: ebpftop("once", "--hook", "tcp-rtt", "--for", "1", "--format", form).stdout
                for form in ("table", "json", "csv")
            }
        finally:
            child.kill()
    hook = next(h for h in json.loads(told["json"])["hooks"] if h["hook"] == "tcp-rtt")
    assert [r["comm"] for r in hook["rows"] if r["pid"] == child.pid] == [SPELLED] * 2
    rows = csv.DictReader(io.StringIO(told["csv"]))
    assert [r["comm"] for r in rows if r.get("pid") == str(child.pid)] == [SPELLED] * 2
    named = [line for line in told["table"].splitlines() if "caf" in line]
    assert all(SPELLED in line for line in named)
    ports = {str(r["lport"]) for r in hook["rows"] if r["pid"] == child.pid}
    assert len([line for line in named if ports & set(line.split())]) >= 2
    for text in told.values():
        text.encode()
    assert os.fsencode(SPELLED).isascii()
