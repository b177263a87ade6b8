"""Drop reasons by name, read from the kernel itself, and those that are no drops.

The numbers differ between kernels, so there is no table of them here. A reason's high 16 bits are
its subsystem (Linux 6.4), whose reasons are an enum of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from probes.kernel import btf, tracefs

FIELD = ("skb", "kfree_skb", "reason")
NOT_DROPPED = frozenset({"SKB_NOT_DROPPED_YET", "SKB_CONSUMED"})
"""Names in the enum that are no reasons to drop: accepted packets are freed as well."""

_PREFIX, _SUBSYSTEM = "SKB_DROP_REASON_", "SKB_DROP_REASON_SUBSYS_"
_MODULES = {
    "MAC80211": ("mac80211", "mac80211_drop_reason"),
    "OPENVSWITCH": ("openvswitch", "ovs_drop_reason"),
    "QDISC": ("", "qdisc_drop_reason"),
}
"""Prefix of a subsystem's name -> the module ("": the kernel) and the enum of its reasons."""


def told() -> bool | None:
    """Return whether this kernel gives drop reasons (Linux 5.17); None where that is not known."""
    names = tracefs.symbols(*FIELD) if not btf.available() else btf.enum("skb_drop_reason")
    return None if names is None else bool(names)


class Names:
    """Names by number. A module's are read once it has dropped something: it is loaded by then."""

    def __init__(self) -> None:
        core = btf.enum("skb_drop_reason") if btf.available() else tracefs.symbols(*FIELD) or {}
        self._known = {number: name.removeprefix(_PREFIX) for number, name in core.items()}
        # tracefs, which serves where there is no BTF, lists reasons to drop only.
        self._known = {0: "SKB_NOT_DROPPED_YET", 1: "SKB_CONSUMED"} | self._known
        self._subsystems = {
            number: name.removeprefix(_SUBSYSTEM)
            for number, name in btf.enum("skb_drop_reason_subsys").items()
        }

    def __call__(self, reason: int) -> str:
        """Return a reason's name, or its subsystem's name and its number there, or its number."""
        if reason not in self._known:
            self._known |= _of_subsystem(self._subsystems.get(reason >> 16, "") if reason else "")
            self._known.setdefault(reason, self._number(reason))
        return self._known[reason]

    def _number(self, reason: int) -> str:
        subsystem = self._subsystems.get(reason >> 16, "") if reason >> 16 else ""
        return f"{subsystem} {reason & 0xFFFF}" if subsystem else f"reason {reason}"


def _of_subsystem(name: str) -> Mapping[int, str]:
    for begin, (module, enum) in _MODULES.items():
        if name.startswith(begin):
            names = btf.module_enum(module, enum) if module else btf.enum(enum)
            return {n: s for n, s in names.items() if n >> 16}
    return {}
