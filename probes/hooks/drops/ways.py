"""Ways of packets: whether one was for this host, and so for a socket here, or for another."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from probes.toolkit.bounded import Bounded
from probes.units import DASH

NO_WAY, IN, CAME, THROUGH, OUT = DASH, "in", "came", "through", "out"
_WAYS = (NO_WAY, IN, CAME, THROUGH, OUT)
"""Ways, by their number in C."""
OUT_NUMBER = _WAYS.index(OUT)


def way_of(trait: int) -> str:
    """Return the way, which C keeps in the second byte of the trait; any number will do."""
    number = trait >> 8
    return _WAYS[number] if 0 <= number < len(_WAYS) else NO_WAY


class Forwarding:
    """Tells whether a packet that came by an interface may be for another host.

    So it is if the interface forwards (net.ipv4.conf.eth1.forwarding) or belongs to a bridge. Asked
    again every few seconds.
    """

    REST = 5.0

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, bool]] = Bounded()

    def __call__(self, interface: str) -> bool:
        known = self._known.get(interface)
        if known is None or monotonic() - known[0] > self.REST:
            known = self._known[interface] = monotonic(), _forwards(interface)
        return known[1]


def _forwards(interface: str) -> bool:
    conf = [Path("/proc/sys/net", ip, "conf", interface, "forwarding") for ip in ("ipv4", "ipv6")]
    try:
        if any(file.read_text().strip() != "0" for file in conf if file.exists()):
            return True
        return Path("/sys/class/net", interface, "brport").exists() or not conf[0].exists()
    except (OSError, ValueError):
        return True  # it is not known
