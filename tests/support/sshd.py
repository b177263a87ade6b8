"""A real sshd for a test: on the loopback, with a key, a port and a configuration of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EBPFTOP = f"env PYTHONPATH={ROOT} {sys.executable} -m tui.cli"
"""What is ebpftop on the other side."""
_SERVER = """
Port {port}
ListenAddress {address}
HostKey {place}/host
AuthorizedKeysFile {place}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
LogLevel VERBOSE
"""
_CLIENT = """
Host there
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {place}/user
  IdentitiesOnly yes
  UserKnownHostsFile {place}/known
  StrictHostKeyChecking yes
  LogLevel ERROR
"""


@dataclass(frozen=True)
class Sshd:
    """options: of an ssh client that knows the way; the host is called `there`."""

    pid: int
    place: Path

    @property
    def options(self) -> tuple[str, ...]:
        return ("-F", str(self.place / "config"))

    def forget(self) -> None:
        """The client does not know the host key any more."""
        (self.place / "known").write_text("")

    def descendants(self, word: str = "") -> list[int]:
        """Everything that it has started and that still runs, with this word in its command."""
        return [pid for pid in _descendants(self.pid) if word in _command(pid)]


@contextmanager
def sshd(place: Path, address: str = "127.0.0.1", before: Sequence[str] = ()) -> Iterator[Sshd]:
    """before: a command that becomes it (ip netns exec)."""
    binary = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None or shutil.which("ssh") is None:
        pytest.skip("no sshd here: Debian's package openssh-server has it")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # for the separation of privileges
    for name in ("host", "user"):
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name))
        subprocess.run(command, check=True)
    port = _free_port(address) if not before else 2222
    known = {"port": port, "address": address, "place": place, "user": getpass.getuser()}
    (place / "sshd_config").write_text(_SERVER.format(**known))
    (place / "config").write_text(_CLIENT.format(**known))
    key = (place / "host.pub").read_text()
    (place / "known").write_text(f"[{address}]:{port} {key}")
    command = (*before, binary, "-D", "-e", "-f", str(place / "sshd_config"))
    with (place / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as daemon:
        try:
            _await_listening(place / "log", daemon)
            yield Sshd(daemon.pid, place)
        finally:
            sessions = _descendants(daemon.pid)
            daemon.kill()
            for pid in sessions:
                _kill(pid)


def _free_port(address: str) -> int:
    with socket.socket() as s:
        s.bind((address, 0))
        return int(s.getsockname()[1])


def _await_listening(log: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while b"Server listening" not in log.read_bytes():
        if daemon.poll() is not None or time.monotonic() > deadline:
            pytest.skip(f"sshd does not run here: {log.read_text().strip()}")
        time.sleep(0.05)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
