"""What the system's own tools count, in this network namespace or in one beside it."""

from __future__ import annotations

import json
import re

from tests.support.namespaces import run


def _in(at: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", at) if at else ()


def nstat(*names: str, at: str = "") -> float:
    kernel = json.loads(run(*_in(at), "nstat", "-aszj"))["kernel"]
    return float(sum(kernel[name] for name in names))


def nft(family: str = "ip", at: str = "") -> float:
    """Packets of the counter `hit` in the table `acme`."""
    shown = json.loads(run(*_in(at), "nft", "-j", "list", "counter", family, "acme", "hit"))
    return float(next(o["counter"]["packets"] for o in shown["nftables"] if "counter" in o))


def qdisc(device: str) -> float:
    """Packets that the queue of a device dropped."""
    shown = json.loads(run("tc", "-s", "-j", "qdisc", "show", "dev", device))
    return float(sum(q["drops"] for q in shown))


def missing(device: str, way: str = "rx", at: str = "") -> float:
    """Packets that a device says it dropped."""
    (link,) = json.loads(run(*_in(at), "ip", "-j", "-s", "link", "show", "dev", device))
    return float(link["stats64"][way]["dropped"])


def carrier_changes(device: str) -> float:
    """How often a device's link came up or went down."""
    (link,) = json.loads(run("ip", "-j", "-s", "-s", "link", "show", "dev", device))
    return float(link["stats64"]["tx"]["carrier_changes"])


def sockets(*condition: str, at: str = "") -> float:
    """How many TCP sockets there are of this kind, such as `state syn-sent`."""
    return float(len(run(*_in(at), "ss", "-tanH", *condition).splitlines()))


def slowest_trip() -> float:
    """The greatest smoothed RTT of a TCP connection, in ms."""
    return max((float(ms) for ms in re.findall(r" rtt:([\d.]+)/", run("ss", "-tinH"))), default=0)


def waiting(port: int) -> float:
    """How many connections wait to be accepted."""
    shown = run("ss", "-tlnH", "sport", "=", f":{port}").split()
    return float(shown[1])
