"""The operator is never locked out in silence: each way in is found and spared, or it is said."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from probes.drop_rule import parse
from probes.droprules import cautions, operator_sessions
from probes.droprules.operator_sessions import Connection
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import by_ssh
from tests.support.commands import ebpftop, in_terminal
from tests.support.namespaces import HERE, THERE, namespace, pair, run, veth
from tests.support.sshd import EBPFTOP, ROOT, Sshd, sshd

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]

PATIENCE = 60
_TELL = """
import json, socket, sys
from probes.drop_rule import parse
from probes.droprules import cautions, operator_sessions
leading = operator_sessions.leading()
said = {rule: cautions.of(socket.if_nametoindex("v0"), parse(rule)) for rule in sys.argv[2:]}
with open(sys.argv[1] + ".part", "w") as f:
    json.dump({
        "spared": sorted(operator_sessions.connections()), "ports": sorted(leading.ports),
        "leading": sorted(leading.connections), "hidden": leading.hidden, "said": said,
    }, f)
import os
os.rename(sys.argv[1] + ".part", sys.argv[1])
"""
_PROXY = """
import select, socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2])), reuse_port=True) as listener:
    print("listening", flush=True)
    while True:
        near = listener.accept()[0]
        far = socket.create_connection((sys.argv[3], int(sys.argv[4])))
        other = {near: far, far: near}
        while other:
            for s in select.select(list(other), [], [])[0]:
                data = s.recv(65536)
                if not data:
                    other = {}
                    break
                other[s].sendall(data)
"""
_TERMINAL_SERVER = """
import os, pty, select, socket, sys
open("/proc/self/comm", "w").write("unheard-of")
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
s = listener.accept()[0]
pid, fd = pty.fork()
if pid == 0:
    os.execvp("sh", ["sh"])
while True:
    for ready in select.select([s, fd], [], [])[0]:
        if ready is s:
            os.write(fd, s.recv(65536) or sys.exit())
        else:
            s.sendall(os.read(fd, 65536))
"""
_WITH_ANOTHER = (
    "import pty, socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
    " pty.spawn('sh')"
)
STALE = "env SSH_CONNECTION='198.51.100.9 1 198.51.100.8 22'"


@dataclass
class Session:
    """A shell that somebody sits at on the other side; lines go to it."""

    process: subprocess.Popen[bytes]
    place: Path
    asked: int = 0
    tmux: list[str] = field(default_factory=list)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def tell(self, *rules: str, before: str = "") -> dict[str, Any]:
        """What a process in it finds. before: what runs it."""
        self.asked += 1
        answer = self.place / f"answer-{self.asked}"
        said = " ".join(f"'{rule}'" for rule in rules)
        script = self.place / "tell.py"
        script.write_text(_TELL)
        python = f"env PYTHONPATH={ROOT} {sys.executable}"
        self.type(f"{before} {python} {script} {answer} {said} 2>{answer}.err")
        return dict(json.loads(self._await(answer)))

    def alive(self) -> bool:
        self.asked += 1
        answer = self.place / f"answer-{self.asked}"
        self.type(f"echo alive >{answer}")
        try:
            return self._await(answer, 10) == "alive\n"
        except AssertionError:
            return False

    def _await(self, answer: Path, seconds: float = PATIENCE) -> str:
        deadline = time.monotonic() + seconds
        while not (answer.exists() and answer.read_text()):
            error = Path(f"{answer}.err")
            why = error.read_text() if error.exists() else "nothing was run"
            assert time.monotonic() < deadline, why
            time.sleep(0.05)
        return answer.read_text()


@dataclass
class Lab:
    """This namespace has the host with sshd, the one beside has the operator."""

    beside: str
    place: Path
    sshd: Sshd
    stack: ExitStack

    @property
    def port(self) -> int:
        config = (self.sshd.place / "config").read_text()
        return int(config.partition("Port ")[2].split()[0])

    def there(self, *command: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.beside, *command)

    def start(self, *command: str, ready: bytes = b"") -> subprocess.Popen[bytes]:
        """Runs until the test ends."""
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self.stack.callback(_end, child)
        assert child.stdout is not None
        assert not ready or ready in child.stdout.readline()
        return child

    def python(self, code: str, *arguments: object) -> None:
        self.start(sys.executable, "-c", code, *map(str, arguments), ready=b"listening")

    def ssh(self, *options: str) -> Session:
        """From beside, with a terminal there. options: before the host."""
        client = ("ssh", "-tt", *options, *self.sshd.options, "there", "sh")
        environment = ("env", "-u", "SSH_CONNECTION", "TERM=xterm")
        return Session(self.start(*self.there(*environment, *client)), self.place)

    def by(self, port: int, address: str = HERE) -> Session:
        trust = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
        return self.ssh("-o", f"HostName={address}", "-p", str(port), *trust)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                pass


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "here").mkdir()
    with ExitStack() as stack:
        beside = stack.enter_context(pair())
        daemon = stack.enter_context(sshd(tmp_path / "here", HERE))
        yield Lab(beside, tmp_path, daemon, stack)


def outer(found: list[list[Any]]) -> list[list[Any]]:
    """Connections that come from beside."""
    return [c for c in found if c[0] == THERE]


def tmux(lab: Lab, session: Session, begin: str = "") -> None:
    """A tmux of its own, which nobody is the parent of."""
    if shutil.which("tmux") is None:
        pytest.skip("no tmux here")
    name = f"ebpftop-{os.getpid()}-{lab.place.name}"
    kill = ("tmux", "-L", name, "kill-server")
    lab.stack.callback(subprocess.run, kill, capture_output=True, check=False)
    session.type(f"{begin} tmux -L {name} -f /dev/null new-session sh")
    _settle(session)


def _settle(session: Session) -> None:
    """The shell within has come up when it answers; what is typed before may be lost."""
    deadline = time.monotonic() + PATIENCE
    while not session.alive():
        assert time.monotonic() < deadline


# -- ways that are found ---------------------------------------------------------------------


def test_ssh_is_found_and_its_next_login_is_told(lab: Lab) -> None:
    told = lab.ssh().tell(
        f"src {THERE}", "tcp", f"tcp dport {lab.port}", "udp", "tcp dport 1", "src 198.51.100.0/24",
        "src ::/1", "icmp",
    )  # fmt: skip
    assert outer(told["leading"]) == outer(told["spared"])
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, lab.port]]
    login = f"your next login from {THERE} to port {lab.port} would be dropped too"
    expected = {f"src {THERE}", "tcp", f"tcp dport {lab.port}"}
    assert {rule for rule, (_, later) in told["said"].items() if later == login} == expected
    others = [said for rule, said in told["said"].items() if rule not in expected]
    assert others == [["", ""]] * 5


def test_tmux_leads_to_its_clients_whatever_its_environment_says(lab: Lab) -> None:
    session = lab.ssh()
    tmux(lab, session, STALE)
    told = session.tell(f"src {THERE}")
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, lab.port]]
    assert told["said"][f"src {THERE}"][0] == ""


def test_a_proxy_before_sshd_is_followed_over_two_hops(lab: Lab) -> None:
    lab.python(_PROXY, HERE, 4001, "127.0.0.1", 4002)
    lab.python(_PROXY, "127.0.0.1", 4002, HERE, lab.port)
    told = lab.by(4001).tell(f"src {THERE}")
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, 4001]]
    assert outer(told["leading"]) == outer(told["spared"])
    assert "to port 4001" in told["said"][f"src {THERE}"][1]


def test_a_proxy_in_a_container_is_followed(lab: Lab) -> None:
    """It has a network namespace of its own, which this host routes to."""
    inside, name = "192.0.2.130", f"ebpftop-container-{os.getpid()}"
    run("ip", "netns", "add", name)
    lab.stack.callback(subprocess.run, ("ip", "netns", "del", name), check=True)
    run("ip", "link", "add", "name", "c0", "type", "veth", "peer", "name", "c1", "netns", name)
    run("ip", "link", "set", "c0", "up")
    run("ip", "addr", "add", "192.0.2.129/25", "dev", "c0")
    run("ip", "-n", name, "addr", "add", f"{inside}/25", "dev", "c1")
    run("ip", "-n", name, "link", "set", "c1", "up")
    run("ip", "-n", name, "route", "add", "default", "via", "192.0.2.129")
    run("ip", "-n", lab.beside, "route", "add", f"{inside}/32", "via", HERE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    proxy = ("ip", "netns", "exec", name, sys.executable, "-c", _PROXY)
    lab.start(*proxy, inside, "4006", HERE, str(lab.port), ready=b"listening")
    told = lab.by(4006, inside).tell("tcp dport 4006", before="env -u SSH_CONNECTION")
    assert [c[2:] for c in outer(told["spared"])] == [[inside, 4006]]
    assert outer(told["leading"]) == outer(told["spared"])
    assert "to port 4006" in told["said"]["tcp dport 4006"][1]


def test_a_reverse_tunnel_leads_to_the_connection_that_carries_it(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    run("ip", "-n", lab.beside, "link", "set", "lo", "up")
    beside = ("ip", "netns", "exec", lab.beside)
    with sshd(tmp_path / "there", THERE, before=beside) as far:
        forward = ("-N", "-o", "ExitOnForwardFailure=yes", "-R", f"4003:{HERE}:{lab.port}")
        lab.start("ssh", *forward, *far.options, "there")
        _await_port(lab, 4003)
        told = lab.by(4003, "127.0.0.1").tell(f"src {THERE}")
    assert [c[1] for c in outer(told["leading"])] == [2222]
    assert outer(told["leading"]) == outer(told["spared"])
    assert f"from {THERE} would be dropped" in told["said"][f"src {THERE}"][1]


def _await_port(lab: Lab, port: int) -> None:
    code = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
    command = lab.there(sys.executable, "-c", code)
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(command, capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_pid_namespace_is_seen_through(lab: Lab) -> None:
    """As long as the host's proc file system is there, if only below its own."""
    session = lab.ssh()
    tmux(lab, session, STALE)
    for before in ("unshare -p -f", "unshare -p -f --mount-proc"):
        told = session.tell(f"src {THERE}", before=before)
        assert [c[2:] for c in outer(told["leading"])] == [[HERE, lab.port]], before
        assert told["hidden"] == ""


def test_where_the_outside_cannot_be_seen_it_is_said_and_what_came_in_is_spared(
    lab: Lab,
) -> None:
    """A container of the host's network: only its own proc file system is there."""
    root = lab.place / "root"
    root.mkdir()
    inside = lab.place / "inside"
    inside.write_text(
        f"mount --rbind / {root} && umount -l {root}/proc && mount -t proc proc {root}/proc"
        f' && cd {root} && pivot_root . mnt && umount -l /mnt && exec "$@"\n'
    )
    session = lab.ssh()
    told = session.tell(
        f"src {THERE}", "icmp", before=f"env -u SSH_CONNECTION unshare -p -f -m sh {inside}"
    )
    assert (told["leading"], told["ports"]) == ([], [])
    assert [c[2:] for c in outer(told["spared"])] == [[HERE, lab.port]]
    assert "outside this PID namespace" in told["said"][f"src {THERE}"][0]
    assert told["said"]["icmp"] == ["", ""]


def test_an_ancestor_with_a_connection_of_its_own_hides_no_session(lab: Lab) -> None:
    session = lab.ssh()
    tmux(lab, session, STALE)
    script = lab.place / "another.py"
    script.write_text(_WITH_ANOTHER)
    session.type(f"{sys.executable} {script} {HERE} {lab.port}")
    _settle(session)
    told = session.tell(f"src {THERE}")
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, lab.port]]


def test_a_connection_that_an_ancestor_made_for_itself_leads_nowhere(lab: Lab) -> None:
    """It is spared, but nobody comes by it."""
    with socket.create_server((HERE, 0)) as listener:
        port = listener.getsockname()[1]
        script, answer = lab.place / "another.py", lab.place / "answer"
        tell = lab.place / "tell.py"
        tell.write_text(_TELL)
        script.write_text(
            "import socket, subprocess, sys\n"
            "s = socket.create_connection(('192.0.2.2', int(sys.argv[1])))\n"
            f"subprocess.run([sys.executable, {str(tell)!r}, {str(answer)!r}, 'tcp'], check=True)\n"
        )
        serve = f"import socket; s = socket.create_server(('{THERE}', {port}));"
        lab.start(
            *lab.there(sys.executable, "-c", f"{serve} print('listening', flush=True); s.accept()"
                       "[0].recv(1)"),
            ready=b"listening",
        )  # fmt: skip
        command = ("setsid", sys.executable, str(script), str(port))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        run_alone = {"stdin": subprocess.DEVNULL, "env": environment}
        subprocess.run(command, check=True, **run_alone)  # type: ignore[call-overload]
    told = json.loads(answer.read_text())
    assert [c[:2] for c in outer(told["spared"])] == [[THERE, port]]
    assert told["leading"] == []
    assert "your connection was not found" in told["said"]["tcp"][0]


def test_whoever_shows_a_terminal_is_found_whatever_its_name(lab: Lab) -> None:
    """A web terminal, a telnetd: known by the other end of the terminal that it holds."""
    lab.python(_TERMINAL_SERVER, HERE, 4004)
    code = (
        "import socket, sys, threading\n"
        f"s = socket.create_connection(('{HERE}', 4004))\n"
        "threading.Thread(target=lambda: [s.recv(9999) for _ in range(10**6)], daemon=True).start()"
        "\nfor line in sys.stdin: s.sendall(line.encode())\n"
    )
    session = Session(lab.start(*lab.there(sys.executable, "-c", code)), lab.place)
    tmux(lab, session)
    told = session.tell("tcp dport 4004")
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, 4004]]
    assert "to port 4004" in told["said"]["tcp dport 4004"][1]
    spared = operator_sessions.connections({})  # from outside of it as well
    assert [c.lport for c in spared if c.raddr == THERE] == [4004]


def test_a_redirected_port_is_spared_as_its_packets_come_in(lab: Lab) -> None:
    if shutil.which("iptables") is None:
        pytest.skip("no iptables here")
    rule = ("-A", "PREROUTING", "-p", "tcp", "--dport", "4005")
    run("iptables", "-t", "nat", *rule, "-j", "REDIRECT", "--to-ports", str(lab.port))
    told = lab.by(4005).tell("tcp dport 4005", before="env -u SSH_CONNECTION")
    assert sorted(c[3] for c in outer(told["spared"])) == sorted([4005, lab.port])
    assert [c[2:] for c in outer(told["leading"])] == [[HERE, 4005]]
    assert "to port 4005" in told["said"]["tcp dport 4005"][1]


def test_the_session_goes_on_while_all_of_its_host_is_dropped(lab: Lab) -> None:
    """The whole of it, in a PID namespace within tmux."""
    session = lab.ssh()
    tmux(lab, session, STALE)
    said = lab.place / "said"
    command = f"once --for 8 --hook interfaces --drop 'v0: src {THERE}'"
    session.type(f"unshare -p -f --mount-proc {EBPFTOP} {command} >/dev/null 2>{said} &")
    deadline = time.monotonic() + PATIENCE
    while not (said.exists() and "dropping on v0" in said.read_text()):
        assert time.monotonic() < deadline, said.read_text() if said.exists() else ""
        time.sleep(0.1)
    assert session.alive()
    ping = lab.there("ping", "-n", "-q", "-c", "1", "-W", "1", HERE)
    assert subprocess.run(ping, capture_output=True, check=False).returncode == 1
    assert f"your next login from {THERE} to port {lab.port} would be dropped" in said.read_text()
    assert session.alive()


# -- over --remote ---------------------------------------------------------------------------


async def test_over_remote_it_is_the_operator_s_ssh_that_is_spared_and_told_of(
    tmp_path: Path,
) -> None:
    with pair() as beside, sshd(tmp_path, THERE, before=("ip", "netns", "exec", beside)) as far:
        remote = Remote(by_ssh("there", EBPFTOP, far.options), interval=0.2, pauses=(0.1,))
        try:
            async with asyncio.timeout(PATIENCE):
                await remote.connect()
                await remote.start()
            rule = parse(f"src {HERE}")
            login = f"your next login from {HERE} to port 2222 would be dropped too"
            assert await remote.cautions("v1", rule) == (login,)
            assert await remote.cautions("v1", parse("icmp")) == ()
            await remote.add_rule("v1", rule)
            ping = ("ping", "-n", "-q", "-c", "1", "-W", "1", THERE)
            assert subprocess.run(ping, capture_output=True, check=False).returncode == 1
            assert await remote.complete("") is not None
            assert not remote.feed.trouble
            await remote.remove_rule("v1", rule)
        finally:
            await remote.close()


# -- where none is found ---------------------------------------------------------------------


def test_nothing_that_leads_here_is_said_before_and_refused_without_a_terminal() -> None:
    veth()
    arguments = ("once", "--for", "0", "--hook", "interfaces")
    rule = ("--drop", "v0: src 198.51.100.0/24")
    alone = ("setsid", "env", "-u", "SSH_CONNECTION")
    refused = ebpftop(*arguments, *rule, before=alone)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not dropped: your connection was not found" in refused.stderr
    assert "--drop-anyway" in refused.stderr
    assert "dropping on" not in refused.stderr
    forced = ebpftop(*arguments, *rule, "--drop-anyway", before=alone)
    assert forced.returncode == 0
    assert "your connection was not found: if you are logged in" in forced.stderr
    assert "dropping on v0" in forced.stderr
    icmp = ebpftop(*arguments, "--drop", "v0: icmp", before=alone)
    assert icmp.returncode == 0
    assert "no connection" not in icmp.stderr, "nobody is logged in by ICMP"
    status, said = in_terminal(*arguments, *rule)
    assert status == 0
    assert "your connection was not found" in said
    assert "dropping on v0" in said


@contextmanager
def connected() -> Iterator[Connection]:
    """Somebody's session by an sshd that this process is not below of."""
    code = (
        "import socket, sys; open('/proc/self/comm', 'w').write('sshd-session')\n"
        f"s = socket.create_server(('{HERE}', 0)); print(s.getsockname()[1], flush=True)\n"
        "c = s.accept()[0]; print('accepted', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as it:
        assert it.stdout is not None
        assert it.stdin is not None
        port = int(it.stdout.readline())
        with socket.create_connection((HERE, port)) as s:
            assert it.stdout.readline() == "accepted\n"
            yield Connection(HERE, s.getsockname()[1], HERE, port)
        it.stdin.close()


def test_others_sessions_are_spared_but_do_not_lead_here() -> None:
    veth()
    run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
    with connected() as theirs:
        assert theirs in operator_sessions.connections({})
        assert not operator_sessions.leading({}).found
        found = cautions.of(socket.if_nametoindex("v0"), parse("tcp"))
        assert "your connection was not found" in found.unseen
