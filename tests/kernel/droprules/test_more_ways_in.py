"""Ways in that others take apart: activated sockets, UNIX sockets, jumps, sessions that went."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from tests.kernel.droprules.test_ways_in import (
    Lab,
    Session,
    _inside,
    _settle,
    lab,
    outer,
    tmux,
)
from tests.support.namespaces import HERE, THERE

__all__ = ["_inside", "lab"]
pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
_INETD = """
import os, socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    print("listening", flush=True)
    connection = listener.accept()[0]
    for fd in (0, 1):
        os.dup2(connection.fileno(), fd)
os.execv(sys.argv[3], sys.argv[3:])
"""
_JOINED = """
import os, select, socket, sys
unix = socket.socket(socket.AF_UNIX)
if sys.argv[1] == "in":
    unix.bind(sys.argv[4]), unix.listen()
    print("listening", flush=True)
    near, far = unix.accept()[0], socket.create_connection((sys.argv[2], int(sys.argv[3])))
else:
    with socket.create_server((sys.argv[2], int(sys.argv[3]))) as listener:
        print("listening", flush=True)
        near, far = listener.accept()[0], unix
    unix.connect(sys.argv[4])
while True:
    for s, other in ((near, far), (far, near)):
        if select.select([s], [], [], 0.01)[0]:
            other.sendall(s.recv(65536) or sys.exit())
"""
_UDP_TERMINAL = """
import os, pty, select, socket, sys
open("/proc/self/comm", "w").write("unheard-of")
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
data, client = s.recvfrom(65536)
pid, fd = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh"])
os.write(fd, data)
while True:
    for ready in select.select([s, fd], [], [])[0]:
        if ready is s:
            os.write(fd, s.recv(65536))
        else:
            s.sendto(os.read(fd, 65536), client)
"""
_UDP_CLIENT = """
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
for line in sys.stdin.buffer:
    s.send(line)
"""


def test_an_sshd_that_a_socket_activated_is_found(lab: Lab) -> None:
    """Its connection is its standard input, and no daemon listens."""
    daemon = shutil.which("sshd", path="/usr/sbin:/usr/bin") or ""
    lab.python(_INETD, HERE, 4011, daemon, "-i", "-f", lab.sshd.place / "sshd_config")
    told = lab.by(4011).tell(f"src {THERE}", before="env -u SSH_CONNECTION")
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, 4011]]
    assert outer(told["leading"]) == outer(told["spared"])
    assert told["said"][f"src {THERE}"][0] == ""


def test_proxies_that_a_unix_socket_joins_are_followed(lab: Lab) -> None:
    """As two socats."""
    joint = lab.place / "joint"
    lab.python(_JOINED, "in", HERE, lab.port, joint)
    lab.python(_JOINED, "out", HERE, 4012, joint)
    told = lab.by(4012).tell(f"src {THERE}", before="env -u SSH_CONNECTION")
    assert [c[2:] for c in outer(told["spared"])] == [[HERE, 4012]]
    assert outer(told["leading"]) == outer(told["spared"])


def test_a_jump_over_this_host_itself_leads_to_the_first_connection(lab: Lab) -> None:
    config = lab.sshd.place / "config"
    text = config.read_text()
    config.write_text(f"{text}\n{text.replace('Host there', 'Host first')}")
    told = lab.ssh("-J", "first").tell(f"src {THERE}", before="env -u SSH_CONNECTION")
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, lab.port]]
    assert outer(told["leading"]) == outer(told["spared"])


def test_a_server_of_terminals_by_udp_is_found_by_its_port(lab: Lab) -> None:
    """Whatever its name: as mosh, it hears whoever sends."""
    lab.python(_UDP_TERMINAL, HERE, 4013)
    client = lab.there(sys.executable, "-c", _UDP_CLIENT, HERE, "4013")
    session = Session(lab.start(*client), lab.place)
    _settle(session)
    told = session.tell("udp dport 4013", before="env -u SSH_CONNECTION")
    assert told["ports"] == [4013]
    assert told["said"]["udp dport 4013"][0] == ""


def test_a_tmux_whose_first_session_has_gone_leads_to_who_attached(lab: Lab) -> None:
    first = lab.ssh()
    tmux(lab, first)
    first.process.kill()
    first.process.wait()
    name = f"ebpftop-{os.getpid()}-{lab.place.name}"
    second = lab.ssh()
    second.type(f"env -u SSH_CONNECTION tmux -L {name} attach")
    _settle(second)
    told = second.tell(f"src {THERE}", before="env -u SSH_CONNECTION")
    assert len(outer(told["leading"])) == 1
    assert outer(told["leading"]) == outer(told["spared"])
    assert told["said"][f"src {THERE}"][0] == ""
