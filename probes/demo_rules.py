"""Drop rules of the demo: in memory, and what they would have dropped by the script's time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from probes import incident
from probes.errors import Gone, Unsupported
from probes.model import Enforced, Refusal
from probes.rules import Rule

PER_SECOND, LENGTH = 1240, 98
"""What each rule drops: packets in a second, and the bytes of one."""


@dataclass(frozen=True, slots=True)
class _Played:
    """since: virtual seconds."""

    enforced: Enforced
    since: float


class PlayedRules:
    """The rules of a `Demo`. now: seconds of its virtual time."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], _Played] = {}

    def add(self, interface: str, rule: Rule, now: float) -> Enforced:
        if interface == "lo":
            raise Unsupported("the loopback takes no drop rules: this host talks to itself on it")
        if not any(i.name == interface for i in incident.INTERFACES):
            raise Gone(f"there is no interface {interface}")
        generic = interface in incident.NO_NATIVE
        why = "this interface's driver has no native XDP"
        refused = (Refusal("link-native", "EOPNOTSUPP", why),) if generic else ()
        rung = "link-generic" if generic else "link-native"
        made = Enforced(interface, rule, rung, rule.ttl, refused=refused)
        self._rules.pop((interface, rule.what), None)
        self._rules[interface, rule.what] = _Played(made, now)
        return made

    def remove(self, interface: str, rule: Rule) -> None:
        self._rules.pop((interface, rule.what), None)

    def at(self, now: float) -> tuple[Enforced, ...]:
        """Those that live at that moment; the others are gone."""
        self._rules = {
            key: played
            for key, played in self._rules.items()
            if now < played.since + played.enforced.rule.ttl
        }
        return tuple(_shown(played, now) for played in self._rules.values())


def _shown(played: _Played, now: float) -> Enforced:
    elapsed = max(0.0, now - played.since)
    packets = int(elapsed * PER_SECOND)
    left = played.enforced.rule.ttl - elapsed
    return replace(played.enforced, expires_in=left, packets=packets, bytes=packets * LENGTH)
