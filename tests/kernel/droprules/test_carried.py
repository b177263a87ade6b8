"""What carries a session is spared by drop rules: a tunnel's outer packets, and mosh."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.compile.compiler import Compiler
from probes.drop_rule import parse
from probes.droprules import enforcer, operator_sessions, tunnels
from probes.droprules.enforcer import Rules
from probes.droprules.operator_sessions import Connection
from probes.droprules.tunnels import End
from probes.ladder.attachment import Modules
from tests.support.devices import make, quiet, tun
from tests.support.frames import TCP, UDP, ip, ports
from tests.support.namespaces import HERE, THERE, namespace, pair, run, send, veth

pytestmark = pytest.mark.kernel

INNER, CLIENT = "10.99.0.1", "10.99.0.2"


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture(scope="module")
def compiler(modules: Modules) -> Iterator[Compiler]:
    """One for all, which stays: bcc takes long to load."""
    del modules  # it makes compilers stay
    made = Compiler(cached=True)
    yield made
    made.close()


@pytest.fixture
def rules(compiler: Compiler) -> Iterator[Rules]:
    made = Rules(compiler)
    yield made
    made.close()


def hits(rules: Rules) -> int:
    return sum(enforced.packets for enforced in rules.shown())


class _Only:
    """In place of the real one, which knows of this machine's sessions as well."""

    def __init__(self, *connections: Connection, more: frozenset[End] = frozenset()) -> None:
        self._connections, self._more = frozenset(connections), more

    def connections(self) -> frozenset[Connection]:
        return self._connections

    def ends(self, connections: frozenset[Connection]) -> frozenset[End]:
        return tunnels.ends(c.raddr for c in connections) | self._more


# -- tunnels ---------------------------------------------------------------------------------

ENDS = ("local", HERE, "remote", THERE)
TUNNELS = {
    "vxlan": ("vxlan", "id", "7", "dstport", "4789", *ENDS),
    "vxlan to whom it learns": ("vxlan", "id", "7", "dstport", "4789", "dev", "v0"),
    "geneve": ("geneve", "id", "7", "remote", THERE),
    "ipip": ("ipip", *ENDS),
    "gre": ("gre", *ENDS),
    "gretap": ("gretap", *ENDS),
    "sit": ("sit", "mode", "ipip", *ENDS),
}
_OTHER_END = {HERE: THERE, THERE: HERE, "v0": "v1"}


def tunnel(beside: str, *options: str) -> None:
    make("t0", *options)
    there = [_OTHER_END.get(word, word) for word in options]
    run("ip", "-n", beside, "link", "add", "name", "t0", "type", *there)
    run("ip", "addr", "add", f"{INNER}/24", "dev", "t0")
    run("ip", "-n", beside, "addr", "add", f"{CLIENT}/24", "dev", "t0")
    run("ip", "-n", beside, "link", "set", "t0", "up")
    if options[-2:] == ("dev", "v0"):  # it knows nobody yet
        entry = ("fdb", "append", "00:00:00:00:00:00", "dev", "t0", "dst")
        run("bridge", *entry, THERE)
        run("bridge", "-n", beside, *entry, HERE)


_TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as s:
    print(s.getsockname()[1], flush=True)
    for line in sys.stdin:
        s.sendall(line.encode())
        print(s.recv(100).decode(), end="", flush=True)
"""


@contextmanager
def talking(beside: str, patience: float = 30) -> Iterator[tuple[Connection, Callable[[], None]]]:
    """A connection from the other namespace through the tunnel, and what speaks once both ways."""
    pipe = subprocess.PIPE
    with socket.create_server((INNER, 0)) as listener:
        listener.settimeout(60)
        port = listener.getsockname()[1]
        command = ("ip", "netns", "exec", beside, sys.executable, "-c", _TALK, INNER, str(port))
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            with listener.accept()[0] as s:
                s.settimeout(patience)

                def speak() -> None:
                    print("hello", file=client.stdin, flush=True)
                    s.sendall(s.recv(100))
                    assert client.stdout is not None
                    assert client.stdout.readline() == "hello\n"

                theirs = int(client.stdout.readline())
                yield Connection(CLIENT, theirs, INNER, port), speak
                client.stdin.close()


def knock(beside: str) -> None:
    """A datagram from outside of the tunnel."""
    code = f"import socket; socket.socket(type=2).sendto(b'x', ('{HERE}', 9))"
    run("ip", "netns", "exec", beside, sys.executable, "-c", code)


@pytest.mark.parametrize("kind", TUNNELS)
def test_a_connection_through_a_tunnel_goes_on_though_its_outer_packets_match(
    rules: Rules, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with pair() as beside:
        tunnel(beside, *TUNNELS[kind])
        with talking(beside) as (connection, speak):
            speak()
            monkeypatch.setattr(enforcer, "operator_sessions", _Only(connection))
            rules.add("v0", parse(f"src {THERE}"))
            for _ in range(3):
                speak()
            assert hits(rules) == 0
            knock(beside)
            assert hits(rules) == 1


def test_without_that_the_outer_packets_would_be_dropped(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tests above stand on."""
    with pair() as beside:
        tunnel(beside, *TUNNELS["vxlan"])
        with talking(beside, patience=1) as (_, speak):
            monkeypatch.setattr(enforcer, "operator_sessions", _Only())
            rule = parse(f"src {THERE}")
            rules.add("v0", rule)
            with pytest.raises(TimeoutError):
                speak()
            assert hits(rules) > 0
            rules.remove("v0", rule)


def test_wireguard_s_port_is_spared_for_whoever_roams() -> None:
    make("t0", "wireguard")
    run("ip", "addr", "add", f"{INNER}/24", "dev", "t0")
    (end,) = tunnels.ends([CLIENT])
    assert (end.address, end.protocol) == ("", UDP)
    assert end.port > 0


def test_what_is_stacked_on_a_tunnel_leads_through_it() -> None:
    """It is a bridge's port; what leads elsewhere does not."""
    veth()
    run("ip", "addr", "add", f"{HERE}/24", "dev", "v0")
    make("t0", *TUNNELS["vxlan"])
    make("d0", "bridge")
    run("ip", "link", "set", "dev", "t0", "master", "d0")
    run("ip", "addr", "add", f"{INNER}/24", "dev", "d0")
    outer = {End(THERE, UDP, 4789), End(THERE, UDP)}
    assert tunnels.ends([CLIENT]) == outer <= tunnels.ends(None)
    assert tunnels.ends([THERE, "203.0.113.9"]) == frozenset()


def _policy(*selector: str, template: tuple[str, ...]) -> None:
    command = ("ip", "xfrm", "policy", "add", *selector, "tmpl", *template)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this kernel has no IPsec: {done.stderr.strip()}")


@pytest.mark.parametrize("direction", ["out", "in"])
def test_ipsec_by_policies_leads_through_its_gateway(direction: str) -> None:
    """Whom a policy is for is on the other side; in transport mode it is the gateway itself."""
    gateway, peer = "203.0.113.9", "10.9.0.7"
    ends = (("src", HERE), ("dst", gateway))
    nets = (("src", "10.0.0.0/24"), ("dst", "10.9.0.0/24"))
    if direction == "in":
        ends, nets = ((("src", gateway), ("dst", HERE)), (("src", nets[1][1]), ("dst", nets[0][1])))
    selector = [word for pair in nets for word in pair]
    tunnel = [word for pair in ends for word in pair]
    _policy(*selector, "dir", direction, template=(*tunnel, "proto", "esp", "mode", "tunnel"))
    outer = {End(gateway, 50), End(gateway, UDP, 4500), End(gateway, UDP, 500)}
    assert tunnels.ends([peer]) == outer <= tunnels.ends(None)
    assert tunnels.ends(["10.8.0.7", "2001:db8::1"]) == frozenset()
    far = ("dst" if direction == "out" else "src", "2001:db8::/64")
    _policy(*far, "dir", direction, template=("proto", "ah", "mode", "transport"))
    itself = "2001:db8::1"
    assert tunnels.ends([itself]) == {
        End(itself, 51), End(itself, UDP, 4500), End(itself, UDP, 500),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["ipip", "gre"])
def test_what_a_tunnel_wraps_in_udp_is_spared_as_such(kind: str) -> None:
    make("t0", *TUNNELS[kind], "encap", "gue", "encap-sport", "auto", "encap-dport", "5555")
    run("ip", "addr", "add", f"{INNER}/24", "dev", "t0")
    assert End(THERE, UDP) in tunnels.ends([CLIENT])


def test_a_tun_device_s_process_is_known_by_its_sockets() -> None:
    """OpenVPN and the like: this process holds the device and a socket."""
    with tun("t0"), socket.socket(type=socket.SOCK_DGRAM) as s:
        run("ip", "addr", "add", f"{INNER}/24", "dev", "t0")
        s.bind(("127.0.0.1", 0))
        assert tunnels.ends([CLIENT]) == {End("", UDP, s.getsockname()[1])}


# -- mosh ------------------------------------------------------------------------------------

_MOSH = """
import socket, sys
open("/proc/self/comm", "w").write("mosh-server")
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 0))
print(s.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def mosh() -> Iterator[int]:
    """Somebody's mosh-server; its port."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _MOSH], stdin=pipe, stdout=pipe, text=True) as it:
        assert it.stdout is not None
        assert it.stdin is not None
        yield int(it.stdout.readline())
        it.stdin.close()


def test_a_mosh_session_goes_on_wherever_its_user_is(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tmux no ancestor is a mosh-server: then all of this host."""
    veth()
    quiet("v0")
    with mosh() as port:
        found = operator_sessions.ends(frozenset())
        assert End("", UDP, port) in found
        monkeypatch.setattr(enforcer, "operator_sessions", _Only(more=found))
        rules.add("v0", parse("udp"))
        rules.add("v0", parse("tcp"))
        for source in ("198.51.100.1", "2001:db8::1"):
            send("v1", 3, ip(source, UDP, ports(port)))
        assert hits(rules) == 0
        send("v1", 3, ip("198.51.100.1", UDP, ports(port + 1)))
        send("v1", 4, ip("198.51.100.1", TCP, ports(port)))
        assert hits(rules) == 7


@pytest.mark.anywhere
def test_a_mosh_session_that_an_ancestor_holds_is_spared() -> None:
    """This process is the ancestor."""
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        code = "from probes.droprules.operator_sessions import ends; print(*map(tuple, ends(())))"
        root = Path(__file__).parents[3]
        command = (sys.executable, "-c", code)
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        assert str(("", UDP, s.getsockname()[1])) in done.stdout
