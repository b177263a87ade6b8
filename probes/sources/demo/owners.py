"""Whose the processes of the scripted host are: units, and containers that share its network."""

from __future__ import annotations

from probes.model import Value
from probes.owners.owner_columns import NAMES, NETNS

_CONTAINERS = {
    "checkout": "shop-checkout", "billing": "shop-billing", "sidekiq": "shop-jobs",
    "java": "kafka", "python3": "shop-search", "fluent-bit": "fluent-bit",
}  # fmt: skip
_UNITS = {
    "nginx": "nginx.service", "postgres": "postgresql@15-main.service",
    "prometheus": "prometheus.service", "kubelet": "kubelet.service", "consul": "consul.service",
    "postfix": "postfix@-.service", "chronyd": "chrony.service", "sshd": "ssh.service",
    "rsyslogd": "rsyslog.service", "rsync": "backup.service",
    "apt": "apt-daily-upgrade.service", "curl": "session-12.scope (anna)",
    "redis-cli": "session-12.scope (anna)",
}  # fmt: skip
_PEERS = {"veth3f2a1c": ("registry", 4026532601), "veth90b7de": ("mailpit", 4026532688)}
"""The container and the network namespace at the other end of each pair."""


def peer_of(interface: str) -> dict[str, Value]:
    """Return the columns of the other end of an interface."""
    name, netns = _PEERS.get(interface, (None, None))
    return {
        "peer": None if name is None else f"eth0 in {name}",
        "peer_ifindex": None if name is None else 2,
        "peer_netns": netns,
        "peer_netns_name": name,
    }


def with_owner(names: tuple[str, ...], values: dict[str, Value]) -> dict[str, Value]:
    """Return a row's values with the columns of its owner, where the hook has them."""
    if names[-len(NAMES) :] != NAMES:
        own = {
            "container": _PEERS.get(str(values.get("interface")), (None, None))[0],
            NETNS: "host",
        }
        return {**values, **own} if names[-1:] == (NETNS,) else values
    comm = str(values.get("comm"))
    owner = _CONTAINERS.get(comm), _UNITS.get(comm), "host"
    return {"cgroup_id": None, **values, **dict(zip(NAMES, owner, strict=True))}
