"""Ways in which connects fail (refused, unanswered, unreachable, no port), and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from errno import errorcode

from probes.analysis.cases.attempts import Attempts
from probes.analysis.cases.claim import Who
from probes.analysis.cases.detectors.connects.groups import ROWS, Destination, Group

WAYS: Mapping[str, str] = {
    "refused": "refused",
    "timed_out": "timed out",
    "unreachable": "unreachable",
    "gave_up": "given up",
    "no_port": "no local port",
    "other": "not established",
}
"""Ways in which connects fail: words by counter."""
HANGS, _SAID = "late", {**WAYS, "late": "no answer", "gave_up": "no answer, given up"}
ERRNOS = {"refused": "ECONNREFUSED", "timed_out": "ETIMEDOUT", "no_port": "EADDRNOTAVAIL"}


def in_words(a: Attempts, group: Group, way: str) -> str:
    """Return how a group fails, in words, or by its errnos where those tell more."""
    if way != "other":
        return _SAID[way]
    return ", ".join(errnos(a, group)) or _SAID[way]


def errnos(a: Attempts, group: Group) -> list[str]:
    """Return the names of the latest errnos."""
    numbers = dict.fromkeys(a.values("errno", group.bad[:ROWS].tolist()))
    return [errorcode[n] for n in numbers if isinstance(n, int) and n in errorcode]


def next_steps(way: str, place: Destination, group: Group, who: Sequence[Who]) -> tuple[str, ...]:
    """Return the command that tells more of connects that fail in a way."""
    address, port = place
    if group.number > 1 and way != "no_port" and who and who[0].pid:
        return (f"strace -f -e trace=connect -p {who[0].pid}",)
    if way == "no_port":
        return ("sysctl net.ipv4.ip_local_port_range",)
    if way == "unreachable":
        return (f"ip route get {address}",)
    if way == "refused":
        here = str(address).startswith("127.") or address == "::1"
        return (f"ss -ltnp sport = :{port}" if here else f"nc -zv {address} {port}",)
    if way == "other":
        return ("nft list ruleset",)
    to = f"dst {address}" if group.address is not None else f"dport = :{port}"
    return (f"ss -tnpo state syn-sent {to}",)
