"""Drop rules on the real kernel: exactly what they say is dropped, no longer, and nothing else."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.compile.compiler import Compiler
from probes.drop_rule import MAX_RULES, DropRule, parse
from probes.droprules import enforcer, operator_sessions, tunnels
from probes.droprules import program as rule_program
from probes.droprules.enforcer import Rules
from probes.droprules.operator_sessions import Connection
from probes.droprules.tunnels import End
from probes.errors import Denied, Gone, ProbeError, Unsupported
from probes.ladder.attachment import Modules
from probes.model import Enforced, Hook, HookId
from probes.sources.live.source import Live
from tests.support.commands import ebpftop, held, left_of, running
from tests.support.foreign import Somebody, somebody
from tests.support.frames import (
    AD,
    ETH_ARP,
    FRAGMENT,
    ICMP,
    ICMP6,
    SCTP,
    TCP,
    UDP,
    Q,
    ethernet,
    ip,
    piece,
    ports,
)
from tests.support.namespaces import HERE, THERE, as_json, bpftool, namespace, pair, run, send, veth

pytestmark = pytest.mark.kernel

LOCAL = "127.0.0.1"
RUNGS = [rung.name for rung in rule_program.hook(lambda _: None).ladder]  # type: ignore[arg-type, return-value]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture(scope="module")
def compiler(modules: Modules) -> Iterator[Compiler]:
    """Beside that of the session, which makes compilers stay: bcc takes long to load."""
    del modules
    made = Compiler()
    yield made
    made.close()


@pytest.fixture
def rules(compiler: Compiler) -> Iterator[Rules]:
    made = Rules(compiler)
    yield made
    made.close()
    assert not [link for link in as_json("ip", "-j", "link") if "xdp" in link]


def only(rung: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that rung is there."""
    whole = rule_program.hook

    def ladder(open: rule_program.Opened) -> Hook:
        hook = whole(open)
        return replace(hook, ladder=tuple(r for r in hook.ladder if r.name == rung))

    monkeypatch.setattr(rule_program, "hook", ladder)


def added(rules: Rules, text: str, interface: str = "v0") -> Enforced:
    try:
        return rules.add(interface, parse(text))
    except ProbeError as refused:
        why = str(refused)
    assert "report it" not in why, why  # the verifier's or the compiler's words: a bug of ours
    pytest.skip(why)


def hits(rules: Rules) -> dict[str, int]:
    return {e.rule.what: e.packets for e in rules.shown()}


# -- what is dropped, on every rung ----------------------------------------------------------

DROPPED_AND_NOT = {
    "src 198.51.100.0/28": (
        [ip("198.51.100.1", UDP, ports(1)), ip("198.51.100.15", ICMP, b"\x08" * 16)],
        [ip("198.51.100.16", UDP, ports(1)), ip("2001:db8::1", UDP, ports(1))],
    ),
    "src 203.0.113.7": (
        [ip("203.0.113.7", TCP, ports(1)), ip("203.0.113.7", TCP, ports(1), AD, Q)],
        [ip("203.0.113.6", TCP, ports(1), Q)],
    ),
    "src 2001:db8:7::/48": (
        [ip("2001:db8:7::1", UDP, ports(1)), ip("2001:db8:7:ff::1", TCP, ports(1), Q)],
        [ip("2001:db8:8::1", UDP, ports(1))],
    ),
    "proto icmp": (
        [ip("198.51.100.20", ICMP, b"\x08" * 16), ip("198.51.100.20", ICMP, b"\x08" * 16, Q)],
        [ip("198.51.100.20", UDP, ports(1)), ethernet(ETH_ARP, b"\0" * 28)],
    ),
    "proto icmp6": (
        [ip("2001:db8::1", ICMP6, b"\x80" + b"\0" * 15)],
        # neighbour discovery
        [ip("2001:db8::1", ICMP6, bytes([kind]) + b"\0" * 15) for kind in (133, 134, 135, 136)],
    ),
    "udp dport 53": (
        [ip("198.51.100.21", UDP, ports(53)), ip("2001:db8::1", UDP, ports(53))],
        [
            ip("198.51.100.21", TCP, ports(53)),
            ip("198.51.100.21", UDP, ports(54, source=53)),
            ip("198.51.100.21", UDP, ports(53), offset=1480),
        ],
    ),
    "dport 8080": (
        [ip("198.51.100.22", TCP, ports(8080)), ip("198.51.100.22", SCTP, ports(8080))],
        [ip("198.51.100.22", TCP, ports(8081))],
    ),
    "src 198.51.100.64/26 tcp dport 443": (
        [ip("198.51.100.70", TCP, ports(443))],
        [ip("198.51.100.70", TCP, ports(80)), ip("198.51.100.3", TCP, ports(443))],
    ),
    "src 2001:db8:9::/48 udp": (
        [ip("2001:db8:9::1", FRAGMENT, piece(UDP, 1480, more=False) + ports(1))],
        [ip("2001:db8:9::1", FRAGMENT, piece(TCP, 0, more=False) + ports(1))],
    ),
}


@pytest.mark.parametrize("rung", RUNGS)
def test_exactly_what_the_rule_says_is_dropped_and_counted(
    rules: Rules, rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    veth()
    only(rung, monkeypatch)
    added(rules, "src 10.255.255.255")  # so that the programs stay
    for text, (dropped, passed) in DROPPED_AND_NOT.items():
        made = added(rules, text)
        assert (made.rung, made.packets) == (rung, 0)
        with arriving("v0") as arrived:
            for frame in dropped:
                send("v1", 3, frame)
            for frame in passed:
                send("v1", 2, frame)
            came = arrived()
        _, shown = rules.shown()
        assert shown.packets == 3 * len(dropped), text
        assert shown.bytes == 3 * sum(map(len, dropped)), text
        # TC comes after whoever only looks on
        assert came == 2 * len(passed) + (3 * len(dropped) if rung == "tcx" else 0), text
        rules.remove("v0", parse(text))
        assert hits(rules) == {"src 10.255.255.255": 0}
        assert f"(removed): {parse(text).what}: {shown.packets} packets" in rules.ended[-1]


@contextmanager
def arriving(device: str) -> Iterator[Callable[[], int]]:
    """Counts what comes in by an interface behind XDP; what is sent is there on return."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as s:
        s.bind((device, 3))
        s.settimeout(0.3)

        def count() -> int:
            came = 0
            try:
                while True:
                    came += s.recvfrom(2048)[1][2] != socket.PACKET_OUTGOING
            except TimeoutError:
                return came

        yield count


@pytest.mark.anywhere
def test_the_first_rule_that_matches_counts_and_each_can_go_alone(rules: Rules) -> None:
    veth()
    for text in ("src 198.51.100.0/24", "udp", "dport 53"):
        added(rules, text)
    frame = ip("198.51.100.1", UDP, ports(53))
    send("v1", 5, frame)
    assert hits(rules) == {"src 198.51.100.0/24": 5, "proto udp": 0, "dport 53": 0}
    rules.remove("v0", parse("src 198.51.100.0/24"))
    send("v1", 4, frame)
    assert hits(rules) == {"proto udp": 4, "dport 53": 0}
    added(rules, "src 198.51.100.0/24")  # in the place of the one before: it begins at nothing
    assert hits(rules) == {"proto udp": 4, "dport 53": 0, "src 198.51.100.0/24": 0}
    send("v1", 2, frame)
    assert hits(rules)["src 198.51.100.0/24"] == 2


@pytest.mark.anywhere
def test_an_interface_takes_so_many_rules_and_the_last_is_as_good_as_the_first(
    rules: Rules,
) -> None:
    veth()
    for n in range(MAX_RULES):
        added(rules, f"src 10.0.0.{n}")
    with pytest.raises(Unsupported, match="64 rules at most"):
        rules.add("v0", parse("src 10.0.1.0"))
    send("v1", 3, ip(f"10.0.0.{MAX_RULES - 1}", UDP, ports(1)))
    assert hits(rules)[f"src 10.0.0.{MAX_RULES - 1}"] == 3
    assert sum(hits(rules).values()) == 3
    rules.remove("v0", parse("src 10.0.0.5"))
    added(rules, "src 10.0.1.0")


@pytest.mark.anywhere
def test_two_interfaces_have_rules_of_their_own(rules: Rules) -> None:
    veth()
    veth("w0", "w1")
    added(rules, "udp", "v0")
    added(rules, "tcp", "w0")
    for device in ("v1", "w1"):
        send(device, 3, ip("198.51.100.1", UDP, ports(1)))
        send(device, 4, ip("198.51.100.1", TCP, ports(1)))
    assert hits(rules) == {"proto udp": 3, "proto tcp": 4}


# -- the seeds' example ----------------------------------------------------------------------


def ping(beside: str, times: int = 3) -> int:
    """How many answers came."""
    command = ("ip", "netns", "exec", beside, "ping", "-n", "-q", "-c", str(times))
    done = subprocess.run(
        (*command, "-i", "0.2", "-W", "1", HERE), capture_output=True, text=True, check=False
    )
    return int(done.stdout.partition(" received")[0].rpartition(" ")[2])


def test_icmp_dropped_at_xdp_gets_no_answer_and_then_one_again(rules: Rules) -> None:
    with pair() as beside:
        assert ping(beside) == 3
        assert added(rules, "proto icmp").rung == "xdp-native"
        assert ping(beside) == 0
        (shown,) = rules.shown()
        assert (shown.packets, shown.bytes) == (3, 3 * 98)
        rules.remove("v0", parse("proto icmp"))
        assert ping(beside) == 3


# -- the end of a rule -----------------------------------------------------------------------


def test_the_kernel_ends_a_rule_although_nobody_removes_it(rules: Rules) -> None:
    veth()
    added(rules, "udp ttl 2s")
    added(rules, "udp dport 53 ttl 1h")
    frame = ip("198.51.100.1", UDP, ports(53))
    send("v1", 3, frame)
    assert hits(rules) == {"proto udp": 3, "udp dport 53": 0}
    time.sleep(2.1)
    send("v1", 4, frame)  # nobody has looked after the rules meanwhile
    assert hits(rules) == {"udp dport 53": 4}
    rules.tend()
    assert "v0 (expired): proto udp: 3 packets" in rules.ended[-1]


@pytest.mark.anywhere
def test_the_interface_is_let_go_of_with_the_last_rule(rules: Rules) -> None:
    veth()
    added(rules, "udp ttl 1s")
    assert "xdp" in as_json("ip", "-j", "link", "show", "v0")[0]
    time.sleep(1.1)
    rules.tend()
    assert "xdp" not in as_json("ip", "-j", "link", "show", "v0")[0]
    assert rules.shown() == ()


@pytest.mark.anywhere
def test_a_rule_that_is_said_again_begins_its_life_anew_and_counts_on(rules: Rules) -> None:
    veth()
    added(rules, "udp ttl 2s")
    send("v1", 3, ip("198.51.100.1", UDP, ports(53)))
    added(rules, "udp ttl 1h")
    time.sleep(2.1)
    send("v1", 4, ip("198.51.100.1", UDP, ports(53)))
    (shown,) = rules.shown()
    assert shown.packets == 7
    assert shown.expires_in > 3500


@pytest.mark.anywhere
def test_what_somebody_takes_away_is_said_and_can_be_asked_for_again(rules: Rules) -> None:
    veth()
    added(rules, "udp")
    send("v1", 3, ip("198.51.100.1", UDP, ports(53)))
    assert hits(rules) == {"proto udp": 3}
    for link in bpftool("link"):
        if link["type"] == "xdp":
            run("bpftool", "link", "detach", "id", str(link["id"]))
    (shown,) = rules.shown()
    assert shown.rung is None
    assert "somebody else" in shown.note
    added(rules, "udp")
    send("v1", 4, ip("198.51.100.1", UDP, ports(53)))
    (shown,) = rules.shown()
    assert shown.rung == "xdp-native"
    assert shown.packets == 7


# -- what no rule may match ------------------------------------------------------------------


def test_the_ssh_connection_goes_on_whatever_the_rule_says(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its packets pass, its fragments too; any other of the same client is dropped."""
    monkeypatch.setattr(enforcer, "operator_sessions", _only_named(f"{THERE} 50000 {HERE} 22"))
    veth()
    added(rules, f"src {THERE}")
    for frame in (
        ip(THERE, TCP, ports(22, source=50000), to=HERE),
        ip(THERE, TCP, ports(22, source=50000), Q, to=HERE),
        ip(THERE, TCP, ports(22, source=50000), to=HERE, offset=1480),
    ):
        send("v1", 3, frame)
        assert sum(hits(rules).values()) == 0
    for n, frame in enumerate(
        (
            ip(THERE, TCP, ports(22, source=50001), to=HERE),
            ip(THERE, TCP, ports(80, source=50000), to=HERE),
            ip(THERE, UDP, ports(22, source=50000), to=HERE),
            ip(THERE, TCP, ports(22, source=50000), to="192.0.2.9"),
        ),
        1,
    ):
        send("v1", 3, frame)
        assert sum(hits(rules).values()) == 3 * n


@pytest.mark.anywhere
def test_over_ipv6_as_well_with_the_zone_that_ssh_names(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        enforcer, "operator_sessions", _only_named("fe80::2%v0 50000 fe80::1%v0 22")
    )
    veth()
    added(rules, "tcp")
    send("v1", 3, ip("fe80::2", TCP, ports(22, source=50000), to="fe80::1"))
    assert sum(hits(rules).values()) == 0
    send("v1", 3, ip("fe80::2", TCP, ports(22, source=50001), to="fe80::1"))
    assert sum(hits(rules).values()) == 3


class _Named:
    def __init__(self, text: str) -> None:
        self.text = text

    def connections(self) -> frozenset[Connection]:
        return operator_sessions.connections({"SSH_CONNECTION": self.text})

    def ends(self, connections: frozenset[Connection]) -> frozenset[End]:
        named = [c for c in connections if f"{c.raddr} {c.rport}" in self.text]
        return tunnels.ends(c.raddr for c in named)


def _only_named(text: str) -> _Named:
    return _Named(text)


@pytest.mark.anywhere
def test_a_connection_that_an_ancestor_holds_is_kept_without_being_named() -> None:
    """As sshd's is, of which sudo takes the variable away. This process is the ancestor."""
    with socket.create_server((LOCAL, 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((LOCAL, port)) as client:
            server, address = listener.accept()
            with server:
                code = (
                    "from probes.droprules.operator_sessions import connections;"
                    " print(*map(tuple, connections({})))"
                )
                done = subprocess.run(
                    [sys.executable, "-c", code],
                    cwd=Path(__file__).parents[3],
                    capture_output=True,
                    text=True,
                    check=True,
                )
            assert str((LOCAL, address[1], LOCAL, port)) in done.stdout
            assert client.getsockname()[1] == address[1]


_SSHD = """
import socket, sys
open("/proc/self/comm", "w").write("sshd-session")
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    with listener.accept()[0]:
        print("accepted", flush=True)
        sys.stdin.read()
"""


@pytest.mark.anywhere
def test_where_no_ancestor_is_an_sshd_the_connections_of_all_are_kept() -> None:
    """In tmux: the sshd that one came by is nobody's parent."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _SSHD]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as sshd:
        assert sshd.stdout is not None
        port = int(sshd.stdout.readline())
        with socket.create_connection((LOCAL, port)) as client:
            assert sshd.stdout.readline() == "accepted\n"
            mine = Connection(LOCAL, client.getsockname()[1], LOCAL, port)
            assert operator_sessions.connections({}) == {mine}
            stale = {"SSH_CONNECTION": "198.51.100.1 5 198.51.100.2 22"}
            assert mine in operator_sessions.connections(stale)
            assert sshd.stdin is not None
            sshd.stdin.close()


@pytest.mark.anywhere
def test_the_loopback_and_what_is_not_there_take_no_rules(rules: Rules) -> None:
    with pytest.raises(Unsupported, match="loopback"):
        rules.add("lo", parse("udp"))
    with pytest.raises(Gone, match="no interface nowhere"):
        rules.add("nowhere", parse("udp"))
    assert rules.shown() == ()


@pytest.mark.anywhere
def test_nothing_is_dropped_under_observe_only(compiler: Compiler) -> None:
    veth()
    with pytest.raises(Denied, match="--observe-only"):
        Rules(compiler, observe_only=True).add("v0", parse("udp"))
    assert "xdp" not in as_json("ip", "-j", "link", "show", "v0")[0]


# -- beside others ---------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Somebody]:
    with somebody(tmp_path) as made:
        yield made


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_somebody_s_xdp_program_stays_and_the_rule_goes_to_tc(
    rules: Rules, other: Somebody, mode: str
) -> None:
    index, _ = veth()
    program = other.xdp_by_link(index, mode)
    made = added(rules, "udp")
    assert made.rung == "tcx"
    assert {r.rung for r in made.refused} == {"xdp-native", "xdp-generic"}
    assert "acme_xdp" in made.refused[0].why
    send("v1", 3, ip("198.51.100.1", UDP, ports(53)))
    assert hits(rules) == {"proto udp": 3}
    assert other.seen(program) == 3
    assert as_json("ip", "-j", "link", "show", "v0")[0]["xdp"]["prog"]["id"] == program
    rules.remove("v0", parse("udp"))
    assert as_json("ip", "-j", "link", "show", "v0")[0]["xdp"]["prog"]["id"] == program


# -- the command -----------------------------------------------------------------------------


def test_the_command_drops_counts_and_says_so_at_both_ends() -> None:
    veth()
    drops = ("--drop", "v0: src 198.51.100.0/24 ttl 5m", "--drop", "v0:udp dport 53")
    arguments = ("--interval", "0.2", "--hook", "interfaces", "--drop-anyway", *drops)
    with running("stream", *arguments) as child:
        assert child.stdout is not None
        first = json.loads(child.stdout.readline())
        assert [r["rule"] for r in first["rules"]] == ["src 198.51.100.0/24", "udp dport 53"]
        assert {(r["interface"], r["rung"]) for r in first["rules"]} == {("v0", "xdp-native")}
        assert first["rules"][0]["expires_in"] <= first["rules"][0]["ttl"] == 300
        send("v1", 7, ip("198.51.100.1", UDP, ports(1)))
        send("v1", 5, ip("203.0.113.1", UDP, ports(53)))
        child.stdout.readline()
        last = json.loads(child.stdout.readline())
        assert [r["packets"] for r in last["rules"]] == [7, 5]
        assert _at_xdp(last)["lost"] == 12
        assert _at_xdp(last)["why"].startswith("rule ")
        while _at_xdp(last)["lost_per_s"] is None:  # a rate takes a second
            last = json.loads(child.stdout.readline())
        assert _at_xdp(last)["lost_per_s"] > 0
        assert last["funnel"][0]["stages"][2]["in"] == 0, "nothing came to TC"
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate()
    assert child.returncode == 143
    assert "dropping on v0 (xdp-native) for 300 s: src 198.51.100.0/24\n" in said
    assert "no longer dropped on v0 (ebpftop ended): udp dport 53: 5 packets, 300 bytes\n" in said
    assert "xdp" not in as_json("ip", "-j", "link", "show", "v0")[0]


def _at_xdp(document: dict[str, Any]) -> dict[str, Any]:
    (funnel,) = (f for f in document["funnel"] if f["interface"] == "v0")
    (stage,) = (s for s in funnel["stages"] if s["stage"] == "xdp")
    return dict(stage)


def test_one_snapshot_has_in_its_funnel_what_rules_drop() -> None:
    """Also where no hook looks on, and natively, where the kernel frees nothing."""
    veth()
    arguments = ("once", "--for", "3", "--json", "--hook", "interfaces", "--drop", "v0: udp")
    with running(*arguments, "--drop-anyway") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        while "dropping on v0 (xdp-native)" not in (said := child.stderr.readline()):
            assert "your connection was not found" in said
        time.sleep(1)
        send("v1", 9, ip("198.51.100.1", UDP, ports(1)))
        stage = _at_xdp(json.loads(child.stdout.read()))
    assert (stage["in"], stage["lost"], stage["why"]) == (9, 9, "rule proto udp")
    assert 2 < stage["lost_per_s"] < 4


@pytest.mark.anywhere
def test_the_text_has_a_line_for_each_rule() -> None:
    veth()
    done = ebpftop("once", "--for", "0", "--hook", "interfaces", "--drop", "v0: icmp ttl 1h")
    assert done.returncode == 0
    assert done.stdout.startswith("DROPPING v0: proto icmp on xdp-native: 0 packets, 0B, 3")


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--drop", "v0: src 0.0.0.0/0"), 2, "every packet"),
        (("--drop", "src 192.0.2.1"), 2, "write IFACE: RULE"),
        (("--drop", "lo: udp"), 1, "the loopback takes no drop rules"),
        (("--drop", "nowhere: udp"), 1, "there is no interface nowhere"),
        (("--observe-only", "--drop", "v0: udp"), 1, "--observe-only: nothing is dropped"),
    ],
)
def test_what_may_not_be_is_refused_in_a_sentence(
    arguments: tuple[str, ...], status: int, says: str
) -> None:
    veth()
    done = ebpftop("once", "--for", "0", "--hook", "interfaces", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_command_leaves_nothing_and_the_packets_pass_again() -> None:
    with pair() as beside:
        drop = ("--drop", "v0: icmp")
        with running("stream", "--interval", "0.2", "--hook", "interfaces", *drop) as child:
            assert child.stdout is not None
            child.stdout.readline()
            assert ping(beside, 1) == 0
            mine = held(child.pid)
            child.kill()
            child.wait()
        assert left_of(*mine) == (set(), set())
        assert "xdp" not in as_json("ip", "-j", "link", "show", "v0")[0]
        assert ping(beside, 1) == 1


@pytest.mark.anywhere
def test_every_bound_of_a_rule_reaches_the_program(rules: Rules) -> None:
    """A rule's entry is written as the program reads it: all bits of the largest values."""
    veth()
    rule = DropRule(parse("src ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff udp").source, 17, 65535, 1.0)
    rules.add("v0", rule)
    send("v1", 2, ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", UDP, ports(65535)))
    send("v1", 2, ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", UDP, ports(65535)))
    assert [e.packets for e in rules.shown()] == [2]


# -- the source ------------------------------------------------------------------------------


@pytest.mark.anywhere
async def test_the_live_source_keeps_rules_to_their_time_and_follows_interfaces() -> None:
    """As the screen has it: a rule to begin with, one by key, one whose interface goes."""
    veth()
    veth("w0", "w1")
    live = Live(
        interval=0.1,
        wanted=[HookId("interfaces")],
        drops=[("v0", parse("udp ttl 1h")), ("nowhere", parse("icmp"))],
    )
    await live.start()
    try:
        await until(lambda: len(live.rules()) == 2)
        stands, refused = live.rules()
        assert (stands.rung, refused.rung) == ("xdp-native", None)
        assert "no interface" in refused.note
        await live.remove_rule("nowhere", parse("icmp"))
        made = await live.add_rule("w0", parse("tcp ttl 1s"))
        assert made.interface == "w0"
        await until(lambda: len(live.rules()) == 1)
        await until(lambda: any("(expired): proto tcp" in said for said in live.ended_rules))
        run("ip", "link", "set", "v0", "down")
        run("ip", "link", "set", "v0", "name", "u0")
        await until(lambda: live.rules()[0].interface == "u0")
        run("ip", "link", "del", "u0")
        await until(lambda: live.rules() == ())
        assert any("its interface has gone" in said for said in live.ended_rules)
    finally:
        await live.close()


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
