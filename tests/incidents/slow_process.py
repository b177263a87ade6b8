"""One process's connections are slow, to each of its peers; another's to the same are not."""

import os
from collections.abc import Iterator

from tests.support.incidents import counters, relay, traffic
from tests.support.incidents.stage import Actor, Stage
from tests.support.incidents.story import Expected, Story
from tests.support.namespaces import run

_UID = 65533


def play(stage: Stage) -> None:
    near = [stage.host(f"near{n}") for n in range(3)]
    far = relay.far(stage, delay=relay.constant(0.4))
    for host in near:
        stage.actor("postgres", traffic.serves(873), at=host.name)
        # What the slow one sends goes the long way, and comes back by it.
        wire = f"{host.name[:4]}{host.name[4:]}w"
        run("ip", "link", "add", wire, "netns", far.name, "type", "veth", "peer", "eth1",
            "netns", host.name)  # fmt: skip
        _join(stage, far.name, host.name, wire, int(host.name[4:]))
        stage.actor("billing", traffic.talks(host.address, 873, 50))
    run("ip", "rule", "add", "uidrange", f"{_UID}-{_UID}", "lookup", "77")
    run("ip", "route", "add", "default", "via", far.address, "table", "77")
    for host in near:
        stage.actor("exporter", _as_itself(traffic.talks(host.address, 873, 20)), uid=_UID)


def _as_itself(act: Actor) -> Actor:
    def acting() -> Iterator[None]:
        assert os.getuid() == _UID
        yield from act()

    return acting


def _join(stage: Stage, far: str, near: str, wire: str, number: int) -> None:
    stage.inside(far, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
    stage.inside(near, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0",
                 "net.ipv4.conf.eth1.rp_filter=0")  # fmt: skip
    run("ip", "-n", far, "addr", "add", f"10.99.{number}.1/24", "dev", wire)
    run("ip", "-n", near, "addr", "add", f"10.99.{number}.2/24", "dev", "eth1")
    run("ip", "-n", far, "link", "set", wire, "up")
    run("ip", "-n", near, "link", "set", "eth1", "up")
    run("ip", "-n", far, "route", "add", f"10.77.{number + 1}.0/24", "via", f"10.99.{number}.2")
    run("ip", "-n", near, "route", "add", "10.88.0.0/24", "via", f"10.99.{number}.1")


STORY = Story(
    title="all connections of exporter take 400 ms, those of billing to the same hosts do not",
    play=play,
    tool="ss rtt",
    happened=lambda _: counters.slowest_trip(),
    expected=Expected(
        what=r"RTT|round.trip", who="exporter", where=r"10\.77\.|3 (peers|addresses)|eth|wan0",
        share=r"\dx|\d ?%", belongs=r"10\.77|recvfrom|exporter",
    ),
    least=100,
)  # fmt: skip
