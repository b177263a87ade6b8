"""Which end of a connection began it, as far as its ports tell. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPHEMERAL = 32768
"""The first port that Linux gives to who connects (net.ipv4.ip_local_port_range)."""


def is_accepted(local: object, remote: object) -> bool:
    """Return whether it was accepted here: the local port is a service's, the other one is not."""
    if not isinstance(local, int) or not isinstance(remote, int):
        return False
    return 0 < local < EPHEMERAL <= remote


def services(local: NDArray[np.float64], remote: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the port of the service of each connection, whichever end has it."""
    accepted = (local > 0) & (local < EPHEMERAL) & (remote >= EPHEMERAL)
    return np.where(accepted, local, remote)
