"""Whose the processes of the scripted host are: units, and containers that share its network."""

from __future__ import annotations

from probes.model import Value
from probes.owners.owner_columns import NAMES

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


def with_owner(names: tuple[str, ...], values: dict[str, Value]) -> dict[str, Value]:
    """Return a row's values with the columns of its owner, where the hook has them."""
    if names[-len(NAMES) :] != NAMES:
        return values
    comm = str(values.get("comm"))
    owner = _CONTAINERS.get(comm), _UNITS.get(comm), "host"
    return {**values, **dict(zip(NAMES, owner, strict=True))}
