"""Cautions before a rule is added: whether it could lock the user out."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

from probes.drop_rule import DropRule
from probes.droprules import operator_sessions, tunnels
from probes.droprules.operator_sessions import Connection, Leading
from probes.errors import ProbeError

_WITHOUT_SESSIONS = frozenset({1, 2, 58})
"""Protocols that carry no logins: ICMP, IGMP, ICMPv6."""
_MOSH = range(60000, 61001)
_MAX_NAMED = 3
"""Addresses named at most."""


class Cautions(NamedTuple):
    """Sentences of caution, or "".

    unseen: why the rule may cut off the user of this program, although connections that lead here
    are spared. later: what it would not cut off now, but keep out.
    """

    unseen: str = ""
    later: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(said for said in self if said)


def of(ifindex: int, rule: DropRule) -> Cautions:
    """Return the cautions for this rule on that interface."""
    if rule.protocol in _WITHOUT_SESSIONS:
        return Cautions()
    try:
        leading = operator_sessions.leading()
    except ProbeError as refused:
        return Cautions(f"ebpftop could not look for your connection ({refused.why}): {_IF}")
    return Cautions("" if leading.found else _unseen(leading), _later(ifindex, rule, leading))


_IF = "if you are logged in over the network, this may cut you off"


def _unseen(leading: Leading) -> str:
    why = f" ({leading.hidden})" if leading.hidden else ""
    return f"your connection was not found{why}: {_IF}"


def _later(ifindex: int, rule: DropRule, leading: Leading) -> str:
    """Return the logins from there that it would drop."""
    logins = {
        (connection.raddr, port)
        for connection, port in leading.entries.items()
        if _drops(rule, connection, port) and _comes_by(ifindex, connection)
    }
    if logins:
        return f"your next login {_listed(logins)} would be dropped too"
    if leading.ports and rule.protocol in (None, tunnels.UDP) and _reaches_mosh(rule):
        return "a new session by UDP (mosh) may be dropped too"
    return ""


def _drops(rule: DropRule, connection: Connection, port: int) -> bool:
    """Return whether it matches a new connection like that one; port 0: to any of ours."""
    source = ip_address(connection.raddr)
    if rule.protocol not in (None, tunnels.TCP):
        return False
    if rule.source is not None and source not in rule.source:
        return False
    return rule.port is None or rule.port == port


def _comes_by(ifindex: int, connection: Connection) -> bool:
    """Return whether it may arrive there: by any interface where routes do not tell."""
    ways = tunnels.interfaces_of(connection.raddr, connection.laddr)
    return not ways or ifindex in ways


def _reaches_mosh(rule: DropRule) -> bool:
    return rule.port is None or rule.port in _MOSH


def _listed(logins: Iterable[tuple[str, int]]) -> str:
    ordered = sorted(logins)
    named = [f"from {address}" + (f" to port {port}" if port else "") for address, port in ordered]
    more = f" and {len(named) - _MAX_NAMED} others" if len(named) > _MAX_NAMED else ""
    return ", ".join(named[:_MAX_NAMED]) + more
