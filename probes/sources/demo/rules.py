"""Drop rules of the demo: in memory, with what they have dropped by the script's time."""

from __future__ import annotations

from dataclasses import replace

from probes.drop_rule import MAX_RULES, DropRule
from probes.errors import Gone, Unsupported
from probes.model import Enforced, Refusal
from probes.sources.demo import flood, scenario
from probes.sources.demo.lifetimes import Lived

_NO_NATIVE = ("EOPNOTSUPP", "this interface's driver has no native XDP")


class PlayedRules:
    """The rules of a `Demo`, written into its script. now: seconds of its virtual time."""

    def __init__(self, script: scenario.Script) -> None:
        self._script = script
        self._rules: dict[tuple[str, str], tuple[Enforced, Lived]] = {}
        self._at: tuple[float, tuple[Enforced, ...]] | None = None

    def add(self, interface: str, rule: DropRule, now: float) -> Enforced:
        if interface == "lo":
            raise Unsupported(
                "the loopback takes no drop rules: this host uses it to talk to itself"
            )
        if not any(i.name == interface for i in scenario.INTERFACES):
            raise Gone(f"there is no interface {interface}")
        self.at(now)  # what is over takes no place
        taken = sum(of == interface for of, _ in self._rules)
        if (interface, rule.what) not in self._rules and taken >= MAX_RULES:
            raise Unsupported(f"an interface takes {MAX_RULES} rules at most: remove one first")
        rung, refused = _ladder(interface)
        made = Enforced(interface, rule, rung, rule.ttl, refused=refused)
        self._end((interface, rule.what), now)
        lived = Lived.of(interface, rule, now)
        self._rules[interface, rule.what] = made, lived
        self._script.lived.add(lived)
        return made

    def remove(self, interface: str, rule: DropRule, now: float) -> None:
        self._end((interface, rule.what), now)

    def _end(self, id: tuple[str, str], now: float) -> None:
        self._at = None
        played = self._rules.pop(id, None)
        if played is not None:
            self._script.lived.end(played[1], now)

    def at(self, now: float) -> tuple[Enforced, ...]:
        """Return the rules that exist at that moment; forget the others."""
        if self._at is None or self._at[0] != now:
            for id in [id for id, (_, lived) in self._rules.items() if now >= lived.until]:
                self._end(id, now)
            there = [self._shown(made, lived, now) for made, lived in self._rules.values()]
            self._at = now, tuple(there)
        return self._at[1]

    def _shown(self, made: Enforced, lived: Lived, now: float) -> Enforced:
        packets, octets = self._script.hits(lived, now)
        left = min(lived.until - now, made.rule.ttl)
        return replace(made, expires_in=left, packets=packets, bytes=octets)


def _ladder(interface: str) -> tuple[str, tuple[Refusal, ...]]:
    """Return the rung, and the refusals of the better ones."""
    theirs = flood.xdp_on(interface)
    if theirs is not None:
        why = f"{theirs.title} ({theirs.mode}) is attached to {interface} already"
        busy = [Refusal(rung, "EBUSY", why) for rung in ("xdp-native", "xdp-generic")]
        return "tcx", tuple(busy)
    if interface in scenario.NO_NATIVE:
        return "xdp-generic", (Refusal("xdp-native", *_NO_NATIVE),)
    return "xdp-native", ()
